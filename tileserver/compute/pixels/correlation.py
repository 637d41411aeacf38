"""Windows of two bands compared at many offsets: which one correlates best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
Valid = NDArray[np.bool_]
_TINY = 1e-9


class Best(NamedTuple):
    """The best offset of each pixel; arrays of shape (height, width)."""

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    correlation: Numbers
    valid: Valid


def best_offsets(
    first: Sequence[Numbers],
    first_valid: Valid,
    second: Sequence[Numbers],
    second_valid: Valid,
    gap: int,
    radius: int,
    most_masked: float,
) -> Best:
    """Return for each pixel the offset at which windows of two images correlate best.

    Args:
        first: the bands of the first image, with a margin of `gap + radius` on all sides.
        first_valid: where all of these are valid.
        second: as many bands of the second one.
        second_valid: where all of those are valid.
        gap: the greatest offset in columns and in rows.
        radius: of the windows, which are squares.
        most_masked: the share of a window that may be masked in either image. A pixel where more
            are at any offset is not valid.
    """
    height, width = (side - 2 * gap - 2 * radius for side in first_valid.shape)
    size = (2 * radius + 1) ** 2
    found = Best(
        np.zeros((height, width), np.int64),
        np.zeros((height, width), np.int64),
        np.full((height, width), -np.inf),
        np.ones((height, width), bool),
    )
    here = _part(gap, gap, height + 2 * radius, width + 2 * radius)
    bands = [each[here] for each in first]
    for row, column in _near_first(gap):
        check_time()
        there = _part(gap + row, gap + column, height + 2 * radius, width + 2 * radius)
        valid = first_valid[here] & second_valid[there]
        others = [each[there] for each in second]
        count = windowed(valid.astype(np.float64), radius)
        found.valid[...] &= (size - count) <= most_masked * size + _TINY
        value = _correlation(bands, others, valid, count, radius)
        is_better = value > found.correlation + _TINY
        found.columns[is_better] = column
        found.rows[is_better] = row
        found.correlation[is_better] = value[is_better]
    found.valid[...] &= np.isfinite(found.correlation)
    return found


def _near_first(gap: int) -> list[tuple[int, int]]:
    """Return offsets, the shorter ones first: of equally good ones these are taken."""
    steps = range(-gap, gap + 1)
    return sorted(((r, c) for r in steps for c in steps), key=lambda o: (o[0] ** 2 + o[1] ** 2, o))


def _part(top: int, left: int, height: int, width: int) -> tuple[slice, slice]:
    return slice(top, top + height), slice(left, left + width)


def _correlation(
    first: Sequence[Numbers], second: Sequence[Numbers], valid: Valid, count: Numbers, radius: int
) -> Numbers:
    """Return the correlation of all bands in windows, minus infinity where there is none."""
    total = np.zeros(count.shape)
    squares = [np.zeros(count.shape), np.zeros(count.shape)]
    divisor = np.maximum(count, 1)
    for a, b in zip(first, second, strict=True):
        a, b = np.where(valid, a, 0), np.where(valid, b, 0)
        sum_a, sum_b = windowed(a, radius), windowed(b, radius)
        total += windowed(a * b, radius) - sum_a * sum_b / divisor
        squares[0] += windowed(a * a, radius) - sum_a**2 / divisor
        squares[1] += windowed(b * b, radius) - sum_b**2 / divisor
    spread = np.sqrt(np.maximum(squares[0], 0) * np.maximum(squares[1], 0))
    known = spread > _TINY
    found: Numbers = np.divide(total, spread, out=np.full(total.shape, -np.inf), where=known)
    return np.minimum(found, 1.0)


def windowed(values: Numbers, radius: int) -> Numbers:
    """Return the sums in squares of 2 * radius + 1 pixels a side; shape less the margin."""
    height, width = (side - 2 * radius for side in values.shape)
    down: Any = np.zeros((height, values.shape[1]))
    for step in range(2 * radius + 1):
        down += values[step : step + height]
    across = np.zeros((height, width))
    for step in range(2 * radius + 1):
        across += down[:, step : step + width]
    return across
