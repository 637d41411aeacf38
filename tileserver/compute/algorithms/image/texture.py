"""Texture: entropy, and measures of the co-occurrence of grey levels.

The measures are Haralick's (1973) and Conners's (1984), with logarithms to the base e. Decided
where Google is silent:

- A table of co-occurrence holds the pairs of which both pixels lie in the window, each pair in
  both orders. Masked pixels make no pairs.
- The sum variance is taken about the sum average; the correlation of a window of one level is 1,
  as in scikit-image. MAXCORR, which Google does not compute, is 0.
- Without averaging the bands are named by the offset too, such as B1_asm_-1_0.
- A pixel that is masked stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.neighbourhoods import count_of, sorted_work
from tileserver.compute.context import check_length
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.pixels import windows
from tileserver.compute.pixels.neighbourhoods import UnderKernel
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.kernel import Kernel, Weights
from tileserver.compute.values.pixel_type import DOUBLE, FLOAT
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

MEASURES = (
    *("asm", "contrast", "corr", "var", "idm", "savg", "svar", "sent", "ent", "dvar", "dent"),
    *("imcorr1", "imcorr2", "maxcorr", "diss", "inertia", "shade", "prom"),
)
_OFFSETS = [(-1, -1), (0, -1), (1, -1), (-1, 0)]
_MOST_SIZE = 50
_MOST_OFFSETS = 50
_MEASURED = 40
"""Steps that a pixel under the kernel costs."""
_NONE = np.iinfo(np.int64).max
"""The key of a pair that is not there."""

Numbers = NDArray[np.float64]
Counted = NDArray[np.int64]


@algorithm("Image.entropy(image: Image, kernel: Kernel) -> Image")
def entropy(image: Image, kernel: Kernel) -> Image:
    """Return the entropy of the values under a kernel, in bits, for each band."""

    def band_of(band: Band) -> Band:
        node = UnderKernel((band.node,), kernel, _entropy, sorted_work)
        return replace(band, type=DOUBLE, node=node)

    return map_bands(image, band_of)


def _entropy(weights: Weights, pixels: Pixels) -> Pixels:
    def reduce(stacks: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        values = np.where(stacks[1], stacks[0], np.nan)
        values.sort(axis=0)
        return [_entropy_of_sorted(values, ~np.isnan(values)) / np.log(2)]

    mask = windows.inner(pixels.mask, weights)
    if not weights.values.any():
        return Pixels(np.zeros(mask.shape), np.zeros(mask.shape, np.float32))
    (found,) = windows.by_stacks([pixels.values, pixels.mask > 0], weights, reduce)
    return Pixels(found, mask)


def _entropy_of_sorted(values: NDArray[Any], valid: NDArray[np.bool_]) -> Numbers:
    """Return the entropy of values in order along the first axis, those that are not valid last."""
    number = np.maximum(valid.sum(axis=0), 1)
    (total,) = _sums_over_runs(values, valid, ("log",))
    found: Numbers = np.maximum(np.log(number) - total / number, 0)
    return found


def _sums_over_runs(
    values: NDArray[Any], valid: NDArray[np.bool_], kinds: Sequence[str]
) -> list[Numbers]:
    """Return sums over runs of equal values: of their lengths' squares, or lengths times logs."""
    longest = len(values)
    lengths = np.arange(longest + 1.0)
    table = {"square": lengths**2, "log": lengths * np.log(np.maximum(lengths, 1))}
    sums = [np.zeros(values.shape[1:]) for _ in kinds]
    run = np.zeros(values.shape[1:], np.intp)
    for place in range(longest):
        check_time()
        is_same = values[place] == values[place - 1] if place else np.False_
        run = np.where(is_same, run + 1, 1)
        for found, kind in zip(sums, kinds, strict=True):
            grown = table[kind][run] - table[kind][run - 1]
            found += np.where(valid[place], grown, 0)
    return sums


@algorithm(
    "Image.glcmTexture(image: Image, size: Integer = 1.0, kernel: Kernel = null,"
    " average: Boolean = true) -> Image"
)
def glcm_texture(image: Image, size: int, kernel: Kernel | None, is_average: bool) -> Image:
    """Return 18 measures of the co-occurrence of grey levels around each pixel of each band."""
    if not 1 <= size <= _MOST_SIZE:
        raise InvalidRequest(f"size must be from 1 to {_MOST_SIZE}, got {size}.")
    for band in image.bands:
        if band.type.precision != "int":
            raise InvalidRequest(f"Band '{band.id}' must be integer valued for glcmTexture.")
    offsets = _OFFSETS if kernel is None else _offsets_of(kernel, size)
    endings = [""] if is_average else [f"_{column}_{row}" for column, row in offsets]
    side = 2 * size + 1
    weights = Weights(np.ones((side, side)), size, size)
    window = Kernel("square", lambda pixel_m: weights)
    measure = partial(_measured, offsets, is_average)
    bands: list[Band] = []
    for band in image.bands:
        shared = UnderKernel(
            (band.node,), window, measure, lambda w: _MEASURED * count_of(w) * len(offsets)
        )
        names = [f"{band.id}_{name}{ending}" for ending in endings for name in MEASURES]
        check_length(len(bands) + len(names), 5000, "bands")
        bands += (
            replace(band, id=name, type=FLOAT, node=Apply(_layer(place), (shared,)))
            for place, name in enumerate(names)
        )
    return image.derived(bands)


