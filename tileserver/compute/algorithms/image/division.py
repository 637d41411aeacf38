"""Quotients of pixels: those of `Image.divide`, and those of whole numbers in a formula.

`Image.divide` gives floating point, with the range of the quotients where the divisor's leaves zero
out. The `/` of `Image.expression` gives whole numbers of whole ones, rounded down: the guide on
image math calls it floor division, with 10 / 20 = 0. A division by zero is zero in both.
https://developers.google.com/earth-engine/guides/image_math
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values import pixel_type as pixeltypes
from tileserver.compute.values.pixel_type import DOUBLE, FLOAT, PixelType


def quotients(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return x / y; zero where y is."""
    quotient = np.divide(x, y, dtype=np.float64)
    return np.where(np.asarray(y) == 0, 0.0, quotient)


def quotient_type(a: PixelType, b: PixelType) -> PixelType:
    """Return the type of quotients: double if one is, else float, with their range if known."""
    found = DOUBLE if "double" in (a.precision, b.precision) else FLOAT
    if a.min is None or a.max is None or b.min is None or b.max is None or b.min <= 0 <= b.max:
        return found
    ends = [x / y for x, y in product((a.min, a.max), (b.min, b.max))]
    low, high = (float(found.dtype.type(end)) for end in (min(ends), max(ends)))
    return PixelType(found.precision, low, high)


def formula_quotients(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return x / y as a formula has it: rounded down if both are whole; zero where y is."""
    if x.dtype.kind == "f" or y.dtype.kind == "f":
        return quotients(x, y)
    whole, by = x.astype(np.int64), y.astype(np.int64)
    return np.where(by == 0, 0, np.floor_divide(whole, np.where(by == 0, 1, by)))


def formula_quotient_type(a: PixelType, b: PixelType) -> PixelType:
    """Return the type of a formula's quotients: of whole numbers, those up to the dividend."""
    if a.precision != "int" or b.precision != "int" or a.min is None or a.max is None:
        return quotient_type(a, b)
    most = max(abs(a.min), abs(a.max))
    return pixeltypes.integer(-most, most)
