"""Arithmetic and logic of numbers.

Whole numbers stay whole where both are, as long as 64 bits hold them; a quotient and a power are
floating point. Division by zero is zero. A result without a value, such as the root of
-1, is NaN, which is null in the `getInfo` JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tileserver.compute.arrays import special
from tileserver.compute.registry import algorithm
from tileserver.compute.values.numbers import Long
from tileserver.compute.values.pixel_type import CASTS
from tileserver.errors import InvalidRequest, shown

Number = float
_LARGEST = 2**63 - 1
_BITS = 64
_WRAP = 1 << 64


def fitted(value: Number) -> Number:
    """Return a number that 64 bits hold: a larger whole one is floating point."""
    return (
        float(value) if isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST else value
    )


def wrapped(value: int) -> int:
    """Return the lowest 64 bits of a whole number, the highest as its sign."""
    return (value + _LARGEST + 1) % _WRAP - _LARGEST - 1


def divide(left: Number, right: Number) -> float:
    """Return a quotient; by zero it is zero."""
    return 0.0 if right == 0 else left / right


def _remainder(left: Number, right: Number) -> Number:
    if right == 0:
        return 0
    if isinstance(left, int) and isinstance(right, int):
        return abs(left) % abs(right) * (-1 if left < 0 else 1)
    return float(np.fmod(left, right))


def _power(left: Number, right: Number) -> float:
    return float(np.power(float(left), float(right)))


def _bits(work: Callable[[int, int], int]) -> Callable[[Number, Number], int]:
    return lambda left, right: work(_bits_of(left), _bits_of(right))


def _bits_of(value: Number) -> int:
    if not math.isfinite(value):
        raise InvalidRequest(f"Expected a finite number, got {value}.")
    return wrapped(int(value))


def _left_shift(left: int, right: int) -> int:
    return wrapped(left << right) if 0 <= right < _BITS else 0


def _right_shift(left: int, right: int) -> int:
    return left >> min(max(right, 0), _BITS - 1)


def _first_non_zero(left: Number, right: Number) -> Number:
    return left if left != 0 else right


BINARY: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "add": (lambda x, y: x + y, "Add two numbers"),
    "subtract": (lambda x, y: x - y, "Subtract a number from another"),
    "multiply": (lambda x, y: x * y, "Multiply two numbers"),
    "divide": (divide, "Divide a number by another; by zero is zero"),
    "mod": (_remainder, "Return the remainder of a division, with the sign of the first number"),
    "pow": (_power, "Raise a number to a power"),
    "max": (max, "Return the greater of two numbers"),
    "min": (min, "Return the smaller of two numbers"),
    "hypot": (lambda x, y: float(np.hypot(x, y)), "Return the hypotenuse over two sides"),
    "atan2": (lambda x, y: math.atan2(y, x), "Return the angle of the point (x, y) in radians"),
    "eq": (lambda x, y: int(x == y), "Return 1 where two numbers are equal, else 0"),
    "neq": (lambda x, y: int(x != y), "Return 1 where two numbers are not equal, else 0"),
    "gt": (lambda x, y: int(x > y), "Return 1 where the first number is greater, else 0"),
    "gte": (lambda x, y: int(x >= y), "Return 1 where the first number is not smaller, else 0"),
    "lt": (lambda x, y: int(x < y), "Return 1 where the first number is smaller, else 0"),
    "lte": (lambda x, y: int(x <= y), "Return 1 where the first number is not greater, else 0"),
    "and": (lambda x, y: int(x != 0 and y != 0), "Return 1 where neither is zero, else 0"),
    "or": (lambda x, y: int(x != 0 or y != 0), "Return 1 where one is not zero, else 0"),
    "bitwiseAnd": (_bits(lambda x, y: x & y), "Return the bits of both numbers"),
    "bitwiseOr": (_bits(lambda x, y: x | y), "Return the bits of either number"),
    "bitwiseXor": (_bits(lambda x, y: x ^ y), "Return the bits of one number alone"),
    "leftShift": (_bits(_left_shift), "Shift the bits of a number to the left"),
    "rightShift": (_bits(_right_shift), "Shift the bits of a number to the right"),
    "first": (lambda x, y: x, "Return the first of two numbers"),
    "firstNonZero": (_first_non_zero, "Return the first number that is not zero"),
    "gammainc": (
        lambda x, a: float(special.gammainc(x, a)),
        "Return the regularized lower incomplete gamma function of x with the shape a",
    ),
}
"""Operations on two numbers by Earth Engine's name."""
_OLD_NAMES = {
    "bitwise_and": "bitwiseAnd",
    "bitwise_or": "bitwiseOr",
    "bitwise_xor": "bitwiseXor",
    "left_shift": "leftShift",
    "right_shift": "rightShift",
    "first_nonzero": "firstNonZero",
}


def _fitted(work: Callable[..., Any], *numbers: Number) -> Number:
    return fitted(work(*numbers))


def _register_binary(name: str, of: str, hidden: bool = False) -> None:
    work, does = BINARY[of]
    algorithm(f"Number.{name}(left: Number, right: Number) -> Number", f"{does}.", hidden)(
        partial(_fitted, work)
    )


for _name in BINARY:
    _register_binary(_name, _name)
for _name, _of in _OLD_NAMES.items():
    _register_binary(_name, _of, hidden=True)


def _numpy(function: Any) -> Callable[[Number], float]:
    """Return a NumPy function on one number; it returns NaN where Python would raise."""
    return lambda x: float(function(np.float64(x)))


