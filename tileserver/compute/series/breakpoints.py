"""Structural breaks of series: the segments of least squares, and how many of them.

After Bai and Perron (2003), Journal of Applied Econometrics 18, and the package strucchange of R:
the sums of squares of all segments are found first, then the best places of each number of breaks
by dynamic programming, then the number by the Bayesian information criterion. Arrays are of shape
(series, images), NaN where a value is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]
_RIDGE = 1e-10


@dataclass(frozen=True, slots=True)
class Sums:
    """Running sums of the normal equations of series, from the first image to each."""

    normal: Numbers
    """Shape (series, images + 1, terms, terms)."""
    right: Numbers
    """Shape (series, images + 1, terms)."""
    squares: Numbers
    """Shape (series, images + 1)."""
    counts: NDArray[np.intp]
    """Of known values, shape (series, images + 1)."""

    def fitted(self, start: Places, end: Places) -> tuple[Numbers, Numbers]:
        """Return coefficients and sums of squared residuals of segments of images.

        Args:
            start: first image of each segment, shape (series, segments).
            end: one after the last.
        """
        at = np.arange(len(self.squares))[:, np.newaxis]
        normal = self.normal[at, end] - self.normal[at, start]
        right = self.right[at, end] - self.right[at, start]
        size = np.trace(normal, axis1=-2, axis2=-1)[..., np.newaxis, np.newaxis]
        normal = normal + np.eye(right.shape[-1]) * (_RIDGE * size + 1e-300)
        found = np.linalg.solve(normal, right[..., np.newaxis])[..., 0]
        squares = self.squares[at, end] - self.squares[at, start]
        rest = np.maximum(squares - (found * right).sum(axis=-1), 0.0)
        return found, rest


def sums_of(basis: Numbers, values: Numbers) -> Sums:
    """Return the running sums of series over the terms of a model, shape (images, terms)."""
    known = np.isfinite(values)
    held = np.where(known, values, 0.0)
    outer = basis[:, :, np.newaxis] * basis[:, np.newaxis, :]
    return Sums(
        _running(known[:, :, np.newaxis, np.newaxis] * outer),
        _running(held[:, :, np.newaxis] * basis),
        _running(held**2),
        _running(known.astype(np.intp)),
    )


def _running(parts: NDArray[Any]) -> NDArray[Any]:
    first = np.zeros((len(parts), 1, *parts.shape[2:]), parts.dtype)
    return np.concatenate([first, np.cumsum(parts, axis=1)], axis=1)


def breaks_of(sums: Sums, spacing: int, most: int) -> list[Places]:
    """Return the starts of the segments of each series, as few or many as tell the most."""
    rest = _segments(sums, spacing)
    series, images = len(rest), rest.shape[1]
    best = [rest[:, 0, :]]
    chosen: list[Places] = []
    for _ in range(most):
        check_time()
        # best[:, i]: of the images before i; a further segment goes from i on.
        total = best[-1][:, :images, np.newaxis] + rest
        chosen.append(total.argmin(axis=1))
        best.append(total.min(axis=1))
    number = np.maximum(sums.counts[:, -1], 1)
    terms = sums.right.shape[-1]
    scores = []
    for count, each in enumerate(best):
        squares = np.maximum(each[:, -1], 1e-300)
        score = number * (np.log(squares / number) + 1 + np.log(2 * np.pi))
        scores.append(score + np.log(number) * (terms + 1) * (count + 1))
    counts = np.argmin(scores, axis=0)
    return [_traced(chosen, row, int(counts[row]), images) for row in range(series)]


def _segments(sums: Sums, spacing: int) -> Numbers:
    """Return the sum of squares of each segment, infinite for those too short.

    Shape (series, images, images + 1), by the first image and the one after the last.
    """
    series, images = sums.squares.shape[0], sums.squares.shape[1] - 1
    terms = sums.right.shape[-1]
    found = np.full((series, images, images + 1), np.inf)
    for start in range(images - spacing + 1):
        check_time()
        ends = np.arange(start + spacing, images + 1)
        shape = (series, len(ends))
        rest = sums.fitted(np.full(shape, start), np.broadcast_to(ends, shape))[1]
        known = sums.counts[:, ends] - sums.counts[:, start, np.newaxis]
        found[:, start, ends] = np.where(known > terms, rest, np.inf)
    return found


def _traced(chosen: list[Places], row: int, count: int, images: int) -> Places:
    """Return the starts of one series' segments, from the last one back."""
    starts, end = [], images
    for step in reversed(range(count)):
        end = int(chosen[step][row, end])
        starts.append(end)
    return np.array([0, *reversed(starts)], dtype=np.intp)
