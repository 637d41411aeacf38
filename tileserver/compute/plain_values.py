"""Conversion of arguments that are numbers, texts, lists, dictionaries and arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tileserver.compute.context import Context
from tileserver.compute.values.array import Array, array_of
from tileserver.compute.values.date import Date
from tileserver.compute.values.feature import Feature
from tileserver.compute.values.geometry import ErrorMargin
from tileserver.compute.values.image import Image
from tileserver.errors import InvalidRequest, shown


def to_number(value: Any, context: Context) -> float | None:
    """Return a number; true and false are 1 and 0, a date its milliseconds, a margin its size."""
    match value:
        case bool():
            return int(value)
        case int() | float():
            return value
        case Date():
            return value.millis
        case ErrorMargin():
            return value.value
        case Array() if value.values.ndim == 0:
            return value.values.item()  # type: ignore[no-any-return]
    return None


def to_integer(value: Any, context: Context) -> int | None:
    """Return a whole number; a fraction is cut off."""
    number = to_number(value, context)
    return int(number) if number is not None and math.isfinite(number) else None


def to_text(value: Any, context: Context) -> str | None:
    """Return a text."""
    return value if isinstance(value, str) else None


def to_boolean(value: Any, context: Context) -> bool | None:
    """Return a truth value; numbers other than zero are true."""
    return bool(value) if isinstance(value, bool | int | float) else None


def to_list(value: Any, context: Context) -> list[Any] | None:
    """Return a list; of an array of one dimension or more, the nested lists of its numbers."""
    if isinstance(value, Array):
        return value.values.tolist() if value.values.ndim else None
    return list(value) if isinstance(value, list | tuple) else None


def to_array(value: Any, context: Context) -> Array | None:
    """Return an array: of a number that of no dimensions, of nested lists of numbers theirs."""
    return array_of(value)


def to_dictionary(value: Any, context: Context) -> Mapping[str, Any] | None:
    """Return a dictionary; an element's properties are one."""
    match value:
        case Mapping():
            return value
        case Image() | Feature():
            return value.properties
    return None


def number_in(value: Any, place: str) -> float:
    """Return a number; `place` is where it was found, as an error begins.

    Raises:
        InvalidRequest: it is not a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{place} is not a number but {shown(value)}.")
    return value


def text_in(value: Any, place: str) -> str:
    """Return a string; raises as `number_in`."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{place} is not a string but {shown(value)}.")
    return value
