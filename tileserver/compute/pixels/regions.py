"""The pixels of a region: which grid it takes, and their values, piece by piece.

A pixel belongs to a region when its centre lies in it; of points and lines those they touch.
Earth Engine weighs the pixels at the edge by how much of them lies inside; here a pixel counts
whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.compute.budget import too_much
from tileserver.compute.context import Context
from tileserver.compute.pixels.plan import compute, pieces
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import Band, Projection, north_up
from tileserver.compute.values.reducer import Column
from tileserver.contract.grids import PixelGrid, Window
from tileserver.errors import InvalidRequest

_PIECE_PX = 512 * 512
MAX_HELD_BYTES = 160_000_000
"""Of the pixels of a region, as the numbers they are reduced as."""
_NUMBER_BYTES = 8
_SIDE_PX = 2**31
Covers = Callable[[PixelGrid], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Region:
    """The pixels of a projection that a geometry covers."""

    grid: PixelGrid
    """Holds them all."""
    covers: Covers
    """Tells which pixels of a grid lie inside, shape (height, width)."""
    count_px: int
    """About how many there are, by area."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The pixels of bands in a region, in rows from north-west."""

    columns: list[Column]
    """One a band."""
    x: NDArray[np.float64]
    """Of each pixel's centre, in the CRS of the grid."""
    y: NDArray[np.float64]


def region_of(geometry: Geometry, projection: Projection, covers: Covers) -> Region:
    """Return the region of a geometry in a projection's pixels.

    Raises:
        InvalidRequest: it is empty, without end, or reaches outside the CRS's domain.
    """
    projection = north_up(projection)
    shape = geometry.in_crs(projection.crs_code)
    if shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    inverse = projection.transform.inverse()
    placed = shapely.transform(
        shape, lambda points: np.column_stack(inverse.apply(points[:, 0], points[:, 1]))
    )
    west, north, east, south = placed.bounds
    window = Window.around((west, east), (north, south))
    if max(window.width, window.height) > _SIDE_PX:
        raise too_much()
    grid = projection.transform.grid(window, projection.crs_code)
    area = placed.area or max(window.width, window.height)
    return Region(grid, covers, min(window.pixels, max(1, round(area))))


def sampled(
    context: Context, bands: Sequence[Band], region: Region, has_places: bool = True
) -> Sampled:
    """Return the pixels of bands in a region; blocks. Without `has_places` x and y are empty.

    Raises:
        InvalidRequest: it takes too long or too much, in Earth Engine's words.
    """
    pixel_bytes = (_NUMBER_BYTES + 1) * len(bands) + (16 if has_places else 0)
    if region.count_px * pixel_bytes > MAX_HELD_BYTES:
        raise too_much()
    found = list(_chunks(context, bands, region, pixel_bytes, has_places))
    columns = [
        Column(_joined([f[0][i] for f in found]), _joined([f[1][i] for f in found], bool))
        for i in range(len(bands))
    ]
    return Sampled(columns, _joined([f[2] for f in found]), _joined([f[3] for f in found]))


def _joined(arrays: list[NDArray[Any]], dtype: Any = np.float64) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)


_Chunk = tuple[list[NDArray[Any]], list[NDArray[np.bool_]], NDArray[Any], NDArray[Any]]


def _chunks(
    context: Context, bands: Sequence[Band], region: Region, pixel_bytes: int, has_places: bool
) -> Iterator[_Chunk]:
    nodes = [band.node for band in bands]
    dtypes = [band.type.dtype for band in bands]
    held_bytes = 0
    x = y = np.zeros(0)
    for grid, _ in pieces(region.grid, _PIECE_PX):
        context.budget.check_time()
        context.budget.spend(grid.width * grid.height)
        inside = region.covers(grid)
        held_bytes += int(np.count_nonzero(inside)) * pixel_bytes
        if held_bytes > MAX_HELD_BYTES:
            raise too_much()
        if not inside.any():
            continue
        values, masks = compute(nodes, dtypes, grid, context.world.read, context.budget)
        if has_places:
            rows, columns = np.nonzero(inside)
            x, y = grid.transform.apply(columns + 0.5, rows + 0.5)
        yield [each[inside] for each in values], [each[inside] > 0 for each in masks], x, y