def _layer(place: int) -> Any:
    return lambda pixels: Pixels(pixels.values[place], pixels.mask)


def _offsets_of(kernel: Kernel, size: int) -> list[tuple[int, int]]:
    """Return the offsets of a kernel's pixels, one of each two that are opposite."""
    found: list[tuple[int, int]] = []
    for column, row, _ in kernel.at(1.0).offsets():
        is_new = (column, row) != (0, 0) and (-column, -row) not in found
        if is_new and max(abs(column), abs(row)) <= 2 * size:
            found.append((column, row))
            check_length(len(found), _MOST_OFFSETS, "offsets of pixels")
    if not found:
        raise InvalidRequest("The kernel has no pixel besides its center within the window.")
    return found


def _measured(
    offsets: Sequence[tuple[int, int]], is_average: bool, weights: Weights, pixels: Pixels
) -> Pixels:
    """Return all measures, an array of shape (measures, height, width)."""
    side = len(weights.values)

    def reduce(stacks: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        levels, valid = stacks[0].astype(np.int64), stacks[1]
        found = [_of_offset(levels, valid, side, *offset) for offset in offsets]
        if is_average:
            return [sum(each) / len(offsets) for each in zip(*found, strict=True)]
        return [layer for each in found for layer in each]

    layers = windows.by_stacks([pixels.values, pixels.mask > 0], weights, reduce)
    values = np.empty((len(layers), *layers[0].shape), np.float32)
    for place in range(len(layers)):
        values[place] = layers[place]
    return Pixels(values, windows.inner(pixels.mask, weights))


def _of_offset(
    levels: Counted, valid: NDArray[np.bool_], side: int, column: int, row: int
) -> list[Numbers]:
    """Return the measures of the pairs at an offset, from windows of shape (side², h, w)."""
    places = np.arange(side * side).reshape(side, side)
    first = places[max(0, -row) : side - max(0, row), max(0, -column) : side - max(0, column)]
    others = (first + row * side + column).ravel()
    first = first.ravel()
    there = valid[first] & valid[others]
    a, b = levels[first], levels[others]
    number = np.maximum(there.sum(axis=0), 1)
    both = np.stack([a, b]).reshape(-1, *a.shape[1:])
    both_there = np.concatenate([there, there])
    asm, ent = _of_pairs(a, b, there, number)
    hx = _entropy_of(both, both_there)

    def mean(values: NDArray[Any]) -> Numbers:
        found: Numbers = np.where(there, values, 0).sum(axis=0) / number
        return found

    total, off = (a + b).astype(np.float64), np.abs(a - b).astype(np.float64)
    savg, diss, contrast = mean(total), mean(off), mean(off**2)
    middle = savg / 2
    var = (mean((a - middle) ** 2) + mean((b - middle) ** 2)) / 2
    common = mean((a - middle) * (b - middle))
    corr = np.divide(common, var, out=np.ones(var.shape), where=var > 0)
    away = total - savg
    imcorr1 = np.divide(ent - 2 * hx, hx, out=np.zeros(hx.shape), where=hx > 0)
    imcorr2 = np.sqrt(np.maximum(1 - np.exp(-2 * (2 * hx - ent)), 0))
    return [
        *(asm, contrast, corr, var, mean(1 / (1 + off**2)), savg, mean(away**2)),
        *(_entropy_of(a + b, there), ent, contrast - diss**2, _entropy_of(np.abs(a - b), there)),
        *(imcorr1, imcorr2, np.zeros(var.shape), diss, contrast),
        *(mean(away**3), mean(away**4)),
    ]


def _entropy_of(values: Counted, valid: NDArray[np.bool_]) -> Numbers:
    keys = np.where(valid, values, _NONE)
    keys.sort(axis=0)
    return _entropy_of_sorted(keys, keys != _NONE)


def _of_pairs(
    a: Counted, b: Counted, there: NDArray[np.bool_], number: NDArray[np.int64]
) -> tuple[Numbers, Numbers]:
    """Return angular second moment and entropy of pairs that count in both orders."""
    low = int(np.minimum(a, b).min(where=there, initial=0))
    span = int(np.maximum(a, b).max(where=there, initial=0)) - low + 1
    if span >= 2**31:
        raise InvalidRequest("The grey levels span too much for glcmTexture.")
    keys = np.where(there, (np.minimum(a, b) - low) * span + np.maximum(a, b) - low, _NONE)
    keys.sort(axis=0)
    is_pair = keys != _NONE
    is_level = is_pair & (keys // span == keys % span)
    squares, logs = _sums_over_runs(keys, is_pair, ("square", "log"))
    squares_level, _ = _sums_over_runs(keys, is_level, ("square", "log"))
    unequal = (is_pair & ~is_level).sum(axis=0)
    # A pair of two levels is two entries of half its share, one of a single level is one entry.
    asm = (squares + squares_level) / (2 * number**2)
    entropy = np.log(number) - logs / number + np.log(2) * unequal / number
    return asm, np.maximum(entropy, 0)
