"""Spectral distances, between images and between the pixels under a kernel.

The bands of an image are its spectrum, or the arrays of its first band if that has arrays of one
dimension, all of the same length. Distances are the angle in radians (sam), the information
divergence with logarithms to the base e (sid), the squared Euclidean distance (sed) and the earth
mover's distance along the bands, which are not scaled to one sum before (emd). Decided where
Google is silent: a distance is one band, distance, masked where a band is. Erosion and dilation
keep the bands: each pixel gets the spectrum of the closest or the most distant unmasked pixel
under the kernel, the gradient is the distance between these two (Plaza and others, 2002; the guide
on clusters takes the gradient of an erosion). From its own center a pixel is always the closest, so
there it is left out; it stays where there is no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import fitted, place_of
from tileserver.compute.algorithms.image.neighbourhoods import count_of
from tileserver.compute.algorithms.kernel.shapes import shaped
from tileserver.compute.arrays.storage import ArrayValues, arrays_of, dense_pixels
from tileserver.compute.nodes import Apply, Node, Pixels
from tileserver.compute.pixels import windows
from tileserver.compute.pixels.neighbourhoods import UnderKernel
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image
from tileserver.compute.values.kernel import Kernel, Weights
from tileserver.compute.values.pixel_type import DOUBLE, PixelType
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown

Numbers = NDArray[np.float64]
Metric = Callable[[Numbers, Numbers], Numbers]
"""The distance of spectra along the first axis."""


def _angle(a: Numbers, b: Numbers) -> Numbers:
    product = (a * b).sum(axis=0)
    length = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    found: Numbers = np.arccos(np.clip(product / length, -1, 1))
    return found


def _divergence(a: Numbers, b: Numbers) -> Numbers:
    p, q = a / a.sum(axis=0), b / b.sum(axis=0)
    found: Numbers = ((p - q) * (np.log(p) - np.log(q))).sum(axis=0)
    return found


def _squared(a: Numbers, b: Numbers) -> Numbers:
    found: Numbers = ((a - b) ** 2).sum(axis=0)
    return found


def _moved_earth(a: Numbers, b: Numbers) -> Numbers:
    found: Numbers = np.abs(np.cumsum(a - b, axis=0)).sum(axis=0)
    return found


METRICS: dict[str, Metric] = {
    "sam": _angle,
    "sid": _divergence,
    "sed": _squared,
    "emd": _moved_earth,
}


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise InvalidRequest(f"metric must be one of {', '.join(METRICS)}, got {shown(name)}.")
    return METRICS[name]


def _spectrum(pixels: Sequence[Pixels]) -> tuple[Numbers, NDArray[np.float32]]:
    """Return values of shape (bands, height, width), and the least mask."""
    if (arrays := arrays_of(pixels[0])) is not None:
        return _of_arrays(arrays), pixels[0].mask * arrays.is_there
    values = np.stack([each.values.astype(np.float64) for each in pixels])
    mask: NDArray[np.float32] = np.minimum.reduce([each.mask for each in pixels])
    return values, mask


def _of_arrays(arrays: ArrayValues) -> Numbers:
    """Return the elements of arrays as layers; raise InvalidRequest if their lengths differ."""
    if len(arrays.batches) > 1:
        raise InvalidRequest("The arrays of a spectrum must have the same length in all pixels.")
    if not arrays.batches:
        return np.zeros((1, *arrays.shape))
    found = np.zeros((arrays.batches[0].shape[1], arrays.group_of.size))
    found[:, arrays.rows_of(0)] = arrays.batches[0].T
    return found.reshape(-1, *arrays.shape)


def _spectral_bands(image: Image) -> tuple[Band, ...]:
    """Return the bands that are the spectrum.

    Raises:
        InvalidRequest: there are none, or arrays of several dimensions.
    """
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    if (dimensions := image.bands[0].type.dimensions) > 1:
        raise InvalidRequest(f"Expected arrays of 1 dimension, got {dimensions} dimensions.")
    return image.bands[:1] if dimensions else image.bands


@algorithm('Image.spectralDistance(image1: Image, image2: Image, metric: String = "sam") -> Image')
def spectral_distance(first: Image, second: Image, metric: str) -> Image:
    """Return the distance between two images' spectra, pixel by pixel."""
    measure = _metric(metric)
    one, other = _spectral_bands(first), _spectral_bands(second)
    _check_same(len(one), len(other))

    def compute(*pixels: Pixels) -> Pixels:
        a, b = _spectrum(pixels[: len(one)]), _spectrum(pixels[len(one) :])
        _check_same(len(a[0]), len(b[0]))
        return _told(measure(a[0], b[0]), np.minimum(a[1], b[1]))

    nodes = tuple(band.node for band in (*one, *other))
    return _distance(first, Apply(compute, nodes))


def _check_same(one: int, other: int) -> None:
    if one != other:
        raise InvalidRequest(f"Images must have the same number of bands. Found {one} and {other}.")


