"""Arithmetic and logic of arrays, element by element, with the functions of images.

Both arrays have the same lengths, or one is a number, which belongs to each element of the other;
other lengths are refused. Whole numbers stay whole, as 64-bit integers. A quotient, a power and
other fractions of whole numbers are single-precision floats, as Google's page of Array.pow states
(0.1 is 0.10000000149011612), those of doubles are doubles. Casts round, half up, and clamp, as the
page of Array.byte states.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import BINARY, UNARY
from tileserver.compute.arrays import special
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import Array, array, as_type, joint_type
from tileserver.compute.values.pixel_type import BOOLEAN, CASTS, FLOAT, PixelType
from tileserver.errors import InvalidRequest

Values = NDArray[Any]
Kind = Literal["same", "fraction", "boolean", "bits"]
"""What the result's type is: the joint one, a floating point one, 0 or 1, or int64."""

_INT64 = CASTS["int64"]

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("add", "subtract", "multiply", "mod", "max", "min"), "same"),
    **dict.fromkeys(("divide", "pow", "hypot", "atan2"), "fraction"),
    **dict.fromkeys(("eq", "neq", "gt", "gte", "lt", "lte", "and", "or"), "boolean"),
    **dict.fromkeys(("bitwiseAnd", "bitwiseOr", "bitwiseXor", "leftShift", "rightShift"), "bits"),
}


def _first(x: Values, y: Values) -> Values:
    return np.broadcast_arrays(x, y)[0]


def _first_non_zero(x: Values, y: Values) -> Values:
    return np.where(x != 0, x, y)


_BINARY: dict[str, tuple[Callable[[Values, Values], Any], Kind, str]] = {
    **{name: (BINARY[name][0], kind, BINARY[name][2]) for name, kind in _KINDS.items()},
    "first": (_first, "same", "Returns the first"),
    "firstNonZero": (_first_non_zero, "same", "Returns the first that is not zero"),
    "gammainc": (special.gammainc, "fraction", "Returns the lower incomplete gamma function"),
}
_OLD_NAMES = {
    "bitwise_and": "bitwiseAnd",
    "bitwise_or": "bitwiseOr",
    "bitwise_xor": "bitwiseXor",
    "left_shift": "leftShift",
    "right_shift": "rightShift",
    "first_nonzero": "firstNonZero",
}


def result_type(kind: Kind, *types: PixelType) -> PixelType:
    """Return the type of the elements of a result, from those of the operands."""
    if kind == "boolean":
        return BOOLEAN
    if kind == "bits":
        return _INT64
    joint = joint_type(types)
    if joint.precision == "int":
        return _INT64 if kind == "same" else FLOAT
    return joint.with_dimensions(0)


def joined(left: Array, right: Array, work: Callable[[Values, Values], Any], kind: Kind) -> Array:
    """Return two arrays joined element by element; a number belongs to all elements.

    Raises:
        InvalidRequest: their lengths differ.
    """
    x, y = left.values, right.values
    if x.ndim and y.ndim and x.shape != y.shape:
        raise InvalidRequest(
            f"Arrays must have the same lengths, or one of them must be a number; got "
            f"{list(x.shape)} and {list(y.shape)}."
        )
    found = np.asarray(work(_wide(x, kind), _wide(y, kind)))
    return array(_held(found, result := result_type(kind, left.type, right.type)), result)


def _wide(values: Values, kind: Kind) -> Values:
    """Return values so that NumPy computes in 64 bits."""
    if kind == "bits":
        return as_type(values, _INT64)
    return values.astype(np.int64 if values.dtype.kind in "biu" else np.float64)


def _held(values: Values, type_: PixelType) -> Values:
    """Return computed values in a floating point type, where `array` would not convert them."""
    return values.astype(type_.dtype) if type_.dtype.kind == "f" else values


for _name in (*_BINARY, *_OLD_NAMES):
    _work, _kind, _does = _BINARY[_OLD_NAMES.get(_name, _name)]
    algorithm(
        f"Array.{_name}(left: Array, right: Array) -> Array",
        f"{_does}, for each pair of elements of two arrays.",
        hidden=_name in _OLD_NAMES,
    )(partial(joined, work=_work, kind=_kind))


_SAME = ("abs", "floor", "ceil", "round", "signum")
_FRACTIONS = tuple(name for name in UNARY if name not in (*_SAME, "not", "bitwiseNot", "bitCount"))
_UNARY: dict[str, tuple[Callable[[Values], Any], Kind, str]] = {
    **{name: (UNARY[name][0], "same", UNARY[name][2]) for name in _SAME},
    **{name: (UNARY[name][0], "fraction", UNARY[name][2]) for name in _FRACTIONS},
    "not": (UNARY["not"][0], "boolean", UNARY["not"][2]),
    "bitwiseNot": (np.invert, "bits", "Inverts all bits"),
    "bitwise_not": (np.invert, "bits", "Inverts all bits"),
    "bitCount": (special.bit_count, "bits", "Counts the bits that are 1"),
}


def mapped(input_: Array, work: Callable[[Values], Any], kind: Kind) -> Array:
    """Return each element of an array passed through a function."""
    found = np.asarray(work(_wide(input_.values, kind)))
    return array(_held(found, result := result_type(kind, input_.type)), result)


for _name, (_function, _kind, _does) in _UNARY.items():
    algorithm(
        f"Array.{_name}(input: Array) -> Array",
        f"{_does}, for each element of an array.",
        hidden="_" in _name,
    )(partial(mapped, work=_function, kind=_kind))


def _cast(input_: Array, type_: PixelType) -> Array:
    return array(input_.values, type_)


for _type in CASTS:
    for _name in (_type, f"to{_type.capitalize()}"):
        algorithm(
            f"Array.{_name}(input: Array) -> Array",
            f"Returns an array as {_type}, rounded and clamped to its range.",
        )(partial(_cast, type_=CASTS[_type]))
