"""Changes of a geometry: buffers, simpler shapes, bounds, middles, hulls, parts made one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.compute.algorithms.geometry.working_planes import (
    WorkingPlane,
    planar_in,
    turn_of,
    working_plane,
)
from tileserver.compute.context import check_length
from tileserver.compute.values.antimeridian import in_one_piece, narrowest, on_map, unrolled
from tileserver.compute.values.geodesics import around_poles, densified
from tileserver.compute.values.geometry import ErrorMargin, Geometry, rectangle
from tileserver.compute.values.geometry_limits import check_crossings
from tileserver.compute.values.image import Projection
from tileserver.compute.values.local_planes import in_metres
from tileserver.compute.values.sphere import EARTH_M, centre
from tileserver.errors import InvalidRequest

_MAX_BUFFERED_PARTS, _MAX_BUFFERED_POINTS = 5000, 100_000
_FEW_EDGES, _MOST_CROSSINGS = 100, 8000
"""Outlines of lines that cross each other are cut at each crossing."""
_METRES_PER_DEG = math.radians(1) * EARTH_M
_WIDE_DEG = 180.0
_ARC_SEGMENTS, _MOST_ARC_SEGMENTS = 16, 1000
"""Of a quarter of a circle in a buffer: an error of 0.12% of the distance, where the reference page
has 1%, and of a millionth."""
_MOST_ARC_POINTS = 20_000
_FARTHEST_M = 2e7
"""Half around the Earth."""
_QUARTER_M = 1e7


def buffered(
    geometry: Geometry, distance: float, margin: ErrorMargin | None, projection: Projection | None
) -> Geometry:
    """Return the area within a distance of a geometry; a negative distance shrinks areas.

    Args:
        geometry: points, lines or areas.
        distance: metres, or pixels of `projection`.
        margin: how closely great circles are followed, and circles.
        projection: the plane to work in; None is one in metres around each part.

    Raises:
        InvalidRequest: the distance is too large, or the geometry has too many points.
    """
    if not abs(distance) < _FARTHEST_M:
        raise InvalidRequest(f"The distance must be less than 20000000, got {distance:g}.")
    moved = planar_in(geometry, projection, margin)
    _check_buffer(moved.shape)
    segments = _segments(abs(distance), margin, projection, moved.shape)
    if projection is not None:
        return replace(moved, shape=moved.shape.buffer(distance, quad_segs=segments))
    # Each part around its own middle, where the plane is true.
    shapes = [part for part in shapely.get_parts(moved.shape) if not part.is_empty]
    parts = [_around(part, distance, segments) for part in shapes]
    return Geometry(in_one_piece(shapely.union_all(parts), 360.0))


def _segments(
    distance: float,
    margin: ErrorMargin | None,
    projection: Projection | None,
    shape: BaseGeometry,
) -> int:
    """Return how many edges a quarter of a circle needs to be as exact as a margin says."""
    unit = "meters" if projection is None else "projected"
    if margin is None or not margin.value or margin.unit != unit or distance == 0:
        return _ARC_SEGMENTS
    share = min(max(margin.value / distance, 1e-9), 1.0)
    wanted = math.ceil(math.pi / 4 / math.acos(1 - share))
    most = _MOST_ARC_POINTS // (4 * max(int(shapely.get_num_coordinates(shape)), 1))
    return max(_ARC_SEGMENTS, min(wanted, most, _MOST_ARC_SEGMENTS))


def _is_wide(shape: BaseGeometry) -> bool:
    """Tell whether a shape in degrees goes around half of the Earth: no plane of metres has it."""
    west, _, east, _ = shape.bounds if not shape.is_empty else (0.0,) * 4
    return bool(shapely.get_dimensions(shape) > 0 and east - west >= _WIDE_DEG)


def _around(part: BaseGeometry, distance: float, segments: int) -> BaseGeometry:
    if _is_wide(part):
        grown = part.buffer(distance / _METRES_PER_DEG, quad_segs=segments)
        west, _, east, _ = part.bounds
        reach = max(east - west, 360.0) / 2
        middle = (west + east) / 2
        return shapely.clip_by_rect(grown, middle - reach, -90, middle + reach, 90)
    found = in_metres(part, lambda shape: shape.buffer(distance, quad_segs=segments))
    if distance < _QUARTER_M:
        return found
    # Its outline may be around the other side of the Earth.
    outline = on_map(around_poles(unrolled(found, 360.0)), 360.0)
    is_inside = shapely.intersects(outline, on_map(part, 360.0).representative_point())
    return outline if is_inside else shapely.box(-180, -90, 180, 90) - outline


def _check_buffer(found: BaseGeometry) -> None:
    check_length(len(shapely.get_parts(found)), _MAX_BUFFERED_PARTS, "parts to buffer")
    check_length(int(shapely.get_num_coordinates(found)), _MAX_BUFFERED_POINTS, "points to buffer")
    check_crossings([found], few=_FEW_EDGES, most=_MOST_CROSSINGS)


def simplified(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> Geometry:
    """Return a geometry of fewer points, at most the margin away from the original."""
    value = margin.value if margin is not None and margin.value is not None else 0.0
    if not 0 <= value < _FARTHEST_M:
        raise InvalidRequest(f"The error margin must not be negative, got {value:g}.")
    if projection is not None or (margin is not None and margin.unit == "projected"):
        moved = geometry if projection is None else geometry.in_projection(projection)
        return replace(moved, shape=moved.shape.simplify(value))
    if geometry.is_geodesic:
        plane = working_plane([geometry], None, margin)
        simpler = _simpler(plane.result(plane.shapes[0]).shape, value)
        found = Geometry(simpler, geodesic=True)
        return replace(found.by_points(geometry.projection), geodesic=geometry.geodesic)
    straight = _simpler(planar_in(geometry, None, margin).shape, value)
    return Geometry(straight, geodesic=False).in_projection(geometry.projection)


def _simpler(found: BaseGeometry, metres: float) -> BaseGeometry:
    if found.is_empty or _is_wide(found):
        return found.simplify(metres / _METRES_PER_DEG)
    return in_metres(found, lambda shape: shape.simplify(metres))


def bounds(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> Geometry:
    """Return the planar rectangle around a geometry."""
    moved = planar_in(geometry, projection, margin)
    if moved.shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    found = narrowest(moved.shape, turn_of(projection))
    return rectangle(*found.bounds, moved.projection, False)


def centroid(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> Geometry:
    """Return the point in the middle of a geometry's parts of the highest dimension."""
    moved = planar_in(geometry, projection, margin)
    if moved.shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    has_middle = moved.shape.geom_type == "Point" or _is_wide(moved.shape)
    if projection is not None or has_middle:
        return Geometry(moved.shape.centroid, moved.projection)
    fine = moved.shape
    if not geometry.is_geodesic:
        fine = densified(fine, is_geodesic=False)
    found = centre(narrowest(fine, 360.0))
    if found is None:
        raise InvalidRequest("The geometry goes around the Earth; it has no middle.")
    return Geometry(shapely.Point(found))


def hull(geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None) -> Geometry:
    """Return the convex hull of a geometry."""
    plane = working_plane([geometry], projection, margin)
    return plane.result(narrowest(plane.shapes[0], plane.turn).convex_hull)


def dissolved(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> Geometry:
    """Return the parts of a geometry made into one."""
    plane = working_plane([geometry], projection, margin)
    return plane.result(union_in(plane))


def union_in(plane: WorkingPlane) -> BaseGeometry:
    """Return the union of all shapes of a plane, and of their parts."""
    check_crossings(plane.shapes)
    turn = plane.turn
    shapes = plane.shapes if turn is None else [on_map(shape, turn) for shape in plane.shapes]
    parts: list[Any] = [part for shape in shapes for part in shapely.get_parts(shape)]
    found = shapely.union_all(parts)
    return found if turn is None else in_one_piece(found, turn)
