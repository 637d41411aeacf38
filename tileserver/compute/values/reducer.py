"""Reducers as values: functions of many numbers to one or a few.

The same reducer works on a stack of images, pixel by pixel, on the pixels of a region, and on
the properties of a collection's elements. Masked and null values are left out; all others have
the same weight, those of partly masked pixels too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.pixel_type import PixelType
from tileserver.errors import InvalidRequest

Stack = NDArray[Any]
"""Values of shape (count, …), with the numbers to reduce along the first axis."""
Valid = NDArray[np.bool_]
"""Of the same shape: False where there is no number."""
Reduced = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values and their validity, without the first axis."""


@dataclass(frozen=True, slots=True)
class Column:
    """One input of a reducer: values of any type, in order."""

    values: NDArray[Any]
    """Shape (count,); numbers, or any objects."""
    valid: Valid
    """Shape (count,); False where there is no value."""

    def to_list(self, rows: Any = slice(None)) -> list[Any]:
        """Return the values in some rows, None where there is none."""
        pairs = zip(self.values[rows].tolist(), self.valid[rows].tolist(), strict=True)
        return [value if is_valid else None for value, is_valid in pairs]


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


@dataclass(frozen=True, slots=True)
class Output:
    """One result of a reducer: a number, a list or a table."""

    name: str
    takes: tuple[int, ...]
    """Places of the reducer's inputs that it needs."""
    reduce_columns: Callable[[Sequence[Column]], Any]
    """Returns the result for the columns of `takes`, as a JSON-like value."""
    reduce_stacks: Callable[[Sequence[Stack], Valid], Reduced] | None = None
    """Reduces the stacks of `takes` along the first axis, valid where all are; None: cannot."""
    type_of: Callable[[PixelType], PixelType] = lambda type_: type_
    """Pixel type of the result, from that of the last input."""

    def result(self, columns: Sequence[Column]) -> Any:
        """Return the result for all columns of a reducer."""
        return self.reduce_columns([columns[place] for place in self.takes])

    def moved(self, by: int, name: str | None = None) -> Output:
        """Return the output for inputs moved by a number of places, renamed if a name is given."""
        return replace(self, takes=tuple(t + by for t in self.takes), name=name or self.name)


@dataclass(frozen=True, slots=True)
class Reducer:
    """A function of one or more inputs with named outputs."""

    name: str
    outputs: tuple[Output, ...]
    inputs: int = 1

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order."""
        return [output.name for output in self.outputs]

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return {"type": f"Reducer.{self.name}"}

    def results(self, columns: Sequence[Column]) -> dict[str, Any]:
        """Return the results by name, for as many columns as it has inputs."""
        self.check_inputs(len(columns), "columns")
        return {output.name: output.result(columns) for output in self.outputs}

    def check_inputs(self, count: int, plural: str) -> None:
        """Raise InvalidRequest unless it takes `count` inputs; `plural` names them."""
        if count != self.inputs:
            raise InvalidRequest(
                f"The reducer {self.name} needs {self.inputs} inputs, there are {count} {plural}."
            )


def spread(reducer: Reducer, names: Sequence[str], keeps_name: bool) -> list[Output]:
    """Return the outputs of a reducer over bands, renamed as Earth Engine names the results.

    A reducer of one input is repeated for each band, with outputs such as `B1_mean`; another
    takes all bands together, and keeps its own names.

    Args:
        reducer: the reducer.
        names: ids of the bands.
        keeps_name: whether a single output has the name of the band alone.

    Raises:
        InvalidRequest: it takes several inputs, and not as many as there are bands.
    """
    if reducer.inputs != 1:
        reducer.check_inputs(len(names), "bands")
        return list(reducer.outputs)
    is_alone = keeps_name and len(reducer.outputs) == 1
    return [
        output.moved(place, name if is_alone else f"{name}_{output.name}")
        for place, name in enumerate(names)
        for output in reducer.outputs
    ]


def valid_rows(columns: Sequence[Column]) -> list[NDArray[Any]]:
    """Return the values of columns in the rows that are valid in all of them."""
    valid = np.logical_and.reduce([column.valid for column in columns])
    return [column.values[valid] for column in columns]
