"""Columns of values and their weights, as reducers take them, and the states of reductions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import InvalidRequest, shown

Valid = NDArray[np.bool_]
"""False where there is no value."""
Weights = NDArray[np.float64]
Weighting = Literal["weighted", "unweighted", "both"]


@dataclass(frozen=True, slots=True)
class Column:
    """One input of a reducer: values of any type, in order."""

    values: NDArray[Any]
    """Shape (count,); numbers, or any objects."""
    valid: Valid
    """Shape (count,); False where there is no value."""
    weights: Weights | None = None
    """Shape (count,), 0 or more; None is 1 for all."""
    centred: Valid | None = None
    """Shape (count,); False where a pixel's centre is not in the region. None is True for all."""

    def to_list(self, rows: Any = slice(None)) -> list[Any]:
        """Return the values in some rows, None where there is none."""
        pairs = zip(self.values[rows].tolist(), self.valid[rows].tolist(), strict=True)
        return [value if is_valid else None for value, is_valid in pairs]

    def at(self, rows: Any) -> Column:
        """Return some rows."""
        weights = None if self.weights is None else self.weights[rows]
        centred = None if self.centred is None else self.centred[rows]
        return Column(self.values[rows], self.valid[rows], weights, centred)

    def seen(self, weighting: Weighting) -> Column:
        """Return the column as a weighted or an unweighted output takes it."""
        if weighting == "both" or (self.weights is None and self.centred is None):
            return self
        if weighting == "weighted":
            if self.weights is None:
                return self
            return Column(self.values, self.valid & (self.weights > 0), self.weights)
        rows = slice(None) if self.centred is None else self.centred
        return Column(self.values[rows], self.valid[rows])


def column_of(values: Iterable[Any]) -> Column:
    """Return values as a column, None as invalid; numbers become int64 or float64."""
    found = list(values)
    valid = np.array([each is not None for each in found], dtype=bool)
    known = [each for each in found if each is not None]
    if all(isinstance(each, int | float | np.number) for each in known):
        is_whole = all(isinstance(each, int) and abs(each) < 2**63 for each in known)
        dtype: Any = np.int64 if is_whole else np.float64
        return Column(np.array([0 if e is None else e for e in found], dtype=dtype), valid)
    objects = np.empty(len(found), dtype=object)
    for place, each in enumerate(found):
        # Not all at once: NumPy would look into lists within lists.
        objects[place] = each
    return Column(objects, valid)


def weighed(column: Column, weights: Column) -> Column:
    """Return a column with weights from another, which takes no part where it is not above 0.

    Raises:
        InvalidRequest: the weights are not numbers.
    """
    if weights.values.dtype == object:
        raise InvalidRequest(f"Weights must be numbers, got {shown(weights.values[0])}.")
    found = np.where(weights.valid, weights.values, 0).astype(np.float64)
    found = np.where(found > 0, found, 0.0)
    return Column(column.values, column.valid & (found > 0), found)


class Accumulator:
    """The state of a reduction over columns that come in pieces."""

    name = "the reducer"
    """For errors."""
    held_bytes = 0
    """Memory of what grows with its input or with its arguments."""

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows."""
        raise NotImplementedError


_OBJECT_BYTES = 250
"""Of a value that is no number, at least."""


@dataclass(frozen=True, slots=True)
class Named:
    """Starts a state that knows for which output it is."""

    state: Callable[[], Accumulator]
    name: str = field(compare=False)
    """Not compared: outputs share a state whatever their names."""

    def __call__(self) -> Accumulator:
        """Return a new state."""
        found = self.state()
        found.name = self.name
        return found


class Held(Accumulator):
    """Keeps all rows, for reductions that need them at once."""

    def __init__(self) -> None:
        self.parts: list[Sequence[Column]] = []

    def add(self, columns: Sequence[Column]) -> None:
        """Keep the rows."""
        self.parts.append(columns)
        self.held_bytes += sum(map(_bytes_of, columns))

    @property
    def columns(self) -> list[Column]:
        """All rows so far."""
        return [_joined(parts) for parts in zip(*self.parts, strict=True)]


def _bytes_of(column: Column) -> int:
    arrays = (column.values, column.valid, column.weights, column.centred)
    found = sum(each.nbytes for each in arrays if each is not None)
    if column.values.dtype == object:
        found += sum(_OBJECT_BYTES + getattr(each, "nbytes", 0) for each in column.values)
    return found


def _joined(parts: Sequence[Column]) -> Column:
    if len(parts) == 1:
        return parts[0]
    weights = [part.weights for part in parts if part.weights is not None]
    centred = [part.centred for part in parts if part.centred is not None]
    return Column(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.valid for part in parts]),
        np.concatenate(weights) if len(weights) == len(parts) else None,
        np.concatenate(centred) if len(centred) == len(parts) else None,
    )


def valid_rows(columns: Sequence[Column]) -> list[NDArray[Any]]:
    """Return the values of columns in the rows that are valid in all of them."""
    valid = np.logical_and.reduce([column.valid for column in columns])
    return [column.values[valid] for column in columns]


def weighted_rows(columns: Sequence[Column]) -> tuple[list[NDArray[Any]], Weights | None]:
    """Return the values of columns in the rows that are valid in all, and the rows' weights.

    A row's weight is the least of its columns'; None is 1 for all.
    """
    valid = np.logical_and.reduce([column.valid for column in columns])
    weights = [column.weights[valid] for column in columns if column.weights is not None]
    least = np.minimum.reduce(weights) if weights else None
    return [column.values[valid] for column in columns], least


def number_rows(
    columns: Sequence[Column], name: str = "the reducer"
) -> tuple[list[NDArray[np.float64]], Weights | None]:
    """Return as `weighted_rows`, as floating point.

    Raises:
        InvalidRequest: a value is not a number; says for which reducer's `name`.
    """
    values, weights = weighted_rows(columns)
    for each in values:
        if each.dtype == object and len(each):
            raise InvalidRequest(f"Expected numbers for {name}, got {shown(each[0])}.")
    return [each.astype(np.float64) for each in values], weights
