"""Arithmetic and logic of images, band by band.

Bands of the same names belong together, else those in the same place; one band belongs to each
of the other image's. A pixel is masked where either is. Types follow Earth Engine: a range goes
through the operation, whole numbers divided are floating point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.division import quotient_type, quotients
from tileserver.compute.arrays import special
from tileserver.compute.arrays.storage import applied, chosen, elementwise, in_type
from tileserver.compute.nodes import Apply, Mask, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values import pixel_type as pixeltypes
from tileserver.compute.values.image import FOOTPRINT, INDEX, Band, Image, map_bands
from tileserver.compute.values.pixel_type import BOOLEAN, CASTS, DOUBLE, FLOAT, PixelType
from tileserver.errors import InvalidRequest

Operation = Callable[[NDArray[Any], NDArray[Any]], Any]
TypeRule = Callable[[PixelType, PixelType], PixelType]


def paired(first: Image, second: Image) -> list[tuple[Band, Band]]:
    """Return which bands of two images belong together.

    Raises:
        InvalidRequest: they have different numbers of bands, neither of them one.
    """
    a, b = first.bands, second.bands
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise InvalidRequest(
            f"Images must contain the same number of bands, or one. Found {len(a)} and {len(b)}."
        )
    if not a or not b:
        raise InvalidRequest("An image without bands has no values.")
    return _matched(a, b) if len(a) == len(b) else list(product(a, b))


def _matched(a: Sequence[Band], b: Sequence[Band]) -> list[tuple[Band, Band]]:
    by_id = {band.id: band for band in b}
    if len(by_id) == len(b) and set(by_id) == {band.id for band in a}:
        return [(band, by_id[band.id]) for band in a]
    return list(zip(a, b, strict=True))


def combined(first: Image, second: Image, operation: Operation, rule: TypeRule) -> Image:
    """Return two images' bands joined by an operation on values in the type of the result.

    The bands have the names and place of the longer image, of two alike those of the first.
    """
    leads = second if len(second.bands) > len(first.bands) else first
    bands = [
        _joined(a, b, b if leads is second else a, operation, rule)
        for a, b in paired(first, second)
    ]
    return Image(tuple(bands), place_of(first))


def place_of(image: Image) -> dict[str, Any]:
    """Return the properties that arithmetic leaves an image: where it lies, and its index."""
    return {name: image.properties[name] for name in (FOOTPRINT, INDEX) if name in image.properties}


def _joined(a: Band, b: Band, lead: Band, operation: Operation, rule: TypeRule) -> Band:
    dimensions = max(a.type.dimensions, b.type.dimensions)
    found = rule(a.type, b.type).with_dimensions(dimensions)

    def join(x: Pixels, y: Pixels) -> Pixels:
        if dimensions:
            return applied([x, y], lambda p, q: fitted(elementwise(operation, p, q), found), found)
        values = operation(x.values, y.values)
        return Pixels(fitted(values, found), np.minimum(x.mask, y.mask))

    place = a if a.extent is not None or b.extent is None else b
    return replace(
        lead,
        type=found,
        projection=place.projection,
        extent=place.extent,
        node=Apply(join, (a.node, b.node)),
    )


def fitted(values: NDArray[Any], type_: PixelType) -> NDArray[Any]:
    """Return values, of any shape, in the NumPy type of a band.

    Floating point values of an integer band are clipped to the NumPy type's range; NaN is zero.
    """
    dtype = type_.dtype
    if values.dtype == dtype:
        return values
    if dtype.kind in "iu" and values.dtype.kind == "f":
        return _clipped(np.nan_to_num(values, nan=0.0), dtype)
    return values.astype(dtype)


def _clipped(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return floating point numbers in an integer type, those beyond its ends at its ends."""
    limits = np.iinfo(dtype)
    # The greatest int64 has no float64; the next one up would turn into the least.
    is_beyond = values >= float(limits.max)
    inside = np.where(is_beyond, 0.0, np.maximum(values, float(limits.min))).astype(dtype)
    return np.where(is_beyond, dtype.type(limits.max), inside)


