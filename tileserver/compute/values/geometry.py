"""Geometries: shapes on the Earth, or in the pixels of a projection.

Shapely geometries with a projection. Edges are straight in the coordinates they are given in;
`geodesic` is kept and returned to clients. Unless it is False, edges in degrees go the short way
around the Earth; a shape across the antimeridian is in one piece, with longitudes beyond 180.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import shapely
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.antimeridian import unrolled
from tileserver.compute.values.cuts import cut_at_seams
from tileserver.compute.values.geometry_limits import check_crossings
from tileserver.compute.values.image import Projection
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.crs import EARTH_RADIUS_M, WGS84, transform_points
from tileserver.geo.seams import seams
from tileserver.geo.turns import middle_longitude, period

MAX_POINTS = 1_000_000
_MANY_POINTS = 50_000
_LARGEST = 1e100
"""Coordinates beyond it overflow in the simplest sums."""
_MAX_DEPTH = 4
"""Collections of geometries within collections."""
_DEGREES = Projection(WGS84)
_STEP_SHARE = 1 / 20
"""How finely an edge is followed into another CRS, as a share of the geometry's size."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """A shape, in degrees or in the coordinates of a projection's pixels."""

    shape: BaseGeometry
    projection: Projection = _DEGREES
    """The coordinates' CRS and pixels: degrees of longitude and latitude by default."""
    geodesic: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON: GeoJSON in CRS units, as it has no member for a transform."""
        transform = self.projection.transform
        is_plain = transform == _DEGREES.transform
        members = geojson_of(self.shape if is_plain else moved_shape(self.shape, transform.apply))
        if self.geodesic is not None:
            members["geodesic"] = self.geodesic
        if self.projection != _DEGREES:
            members["crs"] = {"type": "name", "properties": {"name": self.projection.crs_code}}
        return members

    def in_crs(self, crs_code: str) -> BaseGeometry:
        """Return the shape in the coordinates of a CRS, its edges followed closely.

        Raises:
            InvalidRequest: part of it lies outside the domain of the CRS.
        """
        moved = moved_shape(self.shape, self.projection.transform.apply)
        if crs_code == self.projection.crs_code:
            return moved
        if period(self.projection.crs_code) is None and seams(crs_code):
            return Geometry(self.in_degrees()).in_crs(crs_code)
        west, south, east, north = moved.bounds if not moved.is_empty else (0.0,) * 4
        step = max(east - west, north - south) * _STEP_SHARE
        fine = shapely.segmentize(moved, step) if step > 0 else moved

        cut = cut_at_seams(fine, self.projection.crs_code, crs_code)
        if cut is not fine:
            # Along a seam there are new edges, which bend too.
            fine = shapely.segmentize(cut, step)
        found = moved_shape(fine, partial(_carried, self.projection.crs_code, crs_code))
        if not np.isfinite(shapely.get_coordinates(found)).all():
            raise InvalidRequest(f"The geometry reaches outside the domain of {crs_code[:60]}.")
        turn = period(crs_code)
        is_unrolled = turn is None or period(self.projection.crs_code) is not None
        return found if is_unrolled or turn is None else unrolled(found, turn)

    def in_projection(self, projection: Projection) -> Geometry:
        """Return the geometry in the pixels of a projection, its edges followed closely.

        Raises:
            InvalidRequest: part of it lies outside the domain of the CRS.
        """
        if projection == self.projection:
            return self
        moved = moved_shape(self.in_crs(projection.crs_code), projection.transform.inverse().apply)
        return Geometry(moved, projection, self.geodesic)

    def in_degrees(self) -> BaseGeometry:
        """Return the shape in longitude and latitude."""
        return self.shape if self.projection == _DEGREES else self.in_crs(WGS84)


def _carried(source: str, target: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Return points of a CRS in another, those past the antimeridian past it there, too."""
    found_x, found_y = transform_points(source, target, x, y)
    source_turn, turn = period(source), period(target)
    if source_turn is not None and turn is not None:
        between = (middle_longitude(target) - middle_longitude(source)) / 360
        with np.errstate(invalid="ignore"):
            found_x = found_x + turn * np.round(x / source_turn - between - found_x / turn)
    return found_x, found_y


@dataclass(frozen=True, slots=True)
class ErrorMargin:
    """The largest error that the result of an operation on a geometry may have."""

    value: float | None
    unit: Literal["meters", "projected", "infinite"] = "meters"

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        members: dict[str, Any] = {"type": "ErrorMargin", "unit": self.unit}
        return members if self.value is None else members | {"value": self.value}


