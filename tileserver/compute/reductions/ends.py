"""Counts, ends and folds of columns: what needs one value, or one of each kind, to be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.context import check_length
from tileserver.compute.values.equality import Keys
from tileserver.compute.values.reducer import Accumulator, Column, valid_rows
from tileserver.errors import InvalidRequest, shown

MOST_DISTINCT = 100_000


def plain(value: Any) -> Any:
    """Return a value without NumPy's type."""
    return value.item() if isinstance(value, np.generic) else value


def check_numbers(values: NDArray[Any], name: str) -> None:
    """Raise InvalidRequest if there is a value that is no number; says for which reducer."""
    if values.dtype == object and len(values):
        raise InvalidRequest(f"Expected numbers for {name}, got {shown(values[0])}.")


class Count(Accumulator):
    """How many values there are, and how many rows."""

    def __init__(self) -> None:
        self.valid = 0
        self.rows = 0

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows."""
        self.valid += int(np.count_nonzero(columns[0].valid))
        self.rows += len(columns[0].valid)


class Distinct(Accumulator):
    """The different values."""

    def __init__(self) -> None:
        self.numbers: NDArray[Any] = np.zeros(0)
        self.others: set[Any] = set()
        self.keys = Keys()

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more values."""
        (values,) = valid_rows(columns)
        if values.dtype == object:
            self._add_objects(values)
        elif len(values):
            found = np.unique(values)
            self.numbers = found if not len(self.numbers) else np.union1d(self.numbers, found)
        check_length(self.count, 10 * MOST_DISTINCT, "different values")
        self.held_bytes = self.numbers.nbytes + 200 * len(self.others)

    def _add_objects(self, values: Iterable[Any]) -> None:
        self.others |= {self.keys.of(value) for value in values}

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.numbers) + len(self.others)


class Runs(Accumulator):
    """How many runs of equal values there are, null left out."""

    def __init__(self) -> None:
        self.count = 0
        self.last: Any = None

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more values."""
        (values,) = valid_rows(columns)
        if not len(values):
            return
        if not self.count or values[0] != self.last:
            self.count += 1
        self.count += int(np.count_nonzero(values[1:] != values[:-1]))
        self.last = values[-1]


class First(Accumulator):
    """The first value that is there."""

    def __init__(self) -> None:
        self.value: Any = None

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more values."""
        if self.value is None:
            (values,) = valid_rows(columns)
            self.value = plain(values[0]) if len(values) else None


class Last(First):
    """The last value that is there."""

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more values."""
        (values,) = valid_rows(columns)
        if len(values):
            self.value = plain(values[-1])


@dataclass(frozen=True)
class FoldOf:
    """Starts a running result of numbers."""

    name: str
    fold: Callable[[NDArray[Any]], Any]
    """Returns the result for an array of numbers, and for an array of such results."""

    def __call__(self) -> Folded:
        """Return a new state."""
        return Folded(self.name, self.fold)


class Folded(Accumulator):
    """A running result of numbers; None if there was none."""

    def __init__(self, name: str, fold: Callable[[NDArray[Any]], Any]) -> None:
        self.name = name
        self.fold = fold
        self.value: Any = None

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more numbers."""
        (values,) = valid_rows(columns)
        check_numbers(values, self.name)
        if len(values):
            found = plain(self.fold(values))
            known = [found] if self.value is None else [self.value, found]
            self.value = plain(self.fold(np.array(known)))


@dataclass(frozen=True)
class BesideOf:
    """Starts the search for the value beside the least or the greatest."""

    is_least: bool

    def __call__(self) -> Beside:
        """Return a new state."""
        return Beside(self.is_least)


class Beside(Accumulator):
    """The value of a second column where the first one is least or greatest."""

    def __init__(self, is_least: bool) -> None:
        self.is_least = is_least
        self.end: Any = None
        self.value: Any = None

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows."""
        leading, other = valid_rows(columns)
        check_numbers(leading, "min" if self.is_least else "max")
        if not len(leading):
            return
        at = leading.argmin() if self.is_least else leading.argmax()
        end = leading[at]
        if self.end is None or (end < self.end if self.is_least else end > self.end):
            self.end, self.value = end, plain(other[at])
