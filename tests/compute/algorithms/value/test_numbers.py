"""Arithmetic of numbers is Python's and NumPy's, in Earth Engine's types."""

from __future__ import annotations

import math
import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.special

from tests.compute.conftest import Evaluator
from tileserver.errors import InvalidRequest

PAIRS = [(7, 2), (-7, 2), (2.5, -1.5), (6, 3), (0, 4)]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("add", lambda a, b: a + b),
        ("subtract", lambda a, b: a - b),
        ("multiply", lambda a, b: a * b),
        ("divide", lambda a, b: a / b),
        ("mod", math.fmod),
        ("pow", lambda a, b: np.power(float(a), float(b))),
        ("max", max),
        ("min", min),
        ("hypot", math.hypot),
        ("atan2", lambda a, b: math.atan2(b, a)),
        ("eq", lambda a, b: int(a == b)),
        ("neq", lambda a, b: int(a != b)),
        ("gt", lambda a, b: int(a > b)),
        ("gte", lambda a, b: int(a >= b)),
        ("lt", lambda a, b: int(a < b)),
        ("lte", lambda a, b: int(a <= b)),
        ("And", lambda a, b: int(bool(a and b))),
        ("Or", lambda a, b: int(bool(a or b))),
        ("bitwiseAnd", lambda a, b: int(a) & int(b)),
        ("bitwiseOr", lambda a, b: int(a) | int(b)),
        ("bitwiseXor", lambda a, b: int(a) ^ int(b)),
        ("first", lambda a, b: a),
        ("firstNonZero", lambda a, b: a or b),
    ],
)
def test_two_numbers_are_joined(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any, pair: tuple[float, float]
) -> None:
    found = evaluator.value(getattr(ee.Number(pair[0]), name)(pair[1]))
    with np.errstate(all="ignore"):
        expected = oracle(*pair)
    if math.isnan(expected):
        assert found is None
    else:
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.5, -0.5, 2, 0, -3.7])
@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("abs", np.abs),
        ("Not", lambda x: x == 0),
        ("floor", np.floor),
        ("ceil", np.ceil),
        ("round", lambda x: np.floor(x + 0.5)),
        ("signum", np.sign),
        ("sqrt", np.sqrt),
        ("cbrt", np.cbrt),
        ("exp", np.exp),
        ("log", np.log),
        ("sin", np.sin),
        ("acos", np.arccos),
        ("tanh", np.tanh),
        ("erf", math.erf),
        ("bitwiseNot", lambda x: ~int(x)),
    ],
)
def test_one_number_is_changed(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any, value: float
) -> None:
    with np.errstate(all="ignore"):
        expected = float(oracle(value))
    found = evaluator.value(getattr(ee.Number(value), name)())
    assert float(found) == pytest.approx(expected, nan_ok=True)


def test_whole_numbers_stay_whole(ee: ModuleType, evaluator: Evaluator) -> None:
    odd = ee.Number(2**62 - 1).add(2).bitwiseAnd(3)
    assert evaluator.value(odd) == (2**62 + 1) & 3
    assert evaluator.value(ee.Number(2**62).multiply(4)) == float(2**64)


def test_division_by_zero_is_zero(ee: ModuleType, evaluator: Evaluator) -> None:
    assert evaluator.value(ee.Number(5).divide(0)) == 0
    assert evaluator.value(ee.Number(5).mod(0)) == 0


@pytest.mark.parametrize(
    ("left", "right", "expected"), [(1, 3, 8), (1, 63, -(2**63)), (1, 64, 0), (1, 10**9, 0)]
)
def test_bits_are_shifted_within_64(
    ee: ModuleType, evaluator: Evaluator, left: int, right: int, expected: int
) -> None:
    assert evaluator.value(ee.Number(left).leftShift(right)) == expected
    assert evaluator.value(ee.Number(-8).rightShift(1)) == -4
    assert evaluator.value(ee.Number(-1).bitCount()) == 64


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("toByte", 300.7, 255),
        ("toInt8", -200, -128),
        ("toInt", 3.9, 3),
        ("toInt", -3.9, -3),
        ("int64", 1e30, 2.0**63),
        ("toUint16", -1, 0),
        ("toFloat", 0.1, 0.1),
        ("float", 1580428800001, 1580428800001),
        ("toDouble", 0.1, 0.1),
    ],
)
def test_a_cast_clamps_and_cuts_off(
    ee: ModuleType, evaluator: Evaluator, name: str, value: float, expected: float
) -> None:
    assert evaluator.value(getattr(ee.Number(value), name)()) == expected