def moved_shape(
    geometry: BaseGeometry, move: Callable[[Any, Any], tuple[Any, Any]]
) -> BaseGeometry:
    """Return a geometry with each (x, y) moved; `move` takes and gives arrays of shape (n,)."""

    def moved(points: Any) -> Any:
        x, y = move(points[:, 0].copy(), points[:, 1].copy())
        return np.column_stack([x, y])

    return shapely.transform(geometry, moved)


def make_geometry(
    kind: str, coordinates: Any, projection: Projection | None = None, geodesic: bool | None = None
) -> Geometry:
    """Return a geometry of GeoJSON coordinates; a ring need not be closed.

    Raises:
        InvalidRequest: the coordinates are not those of such a geometry.
    """
    _check_count(coordinates)
    try:
        found = shape({"type": kind, "coordinates": _closed(kind, coordinates)})
        is_finite = bool((np.abs(shapely.get_coordinates(found)) < _LARGEST).all())
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, RecursionError) as exc:
        raise _bad_coordinates(kind, coordinates) from exc
    except shapely.errors.ShapelyError as exc:
        raise _bad_coordinates(kind, coordinates) from exc
    if not is_finite:
        raise _bad_coordinates(kind, coordinates)
    if geodesic is not False and projection in (None, _DEGREES):
        found = unrolled(found, 360.0)
    is_area = found.geom_type.endswith("Polygon")
    if is_area and shapely.get_num_coordinates(found) > _MANY_POINTS:
        # The validity check alone would take seconds.
        check_crossings([found])
    if is_area and not found.is_valid:
        check_crossings([found])
        # Even-odd within a polygon; parts of several that overlap are one.
        parts = [shapely.make_valid(part) for part in shapely.get_parts(found)]
        found = shapely.union_all(parts) if len(parts) > 1 else parts[0]
    return Geometry(found, projection or _DEGREES, geodesic)


def rectangle(
    left: float,
    low: float,
    right: float,
    high: float,
    projection: Projection | None = None,
    geodesic: bool | None = False,
) -> Geometry:
    """Return a rectangle, its ring counter-clockwise from the lower left corner."""
    ring = [(left, low), (right, low), (right, high), (left, high), (left, low)]
    return Geometry(shapely.Polygon(ring), projection or _DEGREES, geodesic)


UNBOUNDED = rectangle(-180, -90, 180, 90)
"""The geometry of images and features without bounds."""


def is_unbounded(geometry: Geometry) -> bool:
    """Tell whether a geometry is the whole Earth."""
    return geometry.projection == _DEGREES and bool(geometry.shape.equals(UNBOUNDED.shape))


def collected(
    geometries: Sequence[Geometry],
    projection: Projection | None = None,
    geodesic: bool | None = None,
) -> Geometry:
    """Return geometries as one, in the projection they share, else in degrees.

    Points alone are a MultiPoint, and so with lines and areas; others a GeometryCollection.

    Raises:
        InvalidRequest: they have too many points.
    """
    shared = {each.projection for each in geometries}
    target = projection or (shared.pop() if len(shared) == 1 else _DEGREES)
    parts = [
        part for each in geometries for part in shapely.get_parts(each.in_projection(target).shape)
    ]
    check_points(parts)
    kinds = {part.geom_type for part in parts}
    if len(kinds) == 1 and (make := _MULTIPLE.get(next(iter(kinds)))):
        return Geometry(make(parts), target, geodesic)
    return Geometry(shapely.GeometryCollection(parts), target, geodesic)


def check_points(shapes: Iterable[BaseGeometry]) -> None:
    """Raise InvalidRequest if shapes together have more points than a geometry may have."""
    count = 0
    for each in shapes:
        count += int(shapely.get_num_coordinates(each))
        if count > MAX_POINTS:
            raise InvalidRequest(f"A geometry has at most {MAX_POINTS} points.")


_MULTIPLE: Mapping[str, Callable[[Sequence[Any]], BaseGeometry]] = {
    "Point": shapely.MultiPoint,
    "LineString": shapely.MultiLineString,
    "Polygon": shapely.MultiPolygon,
}


def _bad_coordinates(kind: str, coordinates: object) -> InvalidRequest:
    return InvalidRequest(f"Invalid GeoJSON coordinates of a {kind}: {shown(coordinates)}.")


