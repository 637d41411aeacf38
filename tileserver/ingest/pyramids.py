"""Image pyramids as Earth Engine makes them: halve, by a policy, until it fits 256 x 256.

Pure NumPy; `cogs` reads and writes the levels. The policies and their names are those of
https://developers.google.com/earth-engine/reference/rest/v1/PyramidingPolicy.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP_SIDE = 256
"""Pixels: the top level of a pyramid is no wider and no higher than this."""

Bools = NDArray[np.bool_]
Values = NDArray[Any]


class PyramidingPolicy(StrEnum):
    """How one pixel is made from the up to four below it; masked ones never count."""

    MEAN = "MEAN"
    """Integers are rounded to the nearest, halves towards plus infinity."""
    SAMPLE = "SAMPLE"
    """The upper-left pixel, masked when that one is."""
    MIN = "MIN"
    MAX = "MAX"
    MODE = "MODE"
    """The most frequent value, the smallest of them when several are."""
    MEDIAN = "MEDIAN"
    """Of two or four values the mean of the middle two, rounded as MEAN rounds."""


def level_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Return (width, height) of every level, the image itself first.

    >>> level_sizes(1000, 513)
    [(1000, 513), (500, 257), (250, 129)]
    """
    sizes = [(width, height)]
    while max(width, height) > TOP_SIDE:
        width, height = (width + 1) // 2, (height + 1) // 2
        sizes.append((width, height))
    return sizes


def reduce_2x2(values: Values, valid: Bools, policy: PyramidingPolicy) -> tuple[Values, Bools]:
    """Halve one band; an odd last row or column is made from the pixels there are.

    Args:
        values: shape (height, width), integer or floating point.
        valid: the same shape, True where there is data. A NaN is to be masked by the caller,
            it would spread otherwise.
        policy: how a pixel is made from the valid ones below it.

    Returns:
        Values of the same dtype and their validity, shape (ceil(height / 2), ceil(width / 2)).
        Where nothing is valid the value is zero.

    Raises:
        ValueError: not two dimensions, or two different shapes.

    >>> reduce_2x2(np.array([[1, 2, 9]]), np.array([[True, True, False]]), PyramidingPolicy.MEAN)
    (array([[2, 0]]), array([[ True, False]]))
    """
    if values.ndim != 2 or values.shape != valid.shape:
        raise ValueError(f"expected two equal (height, width), got {values.shape}, {valid.shape}")
    quads, valid_quads = _quads(values), _quads(valid)
    if policy is PyramidingPolicy.SAMPLE:
        reduced, kept = quads[0], valid_quads[0]
    else:
        reduced, kept = _REDUCERS[policy](quads, valid_quads), valid_quads.any(axis=0)
    return np.where(kept, reduced, values.dtype.type(0)), kept


def off_nodata(values: Values, nodata: Any) -> Values:
    """Move values that equal `nodata` off it, by the least step that readers distinguish.

    The mean of valid pixels may happen to be the very value that says "masked". The step goes
    towards zero, or up from zero. GDAL compares floats with a tolerance of a few units in the last
    place, so theirs is a longer step; NaN and infinity are left alone.

    >>> off_nodata(np.array([-1, 0, 1], np.int8), np.int8(0))
    array([-1,  1,  1], dtype=int8)
    """
    if values.dtype.kind != "f":
        return np.where(values == nodata, nodata - 1 if nodata > 0 else nodata + 1, values)
    if not np.isfinite(nodata):
        return values
    limits = np.finfo(values.dtype)
    step = 16 * limits.eps * abs(nodata)
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.abs(values - nodata) <= step / 2
    moved = nodata - np.copysign(step, nodata) if nodata else limits.tiny
    return np.where(near, values.dtype.type(moved), values)


