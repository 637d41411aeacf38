"""Two geometries: distances, nearest points, relations, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.compute.algorithms.geometry.working_planes import (
    planar_in,
    turn_of,
    working_plane,
)
from tileserver.compute.values.antimeridian import (
    beside,
    in_one_piece,
    leaves_map,
    narrowest,
    on_map,
    related,
    within_map,
)
from tileserver.compute.values.geometry import ErrorMargin, Geometry
from tileserver.compute.values.geometry_limits import check_crossings, check_pairs
from tileserver.compute.values.image import DEFAULT_PROJECTION, Projection
from tileserver.compute.values.local_planes import equidistant_around
from tileserver.compute.values.sphere import length_m
from tileserver.errors import InvalidRequest

_NEAR_DEG, _EDGE_DEG = 89.0, 1.0


def nearest(
    left: Geometry, right: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> BaseGeometry:
    """Return the shortest line between two geometries, from the first to the second."""
    a, b = (planar_in(each, projection, margin).shape for each in (left, right))
    if a.is_empty or b.is_empty:
        raise InvalidRequest("The geometry is empty.")
    turn = turn_of(projection)
    a, b = narrowest(a, turn), narrowest(b, turn)
    check_pairs(a, b)
    b = beside(a, b, turn)
    line = shapely.shortest_line(a, b)
    if line is None:
        raise InvalidRequest("The geometries have no distance.")
    if projection is not None or line.length == 0:
        return line
    # Degrees of longitude are shorter than those of latitude: find it again in metres.
    plane = equidistant_around(line)
    # Long edges bend in that plane, and what lies on the other side of the Earth is everywhere.
    west, east = plane.lon - _NEAR_DEG, plane.lon + _NEAR_DEG
    near = [shapely.clip_by_rect(s, west, -90, east, 90) for s in (a, b)]
    there = [shapely.transform(shapely.segmentize(s, _EDGE_DEG), plane.forward) for s in near]
    better = shapely.shortest_line(*there)
    if better is None:  # One lies too far away.
        return line
    found = shapely.transform(better, plane.inverse)
    return found if 0 < length_m(found, True) <= length_m(line, True) else line


def distance_between(
    left: Geometry, right: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> float:
    """Return the least distance: metres along a great circle, or units of the projection."""
    line = nearest(left, right, margin, projection)
    return float(line.length) if projection is not None else length_m(line, True)


def nearest_points(
    left: Geometry, right: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> dict[str, Any]:
    """Return the point of each geometry that is nearest to the other; none if one is empty."""
    if left.shape.is_empty or right.shape.is_empty:
        return {}
    line = within_map(nearest(left, right, margin, projection), turn_of(projection))
    places = (Geometry(shapely.Point(xy), projection or DEFAULT_PROJECTION) for xy in line.coords)
    return dict(zip(("left", "right"), places, strict=True))


def related_by(name: str) -> Callable[..., bool]:
    """Return the relation that shapely has under a name, of geometries."""

    def relate(
        left: Geometry, right: Geometry, margin: ErrorMargin | None, projection: Projection | None
    ) -> bool:
        a, b = (planar_in(each, projection, margin).shape for each in (left, right))
        return related(name, a, b, turn_of(projection))

    return relate


def joined(name: str) -> Callable[..., Geometry]:
    """Return the operation on two sets of points that shapely has under a name."""

    def join(
        left: Geometry, right: Geometry, margin: ErrorMargin | None, projection: Projection | None
    ) -> Geometry:
        plane = working_plane([left, right], projection, margin)
        a, b = plane.shapes
        check_crossings([a, b])
        turn = plane.turn
        if turn is None or not (leaves_map(a, turn) or leaves_map(b, turn)):
            return plane.result(getattr(shapely, name)(a, b))
        found = getattr(shapely, name)(on_map(a, turn), on_map(b, turn))
        return plane.result(in_one_piece(found, turn))

    return join
