"""Distances: SciPy's transforms and distances computed pair by pair are the oracles."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from tests.compute.algorithms.image.test_random_pixels import tiled
from tests.compute.conftest import GRID, HOLES, SCENE, SIDE, Evaluator, hole_values, scene_values
from tileserver.errors import InvalidRequest

POINTS = scene_values()[0] > 3970
"""About one pixel in 130."""
DOWN, ACROSS = np.mgrid[0:SIDE, 0:SIDE]
OFF_DOWN, OFF_ACROSS = (
    np.nonzero(POINTS)[axis][:, np.newaxis, np.newaxis] - each
    for axis, each in enumerate((DOWN, ACROSS))
)
"""From each pixel to each point, shape (points, height, width)."""


def points(ee: ModuleType) -> Any:
    return ee.Image(SCENE).select("B1").gt(3970)


@pytest.mark.parametrize("metric", ["squared_euclidean", "manhattan", "chebyshev"])
def test_the_fast_transform(ee: ModuleType, evaluator: Evaluator, metric: str) -> None:
    image = points(ee).fastDistanceTransform(12, "pixels", metric)
    found = evaluator.masked(image)["distance"]
    expected = {
        "squared_euclidean": OFF_DOWN**2 + OFF_ACROSS**2,
        "manhattan": abs(OFF_DOWN) + abs(OFF_ACROSS),
        "chebyshev": np.maximum(abs(OFF_DOWN), abs(OFF_ACROSS)),
    }[metric].min(axis=0)
    most = 144 if metric == "squared_euclidean" else 12
    beyond = 169 if metric == "squared_euclidean" else 13
    assert not np.ma.getmaskarray(found).any()
    assert (found == np.where(expected > most, beyond, expected)).all()
    assert (tiled(evaluator, image, GRID, "distance") == found.filled(0)).all()


def test_the_fast_transform_is_scipys(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(points(ee).fastDistanceTransform())["distance"]
    np.testing.assert_allclose(np.sqrt(found), ndimage.distance_transform_edt(~POINTS), rtol=1e-6)
    masked = ee.Image(HOLES).mask().Not().selfMask().fastDistanceTransform(16)
    shown = evaluator.masked(masked)["distance"]
    # Around the raster all is masked.
    expected = ndimage.distance_transform_edt(np.pad(hole_values() != -9999, 1))[1:-1, 1:-1]
    np.testing.assert_allclose(np.sqrt(shown), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize(("units", "unit"), [("pixels", 1), ("meters", 30)])
def test_distances_in_a_kernel(
    ee: ModuleType, evaluator: Evaluator, name: str, units: str, unit: int
) -> None:
    image = points(ee).distance(getattr(ee.Kernel, name)(6 * unit, units))
    found = evaluator.masked(image)["B1"]
    lengths = {
        "euclidean": np.hypot(OFF_DOWN, OFF_ACROSS),
        "manhattan": abs(OFF_DOWN) + abs(OFF_ACROSS),
        "chebyshev": np.maximum(abs(OFF_DOWN), abs(OFF_ACROSS)),
    }[name]
    in_square = np.maximum(abs(OFF_DOWN), abs(OFF_ACROSS)) <= 6
    expected = np.where(in_square, lengths, np.inf).min(axis=0)
    assert (np.ma.getmaskarray(found) == np.isinf(expected)).all()
    known = np.isfinite(expected)
    np.testing.assert_allclose(found[known], expected[known] * unit, rtol=1e-6)
    assert (tiled(evaluator, image, GRID, "B1") == found.filled(0)).all()


def test_masked_pixels_have_a_distance_if_they_may(ee: ModuleType, evaluator: Evaluator) -> None:
    holes = ee.Image(HOLES).gt(-10_000)
    skipped = evaluator.masked(holes.distance(ee.Kernel.euclidean(2)))["b1"]
    kept = evaluator.masked(holes.distance(ee.Kernel.euclidean(2), False))["b1"]
    hidden = hole_values() == -9999
    assert (np.ma.getmaskarray(skipped) == hidden).all()
    assert (kept.filled(-1)[hidden] == 1).all()


@pytest.mark.parametrize("angle", [0, 45, 90, -60, 200.5])
def test_distances_in_a_direction(ee: ModuleType, evaluator: Evaluator, angle: float) -> None:
    image = points(ee).directionalDistanceTransform(angle, 10)
    found = evaluator.masked(image)["distance"]
    x, y = math.cos(math.radians(angle)), -math.sin(math.radians(angle))
    longer = max(abs(x), abs(y))
    expected = np.full(POINTS.shape, np.inf)
    padded = np.pad(POINTS, 16)
    for step in range(10, 0, -1):
        column, row = round(step * x / longer), round(step * y / longer)
        length = math.hypot(column, row)
        moved = padded[16 + row : 16 + row + SIDE, 16 + column : 16 + column + SIDE]
        if length <= 10:
            expected[moved] = length
    expected[POINTS] = np.inf
    assert (np.ma.getmaskarray(found) == np.isinf(expected)).all()
    assert found.compressed() == pytest.approx(expected[np.isfinite(expected)])
    assert (tiled(evaluator, image, GRID, "distance") == found.filled(0)).all()


def test_values_found_in_a_direction(ee: ModuleType, evaluator: Evaluator) -> None:
    image = points(ee).rename("point").addBands(ee.Image(SCENE).select("B2"))
    found = evaluator.masked(image.directionalDistanceTransform(0, 5, "point"))
    assert list(found) == ["distance", "B2"]
    shown = ~np.ma.getmaskarray(found["distance"])
    columns = ACROSS[shown] + found["distance"][shown].astype(int)
    assert (found["B2"][shown] == scene_values()[1][DOWN[shown], columns]).all()
    assert shown.any()


def test_the_reverse_transform(ee: ModuleType, evaluator: Evaluator) -> None:
    heights = np.where(POINTS, scene_values()[1] % 60, 0)
    image = points(ee).multiply(ee.Image(SCENE).select("B2").mod(60)).rsedTransform(9)
    found = evaluator.pixels(image)["distance"]
    each = heights[POINTS][:, np.newaxis, np.newaxis] - OFF_DOWN**2 - OFF_ACROSS**2
    each[heights[POINTS] == 0] = 0
    assert (found == np.maximum(each.max(axis=0), 0)).all()
    assert (tiled(evaluator, image, GRID, "distance") == found).all()


def test_the_medial_axis(ee: ModuleType, evaluator: Evaluator) -> None:
    image = points(ee).medialAxis(24)
    found = evaluator.masked(image)
    squares = np.rint(ndimage.distance_transform_edt(np.pad(~POINTS, 12, constant_values=1)) ** 2)
    is_disc = (squares > 0) & (squares <= 144)
    powers = np.full((SIDE, SIDE), -np.inf)
    for row, column in np.argwhere(is_disc):
        off = (DOWN + 12 - row) ** 2 + (ACROSS + 12 - column) ** 2
        powers = np.maximum(powers, squares[row, column] - off)
    shown = ~np.ma.getmaskarray(found["xlabel"])
    inner = slice(12, 12 + SIDE)
    assert (shown == ((powers > 0) & is_disc[inner, inner])).all()
    down = found["ylabel"].filled(0).astype(int)[shown]
    across = found["xlabel"].filled(0).astype(int)[shown]
    rows, columns = DOWN[shown] + 12 + down, ACROSS[shown] + 12 + across
    assert (squares[rows, columns] - down**2 - across**2 == powers[shown]).all()
    # Discs in the middle have all their pixels in the picture.
    counts = np.zeros(squares.shape, int)
    np.add.at(counts, (rows, columns), 1)
    middle = (slice(12, -12), slice(12, -12))
    assert (found["coverage"].filled(0)[middle] == counts[inner, inner][middle]).all()
    medial, counted = found["medial"][middle], counts[inner, inner][middle] > 0
    assert (np.ma.getmaskarray(medial) == ~counted).all()
    assert medial.compressed() ** 2 == pytest.approx(squares[inner, inner][middle][counted])
    for band in found:
        assert (tiled(evaluator, image, GRID, band) == found[band].filled(0)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda i, ee: i.fastDistanceTransform(0), "neighborhood must be from 1 to"),
        (lambda i, ee: i.fastDistanceTransform(9, "meters"), "units must be pixels"),
        (lambda i, ee: i.fastDistanceTransform(9, "pixels", "far"), "metric must be one of"),
        (lambda i, ee: i.distance(ee.Kernel.circle(3)), "kernel must be one of euclidean"),
        (lambda i, ee: i.directionalDistanceTransform(0, 10**6), "maxDistance must be from 1"),
        (lambda i, ee: i.medialAxis(1000), "neighborhood must be at most 512"),
    ],
)
def test_what_is_too_far_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(make(points(ee), ee))
