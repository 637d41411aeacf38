"""Objects: connected pixels of the same value.

Source: the reference pages and the guide on object-based methods. Objects are those of the
projection in which they are computed, as with all neighbourhoods. A margin of maxSize pixels
is read, so that a result does not depend on the tile. Decided: an object is larger than maxSize
where it spans more columns or rows, as the page of reduceConnectedComponents says. A label is
made of the place of the object's first pixel in the lattice, counted from the CRS's origin, so
it is unique, and the same in all tiles. A count ends at maxSize.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import fitted
from tileserver.compute.budget import out_of_memory
from tileserver.compute.nodes import Pixels
from tileserver.compute.pixels.blocks import lattice_place
from tileserver.compute.pixels.neighbourhoods import Around, Margins
from tileserver.compute.pixels.objects import EIGHT, FOUR, Objects, objects_of
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands, named
from tileserver.compute.values.kernel import Kernel
from tileserver.compute.values.pixel_type import CASTS, PixelType
from tileserver.compute.values.reducer import Output, Reducer, spread
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest

MAX_SIZE = 1024
_WORK = 60
_MAX_NEIGHBOURS = 200
_ROW_COLUMNS = 2**24
_STACK_VALUES = 4_000_000


def check_size(size: int, name: str = "maxSize") -> None:
    """Raise InvalidRequest unless a size in pixels is from 1 to 1024."""
    if not 1 <= size <= MAX_SIZE:
        raise InvalidRequest(f"{name} must be from 1 to {MAX_SIZE} pixels, got {size}.")


def margins(size: int) -> Margins:
    """Return margins of a size on all sides."""
    return (size, size, size, size)


def inner(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return an array without a margin."""
    return array[size : array.shape[0] - size, size : array.shape[1] - size]


def _valid(pixels: Pixels) -> NDArray[np.bool_]:
    valid = pixels.mask > 0
    return valid & np.isfinite(pixels.values) if pixels.values.dtype.kind == "f" else valid


@algorithm(
    "Image.connectedPixelCount(input: Image, maxSize: Integer = 100,"
    " eightConnected: Boolean = true) -> Image"
)
def connected_pixel_count(image: Image, size: int, is_eight: bool) -> Image:
    """Return the number of pixels of each pixel's object, at most maxSize, for each band."""
    check_size(size)
    offsets = EIGHT if is_eight else FOUR

    def count(grid: PixelGrid, pixels: Pixels) -> Pixels:
        valid = _valid(pixels)
        found = objects_of(pixels.values, valid, offsets)
        sizes = np.append(np.minimum(found.sizes(), size), 0)
        counts = sizes[found.labels].astype(np.int32)
        return Pixels(inner(counts, size), inner(np.where(valid, pixels.mask, 0), size))

    def change(band: Band) -> Band:
        node = Around((band.node,), margins(size), count, _WORK)
        return replace(band, type=CASTS["int32"], node=node)

    return map_bands(image, change)


@algorithm(
    "Image.connectedComponents(image: Image, connectedness: Kernel, maxSize: Integer) -> Image"
)
def connected_components(image: Image, connectedness: Kernel, size: int) -> Image:
    """Return an image with a band `labels`: a unique number for each object of the first band.

    The kernel says which pixels are neighbours. Objects that span more than maxSize pixels are
    masked in it.
    """
    check_size(size)
    if not image.bands:
        raise InvalidRequest("An image without bands has no objects.")
    weights = connectedness.at(1.0)
    offsets = [(column, row) for column, row, _ in weights.offsets()]
    if len(offsets) > _MAX_NEIGHBOURS:
        raise out_of_memory()
    reach = size + max((max(abs(c), abs(r)) for c, r in offsets), default=0)

    def label(grid: PixelGrid, pixels: Pixels) -> Pixels:
        found = objects_of(pixels.values, _valid(pixels), offsets)
        is_kept = np.append(found.extents() <= size, False)[found.labels]
        column, row = lattice_place(grid)
        width = grid.width + 2 * reach
        rows, columns = np.divmod(np.append(found.firsts(), 0), width)
        numbers = (rows + row - reach) % _ROW_COLUMNS * _ROW_COLUMNS
        numbers += (columns + column - reach) % _ROW_COLUMNS + 1
        labels = np.where(is_kept, numbers[found.labels], 0)
        return Pixels(inner(labels, reach), inner(np.where(is_kept, pixels.mask, 0), reach))

    first = image.bands[0]
    node = Around((first.node,), margins(reach), label, _WORK)
    band = replace(first, id="labels", type=PixelType("int", 0, 2**48), node=node)
    bands = [*image.bands, band]
    return image.derived(named(bands, [each.id for each in bands]))


