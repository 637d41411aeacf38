"""Counts, sums and moments of numbers, joined piece by piece.

Means and squares are joined as Chan, Golub and LeVeque do it, so that values far from zero lose no
digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tileserver.compute.values.reducer import Accumulator, Column, number_rows


class Moments(Accumulator):
    """The sum, the mean, and the sums of powers of deviations of one column."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.sum = 0.0
        self.mean = 0.0
        self.squares = 0.0
        self.cubes = 0.0
        self.fourths = 0.0
        self.is_weighted = False

    powers = 1
    """The highest power that is summed."""

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more numbers."""
        (values,), weights = number_rows(columns, self.name)
        if not len(values):
            return
        weight = float(len(values) if weights is None else weights.sum())
        total = float(values.sum() if weights is None else values @ weights)
        self.sum += total
        part = Moments()
        part.weight, part.mean = weight, total / weight
        if weights is not None and math.isfinite(total):
            # Equal values have exactly that mean, whatever their weights add up to.
            part.mean = float(values[0] + (values - values[0]) @ weights / weight)
            self.is_weighted = True
        if self.powers > 1:
            off = values - part.mean
            of_square = off * off
            part.squares = float(of_square.sum() if weights is None else of_square @ weights)
            if self.powers > 2:
                part.cubes = float((of_square * off).sum())
                part.fourths = float((of_square * of_square).sum())
        self._join(part)

    def _join(self, other: Moments) -> None:
        n, m = self.weight, other.weight
        both, off = n + m, other.mean - self.mean
        share = off / both
        self.fourths += (
            other.fourths
            + off * share**3 * n * m * (n * n - n * m + m * m)
            + 6 * share**2 * (n * n * other.squares + m * m * self.squares)
            + 4 * share * (n * other.cubes - m * self.cubes)
        )
        self.cubes += (
            other.cubes
            + off * share**2 * n * m * (n - m)
            + 3 * share * (n * other.squares - m * self.squares)
        )
        self.squares += other.squares + off * share * n * m
        self.mean += share * m
        self.weight = both


class Squares(Moments):
    """Moments up to the second."""

    powers = 2


class Fourths(Moments):
    """Moments up to the fourth."""

    powers = 4


def mean(state: Moments) -> float | None:
    """Return the mean."""
    if not state.weight:
        return None
    return state.mean if state.is_weighted else state.sum / state.weight


def variance(state: Moments, is_sample: bool, is_root: bool) -> float | None:
    """Return the variance of a population or a sample, or its square root."""
    divisor = state.weight - 1 if is_sample else state.weight
    if not divisor > 0:
        return None
    found = state.squares / divisor
    return math.sqrt(found) if is_root else found


def skew(state: Moments) -> float | None:
    """Return the skewness of a population."""
    if not state.weight or not state.squares:
        return None
    return float(math.sqrt(state.weight) * state.cubes / state.squares**1.5)


def kurtosis(state: Moments) -> float | None:
    """Return the excess kurtosis of a population."""
    if not state.weight or not state.squares:
        return None
    return state.weight * state.fourths / state.squares**2 - 3


class Angles(Accumulator):
    """The sum of unit vectors of angles in radians."""

    def __init__(self) -> None:
        self.weight = self.east = self.north = 0.0

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more angles."""
        (values,), weights = number_rows(columns, self.name)
        each = np.ones(len(values)) if weights is None else weights
        self.weight += float(each.sum())
        self.east += float(np.cos(values) @ each)
        self.north += float(np.sin(values) @ each)

    @property
    def length(self) -> float:
        """Of the mean vector, 0 to 1."""
        return min(math.hypot(self.east, self.north) / self.weight, 1.0)


def circular_mean(state: Angles) -> float | None:
    """Return the direction of the mean vector, -π to π."""
    return math.atan2(state.north, state.east) if state.weight else None


def circular_variance(state: Angles) -> float | None:
    """Return 1 less the length of the mean vector."""
    return 1 - state.length if state.weight else None


def circular_deviation(state: Angles) -> float | None:
    """Return sqrt(-2 ln R) of the length R of the mean vector."""
    if not state.weight or not state.length:
        return None
    return math.sqrt(max(-2 * math.log(state.length), 0.0))
