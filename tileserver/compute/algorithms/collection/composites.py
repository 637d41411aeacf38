"""Composites: one image made of those of a collection.

Bands are matched by name with those of the first image. Masked pixels are left out, partly masked
ones have full weight, and where all images are masked the composite is masked, counts too. A
composite has pixels of one degree and no bounds, as in Earth Engine: it is computed in the
projection of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.collection.array_composites import (
    MEAN,
    SUM,
    array_composite,
    array_kind,
    array_type,
)
from tileserver.compute.algorithms.image.arithmetic import chosen_values, fitted
from tileserver.compute.algorithms.reducer.simple import COUNT, as_is, in_range
from tileserver.compute.arrays.storage import dense_pixels, in_type
from tileserver.compute.context import Context, check_elements, check_length
from tileserver.compute.nodes import Node, Pixels
from tileserver.compute.pixels import reductions
from tileserver.compute.pixels.composites import (
    CompositeInput,
    Fold,
    StackReduction,
    composite_input,
)
from tileserver.compute.registry import algorithm
from tileserver.compute.values import pixel_type as pixeltypes
from tileserver.compute.values.feature import Collection, index_of
from tileserver.compute.values.image import (
    DEFAULT_PROJECTION,
    Band,
    Image,
    Projection,
    named,
)
from tileserver.compute.values.pixel_type import BOOLEAN, DOUBLE, PixelType
from tileserver.compute.values.reducer import Output, Reduced, Reducer, spread
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

_MOST_BANDS = 5000
Values = NDArray[Any]
TypeRule = Callable[[PixelType], PixelType]


def images_of(context: Context, collection: Collection) -> list[Image]:
    """Return the images of a collection.

    Raises:
        InvalidRequest: they are too many, or not all images.
    """
    check_elements(len(collection.elements))
    found = []
    for each in collection.elements:
        context.budget.check_time()
        if not isinstance(each, Image):
            raise InvalidRequest("Expected a collection of images, got one of features.")
        found.append(each)
    return found


def layers_of(context: Context, collection: Collection) -> list[tuple[str, list[Band]]]:
    """Return each band's name in the first image and, in order, that band of every image.

    Raises:
        InvalidRequest: an image lacks a band that the first one has.
    """
    images = images_of(context, collection)
    if not images:
        return []
    by_name = [{band.id: band for band in image.bands} for image in images]
    names = images[0].band_ids
    for place, bands in enumerate(by_name):
        context.budget.check_time()
        if missing := [name for name in names if name not in bands]:
            raise InvalidRequest(
                "Expected a homogeneous image collection, but an image with incompatible bands "
                f"was encountered: image {index_of(images[place], place)[:80]} has no band "
                f"'{missing[0][:80]}'."
            )
    return [(name, [bands[name] for bands in by_name]) for name in names]


def _bands_by_name(context: Context, collection: Collection) -> list[tuple[str, list[Band]]]:
    """Return each band's name in any of the images and, in order, that band where there is one."""
    found: dict[str, list[Band]] = {}
    for image in images_of(context, collection):
        for band in image.bands:
            found.setdefault(band.id, []).append(band)
    check_length(len(found), _MOST_BANDS, "bands")
    return list(found.items())


def composite(name: str, type_: PixelType, node: Node) -> Band:
    """Return an unbounded band with pixels of one degree."""
    return Band(name, type_, DEFAULT_PROJECTION, None, node)


def inputs_of(bands: Sequence[Band]) -> tuple[CompositeInput, ...]:
    """Return bands as the inputs of a composite."""
    return tuple(composite_input(band) for band in bands)


def _folded(
    join: Callable[[Values, Values], Any], start: Callable[[Values], Any] | None = None
) -> Callable[[Sequence[Band], PixelType], Node]:
    """Return a maker of `Fold` nodes.

    Args:
        join: returns the result for two arrays of values, of shape (height, width).
        start: converts the values of each image first; None keeps them.
    """

    def fold(bands: Sequence[Band], found: PixelType) -> Node:
        # Integers are joined in the type of the result, which holds all of them.
        def begin(pixels: Pixels) -> Pixels:
            values = pixels.values if start is None else start(pixels.values)
            return Pixels(fitted(np.asarray(values), found), pixels.mask)

        def take(so_far: Pixels, pixels: Pixels) -> Pixels:
            new = begin(pixels).values
            both = np.asarray(join(so_far.values, new)).astype(found.dtype, copy=False)
            old = np.where(so_far.mask > 0, so_far.values, new)
            values = np.where((so_far.mask > 0) & (pixels.mask > 0), both, old)
            return Pixels(values, np.maximum(so_far.mask, pixels.mask))

        return Fold(inputs_of(bands), begin, take, lambda pixels: pixels, found.dtype)

    return fold


