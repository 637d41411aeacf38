"""Measures, changes and relations of geometries, and of features by their geometry.

Without a projection lengths are metres on the ground and edges are straight in degrees; with one,
everything is computed in its pixels, lengths too. An error margin is accepted and has no effect
except on `simplify`. Metres are those of a plane around the middle: their error is a few in ten
thousand for a shape some hundred kilometres wide, and large for half the Earth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.compute.context import check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.values.antimeridian import (
    beside,
    in_one_piece,
    leaves_map,
    narrowest,
    on_map,
    related,
    within_map,
)
from tileserver.compute.values.feature import Element, Feature, geometry_of, image_geometry
from tileserver.compute.values.geometry import (
    ErrorMargin,
    Geometry,
    area_m2,
    length_m,
    local_projection,
    metres_around,
    moved_shape,
    rectangle,
)
from tileserver.compute.values.geometry_limits import check_crossings
from tileserver.compute.values.image import DEFAULT_PROJECTION, Image, Projection
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84, transform_points
from tileserver.geo.turns import period

_MARGINS = "maxError: ErrorMargin = null, proj: Projection = null"
_NEAR_DEG, _EDGE_DEG = 89.0, 1.0
_MAX_BUFFERED_PARTS, _MAX_BUFFERED_POINTS = 5000, 100_000
_ARC_SEGMENTS = 16
"""Of a quarter of a circle in a buffer: 0.5% of the distance at most."""


def required_geometry(element: Element) -> Geometry:
    """Return the geometry of a feature, or the footprint of an image.

    Raises:
        InvalidRequest: a feature has no geometry.
    """
    if isinstance(element, Image):
        return image_geometry(element)
    found = geometry_of(element)
    if found is not None:
        return found
    raise InvalidRequest("The feature has no geometry.")


def with_geometry(element: Element, geometry: Geometry) -> Feature:
    """Return a feature with another geometry; of an image its properties."""
    if isinstance(element, Feature):
        return replace(element, geometry=geometry)
    return Feature(geometry, element.properties)


def _in_working_projection(geometry: Geometry, projection: Projection | None) -> Geometry:
    """Return a geometry in the coordinates of a projection, by default in degrees."""
    return geometry.in_projection(projection or DEFAULT_PROJECTION)


def _turn(projection: Projection | None) -> float | None:
    """Return the x after which the coordinates of a projection come round, or None."""
    working = projection or DEFAULT_PROJECTION
    if working.transform != DEFAULT_PROJECTION.transform:
        return None
    return period(working.crs_code)


def in_metres(found: BaseGeometry, change: Callable[[BaseGeometry], BaseGeometry]) -> BaseGeometry:
    """Return a geometry in degrees, changed in a plane of metres around its middle."""
    crs_code = metres_around(found)
    middle = found.centroid.x
    there = moved_shape(found, lambda x, y: transform_points(WGS84, crs_code, x, y))

    def back(x: Any, y: Any) -> tuple[Any, Any]:
        lon, lat = transform_points(crs_code, WGS84, x, y)
        # Past the antimeridian rather than from one end of the world to the other.
        return middle + (lon - middle + 180) % 360 - 180, lat

    changed = moved_shape(change(there), back)
    if not np.isfinite(shapely.get_coordinates(changed)).all():
        raise InvalidRequest("The geometry is too large for a distance on the ground.")
    return changed


def buffered(geometry: Geometry, distance: float, projection: Projection | None) -> Geometry:
    """Return the area within a distance of a geometry; a negative distance shrinks areas.

    Args:
        geometry: points, lines or areas.
        distance: metres, or pixels of `projection`.
        projection: the plane to work in; None is one in metres around each part.

    Raises:
        InvalidRequest: the distance is too large, or the geometry has too many points.
    """
    if not abs(distance) < 2e7:
        raise InvalidRequest(f"The distance must be less than 20000000, got {distance:g}.")
    moved = _in_working_projection(geometry, projection)
    _check_buffer(moved.shape)
    if projection is not None:
        return replace(moved, shape=moved.shape.buffer(distance, quad_segs=_ARC_SEGMENTS))
    # Each part around its own middle, where the plane is true.
    parts = [
        in_metres(part, lambda found: found.buffer(distance, quad_segs=_ARC_SEGMENTS))
        for part in shapely.get_parts(moved.shape)
        if not part.is_empty
    ]
    return replace(moved, shape=in_one_piece(shapely.union_all(parts), 360.0), geodesic=None)


def _check_buffer(found: BaseGeometry) -> None:
    check_length(len(shapely.get_parts(found)), _MAX_BUFFERED_PARTS, "parts to buffer")
    check_length(int(shapely.get_num_coordinates(found)), _MAX_BUFFERED_POINTS, "points to buffer")


def simplified(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> Geometry:
    """Return a geometry of fewer points, at most the margin away from the original."""
    value = margin.value if margin is not None and margin.value is not None else 0.0
    if not 0 <= value < 2e7:
        raise InvalidRequest(f"The error margin must not be negative, got {value:g}.")
    moved = geometry if projection is None else geometry.in_projection(projection)
    if projection is not None or (margin is not None and margin.unit == "projected"):
        return replace(moved, shape=moved.shape.simplify(value))
    found = in_metres(moved.in_degrees(), lambda shape: shape.simplify(value))
    return Geometry(found, geodesic=geometry.geodesic).in_projection(moved.projection)


def _bounds(geometry: Geometry, projection: Projection | None) -> Geometry:
    moved = _in_working_projection(geometry, projection)
    if moved.shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    found = narrowest(moved.shape, _turn(projection))
    return rectangle(*found.bounds, moved.projection, False)


def _centroid(geometry: Geometry, projection: Projection | None) -> Geometry:
    moved = _in_working_projection(geometry, projection)
    if moved.shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    if projection is not None or moved.shape.geom_type == "Point":
        return Geometry(moved.shape.centroid, moved.projection)
    found = in_metres(narrowest(moved.shape, _turn(projection)), lambda shape: shape.centroid)
    return Geometry(found)


def _hull(geometry: Geometry, projection: Projection | None) -> Geometry:
    moved = _in_working_projection(geometry, projection)
    return replace(moved, shape=narrowest(moved.shape, _turn(projection)).convex_hull)


def _dissolved(geometry: Geometry, projection: Projection | None) -> Geometry:
    moved = _in_working_projection(geometry, projection)
    check_crossings([moved.shape])
    turn = _turn(projection)
    shape = moved.shape if turn is None else on_map(moved.shape, turn)
    found = shapely.union_all(shapely.get_parts(shape))
    return replace(moved, shape=found if turn is None else in_one_piece(found, turn))


def _area(geometry: Geometry, projection: Projection | None) -> float:
    if projection is not None:
        return float(_in_working_projection(geometry, projection).shape.area)
    return area_m2(geometry.in_degrees())


def _lengths(geometry: Geometry, projection: Projection | None, kinds: set[str]) -> float:
    parts = shapely.get_parts(_in_working_projection(geometry, projection).shape)
    found = [part for part in parts if part.geom_type in kinds]
    if projection is not None:
        return float(sum(part.length for part in found))
    return length_m(shapely.GeometryCollection(found)) if found else 0.0


def _length(geometry: Geometry, projection: Projection | None) -> float:
    return _lengths(geometry, projection, {"LineString", "LinearRing"})


def _perimeter(geometry: Geometry, projection: Projection | None) -> float:
    return _lengths(geometry, projection, {"Polygon"})


def nearest(left: Geometry, right: Geometry, projection: Projection | None) -> BaseGeometry:
    """Return the shortest line between two geometries, from the first to the second."""
    a, b = (
        _in_working_projection(left, projection).shape,
        _in_working_projection(right, projection).shape,
    )
    if a.is_empty or b.is_empty:
        raise InvalidRequest("The geometry is empty.")
    turn = _turn(projection)
    a, b = narrowest(a, turn), narrowest(b, turn)
    b = beside(a, b, turn)
    line = shapely.shortest_line(a, b)
    if line is None:
        raise InvalidRequest("The geometries have no distance.")
    if projection is not None or line.length == 0:
        return line
    # Degrees of longitude are shorter than those of latitude: find it again in metres.
    middle = line.centroid
    crs_code = local_projection(middle.x, max(-89.9, min(89.9, middle.y)))
    # Long edges bend in that plane, and what lies on the other side of the Earth is everywhere.
    near = [
        shapely.clip_by_rect(s, middle.x - _NEAR_DEG, -90, middle.x + _NEAR_DEG, 90) for s in (a, b)
    ]
    there = [
        moved_shape(
            shapely.segmentize(s, _EDGE_DEG), lambda x, y: transform_points(WGS84, crs_code, x, y)
        )
        for s in near
    ]
    better = shapely.shortest_line(*there)
    if better is None:  # One lies outside the domain of the plane.
        return line
    found = moved_shape(better, lambda x, y: transform_points(crs_code, WGS84, x, y))
    usable = bool(np.isfinite(shapely.get_coordinates(found)).all())
    return found if usable and 0 < length_m(found) <= length_m(line) else line


def distance_between(left: Geometry, right: Geometry, projection: Projection | None) -> float:
    """Return the least distance: metres along a great circle, or units of the projection."""
    line = nearest(left, right, projection)
    return float(line.length) if projection is not None else length_m(line)


def _related(name: str) -> Callable[[Geometry, Geometry, Projection | None], bool]:
    def relate(left: Geometry, right: Geometry, projection: Projection | None) -> bool:
        a, b = _in_working_projection(left, projection), _in_working_projection(right, projection)
        return related(name, a.shape, b.shape, _turn(projection))

    return relate


def _joined(name: str) -> Callable[[Geometry, Geometry, Projection | None], Geometry]:
    def join(left: Geometry, right: Geometry, projection: Projection | None) -> Geometry:
        a, b = _in_working_projection(left, projection), _in_working_projection(right, projection)
        check_crossings([a.shape, b.shape])
        turn = _turn(projection)
        if turn is None or not (leaves_map(a.shape, turn) or leaves_map(b.shape, turn)):
            return replace(a, shape=getattr(shapely, name)(a.shape, b.shape))
        found = getattr(shapely, name)(on_map(a.shape, turn), on_map(b.shape, turn))
        return replace(a, shape=in_one_piece(found, turn))

    return join


CHANGES: dict[str, tuple[Callable[[Geometry, Projection | None], Geometry], str]] = {
    "bounds": (_bounds, "Return the rectangle around {}"),
    "centroid": (_centroid, "Return the point in the middle of {}"),
    "convexHull": (_hull, "Return the convex hull of {}"),
    "dissolve": (_dissolved, "Return the parts of {} made into one"),
}
MEASURES: dict[str, tuple[Callable[[Geometry, Projection | None], float], str]] = {
    "area": (_area, "Return the area of {}; points and lines have none"),
    "length": (_length, "Return the length of the lines in {}"),
    "perimeter": (_perimeter, "Return the length of the edges of the areas in {}"),
}
RELATIONS: dict[str, tuple[Callable[[Geometry, Geometry, Projection | None], bool], str]] = {
    "contains": (_related("covers"), "Tell whether one {} contains another"),
    "containedIn": (_related("covered_by"), "Tell whether one {} lies within another"),
    "disjoint": (_related("disjoint"), "Tell whether one {} has nothing in common with another"),
    "intersects": (_related("intersects"), "Tell whether one {} meets another"),
}
JOINS: dict[str, tuple[Callable[[Geometry, Geometry, Projection | None], Geometry], str]] = {
    "difference": (_joined("difference"), "Return the part of one {} that is not in another"),
    "intersection": (
        _joined("intersection"),
        "Return the part that one {} and another have in common",
    ),
    "symmetricDifference": (
        _joined("symmetric_difference"),
        "Return the parts of one {} and another that are in one of them only",
    ),
    "union": (_joined("union"), "Return one {} and another merged"),
}
"""Operations by Earth Engine's name, with their descriptions."""


