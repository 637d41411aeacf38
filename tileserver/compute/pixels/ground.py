"""The pixels of a grid on the ground, in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tileserver.contract.grids import PixelGrid
from tileserver.geo.crs import EARTH_RADIUS_M, Coordinates, transform_points

_ECCENTRICITY_2 = 0.0066943799901413165
"""Of WGS 84."""
_SHARE = 0.01
"""How much of a pixel is measured: a pixel of a world map is too large to be flat."""


@dataclass(frozen=True)
class PixelSides:
    """Two sides of each pixel as vectors on the ground; all arrays have shape (height, width).

    NaN where a pixel has no place on Earth.
    """

    across_east_m: Coordinates
    """Metres eastward, one column on."""
    across_north_m: Coordinates
    down_east_m: Coordinates
    """Metres eastward, one row on."""
    down_north_m: Coordinates

    @property
    def area_m2(self) -> Coordinates:
        """The area of the parallelogram between the sides."""
        area: Coordinates = np.abs(
            self.across_east_m * self.down_north_m - self.across_north_m * self.down_east_m
        )
        return area


def pixel_sides(grid: PixelGrid) -> PixelSides:
    """Return the sides of a grid's pixels on WGS 84, measured at their middles."""
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    lon, lat = _degrees(grid, columns, rows)
    across_lon, across_lat = _degrees(grid, columns + _SHARE, rows)
    down_lon, down_lat = _degrees(grid, columns, rows + _SHARE)
    phi = np.radians(lat)
    bend = 1 - _ECCENTRICITY_2 * np.sin(phi) ** 2
    metres_lon = np.radians(1) * EARTH_RADIUS_M * np.cos(phi) / np.sqrt(bend) / _SHARE
    metres_lat = np.radians(1) * EARTH_RADIUS_M * (1 - _ECCENTRICITY_2) / bend**1.5 / _SHARE
    return PixelSides(
        _turned(across_lon - lon) * metres_lon,
        (across_lat - lat) * metres_lat,
        _turned(down_lon - lon) * metres_lon,
        (down_lat - lat) * metres_lat,
    )


def _turned(degrees: Coordinates) -> Coordinates:
    return (degrees + 180) % 360 - 180


def _degrees(
    grid: PixelGrid, columns: Coordinates, rows: Coordinates
) -> tuple[Coordinates, Coordinates]:
    x, y = grid.transform.apply(columns.ravel(), rows.ravel())
    lon, lat = transform_points(grid.crs_code, "EPSG:4326", x, y)
    return lon.reshape(columns.shape), lat.reshape(rows.shape)
