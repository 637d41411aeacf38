"""Parts and shapes of the arrays in an image's pixels: slices, masks, sorting, axes, reductions.

https://developers.google.com/earth-engine/guides/arrays_transformations
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.compute.algorithms.array.transformations import whole_numbers
from tileserver.compute.algorithms.image.arithmetic import paired
from tileserver.compute.algorithms.image.array_bands import (
    changed,
    check_axis,
    checked_arrays,
    placed,
)
from tileserver.compute.arrays import reducing, shapes
from tileserver.compute.arrays.storage import Batch, applied, applied_by
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import MAX_DIMENSIONS
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.pixel_type import CASTS
from tileserver.compute.values.reducer import Reducer
from tileserver.errors import InvalidRequest

_INDEX = CASTS["int32"].with_dimensions(1)


@algorithm("Image.arrayProject(input: Image, axes: List) -> Image")
def array_project(image: Image, axes: list[Any]) -> Image:
    """Return arrays of some of their axes; the others must be at most 1 long."""
    kept = whole_numbers(axes, "Axes")

    def change(band: Band) -> Band:
        for axis in kept:
            shapes.axis_in(axis, band.type.dimensions)
        type_ = band.type.with_dimensions(len(kept))
        return changed(band, lambda batch: shapes.project(batch, kept), type_)

    return map_bands(image, change)


@algorithm("Image.arrayPad(image: Image, lengths: List, pad: Number = 0.0) -> Image")
def array_pad(image: Image, lengths: list[Any], value: float) -> Image:
    """Return arrays with a value appended along their axes up to lengths; longer axes stay."""
    wanted = whole_numbers(lengths, "Lengths")
    return map_bands(
        image, lambda band: changed(band, lambda b: shapes.pad(b, wanted, value), band.type)
    )


def _transpose(image: Image, first: int, second: int) -> Image:
    for axis in (first, second):
        check_axis(axis, MAX_DIMENSIONS - 1)

    def change(band: Band) -> Band:
        type_ = band.type.with_dimensions(max(band.type.dimensions, first + 1, second + 1))
        return changed(band, lambda batch: shapes.transpose(batch, first, second), type_)

    return map_bands(image, change)


for _name in ("arrayTranspose", "matrixTranspose"):
    algorithm(
        f"Image.{_name}(input: Image, axis1: Integer = 0.0, axis2: Integer = 1.0) -> Image",
        "Return arrays with two of their axes swapped.",
    )(_transpose)


@algorithm(
    "Image.arrayReduce(input: Image, reducer: Reducer, axes: List, fieldAxis: Integer = null)"
    " -> Image"
)
def array_reduce(image: Image, reducer: Reducer, axes: list[Any], field_axis: int | None) -> Image:
    """Return arrays reduced along axes, which become 1 long.

    Inputs and outputs of a reducer of several are along the field axis.
    """
    chosen = whole_numbers(axes, "Axes")

    def change(band: Band) -> Band:
        type_ = reducing.reduced_type(reducer, band.type).with_dimensions(band.type.dimensions)
        return changed(band, lambda b: reducing.reduce_axes(b, reducer, chosen, field_axis), type_)

    return map_bands(image, change)


@algorithm("Image.arrayAccum(input: Image, axis: Integer, reducer: Reducer = null) -> Image")
def array_accum(image: Image, axis: int, reducer: Reducer | None) -> Image:
    """Return arrays of reductions of the elements up to each along an axis; sums by default."""

    def change(band: Band) -> Band:
        type_ = reducing.accumulated_type(reducer, band.type)
        return changed(
            band,
            lambda batch: reducing.accumulate(batch, axis, reducer),
            type_.with_dimensions(band.type.dimensions),
        )

    return map_bands(image, change)


@algorithm("Image.arrayArgmax(image: Image) -> Image")
def array_argmax(image: Image) -> Image:
    """Return the positions of the first greatest elements; masked where arrays are empty."""

    def find(batch: Batch) -> Any:
        if 0 in batch.shape[1:]:
            return np.zeros((len(batch), batch.ndim - 1)), np.zeros(len(batch), bool)
        return shapes.argmax(batch)

    return map_bands(image, lambda band: changed(band, find, _INDEX))


@algorithm("Image.arraySort(image: Image, keys: Image = null) -> Image")
def array_sort(image: Image, keys: Image | None) -> Image:
    """Return arrays sorted along the axis that alone is longer than 1, by their values or keys."""
    if keys is None:
        return map_bands(
            image, lambda band: changed(band, lambda b: shapes.sort(b, None), band.type)
        )
    return _with_other(image, keys, shapes.sort)


def _with_other(image: Image, other: Image, work: Callable[[Batch, Batch], Batch]) -> Image:
    """Return the bands of an image passed through a function of theirs and another's arrays."""

    def change(band: Band, by: Band) -> Band:
        checked_arrays(band)
        node = Apply(lambda x, y: applied([x, y], work, band.type), (band.node, by.node))
        return replace(band, node=node)

    return image.derived(change(band, by) for band, by in _each(image, other))


