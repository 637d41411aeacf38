"""Arithmetic of arrays is NumPy's and SciPy's, and as Google's pages of ee.Array state it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.special

from tests.compute.conftest import Evaluator
from tileserver.errors import InvalidRequest

INTEGERS = [[5, -7, 0], [3, 12, 1]]
FLOATS = [[0.5, -1.5, 0.0], [3.25, 0.75, 2.0]]
OTHER = [[2, 3, 4], [1, -5, 6]]


@pytest.mark.parametrize("left", [INTEGERS, FLOATS], ids=["integers", "floats"])
@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("add", np.add),
        ("subtract", np.subtract),
        ("multiply", np.multiply),
        ("divide", np.divide),
        ("mod", np.fmod),
        ("max", np.maximum),
        ("min", np.minimum),
        ("hypot", np.hypot),
        ("atan2", lambda x, y: np.arctan2(y, x)),
        ("pow", lambda x, y: np.power(x.astype(float), y)),
        ("eq", np.equal),
        ("neq", np.not_equal),
        ("gt", np.greater),
        ("gte", np.greater_equal),
        ("lt", np.less),
        ("lte", np.less_equal),
        ("And", np.logical_and),
        ("Or", np.logical_or),
        ("first", lambda x, y: x),
        ("firstNonZero", lambda x, y: np.where(x != 0, x, y)),
    ],
)
def test_pairs_of_elements_are_joined(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Callable[..., Any], left: Any
) -> None:
    found = evaluator.value(getattr(ee.Array(left), name)(ee.Array(OTHER)))
    with np.errstate(all="ignore"):
        expected = oracle(np.array(left), np.array(OTHER)).astype(float)
    shown = np.array(found, dtype=object)
    assert shown.shape == expected.shape
    finite = np.isfinite(expected)
    assert np.allclose(shown[finite].astype(float), expected[finite], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("bitwiseAnd", np.bitwise_and),
        ("bitwise_or", np.bitwise_or),
        ("bitwiseXor", np.bitwise_xor),
        ("leftShift", np.left_shift),
        ("right_shift", np.right_shift),
    ],
)
def test_bits_are_joined(ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any) -> None:
    left, right = np.array([6, -6, 255, 1]), np.array([1, 11, 3, 40])
    built = ee.Array(left.tolist()), ee.Array(right.tolist())
    found = evaluator.value(ee.apply(f"Array.{name}", dict(zip(("left", "right"), built))))  # noqa: B905
    assert found == oracle(left, right).tolist()


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        *((name, getattr(np, name)) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")),
        *((name, getattr(np, name)) for name in ("exp", "abs", "floor", "ceil", "cbrt")),
        *(("asin", np.arcsin), ("acos", np.arccos), ("atan", np.arctan), ("signum", np.sign)),
        *(("sqrt", np.sqrt), ("log", np.log), ("log10", np.log10)),
        ("round", lambda x: np.floor(x + 0.5)),
        ("Not", lambda x: x == 0),
        ("gamma", scipy.special.gamma),
        ("digamma", scipy.special.digamma),
        ("trigamma", lambda x: np.where(x > 0, scipy.special.polygamma(1, x), np.nan)),
        ("erf", scipy.special.erf),
        ("erfc", scipy.special.erfc),
        ("erfInv", scipy.special.erfinv),
        ("erfcInv", scipy.special.erfcinv),
    ],
)
def test_elements_are_passed_through_functions(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Callable[..., Any]
) -> None:
    values = np.array([0.25, 0.75, 0.5, -0.4])
    found = np.array(evaluator.value(getattr(ee.Array(values.tolist()), name)()), dtype=object)
    with np.errstate(all="ignore"):
        expected = np.asarray(oracle(values), dtype=float)
    known = np.isfinite(expected)
    assert np.allclose(found[known].astype(float), expected[known], rtol=1e-12)


def test_trigamma_and_lanczos_below_zero(ee: ModuleType, evaluator: Evaluator) -> None:
    """The derivative of digamma, and gamma computed with the series (Godfrey's constants)."""
    found = evaluator.value(ee.Array([-0.4, -1.3]).trigamma())
    step = 1e-6
    slope = [
        (scipy.special.digamma(x + step) - scipy.special.digamma(x - step)) / (2 * step)
        for x in (-0.4, -1.3)
    ]
    assert found == pytest.approx(slope, rel=1e-6)
    x = np.array([0.5, 1.0, 2.0, 3.3, 10.0])
    series = np.array(evaluator.value(ee.Array(x.tolist()).lanczos()))
    t = x + 607 / 128 + 0.5
    gamma = np.sqrt(2 * np.pi) / x * t ** (x + 0.5) * np.exp(-t) * series
    assert np.allclose(gamma, scipy.special.gamma(x), rtol=1e-12)


def test_gammainc_is_the_chi_square_distribution(ee: ModuleType, evaluator: Evaluator) -> None:
    """As in Google's tutorial on changes in Sentinel-1 imagery: x, then the shape."""
    found = evaluator.value(ee.Array([0.5, 2.0, 7.5]).gammainc(ee.Array([1.0, 1.5, 4.0])))
    assert found == pytest.approx(scipy.special.gammainc([1.0, 1.5, 4.0], [0.5, 2.0, 7.5]).tolist())


def stated(ee: ModuleType) -> dict[str, tuple[Any, Any]]:
    """Return computations and their values as the pages of ee.Array state them."""
    a = ee.Array
    int8 = ee.PixelType.int8()
    return {
        "ee.Array: empty": (a([], int8), []),
        "ee.Array: empty rows": (a([[], []], ee.PixelType.float()), [[], []]),
        "ee.Array: of a list": (a(ee.List.sequence(0, 10, 2)), [0, 2, 4, 6, 8, 10]),
        "ee.Array: of an array": (a(a([1, 2, 3])), [1, 2, 3]),
        "add: a number": (a([[0, 1, 2], [3, 4, 5]]).add(1), [[1, 2, 3], [4, 5, 6]]),
        "add: empty": (a([], int8).add(a([], int8)), []),
        "abs": (a([[-3.1, -2], [-1, 0]]).abs(), [[3.1, 2], [1, 0]]),
        "multiply": (a([1, -2, 2, 4]).multiply([-1, -4, -1, 1.2]), [-1, 8, -2, 4.8]),
        "divide: by zero": (a(2).divide(0), 0),
        "divide: a number by an array": (a(2).divide([1]), [2]),
        "divide: by a number": (a([3, 4]).divide(2), [1.5, 2]),
        "divide: by an array": (a([3, 4]).divide([2, 4]), [1.5, 1]),
        "mod: signs": (a([-1, -7, -8, -9]).mod([8, 8, 8, 8]), [-1, -7, 0, -1]),
        "mod: negative": (a([8, 8, 8, 8]).mod([-1, -7, -8, -9]), [0, 1, 0, 8]),
        "mod: floats": (a([2.5]).mod([1.2]), [0.10000000000000009]),
        "pow: halves": (a([-2] * 6).pow([-2, -1, 0, 1, 2, 3]), [0.25, -0.5, 1, -2, 4, -8]),
        "pow: of single precision": (
            a([10] * 4).pow([-2, -1, 0, 3]),
            [0.009999999776482582, 0.10000000149011612, 1, 1000],
        ),
        "pow: 0": (a([0] * 4).pow([0, 1, 2, 3]), [1, 0, 0, 0]),
        "byte: clamps": (a([-1, 256]).byte(), [0, 255]),
        "byte: rounds": (
            a([-0.1, 0.1, 0.5, 127.1, 255.1, 255.9]).byte(),
            [0, 0, 1, 127, 255, 255],
        ),
        "first": (a([0, 1, 2]).first(1), [0, 1, 2]),
        "floor": (a([2.1, -2.1]).floor(), [2, -3]),
        "ceil": (a([-1.1]).ceil(), [-1]),
        "cbrt": (a([[0, 1, 8], [27, 64, 125]]).cbrt(), [[0, 1, 2], [3, 4, 5]]),
        "bitCount": (a([[0, 1], [6, 13]]).bitCount(), [[0, 1], [2, 3]]),
        "bitCount: of a sign": (a([-1], int8).bitCount(), [64]),
        "bitwiseNot: of a number": (a(0xFF).bitwiseNot(), -256),
        "bitwiseNot: negative": (a(-3).bitwiseNot(), 2),
        "bitwiseAnd": (a([6, 6]).bitwiseAnd(a([1, 11])), [0, 2]),
        "bitwiseAnd: of a sign": (a(-1).bitwiseAnd(a(0xFF)), 255),
    }


def test_values_are_as_googles_pages_state_them(ee: ModuleType, evaluator: Evaluator) -> None:
    for name, (built, expected) in stated(ee).items():
        found = evaluator.value(built)
        assert np.shape(found) == np.shape(expected), name
        assert np.allclose(found, expected, rtol=1e-15, atol=0), name


CASTS = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "toUint16": (0, 65535),
    "int16": (-32768, 32767),
    "short": (-32768, 32767),
    "toInt32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "toInt64": (-(2**63), 2**63 - 1),
}


@pytest.mark.parametrize("name", CASTS)
def test_casts_round_and_clamp(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    low, high = CASTS[name]
    found = evaluator.value(getattr(ee.Array([-1e20, 1e20, 2.5, 7.2]), name)())
    assert found == [float(low), float(high), 3, 7]


def test_floats_keep_their_precision(ee: ModuleType, evaluator: Evaluator) -> None:
    assert evaluator.value(ee.Array([0.1]).toFloat()) == [float(np.float32(0.1))]
    assert evaluator.value(ee.Array([1, 2]).double().divide(3)) == [1 / 3, 2 / 3]


def test_other_lengths_are_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"same lengths.*\[2\] and \[3\]"):
        evaluator.value(ee.Array([1, 2]).add([1, 2, 3]))
    with pytest.raises(InvalidRequest, match="equal lengths; expected 2 values"):
        evaluator.value(ee.Array([[1, 2], [3]]))
    with pytest.raises(InvalidRequest, match="needs a pixelType"):
        evaluator.value(ee.Array([]))
    with pytest.raises(InvalidRequest, match="must be numbers"):
        evaluator.value(ee.Array(ee.List([1, "a"])))
