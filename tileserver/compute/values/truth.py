"""Which values count as true where a condition stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_true(value: Any) -> bool:
    """Tell whether a value counts as true, by the rules of `ee.Algorithms.If` in its reference.

    Zero, NaN, null, and empty strings, lists and dictionaries do not; everything else does.
    """
    if isinstance(value, int | float):
        return value == value and value != 0
    if isinstance(value, str | list | tuple | Mapping):
        return len(value) > 0
    return value is not None
