"""Arrays as values: numbers of one type along any number of axes, Earth Engine's ee.Array.

The type of the numbers is a `PixelType` with as many dimensions as there are axes. Numbers without
a given type are 64-bit integers if all are whole, else doubles.
https://developers.google.com/earth-engine/guides/arrays_intro
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.values.pixel_type import CASTS, DOUBLE, PixelType, of_dtype
from tileserver.errors import InvalidRequest, shown

MAX_DIMENSIONS = 10
"""Axes of an array."""
MAX_ELEMENTS = 4_000_000
"""Numbers of one array."""


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """Numbers along axes."""

    values: NDArray[Any]
    """Never written to; of the NumPy type of `type`."""
    type: PixelType
    """Of the numbers; its dimensions are those of `values`."""

    @property
    def nbytes(self) -> int:
        """Return the memory of the numbers."""
        return self.values.nbytes

    def __repr__(self) -> str:
        """Return the lengths, as messages show an array."""
        return f"an array of lengths {list(self.values.shape)}"

    def to_json(self) -> Any:
        """Return the `getInfo` JSON: nested lists, of an array without dimensions the number."""
        return self.values.tolist()


def array(values: NDArray[Any], type_: PixelType | None = None) -> Array:
    """Return an array of numbers in a type; None takes that of the NumPy type.

    Whole numbers and truth values become integers of 64 bits.
    """
    if type_ is None:
        type_ = of_dtype(np.dtype(np.int64) if values.dtype.kind in "biu" else values.dtype)
    check_size(values.shape)
    return Array(as_type(values, type_), type_.with_dimensions(values.ndim))


def as_type(values: NDArray[Any], type_: PixelType) -> NDArray[Any]:
    """Return numbers in a type: for integers rounded and clamped to its range, NaN as zero.

    Half is rounded up, as Google's page of Array.byte states.
    """
    dtype = type_.dtype
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    low = int(type_.min or 0)
    high = int(type_.max or 0)
    if values.dtype.kind == "f":
        rounded = np.floor(np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf) + 0.5)
        return _clamped_floats(rounded, low, high, dtype)
    return np.clip(values.astype(np.int64, copy=False), low, high).astype(dtype, copy=False)


def _clamped_floats(
    rounded: NDArray[Any], low: int, high: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    # A double cannot hold 2**63 - 1: numbers from 2**63 on are set apart.
    is_high, is_low = rounded >= high, rounded <= low
    found = np.where(is_high | is_low, 0, rounded).astype(dtype)
    ends = np.where(is_high, np.array(high, dtype), np.array(low, dtype))
    return np.where(is_high | is_low, ends, found)


def check_size(lengths: Sequence[int], count: int = 1) -> None:
    """Raise InvalidRequest for arrays that are too large, before they are made.

    Args:
        lengths: of the axes of one array.
        count: of such arrays.
    """
    if len(lengths) > MAX_DIMENSIONS:
        raise InvalidRequest(
            f"Arrays may have at most {MAX_DIMENSIONS} dimensions, got {len(lengths)}."
        )
    if math.prod(lengths) * count > MAX_ELEMENTS:
        raise out_of_memory()


def array_of(value: Any, type_: PixelType | None = None) -> Array | None:
    """Return the array of a number, of nested lists of numbers and arrays, or of an array.

    Args:
        value: the numbers.
        type_: the type to cast them to; None takes the arrays' own, else what fits the numbers.

    Returns:
        None if it is neither a number, a list nor an array.

    Raises:
        InvalidRequest: the lists are ragged, empty without a type, or hold something else.
    """
    if isinstance(value, Array):
        return value if type_ is None else array(value.values, type_)
    if isinstance(value, bool | int | float):
        return array(_numbers([value]).reshape(()), type_)
    if not isinstance(value, list | tuple):
        return None
    found: list[Any] = []
    lengths = _lengths(value)
    _collect(value, lengths, found)
    if not found and type_ is None:
        raise InvalidRequest("An empty array needs a pixelType.")
    if type_ is None and found and isinstance(found[0], Array):
        type_ = _shared_type(found)
    return array(_stacked(found, lengths), type_)


def _lengths(value: Any) -> list[int]:
    """Return the lengths of nested lists, as their first elements have them."""
    lengths: list[int] = []
    while isinstance(value, list | tuple):
        lengths.append(len(value))
        check_size(lengths[:MAX_DIMENSIONS] + lengths[MAX_DIMENSIONS:])
        if not value:
            break
        value = value[0]
    return lengths


def _collect(value: Any, lengths: Sequence[int], found: list[Any]) -> None:
    """Add the leaves of nested lists; raise InvalidRequest where lengths differ."""
    if not lengths:
        if not isinstance(value, bool | int | float | Array):
            raise InvalidRequest(f"Array values must be numbers, got {shown(value)}.")
        found.append(value)
        return
    if not isinstance(value, list | tuple) or len(value) != lengths[0]:
        raise InvalidRequest(
            f"Array values must be nested lists of equal lengths; expected {lengths[0]} values, "
            f"got {shown(value)}."
        )
    for each in value:
        _collect(each, lengths[1:], found)


def _stacked(found: Sequence[Any], lengths: Sequence[int]) -> NDArray[Any]:
    if not any(isinstance(each, Array) for each in found):
        return _numbers(found).reshape(tuple(lengths))
    inner = [each.values if isinstance(each, Array) else np.asarray(each) for each in found]
    if len({each.shape for each in inner}) > 1:
        raise InvalidRequest("Arrays within an array must have equal lengths.")
    check_size((*lengths, *inner[0].shape))
    return np.stack(inner).reshape((*lengths, *inner[0].shape))


def _shared_type(found: Sequence[Any]) -> PixelType | None:
    types = {each.type for each in found if isinstance(each, Array)}
    return types.pop() if len(types) == 1 else None


def _numbers(found: Sequence[Any]) -> NDArray[Any]:
    """Return numbers as int64 if they are whole and fit, else float64."""
    is_whole = all(isinstance(each, int) and -(2**63) <= each < 2**63 for each in found)
    try:
        return np.array(found, dtype=np.int64 if is_whole else np.float64)
    except OverflowError:
        raise InvalidRequest("A number is too large for an array.") from None


def joint_type(types: Sequence[PixelType]) -> PixelType:
    """Return the type of the numbers of several arrays put together: the widest of them."""
    dtype = np.result_type(*(type_.dtype for type_ in types))
    if dtype.kind == "f":
        single = all(type_.precision != "double" for type_ in types)
        return CASTS["float"] if single else DOUBLE
    return of_dtype(dtype)
