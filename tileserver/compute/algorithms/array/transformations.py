"""Parts and shapes of arrays: slices, masks, sorting, axes, lengths, reductions.

https://developers.google.com/earth-engine/guides/arrays_transformations
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.array.conversions import joined
from tileserver.compute.arrays import reducing, shapes
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import Array, array, array_of
from tileserver.compute.values.pixel_type import PixelType
from tileserver.compute.values.reducer import Reducer
from tileserver.errors import InvalidRequest, shown

MAX_LENGTH = 2**31


def whole_numbers(values: list[Any], what: str) -> list[int]:
    """Return the whole numbers of a list; raise InvalidRequest, naming what they are."""
    for each in values:
        if isinstance(each, bool) or not isinstance(each, int | float) or each != each // 1:
            raise InvalidRequest(f"{what} must be whole numbers, got {shown(each)}.")
        if abs(each) > MAX_LENGTH:
            raise InvalidRequest(f"{what} must be below {MAX_LENGTH}, got {shown(each)}.")
    return [int(each) for each in values]


def _like(values: NDArray[Any], source: Array) -> Array:
    """Return the only array of a batch, in the type of another."""
    return array(values[0], source.type)


@algorithm("Array.cat(arrays: List, axis: Integer = 0.0) -> Array")
def cat(arrays: list[Any], axis: int) -> Array:
    """Return arrays joined along an axis; past the last axis they become positions of a new one."""
    if not arrays:
        raise InvalidRequest("There are no arrays to concatenate.")
    found = [array_of(each) for each in arrays]
    parts = [each for each in found if each is not None]
    if len(parts) < len(found):
        raise InvalidRequest(f"arrays must be arrays, got {shown(arrays[found.index(None)])}.")
    return joined(parts, axis)


@algorithm("Array.get(array: Array, position: List) -> Number")
def get(source: Array, position: list[Any]) -> float:
    """Return the number at a position, an index for each axis; negative ones count from its end."""
    places = whole_numbers(position, "Positions")
    lengths = source.values.shape
    if len(places) != len(lengths):
        raise InvalidRequest(f"Expected a position on {len(lengths)} axes, got {len(places)}.")
    if any(not -length <= at < length for at, length in zip(places, lengths, strict=True)):
        raise InvalidRequest(
            f"Position {places} is out of range for an array of lengths {list(lengths)}."
        )
    return source.values[tuple(places)].item()  # type: ignore[no-any-return]


@algorithm("Array.cut(array: Array, position: List) -> Array")
def cut(source: Array, position: list[Any]) -> Array:
    """Return an array cut at a position on each axis, which becomes 1 long; -1 keeps an axis."""
    places = whole_numbers(position, "Positions")
    batch = source.values[np.newaxis]
    if len(places) != source.values.ndim:
        raise InvalidRequest(
            f"Expected a position on {source.values.ndim} axes, got {len(places)}."
        )
    for axis, at in enumerate(places):
        if not -1 <= at < source.values.shape[axis]:
            raise InvalidRequest(
                f"Position {at} is out of range on axis {axis}, which is "
                f"{source.values.shape[axis]} long; -1 keeps the axis."
            )
        batch = batch if at == -1 else shapes.slice_axis(batch, axis, at, at + 1, 1)
    return _like(batch, source)


@algorithm(
    "Array.slice(array: Array, axis: Integer = 0.0, start: Integer = 0.0, end: Integer = null,"
    " step: Integer = 1.0) -> Array"
)
def slice_array(source: Array, axis: int, start: int, end: int | None, step: int) -> Array:
    """Return the positions from start to before end along an axis; negative ones from its end."""
    return _like(shapes.slice_axis(source.values[np.newaxis], axis, start, end, step), source)


@algorithm("Array.length(array: Array) -> Array")
def lengths_of(source: Array) -> Array:
    """Return the lengths of an array's axes."""
    return array(np.array(source.values.shape, dtype=np.int64))


@algorithm("Array.mask(input: Array, mask: Array) -> Array")
def mask(source: Array, mask: Array) -> Array:
    """Return the positions of an array where a mask is not zero.

    The mask has as many dimensions, and is longer than 1 along one axis alone.
    """
    batch = source.values[np.newaxis]
    axis, keeps = shapes.kept_positions(batch, mask.values[np.newaxis])
    return _like(shapes.kept(batch, axis, keeps), source)


