"""Formulas are those of NumPy."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import HEIGHTS, SCENE, Evaluator, height_values, scene_values
from tileserver.errors import InvalidRequest

A, B, C = (band.astype(np.float64) for band in scene_values())


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("b(0) + b('B2')", A + B),
        ("float(b('B1') - b('B2')) / (b('B1') + b('B2') + 1)", (A - B) / (A + B + 1)),
        ("(b('B1') - b('B2')) / (b('B1') + b('B2') + 1)", np.floor((A - B) / (A + B + 1))),
        ("image.B1 * 2 - image['B2'] / 4", A * 2 - B // 4),
        ("image.B1 * 2 - image['B2'] / 4.0", A * 2 - B / 4),
        ("b(0) > 2000 ? b(1) : b(2)", np.where(A > 2000, B, C)),
        ("b(0) > 1000 && b(1) < 3000 || b(2) == 5", ((A > 1000) & (B < 3000)) | (C == 5)),
        ("!(b(0) >= 2000)", A < 2000),
        ("-b(0) ** 2", -(A**2)),
        ("2 ** 3 ** 2 + 0 * b(0)", np.full(A.shape, 512.0)),
        ("b(0) - b(1) - b(2)", A - B - C),
        ("b(0) % 7 + 1e1 + .5 + 0x1F", A % 7 + 10 + 0.5 + 31),
        ("sqrt(b(0)) + min(b(1), 100) + max(b(0), b(1), b(2))",
         np.sqrt(A) + np.minimum(B, 100) + np.maximum(np.maximum(A, B), C)),
        ("Math.sin(b(0)) * Math.PI", np.sin(A) * np.pi),
        ("2.5 * (b('B3') - b('B1')) / (b('B3') + 6 * b('B1') - 7.5 * b('B2') + 1)",
         2.5 * (C - A) / (C + 6 * A - 7.5 * B + 1)),
    ],
)  # fmt: skip
def test_a_formula_is_computed(
    ee: ModuleType, evaluator: Evaluator, formula: str, expected: Any
) -> None:
    image = ee.Image(SCENE)
    found = evaluator.pixels(image.expression(formula, {"image": image}))
    values = np.array(found.tolist(), np.float64)[..., 0]
    bad = ~np.isfinite(expected)
    np.testing.assert_allclose(values[~bad], expected[~bad], rtol=1e-5)


def test_all_bands_take_part_where_none_is_named(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.pixels(ee.Image(SCENE).expression("b() + b(0, 'B2', 2) * 0"))
    assert found.dtype.names == ("B1", "B2", "B3")
    assert (found["B3"] == C).all()


def test_another_image_takes_part(ee: ModuleType, evaluator: Evaluator) -> None:
    image, heights = ee.Image(SCENE), ee.Image(HEIGHTS)
    found = evaluator.masked(image.expression("h > 0 ? b('B1') : 0", {"h": heights}))
    (values,) = found.values()
    expected = np.where(height_values() > 0, A, 0)
    assert (values[:, 1:] == expected[:, 1:]).all()


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        ("b(0) +", "at its end"),
        ("b(0) $ 2", "near '$ 2'"),
        ("__import__('os')", "Unknown function '__import__'"),
        ("nowhere + 1", "Unknown variable 'nowhere'"),
        ("b('B9')", "did not match any bands"),
        ("sqrt(b(0), b(1))", "sqrt takes 1 arguments, got 2"),
        ("(" * 100 + "b(0)" + ")" * 100, "nested too deeply"),
        ("-" * 5000 + "b(0)", "nested too deeply"),
        ("b(0)" + " + 1" * 10_000, "at most 20000 characters"),
        ("", "at its end"),
    ],
)
def test_what_cannot_be_parsed_is_refused(
    ee: ModuleType, evaluator: Evaluator, formula: str, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=r"^Image\.(parseExpression|select): ") as refused:
        evaluator.pixels(ee.Image(SCENE).expression(formula))
    assert told in str(refused.value)