def _told(distance: Numbers, mask: NDArray[np.float32]) -> Pixels:
    """Return distances as pixels; one that is not a number is masked."""
    return Pixels(np.nan_to_num(distance), mask * np.isfinite(distance))


def _distance(image: Image, node: Node) -> Image:
    lead = image.bands[0]
    return Image((Band("distance", DOUBLE, lead.projection, lead.extent, node),), place_of(image))


def _ends(
    metric: Metric, is_from_mean: bool, weights: Weights, *pixels: Pixels
) -> tuple[Numbers, Numbers, NDArray[np.float32]]:
    """Return the spectra of the closest and the most distant pixel under a kernel, and the mask."""
    values, mask = _spectrum(pixels)
    shown_ = mask > 0
    views = [
        list(windows.shifted(layer, weights)) for layer in (shown_, *np.where(shown_, values, 0))
    ]
    own = np.stack([windows.inner(layer, weights) for layer in values])
    center = own
    if is_from_mean:
        number = sum(view.astype(np.int64) for view, _ in views[0])
        center = np.stack([sum(view for view, _ in layer) / number for layer in views[1:]])
    shape = center.shape[1:]
    least, greatest = np.full(shape, np.inf), np.full(shape, -np.inf)
    closest, farthest = own.copy(), own.copy()
    for (column, row, _), (valid, _), *layers in zip(weights.offsets(), *views, strict=True):
        check_time()
        if (column, row) == (0, 0) and not is_from_mean:
            continue
        spectrum = np.stack([view for view, _ in layers])
        distance = metric(spectrum, center)
        known = valid & np.isfinite(distance)
        for is_better, best, found in (
            (known & (distance < least), least, closest),
            (known & (distance > greatest), greatest, farthest),
        ):
            best[is_better] = distance[is_better]
            np.copyto(found, spectrum, where=is_better)
    return closest, farthest, windows.inner(mask, weights)


def _under(
    image: Image,
    metric: str,
    kernel: Kernel | None,
    is_from_mean: bool,
    make: Callable[[Numbers, Numbers, NDArray[np.float32]], Pixels],
) -> Node:
    """Return a node of what is made of the closest and the most distant spectrum of a kernel."""
    measure, bands = _metric(metric), _spectral_bands(image)

    def compute(weights: Weights, *pixels: Pixels) -> Pixels:
        return make(*_ends(measure, is_from_mean, weights, *pixels))

    chosen = kernel or shaped("square", 1.0, "pixels", False, 1.0)
    nodes = tuple(band.node for band in bands)
    return UnderKernel(nodes, chosen, compute, lambda w: 8 * count_of(w) * len(nodes))


_ARGUMENTS = (
    'image: Image, metric: String = "sam", kernel: Kernel = null, useCentroid: Boolean = false'
)


@algorithm(f"Image.spectralErosion({_ARGUMENTS}) -> Image")
def spectral_erosion(image: Image, metric: str, kernel: Kernel | None, is_from_mean: bool) -> Image:
    """Return the spectrum of the closest pixel under a kernel."""
    node = _under(image, metric, kernel, is_from_mean, lambda near, far, mask: Pixels(near, mask))
    return _spectra(image, node)


@algorithm(f"Image.spectralDilation({_ARGUMENTS}) -> Image")
def spectral_dilation(
    image: Image, metric: str, kernel: Kernel | None, is_from_mean: bool
) -> Image:
    """Return the spectrum of the most distant pixel under a kernel."""
    node = _under(image, metric, kernel, is_from_mean, lambda near, far, mask: Pixels(far, mask))
    return _spectra(image, node)


def _spectra(image: Image, shared: Node) -> Image:
    """Return an image of the bands of a node of spectra, arrays if its first band has arrays."""
    bands = _spectral_bands(image)
    if not bands[0].type.dimensions:
        return image.derived(
            replace(band, node=Apply(partial(_layer, place, band.type), (shared,)))
            for place, band in enumerate(bands)
        )
    found = bands[0].type

    def as_arrays(pixels: Pixels) -> Pixels:
        elements = np.ascontiguousarray(np.moveaxis(fitted(pixels.values, found), 0, -1))
        return dense_pixels(elements, pixels.mask)

    return image.derived([replace(bands[0], node=Apply(as_arrays, (shared,)))])


def _layer(place: int, found: PixelType, pixels: Pixels) -> Pixels:
    return Pixels(fitted(pixels.values[place], found), pixels.mask)


@algorithm(f"Image.spectralGradient({_ARGUMENTS}) -> Image")
def spectral_gradient(
    image: Image, metric: str, kernel: Kernel | None, is_from_mean: bool
) -> Image:
    """Return the distance between spectral dilation and erosion."""
    measure = _metric(metric)
    node = _under(
        image,
        metric,
        kernel,
        is_from_mean,
        lambda near, far, mask: _told(measure(far, near), mask),
    )
    return _distance(image, node)
