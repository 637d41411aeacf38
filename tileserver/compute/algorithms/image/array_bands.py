"""Images of arrays: made of bands and collections, and taken apart into bands.

The arrays may have other lengths in each pixel. A pixel is masked where an input is; one without
images in a collection is masked too. A picture of a band of arrays shows the first number of each;
files of values are refused.
https://developers.google.com/earth-engine/guides/arrays_array_images
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import paired
from tileserver.compute.arrays import shapes
from tileserver.compute.arrays.storage import (
    Batch,
    ConstantArray,
    applied,
    applied_by,
)
from tileserver.compute.context import check_length
from tileserver.compute.nodes import Apply, Node, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values import pixel_type as pixeltypes
from tileserver.compute.values.array import MAX_DIMENSIONS, array, check_size
from tileserver.compute.values.image import DEFAULT_PROJECTION, Band, Image, map_bands
from tileserver.compute.values.pixel_type import BOOLEAN, CASTS, PixelType
from tileserver.contract.pixels import MAX_BANDS
from tileserver.errors import InvalidRequest, shown

_LENGTH = CASTS["int32"]


def lead_of(bands: Sequence[Band]) -> Band:
    """Return the first band that has an end, else the first one."""
    return next((band for band in bands if band.extent is not None), bands[0])


def placed(band: Band, others: Sequence[Band], type_: PixelType, node: Node) -> Band:
    """Return a computed band where the first bounded one of several bands is."""
    place = lead_of(others)
    return replace(band, type=type_, projection=place.projection, extent=place.extent, node=node)


def check_axis(axis: int, dimensions: int) -> None:
    """Raise InvalidRequest unless an axis is one of so many, or one past the last of them."""
    if not 0 <= axis <= dimensions or axis >= MAX_DIMENSIONS:
        raise InvalidRequest(f"The axis must be 0 to {dimensions}, got {axis}.")


@algorithm("Image.toArray(image: Image, axis: Integer = 0.0) -> Image")
def to_array(image: Image, axis: int) -> Image:
    """Return an image of one band, array, that has the bands' values along an axis.

    Bands are numbers, or arrays of the same dimensions; an axis past their last is a new one.
    """
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    return image.derived([joined_bands(image.bands, "array", axis)])


def joined_bands(bands: Sequence[Band], name: str, axis: int) -> Band:
    """Return a band of the values of several ones along an axis, masked where one of them is.

    Raises:
        InvalidRequest: their dimensions differ, or the axis is out of range.
    """
    dimensions = {band.type.dimensions for band in bands}
    if len(dimensions) > 1:
        raise InvalidRequest(
            f"All bands must have the same number of dimensions, got {sorted(dimensions)}."
        )
    check_axis(axis, deep := dimensions.pop())
    type_ = pixeltypes.union(band.type for band in bands).with_dimensions(max(deep, axis + 1))

    def compute(*inputs: Pixels) -> Pixels:
        return applied(inputs, lambda *batches: shapes.cat(_alike(batches), axis), type_)

    node = Apply(compute, tuple(band.node for band in bands))
    return placed(replace(bands[0], id=name), bands, type_, node)


def _alike(batches: Sequence[Batch]) -> list[Batch]:
    return [shapes.deepened(each, 1) for each in batches]


@algorithm("Image.arrayCat(image1: Image, image2: Image, axis: Integer) -> Image")
def array_cat(first: Image, second: Image, axis: int) -> Image:
    """Return an image whose arrays are those of two images joined along an axis, band by band."""
    leads = second if len(second.bands) > len(first.bands) else first
    return leads.derived(
        joined_bands((a, b), (b if leads is second else a).id, axis)
        for a, b in paired(first, second)
    )


@algorithm(
    'Image.arrayFlatten(image: Image, coordinateLabels: List, separator: String = "_") -> Image'
)
def array_flatten(image: Image, labels: list[Any], separator: str) -> Image:
    """Return an image of numbers, a band for each element of the arrays of the only band.

    The labels of each axis give the names: row0_red, row0_blue, row1_red …
    """
    if len(image.bands) != 1:
        raise InvalidRequest(f"Expected an image of one band, got {len(image.bands)} bands.")
    (band,) = image.bands
    axes = _labels(labels)
    if len(axes) != band.type.dimensions:
        raise InvalidRequest(
            f"There are labels for {len(axes)} axes, the arrays have "
            f"{band.type.dimensions} dimensions."
        )
    lengths = [len(each) for each in axes]
    check_length(math.prod(lengths), MAX_BANDS, "bands")
    flat = Apply(partial(_flattened, lengths=lengths, type_=band.type), (band.node,))
    type_ = band.type.with_dimensions(0)
    bands = [
        replace(
            band,
            id=separator.join(names),
            type=type_,
            node=Apply(partial(_element, place=place, type_=type_), (flat,)),
        )
        for place, names in enumerate(product(*axes))
    ]
    if len({each.id for each in bands}) < len(bands):
        raise InvalidRequest("The labels of an axis must not repeat.")
    return image.derived(bands)


def _labels(labels: Sequence[Any]) -> list[list[str]]:
    for each in labels:
        if not isinstance(each, list | tuple) or not all(isinstance(n, str) for n in each):
            raise InvalidRequest(
                f"coordinateLabels must be a list of lists of strings, got {shown(each)}."
            )
    return [list(each) for each in labels]


def _flattened(pixels: Pixels, lengths: Sequence[int], type_: PixelType) -> Pixels:
    """Return arrays of one dimension; raise InvalidRequest for other lengths than the labels'."""

    def flat(batch: Batch) -> Batch:
        if list(batch.shape[1:]) != list(lengths):
            raise InvalidRequest(
                f"The labels are for arrays of lengths {list(lengths)}, "
                f"a pixel has {list(batch.shape[1:])}."
            )
        return batch.reshape(len(batch), -1)

    return applied([pixels], flat, type_.with_dimensions(1))


