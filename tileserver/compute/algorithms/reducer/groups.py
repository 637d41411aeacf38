"""Reducers that reduce groups of rows separately."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.compute.context import check_length
from tileserver.compute.reductions.ends import plain
from tileserver.compute.registry import algorithm
from tileserver.compute.values.reducer import (
    Accumulator,
    Column,
    Reducer,
    Reduction,
    accumulated,
    check_held,
)
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

_MOST_GROUPS = 10_000
_STATE_BYTES = 1000
"""Of a group, whatever it holds."""


@algorithm(
    'Reducer.group(reducer: Reducer, groupField: Integer = 0.0, groupName: String = "group")'
    " -> Reducer"
)
def group(reducer: Reducer, field: int, name: str) -> Reducer:
    """Return a reducer with one more input, whose values are groups to reduce separately."""
    inputs = reducer.inputs + 1
    if not 0 <= field < inputs:
        raise InvalidRequest(f"groupField must be 0 to {inputs - 1}, got {field}.")
    output = accumulated(
        "groups",
        _GroupsOf(reducer, field),
        lambda state: state.results(name),
        tuple(range(inputs)),
        weighting="both" if reducer.weighted_inputs else "unweighted",
        unweighted_takes=(field,),
    )
    return Reducer("group", (output,), inputs)


@dataclass(frozen=True, slots=True)
class _GroupsOf:
    reducer: Reducer
    field: int

    def __call__(self) -> _Groups:
        return _Groups(self.reducer, self.field)


class _Groups(Accumulator):
    """A reduction for each value of a column."""

    def __init__(self, reducer: Reducer, field: int) -> None:
        self.reducer = reducer
        self.field = field
        self.of_key: dict[Any, Reduction] = {}

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows; those without a key are left out."""
        others = [column for place, column in enumerate(columns) if place != self.field]
        for key, rows in _rows_of_keys(columns[self.field]):
            check_time()
            if key not in self.of_key:
                check_length(len(self.of_key) + 1, _MOST_GROUPS, "groups")
                self.of_key[key] = Reduction(self.reducer.outputs)
            reduction = self.of_key[key]
            self.held_bytes -= reduction.held_bytes
            reduction.add([column.at(rows) for column in others])
            self.held_bytes += reduction.held_bytes
            check_held(self.held_bytes + _STATE_BYTES * len(self.of_key))

    def results(self, name: str) -> list[dict[str, Any]]:
        """Return the results of each group in the order of keys, the key under a name."""
        names = self.reducer.output_names
        return [
            {name: key} | {each: self.of_key[key].result(place) for place, each in enumerate(names)}
            for key in sorted(self.of_key)
        ]


def _rows_of_keys(keys: Column) -> Iterator[tuple[Any, Any]]:
    """Yield each key and the places of its rows."""
    rows = np.flatnonzero(keys.valid)
    found, at = np.unique(keys.values[rows], return_inverse=True)
    check_length(len(found), _MOST_GROUPS, "groups")
    if not len(found):
        return
    order = np.argsort(at.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(at.ravel()))[:-1]
    for key, part in zip(found, np.split(rows[order], ends), strict=True):
        yield plain(key), np.sort(part)
