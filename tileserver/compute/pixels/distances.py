"""Distances of pixels to others, and the largest discs that fit between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


def to_nearest(is_source: Mask, metric: str) -> Numbers:
    """Return the distance of each pixel to the nearest source, infinite without one.

    Args:
        is_source: shape (height, width).
        metric: squared_euclidean, euclidean, manhattan or chebyshev.
    """
    from scipy import ndimage as functions

    ndimage: Any = functions

    check_time()
    if not is_source.any():
        return np.full(is_source.shape, np.inf)
    if metric in ("squared_euclidean", "euclidean"):
        rows, columns = ndimage.distance_transform_edt(
            ~is_source, return_distances=False, return_indices=True
        )
        down = rows - np.arange(is_source.shape[0])[:, np.newaxis]
        across = columns - np.arange(is_source.shape[1])
        squares: Numbers = (down**2 + across**2).astype(np.float64)
        return squares if metric == "squared_euclidean" else np.sqrt(squares)
    kind = "taxicab" if metric == "manhattan" else "chessboard"
    found: Any = ndimage.distance_transform_cdt(~is_source, kind)
    return np.asarray(found, np.float64)


def along(angle: float, reach: int) -> Iterator[tuple[int, int, float]]:
    """Yield column, row and distance of the pixels in a direction, up to a reach in pixels.

    Args:
        angle: in degrees, anticlockwise from the direction of rows, which is east.
        reach: in pixels.
    """
    x, y = math.cos(math.radians(angle)), -math.sin(math.radians(angle))
    longer = max(abs(x), abs(y))
    for step in range(1, reach + 1):
        column, row = round(step * x / longer), round(step * y / longer)
        distance = math.hypot(column, row)
        if distance > reach:
            return
        yield column, row, distance


def highest(
    heights: Numbers, reach: int, power: int = 2
) -> tuple[Numbers, NDArray[np.int32], NDArray[np.int32]]:
    """Return the upper envelope of downward parabolas at each pixel: max(h(p) - |p - q|²).

    Args:
        heights: h, minus infinity where there is no parabola.
        reach: the columns and rows that are looked at on each side.
        power: of the distances along the axes; 1 makes pyramids of the parabolas.

    Returns:
        The envelope, and the columns and rows from each pixel to the one of its parabola; of
        several the first from the left, then from the top.
    """
    across, columns = _highest_along(heights, reach, 1, power)
    both, rows = _highest_along(across, reach, 0, power)
    at = np.clip(np.arange(len(rows))[:, np.newaxis] + rows, 0, len(rows) - 1)
    return both, columns[at, np.arange(columns.shape[1])], rows


def _highest_along(
    heights: Numbers, reach: int, axis: int, power: int
) -> tuple[Numbers, NDArray[np.int32]]:
    found = np.full(heights.shape, -np.inf)
    steps = np.zeros(heights.shape, np.int32)
    size = heights.shape[axis]
    for step in range(-min(reach, size - 1), min(reach, size - 1) + 1):
        check_time()
        low, high = max(0, -step), min(size, size - step)
        here: list[Any] = [slice(None)] * 2
        there: list[Any] = [slice(None)] * 2
        here[axis], there[axis] = slice(low, high), slice(low + step, high + step)
        target, source = tuple(here), tuple(there)
        candidate = heights[source] - abs(step) ** power
        is_better = candidate > found[target]
        found[target] = np.where(is_better, candidate, found[target])
        steps[target] = np.where(is_better, step, steps[target])
    return found, steps
