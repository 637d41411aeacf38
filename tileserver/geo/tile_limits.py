"""Which tiles of a tile matrix set may show something of a place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tileserver.contract.grids import SNAP_PX, Box, PixelGrid
from tileserver.contract.matrix_sets import TileMatrix
from tileserver.contract.tiles import HALF_WORLD_M, WEB_MERCATOR, mercator_box
from tileserver.geo.crs import WGS84
from tileserver.geo.extents import grid_boxes

_MARGIN = 1 / 400
"""Of the sides of a box in degrees: the edges of an asset are sampled, and may bulge."""


class TileLimits(NamedTuple):
    """The first and last columns and rows of a matrix, both included."""

    min_column: int
    max_column: int
    min_row: int
    max_row: int

    def has(self, column: int, row: int) -> bool:
        """Tell whether a tile is within the limits."""
        is_between = self.min_column <= column <= self.max_column
        return is_between and self.min_row <= row <= self.max_row


def boxes_of(bounds: Box, crs_code: str) -> tuple[Box, ...]:
    """Return boxes in a CRS that together hold bounds in degrees; asks PROJ, so it may block.

    Too large rather than too small; infinite where the CRS does not reach.
    """
    wide = _widened(bounds)
    if crs_code == WGS84:
        return _split(wide, 180.0)
    if crs_code == WEB_MERCATOR:
        return _split(mercator_box(wide), HALF_WORLD_M)
    return grid_boxes(PixelGrid.filling(wide, 1, 1, WGS84), crs_code)


def _widened(bounds: Box) -> Box:
    """Return bounds a little larger, east past 180 where they cross the antimeridian."""
    west, south, east, north = bounds.unrolled()
    x, y = (east - west) * _MARGIN, (north - south) * _MARGIN
    if east - west + 2 * x >= 360:
        west, east, x = -180.0, 180.0, 0.0
    return Box(west - x, max(south - y, -90.0), east + x, min(north + y, 90.0))


def _split(box: Box, half: float) -> tuple[Box, ...]:
    """Return the parts of a box on a map from -half to half, around which it may go."""
    moved = (box._replace(west=box.west + k * half, east=box.east + k * half) for k in (-2, 0, 2))
    parts = (each._replace(west=max(each.west, -half), east=min(each.east, half)) for each in moved)
    return tuple(each for each in parts if each.west < each.east)


def tile_limits(matrix: TileMatrix, boxes: Sequence[Box]) -> TileLimits | None:
    """Return the tiles that hold all boxes in the CRS of a matrix, or None if it has none."""
    across = matrix.cell * matrix.tile_width
    down = matrix.cell * matrix.tile_height
    xs = ((box.west - matrix.left, box.east - matrix.left) for box in boxes)
    ys = ((matrix.top - box.north, matrix.top - box.south) for box in boxes)
    columns = _span(xs, across, matrix.width)
    rows = _span(ys, down, matrix.height)
    return None if columns is None or rows is None else TileLimits(*columns, *rows)


def _span(ends: Iterable[tuple[float, float]], side: float, count: int) -> tuple[int, int] | None:
    """Return the first and last of `count` tiles that spans from 0 touch, or None."""
    found = []
    for low, high in ends:
        if not (math.isfinite(low) and math.isfinite(high)):
            return 0, count - 1
        first = math.floor(low / side + SNAP_PX / 256)
        last = max(math.ceil(high / side - SNAP_PX / 256) - 1, first)
        if last >= 0 and first < count:
            found += [max(first, 0), min(last, count - 1)]
    return (min(found), max(found)) if found else None
