"""Registration of images: `CrossCorrelation`, `Image.displacement` and `Image.register`.

Source: the reference pages and the guide on image registration. Decided where these are silent:

- CrossCorrelation's bands are deltaX, deltaY, distance and correlation, in pixels; a window is
  a square of windowSize pixels, of one more if that is even. All bands are correlated together.
  Of equally good offsets the shortest is taken.
- displacement compares the first bands in the projection of the reference, at the lowest
  resolution of the images and the projection that is given, by that correlation in windows of
  patchWidth (else 15 pixels). Offsets are whole pixels there, then averaged over a window that
  grows with stiffness. Its bands dx and dy are in metres: what `displace` takes; confidence is
  the correlation of the matches in that window, from 0 to 1.
- register displaces by that, with bicubic interpolation.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tileserver.compute.algorithms.image.displacing import displace
from tileserver.compute.algorithms.image.objects import margins
from tileserver.compute.context import check_length
from tileserver.compute.nodes import Node, Pixels
from tileserver.compute.pixels.correlation import Best, best_offsets, windowed
from tileserver.compute.pixels.grid_blocks import field
from tileserver.compute.pixels.neighbourhoods import Around
from tileserver.compute.pixels.reprojected import Reprojected
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, Projection
from tileserver.compute.values.pixel_type import FLOAT
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest

_MAX_GAP = 32
_MAX_RADIUS = 32
_MAX_BANDS = 10
_PATCH_PX = 15
_DISPLACED = ("dx", "dy", "confidence")
_NAMES = ("deltaX", "deltaY", "distance", "correlation")


def _work(gap: int, radius: int, bands: int) -> int:
    return (2 * gap + 1) ** 2 * (4 * radius + 10) * (5 * bands + 1) // 2


def _valid_numbers(pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
    values = pixels.values.astype(np.float64)
    valid = (pixels.mask > 0) & np.isfinite(values)
    return np.where(valid, values, 0.0), valid


def _compared(
    first: tuple[Pixels, ...], second: tuple[Pixels, ...], gap: int, radius: int, masked: float
) -> Best:
    a, b = [_valid_numbers(each) for each in first], [_valid_numbers(each) for each in second]
    a_valid = np.logical_and.reduce([valid for _, valid in a])
    b_valid = np.logical_and.reduce([valid for _, valid in b])
    values_a, values_b = [each for each, _ in a], [each for each, _ in b]
    return best_offsets(values_a, a_valid, values_b, b_valid, gap, radius, masked)


def _check(gap: int, radius: int) -> None:
    if not 0 <= gap <= _MAX_GAP:
        raise InvalidRequest(f"Offsets must be from 0 to {_MAX_GAP} pixels, got {gap}.")
    if not 0 <= radius <= _MAX_RADIUS:
        raise InvalidRequest(
            f"A window must have from 1 to {2 * _MAX_RADIUS + 1} pixels a side, got "
            f"{2 * radius + 1}."
        )


@algorithm(
    "CrossCorrelation(imageA: Image, imageB: Image, maxGap: Integer, windowSize: Integer,"
    " maxMaskedFrac: Float = 0) -> Image"
)
def cross_correlation(
    first: Image, second: Image, gap: int, window: int, most_masked: float
) -> Image:
    """Return deltaX, deltaY, distance and correlation of the best match of each pixel's window.

    The pixel at that offset in the second image is the one whose window correlates best.
    """
    count = len(first.bands)
    if count != len(second.bands) or not count:
        raise InvalidRequest(
            f"Both images must have the same bands, got {count} and {len(second.bands)}."
        )
    check_length(count, _MAX_BANDS, "bands")
    radius = max(window, 1) // 2
    _check(gap, radius)
    if window < 1 or not 0 <= most_masked <= 1:
        raise InvalidRequest("windowSize must be above 0, and maxMaskedFrac from 0 to 1.")

    def compare(grid: PixelGrid, *pixels: Pixels) -> Pixels:
        best = _compared(pixels[:count], pixels[count:], gap, radius, most_masked)
        found = np.zeros(best.valid.shape, [(name, "f4") for name in _NAMES])
        found["deltaX"], found["deltaY"] = best.columns, best.rows
        found["distance"] = np.hypot(best.columns, best.rows)
        found["correlation"] = np.where(best.valid, best.correlation, 0)
        return Pixels(found, best.valid.astype(np.float32))

    nodes = tuple(band.node for band in (*first.bands, *second.bands))
    core = Around(nodes, margins(gap + radius), compare, _work(gap, radius, count))
    lead = first.bands[0]
    return first.derived(
        replace(lead, id=name, type=FLOAT, node=field(core, name)) for name in _NAMES
    )


@algorithm(
    "Image.displacement(image: Image, referenceImage: Image, maxOffset: Float,"
    " projection: Projection = null, patchWidth: Float = null, stiffness: Float = 5) -> Image"
)
def displacement(
    image: Image,
    reference: Image,
    most_m: float,
    projection: Projection | None,
    patch_m: float | None,
    stiffness: float,
) -> Image:
    """Return dx and dy in metres, where in an image a reference's pixels are, and confidence."""
    if not image.bands or not reference.bands:
        raise InvalidRequest("An image without bands cannot be registered.")
    if not 0 <= most_m < math.inf:
        raise InvalidRequest(f"maxOffset must be a number of metres, got {most_m:g}.")
    if not 0 <= stiffness <= 10:
        raise InvalidRequest(f"stiffness must be from 0 to 10, got {stiffness:g}.")
    if patch_m is not None and not 0 < patch_m < math.inf:
        raise InvalidRequest(f"patchWidth must be above 0, got {patch_m:g}.")
    base = reference.bands[0].projection
    candidates = [image.bands[0].projection, base, *([projection] if projection else [])]
    scale_m = max(each.nominal_scale_m for each in candidates)
    lattice = base if scale_m <= base.nominal_scale_m * 1.001 else base.at_scale(scale_m)
    side_m = lattice.nominal_scale_m
    gap = math.ceil(min(most_m / side_m, 10**6) - 1e-9)
    width = _PATCH_PX if patch_m is None else patch_m / side_m
    radius = max(1, round(min(width, 10**6) / 2))
    _check(gap, radius)
    smoothing = round(radius * stiffness / 5)
    nodes = (reference.bands[0].node, image.bands[0].node)
    return _displacements(reference.bands[0], nodes, lattice, (gap, radius, smoothing))


