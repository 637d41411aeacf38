"""Reducers as values: many numbers made into one, or a few.

The same reducer works on a stack of images, pixel by pixel, and on the pixels of a region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.pixeltypes import PixelType

Stack = NDArray[Any]
"""Values of shape (count, …), with the numbers to reduce along the first axis."""
Valid = NDArray[np.bool_]
"""Of the same shape: False where there is no number."""
Reduced = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values and where there are any, without the first axis."""


@dataclass(frozen=True, slots=True)
class Output:
    """One number, or list, that comes out of a reducer."""

    name: str
    reduce: Callable[[Stack, Valid], Reduced]
    """Of numbers, along the first axis."""
    type_of: Callable[[PixelType], PixelType]
    """The type of what comes out, given that of what goes in."""
    collect: Callable[[Sequence[Any]], Any] | None = None
    """Of a list of any values, for what numbers alone cannot say, such as toList."""


@dataclass(frozen=True, slots=True)
class Reducer:
    """What comes out, of each input on its own."""

    name: str
    outputs: tuple[Output, ...]
    repeats: int | None = None
    """Made with `repeat`: how many inputs it takes, its outputs a list of as many."""

    def to_json(self) -> dict[str, Any]:
        """Return what getInfo tells of it."""
        return {"type": f"Reducer.{self.name}"}
