"""Sums, extremes and stacks of the pixels under a kernel, with NumPy and SciPy.

All take arrays of a piece with the kernel's margins, and return those of the piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.kernel import Numbers, Weights
from tileserver.concurrency.time_limit import check_time

Array = NDArray[Any]

_DIRECT = 150
"""Weights up to which a sum is made of shifted arrays, of which rounding is the same anywhere."""
_SHORT = 64
"""Side of a kernel up to which separable weights are applied along rows and columns."""
_MANY = 400
"""Steps that a pixel costs where there are more weights."""
_EXTREMES_DIRECT = 60
_RUN = 6
"""Steps that a pixel costs for each run of weights."""
_STACK_VALUES = 2_000_000
"""Values stacked at once."""
_SHIFTED = 256
_TINY = 1e-12
"""Share of a kernel's weights below which no pixel counts as present."""


def inner_shape(array: Array, weights: Weights) -> tuple[int, int]:
    """Return the height and width of a piece, from those of an array with its margins."""
    rows, columns = weights.values.shape
    return array.shape[0] - rows + 1, array.shape[1] - columns + 1


def inner(array: Array, weights: Weights) -> Array:
    """Return an array without its margins, as a view."""
    height, width = inner_shape(array, weights)
    return array[weights.y : weights.y + height, weights.x : weights.x + width]


def shifted(array: Array, weights: Weights) -> Iterator[tuple[Array, float]]:
    """Yield, for each weight that is not zero, the pixels under it as a view, and the weight."""
    height, width = inner_shape(array, weights)
    for column, row, weight in weights.offsets():
        check_time()
        top, left = weights.y + row, weights.x + column
        yield array[top : top + height, left : left + width], weight


def sum_work(weights: Weights) -> int:
    """Return the steps that a pixel of a weighted sum costs."""
    count = int(np.count_nonzero(weights.values))
    return count if count <= _DIRECT else _MANY


def extreme_work(weights: Weights) -> int:
    """Return the steps that a pixel's extreme costs."""
    count = int(np.count_nonzero(weights.values))
    return count if count <= _EXTREMES_DIRECT else _RUN * sum(1 for _ in _runs(weights.values))


def weighted_sum(values: Numbers, weights: Weights) -> Numbers:
    """Return the sum of weights times the pixels under them; NaN and infinity give NaN."""
    if np.count_nonzero(weights.values) <= _DIRECT:
        return _sum_of_shifted(values, weights)
    finite = np.isfinite(values)
    if finite.all():
        return _sum_of_many(values, weights)
    found = _sum_of_many(np.where(finite, values, 0.0), weights)
    return np.where(any_under(~finite, weights), np.nan, found)


def _sum_of_shifted(values: Numbers, weights: Weights) -> Numbers:
    found = np.zeros(inner_shape(values, weights))
    for view, weight in shifted(values, weights):
        found += view if weight == 1 else view * weight
    return found


def _sum_of_many(values: Numbers, weights: Weights) -> Numbers:
    check_time()
    factors = _factors(weights.values)
    if factors is not None and max(weights.values.shape) <= _SHORT:
        return _along_both(values, *factors)
    return _by_fourier(values, weights)


def _by_fourier(values: Numbers, weights: Weights) -> Numbers:
    # scipy.signal does the same, but takes more than a second to import.
    from scipy import fft

    height, width = inner_shape(values, weights)
    shape = [fft.next_fast_len(side, real=True) for side in values.shape]
    product = fft.rfft2(values, shape) * np.conj(fft.rfft2(weights.values, shape))
    check_time()
    found: Numbers = fft.irfft2(product, shape)[:height, :width]
    return found


def _factors(weights: Numbers) -> tuple[Numbers, Numbers] | None:
    """Return a column and a row whose product the weights are, or None."""
    row, column = np.unravel_index(np.abs(weights).argmax(), weights.shape)
    down, across = weights[:, column], weights[row] / weights[row, column]
    is_product = np.allclose(np.outer(down, across), weights, rtol=1e-12, atol=0)
    return (down, across) if is_product else None


def _along_both(values: Numbers, down: Numbers, across: Numbers) -> Numbers:
    from scipy import ndimage

    height, width = values.shape[0] - len(down) + 1, values.shape[1] - len(across) + 1
    start = len(down) // 2
    found = ndimage.correlate1d(values, down, axis=0, mode="constant")[start : start + height]
    check_time()
    start = len(across) // 2
    both = ndimage.correlate1d(found, across, axis=1, mode="constant")
    return np.asarray(both[:, start : start + width], np.float64)


