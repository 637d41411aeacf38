"""Constructors of geometries from coordinates, or from geometries.

Coordinates are longitude and latitude, or those of a projection's pixels when one is given. Flat
lists of numbers are read as pairs. A geometry may stand for its coordinates: points in a line or
ring, rings in a polygon, polygons in several; the result then has the projection and edges of the
first one unless others are given. Areas are even-odd, or with `evenOdd=False` on the left of their
rings (`values.windings`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import shapely

from tileserver.compute.algorithms.geometry.methods import transformed
from tileserver.compute.coercion import to_geometry
from tileserver.compute.context import Context
from tileserver.compute.registry import algorithm
from tileserver.compute.values.geometry import (
    ErrorMargin,
    Geometry,
    check_count,
    collected,
    geojson_of,
    is_unbounded,
    make_geometry,
    rectangle,
)
from tileserver.compute.values.image import Projection
from tileserver.compute.values.windings import left_inside
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.crs import crs_of

_DEEPEST = 4
"""Lists within lists of coordinates."""
_INFINITE_M = 2.0e7
"""An error margin of so many metres is infinite (apidocs/ee-errormargin)."""
_POSITION_BYTES = 130
"""Of a list of two numbers."""
_LINES = "crs: Projection = null, geodesic: Boolean = null, maxError: ErrorMargin = null"
_AREAS = f"{_LINES}, evenOdd: Boolean = true"
_KINDS = {
    "Point": (0, "crs: Projection = null", "a point"),
    "MultiPoint": (1, "crs: Projection = null", "points"),
    "LineString": (1, _LINES, "a line through points"),
    "LinearRing": (1, _LINES, "a line through points and back to the first"),
    "MultiLineString": (2, _LINES, "lines"),
    "Polygon": (2, _AREAS, "an area within a ring, less those within others"),
    "MultiPolygon": (3, _AREAS, "areas"),
}
"""Nesting depth of the coordinate lists, further arguments, and the result, by geometry type."""


def _construct(kind: str, depth: int, given: Sequence[Any], *rest: Any) -> Geometry:
    projection, geodesic, margin, even_odd = (*rest, None, None, None)[:4]
    found = _constructed(kind, depth, given, projection, geodesic, margin)
    return left_inside(found) if even_odd is False else found


def _constructed(
    kind: str,
    depth: int,
    given: Sequence[Any],
    projection: Projection | None,
    geodesic: bool | None,
    margin: ErrorMargin | None,
) -> Geometry:
    check_count(given)
    inputs = _geometries_in(given)
    if inputs and kind != "Point":
        made = _of_geometries(kind, depth, given, inputs)
        is_wanted = projection in (None, made.projection) and geodesic in (None, made.is_geodesic)
        return (
            made
            if is_wanted
            else transformed(made, projection or made.projection, margin, geodesic)
        )
    return make_geometry(kind, nested(_plain(given), depth), projection, geodesic)


def _of_geometries(kind: str, depth: int, given: Any, inputs: list[Geometry]) -> Geometry:
    """Return a geometry of others, in the projection and with the edges that the first one has."""
    first = inputs[0]
    lattice = first.projection
    is_geodesic = all(each.is_geodesic or _is_of_points(each) for each in inputs)
    geodesic = next((each.geodesic for each in inputs if not _is_of_points(each)), None)
    if not is_geodesic:
        geodesic = False

    def placed(each: Geometry) -> Any:
        same = each.projection == lattice and (each.is_geodesic == is_geodesic)
        if _is_of_points(each):
            moved = each if each.projection == lattice else each.by_points(lattice)
        else:
            moved = each if same else transformed(each, lattice, None, is_geodesic)
        return geojson_of(moved.shape)["coordinates"]

    return make_geometry(kind, nested(_replaced(given, placed), depth), lattice, geodesic)


def _is_of_points(geometry: Geometry) -> bool:
    return geometry.shape.geom_type in ("Point", "MultiPoint")


def _geometries_in(given: Any, depth: int = 0) -> list[Geometry]:
    """Return the geometries in lists within lists of coordinates."""
    if isinstance(given, Geometry):
        return [given]
    if not isinstance(given, list | tuple) or depth > _DEEPEST or not given:
        return []
    if _is_number(given[0]):
        return []
    return [found for each in given for found in _geometries_in(each, depth + 1)]


def _replaced(given: Any, placed: Callable[[Geometry], Any], depth: int = 0) -> Any:
    """Return coordinates with those of geometries in place of them; lists too deep as they are."""
    if isinstance(given, Geometry):
        return placed(given)
    if depth > _DEEPEST or not isinstance(given, list | tuple) or not given:
        return given
    if _is_number(given[0]):
        return given
    return [_replaced(each, placed, depth + 1) for each in given]


def _plain(given: Any) -> Any:
    """Return coordinates with those of a Point in place of it."""
    return _replaced(given, lambda each: geojson_of(each.shape).get("coordinates", []))


def nested(given: Any, depth: int) -> Any:
    """Return numbers, or lists that nest less than `depth`, as lists that nest that deeply."""
    if depth and isinstance(given, list) and given and all(_is_number(n) for n in given):
        given = [given[i : i + 2] for i in range(0, len(given), 2)]
    level, inner = 0, given
    while isinstance(inner, list) and inner and not _is_number(inner[0]) and level <= depth:
        inner, level = inner[0], level + 1
    for _ in range(depth - level):
        given = [given]
    return given


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


for _kind, (_depth, _others, _result) in _KINDS.items():
    algorithm(
        f"GeometryConstructors.{_kind}(coordinates: List, {_others}) -> Geometry",
        f"Return {_result}.",
    )(partial(_construct, _kind, _depth))


@algorithm(
    "GeometryConstructors.Rectangle(coordinates: List, crs: Projection = null,"
    " geodesic: Boolean = null, evenOdd: Boolean = true) -> Geometry"
)
def make_rectangle(
    given: Sequence[Any], projection: Projection | None, geodesic: bool | None, even_odd: bool
) -> Geometry:
    """Return a rectangle of two opposite corners, in the pixels of a projection if one is given."""
    corners = nested(_plain(given), 1)
    if len(corners) == 1 and isinstance(corners[0], list):
        corners = corners[0]
    numbers = [n for corner in corners for n in (corner if isinstance(corner, list) else [corner])]
    if len(numbers) < 4 or not all(_is_number(n) and math.isfinite(n) for n in numbers):
        raise InvalidRequest(f"Expected [xMin, yMin, xMax, yMax], got {shown(list(given))}.")
    xs, ys = numbers[::2], numbers[1::2]
    # Degrees may run over the antimeridian: east smaller than west stands for itself plus 360.
    if projection is None and len(numbers) == 4 and xs[1] < xs[0]:
        xs = [xs[0], xs[1] + 360]
    return rectangle(min(xs), min(ys), max(xs), max(ys), projection, geodesic)


@algorithm(
    "GeometryConstructors.BBox(west: Float, south: Float, east: Float, north: Float) -> Geometry"
)
def bbox(west: float, south: float, east: float, north: float) -> Geometry:
    """Return a box between meridians and parallels; east may lie past the antimeridian."""
    if math.isnan(east - west) or not math.isfinite(west) or not south <= north:
        raise InvalidRequest(
            f"Expected west, south, east and north with south <= north, got {west}, {south}, "
            f"{east}, {north}."
        )
    south, north = max(south, -90.0), min(north, 90.0)
    if not east - west < 360:
        return rectangle(-180, south, 180, north, None, False)
    left = (west + 180) % 360 - 180
    return rectangle(left, south, left + (east - west) % 360, north, None, False)


@algorithm(f"GeometryConstructors.MultiGeometry(geometries: List, {_LINES}) -> Geometry")
def multi_geometry(
    context: Context,
    given: Sequence[Any],
    projection: Projection | None,
    geodesic: bool | None,
    max_error: Any,
) -> Geometry:
    """Return geometries together as one."""
    return collected([_geometry(each, context) for each in given], projection, geodesic)


def _geometry(given: Any, context: Context) -> Geometry:
    found = to_geometry(given, context)
    if found is None:
        raise InvalidRequest(f"Expected a geometry, got {shown(given)}.")
    return found


@algorithm('ErrorMargin(value: Float = null, unit: String = "meters") -> ErrorMargin')
def error_margin(value: float | None, unit: str) -> ErrorMargin:
    """Return an error margin, in meters or in units of a projection; 20,000 km are infinite."""
    match unit:
        case "infinite":
            return ErrorMargin(None, "infinite")
        case "meters" if value is not None and abs(value) >= _INFINITE_M:
            return ErrorMargin(None, "infinite")
        case "meters" | "projected" if value is not None and not math.isnan(value):
            return ErrorMargin(abs(value), unit)
    raise InvalidRequest(
        "Expected a value in unit 'meters' or 'projected', or unit 'infinite', "
        f"got {shown(value)} in {shown(unit)}."
    )


@algorithm("Geometry.type(geometry: Geometry) -> String")
def type_of_geometry(geometry: Geometry) -> str:
    """Return the type of a geometry, in GeoJSON's words."""
    return geometry.shape.geom_type


