"""Nodes that look at pixels of another lattice than the one asked for: reprojected, interpolated.

And the mask of what lies within an extent, whatever lattice is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.nodes import ApplyOnGrid, Node, Pixels, Step, hidden
from tileserver.compute.values.image import Band, Projection
from tileserver.contract.grids import PixelGrid, Window
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import Coordinates, period, transform_point
from tileserver.geo.positions import positions

MAX_WINDOW_PX = 4_000_000
"""Pixels of another lattice that are computed for one piece."""
_FAR = 2.0**40
_ON_EDGE = 1e-6

Index = NDArray[np.int64]


def positions_on(grid: PixelGrid, projection: Projection) -> tuple[Coordinates, Coordinates]:
    """Return where a grid's pixel centres fall on a lattice, (columns, rows) of shape (h, w).

    Where a CRS comes round again, those next to the middle of the grid are meant.
    """
    t = projection.transform
    shift = 0
    turn = period(projection.crs_code)
    if turn is not None and t.scale_x:
        x, y = grid.transform.apply(grid.width / 2, grid.height / 2)
        middle, _ = transform_point(grid.crs_code, projection.crs_code, x, y)
        if math.isfinite(middle):
            # What is west of the lattice's origin by up to half a turn stays there.
            shift = round((middle - turn / 2 - t.translate_x) / t.scale_x)
    found = positions(grid, t.grid(Window(shift, 0, 1, 1), projection.crs_code))
    shape = (grid.height, grid.width)
    columns = np.broadcast_to(found.columns, shape) + shift
    return columns, np.broadcast_to(found.rows, shape)


def within(band: Band, node: Node | None = None) -> Node:
    """Return a node's pixels, those outside of a band's extent masked."""
    node = node or band.node
    extent, projection = band.extent, band.projection
    if extent is None:
        return node

    def mask(grid: PixelGrid, pixels: Pixels) -> Pixels:
        return Pixels(pixels.values, pixels.mask * inside(grid, projection, extent))

    return ApplyOnGrid(mask, (node,))


def inside(grid: PixelGrid, projection: Projection, extent: Window) -> NDArray[np.bool_]:
    """Return which pixel centres of a grid lie within an extent, shape (height, width)."""
    columns, rows = positions_on(grid, projection)
    with np.errstate(invalid="ignore"):
        across = (columns >= extent.column - _ON_EDGE) & (columns < extent.right - _ON_EDGE)
        down = (rows >= extent.row - _ON_EDGE) & (rows < extent.bottom - _ON_EDGE)
    both: NDArray[np.bool_] = across & down
    return both


@dataclass(frozen=True, eq=False, slots=True)
class Reprojected:
    """A node computed on a lattice of its own, and looked at there by nearest neighbour."""

    node: Node
    projection: Projection
    dtype: np.dtype[Any]

    def step(self, grid: PixelGrid) -> Step:
        """Need the part of the lattice that a grid shows.

        Raises:
            InvalidRequest: that is too large.
        """
        window = _window(*self._places(grid), 0, self.projection)
        if window is None:
            return Step((), lambda inputs: hidden(grid, self.dtype))
        left, top, part = window

        def pick(inputs: Sequence[Pixels]) -> Pixels:
            (found,) = inputs
            # Found again, as a plan of many steps would hold them all.
            columns, rows, known = self._places(grid)
            at = (np.where(known, rows - top, 0), np.where(known, columns - left, 0))
            return Pixels(found.values[at], found.mask[at] * known)

        return Step(((self.node, part),), pick)

    def _places(self, grid: PixelGrid) -> tuple[Index, Index, NDArray[np.bool_]]:
        """Return the column and row that each pixel of a grid shows, and where there is one."""
        columns, rows = (nearest_index(each) for each in positions_on(grid, self.projection))
        return columns, rows, (np.abs(columns) < _FAR) & (np.abs(rows) < _FAR)


def nearest_index(values: Coordinates) -> Index:
    """Return the index of the pixel that holds each position; far away where there is none."""
    with np.errstate(invalid="ignore"):
        is_near = np.abs(values) < _FAR
    floored = np.floor(np.where(is_near, values, 0.0) + _ON_EDGE).astype(np.int64)
    return np.where(is_near, floored, np.int64(2**41))


def _window(
    columns: Index,
    rows: Index,
    known: NDArray[np.bool_],
    margin: int,
    projection: Projection,
) -> tuple[int, int, PixelGrid] | None:
    """Return (left, top) and the grid of the pixels of a lattice that are looked at."""
    if not known.any():
        return None
    left, right = _span(columns, known, margin)
    top, bottom = _span(rows, known, margin)
    width, height = right - left, bottom - top
    if width * height > MAX_WINDOW_PX:
        raise InvalidRequest(f"Reprojection output too large ({width}x{height} pixels).")
    window = Window(left, top, width, height)
    return left, top, projection.transform.grid(window, projection.crs_code)


def _span(places: Index, known: NDArray[np.bool_], margin: int) -> tuple[int, int]:
    low = places.min(where=known, initial=np.iinfo(np.int64).max)
    high = places.max(where=known, initial=np.iinfo(np.int64).min)
    return int(low) - margin, int(high) + 1 + margin


@dataclass(frozen=True, eq=False, slots=True)
class Interpolated:
    """A node looked at between the pixels of its own lattice, bilinear or bicubic.

    From afar the lattice is coarsened by a power of two first, as the pyramid is. What is masked
    takes no part: a pixel is masked where its nearest neighbour is, else the weights of those
    that are not are made to add up.
    """

    node: Node
    projection: Projection
    is_cubic: bool
    dtype: np.dtype[Any]

    def step(self, grid: PixelGrid) -> Step:
        """Need the part of the lattice that a grid shows, and a margin."""
        columns, rows = positions_on(grid, self.projection)
        factor = _factor(columns, rows)
        lattice = self.projection.transform.scaled(factor, factor)
        coarse = Projection(self.projection.crs_code, lattice)
        columns, rows = columns / factor, rows / factor
        at_columns, at_rows = nearest_index(columns), nearest_index(rows)
        known = (np.abs(at_columns) < _FAR) & (np.abs(at_rows) < _FAR)
        window = _window(at_columns, at_rows, known, 3, coarse)
        if window is None:
            return Step((), lambda inputs: hidden(grid, self.dtype))
        left, top, part = window

        def blend(inputs: Sequence[Pixels]) -> Pixels:
            # Found again, as a plan of many steps would hold them all.
            columns, rows = (each / factor for each in positions_on(grid, self.projection))
            known = (np.abs(columns) < _FAR) & (np.abs(rows) < _FAR)
            x = np.where(known, columns - left, 3.0)
            y = np.where(known, rows - top, 3.0)
            values, mask = _blended(inputs[0], x, y, self.is_cubic)
            return Pixels(values.astype(self.dtype), mask * known)

        return Step(((self.node, part),), blend)


def _factor(columns: Coordinates, rows: Coordinates) -> int:
    """Return how many pixels of a lattice a pixel of the grid is wide, as a power of two."""
    height, width = columns.shape
    steps = []
    for axis, count in ((1, width), (0, height)):
        if count > 1:
            middle = (height // 2, width // 2)
            before = list(middle)
            before[axis] -= 1
            at, to = tuple(before), middle
            steps.append(math.hypot(columns[to] - columns[at], rows[to] - rows[at]))
    step = min(steps, default=1.0)
    return 2 ** max(0, int(math.log2(step) + _ON_EDGE)) if 1 <= step < _FAR else 1


def _blended(
    pixels: Pixels, x: Coordinates, y: Coordinates, is_cubic: bool
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return values and mask at positions in an array, whose pixel centres lie at halves."""
    reach = (-1, 0, 1, 2) if is_cubic else (0, 1)
    left, top = np.floor(x - 0.5).astype(np.int64), np.floor(y - 0.5).astype(np.int64)
    dx, dy = x - 0.5 - left, y - 0.5 - top
    weigh = _cubic if is_cubic else _linear
    total, sum_ = np.zeros(x.shape), np.zeros(x.shape)
    shown = pixels.mask > 0
    values = np.where(shown, pixels.values, 0).astype(np.float64)
    for j in reach:
        for i in reach:
            at = (top + j, left + i)
            weight = weigh(dx, i) * weigh(dy, j) * shown[at]
            sum_ += weight * values[at]
            total += weight
    near = (np.floor(y).astype(np.int64), np.floor(x).astype(np.int64))
    mask = pixels.mask[near] * (np.abs(total) > _ON_EDGE)
    return np.divide(sum_, total, out=np.zeros(x.shape), where=mask > 0), mask


def _linear(offset: Coordinates, step: int) -> Coordinates:
    return offset if step else 1 - offset


def _cubic(offset: Coordinates, step: int) -> Coordinates:
    """Return the weight of a neighbour in cubic convolution, a = -1/2 (Keys 1981)."""
    d = np.abs(offset - step)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    weight: Coordinates = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    return weight