def chosen_values(
    takes_first: NDArray[np.bool_], first: Pixels, second: Pixels, type_: PixelType
) -> Any:
    """Return values, in a type, of one band where a condition is true, of another elsewhere."""
    if type_.dimensions:
        return chosen(takes_first, in_type(first, type_), in_type(second, type_))
    return np.where(takes_first, fitted(first.values, type_), fitted(second.values, type_))


def _ends(a: PixelType, b: PixelType, of: Callable[[float, float], float]) -> list[float] | None:
    """Return an operation on the ends of two ranges, or None where one is not known."""
    if a.min is None or a.max is None or b.min is None or b.max is None:
        return None
    try:
        found = [of(x, y) for x, y in product((a.min, a.max), (b.min, b.max))]
    except (ArithmeticError, ValueError):
        return None
    real = all(isinstance(each, int | float) and math.isfinite(each) for each in found)
    return found if real else None


def ranged(of: Callable[[float, float], float], whole: bool = True) -> TypeRule:
    """Return the rule of a monotonic operation: the ends of the result are those of the ends.

    Args:
        of: the operation on two numbers.
        whole: False when whole numbers give fractions.
    """

    def rule(a: PixelType, b: PixelType) -> PixelType:
        precision = pixeltypes.union((a, b)).precision
        if precision == "int" and not whole:
            precision = "float"
        ends = _ends(a, b, of)
        if precision == "int":
            return pixeltypes.integer(min(ends), max(ends)) if ends else DOUBLE
        if ends is None:
            return PixelType(precision)
        return PixelType(precision, min(ends), max(ends))

    return rule


def _union(a: PixelType, b: PixelType) -> PixelType:
    return pixeltypes.union((a, b))


def _boolean(a: PixelType, b: PixelType) -> PixelType:
    return BOOLEAN


def _float_of(a: PixelType, b: PixelType) -> PixelType:
    found = pixeltypes.union((a, b))
    return DOUBLE if found.precision == "double" else FLOAT


def _double(a: PixelType, b: PixelType) -> PixelType:
    return DOUBLE


