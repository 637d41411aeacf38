"""Arithmetic of images is NumPy's on the same pixels."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import HOLES, SCENE, Evaluator, hole_values, scene_values


@pytest.mark.parametrize(
    ("name", "oracle", "dtype"),
    [
        ("add", lambda a, b: a.astype(int) + b, "uint16"),
        ("subtract", lambda a, b: a.astype(int) - b, "int32"),
        ("multiply", lambda a, b: a.astype(int) * b, "uint32"),
        ("divide", lambda a, b: np.where(b == 0, 0, a / np.where(b == 0, 1, b)), "float32"),
        ("gt", lambda a, b: a > b, "uint8"),
        ("eq", lambda a, b: a == b, "uint8"),
        ("max", np.maximum, "uint16"),
        ("mod", lambda a, b: np.where(b == 0, 0, a % np.where(b == 0, 1, b)), "uint16"),
        ("bitwiseAnd", np.bitwise_and, "uint16"),
        ("pow", lambda a, b: np.power(a.astype(float), b.astype(float)), "float64"),
    ],
)
def test_two_bands_are_joined(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any, dtype: str
) -> None:
    first, second, _ = scene_values()
    image = ee.Image(SCENE)
    joined = getattr(image.select("B1"), name)(image.select("B2"))
    found = evaluator.pixels(joined)["B1"]
    with np.errstate(all="ignore"):
        expected = oracle(first, second)
    # uint16 added to uint16 no longer fits uint16.
    assert found.dtype == np.dtype("uint32" if name == "add" else dtype)
    np.testing.assert_allclose(found, expected.astype(found.dtype), rtol=1e-6)


def test_what_is_masked_in_one_is_masked_in_both(ee: ModuleType, evaluator: Evaluator) -> None:
    holes = evaluator.masked(ee.Image(HOLES).add(ee.Image(SCENE).select("B1")))["b1"]
    expected = np.ma.masked_equal(hole_values(), -9999).astype(int) + scene_values()[0]
    assert (np.ma.getmaskarray(holes) == np.ma.getmaskarray(expected)).all()
    assert (holes == expected).all()


def test_one_band_meets_each_of_the_other_image(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE)
    found = evaluator.pixels(image.select("B1").subtract(image))
    assert found.dtype.names == ("B1", "B2", "B3")
    for i, name in enumerate(found.dtype.names):
        assert (found[name] == scene_values()[0].astype(int) - scene_values()[i]).all()


def test_bands_of_the_same_names_meet_whatever_their_order(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = ee.Image(SCENE).select(["B1", "B2"])
    found = evaluator.pixels(image.subtract(image.select(["B2", "B1"])))
    assert not found["B1"].any()
    assert not found["B2"].any()


@pytest.mark.parametrize(
    ("cast", "dtype"), [("toByte", "uint8"), ("toInt16", "int16"), ("toFloat", "float32")]
)
def test_a_cast_clamps(ee: ModuleType, evaluator: Evaluator, cast: str, dtype: str) -> None:
    found = evaluator.pixels(getattr(ee.Image(SCENE).select("B1").subtract(2000), cast)())["B1"]
    values = scene_values()[0].astype(int) - 2000
    limits = np.iinfo(dtype) if dtype != "float32" else None
    expected = values if limits is None else np.clip(values, limits.min, limits.max)
    assert found.dtype == dtype
    assert (found == expected).all()


def test_the_first_of_two_values(ee: ModuleType, evaluator: Evaluator) -> None:
    first, second = ee.Image(SCENE).select("B1").mod(3), ee.Image(SCENE).select("B2")
    b1, b2 = scene_values()[0] % 3, scene_values()[1]
    assert (evaluator.pixels(first.first(second))["B1"] == b1).all()
    either = evaluator.pixels(first.firstNonZero(second))["B1"]
    assert (either == np.where(b1 != 0, b1, b2)).all()
    old = ee.apply("Image.first_nonzero", {"image1": first, "image2": second})
    assert (evaluator.pixels(ee.Image(old))["B1"] == either).all()
    masked = evaluator.masked(ee.Image(1).first(ee.Image(HOLES)))["constant"]
    assert (np.ma.getmaskarray(masked) == (hole_values() == -9999)).all()
