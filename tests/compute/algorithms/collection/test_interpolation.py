"""Images between features: distances by pyproj, weights and kriging solved pixel by pixel."""

from __future__ import annotations

import random
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pyproj import Geod

from tests.compute.conftest import Evaluator
from tileserver.contract.grids import AffineTransform, PixelGrid, Window
from tileserver.errors import InvalidRequest

RADIUS = 6_371_010.0
SPHERE = Geod(a=RADIUS, b=RADIUS)
GRID = PixelGrid(12, 9, AffineTransform(0.01, 0.0, 10.0, 0.0, -0.01, 45.0), "EPSG:4326")
"""Pixels of a hundredth of a degree."""
CHANCE = random.Random(8)
SPOTS = [(10 + CHANCE.random() * 0.12, 45 - CHANCE.random() * 0.09) for _ in range(9)]
VALUES = [CHANCE.uniform(0, 20) for _ in SPOTS]


def centres() -> Any:
    columns, rows = np.meshgrid(np.arange(12) + 0.5, np.arange(9) + 0.5)
    return 10 + columns * 0.01, 45 - rows * 0.01


def metres(lon: Any, lat: Any, spots: Any = SPOTS) -> Any:
    """Return the metres from each pixel to each spot, shape (spots, rows, columns)."""
    return np.array(
        [SPHERE.inv(lon, lat, np.full_like(lon, x), np.full_like(lat, y))[2] for x, y in spots]
    )


def spots(ee: ModuleType) -> Any:
    return ee.FeatureCollection(
        [ee.Feature(ee.Geometry.Point(p), {"v": v}) for p, v in zip(SPOTS, VALUES, strict=True)]
    )


def test_distances_to_points_are_great_circles(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(spots(ee).distance(3000), GRID)["distance"]
    expected = metres(*centres()).min(axis=0)
    assert 0 < found.mask.sum() < found.size
    np.testing.assert_array_equal(found.mask, expected > 3000)
    np.testing.assert_allclose(found.compressed(), expected[expected <= 3000], rtol=1e-6)
    assert found.dtype == np.float64


@pytest.mark.parametrize(
    "make",
    [
        lambda ee, line: ee.Geometry.LineString(line),
        lambda ee, line: ee.Geometry.Polygon([[*line, line[0]]]),
    ],
)
def test_distances_to_lines_and_boundaries_are_the_least_of_fine_points(
    ee: ModuleType, evaluator: Evaluator, make: Any
) -> None:
    line = [[10.02, 44.98], [10.09, 44.95], [10.05, 44.92]]
    shape = make(ee, line)
    ends = [*line, line[0]] if "Polygon" in shape.serialize() else line
    fine = [
        point
        for a, b in pairwise(ends)
        for point in [(*a,), *SPHERE.npts(a[0], a[1], b[0], b[1], 3000), (*b,)]
    ]
    found = evaluator.pixels(ee.FeatureCollection([shape]).distance(), GRID)["distance"]
    lon, lat = centres()
    expected = metres(lon, lat, fine[::3]).min(axis=0)
    np.testing.assert_allclose(found, expected, atol=6)


def test_a_tile_has_the_pixels_of_the_whole(ee: ModuleType, evaluator: Evaluator) -> None:
    images = [
        spots(ee).distance(),
        spots(ee).inverseDistance(5000, "v", 10, 6, 0.3),
        spots(ee).kriging("v", "gaussian", 4000, 30, 1),
    ]
    for image in images:
        whole = next(iter(evaluator.masked(image, GRID).values()))
        for column, row in ((0, 0), (6, 0), (0, 5), (6, 5)):
            window = Window(column, row, 6, 4)
            part = next(iter(evaluator.masked(image, GRID.window(window)).values()))
            np.testing.assert_allclose(part.filled(-1), whole[window.slices].filled(-1), 1e-6)


def test_weights_are_the_inverse_of_squares(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(spots(ee).inverseDistance(4000, "v", 8, 2, 0.5), GRID)["v"]
    far = metres(*centres())
    weights = np.where(far <= 4000, 1 / far**2, 0)
    total = weights.sum(axis=0)
    estimate = (weights * np.array(VALUES)[:, None, None]).sum(axis=0) / np.maximum(total, 1e-300)
    share = np.exp(-0.5 * far.min(axis=0) / 4000)
    expected = 8 + np.clip((estimate - 8) * share, -8, 8)
    np.testing.assert_array_equal(found.mask, total == 0)
    np.testing.assert_allclose(found.compressed(), expected[total > 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "rise"),
    [
        ("spherical", lambda h: np.where(h < 1, 1.5 * h - 0.5 * h**3, 1.0)),
        ("exponential", lambda h: 1 - np.exp(-3 * h)),
        ("gaussian", lambda h: 1 - np.exp(-3 * h * h)),
    ],
)
def test_kriging_solves_the_system_of_each_pixel(
    ee: ModuleType, evaluator: Evaluator, shape: str, rise: Any
) -> None:
    image = spots(ee).kriging("v", shape, 5000, 25, 2, 1e6)
    found = evaluator.pixels(image, GRID)["v"]
    lon, lat = centres()
    between = metres(*map(np.array, zip(*SPOTS, strict=True)))
    count = len(SPOTS)

    def gamma(far: Any) -> Any:
        return np.where(far > 0, 2 + 23 * rise(far / 5000), 0)

    matrix = np.ones((count + 1, count + 1))
    matrix[:count, :count] = gamma(between)
    matrix[count, count] = 0
    right = np.ones((count + 1, lon.size))
    right[:count] = gamma(metres(lon, lat).reshape(count, -1))
    weights = np.linalg.solve(matrix, right)[:count]
    expected = (weights * np.array(VALUES)[:, None]).sum(axis=0).reshape(lon.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_values_at_one_place_are_reduced(ee: ModuleType, evaluator: Evaluator) -> None:
    point = ee.Geometry.Point([10.055, 44.955])
    both = ee.FeatureCollection([ee.Feature(point, {"v": 2}), ee.Feature(point, {"v": 8})])
    mean = evaluator.pixels(both.kriging("v", "spherical", 1e5, 1, 0), GRID)["v"]
    np.testing.assert_allclose(mean, 5, rtol=1e-5)
    most = both.kriging("v", "spherical", 1e5, 1, 0, reducer=ee.Reducer.max())
    np.testing.assert_allclose(evaluator.pixels(most, GRID)["v"], 8, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda c: c.kriging("v", "round", 1, 1, 1), "shape must be one of exponential"),
        (lambda c: c.kriging("none", "spherical", 1, 1, 1), "No feature has a geometry and a num"),
        (lambda c: c.inverseDistance(-5, "v", 1, 1), "range must be a number of metres above zero"),
        (lambda c: c.distance(0), "searchRadius must be a number of metres above zero"),
    ],
)
def test_what_cannot_be_interpolated_is_named(
    ee: ModuleType, evaluator: Evaluator, make: Any, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.pixels(make(spots(ee)), GRID)