def _displacements(
    lead: Band, nodes: tuple[Node, Node], lattice: Projection, sizes: tuple[int, int, int]
) -> Image:
    gap, radius, smoothing = sizes
    side_m = lattice.nominal_scale_m

    def compare(grid: PixelGrid, first: Pixels, second: Pixels) -> Pixels:
        best = _compared((first,), (second,), gap, radius, 0.5)
        known = best.valid.astype(np.float64)
        weights = windowed(known, smoothing)
        found = np.zeros(weights.shape, [(name, "f4") for name in _DISPLACED])
        t = grid.transform
        signs = (math.copysign(1, t.scale_x), math.copysign(1, t.scale_y))
        for name, steps, sign in zip(("dx", "dy"), (best.columns, best.rows), signs, strict=True):
            total = windowed(steps * known, smoothing)
            found[name] = sign * side_m * total / np.maximum(weights, 1)
        likeness = np.where(best.valid, np.clip(best.correlation, 0, 1), 0)
        found["confidence"] = np.clip(windowed(likeness, smoothing) / np.maximum(weights, 1), 0, 1)
        return Pixels(found, (weights > 0).astype(np.float32))

    margin = gap + radius + smoothing
    core = Around(nodes, margins(margin), compare, _work(gap, radius, 1))

    def band(name: str) -> Band:
        node = Reprojected(field(core, name), lattice, FLOAT.dtype)
        return replace(lead, id=name, type=FLOAT, projection=lattice, extent=None, node=node)

    return Image(tuple(map(band, _DISPLACED)))


@algorithm(
    "Image.register(image: Image, referenceImage: Image, maxOffset: Float,"
    " patchWidth: Float = null, stiffness: Float = 5) -> Image"
)
def register(
    image: Image, reference: Image, most_m: float, patch_m: float | None, stiffness: float
) -> Image:
    """Return an image moved so that it lies on a reference image, distortions included."""
    by = displacement(image, reference, most_m, None, patch_m, stiffness)
    reach = most_m + by.bands[0].projection.nominal_scale_m
    return displace(image, by, "bicubic", reach)
