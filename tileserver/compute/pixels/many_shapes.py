"""Draws many points, lines and areas at once, by arithmetic over all their edges.

The rules are those of `rasterize`: a pixel belongs to an area if its centre lies in it, and to an
outline if its centre is at most half a width from the edge; ends of lines are flat. Geometries
are not drawn one by one, so what is smaller than a pixel costs hardly more than nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STEPS = 16
"""Points are moved to the nearest 1/16 of a pixel: those that fall together are one."""
_FAR_PX, _MIDDLE = 1e7, 1 << 31
_DOT_PX = 0.5
"""The outline of what is smaller is that of a point."""
_TOLERANCE_PX = 0.1
"""How far simpler edges may lie from the given ones."""
_PIECE_PX = 2.0
"""Edges are cut to pieces no longer than this."""
_AT_ONCE = 2_000_000
"""Pixels or crossings of rows that are looked at together."""
_POINTS_AT_ONCE = 200_000
_HAIR, _SLACK = 1e-9, 1e-4
"""Edges of pixels on the very edge are in: of a share, and of pixels in single precision."""
_POLYGON = 3
"""GEOS's number of the type."""


def can_draw(grid: PixelGrid) -> bool:
    """Tell whether a grid has square pixels that are not turned."""
    t = grid.transform
    return not (t.shear_x or t.shear_y) and abs(abs(t.scale_x) - abs(t.scale_y)) <= (
        _HAIR * abs(t.scale_x)
    )


def in_pixels(points: Floats, grid: PixelGrid) -> Floats:
    """Return points in the CRS of a grid as columns and rows, shape (n, 2)."""
    columns, rows = grid.transform.inverse().apply(points[:, 0], points[:, 1])
    return np.column_stack([columns, rows])


