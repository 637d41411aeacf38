"""Reducers over the axes of arrays, on batches of arrays of equal lengths.

A reducer of one input takes the numbers along the reduced axes. One of several inputs or outputs
needs a field axis: it holds the inputs, and in the result the outputs. A reducer without a
vectorised form, which gives lists or tables elsewhere, must give a number here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.arrays.shapes import axis_in
from tileserver.compute.values.array import check_size
from tileserver.compute.values.pixel_type import DOUBLE, PixelType
from tileserver.compute.values.pixel_type import union as union_of
from tileserver.compute.values.reducer import Column, Output, Reducer
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown

Batch = NDArray[Any]


def reduced_type(reducer: Reducer, type_: PixelType) -> PixelType:
    """Return the type of the numbers of a result, from that of the arrays' numbers."""
    numbers = type_.with_dimensions(0)
    return union_of([output.type_of(numbers) for output in reducer.outputs])


def reduce_axes(
    batch: Batch, reducer: Reducer, axes: Sequence[int], field_axis: int | None
) -> Batch:
    """Return arrays whose reduced axes are 1 long.

    The field axis is for reducers of several inputs or outputs; for others it is one as any.

    Raises:
        InvalidRequest: an axis is out of range, or the reducer's inputs do not fit the field axis.
    """
    dimensions = batch.ndim - 1
    chosen = sorted({axis_in(axis, dimensions) for axis in axes})
    if reducer.inputs == len(reducer.outputs) == 1:
        field_axis = None
    inputs = _inputs(batch, reducer, chosen, field_axis)
    stacks = [_stacked(each, chosen) for each in inputs]
    found = [_reduced(output, stacks) for output in reducer.outputs]
    shaped = [_with_axes(each, chosen) for each in found]
    return shaped[0] if field_axis is None else np.concatenate(shaped, axis=field_axis + 1)


def _inputs(
    batch: Batch, reducer: Reducer, axes: Sequence[int], field_axis: int | None
) -> list[Batch]:
    """Return the arrays of each input, with a field axis of length 1 if there is one."""
    if field_axis is None:
        if reducer.inputs != 1 or len(reducer.outputs) != 1:
            raise InvalidRequest(
                f"The reducer {reducer.name} has {reducer.inputs} inputs and "
                f"{len(reducer.outputs)} outputs; it needs a fieldAxis."
            )
        return [batch]
    axis_in(field_axis, batch.ndim - 1)
    if field_axis in axes:
        raise InvalidRequest(f"The fieldAxis {field_axis} must not be one of the reduced axes.")
    if batch.shape[field_axis + 1] != reducer.inputs:
        raise InvalidRequest(
            f"The reducer {reducer.name} needs {reducer.inputs} inputs, the arrays have length "
            f"{batch.shape[field_axis + 1]} along axis {field_axis}."
        )
    return np.split(batch, reducer.inputs, axis=field_axis + 1)


def _stacked(batch: Batch, axes: Sequence[int]) -> Batch:
    """Return the reduced axes as one in front of all others, the batch's own included."""
    moved = np.moveaxis(batch, [axis + 1 for axis in axes], range(len(axes)))
    size = int(np.prod(moved.shape[: len(axes)], dtype=np.int64))
    return moved.reshape(size, *moved.shape[len(axes) :])


def _with_axes(batch: Batch, axes: Sequence[int]) -> Batch:
    for axis in axes:
        batch = np.expand_dims(batch, axis + 1)
    return batch


def _reduced(output: Output, stacks: Sequence[Batch]) -> Batch:
    chosen = [stacks[place] for place in output.takes]
    check_time()
    if output.reduce_stacks is None:
        return _reduced_columns(output, chosen)
    if not len(chosen[0]):
        return np.zeros(chosen[0].shape[1:])
    values, _ = output.reduce_stacks(chosen, np.ones(chosen[0].shape, bool))
    return np.asarray(values)


def _reduced_columns(output: Output, stacks: Sequence[Batch]) -> Batch:
    count, *shape = stacks[0].shape
    flat = [each.reshape(count, -1) for each in stacks]
    found = np.zeros(flat[0].shape[1])
    valid = np.ones(count, bool)
    for place in range(len(found)):
        check_time()
        value = output.reduce_columns([Column(each[:, place], valid) for each in flat])
        if not isinstance(value, int | float):
            raise InvalidRequest(f"The reducer must give numbers, {output.name} is {shown(value)}.")
        found[place] = value
    return found.reshape(shape)


_CUMULATIVE = {"sum": np.add, "product": np.multiply, "min": np.minimum, "max": np.maximum}


def accumulate(batch: Batch, axis: int, reducer: Reducer | None) -> Batch:
    """Return arrays whose elements are reductions of those up to their own place on an axis.

    Without a reducer they are sums.
    """
    axis_in(axis, batch.ndim - 1)
    wide = batch.astype(np.int64 if batch.dtype.kind in "iu" else np.float64, copy=False)
    name = "sum" if reducer is None else reducer.name
    is_known = reducer is None or [output.name for output in reducer.outputs] == [name]
    if name in _CUMULATIVE and is_known:
        found: Batch = _CUMULATIVE[name].accumulate(wide, axis=axis + 1)
        return found
    assert reducer is not None
    check_size(batch.shape[1:], len(batch))
    length = batch.shape[axis + 1]
    parts = np.moveaxis(wide, axis + 1, 0)
    steps = [
        reduce_axes(np.moveaxis(parts[: end + 1], 0, axis + 1), reducer, [axis], None)
        for end in range(length)
    ]
    return np.concatenate(steps, axis=axis + 1) if steps else batch


def accumulated_type(reducer: Reducer | None, type_: PixelType) -> PixelType:
    """Return the type of an accumulation's numbers: sums and products of integers stay whole."""
    numbers = type_.with_dimensions(0)
    if numbers.precision == "int":
        if reducer is None or reducer.name in ("sum", "product"):
            return PixelType("int", -(2**63), 2**63 - 1)
        return reduced_type(reducer, numbers)
    return DOUBLE if reducer is None else reduced_type(reducer, numbers)
