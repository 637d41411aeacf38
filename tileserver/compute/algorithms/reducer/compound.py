"""Reducers built from others, and those that list their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tileserver.compute.algorithms.reducer.simple import check_names
from tileserver.compute.context import check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Image
from tileserver.compute.values.reducer import (
    Accumulator,
    Column,
    Output,
    Reduced,
    Reducer,
    Reduction,
    Stack,
    Valid,
    accumulated,
    changed,
    check_held,
    weighed,
)
from tileserver.errors import InvalidRequest

_MOST_OUTPUTS = 5000
_MOST_VALUES = 1_000_000


@algorithm("Reducer.getOutputs(reducer: Reducer) -> List")
def outputs_of(reducer: Reducer) -> list[str]:
    """Return the names of the outputs."""
    return reducer.output_names


@algorithm("Reducer.setOutputs(reducer: Reducer, outputs: List) -> Reducer")
def set_outputs(reducer: Reducer, names: list[Any]) -> Reducer:
    """Return a reducer with other names of its outputs; those of no name are dropped."""
    check_length(len(names), _MOST_OUTPUTS, "outputs")
    if len(names) != len(reducer.outputs):
        check_names(names, len(reducer.outputs))
    kept = [(o, name) for o, name in zip(reducer.outputs, names, strict=True) if name]
    check_names([name for _, name in kept], len(kept))
    return replace(reducer, outputs=tuple(output.moved(0, name) for output, name in kept))


@algorithm("Reducer.unweighted(reducer: Reducer) -> Reducer")
def unweighted(reducer: Reducer) -> Reducer:
    """Return a reducer that takes no weights: pixels whose centre lies in the region."""

    def change(columns: Sequence[Column]) -> list[Column]:
        return [column.seen("unweighted") for column in columns]

    def without(output: Output) -> Output:
        if output.weighting == "unweighted":
            return output
        return changed(output, change, weighting="unweighted", reduce_weighted=None)

    return replace(reducer, outputs=tuple(map(without, reducer.outputs)))


@algorithm("Reducer.splitWeights(reducer: Reducer) -> Reducer")
def split_weights(reducer: Reducer) -> Reducer:
    """Return a reducer with an input more after each weighted one, which is its weight."""
    are_weighted = [i in reducer.weighted_inputs for i in range(reducer.inputs)]
    place_of = [i + sum(are_weighted[:i]) for i in range(reducer.inputs)]
    outputs = tuple(_split(output, are_weighted, place_of) for output in reducer.outputs)
    inputs = reducer.inputs + sum(are_weighted)
    check_length(inputs, _MOST_OUTPUTS, "inputs")
    return Reducer("splitWeights", outputs, inputs)


def _split(output: Output, are_weighted: Sequence[bool], place_of: Sequence[int]) -> Output:
    pairs = [(place_of[t], are_weighted[t]) for t in output.takes]
    takes = tuple(p for place, has in pairs for p in ((place, place + 1) if has else (place,)))

    def change(columns: Sequence[Column]) -> list[Column]:
        left = iter(columns)
        return [weighed(next(left), next(left)) if has else next(left) for _, has in pairs]

    reduce = output.reduce_weighted if output.weighting == "weighted" else None

    def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        assert reduce is not None
        weights = [stacks[takes.index(place + 1)] for place, has in pairs if has]
        values = [stacks[takes.index(place)] for place, _ in pairs]
        least = np.minimum.reduce(weights).astype(np.float64)
        return reduce(values, np.where(valid & (least > 0), least, 0.0))

    return changed(
        output,
        change,
        takes=takes,
        weighting="unweighted",
        reduce_stacks=reduce_stacks if reduce else None,
        reduce_weighted=None,
        unweighted_takes=(),
    )


@algorithm(
    "Reducer.combine(reducer1: Reducer, reducer2: Reducer,"
    ' outputPrefix: String = "", sharedInputs: Boolean = false) -> Reducer'
)
def combine(first: Reducer, second: Reducer, prefix: str, shares: bool) -> Reducer:
    """Return a reducer with the outputs of both, over shared inputs or over those of each."""
    if shares and first.inputs != second.inputs:
        raise InvalidRequest(
            f"Reducers that share inputs must have as many: {first.name} has {first.inputs}, "
            f"{second.name} has {second.inputs}."
        )
    by = 0 if shares else first.inputs
    added = tuple(output.moved(by, prefix + output.name) for output in second.outputs)
    outputs = (*first.outputs, *added)
    check_length(len(outputs), _MOST_OUTPUTS, "outputs")
    check_names([output.name for output in outputs], len(outputs))
    return Reducer("combine", outputs, max(first.inputs, by + second.inputs))


@algorithm("Reducer.repeat(reducer: Reducer, count: Integer) -> Reducer")
def repeat(reducer: Reducer, count: int) -> Reducer:
    """Return a reducer of as many times the inputs; each output is a list of the results."""
    if count < 1:
        raise InvalidRequest(f"count must be 1 or more, got {count}.")
    check_length(count * reducer.inputs, _MOST_OUTPUTS, "inputs")
    outputs = (_repeated(output, count, reducer.inputs) for output in reducer.outputs)
    return Reducer("repeat", tuple(outputs), count * reducer.inputs)


def _repeated(output: Output, count: int, inputs: int) -> Output:
    takes = tuple(i * inputs + place for i in range(count) for place in output.takes)
    size = len(output.takes)
    inner = replace(output, takes=tuple(range(size)))
    return accumulated(
        output.name,
        _CopiesOf(inner, count, size),
        lambda state: [each.result(0) for each in state.copies],
        takes,
        weighting="both" if output.weighting != "unweighted" else "unweighted",
        unweighted_takes=tuple(
            i * inputs + place for i in range(count) for place in output.unweighted_takes
        ),
    )


@dataclass(frozen=True, slots=True)
class _CopiesOf:
    """Starts a reduction of several times the columns of an output."""

    output: Output
    count: int
    size: int

    def __call__(self) -> _Copies:
        return _Copies([Reduction([self.output]) for _ in range(self.count)], self.size)


class _Copies(Accumulator):
    def __init__(self, copies: Sequence[Reduction], size: int) -> None:
        self.copies = copies
        self.size = size

    def add(self, columns: Sequence[Column]) -> None:
        self.held_bytes = 0
        for place, each in enumerate(self.copies):
            each.add(columns[place * self.size : (place + 1) * self.size])
            self.held_bytes += each.held_bytes
            check_held(self.held_bytes)


@algorithm("Reducer.forEach(reducer: Reducer, outputNames: List) -> Reducer")
def for_each(reducer: Reducer, names: list[Any]) -> Reducer:
    """Return a reducer with a copy for each name, which prefixes the names of its outputs."""
    check_length(len(names) * len(reducer.outputs), _MOST_OUTPUTS, "outputs")
    check_names(names, len(names))
    is_alone = len(reducer.outputs) == 1
    outputs = tuple(
        output.moved(i * reducer.inputs, name if is_alone else f"{name}_{output.name}")
        for i, name in enumerate(names)
        for output in reducer.outputs
    )
    return Reducer("forEach", outputs, len(names) * reducer.inputs)


@algorithm("Reducer.forEachBand(reducer: Reducer, image: Image) -> Reducer")
def for_each_band(reducer: Reducer, image: Image) -> Reducer:
    """Return a reducer with a copy for each band of an image."""
    return for_each(reducer, image.band_ids)


@algorithm("Reducer.toList(tupleSize: Integer = null, numOptional: Integer = 0.0) -> Reducer")
def to_list(size: int | None, optional: int) -> Reducer:
    """Return the reducer that lists its inputs, or tuples of several."""
    inputs = 1 if size is None else size
    if not 1 <= inputs <= 1000 or not 0 <= optional < max(inputs, 1) + 1:
        raise InvalidRequest(f"tupleSize must be 1 to 1000, got {inputs}.")

    def reduce_columns(columns: Sequence[Column]) -> list[Any]:
        needed = columns[: inputs - optional]
        keep = np.logical_and.reduce([c.valid for c in needed]) if needed else None
        rows = np.arange(len(columns[0].valid)) if keep is None else np.flatnonzero(keep)
        check_length(len(rows) * inputs, _MOST_VALUES, "values")
        lists = [column.to_list(rows) for column in columns]
        return lists[0] if size is None else [list(each) for each in zip(*lists, strict=True)]

    return Reducer("toList", (Output("list", tuple(range(inputs)), reduce_columns),), inputs)
