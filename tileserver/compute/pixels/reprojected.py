"""Nodes computed on another lattice than the requested one, and the mask of an extent.

The only nodes that read more than the same pixel of their inputs: they need a window of the other
lattice, with a margin around it where they interpolate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.nodes import ApplyOnGrid, Node, Pixels, Step, masked_pixels
from tileserver.compute.values.image import Band, Projection
from tileserver.contract.grids import PixelGrid, Window
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import Coordinates, transform_point
from tileserver.geo.positions import nearest, positions
from tileserver.geo.turns import period

MAX_WINDOW_PX = 4_000_000
"""Pixels of another lattice that are computed for one piece."""
_FAR = 2.0**40
_NOWHERE = 2**41
"""The index where there is none: those of a lattice may be negative."""
_ON_EDGE = 1e-6

Index = NDArray[np.int64]


def positions_on(grid: PixelGrid, projection: Projection) -> tuple[Coordinates, Coordinates]:
    """Return where a grid's pixel centres fall on a lattice, (columns, rows) of shape (h, w).

    In a CRS that wraps around, they are those nearest to the middle of the grid.
    """
    shift = _turn_columns(grid, projection)
    lattice = projection.transform.grid(Window(shift, 0, 1, 1), projection.crs_code)
    found = positions(grid, lattice)
    shape = (grid.height, grid.width)
    columns = np.broadcast_to(found.columns, shape) + shift
    return columns, np.broadcast_to(found.rows, shape)


def _turn_columns(grid: PixelGrid, projection: Projection) -> int:
    """Return the first column of the turn of a wrapping CRS in which a grid's middle lies."""
    t, turn = projection.transform, period(projection.crs_code)
    if turn is None or not t.scale_x:
        return 0
    x, y = grid.transform.apply(grid.width / 2, grid.height / 2)
    middle, _ = transform_point(grid.crs_code, projection.crs_code, x, y)
    # Positions up to half a turn west of the lattice's origin stay there.
    return round((middle - turn / 2 - t.translate_x) / t.scale_x) if math.isfinite(middle) else 0


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
    """Return whether each pixel centre of a grid lies within an extent, shape (height, width)."""
    columns, rows = positions_on(grid, projection)
    with np.errstate(invalid="ignore"):
        offsets = columns - extent.column + _ON_EDGE
        t, turn = projection.transform, period(projection.crs_code)
        if turn is not None and t.scale_x and not (t.shear_x or t.shear_y):
            # The same place is there a turn further on.
            offsets = offsets % abs(turn / t.scale_x)
        across = (offsets >= 0) & (offsets < extent.width)
        down = (rows >= extent.row - _ON_EDGE) & (rows < extent.bottom - _ON_EDGE)
    both: NDArray[np.bool_] = across & down
    return both


@dataclass(frozen=True, eq=False, slots=True)
class Reprojected:
    """A node computed on a lattice of its own, and sampled there by nearest neighbour."""

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
            return Step((), lambda inputs: masked_pixels(grid, self.dtype))
        left, top, part = window

        def pick(inputs: Sequence[Pixels]) -> Pixels:
            (found,) = inputs
            # Computed again, as a plan of many steps would hold all of them.
            columns, rows, known = self._places(grid)
            at = (np.where(known, rows - top, 0), np.where(known, columns - left, 0))
            return Pixels(found.values[at], found.mask[at] * known)

        return Step(((self.node, part),), pick)

    def _places(self, grid: PixelGrid) -> tuple[Index, Index, NDArray[np.bool_]]:
        """Return the column and row that each pixel of a grid shows, and where there is one."""
        columns, rows = (
            nearest(each, _FAR, _NOWHERE) for each in positions_on(grid, self.projection)
        )
        return columns, rows, _known(columns, rows)


def lattice_window(
    grid: PixelGrid, projection: Projection, margin: int
) -> tuple[int, int, PixelGrid] | None:
    """Return the part of a lattice that a grid shows with a margin: (left, top) and its grid.

    None if the grid lies outside of the CRS's domain.

    Raises:
        InvalidRequest: that is too large.
    """
    columns, rows = (nearest(each, _FAR, _NOWHERE) for each in positions_on(grid, projection))
    return _window(columns, rows, _known(columns, rows), margin, projection)


def _known(columns: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether each position is on the lattice, rather than outside the CRS's domain."""
    known: NDArray[np.bool_] = (np.abs(columns) < _FAR) & (np.abs(rows) < _FAR)
    return known


def _window(
    columns: Index,
    rows: Index,
    known: NDArray[np.bool_],
    margin: int,
    projection: Projection,
) -> tuple[int, int, PixelGrid] | None:
    """Return (left, top) and the grid of the part of a lattice that holds all known positions."""
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
    """A node sampled between the pixels of its own lattice, bilinear or bicubic.

    For a coarser grid the lattice is coarsened by a power of two first, as in the pyramid. A
    pixel is masked where its nearest neighbour is; else the weights of the unmasked neighbours
    are scaled to a sum of one.
    """

    node: Node
    projection: Projection
    is_cubic: bool
    dtype: np.dtype[Any]

    def step(self, grid: PixelGrid) -> Step:
        """Need the part of the lattice that a grid shows, and a margin."""
        columns, rows = positions_on(grid, self.projection)
        factor = _factor(columns, rows)
        coarse = self.projection.scaled(factor, factor)
        columns, rows = columns / factor, rows / factor
        indexes = nearest(columns, _FAR, _NOWHERE), nearest(rows, _FAR, _NOWHERE)
        window = _window(*indexes, _known(*indexes), 3, coarse)
        if window is None:
            return Step((), lambda inputs: masked_pixels(grid, self.dtype))
        left, top, part = window

        def blend(inputs: Sequence[Pixels]) -> Pixels:
            # Computed again, as a plan of many steps would hold all of them.
            columns, rows = (each / factor for each in positions_on(grid, self.projection))
            known = _known(columns, rows)
            x = np.where(known, columns - left, 3.0)
            y = np.where(known, rows - top, 3.0)
            values, mask = blended(inputs[0], x, y, self.is_cubic)
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


def blended(
    pixels: Pixels, x: Coordinates, y: Coordinates, is_cubic: bool
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return values and mask, of x's shape, at positions in an array; pixel centres are halves."""
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
