"""Pixels of a grid made of several of a level's: bilinear, cubic, average and mode.

As gdalwarp has them (alg/gdalwarpkernel.cpp): weights are those of the valid pixels, made to sum
to one, so what is masked never bleeds; where the nearest pixel of the level is masked or there is
none, so is the pixel of the grid. A kernel grows with the pixels of the grid where those are the
larger ones. Cubic falls back to bilinear where one of its 16 pixels is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.processing import Resampling
from tileserver.geo.crs import Coordinates
from tileserver.geo.spreads import Spread, near

Valid = NDArray[np.bool_]
Band = tuple[NDArray[Any], Valid]
"""Values and validity, both of shape (height, width)."""
_LEAST_WEIGHT = 1e-6
_MOST_TOUCHED = 12
"""Pixels on a side of a box whose mode is taken, at most; some maps are stretched in places."""
_EDGE = 1e-10
"""Of a pixel: a box that reaches this far into the next one does not touch it."""
_NEARLY_WHOLE = 0.05
"""A ratio of sides this close to a whole number is taken to be it, as gdalwarp does."""


def resample(method: Resampling, values: NDArray[Any], valid: Valid, spread: Spread) -> Band:
    """Return a band on a grid, in the type of its values; integers are rounded half up.

    Args:
        method: one that reads neighbours.
        values: of the level's pixels, shape (rows, columns).
        valid: the same shape.
        spread: where the grid's pixels lie in these.
    """
    if values.dtype.kind == "f":
        valid = valid & np.isfinite(values)
    if method is Resampling.MODE:
        return _mode(values, valid, spread)
    clean = np.where(valid, values, values.dtype.type(0)).astype(np.float64)
    if method is Resampling.AVERAGE:
        made, is_made = _average(clean, valid, spread)
    else:
        made, is_made = _interpolated(method, clean, valid, spread)
        is_made = is_made & _nearest_valid(valid, spread)
    return _typed(made, values.dtype), is_made


def power_below(factor: float) -> int:
    """Return the largest power of two that is not above a factor, at least 1."""
    return 1 << max(math.floor(math.log2(max(factor * (1 + 1e-9), 1))), 0)


def block_means(values: NDArray[Any], valid: Valid, across: int, down: int) -> Band:
    """Return the means of the valid pixels of blocks, as an overview of `average` has them.

    Args:
        values: shape (rows, columns); the last blocks may be smaller.
        valid: the same shape.
        across: columns of a block.
        down: rows of a block.
    """
    if values.dtype.kind == "f":
        valid = valid & np.isfinite(values)
    sums = np.where(valid, values, values.dtype.type(0)).astype(np.float64)
    counts = valid.astype(np.float64)
    for axis, step in enumerate((down, across)):
        if step > 1:
            starts = np.arange(0, sums.shape[axis], step)
            sums, counts = (np.add.reduceat(each, starts, axis=axis) for each in (sums, counts))
    is_made = counts > 0
    return _typed(sums / np.maximum(counts, 1), values.dtype), is_made


def _typed(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    rounded = np.floor(values + 0.5)
    # The largest int64 is no float64, and rounds up to one too many.
    high = np.nextafter(float(limits.max), 0) if dtype.itemsize == 8 else limits.max
    return np.clip(rounded, limits.min, high).astype(dtype)


def _nearest_valid(valid: Valid, spread: Spread) -> Valid:
    height, width = valid.shape
    columns, rows = (np.floor(_known(each) + _EDGE) for each in (spread.columns, spread.rows))
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    column = np.clip(columns, 0, width - 1).astype(np.intp)
    row = np.clip(rows, 0, height - 1).astype(np.intp)
    found: Valid = inside & valid[row, column]
    return found


def _known(places: Coordinates) -> Coordinates:
    """Return places with those that are not finite, or too far to count, put outside."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.abs(places) < 2.0**40, places, -(2.0**40)))


@dataclass(frozen=True)
class _Taps:
    """The pixels along one axis that a kernel uses, a column or row of them for each place.

    Both arrays have shape (taps, *places); weights are zero past the ends of the array.
    """

    index: NDArray[np.intp]
    weight: Coordinates


def _taps(places: Coordinates, size: int, factor: float, kernel: _Kernel) -> _Taps:
    scale = _scale(factor)
    radius = math.ceil(kernel.radius / scale)
    first = np.floor(_known(places) - 0.5)
    delta = _known(places) - 0.5 - first
    steps = np.arange(1 - radius, radius + 1).reshape(-1, *[1] * places.ndim)
    index = first + steps
    weight = kernel.weights((steps - delta) * scale)
    weight = np.where((index >= 0) & (index < size), weight, 0.0)
    return _Taps(np.clip(index, 0, size - 1).astype(np.intp), weight)


