"""Pixels combined to larger ones by a reducer.

Earth Engine's page of `Image.reduceResolution` states the weights: the input's mask times the
fraction of the output pixel that it covers. The page does not say what masks the result: a pixel is
masked if the reducer has no input there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import fitted
from tileserver.compute.context import check_length
from tileserver.compute.nodes import Pixels
from tileserver.compute.pixels.resolution import FinerPixels, Numbers
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image
from tileserver.compute.values.pixel_type import PixelType
from tileserver.compute.values.reducer import Output, Reducer, spread
from tileserver.errors import InvalidRequest

_MOST_BANDS = 5000
_MOST_UNDER = 65_536


@algorithm(
    "Image.reduceResolution(image: Image, reducer: Reducer, bestEffort: Boolean = false,"
    " maxPixels: Integer = 64.0) -> Image"
)
def reduce_resolution(image: Image, reducer: Reducer, is_best_effort: bool, most: int) -> Image:
    """Return an image whose larger pixels are a reducer's result over all smaller ones in them."""
    if not 1 <= most <= _MOST_UNDER:
        raise InvalidRequest(f"maxPixels must be 1 to {_MOST_UNDER}, got {most}.")
    if not image.bands:
        return image
    outputs = spread(reducer, image.band_ids, keeps_name=True)
    check_length(len(outputs), _MOST_BANDS, "bands")
    return image.derived(_reduced(image, output, is_best_effort, most) for output in outputs)


def _reduced(image: Image, output: Output, is_best_effort: bool, most: int) -> Band:
    bands = [image.bands[place] for place in output.takes]
    found = output.type_of(bands[-1].type)
    if output.reduce_stacks is None or found.dimensions:
        raise InvalidRequest(
            f"The reducer's output '{output.name}' is an array, a list or a table; "
            "expected a reducer that gives numbers."
        )
    lattice = bands[0].projection
    node = FinerPixels(
        tuple(band.node for band in bands),
        lattice,
        _reduction(output, found),
        found.dtype,
        most,
        is_best_effort,
    )
    return Band(output.name, found, lattice, bands[0].extent, node)


def _reduction(output: Output, found: PixelType) -> Any:
    by_stacks, by_weight = output.reduce_stacks, output.reduce_weighted
    assert by_stacks is not None

    def reduce(stacks: Sequence[NDArray[Any]], weights: Numbers) -> Pixels:
        if by_weight is not None:
            values, is_there = by_weight(stacks, weights)
        else:
            values, is_there = by_stacks(stacks, weights > 0)
        mask = np.asarray(is_there).astype(np.float32)
        return Pixels(fitted(np.asarray(values), found), mask)

    return reduce
