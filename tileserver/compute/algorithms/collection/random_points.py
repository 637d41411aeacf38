"""Points at random in a geometry, uniform on the sphere.

Source: Google's reference page of FeatureCollection.randomPoints. The points are not Earth
Engine's, which does not say how it draws them, but the same for the same seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.context import Context, check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, Feature, indexed
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.sphere import length_m
from tileserver.errors import InvalidRequest

MAX_POINTS = 100_000
_BATCH = 20_000
_ROUNDS = 5_000
"""Batches drawn before a region is said to be too thin."""
_MARGIN = 'ErrorMargin = {"type": "ErrorMargin", "unit": "meters", "value": 100.0}'
Points = NDArray[np.float64]


@algorithm(
    "FeatureCollection.randomPoints(region: Geometry, points: Integer = 1000.0, seed: Long = 0.0,"
    f" maxError: {_MARGIN}) -> FeatureCollection"
)
def random_points(
    context: Context, region: Geometry, count: int, seed: int, error: Any
) -> Collection:
    """Return points that are uniformly random in a region, along its lines, or among its points."""
    if count < 0:
        raise InvalidRequest(f"points must not be negative, got {count}.")
    check_length(count, MAX_POINTS, "points")
    chance = np.random.default_rng(abs(seed) * 2 + (seed < 0))
    shape = region.in_degrees()
    if shape.is_empty:
        raise InvalidRequest("The region is empty.")
    found = _points_in(context, shape, count, chance)
    made = [Feature(Geometry(shapely.Point(x, y))) for x, y in found.tolist()]
    return Collection("FeatureCollection", indexed(made))


def _points_in(
    context: Context, shape: BaseGeometry, count: int, chance: np.random.Generator
) -> Points:
    """Return points in the parts of the highest dimension, shape (count, 2)."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    most = max(shapely.get_dimensions(parts))
    chosen = parts[shapely.get_dimensions(parts) == most]
    if most == 2:
        return _in_polygons(context, shapely.multipolygons(chosen), count, chance)
    if most == 1:
        return _along_lines(chosen, count, chance)
    points: Points = shapely.get_coordinates(chosen)
    return points[chance.integers(len(points), size=count)]


def _in_polygons(
    context: Context, shape: BaseGeometry, count: int, chance: np.random.Generator
) -> Points:
    west, south, east, north = shape.bounds
    low, high = np.sin(np.radians([south, north]))
    shapely.prepare(shape)
    kept = np.empty((0, 2))
    for _ in range(_ROUNDS):
        if len(kept) >= count:
            return kept[:count]
        context.budget.check_time()
        x = chance.uniform(west, east, _BATCH)
        y = np.degrees(np.arcsin(chance.uniform(low, high, _BATCH)))
        inside = shapely.contains_xy(shape, x, y)
        kept = np.concatenate([kept, np.stack([x, y], axis=1)[inside]])
    raise InvalidRequest("The region is too small a part of its bounds to draw points in it.")


def _along_lines(lines: Any, count: int, chance: np.random.Generator) -> Points:
    """Return points along lines; an edge is as likely as it is long on the sphere."""
    edges = [np.stack([c[:-1], c[1:]], axis=1) for c in map(shapely.get_coordinates, lines)]
    ends = np.concatenate(edges)
    lengths = np.array([length_m(shapely.LineString(edge), True) for edge in ends])
    if not lengths.sum():
        return np.asarray(ends[chance.integers(len(ends), size=count), 0])
    chosen = ends[chance.choice(len(ends), size=count, p=lengths / lengths.sum())]
    share = chance.random((count, 1))
    found: Points = chosen[:, 0] + share * (chosen[:, 1] - chosen[:, 0])
    return found