def _register(name: str, one: str, others: str, returns: str, description: str, work: Any) -> None:
    """Register an operation for geometries and for features; `work` gets geometries alone.

    Args:
        name: the operation.
        one: "geometry" for an operation on one, "left" for one on two.
        others: the arguments that follow, as in a signature.
        returns: a type, or "Geometry": features then get features.
        description: a sentence with a placeholder for the operand.
        work: the operation on one geometry, or on two.
    """
    count = 2 if one == "left" else 1
    first = "left: {0}, right: {0}" if count == 2 else "{1}: {0}"
    article = "" if count == 2 else "a "
    algorithm(
        f"Geometry.{name}({first.format('Geometry', 'geometry')}, {others}) -> {returns}",
        description.format(f"{article}geometry") + ".",
    )(lambda *given: work(*given))
    returned = {"Geometry": "Element" if name == "dissolve" else "Feature"}.get(returns, returns)

    @algorithm(
        f"Feature.{name}({first.format('Element', 'feature')}, {others}) -> {returned}",
        description.format(f"{article}feature") + ".",
    )
    def of_features(*given: Any) -> Any:
        found = work(*map(required_geometry, given[:count]), *given[count:])
        return with_geometry(given[0], found) if isinstance(found, Geometry) else found


def _without_margin(work: Any, count: int) -> Any:
    """Return an operation that ignores its error margin."""
    return lambda *given: work(*given[:count], given[-1])