def _scale(factor: float) -> float:
    """Return the scale of a kernel: 1 where the grid's pixels are the smaller ones."""
    whole = round(factor)
    if abs(factor - whole) < _NEARLY_WHOLE and whole:
        factor = whole
    return 1 / factor if 1 / factor < 0.95 else 1.0


@dataclass(frozen=True)
class _Kernel:
    radius: int
    weights: Callable[[Coordinates], Coordinates]


def _triangle(x: Coordinates) -> Coordinates:
    return np.asarray(np.maximum(1 - np.abs(x), 0.0))


def _cubic(x: Coordinates) -> Coordinates:
    """Return the weights of cubic convolution with a = -0.5 (Keys 1981)."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


_KERNELS = {
    Resampling.BILINEAR: _Kernel(1, _triangle),
    Resampling.CUBIC: _Kernel(2, _cubic),
}


def _interpolated(
    method: Resampling, values: NDArray[np.float64], valid: Valid, spread: Spread
) -> tuple[NDArray[np.float64], Valid]:
    across, down = _axes(_KERNELS[method], values.shape, spread)
    sums, weights = _convolved(values, valid, across, down, spread.is_aligned)
    is_made = weights > _LEAST_WEIGHT
    made = sums / np.where(is_made, weights, 1)
    if method is not Resampling.CUBIC or max(len(across.index), len(down.index)) > 4:
        return made, is_made
    missing = _incomplete(valid, across, down, spread)
    if missing.any():
        plain, is_plain = _interpolated(Resampling.BILINEAR, values, valid, spread)
        made, is_made = np.where(missing, plain, made), np.where(missing, is_plain, is_made)
    return made, is_made


def _axes(kernel: _Kernel, shape: tuple[int, ...], spread: Spread) -> tuple[_Taps, _Taps]:
    return (
        _taps(spread.columns, shape[1], spread.factor_x, kernel),
        _taps(spread.rows, shape[0], spread.factor_y, kernel),
    )


def _incomplete(valid: Valid, across: _Taps, down: _Taps, spread: Spread) -> Valid:
    """Return where a kernel at its least size lacks one of its pixels."""
    height, width = valid.shape
    rows, columns = np.floor(_known(spread.rows) - 0.5), np.floor(_known(spread.columns) - 0.5)
    inside = (columns >= 1) & (columns + 2 < width) & (rows >= 1) & (rows + 2 < height)
    if valid.all():
        return np.asarray(~inside)
    ones_across = _Taps(across.index, np.ones_like(across.weight))
    ones_down = _Taps(down.index, np.ones_like(down.weight))
    found, _ = _convolved(
        valid.astype(np.float64), np.ones((1, 1), bool), ones_across, ones_down, spread.is_aligned
    )
    return np.asarray(~(inside & (found > len(across.index) * len(down.index) - 0.5)))


def _convolved(
    values: NDArray[np.float64], valid: Valid, across: _Taps, down: _Taps, is_aligned: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum of weighted values, and that of the weights of valid pixels."""
    if is_aligned:
        sums = _separately(values, across, down)
        if valid.all():
            return sums, down.weight.sum(axis=0) * across.weight.sum(axis=0)
        return sums, _separately(valid.astype(np.float64), across, down)
    if valid.all():
        sums = _together(values, across, down)
        return sums, down.weight.sum(axis=0) * across.weight.sum(axis=0)
    return _together(values, across, down), _together(valid.astype(np.float64), across, down)


def _separately(values: NDArray[np.float64], across: _Taps, down: _Taps) -> NDArray[np.float64]:
    """Return the weighted sums where columns depend on columns alone: rows first."""
    rows = sum(
        values[index[:, 0]] * weight for index, weight in zip(down.index, down.weight, strict=True)
    )
    found: NDArray[np.float64] = np.asarray(
        sum(
            np.asarray(rows)[:, index[0]] * weight
            for index, weight in zip(across.index, across.weight, strict=True)
        )
    )
    return found


def _together(values: NDArray[np.float64], across: _Taps, down: _Taps) -> NDArray[np.float64]:
    """Return the weighted sums, one gathered pixel after the other."""
    shape = np.broadcast_shapes(across.index.shape[1:], down.index.shape[1:])
    total = np.zeros(shape)
    flat, width = values.reshape(-1), values.shape[1]
    for row, row_weight in zip(down.index, down.weight, strict=True):
        line = np.zeros(shape)
        for column, weight in zip(across.index, across.weight, strict=True):
            line += flat.take(row * width + column) * weight
        total += line * row_weight
    return total


