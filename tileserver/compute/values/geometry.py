"""Geometries: shapes on the Earth, or in the pixels of a projection.

Shapely geometries with a projection, kept as they are given: a ring may cross itself, and edges
may be great circles. Operations get them planar (`Geometry.in_crs`): areas repaired, great circles
followed by short straight edges. Edges of geodesic shapes go the short way around the Earth; a
shape across the antimeridian is then in one piece, with longitudes beyond 180.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import shapely
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.geodesics import USUAL_ERROR_M
from tileserver.compute.values.image import Projection
from tileserver.compute.values.planar import (
    carried,
    checked,
    followed,
    moved_shape,
    planar,
    repaired,
)
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.crs import WGS84, crs_of
from tileserver.geo.seams import seams
from tileserver.geo.turns import period

MAX_POINTS = 1_000_000
_LARGEST = 1e100
"""Coordinates beyond it overflow in the simplest sums."""
_MAX_DEPTH = 4
"""Collections of geometries within collections."""
_DEGREES = Projection(WGS84)
_MOST_HELD = 2
"""Planar shapes of one geometry, for different errors."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """A shape, in degrees or in the coordinates of a projection's pixels."""

    shape: BaseGeometry
    projection: Projection = _DEGREES
    """The coordinates' CRS and pixels: degrees of longitude and latitude by default."""
    geodesic: bool | None = None
    """Whether edges are great circles, not straight; None where they are in a geographic CRS."""
    _planar: dict[float, BaseGeometry] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def is_geodesic(self) -> bool:
        """Whether edges are great circles."""
        if self.geodesic is None:
            return self.projection == _DEGREES or _is_geographic(self.projection.crs_code)
        return self.geodesic

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON: GeoJSON in CRS units, as it has no member for a transform."""
        transform = self.projection.transform
        is_plain = transform == _DEGREES.transform
        # First, as in the service's tables: there is code that takes such a text apart.
        members: dict[str, Any] = {} if self.geodesic is None else {"geodesic": self.geodesic}
        members |= geojson_of(self.shape if is_plain else moved_shape(self.shape, transform.apply))
        if self.projection != _DEGREES:
            members["crs"] = {"type": "name", "properties": {"name": self.projection.crs_code}}
        return members

    def in_crs(self, crs_code: str, max_error_m: float = USUAL_ERROR_M) -> BaseGeometry:
        """Return the planar shape in the coordinates of a CRS, its edges followed closely.

        Args:
            crs_code: the CRS.
            max_error_m: metres between a great circle and the edges that stand for it.

        Raises:
            InvalidRequest: part of it lies outside the domain of the CRS.
        """
        own = self.projection.crs_code
        if self.is_geodesic and not _is_geographic(own):
            return self._by_degrees(max_error_m).in_crs(crs_code)
        moved = self._in_own_crs(max_error_m)
        if crs_code == own:
            return moved
        if period(own) is None and seams(crs_code):
            return Geometry(self.in_degrees(), geodesic=False).in_crs(crs_code)
        return followed(moved, own, crs_code)

    def _in_own_crs(self, max_error_m: float) -> BaseGeometry:
        """Return the planar shape in CRS units; great circles only in a geographic CRS."""
        found = self._planar.get(max_error_m)
        if found is None:
            transform = self.projection.transform
            is_plain = transform == _DEGREES.transform
            found = self.shape if is_plain else moved_shape(self.shape, transform.apply)
            found = planar(found, max_error_m) if self.is_geodesic else repaired(found)
            if len(self._planar) >= _MOST_HELD:
                self._planar.clear()
            self._planar[max_error_m] = found
        return found

    def _by_degrees(self, max_error_m: float) -> Geometry:
        """Return the planar shape, of great circles between points of a projected CRS."""
        points = replace(self, geodesic=False).in_crs_by_points(WGS84)
        return Geometry(planar(points, max_error_m), geodesic=False)

    def in_crs_by_points(self, crs_code: str) -> BaseGeometry:
        """Return the shape as it is, each of its points carried into a CRS.

        Raises:
            InvalidRequest: a point lies outside the domain of the CRS.
        """
        moved = moved_shape(self.shape, self.projection.transform.apply)
        if crs_code == self.projection.crs_code:
            return moved
        found = moved_shape(moved, partial(carried, self.projection.crs_code, crs_code))
        return checked(found, crs_code)

    def by_points(self, projection: Projection) -> Geometry:
        """Return the geometry in the pixels of a projection, its points carried and none added.

        Raises:
            InvalidRequest: a point lies outside the domain of the CRS.
        """
        found = self.in_crs_by_points(projection.crs_code)
        if projection.transform != _DEGREES.transform:
            found = moved_shape(found, projection.transform.inverse().apply)
        return Geometry(found, projection, self.geodesic)

    def in_projection(self, projection: Projection, max_error_m: float = USUAL_ERROR_M) -> Geometry:
        """Return the planar geometry in the pixels of a projection, its edges followed closely.

        Raises:
            InvalidRequest: part of it lies outside the domain of the CRS.
        """
        if projection == self.projection and not self.is_geodesic:
            return Geometry(repaired(self.shape), projection, False)
        found = self.in_crs(projection.crs_code, max_error_m)
        if projection.transform != _DEGREES.transform:
            found = moved_shape(found, projection.transform.inverse().apply)
        return Geometry(found, projection, False)

    def in_degrees(self, max_error_m: float = USUAL_ERROR_M) -> BaseGeometry:
        """Return the planar shape in longitude and latitude."""
        return self.in_crs(WGS84, max_error_m)


@lru_cache(maxsize=256)
def _is_geographic(crs_code: str) -> bool:
    return crs_code == WGS84 or bool(crs_of(crs_code).is_geographic)


@dataclass(frozen=True, slots=True)
class ErrorMargin:
    """The largest error that the result of an operation on a geometry may have."""

    value: float | None
    unit: Literal["meters", "projected", "infinite"] = "meters"

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        members: dict[str, Any] = {"type": "ErrorMargin", "unit": self.unit}
        return members if self.value is None else members | {"value": self.value}


def make_geometry(
    kind: str, coordinates: Any, projection: Projection | None = None, geodesic: bool | None = None
) -> Geometry:
    """Return a geometry of GeoJSON coordinates, as they are; a ring need not be closed.

    Raises:
        InvalidRequest: the coordinates are not those of such a geometry.
    """
    check_count(coordinates)
    try:
        found = shape({"type": kind, "coordinates": _closed(kind, coordinates)})
        is_finite = bool((np.abs(shapely.get_coordinates(found)) < _LARGEST).all())
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, RecursionError) as exc:
        raise _bad_coordinates(kind, coordinates) from exc
    except shapely.errors.ShapelyError as exc:
        raise _bad_coordinates(kind, coordinates) from exc
    if not is_finite:
        raise _bad_coordinates(kind, coordinates)
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
    if geometry.projection != _DEGREES or geometry.shape.bounds != UNBOUNDED.shape.bounds:
        return False
    return bool(repaired(geometry.shape).equals(UNBOUNDED.shape))


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
    shared = {(each.projection, each.is_geodesic) for each in geometries}
    is_one = len(shared) == 1 and (projection is None or {projection} == {p for p, _ in shared})
    if is_one and geodesic in (None, geometries[0].is_geodesic):
        # As they are given.
        geodesic, target = geometries[0].geodesic, geometries[0].projection
        placed = [each.shape for each in geometries]
    else:
        target = projection or _DEGREES
        placed = [each.in_projection(target).shape for each in geometries]
        geodesic = False if geodesic is None and geometries else geodesic
    parts = [part for each in placed for part in shapely.get_parts(each)]
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


def check_count(coordinates: Any) -> None:
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
