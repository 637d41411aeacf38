"""Reductions with NumPy of stacks of numbers, some of them masked, along the first axis.

Each takes values and validity of shape (count, ...) and returns both without the first axis; those
of weighted reducers take weights in place of validity too.
Sums, means and variances are float64, as in Earth Engine.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.reducer import Reduced, Stack, Valid, Weights


def _any(valid: Valid) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.asarray(valid.any(axis=0))
    return found


def count(stack: Stack, valid: Valid) -> Reduced:
    """Return the number of valid values, masked where it is zero."""
    found = valid.sum(axis=0, dtype=np.int64)
    return found, found > 0


def rows(stack: Stack, valid: Valid) -> Reduced:
    """Return the number of all values, masked ones too."""
    found = np.full(valid.shape[1:], len(valid))
    return found, np.ones(found.shape, bool)


def runs(stack: Stack, valid: Valid) -> Reduced:
    """Return the number of runs of equal values, masked ones left out."""
    found = np.zeros(valid.shape[1:], np.int64)
    last = stack[0]
    for value, is_there in zip(stack, valid, strict=True):
        found += is_there & ((found == 0) | (value != last))
        last = np.where(is_there, value, last)
    return found, found > 0


def bits_and(stack: Stack, valid: Valid) -> Reduced:
    """Return the bits that all values have."""
    return np.bitwise_and.reduce(np.where(valid, stack, -1).astype(np.int64)), _any(valid)


def bits_or(stack: Stack, valid: Valid) -> Reduced:
    """Return the bits that one value has."""
    return np.bitwise_or.reduce(np.where(valid, stack, 0).astype(np.int64)), _any(valid)


def total(stack: Stack, weights: Valid | Weights) -> Reduced:
    """Return the weighted sum."""
    products = np.where(weights > 0, stack, 0) * weights
    return products.sum(axis=0, dtype=np.float64), _any(weights > 0)


def product(stack: Stack, valid: Valid) -> Reduced:
    """Return the product."""
    return np.where(valid, stack, 1).prod(axis=0, dtype=np.float64), _any(valid)


def mean(stack: Stack, weights: Valid | Weights) -> Reduced:
    """Return the weighted mean."""
    number = weights.sum(axis=0)
    return total(stack, weights)[0] / np.where(number > 0, number, 1), number > 0


def circular(name: str) -> Callable[[Stack, Valid | Weights], Reduced]:
    """Return the reduction of angles to a `circularMean`, `circularVariance`, `circularStdDev`."""

    def reduce(stack: Stack, weights: Valid | Weights) -> Reduced:
        (east, is_there), (north, _) = (
            total(f(stack.astype(np.float64)), weights) for f in (np.cos, np.sin)
        )
        if name == "circularMean":
            return np.arctan2(north, east), is_there
        number = weights.sum(axis=0)
        length = np.minimum(np.hypot(east, north) / np.where(number > 0, number, 1), 1)
        if name == "circularVariance":
            return 1 - length, is_there
        found = np.sqrt(-2 * np.log(np.where(length > 0, length, 1)))
        return np.abs(found), is_there & (length > 0)

    return reduce


def least(stack: Stack, valid: Valid) -> Reduced:
    """Return the smallest."""
    return np.where(valid, stack, _highest(stack)).min(axis=0), _any(valid)


def greatest(stack: Stack, valid: Valid) -> Reduced:
    """Return the greatest."""
    return np.where(valid, stack, _lowest(stack)).max(axis=0), _any(valid)


def _highest(stack: Stack) -> Any:
    kind = stack.dtype
    return kind.type(np.inf) if kind.kind == "f" else kind.type(np.iinfo(kind).max)


def _lowest(stack: Stack) -> Any:
    kind = stack.dtype
    return kind.type(-np.inf) if kind.kind == "f" else kind.type(np.iinfo(kind).min)


def first(stack: Stack, valid: Valid) -> Reduced:
    """Return the first valid value."""
    place = valid.argmax(axis=0)
    return np.take_along_axis(stack, place[np.newaxis], axis=0)[0], _any(valid)


def last(stack: Stack, valid: Valid) -> Reduced:
    """Return the last valid value."""
    return first(stack[::-1], valid[::-1])


def every(stack: Stack, valid: Valid) -> Reduced:
    """Return True where no valid value is zero."""
    return ((stack != 0) | ~valid).all(axis=0), _any(valid)


def some(stack: Stack, valid: Valid) -> Reduced:
    """Return True where a valid value is not zero."""
    return ((stack != 0) & valid).any(axis=0), _any(valid)


def variance(is_sample: bool, is_root: bool) -> Callable[[Stack, Valid], Reduced]:
    """Return the reduction to a variance, of a population or a sample, or to its square root."""

    def reduce(stack: Stack, valid: Valid) -> Reduced:
        number = valid.sum(axis=0)
        off = np.where(valid, stack - mean(stack, valid)[0], 0.0)
        divisor = number - 1 if is_sample else number
        found = (off**2).sum(axis=0) / np.maximum(divisor, 1)
        return np.sqrt(found) if is_root else found, divisor > 0

    return reduce


def _powers(stack: Stack, valid: Valid, power: int) -> tuple[Stack, Stack, Stack]:
    """Return the sums of squares and of a power of deviations from the mean, and the count."""
    off = np.where(valid, stack - mean(stack, valid)[0], 0.0)
    return (off**2).sum(axis=0), (off**power).sum(axis=0), valid.sum(axis=0)


def skew(stack: Stack, valid: Valid) -> Reduced:
    """Return the skewness of a population."""
    squares, cubes, number = _powers(stack, valid, 3)
    divisor = np.where(squares > 0, squares, 1) ** 1.5
    return np.sqrt(number) * cubes / divisor, squares > 0


def kurtosis(stack: Stack, valid: Valid) -> Reduced:
    """Return the excess kurtosis of a population."""
    squares, fourths, number = _powers(stack, valid, 4)
    return number * fourths / np.where(squares > 0, squares, 1) ** 2 - 3, squares > 0


def interval_mean(low: float, high: float) -> Callable[[Stack, Valid], Reduced]:
    """Return the reduction to the mean of the values between two percentiles."""

    def reduce(stack: Stack, valid: Valid) -> Reduced:
        first, last = (percentile(each)(stack, valid)[0] for each in (low, high))
        return mean(stack, valid & (stack >= first) & (stack <= last))

    return reduce


def percentile(percent: float) -> Callable[[Stack, Valid], Reduced]:
    """Return the reduction to a percentile, interpolated linearly between two values."""

    def reduce(stack: Stack, valid: Valid) -> Reduced:
        found = _in_order(stack, valid)
        number = valid.sum(axis=0)
        place = percent / 100 * np.maximum(number - 1, 0)
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(number - 1, 0))
        low = np.take_along_axis(found, below[np.newaxis], axis=0)[0]
        high = np.take_along_axis(found, above[np.newaxis], axis=0)[0]
        return low + (high - low) * (place - below), number > 0

    return reduce


def mode(stack: Stack, valid: Valid) -> Reduced:
    """Return the most frequent value; the smallest of several."""
    if stack.ndim == 1:
        # Of the pixels of a region there may be millions.
        values, counts = np.unique(stack[valid & (stack == stack)], return_counts=True)
        best = values[counts.argmax()] if len(values) else np.nan
        return np.asarray(best, np.float64), np.asarray(valid.any())
    found = _in_order(stack, valid)
    best, best_run = found[0], np.ones(found.shape[1:], np.intp)
    run = best_run
    for before, value in pairwise(found):
        run = np.where(value == before, run + 1, 1)
        is_longer = (run > best_run) & (value == value)
        best, best_run = np.where(is_longer, value, best), np.where(is_longer, run, best_run)
    return best, _any(valid)


def distinct(stack: Stack, valid: Valid) -> Reduced:
    """Return the number of distinct valid values."""
    found = _in_order(stack, valid)
    changes = (found[1:] != found[:-1]) & ~np.isnan(found[1:])
    return changes.sum(axis=0) + _any(valid), _any(valid)


def _in_order(stack: Stack, valid: Valid) -> Stack:
    """Return the values in ascending order, then NaN for the masked ones."""
    found = np.where(valid, stack, np.nan)
    found.sort(axis=0)
    return found
