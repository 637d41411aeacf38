"""Masks by nodata values and alpha bands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

OPAQUE = 255
_EPSILON = float(np.finfo(np.float32).eps)


def opacity(alpha: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values of an alpha band as 0, transparent, to 255, opaque.

    Only eight bits say how much: of wider types files write 1, 255 or the largest number for
    opaque, so all but 0 is.
    """
    if alpha.dtype == np.uint8:
        return alpha
    shown: NDArray[np.uint8] = (alpha != 0) * np.uint8(OPAQUE)
    return shown


def is_partial(alpha: NDArray[np.uint8]) -> bool:
    """Return whether some pixel is neither opaque nor transparent; 1 alone means opaque."""
    return bool(alpha.max(initial=0) > 1 and ((alpha > 0) & (alpha < OPAQUE)).any())


def mask_value(values: NDArray[Any], valid: NDArray[np.bool_], nodata: float) -> None:
    """Set valid to False where values are a nodata value; one that the type lacks masks none."""
    if values.dtype.kind in "iu":
        limits = np.iinfo(values.dtype)
        if nodata != np.floor(nodata) or not limits.min <= nodata <= limits.max:
            return
        nodata = int(nodata)
    np.logical_and(valid, ~is_nodata(values, nodata), out=valid)


def is_nodata(values: NDArray[Any], nodata: float) -> NDArray[np.bool_]:
    """Return where values are nodata, as GDAL compares them: floats need not be quite equal.

    https://github.com/OSGeo/gdal/blob/master/gcore/gdal_priv_templates.hpp, ARE_REAL_EQUAL, which
    takes the precision of float32 for both types.
    """
    with np.errstate(over="ignore"):
        exact = values.dtype.type(nodata)
    if np.isinf(exact) and not np.isinf(nodata):
        # Beyond the range of the type.
        return np.zeros(values.shape, np.bool_)
    equal: NDArray[np.bool_] = np.equal(values, exact)
    if values.dtype.kind != "f":
        return equal
    if np.isnan(exact):
        missing: NDArray[np.bool_] = np.isnan(values)
        return missing
    with np.errstate(invalid="ignore", over="ignore"):
        slack = values.dtype.type(2 * _EPSILON) * np.abs(values + exact)
        close: NDArray[np.bool_] = np.abs(values - exact) < slack
    found: NDArray[np.bool_] = equal | close
    return found