def covered(areas: Sequence[Any], grid: PixelGrid) -> Mask:
    """Return which pixels' centres lie in one of several polygons in the CRS of a grid."""
    # How many polygons begin at a column, less those that end there.
    begins = np.zeros((grid.height, grid.width + 1), np.int32)
    given = np.asarray(areas, object)
    for start, stop in _chunks(shapely.get_num_coordinates(given), _POINTS_AT_ONCE):
        check_time()
        rings, owners = shapely.get_rings(given[start:stop], return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        at = in_pixels(points, grid)
        is_edge = ring[1:] == ring[:-1]
        edges = np.hstack([at[:-1], at[1:]])[is_edge]
        for part, owner in _by_crossings(edges, owners[ring[:-1][is_edge]], grid.height):
            _add_spans(begins, part, owner)
    return np.asarray(begins.cumsum(axis=1)[:, :-1] > 0)


def _chunks(counts: NDArray[Any], most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of places whose counts add up to hardly more than `most`."""
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = total[start - 1] if start else 0
        stop = max(int(np.searchsorted(total, done + most, "right")), start + 1)
        yield start, stop
        start = stop


def _rows(edges: Floats, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row whose middle each edge crosses, and how many, within the grid."""
    low, high = np.minimum(edges[:, 1], edges[:, 3]), np.maximum(edges[:, 1], edges[:, 3])
    first = np.clip(np.ceil(low - 0.5), 0, height)
    last = np.clip(np.ceil(high - 0.5), 0, height)
    return first.astype(np.int64), (last - first).astype(np.int64)


def _by_crossings(
    edges: Floats, owners: NDArray[np.int64], height: int
) -> Iterator[tuple[Floats, NDArray[np.int64]]]:
    """Yield crossings of edges with middles of rows, (row, column), and their polygons.

    All crossings of a polygon come together.
    """
    first, count = _rows(edges, height)
    crossing = count > 0
    edges, owners, first, count = (
        edges[crossing],
        owners[crossing],
        first[crossing],
        count[crossing],
    )
    ends = np.flatnonzero(np.diff(owners, append=-1)) + 1
    totals = np.diff(np.cumsum(count)[ends - 1], prepend=0) if len(ends) else np.zeros(0, np.int64)
    for start, stop in _chunks(totals, _AT_ONCE):
        check_time()
        a, b = (ends[start - 1] if start else 0), ends[stop - 1]
        which = np.repeat(np.arange(a, b), count[a:b])
        step = np.arange(len(which)) - np.repeat(np.cumsum(count[a:b]) - count[a:b], count[a:b])
        row = first[which] + step
        x0, y0, x1, y1 = edges[which].T
        column = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        yield np.column_stack([row, column]), owners[which]


def _add_spans(begins: NDArray[np.int32], crossings: Floats, owners: NDArray[np.int64]) -> None:
    """Count the spans between each pair of crossings of a polygon in a row."""
    row, column = crossings[:, 0].astype(np.int64), crossings[:, 1]
    order = np.lexsort((column, row, owners))
    # A pixel belongs to a span if its centre does.
    at = np.clip(np.ceil(column[order] - 0.5), 0, begins.shape[1] - 1).astype(np.int64)
    row = row[order]
    np.add.at(begins, (row[::2], at[::2]), 1)
    np.add.at(begins, (row[1::2], at[1::2]), -1)


def stroked(shapes: Sequence[Any], width_px: float, grid: PixelGrid) -> Mask:
    """Return which pixels' centres are at most half a width from lines, or edges of polygons.

    Args:
        shapes: lines and polygons in the CRS of the grid.
        width_px: more than 0.
        grid: where they are drawn.
    """
    found = np.zeros((grid.height, grid.width), np.bool_)
    half = width_px / 2 * (1 + _HAIR)
    given = np.asarray(shapes, object)
    bounds = shapely.bounds(given)
    is_dot = (bounds[:, 2:] - bounds[:, :2]).max(axis=1) < _DOT_PX * grid.transform.pixel_side
    _stroke(found, _dots((bounds[is_dot, :2] + bounds[is_dot, 2:]) / 2, grid), half)
    given = given[~is_dot]
    is_area = shapely.get_type_id(given) == _POLYGON
    for some, are_closed in ((shapely.get_rings(given[is_area]), True), (given[~is_area], False)):
        for start, stop in _chunks(shapely.get_num_coordinates(some), _POINTS_AT_ONCE):
            check_time()
            tolerance = _TOLERANCE_PX * grid.transform.pixel_side
            lines = shapely.simplify(some[start:stop], tolerance, preserve_topology=False)
            _stroke(found, _pieces(lines, are_closed, half, grid), half)
    return found


@dataclass(frozen=True)
class _Pieces:
    """Straight pieces of edges, in pixels."""

    ends: Floats
    """Shape (n, 4): column and row of the start, and of the end."""
    is_open: NDArray[np.bool_]
    """Shape (n, 2): whether the start, or the end, is flat; else it is round."""

    def __getitem__(self, chosen: Any) -> _Pieces:
        return _Pieces(self.ends[chosen], self.is_open[chosen])


def _dots(points: Floats, grid: PixelGrid) -> _Pieces:
    """Return points as pieces without a length, each once."""
    at = _once(in_pixels(points, grid))
    return _Pieces(np.hstack([at, at]), np.zeros((len(at), 2), np.bool_))


def _once(at: Floats) -> Floats:
    """Return places moved to the nearest 1/16 of a pixel, each once."""
    steps = np.round(np.clip(at, -_FAR_PX, _FAR_PX) * _STEPS).astype(np.int64)
    keys = np.unique((steps[:, 0] << 32) + steps[:, 1] + _MIDDLE)
    columns = keys >> 32
    return np.column_stack([columns, keys - (columns << 32) - _MIDDLE]) / _STEPS


def _pieces(lines: NDArray[Any], are_closed: bool, half: float, grid: PixelGrid) -> _Pieces:
    points, line = shapely.get_coordinates(lines, return_index=True)
    at = in_pixels(points, grid)
    is_edge = line[1:] == line[:-1]
    is_first, is_last = np.diff(line, prepend=-1) > 0, np.diff(line, append=len(lines)) > 0
    is_open = np.column_stack([is_first[:-1], is_last[1:]])[is_edge] & (not are_closed)
    return _cut(
        _near(_Pieces(np.hstack([at[:-1], at[1:]])[is_edge], is_open), half, grid), half, grid
    )


def _near(pieces: _Pieces, half: float, grid: PixelGrid) -> _Pieces:
    low = np.minimum(pieces.ends[:, :2], pieces.ends[:, 2:])
    high = np.maximum(pieces.ends[:, :2], pieces.ends[:, 2:])
    size = (grid.width, grid.height)
    return pieces[((high > -half) & (low < np.array(size) + half)).all(axis=1)]


def _cut(pieces: _Pieces, half: float, grid: PixelGrid) -> _Pieces:
    """Return pieces cut to short ones near the grid."""
    clipped, share = _clipped(pieces.ends, half + 1, grid)
    run = clipped[:, 2:] - clipped[:, :2]
    count = np.maximum(np.ceil(np.hypot(*run.T) / _PIECE_PX), 1).astype(np.int64)
    if (count == 1).all():
        return _Pieces(clipped, pieces.is_open & (share == (0, 1)))
    which = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    begin, end = (
        clipped[which, :2] + run[which] * ((step + i) / count[which])[:, None] for i in (0, 1)
    )
    is_end = np.column_stack([step == 0, step == count[which] - 1])
    # Where an edge is cut, pieces end flat: past its own ends it would be round else.
    is_open = (pieces.is_open & (share == (0, 1)))[which] | ~is_end
    return _near(_Pieces(np.hstack([begin, end]), is_open), half, grid)


def _clipped(ends: Floats, margin: float, grid: PixelGrid) -> tuple[Floats, Floats]:
    """Return edges without what lies far from the grid, and the shares where they were cut."""
    run = ends[:, 2:] - ends[:, :2]
    enter, leave = np.zeros(len(ends)), np.ones(len(ends))
    for axis, side in enumerate((grid.width, grid.height)):
        with np.errstate(divide="ignore", invalid="ignore"):
            at = (np.array([[-margin, side + margin]]) - ends[:, axis, None]) / run[:, axis, None]
        moves = run[:, axis] != 0
        enter = np.where(moves, np.maximum(enter, np.min(at, axis=1)), enter)
        leave = np.where(moves, np.minimum(leave, np.max(at, axis=1)), leave)
    leave = np.maximum(leave, enter)
    parts = np.hstack([ends[:, :2] + run * enter[:, None], ends[:, :2] + run * leave[:, None]])
    return parts, np.column_stack([enter, leave])


def _stroke(found: Mask, pieces: _Pieces, half: float) -> None:
    """Set the pixels whose centres are within a distance of pieces."""
    side = int(np.ceil(2 * half + _PIECE_PX)) + 1
    many = max(_AT_ONCE // side**2, 1)
    for start in range(0, len(pieces.ends), many):
        check_time()
        some = pieces[start : start + many]
        corner = np.floor(np.minimum(some.ends[:, :2], some.ends[:, 2:]) - half)
        # Near 0 single precision is exact enough.
        ends = (some.ends - np.hstack([corner, corner])).astype(np.float32)
        _set(found, corner, _is_near(ends, some.is_open, side, half))


def _is_near(ends: NDArray[np.float32], is_open: Mask, side: int, half: float) -> Mask:
    """Return which centres of a square of pixels at 0 are within a distance of each piece.

    Past the end of a line none is.
    """
    x0, y0, x1, y1 = (each[:, None, None] for each in ends.T)
    centres = np.arange(side, dtype=np.float32) + np.float32(0.5)
    x, y = centres[None, None, :] - x0, centres[None, :, None] - y0
    dx, dy = x1 - x0, y1 - y0
    squared = dx * dx + dy * dy
    per = 1 / np.where(squared > 0, squared, np.float32(1))
    along = x * (dx * per) + y * (dy * per)
    nearest = np.clip(along, 0, 1)
    found = (x - nearest * dx) ** 2 + (y - nearest * dy) ** 2 <= np.float32(half**2 + _SLACK)
    if is_open.any():
        found &= ~(is_open[:, 0, None, None] & (along < -_SLACK))
        found &= ~(is_open[:, 1, None, None] & (along > 1 + _SLACK))
    return np.asarray(found)


def _set(found: Mask, corners: Floats, chosen: Mask) -> None:
    """Set the chosen pixels of squares with these upper left corners."""
    height, width = found.shape
    place, row, column = np.nonzero(chosen)
    corners = corners.astype(np.int64)
    column, row = column + corners[place, 0], row + corners[place, 1]
    is_in = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found[row[is_in], column[is_in]] = True


def dotted(points: Floats, radius_px: float, width_px: float, grid: PixelGrid) -> tuple[Mask, Mask]:
    """Return the pixels in circles around points, and those on the outlines of these.

    Args:
        points: in the CRS of the grid, shape (n, 2).
        radius_px: of the circles.
        width_px: of their outlines.
        grid: where they are drawn.
    """
    inside, edges = (np.zeros((grid.height, grid.width), np.bool_) for _ in range(2))
    at, reach = _once(in_pixels(points, grid)), radius_px + width_px / 2
    side = int(np.ceil(2 * reach)) + 1
    many = max(_AT_ONCE // side**2, 1)
    centres = np.arange(side, dtype=np.float32) + np.float32(0.5)
    for start in range(0, len(at), many):
        check_time()
        corner = np.floor(at[start : start + many] - reach)
        local = (at[start : start + many] - corner).astype(np.float32)
        x, y = centres - local[:, 0, None, None], centres[:, None] - local[:, 1, None, None]
        away = np.hypot(x, y)
        _set(inside, corner, away <= radius_px + _SLACK)
        if width_px > 0:
            _set(edges, corner, np.abs(away - radius_px) <= width_px / 2 + _SLACK)
    return inside, edges
