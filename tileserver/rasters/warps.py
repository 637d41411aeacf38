"""Rasters placed by ground control points or by rational polynomial coefficients (RPCs).

GDAL's own transformers lead from the Earth to their pixels: for control points the polynomial of
the order that GDAL takes by default, for RPCs the height that it takes by default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rasterio import Affine
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import GCPTransformer, GDALTransformerBase, RPCTransformer
from rasterio.warp import calculate_default_transform

from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.errors import UnreadableRaster
from tileserver.geo.crs import WGS84, Coordinates, code_of_file, transform_points
from tileserver.geo.positions import Positions

_MAX_POINTS = 10_000
_CHUNK = 65_536
_MOST_GROWTH = 100
"""A grid with more pixels than so many times those of the file is none that fits it."""
_MAX_SIDE = 2**30
_POLE, _FAR_LONGITUDE = 90.0, 540.0
"""Degrees; what crosses the antimeridian goes on past 180, or 360."""


class FixNoPlace(Exception):
    """Control points or RPCs fix no place on Earth; the message says how they would."""


@dataclass(frozen=True, eq=False)
class Warp:
    """Leads from the pixels of a grid on Earth to those of a file."""

    grid: PixelGrid
    source: PixelGrid
    """The pixels of the file; only their number means something."""
    transformer: GDALTransformerBase = field(repr=False)

    def positions(self, at: Positions) -> Positions:
        """Return positions in pixels of the file for some in pixels of the grid."""
        columns, rows = np.broadcast_arrays(at.columns, at.rows)
        x, y = self.grid.transform.apply(columns.ravel(), rows.ravel())
        found = np.full((2, x.size), np.inf)
        for start in range(0, x.size, _CHUNK):
            check_time()
            part = slice(start, start + _CHUNK)
            found[:, part] = _pixels_at(self.transformer, x[part], y[part])
        return Positions(*found.reshape(2, *columns.shape))


def _pixels_at(transformer: GDALTransformerBase, x: Coordinates, y: Coordinates) -> Coordinates:
    """Return (columns, rows) of points on Earth, infinite where there is none; shape (2, n)."""
    known = np.isfinite(x) & np.isfinite(y)
    found = np.full((2, x.size), np.inf)
    if known.any():
        rows, columns = transformer.rowcol(x[known], y[known], op=np.positive)
        found[:, known] = columns, rows
    return found


def warp_of(dataset: DatasetReader, name: str) -> tuple[PixelGrid, Warp]:
    """Return the grid on Earth of a dataset with control points or RPCs, and the way there.

    Raises:
        FixNoPlace: they fix no place on Earth.
        UnreadableRaster: there are too many of them, or their CRS may not be read.
    """
    try:
        found = _by_points(dataset, name) if dataset.gcps[0] else _by_rpcs(dataset, name)
    except (CPLE_BaseError, RasterioError, ValueError, ArithmeticError, MemoryError) as exc:
        raise _no_place(dataset) from exc
    transformer, grid = found
    source = PixelGrid(dataset.width, dataset.height, AffineTransform(), grid.crs_code)
    return grid, Warp(grid, source, transformer)


def _no_place(dataset: DatasetReader) -> FixNoPlace:
    if not dataset.gcps[0]:
        return FixNoPlace(
            "the rational polynomial coefficients of the GeoTIFF fix none; expected the RPC00B "
            "coefficients of a sensor that looks at the Earth"
        )
    return FixNoPlace(
        "the ground control points of the GeoTIFF fix none; expected three or more points that "
        "are not in one line, with longitudes and latitudes or coordinates of their CRS"
    )


def _by_points(dataset: DatasetReader, name: str) -> tuple[GDALTransformerBase, PixelGrid]:
    points, crs = dataset.gcps
    if len(points) > _MAX_POINTS:
        raise UnreadableRaster(
            f"{name}: the GeoTIFF has {len(points)} ground control points, at most {_MAX_POINTS} "
            "are used; gdalwarp writes a copy that needs none."
        )
    crs_code = code_of_file(crs, name)
    points = _unrolled(points, crs)
    numbers = [number for point in points for number in (point.row, point.col, point.x, point.y)]
    if not all(abs(number) < 1e15 for number in numbers):
        raise ValueError("no numbers")
    transformer = GCPTransformer(points)
    size = dataset.width, dataset.height
    transform, width, height = calculate_default_transform(crs, crs, *size, gcps=points)
    grid = _grid(transform, width, height, crs_code)
    _check(dataset, transformer, grid)
    return transformer, grid


def _unrolled(points: Sequence[GroundControlPoint], crs: CRS) -> list[GroundControlPoint]:
    """Return points whose longitudes go on past 180 where they lie on both sides of it."""
    lons = [point.x for point in points]
    if not crs.is_geographic or not max(lons) - min(lons) > 180:
        return list(points)
    moved = [lon + 360 if lon < 0 else lon for lon in lons]
    if not max(moved) - min(moved) < 180:
        return list(points)
    return [
        GroundControlPoint(point.row, point.col, lon, point.y, point.z)
        for point, lon in zip(points, moved, strict=True)
    ]


def _by_rpcs(dataset: DatasetReader, name: str) -> tuple[GDALTransformerBase, PixelGrid]:
    rpcs = dataset.rpcs
    transformer = RPCTransformer(rpcs)
    crs = CRS.from_epsg(4326)
    size = dataset.width, dataset.height
    transform, width, height = calculate_default_transform(crs, crs, *size, rpcs=rpcs)
    grid = _grid(transform, width, height, WGS84)
    _check(dataset, transformer, grid)
    return transformer, grid


def _grid(transform: Affine, width: int, height: int, crs_code: str) -> PixelGrid:
    a, b, c, d, e, f = tuple(transform)[:6]
    return PixelGrid(int(width), int(height), AffineTransform(a, b, c, d, e, f), crs_code)


def _check(dataset: DatasetReader, transformer: GDALTransformerBase, grid: PixelGrid) -> None:
    """Raise ValueError unless a grid fits a dataset, and its middle lies on Earth."""
    pixels = dataset.width * dataset.height
    numbers = (*grid.box, grid.transform.scale_x, grid.transform.scale_y)
    if not all(map(math.isfinite, numbers)) or not grid.box.has_area:
        raise ValueError("no grid")
    is_large = grid.width * grid.height > _MOST_GROWTH * pixels + 1_000_000
    if is_large or max(grid.width, grid.height) > _MAX_SIDE:
        raise ValueError("too large a grid")
    x, y = grid.transform.apply(np.array([grid.width / 2]), np.array([grid.height / 2]))
    lon, lat = transform_points(grid.crs_code, WGS84, x, y)
    # Of NaN nothing holds.
    if not (np.abs(lon) <= _FAR_LONGITUDE).all() or not (np.abs(lat) <= _POLE).all():
        raise ValueError("not on Earth")