def _check_count(coordinates: Any) -> None:
    """Raise InvalidRequest if there are too many points, or too many lists around them."""
    level, count = [coordinates], 0
    for _ in range(5):
        inner = [each for each in level if isinstance(each, list | tuple)]
        count += len(inner)
        if count + sum(map(len, inner)) > 3 * MAX_POINTS:
            raise InvalidRequest(f"A geometry has at most {MAX_POINTS} points.")
        level = [each for part in inner for each in part]


def _closed(kind: str, coordinates: Any) -> Any:
    match kind:
        case "Polygon":
            return [_closed_ring(ring) for ring in coordinates]
        case "MultiPolygon":
            return [[_closed_ring(ring) for ring in rings] for rings in coordinates]
        case "LinearRing":
            return _closed_ring(coordinates)
    return coordinates


def _closed_ring(ring: Any) -> Any:
    return [*ring, ring[0]] if list(ring[0]) != list(ring[-1]) or len(ring) < 4 else ring


def geometry_from_geojson(members: Mapping[str, Any], _depth: int = 0) -> Geometry:
    """Return the geometry of GeoJSON, of a Feature its own.

    Raises:
        InvalidRequest: it is none.
    """
    if _depth > _MAX_DEPTH:
        raise InvalidRequest("Geometries are nested too deeply.")
    kind = members.get("type")
    geodesic = members.get("geodesic")
    if kind == "Feature" and isinstance(members.get("geometry"), Mapping):
        return geometry_from_geojson(members["geometry"], _depth + 1)
    if kind == "GeometryCollection":
        parts = members.get("geometries") or []
        found, count = [], 0
        for part in parts:
            found.append(geometry_from_geojson(part, _depth + 1).shape)
            count += 1 + int(shapely.get_num_coordinates(found[-1]))
            if count > MAX_POINTS // 10**_depth:
                raise InvalidRequest(f"A collection has at most {MAX_POINTS} points.")
        return Geometry(shapely.GeometryCollection(found), geodesic=geodesic)
    if not isinstance(kind, str) or "coordinates" not in members:
        raise InvalidRequest(f"Expected a GeoJSON geometry, got {shown(dict(members))}.")
    return make_geometry(kind, members["coordinates"], geodesic=geodesic)


def geojson_of(found: BaseGeometry) -> dict[str, Any]:
    """Return GeoJSON with lists."""
    members = mapping(found)
    if "geometries" in members:
        return {
            "type": "GeometryCollection",
            "geometries": [geojson_of(part) for part in shapely.get_parts(found)],
        }
    return {"type": members["type"], "coordinates": _lists(members["coordinates"])}


def _lists(coordinates: Any) -> Any:
    if isinstance(coordinates, tuple | list):
        return [_lists(each) for each in coordinates]
    return coordinates


def local_projection(lon: float, lat: float) -> str:
    """Return a CRS in metres that is true to distance around a place in degrees."""
    return (
        f"+proj=aeqd +lat_0={lat:.6f} +lon_0={lon:.6f} +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
    )


def metres_around(found: BaseGeometry) -> str:
    """Return a CRS in metres around the middle of a geometry in degrees."""
    middle = found.centroid
    if middle.is_empty:
        raise InvalidRequest("The geometry is empty.")
    return local_projection(middle.x, max(-89.9, min(89.9, middle.y)))


def area_m2(found: BaseGeometry) -> float:
    """Return the area of a geometry in degrees, on a sphere of Web Mercator's radius."""
    fine = shapely.segmentize(found, 1.0)

    def equal_area(lon: Any, lat: Any) -> tuple[Any, Any]:
        x = np.radians(lon) * EARTH_RADIUS_M
        return x, np.sin(np.radians(lat)) * EARTH_RADIUS_M

    return float(moved_shape(fine, equal_area).area)


def length_m(found: BaseGeometry) -> float:
    """Return the length of a geometry's lines in degrees, along great circles of a sphere."""
    total = 0.0
    lines = shapely.get_parts(found)
    for line in lines:
        rings = shapely.get_rings(line) if line.geom_type == "Polygon" else [line]
        for ring in rings:
            lon, lat = np.radians(shapely.get_coordinates(ring)).T
            half = (
                np.sin(np.diff(lat) / 2) ** 2
                + np.cos(lat[:-1]) * np.cos(lat[1:]) * np.sin(np.diff(lon) / 2) ** 2
            )
            total += float((2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half))).sum())
    return total if math.isfinite(total) else 0.0
