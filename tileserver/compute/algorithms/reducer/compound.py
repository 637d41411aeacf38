"""Reducers built from others, and those that return lists or tables.

A band cannot hold a table, so those reducers are for regions and collections only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.reducer.simple import check_names
from tileserver.compute.context import Context, check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Image
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.compute.values.reducer import (
    Column,
    Output,
    Reduced,
    Reducer,
    Stack,
    Valid,
    valid_rows,
)
from tileserver.errors import InvalidRequest, shown

_MOST_OUTPUTS = 5000
_MOST_BUCKETS = 65536
_MOST_VALUES = 1_000_000


@algorithm("Reducer.getOutputs(reducer: Reducer) -> List")
def outputs_of(reducer: Reducer) -> list[str]:
    """Return the names of the outputs."""
    return reducer.output_names


@algorithm("Reducer.setOutputs(reducer: Reducer, outputs: List) -> Reducer")
def set_outputs(reducer: Reducer, names: list[Any]) -> Reducer:
    """Return a reducer with other names of its outputs."""
    check_names(names, len(reducer.outputs))
    renamed = (o.moved(0, name) for o, name in zip(reducer.outputs, names, strict=True))
    return replace(reducer, outputs=tuple(renamed))


@algorithm("Reducer.unweighted(reducer: Reducer) -> Reducer")
def unweighted(reducer: Reducer) -> Reducer:
    """Return the reducer itself: none has weights here."""
    return reducer


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

    def reduce_columns(columns: Sequence[Column]) -> list[Any]:
        return [output.reduce_columns(columns[i * size : (i + 1) * size]) for i in range(count)]

    return Output(output.name, takes, reduce_columns)


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


@algorithm(
    'Reducer.group(reducer: Reducer, groupField: Integer = 0.0, groupName: String = "group")'
    " -> Reducer"
)
def group(context: Context, reducer: Reducer, field: int, name: str) -> Reducer:
    """Return a reducer with one more input, whose values are groups to reduce separately."""
    inputs = reducer.inputs + 1
    if not 0 <= field < inputs:
        raise InvalidRequest(f"groupField must be 0 to {inputs - 1}, got {field}.")
    others = [place for place in range(inputs) if place != field]

    def reduce_columns(columns: Sequence[Column]) -> list[dict[str, Any]]:
        keys = columns[field]
        found = np.unique(keys.values[keys.valid])
        check_length(len(found), 10_000, "groups")
        groups = []
        for key in found:
            context.budget.check_time()
            rows = keys.valid & (keys.values == key)
            parts = [Column(columns[i].values[rows], columns[i].valid[rows]) for i in others]
            groups.append({name: key.item() if hasattr(key, "item") else key})
            groups[-1] |= reducer.results(parts)
        return groups

    output = Output("groups", tuple(range(inputs)), reduce_columns)
    return Reducer("group", (output,), inputs)


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


@algorithm("Reducer.frequencyHistogram() -> Reducer")
def frequency_histogram() -> Reducer:
    """Return the reducer that counts each value."""
    return Reducer("frequencyHistogram", (Output("histogram", (0,), frequencies),))


def frequencies(columns: Sequence[Column]) -> dict[str, int]:
    """Return the count of each value of a column, by the value as text."""
    (values,) = valid_rows(columns)
    if values.dtype == object:
        if wrong := [each for each in values if not isinstance(each, str | int | float)]:
            raise InvalidRequest(f"Expected numbers or strings, got {shown(wrong[0])}.")
        values = np.array([each if isinstance(each, str) else repr(each) for each in values])
    found, counts = np.unique(values, return_counts=True)
    check_length(len(found), 100_000, "different values")
    texts = (as_text(each) for each in found.tolist())
    return dict(zip(texts, counts.tolist(), strict=True))


def as_text(value: Any) -> str:
    """Return a value as a key; a whole number without a point."""
    is_whole = isinstance(value, float) and math.isfinite(value) and value == int(value)
    return str(int(value) if is_whole else value)


@algorithm(
    "Reducer.histogram(maxBuckets: Integer = null, minBucketWidth: Float = null,"
    " maxRaw: Integer = null) -> Reducer"
)
def histogram(most: int | None, least: float | None, raw: int | None) -> Reducer:
    """Return the reducer that gives counts in buckets, a power of two wide."""
    most = 256 if most is None else most
    if not 1 <= most <= _MOST_BUCKETS:
        raise InvalidRequest(f"maxBuckets must be 1 to {_MOST_BUCKETS}, got {most}.")
    buckets = 2 ** math.ceil(math.log2(most))

    def reduce_columns(columns: Sequence[Column]) -> dict[str, Any] | None:
        (values,) = _finite(columns)
        return bucketed(values, buckets, least or 0.0) if len(values) else None

    return Reducer("histogram", (Output("histogram", (0,), reduce_columns),))


def bucketed(values: NDArray[Any], most: int, least_width: float) -> dict[str, Any]:
    """Return a histogram of at most so many buckets, each a power of two wide."""
    low, high = float(values.min()), float(values.max())
    width = 2.0 ** math.ceil(math.log2(max((high - low) / most, least_width, 1e-300)))
    if low == high:
        width = 2.0 ** math.ceil(math.log2(least_width)) if least_width > 0 else 1.0
    while math.floor(high / width) - math.floor(low / width) + 1 > most:
        width *= 2
    start = math.floor(low / width)
    size = math.floor(high / width) - start + 1
    places = (np.floor(values / width) - start).astype(np.intp)
    counts = np.bincount(places, minlength=size)
    sums = np.bincount(places, weights=values, minlength=size)
    middles = (start + np.arange(size) + 0.5) * width
    means = np.where(counts > 0, sums / np.maximum(counts, 1), middles)
    return {
        "bucketMeans": means.tolist(),
        "bucketMin": start * width,
        "bucketWidth": width,
        "histogram": counts.tolist(),
    }


def _finite(columns: Sequence[Column]) -> list[NDArray[np.float64]]:
    found = []
    for values in valid_rows(columns):
        if values.dtype == object:
            raise InvalidRequest(f"Expected numbers, got {shown(values[0])}.")
        found.append(values.astype(np.float64))
    keep = np.logical_and.reduce([np.isfinite(values) for values in found])
    return [values[keep] for values in found]


@algorithm(
    "Reducer.fixedHistogram(min: Float, max: Float, steps: Integer,"
    " cumulative: Boolean = false) -> Reducer"
)
def fixed_histogram(low: float, high: float, steps: int, is_cumulative: bool) -> Reducer:
    """Return the reducer that gives counts in equal steps, as pairs of lower edge and count."""
    if not low < high or not 1 <= steps <= _MOST_BUCKETS:
        raise InvalidRequest(f"Expected min < max and 1 to {_MOST_BUCKETS} steps.")

    def reduce_columns(columns: Sequence[Column]) -> list[list[float]]:
        (values,) = _finite(columns)
        places = np.floor((values - low) / (high - low) * steps)
        inside = (values >= low) & (values < high)
        counts = np.bincount(np.minimum(places[inside], steps - 1).astype(np.intp), minlength=steps)
        counts = counts.cumsum() if is_cumulative else counts
        edges = low + np.arange(steps) * ((high - low) / steps)
        return np.column_stack([edges, counts]).tolist()  # type: ignore[no-any-return]

    return Reducer("fixedHistogram", (Output("histogram", (0,), reduce_columns),))


@algorithm("Reducer.linearFit() -> Reducer")
def linear_fit() -> Reducer:
    """Return the reducer of x and y that gives the slope and offset of their line."""

    def fit(stacks: Sequence[Stack], valid: Valid) -> tuple[Any, Any, Any]:
        count = valid.sum(axis=0)
        x, y = (np.where(valid, s, 0).astype(np.float64) for s in stacks)
        mean_x, mean_y = (v.sum(axis=0) / np.maximum(count, 1) for v in (x, y))
        off_x, off_y = np.where(valid, x - mean_x, 0), np.where(valid, y - mean_y, 0)
        across = (off_x**2).sum(axis=0)
        slope = (off_x * off_y).sum(axis=0) / np.where(across == 0, 1, across)
        return slope, mean_y - slope * mean_x, (count > 1) & (across > 0)

    def output(name: str, place: int) -> Output:
        def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
            found = fit(stacks, valid)
            return found[place], found[2]

        def reduce_columns(columns: Sequence[Column]) -> float | None:
            values = _finite(columns)
            found = fit(values, np.ones(len(values[0]), bool))
            return float(found[place]) if found[2] else None

        return Output(name, (0, 1), reduce_columns, reduce_stacks, lambda t: DOUBLE)

    return Reducer("linearFit", (output("scale", 0), output("offset", 1)), 2)