for _name, (_work, _description) in CHANGES.items():
    _register(_name, "geometry", _MARGINS, "Geometry", _description, _without_margin(_work, 1))
for _name, (_measure, _description) in MEASURES.items():
    _register(_name, "geometry", _MARGINS, "Float", _description, _without_margin(_measure, 1))
for _name, (_relate, _description) in RELATIONS.items():
    _register(_name, "left", _MARGINS, "Boolean", _description, _without_margin(_relate, 2))
for _name, (_join, _description) in JOINS.items():
    _register(_name, "left", _MARGINS, "Geometry", _description, _without_margin(_join, 2))


def _buffer(geometry: Geometry, distance: float, margin: Any, proj: Projection | None) -> Geometry:
    return buffered(geometry, distance, proj)


def _within(a: Geometry, b: Geometry, distance: float, margin: Any, proj: Any) -> bool:
    return distance_between(a, b, proj) <= distance


def _distance(a: Geometry, b: Geometry, margin: Any, proj: Any, spherical: bool) -> float:
    return distance_between(a, b, proj)


def _transform(geometry: Geometry, proj: Projection, margin: Any, geodesic: Any) -> Geometry:
    moved = geometry.in_projection(proj)
    return moved if geodesic is None else replace(moved, geodesic=geodesic)


