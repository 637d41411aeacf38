"""Values of one type as those of another, as GDAL converts them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def converted(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return values in another type: integers rounded and kept within its limits, NaN as 0.

    >>> converted(np.array([-1.5, 0.5, 254.6, 300.0]), np.dtype("uint8")).tolist()
    [0, 1, 255, 255]
    """
    if values.dtype == dtype:
        return values
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    limits = np.iinfo(dtype)
    if values.dtype.kind in "iu":
        return np.clip(values.astype(np.int64), limits.min, limits.max).astype(dtype)
    # Away from zero, as C's halves are rounded; float64 has all integers of 32 bits.
    wide = np.nan_to_num(values.astype(np.float64), posinf=np.inf, neginf=-np.inf)
    rounded = np.trunc(wide + np.copysign(0.5, wide))
    return np.clip(rounded, limits.min, limits.max).astype(dtype)


def scaled(values: NDArray[Any], ratio: float, offset: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return value * ratio + offset, in the precision in which GDAL computes it for a type."""
    is_wide = dtype.itemsize > 4 or dtype in (np.int32, np.uint32)
    with np.errstate(over="ignore", invalid="ignore"):
        found: NDArray[Any] = values.astype(np.float64) * ratio + offset
        return found if is_wide else found.astype(np.float32)


def fitting(value: float | None, dtype: np.dtype[Any]) -> float | None:
    """Return a nodata value, or None if pixels of a type cannot have it."""
    if value is None or dtype.kind == "f":
        return value
    limits = np.iinfo(dtype)
    return value if limits.min <= value <= limits.max and value == int(value) else None
