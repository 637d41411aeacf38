"""Filters over the columns and boxes of a stored table, without making its features.

Each returns which features may pass, or None if it cannot tell: all that pass are among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.date import Date
from tileserver.compute.values.filter import Narrow
from tileserver.compute.values.image import INDEX
from tileserver.compute.values.stored_features import StoredFeatures

Mask = NDArray[np.bool_]
_PLACES = (".all", ".geo")
_TESTS: Mapping[str, Callable[[Any, Any], Any]] = {
    "equals": np.equal,
    "eq": np.equal,
    "lessThan": np.less,
    "lt": np.less,
    "lessThanOrEquals": np.less_equal,
    "lte": np.less_equal,
    "greaterThan": np.greater,
    "gt": np.greater,
    "greaterThanOrEquals": np.greater_equal,
    "gte": np.greater_equal,
}
_EQUAL = ("equals", "eq")
_MAX_INT = 2**53
"""Beyond it NumPy may compare rounded numbers."""


def narrowed(name: str, field: str, value: Any) -> Narrow | None:
    """Return the narrowing of a comparison of a property with a value; None if there is none."""
    value = value.millis if isinstance(value, Date) else value
    if field in _PLACES or field == INDEX or name not in _TESTS:
        return None
    if isinstance(value, int | float):
        return (lambda rows: _numbers(rows, name, field, value)) if _is_exact(value) else None
    if isinstance(value, str) and name in _EQUAL:
        return lambda rows: _texts(rows, field, value)
    return None


def _is_exact(value: float) -> bool:
    return abs(value) <= _MAX_INT


def _numbers(rows: StoredFeatures, name: str, field: str, value: float) -> Mask | None:
    column = rows.column(field)
    if column is None:
        return np.zeros(len(rows), np.bool_)
    if column.values.dtype == object:
        return None
    return np.asarray(_TESTS[name](column.values, value) & column.valid, np.bool_)


def _texts(rows: StoredFeatures, field: str, value: str) -> Mask | None:
    column = rows.column(field)
    if column is None or column.values.dtype != object:
        return np.zeros(len(rows), np.bool_)
    return np.array([each == value for each in column.values.tolist()], np.bool_)


def narrowed_by_all(parts: Sequence[Narrow | None]) -> Narrow | None:
    """Return the narrowing of filters of which all must pass."""
    known = [each for each in parts if each is not None]
    return (lambda rows: _all(rows, known)) if known else None


def _all(rows: StoredFeatures, parts: Sequence[Narrow]) -> Mask | None:
    found = [mask for each in parts if (mask := each(rows)) is not None]
    return np.logical_and.reduce(found) if found else None


def narrowed_by_any(parts: Sequence[Narrow | None]) -> Narrow | None:
    """Return the narrowing of filters of which one must pass."""
    known = [each for each in parts if each is not None]
    return (lambda rows: _any(rows, known)) if len(known) == len(parts) else None


def _any(rows: StoredFeatures, parts: Sequence[Narrow]) -> Mask | None:
    found = [each(rows) for each in parts]
    known = [mask for mask in found if mask is not None]
    return np.logical_or.reduce(known) if len(known) == len(found) else None


def narrowed_by_place(shape: BaseGeometry) -> Narrow:
    """Return the narrowing of a relation that does not hold between shapes that are apart."""
    return lambda rows: rows.near(shape)