def _closest(a: Geometry, b: Geometry, margin: Any, proj: Projection | None) -> dict[str, Any]:
    line = within_map(nearest(a, b, proj), _turn(proj))
    left, right = (Geometry(shapely.Point(xy), proj or DEFAULT_PROJECTION) for xy in line.coords)
    return {"left": left, "right": right}


_DEFAULT = '{"type": "Projection", "crs": "EPSG:4326", "transform": [1, 0, 0, 0, 1, 0]}'
_register(
    "buffer", "geometry", f"distance: Float, {_MARGINS}", "Geometry",
    "Return the area within a distance of {}, shrunk by a negative distance", _buffer,
)  # fmt: skip
_register(
    "simplify", "geometry", "maxError: ErrorMargin, proj: Projection = null", "Geometry",
    "Return {} of fewer points", simplified,
)  # fmt: skip
_register(
    "transform", "geometry",
    f"proj: Projection = {_DEFAULT}, maxError: ErrorMargin = null, geodesic: Boolean = null",
    "Geometry", "Return {} in another projection", _transform,
)  # fmt: skip
_register(
    "distance", "left", f"{_MARGINS}, spherical: Boolean = false", "Float",
    "Return the least distance from one {} to another", _distance,
)  # fmt: skip
_register(
    "withinDistance", "left", f"distance: Float, {_MARGINS}", "Boolean",
    "Tell whether one {} lies within a distance of another", _within,
)  # fmt: skip
_register(
    "closestPoints", "left", _MARGINS, "Object",
    "Return the two points where one {} and another are nearest", _closest,
)  # fmt: skip
_register(
    "closestPoint", "left", _MARGINS, "Object",
    "Return the point of one {} that is nearest to another", lambda *g: _closest(*g)["left"],
)  # fmt: skip
