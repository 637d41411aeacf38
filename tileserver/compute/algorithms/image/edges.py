"""Edges: gradients, derivatives, crossings of zero, Canny's edges and Hough's lines.

The guide on gradients and edges says of a crossing that the pixel on the right, below, or below on
the right has the opposite sign. Decided where Google is silent:

- A gradient is in units a metre on the ground, towards the east (x) and the north (y); a
  derivative in units a pixel, towards the right and downward. Both are half the difference of the
  two neighbours, as in `Terrain.slope`.
- Canny's gradient is that of Sobel's kernels, not scaled, after a Gaussian that is cut at four
  sigma; pixels that are greatest along it keep their magnitude, all others are 0 (Canny 1986, with
  one threshold in place of two). Masked pixels are left out of the Gaussian, and mask the eight
  around them.
- Lines are looked for in squares of `gridSize` pixels, counted from the origin of the CRS, in
  directions a degree apart; the result is 1 on each line that as many active pixels lie on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.terrain import ground_gradient
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.pixels.blocks import InBlocks
from tileserver.compute.pixels.neighbourhoods import Around
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.pixel_type import BOOLEAN, DOUBLE
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest

_MOST_SIGMA = 50.0
_CUT = 4.0
_MOST_GRID = 512

Numbers = NDArray[np.float64]


@algorithm("Image.gradient(input: Image) -> Image")
def gradient(image: Image) -> Image:
    """Return the rise of the first band towards the east and the north, a metre, as x and y."""
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    shared = ground_gradient(image.bands[0])

    def part(place: int, name: str) -> Band:
        node = Apply(lambda pixels: Pixels(pixels.values[place], pixels.mask), (shared,))
        return replace(image.bands[0], id=name, type=DOUBLE, node=node)

    return image.derived([part(0, "x"), part(1, "y")])


@algorithm("Image.derivative(image: Image) -> Image")
def derivative(image: Image) -> Image:
    """Return each band's differences to the right and downward, a pixel, such as B1_x and B1_y."""
    bands = []
    for band in image.bands:
        for name, margins in (("x", (1, 0, 1, 0)), ("y", (0, 1, 0, 1))):
            node = Around((band.node,), margins, partial(_difference, axis=int(name == "x")))
            bands.append(replace(band, id=f"{band.id}_{name}", type=DOUBLE, node=node))
    return image.derived(bands)


def _difference(grid: PixelGrid, pixels: Pixels, axis: int) -> Pixels:
    values, mask = pixels.values.astype(np.float64), pixels.mask
    before, here, after = (
        (slice(None),) * axis + (slice(start, end),) for start, end in ((0, -2), (1, -1), (2, None))
    )
    shown = np.minimum.reduce([mask[before], mask[here], mask[after]])
    return Pixels((values[after] - values[before]) / 2, shown)


@algorithm("Image.zeroCrossing(image: Image) -> Image")
def zero_crossing(image: Image) -> Image:
    """Return 1 where the pixel to the right, below or below on the right has another sign."""

    def crossing(band: Band) -> Band:
        node = Around((band.node,), (0, 0, 1, 1), _crossing)
        return replace(band, type=BOOLEAN, node=node)

    return map_bands(image, crossing)


def _crossing(grid: PixelGrid, pixels: Pixels) -> Pixels:
    sign = np.sign(pixels.values.astype(np.float64))
    here, beside = sign[:-1, :-1], (sign[:-1, 1:], sign[1:, :-1], sign[1:, 1:])
    found = np.logical_or.reduce([here * each < 0 for each in beside])
    mask = pixels.mask
    shown = np.minimum.reduce([mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]])
    return Pixels(found.astype(np.uint8), shown)


@algorithm("CannyEdgeDetector(image: Image, threshold: Float, sigma: Float = 1.0) -> Image")
def canny(image: Image, threshold: float, sigma: float) -> Image:
    """Return the magnitude of the gradient on edges of each band, and 0 beside them."""
    if not 0 <= sigma <= _MOST_SIGMA:
        raise InvalidRequest(f"sigma must be from 0 to {_MOST_SIGMA:g}, got {sigma:g}.")
    # One pixel for Sobel's kernels, one for the neighbours along the gradient.
    margin = int(_CUT * sigma + 0.5) + 2
    detect = partial(_canny, threshold, sigma)

    def band_of(band: Band) -> Band:
        node = Around((band.node,), (margin,) * 4, detect, work=8 * margin)
        return replace(band, type=DOUBLE, node=node)

    return map_bands(image, band_of)