def _wrapped(function: Any) -> Operation:
    """Return a NumPy function computed in a type wide enough for both."""

    def operate(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        if x.dtype.kind in "iu" and y.dtype.kind in "iu":
            x, y = x.astype(np.int64), y.astype(np.int64)
        found: NDArray[Any] = function(x, y)
        return found

    return operate


def _modulo(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.asarray(y) == 0, 0, np.fmod(x, np.where(np.asarray(y) == 0, 1, y)))


def _power(x: NDArray[Any], y: NDArray[Any]) -> Any:
    return np.power(x.astype(np.float64), y.astype(np.float64))


def _left_shift(x: NDArray[Any], y: NDArray[Any]) -> Any:
    # As of numbers: bits that are shifted out of 64 are gone.
    is_within = (np.asarray(y) >= 0) & (np.asarray(y) < 64)
    shifted = np.left_shift(x.astype(np.int64), np.where(is_within, y, 0).astype(np.int64))
    return np.where(is_within, shifted, 0)


def _right_shift(x: NDArray[Any], y: NDArray[Any]) -> Any:
    return np.right_shift(x.astype(np.int64), np.clip(y, 0, 63).astype(np.int64))


def _bitwise(function: Any) -> Operation:
    return lambda x, y: function(x.astype(np.int64), y.astype(np.int64))


_INT64 = CASTS["int64"]


def _first_non_zero(x: NDArray[Any], y: NDArray[Any]) -> Any:
    return np.where(np.asarray(x) != 0, x, y)


def _whole_union(a: PixelType, b: PixelType) -> PixelType:
    """Return the type of bits put together: the smallest that holds both."""
    found = pixeltypes.union((a, b))
    if found.precision != "int" or found.min is None or found.max is None:
        return _INT64
    if found.min < 0:
        return pixeltypes.of_dtype(found.dtype)
    return PixelType("int", 0, 2 ** int(found.max).bit_length() - 1)


def _times_power_of_two(x: float, y: float) -> float:
    return float(x * 2.0**y)


BINARY: dict[str, tuple[Operation, TypeRule, str]] = {
    "add": (_wrapped(np.add), ranged(lambda x, y: x + y), "Adds"),
    "subtract": (_wrapped(np.subtract), ranged(lambda x, y: x - y), "Subtracts"),
    "multiply": (_wrapped(np.multiply), ranged(lambda x, y: x * y), "Multiplies"),
    "divide": (quotients, quotient_type, "Divides; by zero is zero"),
    "mod": (_modulo, _union, "Returns the remainder of dividing"),
    "pow": (_power, _double, "Raises to a power"),
    "max": (_wrapped(np.maximum), _union, "Returns the greater"),
    "min": (_wrapped(np.minimum), _union, "Returns the smaller"),
    "hypot": (_wrapped(np.hypot), _float_of, "Returns the hypotenuse"),
    "atan2": (lambda x, y: np.arctan2(_real(y), _real(x)), _double, "Returns the angle of (x, y)"),
    "eq": (_wrapped(np.equal), _boolean, "Returns 1 where equal"),
    "neq": (_wrapped(np.not_equal), _boolean, "Returns 1 where not equal"),
    "gt": (_wrapped(np.greater), _boolean, "Returns 1 where the first is greater"),
    "gte": (_wrapped(np.greater_equal), _boolean, "Returns 1 where the first is not smaller"),
    "lt": (_wrapped(np.less), _boolean, "Returns 1 where the first is smaller"),
    "lte": (_wrapped(np.less_equal), _boolean, "Returns 1 where the first is not greater"),
    "and": (np.logical_and, _boolean, "Returns 1 where both are not zero"),
    "or": (np.logical_or, _boolean, "Returns 1 where one is not zero"),
    "bitwiseAnd": (_bitwise(np.bitwise_and), _whole_union, "Returns the bits of both"),
    "bitwiseOr": (_bitwise(np.bitwise_or), _whole_union, "Returns the bits of either"),
    "bitwiseXor": (_bitwise(np.bitwise_xor), _whole_union, "Returns the bits of one alone"),
    "leftShift": (_left_shift, ranged(_times_power_of_two), "Shifts bits to the left"),
    "rightShift": (_right_shift, _union, "Shifts bits to the right"),
    "gammainc": (special.gammainc, _float_of, "Returns the lower incomplete gamma function"),
    "first": (lambda x, y: x, _union, "Returns the first value"),
    "firstNonZero": (_first_non_zero, _union, "Returns the first if it is not zero, or the second"),
}
"""Operations on two images by Earth Engine's name: function, type rule and description."""


_OLD_NAMES = {
    "bitwise_and": "bitwiseAnd",
    "bitwise_or": "bitwiseOr",
    "bitwise_xor": "bitwiseXor",
    "left_shift": "leftShift",
    "right_shift": "rightShift",
}
for _name in (*BINARY, *_OLD_NAMES):
    _operation, _rule, _does = BINARY[_OLD_NAMES.get(_name, _name)]
    algorithm(
        f"Image.{_name}(image1: Image, image2: Image) -> Image",
        f"{_does}, for each pair of bands of two images.",
        hidden=_name in _OLD_NAMES,
    )(partial(combined, operation=_operation, rule=_rule))

algorithm(
    "Image.first_nonzero(image1: Image, image2: Image) -> Image",
    "Returns the first if it is not zero, or the second, for each pair of bands.",
    hidden=True,
)(partial(combined, operation=_first_non_zero, rule=_union))

UnaryRule = Callable[[PixelType], PixelType]


def _fraction(type_: PixelType) -> PixelType:
    return DOUBLE if type_.precision == "double" else FLOAT


def _positive(type_: PixelType) -> PixelType:
    if type_.min is None or type_.max is None:
        return PixelType(type_.precision)
    most = max(abs(type_.min), abs(type_.max))
    least = 0 if type_.min <= 0 <= type_.max else min(abs(type_.min), abs(type_.max))
    if type_.precision == "int":
        return pixeltypes.integer(least, most)
    return PixelType(type_.precision, least, most)


def _signs(type_: PixelType) -> PixelType:
    return PixelType(type_.precision, -1, 1)


def _rounded_type(type_: PixelType) -> PixelType:
    return type_ if type_.precision == "int" else PixelType(type_.precision)


def _real(x: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as floating point: NumPy takes half precision for bytes."""
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _of_real(function: Callable[[NDArray[Any]], Any]) -> Callable[[NDArray[Any]], Any]:
    return lambda x: function(_real(x))


def _whole(function: Callable[[NDArray[Any]], Any]) -> Callable[[NDArray[Any]], Any]:
    return lambda x: function(x) if x.dtype.kind == "f" else x


UNARY: dict[str, tuple[Callable[[NDArray[Any]], Any], UnaryRule, str]] = {
    "abs": (lambda x: np.abs(_widened(x)), _positive, "Returns the absolute value"),
    "not": (lambda x: np.equal(x, 0), lambda t: BOOLEAN, "Returns 1 where zero"),
    "floor": (_whole(np.floor), _rounded_type, "Rounds down"),
    "ceil": (_whole(np.ceil), _rounded_type, "Rounds up"),
    "round": (
        _whole(lambda x: np.floor(x + 0.5)),
        _rounded_type,
        "Rounds to the nearest whole number",
    ),
    "signum": (lambda x: np.sign(_widened(x)), _signs, "Returns -1, 0 or 1, the sign"),
    "sqrt": (_of_real(np.sqrt), _fraction, "Returns the square root"),
    "cbrt": (_of_real(np.cbrt), _fraction, "Returns the cube root"),
    "exp": (_of_real(np.exp), _fraction, "Raises e to a power"),
    "log": (_of_real(np.log), _fraction, "Returns the natural logarithm"),
    "log10": (_of_real(np.log10), _fraction, "Returns the decimal logarithm"),
    "sin": (_of_real(np.sin), _fraction, "Returns the sine"),
    "cos": (_of_real(np.cos), _fraction, "Returns the cosine"),
    "tan": (_of_real(np.tan), _fraction, "Returns the tangent"),
    "asin": (_of_real(np.arcsin), _fraction, "Returns the arc sine"),
    "acos": (_of_real(np.arccos), _fraction, "Returns the arc cosine"),
    "atan": (_of_real(np.arctan), _fraction, "Returns the arc tangent"),
    "sinh": (_of_real(np.sinh), _fraction, "Returns the hyperbolic sine"),
    "cosh": (_of_real(np.cosh), _fraction, "Returns the hyperbolic cosine"),
    "tanh": (_of_real(np.tanh), _fraction, "Returns the hyperbolic tangent"),
    "bitwiseNot": (
        lambda x: np.invert(x.astype(np.int64)),
        pixeltypes.signed,
        "Inverts all bits",
    ),
    "bitCount": (
        special.bit_count,
        lambda t: PixelType("int", 0, 64),
        "Counts the bits that are 1",
    ),
    **{name: (function, _fraction, does) for name, (function, does) in special.SPECIAL.items()},
}
"""Operations on one image."""


def _widened(x: NDArray[Any]) -> NDArray[Any]:
    return x.astype(np.int64) if x.dtype.kind in "iu" else x


def _without_nan(mask: Mask, values: NDArray[Any]) -> Mask:
    return np.where(np.isnan(values), np.float32(0), mask) if values.dtype.kind == "f" else mask


def apply_unary(image: Image, function: Callable[[NDArray[Any]], Any], rule: UnaryRule) -> Image:
    """Return each band of an image passed through a function; masked where that gives no number."""

    def change(band: Band) -> Band:
        found = rule(band.type).with_dimensions(band.type.dimensions)

        def compute(pixels: Pixels) -> Pixels:
            if found.dimensions:
                return applied([pixels], lambda x: fitted(np.asarray(function(x)), found), found)
            values = np.asarray(function(pixels.values))
            return Pixels(fitted(values, found), _without_nan(pixels.mask, values))

        return replace(band, type=found, node=Apply(compute, (band.node,)))

    return map_bands(image, change)


for _name in (*UNARY, "bitwise_not"):
    _function, _unary_rule, _does = UNARY[_name.replace("_not", "Not")]
    algorithm(
        f"Image.{_name}(value: Image) -> Image",
        f"{_does}, for each band of an image.",
        hidden="_" in _name,
    )(partial(apply_unary, function=_function, rule=_unary_rule))