def _element(pixels: Pixels, place: int, type_: PixelType) -> Pixels:
    return applied([pixels], lambda batch: batch[:, place], type_)


@algorithm("Image.arrayGet(image: Image, position: Image) -> Image")
def array_get(image: Image, position: Image) -> Image:
    """Return the numbers at a position of the arrays, masked where there is no such position.

    The position has a band for each axis.
    """
    return map_bands(image, lambda band: _number_at(band, position.bands))


def _number_at(band: Band, position: Sequence[Band]) -> Band:
    if len(position) != band.type.dimensions or any(each.type.dimensions for each in position):
        raise InvalidRequest(
            f"The position must have {band.type.dimensions} bands of numbers, one for each "
            f"dimension of the arrays; got {len(position)}."
        )

    def pick(batch: Batch, *places: Batch) -> tuple[Batch, NDArray[np.bool_]]:
        at = [each.astype(np.int64) for each in places]
        pairs = list(zip(at, batch.shape[1:], strict=True))
        sound = np.logical_and.reduce([(p >= 0) & (p < length) for p, length in pairs])
        if 0 in batch.shape[1:]:
            return np.zeros(len(batch)), sound
        rows = np.arange(len(batch))
        return batch[(rows, *(np.clip(p, 0, length - 1) for p, length in pairs))], sound

    type_ = band.type.with_dimensions(0)
    node = Apply(
        lambda *inputs: applied(inputs, pick, type_),
        (band.node, *(each.node for each in position)),
    )
    return placed(band, (band, *position), type_, node)


@algorithm("Image.arrayDimensions(input: Image) -> Image")
def array_dimensions(image: Image) -> Image:
    """Return the number of dimensions of the arrays of each band; 0 for numbers."""

    def change(band: Band) -> Band:
        deep = band.type.dimensions

        def compute(pixels: Pixels) -> Pixels:
            return Pixels(np.full(pixels.mask.shape, deep, np.uint8), pixels.mask)

        type_ = PixelType("int", 0, MAX_DIMENSIONS)
        return replace(band, type=type_, node=Apply(compute, (band.node,)))

    return map_bands(image, change)