@algorithm(
    "Image.reduceConnectedComponents(image: Image, reducer: Reducer, labelBand: String = null,"
    " maxSize: Integer = 256) -> Image"
)
def reduce_connected_components(
    image: Image, reducer: Reducer, label_name: str | None, size: int
) -> Image:
    """Return a reducer's results for the pixels of each object, in all of its pixels.

    Objects are those of the label band with eight neighbours; the other bands are reduced.
    """
    check_size(size)
    label = _label_band(image, label_name)
    bands = [band for band in image.bands if band is not label]
    if not bands:
        raise InvalidRequest("The image has no bands but the label band; expected some to reduce.")
    outputs = spread(reducer, [band.id for band in bands], keeps_name=True)
    return image.derived(_reduced(label, bands, output, size) for output in outputs)


def _label_band(image: Image, name: str | None) -> Band:
    if not image.bands:
        raise InvalidRequest("An image without bands has no objects.")
    if name is None:
        return image.bands[0]
    for band in image.bands:
        if band.id == name:
            return band
    raise InvalidRequest(f"The image has no label band '{name[:80]}'.")


def _reduced(label: Band, bands: list[Band], output: Output, size: int) -> Band:
    if output.reduce_stacks is None:
        raise InvalidRequest(
            f"The reducer's output '{output.name}' is a list or a table, which no band can hold."
        )
    inputs = [bands[place] for place in output.takes]
    type_ = output.type_of(inputs[-1].type)

    def reduce(grid: PixelGrid, labels: Pixels, *pixels: Pixels) -> Pixels:
        found = objects_of(labels.values, _valid(labels), EIGHT)
        is_wanted = found.extents() <= size
        is_inside = np.zeros(found.count, bool)
        at = inner(found.labels, size)
        is_inside[at[at >= 0]] = True
        results, valid = _by_size(found, is_wanted & is_inside, output, pixels)
        values = np.append(results, results.dtype.type(0))[at]
        return Pixels(fitted(values, type_), np.append(valid, False)[at].astype(np.float32))

    nodes = (label.node, *(band.node for band in inputs))
    node = Around(nodes, margins(size), reduce, 2 * _WORK)
    return replace(inputs[-1], id=output.name, type=type_, node=node)


def _by_size(
    objects: Objects, wanted: NDArray[np.bool_], output: Output, pixels: tuple[Pixels, ...]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return an output for each wanted object; those of the same size are reduced together."""
    reduce: Callable[..., Any] = output.reduce_stacks or (lambda *_: None)
    places, begins = objects.members()
    sizes = objects.sizes()
    valid = np.logical_and.reduce([each.mask > 0 for each in pixels]).ravel()
    flat = [np.ascontiguousarray(each.values).ravel() for each in pixels]
    results: NDArray[Any] = np.zeros(objects.count)
    known = np.zeros(objects.count, bool)
    for size in np.unique(sizes[wanted]).tolist():
        chosen = np.flatnonzero(wanted & (sizes == size))
        at_once = max(1, _STACK_VALUES // size)
        for start in range(0, len(chosen), at_once):
            check_time()
            part = chosen[start : start + at_once]
            members = places[begins[part] + np.arange(size)[:, np.newaxis]]
            found, is_known = reduce([band[members] for band in flat], valid[members])
            results = results.astype(np.result_type(results, found), copy=False)
            results[part], known[part] = found, is_known
    return results, known
