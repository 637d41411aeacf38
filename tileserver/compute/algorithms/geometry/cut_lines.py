"""`cutLines`: lines in pieces, cut at distances along them.

Google's page says of the distances that they are "along each LineString to cut the line into
separate pieces": each line is cut at all of them that are shorter than it. Those that are not above
zero cut nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.algorithms.geometry.methods import required_geometry, with_geometry
from tileserver.compute.algorithms.geometry.working_planes import metres_of, planar_in
from tileserver.compute.context import Context, check_length
from tileserver.compute.plain_values import number_in
from tileserver.compute.registry import algorithm
from tileserver.compute.values.antimeridian import unrolled
from tileserver.compute.values.feature import Element, Feature
from tileserver.compute.values.geodesics import along, densified
from tileserver.compute.values.geometry import MAX_POINTS, ErrorMargin, Geometry
from tileserver.compute.values.image import DEFAULT_PROJECTION, Projection
from tileserver.compute.values.sphere import EARTH_M, distances
from tileserver.geo.crs import WGS84

_REST = "distances: List, maxError: ErrorMargin = null, proj: Projection = null"
_LINES = ("LineString", "LinearRing")
Coordinates = NDArray[np.float64]


@algorithm(f"Geometry.cutLines(geometry: Geometry, {_REST}) -> Geometry")
def cut_lines(
    context: Context,
    geometry: Geometry,
    places: Sequence[Any],
    margin: ErrorMargin | None,
    projection: Projection | None,
) -> Geometry:
    """Return the lines of a geometry in pieces; of points and areas nothing.

    The distances are in metres, or in units of the projection.
    """
    cuts = np.unique([number_in(each, "A distance") for each in places])
    cuts = cuts[cuts > 0]
    shape = _measured_shape(geometry, margin, projection)
    is_planar = projection is not None
    pieces: list[Coordinates] = []
    for line in shapely.get_parts(shape):
        context.budget.check_time()
        if line.geom_type in _LINES:
            pieces += _cut(shapely.get_coordinates(line), cuts, is_planar)
            check_length(len(pieces), MAX_POINTS // 4, "pieces of lines")
    found = shapely.MultiLineString([each for each in pieces if len(each) > 1])
    if projection is not None:
        return Geometry(found, projection, False)
    return Geometry(found, DEFAULT_PROJECTION, None if geometry.is_geodesic else False)


@algorithm(f"Feature.cutLines(feature: Element, {_REST}) -> Feature")
def cut_lines_of_feature(context: Context, element: Element, *given: Any) -> Feature:
    """Return a feature with the lines of its geometry in pieces."""
    places, margin, projection = given
    found = cut_lines(context, required_geometry(element), places, margin, projection)
    return with_geometry(element, found)


def _measured_shape(
    geometry: Geometry, margin: ErrorMargin | None, projection: Projection | None
) -> BaseGeometry:
    """Return a shape whose edges are straight in the projection, or great circles without one."""
    if projection is not None:
        return planar_in(geometry, projection, margin).shape
    if geometry.is_geodesic:
        return unrolled(geometry.in_crs_by_points(WGS84), 360.0)
    straight = geometry.in_degrees(metres_of(margin))
    return densified(straight, metres_of(margin), is_geodesic=False)


def _cut(points: Coordinates, cuts: Coordinates, is_planar: bool) -> list[Coordinates]:
    """Return a line in pieces; distances are straight, or along great circles in metres."""
    if len(points) < 2:
        return []
    steps = np.hypot(*np.diff(points, axis=0).T) if is_planar else distances(points) * EARTH_M
    ends = np.concatenate([[0.0], np.cumsum(steps)])
    cuts = cuts[cuts < ends[-1]]
    legs = np.clip(np.searchsorted(ends, cuts, side="right") - 1, 0, len(steps) - 1)
    share = (cuts - ends[legs]) / np.where(steps[legs] > 0, steps[legs], 1.0)
    start, stop = points[legs], points[legs + 1]
    straight = start + (stop - start) * share[:, np.newaxis]
    new = straight if is_planar else along(start, stop, share)
    whole = np.insert(points, legs + 1, new, axis=0)
    at = legs + 1 + np.arange(len(legs))
    bounds = [0, *at, len(whole) - 1]
    return [_without_repeats(whole[a : b + 1]) for a, b in pairwise(bounds)]


def _without_repeats(points: Coordinates) -> Coordinates:
    """Return the points of a piece without those in one place with the one before."""
    keeps = np.concatenate([[True], (np.diff(points, axis=0) != 0).any(axis=1)])
    found: Coordinates = points[keeps]
    return found
