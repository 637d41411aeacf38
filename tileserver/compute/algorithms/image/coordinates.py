"""Images of each pixel's longitude and latitude, coordinates, or area."""

from __future__ import annotations

import numpy as np

from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixels.reprojected import positions_on
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import DEFAULT_PROJECTION, Band, Image, Projection
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.contract.pixels import PixelGrid
from tileserver.geo.crs import Coordinates, transform_points

_SEMI_MAJOR_M, _ECCENTRICITY_2 = 6378137.0, 0.0066943799901413165


@algorithm("Image.pixelLonLat() -> Image")
def pixel_lon_lat() -> Image:
    """Return the longitude and latitude of each pixel, in degrees."""
    return _coordinates(DEFAULT_PROJECTION, ("longitude", "latitude"))


@algorithm("Image.pixelCoordinates(projection: Projection) -> Image")
def pixel_coordinates(projection: Projection) -> Image:
    """Return the x and y of each pixel in a projection, in its pixels."""
    return _coordinates(projection, ("x", "y"))


def _coordinates(projection: Projection, names: tuple[str, str]) -> Image:
    def compute(grid: PixelGrid, place: int) -> Pixels:
        found = positions_on(grid, projection)[place]
        is_known = np.isfinite(found)
        return Pixels(np.where(is_known, found, 0.0), is_known.astype(np.float32))

    def band(place: int) -> Band:
        node = ApplyOnGrid(lambda grid: compute(grid, place))
        return Band(names[place], DOUBLE, projection, None, node)

    return Image((band(0), band(1)))


@algorithm("Image.pixelArea() -> Image")
def pixel_area() -> Image:
    """Return the area of each pixel on the ground, in square metres."""

    def compute(grid: PixelGrid) -> Pixels:
        area = _area_m2(grid)
        known = np.isfinite(area)
        return Pixels(np.where(known, area, 0.0), known.astype(np.float32))

    return Image((Band("area", DOUBLE, DEFAULT_PROJECTION, None, ApplyOnGrid(compute)),))


def _area_m2(grid: PixelGrid) -> Coordinates:
    """Return the area of a grid's pixels on WGS 84, from the sides of a parallelogram in each."""
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    lon, lat = _degrees(grid, columns, rows)
    east_lon, east_lat = _degrees(grid, columns + 0.01, rows)
    south_lon, south_lat = _degrees(grid, columns, rows + 0.01)
    phi = np.radians(lat)
    bend = 1 - _ECCENTRICITY_2 * np.sin(phi) ** 2
    metres_lon = np.radians(1) * _SEMI_MAJOR_M * np.cos(phi) / np.sqrt(bend)
    metres_lat = np.radians(1) * _SEMI_MAJOR_M * (1 - _ECCENTRICITY_2) / bend**1.5
    ax, ay = _turned(east_lon - lon) * metres_lon, (east_lat - lat) * metres_lat
    bx, by = _turned(south_lon - lon) * metres_lon, (south_lat - lat) * metres_lat
    area: Coordinates = np.abs(ax * by - ay * bx) * 10_000
    return area


def _turned(degrees: Coordinates) -> Coordinates:
    return (degrees + 180) % 360 - 180


def _degrees(
    grid: PixelGrid, columns: Coordinates, rows: Coordinates
) -> tuple[Coordinates, Coordinates]:
    x, y = grid.transform.apply(columns.ravel(), rows.ravel())
    lon, lat = transform_points(grid.crs_code, "EPSG:4326", x, y)
    return lon.reshape(columns.shape), lat.reshape(rows.shape)