@algorithm("Array.pad(array: Array, lengths: List, pad: Number = 0.0) -> Array")
def pad(source: Array, lengths: list[Any], value: float) -> Array:
    """Return an array with a value appended along its axes up to lengths; longer axes stay."""
    wanted = whole_numbers(lengths, "Lengths")
    return _like(shapes.pad(source.values[np.newaxis], wanted, value), source)


@algorithm("Array.project(array: Array, axes: List) -> Array")
def project(source: Array, axes: list[Any]) -> Array:
    """Return an array of some of its axes; the others must be at most 1 long."""
    return _like(shapes.project(source.values[np.newaxis], whole_numbers(axes, "Axes")), source)


@algorithm("Array.repeat(array: Array, axis: Integer = 0.0, copies: Integer = 2.0) -> Array")
def repeat(source: Array, axis: int, copies: int) -> Array:
    """Return an array repeated along an axis, or along a new one after its last."""
    return _like(shapes.repeat(source.values[np.newaxis], axis, copies), source)


@algorithm("Array.reshape(array: Array, shape: Array) -> Array")
def reshape(source: Array, shape: Array) -> Array:
    """Return an array's elements in other lengths; one of them may be -1, for the rest."""
    if shape.values.ndim != 1:
        raise InvalidRequest(f"The shape must have 1 dimension, got {shape.values.ndim}.")
    lengths = whole_numbers(shape.values.tolist(), "Lengths")
    return _like(shapes.reshape(source.values[np.newaxis], lengths), source)


@algorithm("Array.sort(array: Array, keys: Array = null) -> Array")
def sort(source: Array, keys: Array | None) -> Array:
    """Return an array sorted along the axis that alone is longer than 1, by its values or keys."""
    by = None if keys is None else keys.values[np.newaxis]
    return _like(shapes.sort(source.values[np.newaxis], by), source)


def _transpose(source: Array, first: int, second: int) -> Array:
    return _like(shapes.transpose(source.values[np.newaxis], first, second), source)


for _name in ("transpose", "matrixTranspose"):
    algorithm(
        f"Array.{_name}(array: Array, axis1: Integer = 0.0, axis2: Integer = 1.0) -> Array",
        "Return an array with two axes swapped.",
    )(_transpose)


@algorithm("Array.argmax(array: Array) -> List")
def argmax(source: Array) -> list[int] | None:
    """Return the position of the first greatest element; null for an empty array."""
    if not source.values.size:
        return None
    found: list[int] = shapes.argmax(source.values[np.newaxis])[0].tolist()
    return found


@algorithm("Array.toList(array: Array) -> List")
def to_list(source: Array) -> list[Any]:
    """Return an array as nested lists of numbers."""
    if not source.values.ndim:
        raise InvalidRequest("An array without dimensions is no list.")
    found: list[Any] = source.values.tolist()
    return found


@algorithm(
    "Array.reduce(array: Array, reducer: Reducer, axes: List, fieldAxis: Integer = null) -> Array"
)
def reduce(source: Array, reducer: Reducer, axes: list[Any], field_axis: int | None) -> Array:
    """Return an array reduced along axes, which become 1 long.

    Inputs and outputs of a reducer of several are along the field axis.
    """
    chosen = whole_numbers(axes, "Axes")
    found = reducing.reduce_axes(source.values[np.newaxis], reducer, chosen, field_axis)
    return array(found[0], _widest(reducing.reduced_type(reducer, source.type)))


def _widest(type_: PixelType) -> PixelType:
    """Return a type that holds computed integers: those of 64 bits."""
    if type_.precision != "int":
        return type_
    return PixelType("int", -(2**63), 2**63 - 1)


@algorithm("Array.accum(array: Array, axis: Integer, reducer: Reducer = null) -> Array")
def accumulate(source: Array, axis: int, reducer: Reducer | None) -> Array:
    """Return an array of reductions of the elements up to each along an axis; sums by default."""
    found = reducing.accumulate(source.values[np.newaxis], axis, reducer)
    return array(found[0], _widest(reducing.accumulated_type(reducer, source.type)))