@algorithm("Geometry.coordinates(geometry: Geometry) -> List")
def coordinates(context: Context, geometry: Geometry) -> list[Any]:
    """Return the coordinates of a geometry, as GeoJSON nests them."""
    context.count_bytes(_POSITION_BYTES * int(shapely.get_num_coordinates(geometry.shape)))
    found: list[Any] = geometry.to_json().get("coordinates", [])
    return found


@algorithm("Geometry.geometries(geometry: Geometry) -> List")
def geometries(geometry: Geometry) -> list[Geometry]:
    """Return the parts of a geometry; a single one is its own part."""
    return [replace(geometry, shape=part) for part in shapely.get_parts(geometry.shape)]


@algorithm("Geometry.projection(geometry: Geometry) -> Projection")
def projection(geometry: Geometry) -> Projection:
    """Return the projection of the coordinates."""
    return geometry.projection


@algorithm("Geometry.geodesic(geometry: Geometry) -> Boolean")
def geodesic(geometry: Geometry) -> bool:
    """Tell whether the edges are declared geodesic; by default they are in a geographic CRS."""
    if geometry.geodesic is not None:
        return geometry.geodesic
    return bool(crs_of(geometry.projection.crs_code).is_geographic)


@algorithm("Geometry.edgesAreGeodesics(geometry: Geometry) -> Boolean")
def edges_are_geodesics(geometry: Geometry) -> bool:
    """Tell whether the edges are declared geodesic."""
    return geodesic(geometry)


@algorithm("Geometry.isUnbounded(geometry: Geometry) -> Boolean")
def unbounded(geometry: Geometry) -> bool:
    """Tell whether a geometry is the whole Earth."""
    return is_unbounded(geometry)
