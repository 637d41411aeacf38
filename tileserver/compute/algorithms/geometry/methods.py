"""Geometries measured, changed and compared; features likewise, by their geometry.

Without a projection lengths are metres on the ground and edges are straight in degrees; with one
everything is done in its pixels and lengths are theirs. An error margin is taken and has no effect
but on `simplify`. Metres are those of a plane around the middle: of a shape some hundred kilometres
wide they are true to a few in ten thousand, of half the Earth they are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.compute.context import check_length
from tileserver.compute.margins import ErrorMargin
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Element, Feature, geometry_of, image_geometry
from tileserver.compute.values.geometry import (
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

_MARGINS = "maxError: ErrorMargin = null, proj: Projection = null"
_MAX_BUFFERED_PARTS, _MAX_BUFFERED_POINTS = 5000, 100_000
_ARC_SEGMENTS = 16
"""Of a quarter of a circle in a buffer: 0.5% of the distance at most."""


def where(element: Element) -> Geometry:
    """Return where a feature or an image lies.

    Raises:
        InvalidRequest: a feature has no geometry.
    """
    if isinstance(element, Image):
        return image_geometry(element)
    found = geometry_of(element)
    if found is not None:
        return found
    raise InvalidRequest("The feature has no geometry.")


def placed(element: Element, geometry: Geometry) -> Feature:
    """Return a feature with another geometry; of an image its properties."""
    if isinstance(element, Feature):
        return replace(element, geometry=geometry)
    return Feature(geometry, element.properties, element.id)


def _seen(geometry: Geometry, projection: Projection | None) -> Geometry:
    """Return a geometry in the coordinates that an operation works in."""
    return geometry.in_projection(projection or DEFAULT_PROJECTION)


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
    """Return what lies within a distance, or with a negative one what lies so far inside."""
    if not abs(distance) < 2e7:
        raise InvalidRequest(f"The distance must be less than 20000000, got {distance:g}.")
    seen = _seen(geometry, projection)
    _check_buffer(seen.shape)
    if projection is not None:
        return replace(seen, shape=seen.shape.buffer(distance, quad_segs=_ARC_SEGMENTS))
    # Each part around its own middle, where the plane is true.
    parts = [
        in_metres(part, lambda found: found.buffer(distance, quad_segs=_ARC_SEGMENTS))
        for part in shapely.get_parts(seen.shape)
        if not part.is_empty
    ]
    return replace(seen, shape=shapely.union_all(parts), geodesic=None)


def _check_buffer(found: BaseGeometry) -> None:
    check_length(len(shapely.get_parts(found)), _MAX_BUFFERED_PARTS, "parts to buffer")
    check_length(int(shapely.get_num_coordinates(found)), _MAX_BUFFERED_POINTS, "points to buffer")


def simplified(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> Geometry:
    """Return a geometry of fewer points that is nowhere further off than the margin."""
    value = margin.value if margin is not None and margin.value is not None else 0.0
    if not 0 <= value < 2e7:
        raise InvalidRequest(f"The error margin must not be negative, got {value:g}.")
    seen = geometry if projection is None else geometry.in_projection(projection)
    if projection is not None or (margin is not None and margin.unit == "projected"):
        return replace(seen, shape=seen.shape.simplify(value))
    found = in_metres(seen.in_degrees(), lambda shape: shape.simplify(value))
    return Geometry(found, geodesic=geometry.geodesic).in_projection(seen.projection)


def _bounds(geometry: Geometry, projection: Projection | None) -> Geometry:
    seen = _seen(geometry, projection)
    if seen.shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    return rectangle(*seen.shape.bounds, seen.projection, False)


def _centroid(geometry: Geometry, projection: Projection | None) -> Geometry:
    seen = _seen(geometry, projection)
    if seen.shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    if projection is not None or seen.shape.geom_type == "Point":
        return Geometry(seen.shape.centroid, seen.projection)
    return Geometry(in_metres(seen.shape, lambda shape: shape.centroid))


def _hull(geometry: Geometry, projection: Projection | None) -> Geometry:
    seen = _seen(geometry, projection)
    return replace(seen, shape=seen.shape.convex_hull)


def _dissolved(geometry: Geometry, projection: Projection | None) -> Geometry:
    seen = _seen(geometry, projection)
    check_crossings([seen.shape])
    return replace(seen, shape=shapely.union_all(shapely.get_parts(seen.shape)))


def _area(geometry: Geometry, projection: Projection | None) -> float:
    if projection is not None:
        return float(_seen(geometry, projection).shape.area)
    return area_m2(geometry.in_degrees())


def _lengths(geometry: Geometry, projection: Projection | None, kinds: set[str]) -> float:
    parts = shapely.get_parts(_seen(geometry, projection).shape)
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
    a, b = _seen(left, projection).shape, _seen(right, projection).shape
    if a.is_empty or b.is_empty:
        raise InvalidRequest("The geometry is empty.")
    line = shapely.shortest_line(a, b)
    if line is None:
        raise InvalidRequest("The geometries have no distance.")
    if projection is not None or line.length == 0:
        return line
    # Degrees of longitude are shorter than those of latitude: find it again in metres.
    middle = line.centroid
    crs_code = local_projection(middle.x, max(-89.9, min(89.9, middle.y)))
    there = [moved_shape(s, lambda x, y: transform_points(WGS84, crs_code, x, y)) for s in (a, b)]
    better = shapely.shortest_line(*there)
    if better is None:  # One lies outside the domain of the plane.
        return line
    found = moved_shape(better, lambda x, y: transform_points(crs_code, WGS84, x, y))
    usable = bool(np.isfinite(shapely.get_coordinates(found)).all())
    return found if usable and length_m(found) <= length_m(line) else line


def distance_between(left: Geometry, right: Geometry, projection: Projection | None) -> float:
    """Return the least distance: metres along a great circle, or units of the projection."""
    line = nearest(left, right, projection)
    return float(line.length) if projection is not None else length_m(line)


def _related(name: str) -> Callable[[Geometry, Geometry, Projection | None], bool]:
    def relate(left: Geometry, right: Geometry, projection: Projection | None) -> bool:
        a, b = _seen(left, projection), _seen(right, projection)
        return bool(getattr(shapely, name)(a.shape, b.shape))

    return relate


def _joined(name: str) -> Callable[[Geometry, Geometry, Projection | None], Geometry]:
    def join(left: Geometry, right: Geometry, projection: Projection | None) -> Geometry:
        a, b = _seen(left, projection), _seen(right, projection)
        check_crossings([a.shape, b.shape])
        return replace(a, shape=getattr(shapely, name)(a.shape, b.shape))

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
    "difference": (_joined("difference"), "Return what of one {} is not in another"),
    "intersection": (_joined("intersection"), "Return what one {} and another have in common"),
    "symmetricDifference": (
        _joined("symmetric_difference"),
        "Return what is in one {} or another but not in both",
    ),
    "union": (_joined("union"), "Return what is in one {} or another"),
}
"""Operations by Earth Engine's name, and what they do."""


