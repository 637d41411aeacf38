"""Reductions with NumPy of stacks of numbers, some of them masked, along the first axis.

Each takes values and validity of shape (count, ...) and returns both without the first axis.
Sums, means and variances are float64, as in Earth Engine.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.reducer import Reduced, Stack, Valid


def _any(valid: Valid) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.asarray(valid.any(axis=0))
    return found


def count(stack: Stack, valid: Valid) -> Reduced:
    """Return the number of valid values, masked where it is zero."""
    found = valid.sum(axis=0, dtype=np.int64)
    return found, found > 0


def total(stack: Stack, valid: Valid) -> Reduced:
    """Return the sum."""
    return np.where(valid, stack, 0).sum(axis=0, dtype=np.float64), _any(valid)


def product(stack: Stack, valid: Valid) -> Reduced:
    """Return the product."""
    return np.where(valid, stack, 1).prod(axis=0, dtype=np.float64), _any(valid)


def mean(stack: Stack, valid: Valid) -> Reduced:
    """Return the mean."""
    number = valid.sum(axis=0)
    return total(stack, valid)[0] / np.maximum(number, 1), number > 0


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
