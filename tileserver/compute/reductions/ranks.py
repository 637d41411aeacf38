"""Correlations and slopes from pairs and ranks, along the first axis of stacks.

All take x and y of shape (count, pixels) and which pairs there are, and work on a few pixels at a
time, so that the memory does not grow with the square of the count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
Valid = NDArray[np.bool_]
_MOST_PAIRS = 8_400_000
"""Slopes that are held at once: those of 4,100 points."""
_CHUNK = 2_000_000
"""Numbers of a stack that are worked on at once."""


def by_pixels(
    work: Callable[[Numbers, Numbers, Valid], tuple[Numbers, ...]],
    x: Numbers,
    y: Numbers,
    valid: Valid,
    cost: int = 1,
) -> tuple[Numbers, ...]:
    """Return a function's results, each of shape (pixels,), called with some pixels at a time."""
    found = [
        work(x[:, part], y[:, part], valid[:, part]) for part in _parts(len(x) * cost, x.shape[1])
    ]
    return tuple(np.concatenate(each) for each in zip(*found, strict=True))


def _parts(size: int, pixels: int) -> Iterator[slice]:
    step = max(1, _CHUNK // max(size, 1))
    for begin in range(0, max(pixels, 1), step):
        check_time()
        yield slice(begin, begin + step)


def kendall(x: Numbers, y: Numbers, valid: Valid) -> tuple[Numbers, Numbers]:
    """Return Kendall's tau-b and its two-sided p-value by the normal approximation."""
    score, across, down = (np.zeros(x.shape[1]) for _ in range(3))
    ties = [np.zeros(x.shape), np.zeros(x.shape)]
    for lag in range(1, len(x)):
        check_time()
        pairs = valid[lag:] & valid[:-lag]
        signs = [np.sign(each[lag:] - each[:-lag]) * pairs for each in (x, y)]
        score += (signs[0] * signs[1]).sum(axis=0)
        across += (signs[0] != 0).sum(axis=0)
        down += (signs[1] != 0).sum(axis=0)
        for count, sign in zip(ties, signs, strict=True):
            is_tie = pairs & (sign == 0)
            count[lag:] += is_tie
            count[:-lag] += is_tie
    product = across * down
    tau = score / np.sqrt(np.where(product > 0, product, 1))
    return np.where(product > 0, tau, np.nan), _p_of(score, valid, *ties)


def kendall_sorted(x: Numbers, y: Numbers) -> tuple[float | None, float | None]:
    """Return the same for one long column each, by SciPy, which sorts; None is undefined."""
    from scipy.stats import kendalltau

    found = kendalltau(x, y, method="asymptotic")
    both = float(found.statistic), float(found.pvalue)
    return both[0] if both[0] == both[0] else None, both[1] if both[1] == both[1] else None


def _p_of(score: Numbers, valid: Valid, x_ties: Numbers, y_ties: Numbers) -> Numbers:
    """Return the p-value of a score; ties count the others equal to each value."""
    from scipy.special import erfc

    n = valid.sum(axis=0).astype(np.float64)
    pairs = n * (n - 1)
    twos = [(t * valid).sum(axis=0) / 2 for t in (x_ties, y_ties)]
    threes = [(t * (t - 1) * valid).sum(axis=0) for t in (x_ties, y_ties)]
    fives = [(t * (2 * t + 7) * valid).sum(axis=0) for t in (x_ties, y_ties)]
    with np.errstate(all="ignore"):
        variance = (pairs * (2 * n + 5) - fives[0] - fives[1]) / 18
        variance += 2 * twos[0] * twos[1] / pairs
        variance += np.where(n > 2, threes[0] * threes[1] / (9 * pairs * (n - 2)), 0)
        found: Numbers = erfc(np.abs(score) / np.sqrt(2 * variance))
    return found


def spearman(x: Numbers, y: Numbers, valid: Valid) -> tuple[Numbers]:
    """Return the correlation of ranks, of ties the mean rank."""
    return (pearson(ranks(x, valid), ranks(y, valid), valid)[0],)


def ranks(values: Numbers, valid: Valid) -> Numbers:
    """Return the rank of each value along the first axis, from 1; of ties the mean."""
    from scipy.stats import rankdata

    found: Numbers = rankdata(np.where(valid, values, np.inf), axis=0)
    return np.where(valid, found, 0)


def pearson(x: Numbers, y: Numbers, valid: Valid) -> tuple[Numbers, Numbers]:
    """Return the correlation and its two-sided p-value."""
    n = valid.sum(axis=0)
    x, y = (_centred(each, valid, n) for each in (x, y))
    product = (x**2).sum(axis=0) * (y**2).sum(axis=0)
    found = (x * y).sum(axis=0) / np.sqrt(np.where(product > 0, product, 1))
    found = np.where(product > 0, np.clip(found, -1, 1), np.nan)
    return found, p_of_correlation(found, n)


def _centred(values: Numbers, valid: Valid, count: NDArray[np.int64]) -> Numbers:
    known = np.where(valid, values, 0.0)
    return np.where(valid, known - known.sum(axis=0) / np.maximum(count, 1), 0.0)


def p_of_correlation(correlation: Numbers, count: NDArray[np.int64] | float) -> Numbers:
    """Return the two-sided p-value of correlations of so many pairs."""
    from scipy.special import betainc

    freedom = np.maximum(np.asarray(count, np.float64) - 2, 0)
    half = np.where(freedom > 0, freedom / 2, 1)
    found = betainc(half, 0.5, np.clip(1 - np.nan_to_num(correlation) ** 2, 0, 1))
    is_known = (freedom > 0) & ~np.isnan(correlation)
    return np.asarray(np.where(is_known, found, np.nan), np.float64)


def sens_slope(x: Numbers, y: Numbers, valid: Valid) -> tuple[Numbers, Numbers]:
    """Return the median slope of all pairs, and the median y less the slope times the median x.

    Raises:
        InvalidRequest: there are too many pairs.
    """
    count = len(x)
    if count * (count - 1) // 2 > _MOST_PAIRS:
        raise out_of_memory()
    first, second = np.triu_indices(count, 1)
    run = x[second] - x[first]
    is_pair = valid[second] & valid[first] & (run != 0)
    slopes = np.where(is_pair, (y[second] - y[first]) / np.where(run == 0, 1, run), np.nan)
    slope = _median(slopes)
    middles = [_median(np.where(valid, each, np.nan)) for each in (y, x)]
    return slope, middles[0] - slope * middles[1]


def _median(values: Numbers) -> Numbers:
    """Return the median along the first axis, NaN left out."""
    values = np.sort(values, axis=0)
    n = (~np.isnan(values)).sum(axis=0)
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    below, above = np.maximum((n - 1) // 2, 0), np.minimum(n // 2, len(values) - 1)
    pick = [np.take_along_axis(values, at[np.newaxis], axis=0)[0] for at in (below, above)]
    return np.asarray(np.where(n > 0, (pick[0] + pick[1]) / 2, np.nan), np.float64)