def _canny(threshold: float, sigma: float, grid: PixelGrid, pixels: Pixels) -> Pixels:
    from scipy import ndimage

    shown = pixels.mask > 0
    smooth = _smoothed(np.where(shown, pixels.values, 0).astype(np.float64), shown, sigma)
    check_time()
    down, across = ndimage.sobel(smooth, axis=0), ndimage.sobel(smooth, axis=1)
    magnitude = np.hypot(down, across)
    is_edge = _is_ridge(down, across, magnitude) & (magnitude[1:-1, 1:-1] >= threshold)
    whole = ndimage.minimum_filter(pixels.mask, 3)
    margin = (shown.shape[0] - grid.height) // 2
    found = np.where(is_edge, magnitude[1:-1, 1:-1], 0.0)
    inner = slice(margin - 1, margin - 1 + grid.height), slice(margin - 1, margin - 1 + grid.width)
    return Pixels(found[inner], whole[1:-1, 1:-1][inner])


def _smoothed(values: Numbers, shown: NDArray[np.bool_], sigma: float) -> Numbers:
    """Return values after a Gaussian, masked ones left out."""
    if not sigma:
        return values
    found = _blurred(values, sigma)
    if shown.all():
        return found
    return found / (_blurred(shown.astype(np.float64), sigma) + np.finfo(float).eps)


def _blurred(values: Numbers, sigma: float) -> Numbers:
    from scipy import ndimage

    for axis in (0, 1):
        check_time()
        values = ndimage.gaussian_filter1d(values, sigma, axis, mode="nearest", truncate=_CUT)
    return values


def _is_ridge(down: Numbers, across: Numbers, magnitude: Numbers) -> NDArray[np.bool_]:
    """Return where a magnitude is the greatest along its gradient, without the outermost pixels.

    The magnitudes a pixel away are interpolated between the two nearest neighbours.
    """
    is_steep = np.abs(down) >= np.abs(across)
    lesser, greater = np.where(is_steep, (across, down), (down, across))
    weight = np.abs(np.divide(lesser, greater, out=np.zeros(down.shape), where=greater != 0))
    weight = weight[1:-1, 1:-1]
    is_same = ((down >= 0) == (across >= 0))[1:-1, 1:-1]
    found = np.ones(weight.shape, bool)
    for sign in (1, -1):
        straight = np.where(is_steep[1:-1, 1:-1], _at(magnitude, sign, 0), _at(magnitude, 0, sign))
        # To the right and below, or its opposite; to the right and above, for steep ones below.
        falling = _at(magnitude, sign, sign)
        rising = np.where(
            is_steep[1:-1, 1:-1], _at(magnitude, sign, -sign), _at(magnitude, -sign, sign)
        )
        diagonal = np.where(is_same, falling, rising)
        found &= diagonal * weight + straight * (1 - weight) <= magnitude[1:-1, 1:-1]
    return found


def _at(array: Numbers, down: int, across: int) -> Numbers:
    """Return the neighbours so many rows and columns on, without the outermost pixels."""
    height, width = array.shape
    return array[1 + down : height - 1 + down, 1 + across : width - 1 + across]


@algorithm(
    "HoughTransform(image: Image, gridSize: Integer = 256.0, inputThreshold: Float = 64.0,"
    " lineThreshold: Float = 72.0, smooth: Boolean = true) -> Image"
)
def hough(image: Image, size: int, active_from: float, line_from: float, is_smooth: bool) -> Image:
    """Return 1 on straight lines of each band's active pixels, as bands such as B1_lines."""
    if not 1 <= size <= _MOST_GRID:
        raise InvalidRequest(f"gridSize must be from 1 to {_MOST_GRID}, got {size}.")
    detect: Callable[[Pixels], Pixels] = partial(_lines, active_from, line_from, is_smooth)

    def lines(band: Band) -> Band:
        node = InBlocks(band.node, size, 0, detect, BOOLEAN.dtype, 400)
        return replace(band, id=f"{band.id}_lines", type=BOOLEAN, node=node)

    return map_bands(image, lines)


_TURNS = np.radians(np.arange(-90.0, 90.0))


def _lines(active_from: float, line_from: float, is_smooth: bool, pixels: Pixels) -> Pixels:
    from scipy import ndimage

    rows, columns = np.nonzero((pixels.mask > 0) & (pixels.values >= active_from))
    height, width = pixels.mask.shape
    reach = int(np.ceil(np.hypot(height, width)))
    votes = np.zeros((len(_TURNS), 2 * reach + 1))
    for place, turn in enumerate(_TURNS):
        check_time()
        away = np.rint(columns * np.cos(turn) + rows * np.sin(turn)).astype(np.intp) + reach
        votes[place] = np.bincount(away, minlength=2 * reach + 1)
    if is_smooth:
        votes = ndimage.uniform_filter(votes, 3, mode="constant")
    return Pixels(_drawn(votes >= line_from, (height, width), reach), pixels.mask)


def _drawn(is_line: NDArray[np.bool_], shape: tuple[int, int], reach: int) -> NDArray[np.uint8]:
    """Return 1 on the lines of a table of directions and distances."""
    found = np.zeros(shape, bool)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for place in np.flatnonzero(is_line.any(axis=1)):
        check_time()
        turn: Any = _TURNS[place]
        away = np.rint(columns * np.cos(turn) + rows * np.sin(turn)).astype(np.intp) + reach
        found |= is_line[place][away]
    return found.astype(np.uint8)
