"""Values moved into other ranges."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tests.compute.conftest import HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.errors import InvalidRequest

A, B, _ = scene_values()


def test_values_are_clamped(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.pixels(ee.Image(SCENE).select("B1").clamp(100, 200))["B1"]
    assert (found == np.clip(A, 100, 200)).all()
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(-5, 1000, 200), (300, 1000, 300), (-9, -3, -3), (0.5, 1.5, 1.5)]
)
def test_bytes_are_clamped_to_numbers_that_no_byte_holds(
    ee: ModuleType, evaluator: Evaluator, low: float, high: float, expected: float
) -> None:
    image = ee.Image(200).toByte().clamp(low, high)
    assert evaluator.pixels(image)["constant"][0, 0] == expected
    arrays = ee.Image(ee.Array([200])).clamp(low, high).arrayGet([0])
    assert evaluator.pixels(arrays)["constant"][0, 0] == expected


def test_values_are_scaled(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.pixels(ee.Image(SCENE).select("B1").unitScale(1000, 3000))["B1"]
    np.testing.assert_allclose(found, (A.astype(float) - 1000) / 2000, rtol=1e-6)


def test_a_normalized_difference_is_masked_where_a_band_is_negative(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = ee.Image(SCENE)
    found = evaluator.masked(image.normalizedDifference(["B1", "B2"]))["nd"]
    a, b = A.astype(float), B.astype(float)
    expected = np.divide(a - b, a + b, out=np.zeros_like(a), where=a + b != 0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.mask.sum() == 0
    holes = evaluator.masked(ee.Image(HOLES).addBands(image).normalizedDifference(["b1", "B1"]))
    hidden = hole_values() < 0
    assert (np.ma.getmaskarray(holes["nd"]) == hidden).all()
    zero = evaluator.masked(ee.Image([0, 0]).normalizedDifference())["nd"]
    assert not np.ma.getmaskarray(zero).any()
    assert (zero == 0).all()


def test_values_are_exchanged(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").mod(4)
    found = evaluator.masked(image.remap([2, 0, 1], [20, 5, 10]))["remapped"]
    assert (np.ma.getmaskarray(found) == (A % 4 == 3)).all()
    assert set(found.compressed()) == {5, 10, 20}
    filled = evaluator.pixels(image.remap([2, 0, 1], [20, 5, 10], -1))["remapped"]
    assert (filled == np.choose(A % 4, [5, 10, 20, -1])).all()


def test_values_run_along_straight_lines(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1")
    found = evaluator.pixels(image.interpolate([1000, 2000, 3000], [0, 1, 5]))["B1"]
    expected = np.interp(A, [1000, 2000, 3000], [0, 1, 5])
    expected = np.where(A < 1000, (A.astype(float) - 1000) / 1000, expected)
    expected = np.where(A > 3000, 5 + (A.astype(float) - 3000) / 250, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_range_of_nothing_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"Image.unitScale: low and high must differ"):
        evaluator.pixels(ee.Image(SCENE).unitScale(5, 5))
