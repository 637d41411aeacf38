"""Types of pixels: a precision, a range and dimensions, as Earth Engine's PixelType has them.

Integers are stored in the smallest NumPy type that holds their range. Ranges follow arithmetic,
as in Earth Engine: two uint8 added are integers of 0..510. Pixels of 1 or more dimensions
are arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["int", "float", "double"]

_INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64")
_LARGEST = 2**63 - 1
_ORDER: tuple[Precision, ...] = ("int", "float", "double")


@dataclass(frozen=True, slots=True)
class PixelType:
    """The values that a band may have."""

    precision: Precision
    min: float | None = None
    """Least value; None is unknown, which only floating point may be."""
    max: float | None = None
    dimensions: int = 0
    """Of the arrays that the pixels are; 0 for numbers."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type that holds such values, of arrays that of their elements."""
        if self.precision == "double":
            return np.dtype(np.float64)
        if self.precision == "float" or self.min is None or self.max is None:
            return np.dtype(np.float32)
        return np.dtype(_integer_name(self.min, self.max))

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON; whole ends as integers, unknown ones left out."""
        members: dict[str, Any] = {"type": "PixelType", "precision": self.precision}
        for name, end in (("min", self.min), ("max", self.max)):
            if end is not None and math.isfinite(end):
                members[name] = int(end) if end == int(end) else end
        return members | {"dimensions": self.dimensions} if self.dimensions else members

    def with_precision(self, precision: Precision) -> PixelType:
        """Return the same range in another precision."""
        return replace(self, precision=precision)

    def with_dimensions(self, dimensions: int) -> PixelType:
        """Return the type of arrays whose elements are in the same range; 0 is of numbers."""
        return replace(self, dimensions=dimensions)


def integer(low: float, high: float) -> PixelType:
    """Return the type of whole numbers in a range; double where no integer type holds it."""
    if not (-_LARGEST <= low <= high <= _LARGEST):
        return PixelType("double")
    return PixelType("int", low, high)


BYTE = PixelType("int", 0, 255)
BOOLEAN = PixelType("int", 0, 1)
FLOAT = PixelType("float")
DOUBLE = PixelType("double")
CASTS: dict[str, PixelType] = {
    "uint8": BYTE,
    "byte": BYTE,
    "int8": PixelType("int", -(2**7), 2**7 - 1),
    "uint16": PixelType("int", 0, 2**16 - 1),
    "int16": PixelType("int", -(2**15), 2**15 - 1),
    "short": PixelType("int", -(2**15), 2**15 - 1),
    "uint32": PixelType("int", 0, 2**32 - 1),
    "int32": PixelType("int", -(2**31), 2**31 - 1),
    "int": PixelType("int", -(2**31), 2**31 - 1),
    "int64": PixelType("int", -(2**63), 2**63 - 1),
    "long": PixelType("int", -(2**63), 2**63 - 1),
    "float": FLOAT,
    "double": DOUBLE,
}
"""Types by the names that `Image.cast` and `toInt16` and its like use."""


def of_dtype(dtype: np.dtype[Any]) -> PixelType:
    """Return the type of a raster's band."""
    if dtype.kind == "f":
        return DOUBLE if dtype.itemsize > 4 else FLOAT
    limits = np.iinfo(dtype)
    return PixelType("int", int(limits.min), int(limits.max))


def of_number(value: float) -> PixelType:
    """Return the type of a constant."""
    if isinstance(value, bool | int) and abs(value) <= _LARGEST:
        return PixelType("int", int(value), int(value))
    known = math.isfinite(value)
    return PixelType("double", value if known else None, value if known else None)


def union(types: Iterable[PixelType]) -> PixelType:
    """Return the type that holds the values of all of them."""
    found = list(types)
    precision = max((t.precision for t in found), key=_ORDER.index)
    lows, highs = [t.min for t in found], [t.max for t in found]
    low = None if None in lows else min(x for x in lows if x is not None)
    high = None if None in highs else max(x for x in highs if x is not None)
    return PixelType(precision, low, high, max(t.dimensions for t in found))


def signed(type_: PixelType) -> PixelType:
    """Return the smallest signed integer type that holds the whole numbers of a type."""
    low, high = type_.min or 0, type_.max or 0
    for name in ("int8", "int16", "int32"):
        found = CASTS[name]
        if (found.min or 0) <= low and high <= (found.max or 0):
            return found
    return CASTS["int64"]


def smallest(values: NDArray[Any]) -> PixelType:
    """Return the smallest type of whole numbers that holds some; what their range needs."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return CASTS[_integer_name(low, high)]


def _integer_name(low: float, high: float) -> str:
    for name in _INTEGERS:
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return name
    return "int64"