def is_present(total: Numbers, weights: Weights) -> NDArray[np.bool_]:
    """Return where a sum of weights is more than rounding."""
    found: NDArray[np.bool_] = np.abs(total) > _TINY * np.abs(weights.values).sum()
    return found


def extreme(values: Array, valid: NDArray[np.bool_], weights: Weights, is_max: bool) -> Array:
    """Return the greatest or smallest valid value under the weights that are not zero.

    Where there is none it is the least or greatest number of the type.
    """
    choose = np.maximum if is_max else np.minimum
    filled = np.where(valid, values, _end(values.dtype, low=is_max))
    is_small = np.count_nonzero(weights.values) <= _EXTREMES_DIRECT
    views: Iterator[Array] = (view for view, _ in shifted(filled, weights))
    if not is_small:
        views = _extremes_of_runs(filled, weights, is_max)
    return _folded(choose, filled.dtype, inner_shape(values, weights), is_max, views)


def any_under(valid: NDArray[np.bool_], weights: Weights) -> NDArray[np.bool_]:
    """Return where one pixel or more is valid under the weights that are not zero."""
    found: NDArray[np.bool_] = extreme(valid.view(np.uint8), valid, weights, is_max=True) > 0
    return found


def _folded(
    choose: Any, dtype: np.dtype[Any], shape: tuple[int, int], is_max: bool, views: Iterator[Array]
) -> Array:
    found = np.full(shape, _end(dtype, low=is_max), dtype)
    for view in views:
        choose(found, view, out=found)
    return found


def _end(dtype: np.dtype[Any], low: bool) -> Any:
    if dtype.kind == "f":
        return dtype.type(-np.inf if low else np.inf)
    limits = np.iinfo(dtype)
    return dtype.type(limits.min if low else limits.max)


def _extremes_of_runs(values: Array, weights: Weights, is_max: bool) -> Iterator[Array]:
    """Yield the extremes under each run of weights in a row of the kernel.

    A run of a length is found with a filter whose time does not grow with it, once for all rows.
    """
    from scipy import ndimage

    along = ndimage.maximum_filter1d if is_max else ndimage.minimum_filter1d
    height, width = inner_shape(values, weights)
    runs = sorted(_runs(weights.values))
    for length, places in groupby(runs, lambda run: run[0]):
        check_time()
        found = along(values, length, axis=1, mode="nearest") if length > 1 else values
        for _, row, column in places:
            left = column + length // 2
            yield found[row : row + height, left : left + width]


def _runs(weights: Numbers) -> Iterator[tuple[int, int, int]]:
    """Yield length, row and first column of each run of weights that are not zero."""
    for row, line in enumerate(weights != 0):
        edges = np.flatnonzero(np.diff(np.concatenate(([False], line, [False])).astype(np.int8)))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            yield end - begin, row, begin


def by_stacks(
    arrays: Sequence[Array],
    weights: Weights,
    reduce: Callable[[Sequence[Array]], Sequence[Array]],
) -> list[Array]:
    """Return results for the values under a kernel, a part of the piece at a time.

    Args:
        arrays: each with the kernel's margins.
        weights: those that are not zero choose the pixels, row by row.
        reduce: gets a stack of each array, of shape (count, rows, columns), and returns arrays of
            shape (rows, columns).
    """
    height, width = inner_shape(arrays[0], weights)
    count = max(1, int(np.count_nonzero(weights.values))) * len(arrays)
    columns = max(1, min(width, _STACK_VALUES // count))
    rows = max(1, min(height, _STACK_VALUES // (count * columns)))
    found: list[Array] = []
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            check_time()
            part = (slice(top, min(top + rows, height)), slice(left, min(left + columns, width)))
            results = reduce([_stack(array, weights, part) for array in arrays])
            if not found:
                found = [np.zeros((height, width), each.dtype) for each in results]
            for target, result in zip(found, results, strict=True):
                target[part] = result
    return found


def _stack(array: Array, weights: Weights, part: tuple[slice, slice]) -> Array:
    """Return the pixels under a kernel for a part of the piece, shape (count, rows, columns)."""
    rows, columns = weights.values.shape
    down, across = part
    area = array[down.start : down.stop + rows - 1, across.start : across.stop + columns - 1]
    if np.count_nonzero(weights.values) <= _SHIFTED:
        return np.stack([view for view, _ in shifted(area, weights)])
    windows = np.lib.stride_tricks.sliding_window_view(area, (rows, columns))
    return np.moveaxis(windows[..., weights.values != 0], -1, 0)
