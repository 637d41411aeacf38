"""Distances to pixels that are not zero.

Source: the reference pages. Distances are in pixels of the projection in which they are computed;
only kernels in metres give metres. A margin is read as wide as one looks, so that a result does not
depend on the tile. Decided: a pixel farther than that from all others is masked.

- The neighbourhood of fastDistanceTransform is a radius, by the metric that is asked for. Beyond it
  pixels are valid and count as one pixel farther (openet-core's tests of erosion and dilation).
- The angle of directionalDistanceTransform is anticlockwise from the direction of rows, as the
  Sentinel-2 cloud masking tutorial uses it (90 less the sun's azimuth); pixels that are not zero
  are masked, as there is no distance for them.
- medialAxis looks at discs of radii up to half its neighbourhood. The disc of a pixel reaches to
  the nearest pixel that is not zero; each pixel belongs to the disc with the greatest
  radius² - distance². `medial` is the radius of a disc, and masked where no pixel belongs to it;
  `coverage` counts those that do (Coeurjolly and Montanvert 2007).
- rsedTransform looks at heights up to the square of its neighbourhood, higher ones count as that.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.objects import check_size, inner, margins
from tileserver.compute.algorithms.kernel.shapes import shaped
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.pixels.distances import along, highest, to_nearest
from tileserver.compute.pixels.neighbourhoods import Around, UnderKernel
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands, named
from tileserver.compute.values.kernel import Kernel, Weights
from tileserver.compute.values.pixel_type import FLOAT, PixelType
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest, shown

_METRICS = ("squared_euclidean", "manhattan", "chebyshev")
_KERNELS = ("euclidean", "manhattan", "chebyshev")
_WORK = 60
_MAX_NEIGHBOURHOOD = 512
_DEFAULT_RADIUS = 100


def _sources(pixels: Pixels) -> NDArray[np.bool_]:
    """Return the pixels that are valid and not zero."""
    found: NDArray[np.bool_] = (pixels.mask > 0) & (np.nan_to_num(pixels.values) != 0)
    return found


def _first(image: Image) -> Band:
    if not image.bands:
        raise InvalidRequest("An image without bands has no pixels.")
    return image.bands[0]


def _check_neighbourhood(size: int, units: str = "pixels") -> None:
    check_size(size, "neighborhood")
    if size > _MAX_NEIGHBOURHOOD:
        raise InvalidRequest(
            f"neighborhood must be at most {_MAX_NEIGHBOURHOOD} pixels, got {size}."
        )
    if units != "pixels":
        raise InvalidRequest(f"units must be pixels, got {shown(units)}.")


def _masked(values: NDArray[Any], known: NDArray[np.bool_]) -> Pixels:
    found = np.where(known, values, 0).astype(np.float32)
    return Pixels(found, known.astype(np.float32))


@algorithm(
    "Image.fastDistanceTransform(image: Image, neighborhood: Integer = 256,"
    ' units: String = "pixels", metric: String = "squared_euclidean") -> Image'
)
def fast_distance_transform(image: Image, size: int, units: str, metric: str) -> Image:
    """Return a band `distance`: to the nearest pixel that is not zero, by default squared.

    The first band alone is looked at; its mask does not matter. Pixels that are farther than the
    neighborhood from all others count as one pixel beyond it.
    """
    _check_neighbourhood(size, units)
    if metric not in _METRICS:
        raise InvalidRequest(f"metric must be one of {', '.join(_METRICS)}, got {shown(metric)}.")
    power = 2 if metric == "squared_euclidean" else 1

    def compute(grid: PixelGrid, pixels: Pixels) -> Pixels:
        found = inner(to_nearest(_sources(pixels), metric), size)
        beyond = found > size**power
        return _masked(np.where(beyond, (size + 1) ** power, found), np.ones_like(beyond))

    band = _first(image)
    node = Around((band.node,), margins(size), compute, _WORK)
    return image.derived([replace(band, id="distance", type=FLOAT, node=node)])


@algorithm(
    "Image.distance(image: Image, kernel: Kernel = null, skipMasked: Boolean = true) -> Image"
)
def distance(image: Image, kernel: Kernel | None, skips_masked: bool) -> Image:
    """Return the distance to the nearest pixel that is not zero, for each band.

    It is in the units of the kernel (100 pixels, euclidean, without one), which holds the pixels
    that are looked at.
    """
    used = kernel or shaped("euclidean", _DEFAULT_RADIUS, "pixels", False, 1.0)
    if used.name not in _KERNELS:
        raise InvalidRequest(
            f"kernel must be one of {', '.join(_KERNELS)}, got {shown(used.name)}."
        )

    def compute(weights: Weights, pixels: Pixels) -> Pixels:
        left, top, right, bottom = weights.margins
        height, width = pixels.mask.shape
        part = (slice(top, height - bottom), slice(left, width - right))
        found = _within(_sources(pixels), used.name, max(weights.margins))[part]
        masked = _masked(found * _unit(weights), np.isfinite(found))
        if not skips_masked:
            return masked
        return Pixels(masked.values, masked.mask * pixels.mask[part])

    def change(band: Band) -> Band:
        node = UnderKernel((band.node,), used, compute, lambda w: _WORK + 8 * max(w.margins))
        return replace(band, type=FLOAT, node=node)

    return map_bands(image, change)


def _within(is_source: NDArray[np.bool_], metric: str, radius: int) -> NDArray[np.float64]:
    """Return distances to the nearest source in a square around each pixel, infinite without."""
    if metric == "chebyshev":
        found = to_nearest(is_source, metric)
        return np.where(found <= radius, found, np.inf)
    heights = np.where(is_source, 0.0, -np.inf)
    if metric == "manhattan":
        return -highest(heights, radius, 1)[0]
    squares: NDArray[np.float64] = np.sqrt(-highest(heights, radius)[0])
    return squares


def _unit(weights: Weights) -> float:
    """Return the weight of the next pixel."""
    row = weights.values[weights.y]
    return float(row[weights.x + 1]) if weights.x + 1 < len(row) else 1.0


@algorithm(
    "Image.directionalDistanceTransform(source: Image, angle: Float, maxDistance: Integer,"
    " labelBand: String = null) -> Image"
)
def directional_distance_transform(
    image: Image, angle: float, reach: int, label_name: str | None
) -> Image:
    """Return the distance from each zero pixel to the first in a direction that is not zero.

    With labelBand that band is searched, and the others hold their values at the found pixel.
    """
    if not 1 <= reach <= _MAX_NEIGHBOURHOOD:
        raise InvalidRequest(
            f"maxDistance must be from 1 to {_MAX_NEIGHBOURHOOD} pixels, got {reach}."
        )
    if not math.isfinite(angle):
        raise InvalidRequest(f"angle must be a number of degrees, got {angle:g}.")
    if label_name is None and len(image.bands) != 1:
        raise InvalidRequest(
            f"Expected one band, or the name of a labelBand; got {len(image.bands)} bands."
        )
    label = _first(image) if label_name is None else _named(image, label_name)
    work = 2 * reach + _WORK

    def search(grid: PixelGrid, labels: Pixels, *others: Pixels) -> Pixels:
        sources = _sources(labels)
        open_ = inner((labels.mask > 0) & ~sources, reach)
        values = others[0].values if others else np.zeros(sources.shape)
        found = np.zeros(open_.shape, values.dtype)
        known = np.zeros(open_.shape, bool)
        height, width = open_.shape
        for column, row, length in along(angle, reach):
            top, left = reach + row, reach + column
            part = (slice(top, top + height), slice(left, left + width))
            new = open_ & sources[part] & ~known
            found[new] = values[part][new] if others else length
            known |= new
        return Pixels(found, known.astype(np.float32))

    nodes = [Around((label.node,), margins(reach), search, work)]
    bands = [replace(label, id="distance", type=FLOAT, node=nodes[0])]
    for band in image.bands:
        if band is not label:
            node = Around((label.node, band.node), margins(reach), search, work)
            bands.append(replace(band, node=node))
    return image.derived(named(bands, [band.id for band in bands]))


def _named(image: Image, name: str) -> Band:
    for band in image.bands:
        if band.id == name:
            return band
    raise InvalidRequest(f"The image has no band '{name[:80]}'.")


@algorithm(
    'Image.rsedTransform(image: Image, neighborhood: Integer = 256, units: String = "pixels")'
    " -> Image"
)
def rsed_transform(image: Image, size: int, units: str) -> Image:
    """Return the highest of the parabolas below each pixel that is not zero, a band `distance`.

    The value of a pixel is the height of its parabola, which falls by the square of the distance.
    It is zero where all are below zero.
    """
    _check_neighbourhood(size, units)

    def compute(grid: PixelGrid, pixels: Pixels) -> Pixels:
        heights = np.where(_sources(pixels), np.minimum(pixels.values, size * size), -np.inf)
        tallest = max(0.0, float(heights.max(initial=0.0)))
        found, _, _ = highest(heights, min(size, math.ceil(math.sqrt(tallest))))
        values = np.maximum(inner(found, size), 0).astype(np.float32)
        return Pixels(values, np.ones(values.shape, np.float32))

    band = _first(image)
    node = Around((band.node,), margins(size), compute, 4 * size)
    return image.derived([replace(band, id="distance", type=FLOAT, node=node)])


_MEDIAL = ("medial", "coverage", "xlabel", "ylabel")


@algorithm(
    'Image.medialAxis(image: Image, neighborhood: Integer = 256, units: String = "pixels") -> Image'
)
def medial_axis(image: Image, size: int, units: str) -> Image:
    """Return the discrete medial axis of the zero pixels of the first band, in four bands.

    They are medial, the radius of a disc of the axis; coverage, the pixels that belong to it; and
    xlabel and ylabel, the columns and rows from each pixel to the disc that it belongs to.
    """
    _check_neighbourhood(size, units)
    radius = max(1, size // 2)
    band = _first(image)
    core = Around((band.node,), margins(3 * radius), lambda g, p: _axis(p, radius), 8 * radius)

    def node(name: str) -> Apply:
        def pick(pixels: Pixels) -> Pixels:
            values = np.ascontiguousarray(pixels.values[name])
            mask = pixels.mask
            if name in ("medial", "coverage"):
                mask = mask * (pixels.values["coverage"] > 0)
            return Pixels(values, mask)

        return Apply(pick, (core,))

    count = PixelType("int", 0, 2**31 - 1)
    types = (FLOAT, count, PixelType("int", -size, size), PixelType("int", -size, size))
    return image.derived(
        replace(band, id=name, type=type_, node=node(name))
        for name, type_ in zip(_MEDIAL, types, strict=True)
    )


def _axis(pixels: Pixels, radius: int) -> Pixels:
    """Return the four bands as one structured array, with those of a margin of 3 radii cut off."""
    squares = to_nearest(_sources(pixels), "squared_euclidean")
    is_disc = (squares > 0) & (squares <= radius * radius)
    heights = np.where(is_disc, squares, -np.inf)
    reach = math.ceil(math.sqrt(max(0.0, float(heights.max(initial=0.0)))))
    found, columns, rows = highest(heights, reach)
    inside = (found > 0) & is_disc
    down, across = np.nonzero(inside)
    coverage = np.zeros(squares.shape, np.int32)
    np.add.at(coverage, (down + rows[inside], across + columns[inside]), 1)
    dtype = [("medial", "f4"), ("coverage", "i4"), ("xlabel", "i4"), ("ylabel", "i4")]
    result = np.zeros(squares.shape, dtype)
    result["medial"] = np.sqrt(np.where(is_disc, squares, 0))
    result["coverage"] = coverage
    result["xlabel"] = np.where(inside, columns, 0)
    result["ylabel"] = np.where(inside, rows, 0)
    margin = 3 * radius
    return Pixels(inner(result, margin), inner(inside, margin).astype(np.float32))