def _both(name: str, one: str, others: str, returns: str, told: str, work: Any) -> None:
    """Register an operation for geometries and for features; `work` gets geometries alone.

    Args:
        name: the operation.
        one: "geometry", or "left: {}, right" of two.
        others: the arguments that follow, as in a signature.
        returns: a type, or "Geometry": features then get features.
        told: what it does, with a place for what it does it to.
        work: the operation on one geometry, or on two.
    """
    count = 2 if one == "left" else 1

    def of_geometries(*given: Any) -> Any:
        return work(*given)

    def of_features(*given: Any) -> Any:
        found = work(*map(where, given[:count]), *given[count:])
        return placed(given[0], found) if isinstance(found, Geometry) else found

    of_geometries.__doc__ = told.format("geometry" if count == 2 else "a geometry") + "."
    of_features.__doc__ = told.format("feature" if count == 2 else "a feature") + "."
    first = "left: {0}, right: {0}" if count == 2 else "{1}: {0}"
    algorithm(f"Geometry.{name}({first.format('Geometry', 'geometry')}, {others}) -> {returns}")(
        of_geometries
    )
    returned = {"Geometry": "Element" if name == "dissolve" else "Feature"}.get(returns, returns)
    algorithm(f"Feature.{name}({first.format('Element', 'feature')}, {others}) -> {returned}")(
        of_features
    )


def _without_margin(work: Any, count: int) -> Any:
    return lambda *given: work(*given[:count], given[-1])


for _name, (_work, _told) in CHANGES.items():
    _both(_name, "geometry", _MARGINS, "Geometry", _told, _without_margin(_work, 1))
for _name, (_measure, _told) in MEASURES.items():
    _both(_name, "geometry", _MARGINS, "Float", _told, _without_margin(_measure, 1))
for _name, (_relate, _told) in RELATIONS.items():
    _both(_name, "left", _MARGINS, "Boolean", _told, _without_margin(_relate, 2))
for _name, (_join, _told) in JOINS.items():
    _both(_name, "left", _MARGINS, "Geometry", _told, _without_margin(_join, 2))


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
    line = nearest(a, b, proj)
    left, right = (Geometry(shapely.Point(xy), proj or DEFAULT_PROJECTION) for xy in line.coords)
    return {"left": left, "right": right}


_OTHERS = "maxError: ErrorMargin = null, proj: Projection = null"
_DEFAULT = '{"type": "Projection", "crs": "EPSG:4326", "transform": [1, 0, 0, 0, 1, 0]}'
_both(
    "buffer", "geometry", f"distance: Float, {_OTHERS}", "Geometry",
    "Return what lies within a distance of {}, or so far inside of it", _buffer,
)  # fmt: skip
_both(
    "simplify", "geometry", "maxError: ErrorMargin, proj: Projection = null", "Geometry",
    "Return {} of fewer points", simplified,
)  # fmt: skip
_both(
    "transform", "geometry",
    f"proj: Projection = {_DEFAULT}, maxError: ErrorMargin = null, geodesic: Boolean = null",
    "Geometry", "Return {} in another projection", _transform,
)  # fmt: skip
_both(
    "distance", "left", f"{_OTHERS}, spherical: Boolean = false", "Float",
    "Return the least distance from one {} to another", _distance,
)  # fmt: skip
_both(
    "withinDistance", "left", f"distance: Float, {_OTHERS}", "Boolean",
    "Tell whether one {} lies within a distance of another", _within,
)  # fmt: skip
_both(
    "closestPoints", "left", _OTHERS, "Object",
    "Return the two points where one {} and another are nearest", _closest,
)  # fmt: skip
_both(
    "closestPoint", "left", _OTHERS, "Object",
    "Return the point of one {} that is nearest to another", lambda *g: _closest(*g)["left"],
)  # fmt: skip
