"""Images interpolated between features: distances, inverse-distance weights, kriging.

Source: Google's reference pages and its guide to interpolation, which names the methods and gives
no formulas. Decided where they are silent:
- A feature is where the centroid of its geometry is; features at one place have one value, reduced
  by `reducer`, else their mean. Features without a geometry or number are left out.
- `inverseDistance`: weights are 1 / d², and the estimate tends from their mean towards the global
  mean as the nearest point is further away: z = m + (idw - m) exp(-gamma d / range), kept within
  four standard deviations of the mean. Masked where no point is within `range`.
- `kriging`: ordinary kriging among the 24 nearest points within `maxDistance`. The semivariogram
  grows from the nugget to the sill; an exponential or gaussian one has reached 95 % of it at its
  range. Masked where no point is within reach.
Distances are along great circles; those of `distance` to lines are to points of them at most 25 m
apart, or of a 200,000th of all lines, and from these to the lines between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.compute.context import Context, check_elements, check_length
from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixels.nearby_points import Points, metres_of, unit_vectors
from tileserver.compute.plain_values import to_number
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, geometry_of
from tileserver.compute.values.image import DEFAULT_PROJECTION, Band, Image
from tileserver.compute.values.pixel_type import DOUBLE, FLOAT, PixelType
from tileserver.compute.values.reducer import Reducer, column_of
from tileserver.compute.values.sphere import EARTH_M
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest, shown

_NEIGHBOURS = 24
_STEP_M = 25.0
_MOST_SAMPLES = 200_000
_MOST_EDGES = 500_000
_AROUND = 4
"""Nearest points of lines whose segments are measured."""
Numbers = NDArray[np.float64]


def _image(name: str, type_: PixelType, compute: Callable[[PixelGrid], Pixels]) -> Image:
    return Image((Band(name, type_, DEFAULT_PROJECTION, None, ApplyOnGrid(compute)),))


def _pixels(grid: PixelGrid, values: Numbers, dtype: Any) -> Pixels:
    """Return values in rows as pixels, masked where they are not finite."""
    shape = (grid.height, grid.width)
    known = np.isfinite(values)
    found = np.where(known, values, 0).astype(dtype)
    return Pixels(found.reshape(shape), known.astype(np.float32).reshape(shape))


@algorithm(
    "Collection.distance(features: FeatureCollection, searchRadius: Float = 100000.0,"
    " maxError: Float = 100.0) -> Image"
)
def distance(context: Context, collection: Collection, radius: float, error: float) -> Image:
    """Return the metres from each pixel's centre to the nearest point, line or boundary."""
    if not 0 < radius < math.inf:
        raise InvalidRequest(f"searchRadius must be a number of metres above zero, got {radius:g}.")
    starts, ends = _segments(context, collection)
    samples, owners = _samples(starts, ends)
    if not len(samples):
        return _image("distance", DOUBLE, lambda grid: _nowhere(grid, np.float64))
    points = Points(samples)

    def compute(grid: PixelGrid) -> Pixels:
        found = np.full(grid.width * grid.height, np.inf)
        for part, centres, numbers, metres in points.near(grid, _AROUND, radius + _STEP_M * 2):
            nearest = metres.min(axis=1)
            near = np.flatnonzero(np.isfinite(nearest))
            for column in range(numbers.shape[1]):
                known = near[np.isfinite(metres[near, column])]
                segment = owners[numbers[known, column]]
                between = _to_segments(centres[known], starts[segment], ends[segment])
                nearest[known] = np.minimum(nearest[known], between)
            found[part] = np.where(nearest <= radius, nearest, np.inf)
        return _pixels(grid, found, np.float64)

    return _image("distance", DOUBLE, compute)


def _nowhere(grid: PixelGrid, dtype: Any) -> Pixels:
    return _pixels(grid, np.full(grid.width * grid.height, np.nan), dtype)


