"""Types of pixels as values."""

from __future__ import annotations

from functools import partial
from typing import Any

from tileserver.compute.registry import algorithm
from tileserver.compute.values import pixel_type as pixeltypes
from tileserver.compute.values.pixel_type import CASTS, PixelType
from tileserver.errors import InvalidRequest, shown


@algorithm(
    "PixelType(precision: Object, minValue: Number = null, maxValue: Number = null,"
    " dimensions: Integer = 0) -> PixelType"
)
def pixel_type(precision: Any, low: float | None, high: float | None, dimensions: int) -> PixelType:
    """Return the type of a precision and a range; of a name such as int16 that type."""
    if dimensions < 0:
        raise InvalidRequest(f"dimensions must be 0 or more, got {dimensions}.")
    return _numbers(precision, low, high).with_dimensions(dimensions)


def _numbers(precision: Any, low: float | None, high: float | None) -> PixelType:
    if isinstance(precision, PixelType):
        return precision
    if precision in ("int", "float", "double") and low is not None and high is not None:
        if low > high:
            raise InvalidRequest(f"The least value {low:g} is above the greatest, {high:g}.")
        if precision == "int":
            return pixeltypes.integer(low, high)
    if precision in ("float", "double"):
        return PixelType(precision, low, high)
    if low is None and high is None and isinstance(precision, str) and precision in CASTS:
        return CASTS[precision]
    raise InvalidRequest(
        f"Expected 'int' with its least and greatest value, 'float' or 'double', "
        f"got {shown(precision)}."
    )


def _named(name: str) -> PixelType:
    return CASTS[name]


for _name in ("double", "float", "int16", "int32", "int64", "int8", "uint16", "uint32", "uint8"):
    algorithm(f"PixelType.{_name}() -> PixelType", f"Return the type {_name}.")(
        partial(_named, _name)
    )


@algorithm("PixelType.precision(pixelType: PixelType) -> String")
def precision_of(type_: PixelType) -> str:
    """Return int, float or double."""
    return type_.precision


@algorithm("PixelType.minValue(pixelType: PixelType) -> Number")
def min_value(type_: PixelType) -> float:
    """Return the least value there may be."""
    return float("-inf") if type_.min is None else type_.min


@algorithm("PixelType.maxValue(pixelType: PixelType) -> Number")
def max_value(type_: PixelType) -> float:
    """Return the greatest value there may be."""
    return float("inf") if type_.max is None else type_.max


@algorithm("PixelType.dimensions(pixelType: PixelType) -> Integer")
def dimensions_of(type_: PixelType) -> int:
    """Return the number of dimensions of the pixels, 0 for numbers."""
    return type_.dimensions