def test_numbers_are_held_between_ends(ee: ModuleType, evaluator: Evaluator) -> None:
    assert evaluator.value(ee.Number(12).clamp(0, 10)) == 10
    assert evaluator.value(ee.Number(3).unitScale(1, 5)) == 0.5


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        (None, 2, "2"),
        (None, 2.0, "2"),
        (None, 2.5, "2.5"),
        (None, 1.5e-7, "1.5E-7"),
        ("%.2f", math.pi, "3.14"),
        ("%05d", 42, "00042"),
        ("%d", 42.0, "42"),
        ("%,d", 1234567, "1,234,567"),
        ("%+d km", 3, "+3 km"),
        ("%-6d|", 3, "3     |"),
        ("%x", 255, "ff"),
        ("100%% %s", 1, "100% 1"),
        ("%.1e", 12345, "1.2e+04"),
    ],
)
def test_a_number_is_written_after_a_pattern(
    ee: ModuleType, evaluator: Evaluator, pattern: str | None, value: float, expected: str
) -> None:
    number = ee.Number(value)
    assert evaluator.value(number.format(pattern) if pattern else number.format()) == expected


@pytest.mark.parametrize(
    ("text", "radix", "expected"), [("42", 10, 42), (" 2.5e3 ", 10, 2500), ("ff", 16, 255)]
)
def test_a_number_is_read(
    ee: ModuleType, evaluator: Evaluator, text: str, radix: int, expected: float
) -> None:
    assert evaluator.value(ee.Number.parse(text, radix)) == expected


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda ee: ee.Number.parse("four"), "Number.parse: Cannot parse 'four' as a number."),
        (lambda ee: ee.Number.parse("2.5", 16), "as a number"),
        (lambda ee: ee.Number.parse("1", 99), "of radix 99"),
        (lambda ee: ee.Number(1.5).format("%d"), "d != 1.5"),
        (lambda ee: ee.Number(-1).sqrt().bitwiseAnd(1), "Expected a finite number, got nan."),
        (lambda ee: ee.Number(1).format("%s %s"), "expected one conversion"),
        (lambda ee: ee.Number(1).format("%999999999d"), "expected one conversion"),
        (
            lambda ee: ee.Number(1).add(ee.Algorithms.If(1, "a", "b")),
            "Number.add: Parameter 'right': expected Number, got String.",
        ),
    ],
)
def test_what_is_no_number_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(ee))


def test_special_functions_are_scipys(ee: ModuleType, evaluator: Evaluator) -> None:
    found = [
        ee.Number(2.5).digamma(),
        ee.Number(2.5).trigamma(),
        ee.Number(0.3).erfInv(),
        ee.Number(0.3).erfcInv(),
        ee.Number(2.5).gammainc(1.5),
    ]
    expected = [
        scipy.special.psi(2.5),
        float(scipy.special.polygamma(1, 2.5)),
        scipy.special.erfinv(0.3),
        scipy.special.erfcinv(0.3),
        scipy.special.gammainc(1.5, 2.5),
    ]
    assert evaluator.value(ee.List(found)) == pytest.approx(expected, rel=1e-12)
    t = 2.5 + 607 / 128 + 0.5
    gamma = math.sqrt(2 * math.pi) / 2.5 * t**3 * math.exp(-t)
    series = evaluator.value(ee.Number(2.5).lanczos())
    assert gamma * series == pytest.approx(math.gamma(2.5), rel=1e-12)
