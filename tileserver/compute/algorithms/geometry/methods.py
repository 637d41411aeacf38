"""Measures, changes and relations of geometries, and of features by their geometry.

Without a projection the sphere of the service counts (`values.sphere`): lengths are metres on it,
and edges are great circles unless a geometry is planar. With a projection everything is computed in
its pixels, lengths too. An error margin says how closely great circles are followed where an
operation cannot work on them themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import shapely

from tileserver.compute.algorithms.geometry.changes import (
    bounds,
    buffered,
    centroid,
    dissolved,
    hull,
    simplified,
)
from tileserver.compute.algorithms.geometry.relations import (
    distance_between,
    joined,
    nearest_points,
    related_by,
)
from tileserver.compute.algorithms.geometry.working_planes import metres_of, planar_in
from tileserver.compute.registry import algorithm
from tileserver.compute.values.antimeridian import unrolled
from tileserver.compute.values.feature import Element, Feature, geometry_of, image_geometry
from tileserver.compute.values.geodesics import around_poles, densified
from tileserver.compute.values.geometry import ErrorMargin, Geometry
from tileserver.compute.values.image import Image, Projection
from tileserver.compute.values.planar import repaired
from tileserver.compute.values.sphere import area_m2, length_m
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84

_MARGINS = "maxError: ErrorMargin = null, proj: Projection = null"


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


Change = Callable[[Geometry, "ErrorMargin | None", "Projection | None"], Geometry]
Measure = Callable[[Geometry, "ErrorMargin | None", "Projection | None"], float]


def _area(geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None) -> float:
    """Return the area; parts that overlap count as often, as in Earth Engine."""
    shape = geometry.shape
    parts = shapely.get_parts(shape) if shape.geom_type == "MultiPolygon" else [shape]
    return sum(_area_of(replace(geometry, shape=part), margin, projection) for part in parts)


def _area_of(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> float:
    if projection is not None:
        return float(planar_in(geometry, projection, margin).shape.area)
    return area_m2(*_on_sphere(geometry, margin, is_area=True))


def _on_sphere(
    geometry: Geometry, margin: ErrorMargin | None, is_area: bool = False
) -> tuple[Any, bool]:
    """Return a shape in degrees, and whether its edges are great circles: its own if they may be.

    An area that crosses itself is repaired, for which great circles are followed by short edges.
    """
    if not geometry.is_geodesic:
        return planar_in(geometry, None, margin).shape, False
    corners = unrolled(geometry.in_crs_by_points(WGS84), 360.0)
    if not is_area:
        return corners, True
    corners = around_poles(corners)
    if repaired(corners) is corners:
        return corners, True
    return planar_in(geometry, None, margin).shape, False


def _lengths(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None, kinds: set[str]
) -> float:
    if projection is not None:
        parts = shapely.get_parts(planar_in(geometry, projection, margin).shape)
        return float(sum(part.length for part in parts if part.geom_type in kinds))
    shape, is_geodesic = _on_sphere(geometry, margin)
    found = [part for part in shapely.get_parts(shape) if part.geom_type in kinds]
    return length_m(shapely.GeometryCollection(found), is_geodesic) if found else 0.0


def _length(geometry: Geometry, margin: ErrorMargin | None, projection: Any) -> float:
    return _lengths(geometry, margin, projection, {"LineString", "LinearRing"})


def _perimeter(geometry: Geometry, margin: ErrorMargin | None, projection: Any) -> float:
    return _lengths(geometry, margin, projection, {"Polygon"})


CHANGES: dict[str, tuple[Change, str]] = {
    "bounds": (bounds, "Return the rectangle around {}"),
    "centroid": (centroid, "Return the point in the middle of {}"),
    "convexHull": (hull, "Return the convex hull of {}"),
    "dissolve": (dissolved, "Return the parts of {} made into one"),
}
MEASURES: dict[str, tuple[Measure, str]] = {
    "area": (_area, "Return the area of {}; points and lines have none"),
    "length": (_length, "Return the length of the lines in {}"),
    "perimeter": (_perimeter, "Return the length of the edges of the areas in {}"),
}
RELATIONS: dict[str, tuple[Callable[..., bool], str]] = {
    "contains": (related_by("covers"), "Tell whether one {} contains another"),
    "containedIn": (related_by("covered_by"), "Tell whether one {} lies within another"),
    "disjoint": (related_by("disjoint"), "Tell whether one {} has nothing in common with another"),
    "intersects": (related_by("intersects"), "Tell whether one {} meets another"),
}
JOINS: dict[str, tuple[Callable[..., Geometry], str]] = {
    "difference": (joined("difference"), "Return the part of one {} that is not in another"),
    "intersection": (
        joined("intersection"),
        "Return the part that one {} and another have in common",
    ),
    "symmetricDifference": (
        joined("symmetric_difference"),
        "Return the parts of one {} and another that are in one of them only",
    ),
    "union": (joined("union"), "Return one {} and another merged"),
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


for _name, (_work, _description) in CHANGES.items():
    _register(_name, "geometry", _MARGINS, "Geometry", _description, _work)
for _name, (_measure, _description) in MEASURES.items():
    _register(_name, "geometry", _MARGINS, "Float", _description, _measure)
for _name, (_relate, _description) in RELATIONS.items():
    _register(_name, "left", _MARGINS, "Boolean", _description, _relate)
for _name, (_join, _description) in JOINS.items():
    _register(_name, "left", _MARGINS, "Geometry", _description, _join)


def _within(a: Geometry, b: Geometry, distance: float, margin: Any, proj: Any) -> bool:
    return distance_between(a, b, margin, proj) <= distance


def _distance(a: Geometry, b: Geometry, margin: Any, proj: Any, spherical: bool) -> float:
    return distance_between(a, b, margin, proj)


def transformed(geometry: Geometry, proj: Projection, margin: Any, geodesic: Any) -> Geometry:
    """Return a geometry in another projection, with great circles or straight edges there.

    Edges are great circles by default if the projection is one of degrees. A geometry whose edges
    stay what they are keeps its points; others get more, to be near the edges they had.
    """
    wanted = replace(geometry, projection=proj, geodesic=geodesic).is_geodesic
    if wanted and geometry.is_geodesic:
        return replace(geometry.by_points(proj), geodesic=geodesic)
    if proj == geometry.projection and wanted == geometry.is_geodesic:
        return replace(geometry, geodesic=geodesic)
    if wanted:
        fine = densified(geometry.in_degrees(), metres_of(margin), is_geodesic=False)
        return replace(Geometry(fine).by_points(proj), geodesic=geodesic)
    moved = geometry.in_projection(proj, metres_of(margin)).shape
    return Geometry(moved, proj, geodesic)


def _closest(a: Geometry, b: Geometry, margin: Any, proj: Projection | None) -> dict[str, Any]:
    return nearest_points(a, b, margin, proj)


_DEFAULT = '{"type": "Projection", "crs": "EPSG:4326", "transform": [1, 0, 0, 0, 1, 0]}'
_register(
    "buffer", "geometry", f"distance: Float, {_MARGINS}", "Geometry",
    "Return the area within a distance of {}, shrunk by a negative distance", buffered,
)  # fmt: skip
_register(
    "simplify", "geometry", "maxError: ErrorMargin, proj: Projection = null", "Geometry",
    "Return {} of fewer points", simplified,
)  # fmt: skip
_register(
    "transform", "geometry",
    f"proj: Projection = {_DEFAULT}, maxError: ErrorMargin = null, geodesic: Boolean = null",
    "Geometry", "Return {} in another projection", transformed,
)  # fmt: skip


@algorithm(
    f"ProjectionTransform(feature: Element, proj: Projection = {_DEFAULT},"
    " maxError: ErrorMargin = null, geodesic: Boolean = null) -> Feature"
)
def projection_transform(
    element: Element, proj: Projection, margin: ErrorMargin | None, geodesic: bool | None
) -> Feature:
    """Return a feature with its geometry in another projection."""
    return with_geometry(element, transformed(required_geometry(element), proj, margin, geodesic))


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
    "Return the point of the second {} that is nearest to the first",
    lambda *given: _closest(*given).get("right"),
)  # fmt: skip
