"""Special functions of numbers and formulas over them, beside the values of Google's reference."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import pytest
import scipy.special

from tests.compute.conftest import Evaluator
from tileserver.errors import InvalidRequest

STATED: list[tuple[str, tuple[float, ...], float]] = [
    ("digamma", (-1.5,), 0.703156637),
    ("digamma", (-1,), -math.inf),
    ("digamma", (0,), -math.inf),
    ("digamma", (0.5,), -1.963510028),
    ("digamma", (100,), 4.600161852),
    ("digamma", (1e13,), 29.933606208),
    ("trigamma", (-100,), math.inf),
    ("trigamma", (0.001,), 1000001.642533195),
    ("trigamma", (0.5,), 4.934802200),
    ("trigamma", (200,), 0.005012520),
    ("erfInv", (-1,), -math.inf),
    ("erfInv", (-0.001,), -0.000886227),
    ("erfInv", (0,), 0),
    ("erfInv", (1,), math.inf),
    ("erfcInv", (0,), math.inf),
    ("erfcInv", (0.001,), 2.326753765),
    ("erfcInv", (1,), 0),
    ("lanczos", (-1,), math.inf),
    ("lanczos", (-0.9,), 524.955196990),
    ("lanczos", (0,), 32.946318679),
    ("lanczos", (10,), 2.281783181),
    ("gammainc", (0, 1), 0),
    ("gammainc", (1, 1), 0.632120558),
    ("gammainc", (10, 1), 0.999954600),
    ("gammainc", (-1, 1), math.nan),
    ("gammainc", (10, -1), math.nan),
    ("gammainc", (1.5, 2.5), float(scipy.special.gammainc(2.5, 1.5))),
]
"""Values that pages such as https://developers.google.com/earth-engine/apidocs/ee-number-lanczos
print, and one of SciPy."""


@pytest.mark.parametrize(("name", "given", "expected"), STATED)
def test_a_function_has_the_value_of_the_reference(
    ee: ModuleType, evaluator: Evaluator, name: str, given: tuple[float, ...], expected: float
) -> None:
    number = ee.Number(given[0])
    found = float(evaluator.value(getattr(number, name)(*given[1:])))
    assert found == pytest.approx(expected, abs=1e-8, rel=1e-8, nan_ok=True)


X, Y = 5, 10
FORMULAS: list[tuple[str, Any]] = [
    ("x + y", X + Y), ("x - y", X - Y), ("x * y", X * Y), ("x / y", X / Y), ("x ** y", X**Y),
    ("x % y", X % Y), ("x || y", 1), ("x && y", 1), ("!(x)", 0), ("x > y", 0), ("x >= y", 0),
    ("x < y", 1), ("x <= y", 1), ("x == y", 0), ("x != y", 1), ("(x < y) ? 100 : 1000", 100),
    ("100 * (x + y)", 1500), ("Math.PI", math.pi), ("Math.E", math.e), ("vals.x * vals.y", 50),
    ("vals['x'] + 1", 6), ("add(x, y)", 15), ("subtract(add(x, y), 5)", 10), ("-x ** 2", -25),
    ("max(x, y, 12)", 12), ("a = x + 1; a * a", 36), ("sqrt(x * x)", 5), ("erfInv(0)", 0),
]  # fmt: skip
"""The kinds that https://developers.google.com/earth-engine/apidocs/ee-number-expression lists."""


@pytest.mark.parametrize(("formula", "expected"), FORMULAS)
def test_a_formula_is_computed(
    ee: ModuleType, evaluator: Evaluator, formula: str, expected: float
) -> None:
    given = {"x": X, "y": Y, "vals": {"x": X, "y": Y}}
    assert evaluator.value(ee.Number.expression(formula, given)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("x + ", "Cannot parse the formula"),
        ("z + 1", "Unknown variable 'z'"),
        ("open(x)", "Unknown function 'open'"),
        ("vals.z", "The dictionary has no 'z'"),
        ("x.y", "Expected a dictionary"),
        ("b(0)", "Unknown function 'b'"),
        ("vals", "Expected a formula of a number"),
        ("b()", "Unknown function 'b'"),
        ("(" * 100, "nested too deeply"),
        ("vals + 1", "expected Number, got Dictionary"),
    ],
)
def test_a_bad_formula_is_refused(
    ee: ModuleType, evaluator: Evaluator, formula: str, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=r"^Number\.") as raised:
        evaluator.value(ee.Number.expression(formula, {"x": 1, "vals": {"x": 1}}))
    assert said in str(raised.value)