def _whole(function: Callable[[Number], int]) -> Callable[[Number], Number]:
    return lambda x: function(x) if math.isfinite(x) else x


def _sign(x: Number) -> Number:
    return x if x != x else (x > 0) - (x < 0)


def _gamma(x: Number) -> float:
    try:
        return math.gamma(x)
    except ValueError:  # At zero and negative whole numbers.
        return math.nan
    except OverflowError:
        return math.inf


def _not(x: Number) -> int:
    return int(x == 0)


UNARY: dict[str, tuple[Callable[[Any], Any], str]] = {
    "abs": (abs, "Return the absolute value of a number"),
    "not": (_not, "Return 1 where a number is zero, else 0"),
    "bitwiseNot": (lambda x: ~_bits_of(x), "Invert the bits of a number"),
    "bitCount": (
        lambda x: (_bits_of(x) % _WRAP).bit_count(),
        "Count the bits of a number that are 1",
    ),
    "floor": (_whole(math.floor), "Round a number down"),
    "ceil": (_whole(math.ceil), "Round a number up"),
    "round": (_whole(lambda x: math.floor(x + 0.5)), "Round to the nearest whole number"),
    "signum": (_sign, "Return -1, 0 or 1, the sign of a number"),
    "sqrt": (_numpy(np.sqrt), "Return the square root of a number"),
    "cbrt": (_numpy(np.cbrt), "Return the cube root of a number"),
    "exp": (_numpy(np.exp), "Raise e to a power"),
    "log": (_numpy(np.log), "Return the natural logarithm of a number"),
    "log10": (_numpy(np.log10), "Return the decimal logarithm of a number"),
    "sin": (_numpy(np.sin), "Return the sine of an angle in radians"),
    "cos": (_numpy(np.cos), "Return the cosine of an angle in radians"),
    "tan": (_numpy(np.tan), "Return the tangent of an angle in radians"),
    "asin": (_numpy(np.arcsin), "Return the arc sine of a number in radians"),
    "acos": (_numpy(np.arccos), "Return the arc cosine of a number in radians"),
    "atan": (_numpy(np.arctan), "Return the arc tangent of a number in radians"),
    "sinh": (_numpy(np.sinh), "Return the hyperbolic sine of a number"),
    "cosh": (_numpy(np.cosh), "Return the hyperbolic cosine of a number"),
    "tanh": (_numpy(np.tanh), "Return the hyperbolic tangent of a number"),
    "erf": (math.erf, "Return the error function of a number"),
    "erfc": (math.erfc, "Return 1 minus the error function of a number"),
    "gamma": (_gamma, "Return the gamma function of a number"),
    "digamma": (_numpy(special.digamma), "Return the digamma function of a number"),
    "trigamma": (_numpy(special.trigamma), "Return the trigamma function of a number"),
    "erfInv": (_numpy(special.erf_inv), "Return the inverse error function of a number"),
    "erfcInv": (
        _numpy(special.erfc_inv),
        "Return the inverse of 1 minus the error function of a number",
    ),
    "lanczos": (
        _numpy(special.lanczos),
        "Return the series of Lanczos' approximation of the gamma function",
    ),
}
"""Operations on one number."""


def _register_unary(name: str, work: Callable[[Any], Any], does: str, hidden: bool = False) -> None:
    algorithm(f"Number.{name}(input: Number) -> Number", f"{does}.", hidden)(partial(_fitted, work))


for _unary, (_work, _does) in UNARY.items():
    _register_unary(_unary, _work, _does)
_register_unary("bitwise_not", *UNARY["bitwiseNot"], hidden=True)


def cast_number(value: Number, name: str) -> Number:
    """Return a number in a type: clamped to its ends, its fraction cut off; NaN is zero.

    As a float it keeps its digits, as geetools' tests of splitting dates expect it.
    """
    type_ = CASTS[name]
    if type_.precision in ("float", "double"):
        return float(value)
    if math.isnan(value):
        return Long(0)
    low, high = int(type_.min or 0), int(type_.max or 0)
    return Long(min(max(int(min(max(value, low), high)), low), high))


for _type in CASTS:
    for _name in (_type, f"to{_type.capitalize()}"):
        algorithm(
            f"Number.{_name}(input: Number) -> Number",
            f"Return a number as {_type}, clamped to its range.",
        )(partial(cast_number, name=_type))


@algorithm("Number.clamp(number: Number, min: Float, max: Float) -> Number")
def clamp(number: Number, low: float, high: float) -> Number:
    """Return a number that lies between two ends."""
    return min(max(number, low), high)


@algorithm("Number.unitScale(number: Number, min: Float, max: Float) -> Number")
def unit_scale(number: Number, low: float, high: float) -> float:
    """Return a number so that one end is 0 and the other is 1."""
    return divide(number - low, high - low)


@algorithm("Number.parse(input: String, radix: Integer = 10) -> Number")
def parse(text: str, radix: int) -> Number:
    """Return the number in a text; with another radix than 10 it is whole."""
    digits = text.strip()
    if not 2 <= radix <= 36 or len(digits) > 400:
        raise InvalidRequest(f"Cannot parse {shown(text)} as a number of radix {radix}.")
    try:
        return fitted(int(digits, radix))
    except ValueError:
        pass
    try:
        if radix == 10 and "_" not in digits:
            return float(digits)
    except ValueError:
        pass
    raise InvalidRequest(f"Cannot parse {shown(text)} as a number.")