def _on_top(bands: Sequence[Band], found: PixelType) -> Node:
    def begin(pixels: Pixels) -> Pixels:
        if found.dimensions:
            return in_type(pixels, found)
        return Pixels(fitted(pixels.values, found), pixels.mask)

    def take(so_far: Pixels, pixels: Pixels) -> Pixels:
        is_there = pixels.mask > 0
        values = chosen_values(is_there, pixels, so_far, found)
        return Pixels(values, np.where(is_there, pixels.mask, so_far.mask))

    return Fold(inputs_of(bands), begin, take, lambda pixels: pixels, found.dtype)


def _averaged(bands: Sequence[Band], found: PixelType) -> Node:
    # The count goes along as the imaginary part: two numbers a pixel in one array.
    def begin(pixels: Pixels) -> Pixels:
        is_there = pixels.mask > 0
        return Pixels(np.where(is_there, pixels.values.astype(np.float64) + 1j, 0), pixels.mask)

    def take(so_far: Pixels, pixels: Pixels) -> Pixels:
        return Pixels(so_far.values + begin(pixels).values, np.maximum(so_far.mask, pixels.mask))

    def end(pixels: Pixels) -> Pixels:
        return Pixels(pixels.values.real / np.maximum(pixels.values.imag, 1), pixels.mask)

    return Fold(inputs_of(bands), begin, take, end, found.dtype)


def stacked(output: Output, bands: Sequence[Band], found: PixelType) -> Node:
    """Return the node of one output of a reducer.

    Args:
        output: of the reducer.
        bands: of all images: first those of the first image, one for each input of the output.
        found: pixel type of the result.

    Raises:
        InvalidRequest: the output is neither a number nor an array.
    """
    if output.reduce_stacks is None:
        raise InvalidRequest(
            f"The reducer's output '{output.name}' is a list or a table, which no band can hold; "
            "expected a reducer that gives numbers."
        )
    reduction, takes = output.reduce_stacks, len(output.takes)
    by_weight = output.reduce_weighted

    def reduce(inputs: Sequence[Pixels]) -> Pixels:
        stacks = [np.stack([p.values for p in inputs[i::takes]]) for i in range(takes)]
        masks = [np.stack([p.mask for p in inputs[i::takes]]) for i in range(takes)]
        mask = np.minimum.reduce(masks)
        if by_weight is None or ((mask == 0) | (mask == 1)).all():
            values, is_there = reduction(stacks, mask > 0)
        else:
            values, is_there = by_weight(stacks, mask.astype(np.float64))
        top = np.ones(mask.shape[1:], np.float32) if output.takes_masked else mask.max(axis=0)
        if found.dimensions:
            return dense_pixels(fitted(np.asarray(values), found), top * is_there)
        return Pixels(fitted(np.asarray(values), found), top * is_there)

    inputs = inputs_of(bands)
    if output.takes_masked:
        inputs = tuple(replace(each, grid=None) for each in inputs)
    return StackReduction(inputs, reduce, found.dtype, takes)


def _stacked_number(
    reduction: Callable[[Values, NDArray[np.bool_]], Reduced],
) -> Callable[[Sequence[Band], PixelType], Node]:
    output = Output(
        "", (0,), lambda columns: None, lambda stacks, valid: reduction(stacks[0], valid)
    )
    return lambda bands, found: stacked(output, bands, found)


Maker = Callable[[Sequence[Band], PixelType], Node]
COMPOSITES: dict[str, tuple[Maker, TypeRule, str]] = {
    "ImageCollection.mosaic": (_on_top, as_is, "the last unmasked image, pixel by pixel"),
    "reduce.min": (_folded(np.minimum), as_is, "the smallest of all images"),
    "reduce.max": (_folded(np.maximum), as_is, "the greatest of all images"),
    "reduce.sum": (_folded(np.add), lambda t: DOUBLE, "the sum of all images"),
    "reduce.product": (_folded(np.multiply), lambda t: DOUBLE, "the product of all images"),
    "reduce.count": (
        _folded(np.add, np.ones_like),
        lambda t: COUNT,
        "the number of unmasked images",
    ),
    "reduce.and": (
        _folded(np.logical_and, lambda v: v != 0),
        lambda t: BOOLEAN,
        "1 where no image is zero",
    ),
    "reduce.or": (
        _folded(np.logical_or, lambda v: v != 0),
        lambda t: BOOLEAN,
        "1 where one image is not zero",
    ),
    "reduce.mean": (_averaged, in_range, "the mean of all images"),
    "reduce.median": (
        _stacked_number(reductions.percentile(50)),
        in_range,
        "the median of all images, of an even number the mean of two",
    ),
    "reduce.mode": (
        _stacked_number(reductions.mode),
        as_is,
        "the most frequent of all images, of several the smallest",
    ),
}
"""Composites by Earth Engine's name: node maker, type rule and meaning of the result."""