def _each(image: Image, other: Image) -> list[tuple[Band, Band]]:
    """Return each band of an image and its band of another, which may have one for all."""
    if len(other.bands) > len(image.bands):
        raise InvalidRequest(
            f"Expected one band, or {len(image.bands)} as the image has; got {len(other.bands)}."
        )
    return paired(image, other)


@algorithm("Image.arrayMask(input: Image, mask: Image) -> Image")
def array_mask(image: Image, mask: Image) -> Image:
    """Return the positions of arrays where those of a mask are not zero.

    Masks have as many dimensions, and are longer than 1 along one axis alone.
    """

    def counts(batch: Batch, by: Batch) -> Batch:
        return np.count_nonzero(shapes.kept_positions(batch, by)[1], axis=1, keepdims=True)

    def keep(key: tuple[int, ...], batch: Batch, by: Batch) -> Batch:
        axis, keeps = shapes.kept_positions(batch, by)
        return shapes.kept(batch, axis, keeps)

    return _split(image, mask, counts, keep)


def _split(
    image: Image,
    other: Image,
    keys_of: Callable[..., Batch],
    work: Callable[..., Batch],
    dimensions: int | None = None,
) -> Image:
    """Return bands passed through a function that needs numbers of another image to be the same."""

    def change(band: Band, by: Band) -> Band:
        checked_arrays(band)
        type_ = band.type if dimensions is None else band.type.with_dimensions(dimensions)
        node = Apply(lambda x, y: applied_by([x, y], keys_of, work, type_), (band.node, by.node))
        return placed(band, (band, by), type_, node)

    return image.derived(change(band, by) for band, by in _each(image, other))


@algorithm("Image.arrayRepeat(input: Image, axis: Integer, copies: Image) -> Image")
def array_repeat(image: Image, axis: int, copies: Image) -> Image:
    """Return arrays repeated along an axis, or along a new one after their last."""
    bands: list[Band] = []
    for band, by in _each(image, copies):
        check_axis(axis, band.type.dimensions)
        deep = max(band.type.dimensions, axis + 1)
        bands += _split(
            Image((band,)),
            Image((by,)),
            lambda batch, times: _column(times),
            lambda key, batch, times: shapes.repeat(batch, axis, key[0]),
            deep,
        ).bands
    return image.derived(bands)


def _column(values: Batch) -> Batch:
    """Return numbers as whole keys, shape (count, 1)."""
    if values.ndim != 1:
        raise InvalidRequest("Expected a band of numbers, got one of arrays.")
    return _keys(values)[:, np.newaxis]


def _keys(values: Batch) -> Batch:
    whole: Batch = np.clip(np.nan_to_num(values), -(2**31), 2**31).astype(np.int64)
    return whole


@algorithm("Image.arrayReshape(image: Image, lengths: Image, dimensions: Integer) -> Image")
def array_reshape(image: Image, lengths: Image, dimensions: int) -> Image:
    """Return the elements of arrays in other lengths; one of them may be -1, for the rest.

    The lengths are arrays of one dimension, with as many elements as there are dimensions.
    """
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise InvalidRequest(f"dimensions must be 1 to {MAX_DIMENSIONS}, got {dimensions}.")
    if len(lengths.bands) != 1:
        raise InvalidRequest(f"The lengths must be one band, got {len(lengths.bands)}.")

    def keys(batch: Batch, wanted: Batch) -> Batch:
        flat = wanted.reshape(len(wanted), -1)
        if wanted.ndim > 2 or flat.shape[1] != dimensions:
            raise InvalidRequest(
                f"Expected {dimensions} lengths in each pixel, got {flat.shape[1]}."
            )
        return _keys(flat)

    return _split(
        image, lengths, keys, lambda key, batch, wanted: shapes.reshape(batch, key), dimensions
    )


@algorithm(
    "Image.arraySlice(input: Image, axis: Integer = 0.0, start: Image = null, end: Image = null,"
    " step: Integer = 1.0) -> Image"
)
def array_slice(
    image: Image, axis: int, start: Image | None, end: Image | None, step: int
) -> Image:
    """Return the positions from start to before end along an axis; negative ones from its end."""
    limits = [each for each in (start, end) if each is not None]
    groups = [[by for _, by in _each(image, each)] for each in limits]
    bands = [
        _sliced(band, [group[i] for group in groups], axis, start is not None, step)
        for i, band in enumerate(image.bands)
    ]
    return image.derived(bands)


def _sliced(band: Band, limits: list[Band], axis: int, has_start: bool, step: int) -> Band:
    shapes.axis_in(axis, checked_arrays(band).type.dimensions)

    def keys(batch: Batch, *ends: Batch) -> Batch:
        if not ends:
            return np.zeros((len(batch), 1), np.int64)
        return np.concatenate([_column(each) for each in ends], axis=1)

    def cut(key: tuple[int, ...], batch: Batch, *ends: Batch) -> Batch:
        start = key[0] if has_start else 0
        end = key[-1] if len(ends) > has_start else None
        return shapes.slice_axis(batch, axis, start, end, step)

    def compute(*inputs: Pixels) -> Pixels:
        return applied_by(inputs, keys, cut, band.type)

    node = Apply(compute, (band.node, *(each.node for each in limits)))
    return placed(band, (band, *limits), band.type, node)
