"""Collections of images as one image of arrays.

Pixels that are masked in all images are masked in the result. Like other composites it has pixels
of one degree and no bounds.
https://developers.google.com/earth-engine/guides/arrays_array_images
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tileserver.compute.algorithms.collection.composites import composite, inputs_of, layers_of
from tileserver.compute.algorithms.image.array_bands import joined_bands
from tileserver.compute.arrays import shapes
from tileserver.compute.arrays.storage import applied, array_pixels, arrays_of, assembled, chosen
from tileserver.compute.context import Context
from tileserver.compute.nodes import Node, Pixels
from tileserver.compute.pixels.composites import Fold, StackReduction
from tileserver.compute.registry import algorithm
from tileserver.compute.values import pixel_type as pixeltypes
from tileserver.compute.values.array import check_size
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import Band, Image
from tileserver.compute.values.pixel_type import PixelType
from tileserver.errors import InvalidRequest


@algorithm("ImageCollection.toArray(collection: ImageCollection) -> Image")
def collection_to_array(context: Context, collection: Collection) -> Image:
    """Return an image of matrices: a row for each image, a column for each of its bands.

    An image that is masked in one of its bands is left out, pixel by pixel.
    """
    layers = layers_of(context, collection)
    if not layers:
        raise InvalidRequest("The collection has no images.")
    _check_numbers(layers)
    type_ = pixeltypes.union(b.type for _, bands in layers for b in bands).with_dimensions(2)
    count = len(layers)
    images = zip(*(bands for _, bands in layers), strict=True)
    in_order = [band for image in images for band in image]
    reduce = partial(_stacked, bands=count, type_=type_)
    node = StackReduction(inputs_of(in_order), reduce, type_.dtype, count)
    return Image((composite("array", type_, node),))


def _check_numbers(layers: Sequence[tuple[str, Sequence[Band]]]) -> None:
    for name, bands in layers:
        if any(band.type.dimensions for band in bands):
            raise InvalidRequest(f"Band '{name[:80]}' has arrays; expected numbers.")


def _stacked(inputs: Sequence[Pixels], bands: int, type_: PixelType) -> Pixels:
    """Return matrices of the bands of the images that are valid, image by image."""
    images = [inputs[i : i + bands] for i in range(0, len(inputs), bands)]
    masks = np.stack([np.minimum.reduce([p.mask for p in image]) for image in images])
    check_size((len(inputs), masks[0].size))
    valid = (masks > 0).reshape(len(images), -1).T
    values = np.stack(
        [
            np.stack([p.values.ravel().astype(type_.dtype) for p in image], axis=-1)
            for image in images
        ],
        axis=1,
    )
    counts = valid.sum(axis=1)

    def pieces() -> Any:
        for count in np.unique(counts[counts > 0]):
            rows = np.flatnonzero(counts == count)
            yield rows, values[rows][valid[rows]].reshape(len(rows), int(count), bands)

    return assembled(pieces(), masks.max(axis=0), type_)


@algorithm(
    "ImageCollection.toArrayPerBand(collection: ImageCollection, axis: Integer = 0.0,"
    " dropMasked: Boolean = false) -> Image"
)
def collection_to_array_per_band(
    context: Context, collection: Collection, axis: int, drops_masked: bool
) -> Image:
    """Return an image whose bands have arrays of that band's values in all images, along an axis.

    A pixel that is masked in one image is masked, unless such images are left out.
    """
    layers = layers_of(context, collection)
    if not layers:
        raise InvalidRequest("The collection has no images.")
    found = []
    for name, bands in layers:
        joined = joined_bands(bands, name, axis)
        node = _dropping(bands, axis, joined.type) if drops_masked else joined.node
        found.append(composite(name, joined.type, node))
    return Image(tuple(found))


def _dropping(bands: Sequence[Band], axis: int, type_: PixelType) -> Node:
    if not bands[0].type.dimensions:
        reduce = partial(_line, type_=type_)
        return StackReduction(inputs_of(bands), reduce, type_.dtype)

    def begin(pixels: Pixels) -> Pixels:
        deep = lambda batch: shapes.deepened(batch, type_.dimensions)  # noqa: E731
        return applied([pixels], deep, type_)

    def take(so_far: Pixels, pixels: Pixels) -> Pixels:
        new = begin(pixels)
        both = applied([so_far, new], lambda a, b: shapes.cat([a, b], axis), type_)
        either = array_pixels(
            chosen(so_far.mask > 0, so_far, new), np.maximum(so_far.mask, new.mask)
        )
        return array_pixels(chosen(both.mask > 0, both, either), either.mask)

    return Fold(inputs_of(bands), begin, take, lambda pixels: pixels, type_.dtype)


def _line(inputs: Sequence[Pixels], type_: PixelType) -> Pixels:
    found = _stacked(inputs, 1, type_.with_dimensions(2))
    if arrays_of(found) is None:
        return found
    return applied([found], lambda batch: batch[:, :, 0], type_)