def _boxes(spread: Spread) -> tuple[Coordinates, Coordinates, Coordinates, Coordinates]:
    """Return (left, right, top, bottom) of each pixel, from two opposite corners."""
    ends = []
    for places, centres, turn in (
        (spread.corner_columns, spread.columns, spread.turn),
        (spread.corner_rows, spread.rows, 0.0),
    ):
        corners = [near(each, _known(centres), turn) for each in _opposite(_known(places))]
        ends += [np.minimum.reduce(corners), np.maximum.reduce(corners)]
    left, right, top, bottom = ends
    return left, right, top, bottom


def _opposite(places: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Return a coordinate of the first and of the last corner of each pixel."""
    first = tuple(slice(0, -1) if size > 1 else slice(None) for size in places.shape)
    last = tuple(slice(1, None) if size > 1 else slice(None) for size in places.shape)
    return places[first], places[last]


def _average(
    values: NDArray[np.float64], valid: Valid, spread: Spread
) -> tuple[NDArray[np.float64], Valid]:
    """Return the means over each pixel's box; pixels cut by it count by their share.

    By sums over all pixels up to a place, so that the size of a box costs nothing.
    """
    # Centred, so that differences of large sums keep their digits.
    middle = float(values.sum() / max(int(valid.sum()), 1))
    weights = _box_sums(valid.astype(np.float64), spread)
    sums = _box_sums((values - middle) * valid, spread)
    is_made = weights > _LEAST_WEIGHT
    return sums / np.where(is_made, weights, 1) + middle, is_made


def _box_sums(values: NDArray[np.float64], spread: Spread) -> NDArray[np.float64]:
    height, width = values.shape
    totals = np.zeros((height + 1, width + 1))
    np.cumsum(np.cumsum(values, axis=0), axis=1, out=totals[1:, 1:])
    left, right, top, bottom = _boxes(spread)

    def up_to(rows: Coordinates, columns: Coordinates) -> NDArray[np.float64]:
        row, down = _split(rows, height)
        column, across = _split(columns, width)
        flat, stride = totals.reshape(-1), width + 1
        at = row * stride + column
        upper = flat.take(at) * (1 - across) + flat.take(at + 1) * across
        lower = flat.take(at + stride) * (1 - across) + flat.take(at + stride + 1) * across
        return np.asarray(upper * (1 - down) + lower * down)

    found: NDArray[np.float64] = (
        up_to(bottom, right) - up_to(top, right) - up_to(bottom, left) + up_to(top, left)
    )
    return found


def _split(places: Coordinates, size: int) -> tuple[NDArray[np.intp], Coordinates]:
    """Return whole places, less than the size, and the rest of them."""
    within = np.clip(places, 0, size)
    whole = np.minimum(np.floor(within), size - 1)
    return whole.astype(np.intp), within - whole


def _mode(values: NDArray[Any], valid: Valid, spread: Spread) -> Band:
    """Return the most frequent valid value of the pixels that each box touches.

    Of values that are as frequent, the one that comes first row by row.
    """
    height, width = values.shape
    left, right, top, bottom = _boxes(spread)
    first_column, first_row = np.floor(left + _EDGE), np.floor(top + _EDGE)
    last_column, last_row = np.ceil(right - _EDGE), np.ceil(bottom - _EDGE)
    shape = np.broadcast_shapes(first_column.shape, first_row.shape)
    across = int(np.clip(last_column - first_column, 0, _MOST_TOUCHED).max(initial=0))
    down = int(np.clip(last_row - first_row, 0, _MOST_TOUCHED).max(initial=0))
    found, seen = [], []
    for i in range(down):
        for j in range(across):
            row, column = first_row + i, first_column + j
            inside = (row < last_row) & (column < last_column)
            inside &= (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = (
                np.clip(row, 0, height - 1).astype(np.intp),
                np.clip(column, 0, width - 1).astype(np.intp),
            )
            found.append(np.broadcast_to(values[at], shape))
            seen.append(np.broadcast_to(inside & valid[at], shape))
    if not found:
        return np.zeros(shape, values.dtype), np.zeros(shape, np.bool_)
    return _most_frequent(np.stack(found), np.stack(seen))


def _most_frequent(found: NDArray[Any], seen: Valid) -> Band:
    """Return the most frequent values along the first axis, the first of equals."""
    best = found[0].copy()
    most = np.zeros(found.shape[1:], np.int32)
    for each, is_seen in zip(found, seen, strict=True):
        count = ((found == each) & seen).sum(axis=0, dtype=np.int32) * is_seen
        better = count > most
        np.copyto(best, each, where=better)
        np.copyto(most, count, where=better)
    return best, most > 0
