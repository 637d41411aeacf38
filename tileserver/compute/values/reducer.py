"""Reducers as values: functions of many numbers to one or a few.

The same reducer works on a stack of images, pixel by pixel, on the pixels of a region, and on
the properties of a collection's elements. Masked and null values are left out.

Inputs come in columns with weights: a pixel counts by the smaller of its mask and of the share of
it that a region covers. Earth Engine's documentation calls `sum`, `mean`, `linearFit`, the circular
reducers and the frequency table weighted; here so are the histograms, and medians, modes and
percentiles, which it computes by histograms. All others take the pixels whose centre lies in the
region, with full weight, as any reducer does after `unweighted()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.pixel_type import PixelType
from tileserver.errors import InvalidRequest, shown

Stack = NDArray[Any]
"""Values of shape (count, …), with the numbers to reduce along the first axis."""
Valid = NDArray[np.bool_]
"""Of the same shape: False where there is no number."""
Weights = NDArray[np.float64]
Reduced = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values and their validity, without the first axis."""
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

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows."""
        raise NotImplementedError


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

    @property
    def columns(self) -> list[Column]:
        """All rows so far."""
        return [_joined(parts) for parts in zip(*self.parts, strict=True)]

    @property
    def held_bytes(self) -> int:
        """Memory that they take."""
        return sum(_bytes_of(column) for part in self.parts for column in part)


def _bytes_of(column: Column) -> int:
    arrays = (column.values, column.valid, column.weights, column.centred)
    return sum(each.nbytes for each in arrays if each is not None)


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
    weighting: Weighting = "unweighted"
    """Which view of columns it takes; `both` means that it chooses itself."""
    reduce_weighted: Callable[[Sequence[Stack], Weights], Reduced] | None = None
    """As `reduce_stacks`, with weights from 0 to 1 in place of validity; None: it has none."""
    start: Callable[[], Accumulator] | None = None
    """Makes the state of a reduction in pieces; outputs with an equal one share the state. None:
    all rows are held for `reduce_columns`."""
    finish: Callable[[Any], Any] | None = None
    """Returns the result from that state."""
    takes_masked: bool = False
    """Whether masked pixels of a stack count too, so that no pixel of the result is masked."""
    unweighted_takes: tuple[int, ...] = ()
    """Those of `takes` that never have weights, such as a group's key."""

    def result(self, columns: Sequence[Column]) -> Any:
        """Return the result for all columns of a reducer."""
        return self.reduce_columns([columns[place].seen(self.weighting) for place in self.takes])

    def moved(self, by: int, name: str | None = None) -> Output:
        """Return the output for inputs moved by a number of places, renamed if a name is given."""
        return replace(
            self,
            takes=tuple(t + by for t in self.takes),
            unweighted_takes=tuple(t + by for t in self.unweighted_takes),
            name=name or self.name,
        )


Change = Callable[[Sequence[Column]], Sequence[Column]]


@dataclass(frozen=True, slots=True)
class _Changing:
    """Starts a reduction whose columns are changed first."""

    start: Callable[[], Accumulator]
    change: Change

    def __call__(self) -> Accumulator:
        return _Changed(self.start(), self.change)


class _Changed(Accumulator):
    def __init__(self, state: Accumulator, change: Change) -> None:
        self.state = state
        self.change = change

    def add(self, columns: Sequence[Column]) -> None:
        self.state.add(self.change(columns))


def changed(output: Output, change: Change, **members: Any) -> Output:
    """Return an output whose columns are changed before it reduces them.

    Args:
        output: the output.
        change: returns the columns that the output takes, from those of the new one.
        members: other members of the new output.
    """
    reduce, start, finish = output.reduce_columns, output.start, output.finish
    return replace(
        output,
        reduce_columns=lambda columns: reduce(change(columns)),
        start=start and _Changing(start, change),
        finish=finish and (lambda changing: finish(changing.state)),
        **members,
    )


def accumulated(
    name: str,
    start: Callable[[], Accumulator],
    finish: Callable[[Any], Any],
    takes: tuple[int, ...] = (0,),
    **members: Any,
) -> Output:
    """Return an output that reduces columns piece by piece."""

    def reduce_columns(columns: Sequence[Column]) -> Any:
        state = start()
        state.add(columns)
        return finish(state)

    return Output(name, takes, reduce_columns, start=start, finish=finish, **members)


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

    @property
    def weighted_inputs(self) -> list[int]:
        """Places of the inputs that have weights."""
        found = {
            place
            for output in self.outputs
            if output.weighting != "unweighted"
            for place in output.takes
            if place not in output.unweighted_takes
        }
        return sorted(found)

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


class Reduction:
    """The results of outputs over columns that come in pieces."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self.outputs = outputs
        self._states: list[tuple[Any, Weighting, tuple[int, ...], Accumulator]] = []
        self._state_of = [self._find_state(output) for output in outputs]

    def _find_state(self, output: Output) -> Accumulator:
        start = output.start or Held
        for other, weighting, takes, state in self._states:
            if (start, output.weighting, output.takes) == (other, weighting, takes):
                return state
        state = start()
        self._states.append((start, output.weighting, output.takes, state))
        return state

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows of all columns."""
        views: dict[tuple[int, Weighting], Column] = {}
        for _, weighting, takes, state in self._states:
            for place in takes:
                if (place, weighting) not in views:
                    views[place, weighting] = columns[place].seen(weighting)
            state.add([views[place, weighting] for place in takes])

    @property
    def held_bytes(self) -> int:
        """Memory of the rows that are kept."""
        return sum(state.held_bytes for *_, state in self._states if hasattr(state, "held_bytes"))

    def result(self, place: int) -> Any:
        """Return the result of one output."""
        output, state = self.outputs[place], self._state_of[place]
        if isinstance(state, Held) and output.finish is None:
            return output.reduce_columns(state.columns)
        assert output.finish is not None
        return output.finish(state)


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