def checked_arrays(band: Band) -> Band:
    """Return a band; raise InvalidRequest if it has numbers instead of arrays."""
    if not band.type.dimensions:
        raise InvalidRequest(f"Band '{band.id[:80]}' has numbers; expected arrays.")
    return band


def changed(band: Band, work: Callable[[Batch], Any], type_: PixelType) -> Band:
    """Return a band of arrays passed through a function of batches, of a type."""
    checked_arrays(band)

    def compute(pixels: Pixels) -> Pixels:
        return applied([pixels], work, type_)

    return replace(band, type=type_, node=Apply(compute, (band.node,)))


@algorithm("Image.arrayLength(input: Image, axis: Integer) -> Image")
def array_length(image: Image, axis: int) -> Image:
    """Return the length of the arrays along an axis."""

    def change(band: Band) -> Band:
        shapes.axis_in(axis, checked_arrays(band).type.dimensions)
        return changed(band, lambda b: np.full(len(b), b.shape[axis + 1]), _LENGTH)

    return map_bands(image, change)


@algorithm("Image.arrayLengths(input: Image) -> Image")
def array_lengths(image: Image) -> Image:
    """Return the lengths of all axes as arrays of one dimension."""

    def lengths(batch: Batch) -> Batch:
        return np.tile(np.array(batch.shape[1:], np.int64), (len(batch), 1))

    return map_bands(image, lambda band: changed(band, lengths, _LENGTH.with_dimensions(1)))


@algorithm("Image.bitsToArrayImage(input: Image) -> Image")
def bits_to_array_image(image: Image) -> Image:
    """Return the bits of whole numbers as arrays, lowest first, up to the highest that is 1."""

    def change(band: Band) -> Band:
        if band.type.dimensions:
            raise InvalidRequest(f"Band '{band.id[:80]}' has arrays; expected numbers.")
        type_ = BOOLEAN.with_dimensions(1)

        def compute(pixels: Pixels) -> Pixels:
            return applied_by([pixels], _bit_lengths, _bits, type_)

        return replace(band, type=type_, node=Apply(compute, (band.node,)))

    return map_bands(image, change)


def _unsigned(values: Batch) -> NDArray[np.uint64]:
    return np.nan_to_num(values).astype(np.int64).view(np.uint64)


def _bit_lengths(values: Batch) -> Batch:
    left, lengths = _unsigned(values), np.ones(len(values), np.int64)
    for place in range(1, 64):
        lengths[left >> np.uint64(place) != 0] = place + 1
    return lengths[:, np.newaxis]


def _bits(key: tuple[int, ...], values: Batch) -> Batch:
    found: Batch = (_unsigned(values)[:, np.newaxis] >> np.arange(key[0], dtype=np.uint64)) & (
        np.uint64(1)
    )
    return found


@algorithm("Image.matrixIdentity(size: Integer) -> Image")
def matrix_identity(size: int) -> Image:
    """Return an image of the matrix of a size with ones in its diagonal."""
    if size < 0:
        raise InvalidRequest(f"The size must be 0 or more, got {size}.")
    check_size((size, size))
    value = array(np.eye(size, dtype=np.int64), BOOLEAN)
    band = Band("constant", value.type, DEFAULT_PROJECTION, None, ConstantArray(value))
    return Image((band,))


def first_elements(band: Band) -> Band:
    """Return a band of arrays as numbers, the first element of each; numbers as they are.

    Arrays without elements are masked. It is what a picture of arrays shows.
    """
    if not band.type.dimensions:
        return band

    def first(batch: Batch) -> Any:
        flat = batch.reshape(len(batch), math.prod(batch.shape[1:]))
        if not flat.shape[1]:
            return np.zeros(len(batch)), np.zeros(len(batch), bool)
        return flat[:, 0]

    return changed(band, first, band.type.with_dimensions(0))
