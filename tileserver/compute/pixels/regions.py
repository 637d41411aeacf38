"""The pixels of a region: its grid, and their values, read piece by piece.

A pixel belongs to a region if its centre lies in it, or if a point or line of it touches the
pixel. Earth Engine weights pixels at the edge by the share inside; here all weights are 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.budget import out_of_memory
from tileserver.compute.context import Context
from tileserver.compute.pixels.plan import compute, pieces
from tileserver.compute.values.antimeridian import beside
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import Band, Projection, north_up
from tileserver.compute.values.reducer import Column
from tileserver.contract.grids import PixelGrid, Window
from tileserver.errors import InvalidRequest
from tileserver.geo.turns import period

_PIECE_PX = 512 * 512
MAX_HELD_BYTES = 160_000_000
"""Memory of a region's pixels, as float64."""
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
    """Estimated number of pixels, by area."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The pixels of bands in a region, in rows from the north-west, arrays of shape (count,)."""

    columns: list[Column]
    """One a band."""
    x: NDArray[np.float64]
    """Of each pixel's centre, in the CRS of the grid."""
    y: NDArray[np.float64]


def region_of(
    geometry: Geometry, projection: Projection, covers: Covers, image: PixelGrid | None = None
) -> Region:
    """Return the region of a geometry in a projection's pixels.

    Args:
        geometry: the region.
        projection: whose pixels are counted.
        covers: tells which pixels of a grid belong to the region.
        image: what is read there. If it has the CRS of the projection and goes on past the
            antimeridian, so does the region, on the same pixels.

    Raises:
        InvalidRequest: it is empty, too large, or reaches outside the CRS's domain.
    """
    projection = north_up(projection)
    shape = geometry.in_projection(projection).shape
    if shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    shape = _where_image_is(shape, projection, image)
    west, north, east, south = shape.bounds
    window = Window.around((west, east), (north, south))
    if max(window.width, window.height) > _SIDE_PX:
        raise out_of_memory()
    grid = projection.transform.grid(window, projection.crs_code)
    area = shape.area or max(window.width, window.height)
    return Region(grid, covers, min(window.pixels, max(1, round(area))))


def _where_image_is(
    shape: BaseGeometry, projection: Projection, image: PixelGrid | None
) -> BaseGeometry:
    turn = period(projection.crs_code)
    scale_x = abs(projection.transform.scale_x)
    if turn is None or not scale_x or image is None or image.crs_code != projection.crs_code:
        return shape
    inverse = projection.transform.inverse()
    corners = shapely.MultiPoint([inverse.apply(*corner) for corner in image.box.corners])
    return beside(corners.envelope, shape, turn / scale_x)


def sampled(
    context: Context, bands: Sequence[Band], region: Region, has_places: bool = True
) -> Sampled:
    """Return the pixels of bands in a region; blocks, and raises as `compute`.

    Without `has_places` x and y are empty.
    """
    pixel_bytes = (_NUMBER_BYTES + 1) * len(bands) + (16 if has_places else 0)
    if region.count_px * pixel_bytes > MAX_HELD_BYTES:
        raise out_of_memory()
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
            raise out_of_memory()
        if not inside.any():
            continue
        values, masks = compute(nodes, dtypes, grid, context.world.read, context.budget)
        if has_places:
            rows, columns = np.nonzero(inside)
            x, y = grid.transform.apply(columns + 0.5, rows + 0.5)
        yield [each[inside] for each in values], [each[inside] > 0 for each in masks], x, y
