"""Reducers of aggregates and to aggregates: parts of arrays, features, the geometric median."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.reducer.simple import check_names
from tileserver.compute.context import check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import Array, array
from tileserver.compute.values.feature import Collection, Feature
from tileserver.compute.values.image import INDEX
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.compute.values.reducer import (
    Column,
    Output,
    Reduced,
    Reducer,
    Stack,
    Valid,
    changed,
    column_of,
    number_rows,
    valid_rows,
)
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown

_MOST_FEATURES = 100_000
_MOST_ITEMS = 5_000_000
_MOST_STEPS = 200
Numbers = NDArray[np.float64]


@algorithm("Reducer.toCollection(propertyNames: List, numOptional: Integer = 0.0) -> Reducer")
def to_collection(names: list[Any], optional: int) -> Reducer:
    """Return the reducer that makes a feature of each tuple of inputs, without a geometry.

    The last `numOptional` inputs may be null; a tuple with another null is dropped.
    """
    check_names(names, len(names))
    if not 1 <= len(names) <= 1000 or not 0 <= optional <= len(names):
        raise InvalidRequest(
            f"Expected 1 to 1000 propertyNames and numOptional of 0 to {len(names)}, "
            f"got {len(names)} and {optional}."
        )

    def reduce_columns(columns: Sequence[Column]) -> Collection:
        needed = [column.valid for column in columns[: len(names) - optional]]
        keep = np.logical_and.reduce(needed) if needed else np.ones(len(columns[0].valid), bool)
        rows = np.flatnonzero(keep)
        check_length(len(rows), _MOST_FEATURES, "features")
        lists = [column.to_list(rows) for column in columns]
        features = (
            Feature(None, {**dict(zip(names, row, strict=True)), INDEX: str(place)})
            for place, row in enumerate(zip(*lists, strict=True))
        )
        return Collection("FeatureCollection", tuple(features))

    output = Output("features", tuple(range(len(names))), reduce_columns)
    return Reducer("toCollection", (output,), len(names))


@algorithm("Reducer.disaggregate(reducer: Reducer, axis: Integer = null) -> Reducer")
def disaggregate(reducer: Reducer, axis: int | None) -> Reducer:
    """Return a reducer that takes the items of arrays, lists and dictionaries one by one."""

    def change(columns: Sequence[Column]) -> list[Column]:
        return [_items(column, axis) for column in columns]

    def parted(output: Output) -> Output:
        return changed(output, change, reduce_stacks=None, reduce_weighted=None)

    return replace(reducer, name="disaggregate", outputs=tuple(map(parted, reducer.outputs)))


def _items(column: Column, axis: int | None) -> Column:
    if column.values.dtype != object and column.values.ndim == 1:
        return column
    found: list[Any] = []
    for value, is_valid in zip(column.values, column.valid, strict=True):
        if is_valid:
            found += _parted(value, axis)
            check_length(len(found), _MOST_ITEMS, "items")
    return column_of(found)


def _parted(value: Any, axis: int | None) -> list[Any]:
    values = value.values if isinstance(value, Array) else value
    if isinstance(values, np.ndarray):
        if axis is None:
            return values.ravel().tolist()
        if not 0 <= axis < values.ndim:
            raise InvalidRequest(f"axis must be 0 to {values.ndim - 1}, got {axis}.")
        return [array(each) for each in np.moveaxis(values, axis, 0)]
    if isinstance(values, Mapping):
        return list(values.values())
    return list(values) if isinstance(values, list | tuple) else [values]


@algorithm("Reducer.forEachElement(reducer: Reducer) -> Reducer")
def for_each_element(reducer: Reducer) -> Reducer:
    """Return a reducer that reduces each position of arrays of equal shapes, giving arrays."""
    outputs = tuple(_elementwise(output) for output in reducer.outputs)
    return replace(reducer, name="forEachElement", outputs=outputs)


def _elementwise(output: Output) -> Output:
    def reduce_columns(columns: Sequence[Column]) -> Array | None:
        stacks = [_stack(each) for each in valid_rows(columns)]
        if not len(stacks[0]):
            return None
        if len({each.shape for each in stacks}) > 1:
            raise InvalidRequest("Expected arrays of equal shapes.")
        return array(_at_each(output, stacks))

    return Output(output.name, output.takes, reduce_columns, None, lambda t: t, output.weighting)


def _stack(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype != object:
        return values
    rows = [each.values if isinstance(each, Array) else np.asarray(each) for each in values]
    if len({each.shape for each in rows}) > 1 or any(
        each.dtype.kind not in "biuf" for each in rows
    ):
        raise InvalidRequest(f"Expected arrays of equal shapes, got {shown(values[-1])}.")
    return np.stack(rows) if rows else np.zeros(0)


def _at_each(output: Output, stacks: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if output.reduce_stacks is not None:
        values, _ = output.reduce_stacks(stacks, np.ones(stacks[0].shape, bool))
        return np.asarray(values, np.float64)
    count, shape = len(stacks[0]), stacks[0].shape[1:]
    flat = [each.reshape(count, -1) for each in stacks]
    found = np.zeros(flat[0].shape[1])
    for place in range(len(found)):
        check_time()
        value = output.reduce_columns([Column(f[:, place], np.ones(count, bool)) for f in flat])
        if not isinstance(value, int | float):
            raise InvalidRequest(f"The reducer must give numbers, {output.name} is {shown(value)}.")
        found[place] = value
    return found.reshape(shape)


@algorithm(
    "Reducer.geometricMedian(numX: Integer, eta: Float = 0.001, initialStepSize: Float = 10.0)"
    " -> Reducer"
)
def geometric_median(num_x: int, eta: float, step: float) -> Reducer:
    """Return the reducer that gives the point with the least sum of distances to all points.

    It is found as Weiszfeld did, with the mean as the first guess, until a step is shorter than
    eta; the initial step size is not needed. The outputs are named median_0 and up.
    """
    if not 1 <= num_x <= 500:
        raise InvalidRequest(f"numX must be 1 to 500, got {num_x}.")
    if not (eta > 0 and math.isfinite(step)):
        raise InvalidRequest(f"eta must be above 0, got {eta:g}.")
    outputs = tuple(_coordinate(place, num_x, eta) for place in range(num_x))
    return Reducer("geometricMedian", outputs, num_x)


def _coordinate(place: int, num_x: int, eta: float) -> Output:
    def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        points = np.stack([each.astype(np.float64) for each in stacks], axis=-1)
        return _middle(points, valid, eta)[..., place], np.asarray(valid.any(axis=0))

    def reduce_columns(columns: Sequence[Column]) -> float | None:
        values, _ = number_rows(columns, "geometricMedian")
        if not len(values[0]):
            return None
        found = _middle(np.stack(values, axis=-1), np.ones(len(values[0]), bool), eta)
        return float(found[place])

    takes = tuple(range(num_x))
    return Output(f"median_{place}", takes, reduce_columns, reduce_stacks, lambda t: DOUBLE)


def _middle(points: Numbers, valid: Valid, eta: float) -> Numbers:
    """Return the geometric median of points of shape (count, …, coordinates)."""
    weights = valid[..., np.newaxis].astype(np.float64)
    known = np.where(valid[..., np.newaxis], points, 0.0)
    found: Numbers = (known * weights).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)
    for _ in range(_MOST_STEPS):
        check_time()
        away = np.sqrt(((known - found) ** 2).sum(axis=-1, keepdims=True))
        nearness = weights / np.maximum(away, 1e-12)
        new = (known * nearness).sum(axis=0) / np.maximum(nearness.sum(axis=0), 1e-300)
        moved = np.abs(new - found).max(initial=0.0)
        found = new
        if moved < eta / 10:
            break
    return found
