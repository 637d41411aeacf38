"""Outlines of assets in degrees, and whether a region meets one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from tileserver.contract.assets import ImageAsset
from tileserver.contract.geojson import read_geometry, write_geometry
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest, TileserverError
from tileserver.geo.crs import WGS84, Coordinates, transform_points
from tileserver.geo.extents import lonlat_bounds

Region = BaseGeometry
"""A geometry in degrees, edges straight, longitudes from -180 to 180."""
_WORLD = shapely.box(-180, -90, 180, 90)
_STEPS = 8
"""Points on an edge that is not straight in degrees."""


@lru_cache(maxsize=16384)
def footprint(asset: ImageAsset) -> Region:
    """Return the outline of an asset; two parts where it crosses the antimeridian."""
    ring = _ring(asset.common_grid)
    if ring is None:
        return _bounds(asset)
    around = shapely.Polygon(ring)
    return wrapped(around if around.is_valid else shapely.make_valid(around))


def _ring(grid: PixelGrid) -> Coordinates | None:
    """Return the corners of a grid in degrees, closed; None if it goes around or off the Earth."""
    steps = 1 if grid.crs_code == WGS84 else _STEPS
    along = np.linspace(0, 1, steps, endpoint=False)
    zeros, ones = np.zeros(steps), np.ones(steps)
    columns = np.concatenate([along, ones, 1 - along, zeros, [0.0]]) * grid.width
    rows = np.concatenate([zeros, along, ones, 1 - along, [0.0]]) * grid.height
    x, y = grid.transform.apply(columns, rows)
    lons, lats = transform_points(grid.crs_code, WGS84, x, y)
    if not (np.isfinite(lons).all() and np.isfinite(lats).all()):
        return None
    if grid.crs_code != WGS84:
        lons = np.unwrap(lons, period=360)
    if abs(lons[0] - lons[-1]) > 1 or np.ptp(lons) >= 360:
        return None
    ring: Coordinates = np.column_stack([lons, np.clip(lats, -90, 90)])
    return ring


def _bounds(asset: ImageAsset) -> Region:
    return wrapped(shapely.box(*lonlat_bounds(asset).unrolled()))


def wrapped(geometry: Region) -> Region:
    """Return a geometry with what lies past the antimeridian brought back to the other side."""
    west, _, east, _ = geometry.bounds
    if west >= -180 and east <= 180:
        return geometry
    turns = range(int(np.floor((west + 180) / 360)), int(np.ceil((east - 180) / 360)) + 1)
    parts = [translate(geometry, -360 * turn).intersection(_WORLD) for turn in turns]
    return shapely.union_all([part for part in parts if not part.is_empty])


def geometry_json(asset: ImageAsset) -> dict[str, Any] | None:
    """Return an asset's footprint as GeoJSON; None if no part of it has longitude and latitude."""
    try:
        members: dict[str, Any] = mapping(footprint(asset))
    except TileserverError:
        return None
    return members


def read_region(value: object) -> Region:
    """Return a region from parsed GeoJSON, as leniently as getPixels takes one.

    Raises:
        InvalidRequest: it is no geometry.
    """
    try:
        members = write_geometry(read_geometry(value))
        return wrapped(shapely.make_valid(shape(_closed(members))))
    except (shapely.errors.ShapelyError, ValueError) as exc:
        raise InvalidRequest("region: the coordinates make no geometry.") from exc


def _closed(members: dict[str, Any]) -> dict[str, Any]:
    """Return a geometry whose rings end where they begin, at least four positions long."""
    match members["type"]:
        case "GeometryCollection":
            return {**members, "geometries": [_closed(each) for each in members["geometries"]]}
        case "Polygon":
            return {**members, "coordinates": [_ring_of(each) for each in members["coordinates"]]}
        case "MultiPolygon":
            polygons = [[_ring_of(ring) for ring in rings] for rings in members["coordinates"]]
            return {**members, "coordinates": polygons}
        case _:
            return members


def _ring_of(positions: list[Any]) -> list[Any]:
    return positions if positions[:1] == positions[-1:] else [*positions, *positions[:1]]


def meets(asset: ImageAsset, region: Region) -> bool:
    """Tell whether an asset has a point in common with a region."""
    try:
        return bool(footprint(asset).intersects(region))
    except TileserverError:
        return False