def _quads(array: NDArray[Any]) -> NDArray[Any]:
    """Return shape (4, rows, columns): upper left, upper right, lower left, lower right."""
    height, width = array.shape
    # Zero is False: pixels added at an odd edge are masked.
    even = np.pad(array, ((0, height % 2), (0, width % 2)))
    return np.stack([even[row::2, column::2] for row in (0, 1) for column in (0, 1)])


def _mean(values: Values, valid: Bools) -> Values:
    if values.dtype.kind == "f":
        return _float_mean(values, valid)
    if values.dtype.itemsize == 8:
        return _wide_mean(values, valid)
    if valid.all():
        shift = len(values).bit_length() - 1
        total = values.sum(axis=0, dtype=np.int64)
        rounded = (total + len(values) // 2) >> shift
    else:
        total = np.where(valid, values, 0).sum(axis=0, dtype=np.int64)
        count = _count(valid).astype(np.int64)
        rounded = (2 * total + count) // (2 * count)
    mean: Values = rounded.astype(values.dtype)
    return mean


def _float_mean(values: Values, valid: Bools) -> Values:
    count = _count(valid)
    present = np.where(valid, values, 0).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = present.sum(axis=0) / count
        if not np.isfinite(mean).all():
            # Four values near the largest float64 have a mean, though their sum has none.
            mean = np.where(np.isinf(mean), (present / 4).sum(axis=0) / count * 4, mean)
        narrowed: Values = mean.astype(values.dtype)
    return narrowed


def _wide_mean(values: Values, valid: Bools) -> Values:
    """Return the mean of 64-bit integers, whose sum would overflow, from quotients and rests."""
    count = _count(valid).astype(values.dtype)
    present = np.where(valid, values, values.dtype.type(0))
    quotient, rest = np.divmod(present, count)
    rests = rest.sum(axis=0, dtype=values.dtype)
    mean: Values = quotient.sum(axis=0, dtype=values.dtype) + (2 * rests + count) // (2 * count)
    return mean


def _count(valid: Bools) -> NDArray[np.uint8]:
    """Return how many are valid, one where none is, so that it can divide."""
    count: NDArray[np.uint8] = np.maximum(valid.sum(axis=0, dtype=np.uint8), np.uint8(1))
    return count


def _min(values: Values, valid: Bools) -> Values:
    smallest: Values = np.where(valid, values, _highest(values.dtype)).min(axis=0)
    return smallest


def _max(values: Values, valid: Bools) -> Values:
    largest: Values = np.where(valid, values, _lowest(values.dtype)).max(axis=0)
    return largest


def _mode(values: Values, valid: Bools) -> Values:
    votes = np.zeros(values.shape, np.uint8)
    for first in range(4):
        for second in range(4):
            same = (values[first] == values[second]) & valid[first] & valid[second]
            votes[first] += same
    return _min(values, valid & (votes == votes.max(axis=0)))


def _median(values: Values, valid: Bools) -> Values:
    # Masked ones sort last; a valid value as high as theirs is the same value.
    ordered = np.sort(np.where(valid, values, _highest(values.dtype)), axis=0)
    count = _count(valid).astype(np.intp)
    middle = np.stack([(count - 1) // 2, count // 2])
    pair = np.take_along_axis(ordered, middle, axis=0)
    return _mean(pair, np.ones(pair.shape, np.bool_))


def _highest(dtype: np.dtype[Any]) -> Any:
    return dtype.type(np.inf if dtype.kind == "f" else np.iinfo(dtype).max)


def _lowest(dtype: np.dtype[Any]) -> Any:
    return dtype.type(-np.inf if dtype.kind == "f" else np.iinfo(dtype).min)


_REDUCERS: dict[PyramidingPolicy, Callable[[Values, Bools], Values]] = {
    PyramidingPolicy.MEAN: _mean,
    PyramidingPolicy.MIN: _min,
    PyramidingPolicy.MAX: _max,
    PyramidingPolicy.MODE: _mode,
    PyramidingPolicy.MEDIAN: _median,
}
