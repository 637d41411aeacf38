"""The least cost of a way from the nearest source, over the eight neighbours of each pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.pixels.objects import EIGHT
from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
_TINY = 1e-12
"""Costs below are taken for this: a graph has no edges of cost zero."""


def least_costs(
    costs: Sequence[Numbers],
    open_: NDArray[np.bool_],
    sources: NDArray[np.bool_],
    across: Numbers,
    down: Numbers,
    most: float,
) -> list[Numbers]:
    """Return what the cheapest way to each pixel costs, infinite where there is none.

    A step costs its length times the mean of the costs of its two pixels.

    Args:
        costs: of each unit of length at each pixel, shape (height, width). The first decides the
            way, the others are summed along it.
        open_: pixels that a way may cross.
        sources: where ways begin.
        across: the length of a step along a row, shape (height, width).
        down: that of a step along a column.
        most: the length of the longest way.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    count = open_.size
    starts = np.flatnonzero((sources & open_).ravel())
    if not len(starts):
        return [np.full(open_.shape, np.inf) for _ in costs]
    first, second, lengths = _edges(open_, across, down)
    weights = _weights(costs[0], first, second, lengths)
    graph = csr_array((weights, (first, second)), shape=(count, count))
    check_time()
    total, found, _ = dijkstra(
        graph, directed=False, indices=starts, return_predecessors=True, min_only=True
    )
    check_time()
    before: NDArray[np.int64] = np.where(found < 0, np.arange(count), found).astype(np.int64)
    reached = np.isfinite(total)
    size = open_.shape
    length = _summed(before, _step_lengths(before, size, across, down))
    reached &= length <= most
    sums = [np.where(reached, total, np.inf)]
    for cost in costs[1:]:
        flat = cost.ravel()
        own = _step_lengths(before, size, across, down) * (flat + flat[before]) / 2
        sums.append(np.where(reached, _summed(before, own), np.inf))
    return [each.reshape(size) for each in sums]


def _weights(
    cost: Numbers, first: NDArray[np.int64], second: NDArray[np.int64], lengths: Numbers
) -> Numbers:
    flat = cost.ravel()
    found: Numbers = np.maximum((flat[first] + flat[second]) / 2 * lengths, _TINY)
    return found


def _edges(
    open_: NDArray[np.bool_], across: Numbers, down: Numbers
) -> tuple[NDArray[np.int64], NDArray[np.int64], Numbers]:
    """Return both ends and the length of each step between two open pixels."""
    height, width = open_.shape
    numbers = np.arange(open_.size).reshape(open_.shape)
    parts = []
    for column, row in EIGHT:
        top, left = max(0, -row), max(0, -column)
        here = (slice(top, height - max(0, row)), slice(left, width - max(0, column)))
        there = (
            slice(top + row, height + min(0, row)),
            slice(left + column, width + min(0, column)),
        )
        meet = open_[here] & open_[there]
        length = np.hypot(across * column, down * row)[here]
        parts.append((numbers[here][meet], numbers[there][meet], length[meet]))
    first, second, lengths = (np.concatenate(each) for each in zip(*parts, strict=True))
    return first, second, lengths


def _step_lengths(
    before: NDArray[np.int64], shape: tuple[int, ...], across: Numbers, down: Numbers
) -> Numbers:
    """Return the length of the step to each pixel from the one before it."""
    width = shape[1]
    places = np.arange(before.size)
    columns = places % width - before % width
    rows = places // width - before // width
    # As the edge has it: measured at the upper, or else the left, of its ends.
    at = np.where((rows > 0) | ((rows == 0) & (columns > 0)), before, places)
    found: Numbers = np.hypot(across.ravel()[at] * columns, down.ravel()[at] * rows)
    return found


def _summed(before: NDArray[np.int64], own: Numbers) -> Numbers:
    """Return the sums of numbers along the ways back, by jumps that double in length."""
    total, jump = own.copy(), before.copy()
    while True:
        check_time()
        further = jump[jump]
        total = total + np.where(jump == np.arange(len(jump)), 0, total[jump])
        if (further == jump).all():
            return total
        jump = further
