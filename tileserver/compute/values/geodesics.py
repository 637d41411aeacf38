"""Great circles between the points of a shape in degrees, as many short straight edges.

Where an edge follows a great circle, points are put on it until the straight lines between them
are as near to it as the largest error says. Edges of half a turn or more stay straight in degrees,
along their parallel: they are those of maps of the world, and no great circle between such ends is
the only one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.sphere import EARTH_M, to_vectors
from tileserver.geo.short_way import short_way

LEAST_ERROR_M, USUAL_ERROR_M = 0.1, 1.0
"""Smaller errors count as the first; the second is meant where none is given."""
_CARE = 0.6
"""The error is measured at a few places of an edge; elsewhere it is somewhat larger."""
_MOST_POINTS = 150_000
"""That may be put on the edges of one shape; the longest edges get them first."""
_MOST_ROUNDS = 24
_SHARES = 0.25, 0.5, 0.75
"""Where along an edge its distance to the great circle is measured: it may have a bend each way."""
Coordinates = NDArray[np.float64]


def densified(
    shape: BaseGeometry, max_error_m: float = USUAL_ERROR_M, is_geodesic: bool = True
) -> BaseGeometry:
    """Return a shape whose edges may be taken as straight in degrees and as great circles alike.

    Args:
        shape: in degrees; steps of more than half a turn stay as they are (`unrolled` before).
        max_error_m: metres between the two; at least `LEAST_ERROR_M` counts.
        is_geodesic: whether the edges given are great circles, or are straight in degrees.
    """
    error = _CARE * max(max_error_m, LEAST_ERROR_M) / EARTH_M
    if not _may_bend(shape, error):
        return shape
    room = _Room(_MOST_POINTS)
    return _changed(shape, lambda points: _refined(points, error, room, is_geodesic))


class _Room:
    """How many more points there may be."""

    def __init__(self, points: int) -> None:
        self.points = points

    def takes(self, count: int) -> bool:
        """Take room for some points, if there is as much."""
        if count > self.points:
            return False
        self.points -= count
        return True


def _may_bend(shape: BaseGeometry, error: float) -> bool:
    points = shapely.get_coordinates(shape)
    return len(points) > 1 and bool((_most_bent(points) > error).any())


def _most_bent(points: Coordinates) -> Coordinates:
    """Return a bound on how far edges are from their great circles, in radians."""
    across, along = np.abs(np.radians(np.diff(points, axis=0))).T
    bound: Coordinates = np.where(across < math.pi, across * (across / 8 + along / 2), 0.0)
    return bound


def _changed(shape: BaseGeometry, change: Any) -> BaseGeometry:
    """Return a shape with the points of each of its lines and rings changed."""
    if isinstance(shape, shapely.Polygon):
        outer, *inner = (change(shapely.get_coordinates(r)) for r in shapely.get_rings(shape))
        return shapely.Polygon(outer, inner)
    make: Any = type(shape)
    if isinstance(shape, shapely.LineString):
        found: BaseGeometry = make(change(shapely.get_coordinates(shape)))
        return found
    if shape.is_empty or shape.geom_type in ("Point", "MultiPoint"):
        return shape
    found = make(
        [part if part.is_empty else _changed(part, change) for part in shapely.get_parts(shape)]
    )
    return found


def _refined(points: Coordinates, error: float, room: _Room, is_geodesic: bool) -> Coordinates:
    split = _most_bent(points) > error
    for _ in range(_MOST_ROUNDS):
        if split.any():
            places = np.flatnonzero(split)
            places = places[_bends(points[places], points[places + 1]) > error]
            if not len(places) or not room.takes(len(places)):
                return points
            start, stop = points[places], points[places + 1]
            middles = along(start, stop, 0.5) if is_geodesic else (start + stop) / 2
            points = np.insert(points, places + 1, middles, axis=0)
            split = np.zeros(len(points) - 1, bool)
            halves = places + np.arange(len(places))
            split[halves] = split[halves + 1] = True
    return points


def _bends(start: Coordinates, stop: Coordinates) -> Coordinates:
    """Return how far great circles are from the straight edges between points, in radians."""
    found = np.zeros(len(start))
    for share in _SHARES:
        there = along(start, stop, share)
        shrink = np.cos(np.radians(there[:, 1]))
        (edge_x, edge_y), (x, y) = (stop - start).T, (there - start).T
        edge_x, x = edge_x * shrink, x * shrink
        length = np.hypot(edge_x, edge_y)
        off = np.abs(edge_x * y - edge_y * x)
        found = np.maximum(found, np.divide(off, length, out=np.zeros_like(off), where=length > 0))
    return np.radians(found)


def along(start: Coordinates, stop: Coordinates, share: float | NDArray[np.float64]) -> Coordinates:
    """Return points in degrees on the great circles between others, at shares of the way."""
    a, b = to_vectors(start), to_vectors(stop)
    angle = np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1))
    sine = np.where(np.sin(angle) > 1e-15, np.sin(angle), 1.0)
    weights = [np.sin((1 - share) * angle) / sine, np.sin(share * angle) / sine]
    x, y, z = (a * weights[0][:, np.newaxis] + b * weights[1][:, np.newaxis]).T
    lon = np.degrees(np.arctan2(y, x))
    # A pole has every longitude.
    at_pole = np.hypot(x, y) < 1e-12
    lon = np.where(at_pole, start[:, 0], lon)
    lon = start[:, 0] + (lon - start[:, 0] + 180) % 360 - 180
    return np.column_stack([lon, np.degrees(np.arctan2(z, np.hypot(x, y)))])


def around_poles(shape: BaseGeometry) -> BaseGeometry:
    """Return a shape in degrees with each area around a pole as one that reaches it on the map.

    Such a ring does not close when it goes the short way around the Earth from point to point.
    """
    if isinstance(shape, shapely.MultiPolygon | shapely.GeometryCollection):
        make: Any = type(shape)
        found: BaseGeometry = make([around_poles(part) for part in shapely.get_parts(shape)])
        return found
    if not isinstance(shape, shapely.Polygon) or shape.is_empty:
        return shape
    points = shapely.get_coordinates(shape.exterior)
    x = short_way(points[:, 0], 360.0)
    if abs(abs(x[-1] - x[0]) - 360) > 1e-9:
        return shape
    pole = math.copysign(90.0, points[:, 1].mean())
    inner = [shapely.get_coordinates(ring) for ring in shape.interiors]
    ends = [(x[-1], pole), (x[0], pole), (x[0], points[0, 1])]
    return shapely.Polygon(np.vstack([np.column_stack([x, points[:, 1]]), ends]), inner)
