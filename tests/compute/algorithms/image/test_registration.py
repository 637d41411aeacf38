"""Registration: shifts that are known, NumPy's corrcoef and scikit-image are the oracles."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from skimage.registration import phase_cross_correlation

from tests.compute.algorithms.image.test_random_pixels import tiled
from tests.compute.conftest import GRID, HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.errors import InvalidRequest

B1 = scene_values()[0].astype(float)
MIDDLE = (slice(12, -12), slice(12, -12))


def scene(ee: ModuleType) -> Any:
    return ee.Image(SCENE).select("B1")


def test_the_best_offset_is_that_of_a_moved_image(ee: ModuleType, evaluator: Evaluator) -> None:
    moved = scene(ee).translate(2, 1, "pixels")
    image = ee.Algorithms.CrossCorrelation(scene(ee), moved, 3, 5)
    found = evaluator.masked(image)
    assert list(found) == ["deltaX", "deltaY", "distance", "correlation"]
    assert (found["deltaX"][MIDDLE] == 2).all()
    assert (found["deltaY"][MIDDLE] == 1).all()
    np.testing.assert_allclose(found["distance"][MIDDLE], np.hypot(2, 1), rtol=1e-6)
    np.testing.assert_allclose(found["correlation"][MIDDLE], 1, rtol=1e-6)
    oracle: Any = phase_cross_correlation
    shift = oracle(np.roll(B1, (1, 2), (0, 1)), B1)[0]
    assert shift.tolist() == [1, 2]
    for band in found:
        assert (tiled(evaluator, image, GRID, band) == found[band].filled(0)).all()


def test_correlations_are_numpys(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Algorithms.CrossCorrelation(
        ee.Image(SCENE).select(["B1", "B2"]), ee.Image(SCENE).select(["B2", "B3"]), 0, 7
    )
    found = evaluator.masked(image)["correlation"]
    first, second = scene_values()[:2].astype(float), scene_values()[1:].astype(float)
    for row, column in ((10, 10), (30, 41), (50, 20)):
        part = (slice(None), slice(row - 3, row + 4), slice(column - 3, column + 4))
        a, b = (
            each[part] - each[part].mean(axis=(1, 2), keepdims=True) for each in (first, second)
        )
        expected = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        assert found[row, column] == pytest.approx(expected, rel=1e-5)


def test_windows_with_too_many_masked_pixels_are_masked(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    holes = ee.Image(HOLES)
    strict = evaluator.masked(ee.Algorithms.CrossCorrelation(holes, holes, 0, 5))
    assert np.ma.getmaskarray(strict["deltaX"]).all()
    loose = evaluator.masked(ee.Algorithms.CrossCorrelation(holes, holes, 0, 5, 0.3))
    assert not np.ma.getmaskarray(loose["deltaX"])[MIDDLE].any()
    assert (hole_values() == -9999).any()


def test_displacements_are_in_metres(ee: ModuleType, evaluator: Evaluator) -> None:
    moved = scene(ee).translate(60, -90, "meters")
    image = moved.displacement(scene(ee), 120)
    found = evaluator.masked(image)
    assert list(found) == ["dx", "dy", "confidence"]
    inside = (slice(24, -24), slice(24, -24))
    np.testing.assert_allclose(found["dx"][inside], 60, atol=1e-3)
    np.testing.assert_allclose(found["dy"][inside], -90, atol=1e-3)
    assert (tiled(evaluator, image, GRID, "dx") == found["dx"].filled(0)).all()


def test_a_moved_image_is_registered(ee: ModuleType, evaluator: Evaluator) -> None:
    moved = scene(ee).translate(60, -30, "meters")
    found = evaluator.pixels(moved.register(scene(ee), 90, 150, 3))["B1"]
    inside = (slice(20, -20), slice(20, -20))
    np.testing.assert_allclose(found[inside], B1[inside], atol=0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda ee, i: ee.Algorithms.CrossCorrelation(i, ee.Image(SCENE), 1, 3), "the same bands"),
        (lambda ee, i: ee.Algorithms.CrossCorrelation(i, i, 10**6, 3), "from 0 to 32 pixels"),
        (lambda ee, i: ee.Algorithms.CrossCorrelation(i, i, 1, 10**6), "from 1 to 65 pixels"),
        (lambda ee, i: i.displacement(i, 1e9), "from 0 to 32 pixels"),
        (lambda ee, i: i.displacement(i, 30, stiffness=11), "stiffness must be from 0 to 10"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(make(ee, scene(ee)))