def _register(name: str, maker: Maker, rule: TypeRule, result: str) -> None:
    # A mosaic lays images over each other, and takes a band from those that have it.
    gather = _bands_by_name if name == "ImageCollection.mosaic" else layers_of

    @algorithm(f"{name}(collection: ImageCollection) -> Image", f"Return {result}.")
    def build(context: Context, collection: Collection) -> Image:
        bands = []
        for band_name, layers in gather(context, collection):
            own = pixeltypes.union(band.type for band in layers)
            kind = name.removeprefix("reduce.")
            if own.dimensions and kind in (SUM, MEAN):
                node = array_composite(kind, inputs_of(layers), array_type(own))
                bands.append(composite(band_name, array_type(own), node))
                continue
            found = rule(own)
            bands.append(composite(band_name, found, maker(layers, found)))
        return Image(tuple(bands))


for _name, _entry in COMPOSITES.items():
    _register(_name, *_entry)


@algorithm(
    "ImageCollection.reduce(collection: ImageCollection, reducer: Reducer,"
    " parallelScale: Float = 1.0) -> Image"
)
def reduce(context: Context, collection: Collection, reducer: Reducer, scale: float) -> Image:
    """Return a reducer's results over all images, as bands such as B1_mean."""
    layers = layers_of(context, collection)
    if not layers:
        return Image(())
    outputs = spread(reducer, [name for name, _ in layers], keeps_name=False)
    check_length(len(outputs), _MOST_BANDS, "bands")
    found = []
    for output in outputs:
        context.budget.check_time()
        found.append(_reduced(output, [bands for _, bands in layers]))
    return Image(tuple(found))


def _reduced(output: Output, layers: Sequence[Sequence[Band]]) -> Band:
    chosen = [layers[place] for place in output.takes]
    together = [band for image in zip(*chosen, strict=True) for band in image]
    return composite(output.name, *_typed(output, chosen[-1], together))


def _typed(output: Output, last: Sequence[Band], bands: Sequence[Band]) -> tuple[PixelType, Node]:
    """Return the type of an output, from the bands of its last input, and its node."""
    own = pixeltypes.union(band.type for band in last)
    if kind := array_kind(output, own):
        return array_type(own), array_composite(kind, inputs_of(bands), array_type(own))
    found = output.type_of(own)
    return found, stacked(output, bands, found)


@algorithm("Image.reduce(image: Image, reducer: Reducer) -> Image")
def reduce_bands(image: Image, reducer: Reducer) -> Image:
    """Return a reducer's results over an image's bands, as bands such as mean."""
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    if reducer.inputs != 1:
        reducer.check_inputs(len(image.bands), "bands")
    bands = []
    for output in reducer.outputs:
        takes = range(len(image.bands)) if reducer.inputs == 1 else output.takes
        chosen = [image.bands[place] for place in takes]
        found, node = _typed(output, chosen, chosen)
        bands.append(Band(output.name, found, *_shared_place(chosen), node))
    return image.derived(bands)


def _shared_place(bands: Sequence[Band]) -> tuple[Projection, Window | None]:
    """Return the projection and extent of bands; of different ones degrees without bounds."""
    places = {(band.projection, band.extent) for band in bands}
    return places.pop() if len(places) == 1 else (DEFAULT_PROJECTION, None)


@algorithm("ImageCollection.toBands(collection: ImageCollection) -> Image")
def to_bands(context: Context, collection: Collection) -> Image:
    """Return all bands of all images, named by the image's index and the band."""
    bands: list[Band] = []
    names: list[str] = []
    for place, image in enumerate(images_of(context, collection)):
        bands += image.bands
        names += [f"{index_of(image, place)}_{band.id}" for band in image.bands]
        check_length(len(bands), _MOST_BANDS, "bands")
    return Image(tuple(named(bands, names)))


def _at_greatest(stacks: Sequence[Values], valid: NDArray[np.bool_]) -> Reduced:
    """Return the values of the second stack where the first one is greatest."""
    at = np.where(valid, stacks[0].astype(np.float64), -np.inf).argmax(axis=0)
    found = np.take_along_axis(stacks[1], at[np.newaxis], axis=0)[0]
    return found, np.asarray(valid.any(axis=0))


@algorithm(
    "ImageCollection.qualityMosaic(collection: ImageCollection, qualityBand: String) -> Image"
)
def quality_mosaic(context: Context, collection: Collection, quality: str) -> Image:
    """Return the image, pixel by pixel, that is greatest in a band."""
    layers = layers_of(context, collection)
    ranks = dict(layers).get(quality)
    if layers and ranks is None:
        raise InvalidRequest(f"The images have no band '{quality[:80]}'.")
    output = Output("", (0, 1), lambda columns: None, _at_greatest)
    bands = []
    for name, layer in layers:
        found = pixeltypes.union(band.type for band in layer)
        pairs = [band for pair in zip(ranks or (), layer, strict=True) for band in pair]
        bands.append(composite(name, found, stacked(output, pairs, found)))
    return Image(tuple(bands))