def _segments(context: Context, collection: Collection) -> tuple[Numbers, Numbers]:
    """Return the ends of all edges as unit vectors; a point is an edge from itself to itself."""
    check_elements(len(collection.elements))
    starts: list[Numbers] = [np.empty((0, 2))]
    ends: list[Numbers] = [np.empty((0, 2))]
    for element in collection.elements:
        context.budget.check_time()
        found = geometry_of(element)
        if found is None:
            continue
        for part in shapely.get_parts(shapely.get_parts(found.in_degrees())):
            rings = shapely.get_rings(part) if part.geom_type == "Polygon" else [part]
            for line in rings:
                points = shapely.get_coordinates(line)
                starts.append(points[: max(len(points) - 1, 1)])
                ends.append(points[1:] if len(points) > 1 else points)
    one, two = np.concatenate(starts), np.concatenate(ends)
    check_length(len(one), _MOST_EDGES, "edges")
    return unit_vectors(one[:, 0], one[:, 1]), unit_vectors(two[:, 0], two[:, 1])


def _samples(starts: Numbers, ends: Numbers) -> tuple[Numbers, NDArray[np.intp]]:
    """Return points along edges, and the edge that each is of."""
    lengths = metres_of(np.linalg.norm(ends - starts, axis=1))
    step = max(_STEP_M, float(lengths.sum()) / _MOST_SAMPLES)
    counts = np.ceil(lengths / step).astype(np.intp) + 1
    owners = np.repeat(np.arange(len(starts)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    share = (np.arange(len(owners)) - first) / np.maximum(np.repeat(counts - 1, counts), 1)
    mixed = starts[owners] * (1 - share[:, None]) + ends[owners] * share[:, None]
    return mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12), owners


def _to_segments(points: Numbers, starts: Numbers, ends: Numbers) -> Numbers:
    """Return the metres from points to arcs of great circles, all arrays of unit vectors."""
    normal = np.cross(starts, ends)
    size = np.linalg.norm(normal, axis=1)
    to_ends = np.minimum(
        np.linalg.norm(points - starts, axis=1), np.linalg.norm(points - ends, axis=1)
    )
    found = metres_of(to_ends)
    normal = normal / np.maximum(size, 1e-300)[:, None]
    height = (points * normal).sum(axis=1)
    foot = points - height[:, None] * normal
    is_within = (
        (size > 1e-15)
        & ((np.cross(starts, foot) * normal).sum(axis=1) >= 0)
        & ((np.cross(foot, ends) * normal).sum(axis=1) >= 0)
    )
    across = EARTH_M * np.arcsin(np.clip(np.abs(height), 0, 1))
    return np.where(is_within, np.minimum(across, found), found)


def _places(
    context: Context, collection: Collection, name: str, reducer: Reducer | None
) -> tuple[Points, Numbers]:
    """Return the places of features and a number at each."""
    check_elements(len(collection.elements))
    groups: dict[tuple[float, float], list[float]] = {}
    for element in collection.elements:
        context.budget.check_time()
        found, value = geometry_of(element), to_number(element.properties.get(name), context)
        if found is not None and value is not None and math.isfinite(value):
            middle = found.in_degrees().centroid
            if not middle.is_empty:
                groups.setdefault((middle.x, middle.y), []).append(float(value))
    if not groups:
        raise InvalidRequest(
            f"No feature has a geometry and a number in its property {shown(name)}."
        )
    values = np.array([_one(each, reducer) for each in groups.values()], dtype=np.float64)
    lon, lat = np.array(list(groups)).T
    return Points(unit_vectors(lon, lat)), values


def _one(values: list[float], reducer: Reducer | None) -> float:
    """Return one number for several at a place."""
    if reducer is None:
        return sum(values) / len(values)
    reducer.check_inputs(1, "values")
    found = next(iter(reducer.results([column_of(iter(values))]).values()))
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise InvalidRequest("The reducer must give a number.")
    return float(found)


def _metres(value: float, name: str) -> float:
    if not 0 < value < math.inf:
        raise InvalidRequest(f"{name} must be a number of metres above zero, got {value:g}.")
    return value


@algorithm(
    "FeatureCollection.inverseDistance(collection: FeatureCollection, range: Float,"
    " propertyName: String, mean: Float, stdDev: Float, gamma: Float = 1.0,"
    " reducer: Reducer = null) -> Image"
)
def inverse_distance(
    context: Context,
    collection: Collection,
    reach: float,
    name: str,
    mean: float,
    deviation: float,
    gamma: float,
    reducer: Reducer | None,
) -> Image:
    """Return an estimate of a property at each pixel, features weighted by their distance."""
    points, values = _places(context, collection, name, reducer)
    _metres(reach, "range")

    def compute(grid: PixelGrid) -> Pixels:
        found = np.full(grid.width * grid.height, np.nan)
        for part, _, numbers, metres in points.near(grid, _NEIGHBOURS, reach):
            weights = 1 / np.maximum(metres, 1e-3) ** 2
            known = np.append(values, 0.0)[numbers]
            total = weights.sum(axis=1)
            estimate = (weights * known).sum(axis=1) / np.maximum(total, 1e-300)
            share = np.exp(-gamma * np.where(total > 0, metres[:, 0], 0) / reach)
            off = np.clip((estimate - mean) * share, -4 * deviation, 4 * deviation)
            found[part] = np.where(total > 0, mean + off, np.nan)
        return _pixels(grid, found, np.float32)

    return _image(name, FLOAT, compute)


SHAPES: Mapping[str, Callable[[Numbers], Numbers]] = {
    "exponential": lambda h: 1 - np.exp(-3 * h),
    "gaussian": lambda h: 1 - np.exp(-3 * h**2),
    "spherical": lambda h: np.where(h < 1, 1.5 * h - 0.5 * h**3, 1.0),
}
"""Semivariograms by Earth Engine's name, from 0 to 1, of the distance in ranges."""


@algorithm(
    "FeatureCollection.kriging(collection: FeatureCollection, propertyName: String,"
    " shape: String, range: Float, sill: Float, nugget: Float, maxDistance: Float = null,"
    " reducer: Reducer = null) -> Image"
)
def kriging(
    context: Context,
    collection: Collection,
    name: str,
    shape: str,
    reach: float,
    sill: float,
    nugget: float,
    most_m: float | None,
    reducer: Reducer | None,
) -> Image:
    """Return the estimate of ordinary kriging of a property at each pixel."""
    rise = SHAPES.get(shape.lower())
    if rise is None:
        raise InvalidRequest(f"shape must be one of {', '.join(SHAPES)}, got {shown(shape)}.")
    points, values = _places(context, collection, name, reducer)
    limit = _metres(_metres(reach, "range") if most_m is None else most_m, "maxDistance")
    height = rise

    def gamma(metres: Numbers) -> Numbers:
        far = np.where(np.isfinite(metres), metres, 0.0) / reach
        return np.where(far > 0, nugget + (sill - nugget) * height(far), 0.0)

    def compute(grid: PixelGrid) -> Pixels:
        found = np.full(grid.width * grid.height, np.nan)
        for part, _, numbers, metres in points.near(grid, _NEIGHBOURS, limit):
            found[part] = _kriged(points, values, numbers, metres, gamma)
        return _pixels(grid, found, np.float32)

    return _image(name, FLOAT, compute)


def _kriged(
    points: Points,
    values: Numbers,
    numbers: NDArray[np.intp],
    metres: Numbers,
    gamma: Callable[[Numbers], Numbers],
) -> Numbers:
    """Return the estimates of pixels, of the points near each; NaN where there is none."""
    count, most = numbers.shape
    is_there = np.isfinite(metres)
    vectors = np.concatenate([points.vectors, np.zeros((1, 3))])[numbers]
    chords = np.linalg.norm(vectors[:, :, None] - vectors[:, None, :], axis=3)
    both = is_there[:, :, None] & is_there[:, None, :]
    matrix = np.zeros((count, most + 1, most + 1))
    matrix[:, :most, :most] = np.where(both, gamma(metres_of(chords)), 0.0)
    # A place that is left empty has the weight zero.
    matrix[:, :most, :most] += np.where(is_there[:, :, None], 0.0, np.eye(most))
    matrix[:, :most, most] = matrix[:, most, :most] = is_there
    right = np.ones((count, most + 1))
    right[:, :most] = np.where(is_there, gamma(metres), 0.0)
    none = ~is_there.any(axis=1)
    matrix[none, most, most] = 1.0
    # Unlike points may be too close to tell apart.
    matrix[:, range(most), range(most)] -= 1e-10 * is_there
    weights = np.linalg.solve(matrix, right[:, :, None])[:, :most, 0]
    found = (weights * np.where(is_there, np.append(values, 0.0)[numbers], 0.0)).sum(axis=1)
    return np.where(none, np.nan, found)
