"""Reducers as values: functions of many numbers to one or a few.

The same reducer works on a stack of images, pixel by pixel, on the pixels of a region, and on
the properties of a collection's elements. Masked and null values are left out.

Inputs come in columns with weights: a pixel counts by the smaller of its mask and of the share of
it that a region covers. Earth Engine's documentation calls `sum`, `mean`, `linearFit`, the circular
reducers and the frequency table weighted; here so are the histograms, and medians, modes and
percentiles, which it computes by histograms. All others take the pixels whose centre lies in the
region, with full weight, as any reducer does after `unweighted()`; `count` is the guide's own
example of them ("Pixels in the region", guides/reducers_reduce_region).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.values.array import Array
from tileserver.compute.values.columns import Accumulator as Accumulator
from tileserver.compute.values.columns import Column as Column
from tileserver.compute.values.columns import Held, Weighting
from tileserver.compute.values.columns import Named as Named
from tileserver.compute.values.columns import Valid as Valid
from tileserver.compute.values.columns import Weights as Weights
from tileserver.compute.values.columns import column_of as column_of
from tileserver.compute.values.columns import number_rows as number_rows
from tileserver.compute.values.columns import valid_rows as valid_rows
from tileserver.compute.values.columns import weighed as weighed
from tileserver.compute.values.columns import weighted_rows as weighted_rows
from tileserver.compute.values.made import Made
from tileserver.compute.values.pixel_type import PixelType
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

MAX_HELD_BYTES = 160_000_000
"""Memory of the states of a reduction, and of the arrays that it results in."""
Stack = NDArray[Any]
"""Values of shape (count, …), with the numbers to reduce along the first axis."""
Reduced = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values and their validity, without the first axis."""


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
        self.held_bytes = self.state.held_bytes


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
    made: Made | None = field(default=None, compare=False)

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
        return self.made.to_json() if self.made else {"type": f"Reducer.{self.name}"}

    def results(self, columns: Sequence[Column]) -> dict[str, Any]:
        """Return the results by name, for as many columns as it has inputs."""
        self.check_inputs(len(columns), "inputs")
        found: dict[str, Any] = {}
        held_bytes = 0
        for output in self.outputs:
            check_time()
            found[output.name] = output.result(columns)
            held_bytes += result_bytes(found[output.name])
            check_held(held_bytes)
        return found

    def check_inputs(self, count: int, plural: str) -> None:
        """Raise InvalidRequest unless it takes `count` inputs; `plural` names them."""
        if count != self.inputs:
            raise InvalidRequest(
                f"Need {self.inputs} {plural} for Reducer.{self.name}, got {count}."
            )


class Reduction:
    """The results of outputs over columns that come in pieces."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self.outputs = outputs
        self.held_bytes = 0
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
        """Take some more rows of all columns.

        Raises:
            InvalidRequest: its states take too much memory.
        """
        views: dict[tuple[int, Weighting], Column] = {}
        held_bytes = 0
        for _, weighting, takes, state in self._states:
            for place in takes:
                if (place, weighting) not in views:
                    views[place, weighting] = columns[place].seen(weighting)
            state.add([views[place, weighting] for place in takes])
            held_bytes += state.held_bytes
            check_held(held_bytes)
        self.held_bytes = held_bytes

    def result(self, place: int) -> Any:
        """Return the result of one output."""
        output, state = self.outputs[place], self._state_of[place]
        if isinstance(state, Held) and output.finish is None:
            return output.reduce_columns(state.columns)
        assert output.finish is not None
        return output.finish(state)


def check_held(held_bytes: int) -> None:
    """Raise InvalidRequest if states or results of a reduction take too much memory."""
    if held_bytes > MAX_HELD_BYTES:
        raise out_of_memory()


def result_bytes(value: Any) -> int:
    """Return the estimated memory of a result: an array, a list, a table, or something small."""
    if isinstance(value, Array):
        return int(value.values.nbytes)
    if not isinstance(value, Mapping | list | tuple):
        return 0
    parts = value.values() if isinstance(value, Mapping) else value
    return 40 * len(value) + sum(map(result_bytes, parts))


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
