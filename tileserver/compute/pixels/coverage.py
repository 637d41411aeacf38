"""The share of each pixel that an area covers.

Exact for straight edges in the CRS of the grid: each edge is cut where it crosses the borders of
pixels, and a piece of an edge adds the signed area between itself and the right side of its pixel,
and its whole height to all pixels further right (a running sum along the row). So the work grows
with the number of edges and of crossings, not with that of pixels times vertices.

Earth Engine's weights have eight bits: "any coverage fraction less than approximately 1/256 rounds
down to a weight of 0" (guides/reducers_weighting). Here a smaller share is 0 as well, larger ones
are not rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid

LEAST_SHARE = 1 / 256
"""Smaller shares of a pixel count as none."""
_EXACT = 1e-9
"""Differences to 0 and 1 that are rounding."""
_MOST_CROSSINGS = 2_000_000
"""Pieces of edges that are worked on at once."""

Shares = NDArray[np.float64]
_Edges = NDArray[np.float64]
"""Shape (count, 4): x and y in pixels where an edge begins, and where it ends."""


def shares(areas: Sequence[BaseGeometry], grid: PixelGrid, least: float = LEAST_SHARE) -> Shares:
    """Return the share of each pixel that areas cover, shape (height, width), 0 to 1.

    Args:
        areas: polygons in the CRS of the grid, valid; where they overlap they count as one.
        grid: the pixels.
        least: smaller shares are 0.
    """
    found = np.zeros((grid.height, grid.width))
    for area in areas:
        for part in shapely.get_parts(area):
            if not part.is_empty:
                found += _share(part, grid)
    found = np.minimum(found, 1.0)
    found[found > 1 - _EXACT] = 1.0
    found[found < least] = 0.0
    return found


def _share(polygon: BaseGeometry, grid: PixelGrid) -> Shares:
    steps = np.zeros((grid.height, grid.width + 1))
    for ring, is_hole in _rings(polygon):
        edges = _edges(ring, is_hole, grid)
        for some in _few(edges, grid):
            check_time()
            _add_steps(some, steps)
    return np.clip(np.cumsum(steps, axis=1)[:, :-1], 0.0, 1.0)


def _rings(polygon: Any) -> Iterator[tuple[Any, bool]]:
    yield shapely.get_exterior_ring(polygon), False
    for place in range(int(shapely.get_num_interior_rings(polygon))):
        yield shapely.get_interior_ring(polygon, place), True


def _edges(ring: BaseGeometry, is_hole: bool, grid: PixelGrid) -> _Edges:
    """Return a ring's edges in pixels, cut to the rows of a grid, in the direction that adds."""
    points = shapely.get_coordinates(ring)
    x, y = grid.transform.inverse().apply(points[:, 0], points[:, 1])
    # The signed area of the ring, in pixels with y downward.
    turns_right = np.sum((x[:-1] - x[0]) * (y[1:] - y[0]) - (x[1:] - x[0]) * (y[:-1] - y[0])) > 0
    if turns_right != is_hole:
        x, y = x[::-1], y[::-1]
    edges = np.column_stack([x[:-1], y[:-1], x[1:], y[1:]])
    top, bottom = np.minimum(edges[:, 1], edges[:, 3]), np.maximum(edges[:, 1], edges[:, 3])
    left = np.minimum(edges[:, 0], edges[:, 2])
    # What lies right of the grid adds nothing to it, nor do horizontal edges.
    return _cut_rows(
        edges[(bottom > 0) & (top < grid.height) & (top < bottom) & (left < grid.width)],
        grid.height,
    )


def _cut_rows(edges: _Edges, height: int) -> _Edges:
    """Return the parts of edges between row 0 and `height`."""
    x0, y0, x1, y1 = edges.T
    slope = (x1 - x0) / (y1 - y0) if len(edges) else x0
    begin, end = np.clip(y0, 0, height), np.clip(y1, 0, height)
    return np.column_stack([x0 + (begin - y0) * slope, begin, x0 + (end - y0) * slope, end])


def _few(edges: _Edges, grid: PixelGrid) -> Iterator[_Edges]:
    """Yield edges, not too many crossings at once."""
    if not len(edges):
        return
    total = np.cumsum(_crossings(edges, grid.width).sum(axis=1) + 1)
    parts = np.searchsorted(total, np.arange(_MOST_CROSSINGS, total[-1], _MOST_CROSSINGS))
    yield from (part for part in np.split(edges, np.unique(parts)) if len(part))


def _crossings(edges: _Edges, width: int) -> NDArray[np.int64]:
    """Return how many borders between columns and between rows each edge crosses."""
    x = np.clip(edges[:, [0, 2]], 0, width)
    y = edges[:, [1, 3]]
    return np.column_stack(
        [
            np.maximum(np.ceil(each.max(axis=1)) - np.floor(each.min(axis=1)) + 1, 0)
            for each in (x, y)
        ]
    ).astype(np.int64)


def _add_steps(edges: _Edges, steps: Shares) -> None:
    """Add the contribution of edges to the steps from pixel to pixel along each row."""
    height, columns = steps.shape
    x0, y0, x1, y1 = _pieces(edges, columns - 1)
    rise = y1 - y0
    row = np.clip(np.floor((y0 + y1) / 2), 0, height - 1).astype(np.intp)
    middle = np.clip((x0 + x1) / 2, 0, columns - 1)
    column = np.minimum(np.floor(middle), columns - 2).astype(np.intp)
    within = rise * (column + 1 - middle)
    at = row * columns + column
    size = steps.size
    steps += np.bincount(at, within, size).reshape(steps.shape)
    steps += np.bincount(at + 1, rise - within, size).reshape(steps.shape)


def _pieces(edges: _Edges, width: int) -> tuple[Shares, Shares, Shares, Shares]:
    """Return edges cut where they cross borders of pixels, as x0, y0, x1, y1 of each piece."""
    where = np.concatenate([_cuts(edges, 0, width), _cuts(edges, 1, None)], axis=0)
    ends = np.arange(len(edges), dtype=np.float64)
    where = np.concatenate(
        [where, np.column_stack([ends, 0 * ends]), np.column_stack([ends, 0 * ends + 1])]
    )
    where = where[np.lexsort((where[:, 1], where[:, 0]))]
    edge, place = where[:, 0].astype(np.intp), where[:, 1]
    is_piece = edge[1:] == edge[:-1]
    edge, begin, end = edge[:-1][is_piece], place[:-1][is_piece], place[1:][is_piece]
    x0, y0, x1, y1 = edges[edge].T
    across, down = x1 - x0, y1 - y0
    return x0 + begin * across, y0 + begin * down, x0 + end * across, y0 + end * down


def _cuts(edges: _Edges, axis: int, most: int | None) -> Shares:
    """Return where edges cross whole numbers of an axis: the edge, and the place from 0 to 1."""
    begin, end = edges[:, axis], edges[:, axis + 2]
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    if most is not None:
        low, high = np.clip(low, 0, most), np.clip(high, 0, most)
    first = np.ceil(low).astype(np.int64)
    count = np.maximum(np.floor(high).astype(np.int64) - first + 1, 0)
    count[begin == end] = 0
    edge = np.repeat(np.arange(len(edges)), count)
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    place = (first[edge] + nth - begin[edge]) / (end - begin)[edge]
    return np.column_stack([edge, np.clip(place, 0.0, 1.0)])
