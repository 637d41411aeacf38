"""Histograms that grow with their values, as Earth Engine's reducers build them.

Values are kept as they are up to `maxRaw`; then they are counted in at most `maxBuckets` buckets,
rounded up to a power of two, each a power of two wide, at least `minBucketWidth`. Buckets become
wider when values lie outside. Medians, modes and percentiles are exact for kept values, and the
mean of a bucket's values otherwise. Earth Engine does not say its defaults; here they are 262,144
values and 65,536 buckets, and 256 buckets for a histogram.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.reducer import Accumulator, Column, number_rows
from tileserver.errors import InvalidRequest

MOST_BUCKETS = 65536
MOST_RAW = 2**18
_LEAST_WIDTH = 2.0**-1000
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class HistogramOf:
    """Starts a histogram; its members are the arguments of Earth Engine's reducers."""

    name: str
    most_buckets: int = MOST_BUCKETS
    least_width: float = 0.0
    most_raw: int = MOST_RAW

    def __call__(self) -> Histogram:
        """Return a new state."""
        return Histogram(self)


def histogram_of(
    name: str, most: int | None, least: float | None, raw: int | None, default: int = MOST_BUCKETS
) -> HistogramOf:
    """Return the start of a histogram for a reducer's arguments; None is the default.

    Raises:
        InvalidRequest: a number is out of range.
    """
    most = default if most is None else most
    raw = MOST_RAW if raw is None else raw
    if not 1 <= most <= MOST_BUCKETS:
        raise InvalidRequest(f"maxBuckets must be 1 to {MOST_BUCKETS}, got {most}.")
    if least is not None and not 0 <= least < math.inf:
        raise InvalidRequest(f"minBucketWidth must be 0 or more, got {least:g}.")
    return HistogramOf(name, 2 ** math.ceil(math.log2(most)), least or 0.0, min(raw, MOST_RAW))


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts of values, each bucket from its lower edge to the next one."""

    start: int
    """The first bucket's lower edge, in widths."""
    width: float
    counts: Numbers
    sums: Numbers
    """Of the values times their weights."""

    @property
    def low(self) -> float:
        """The lower edge of the first bucket."""
        return self.start * self.width

    @property
    def edges(self) -> Numbers:
        """The lower edge of each bucket."""
        return np.arange(self.start, self.start + len(self.counts)).astype(np.float64) * self.width

    @property
    def means(self) -> Numbers:
        """The mean of each bucket's values; of an empty one its middle."""
        has_any = self.counts > 0
        middles = self.edges + self.width / 2
        return np.where(has_any, self.sums / np.where(has_any, self.counts, 1), middles)

    def widened(self, low: float, high: float, most: int) -> Buckets:
        """Return the same counts in buckets that hold a range too, at most so many."""
        width = self.width
        low, high = min(low, self.low), max(high, self.edges[-1])
        while math.floor(high / width) - math.floor(low / width) + 1 > most:
            width *= 2
        start = math.floor(low / width)
        size = math.floor(high / width) - start + 1
        old = self.start + np.arange(len(self.counts))
        # A power of two apart, so whole buckets fall into one.
        at = np.floor(old * (self.width / width)).astype(np.int64) - start
        counts = np.bincount(at, self.counts, size)
        sums = np.bincount(at, self.sums, size)
        return Buckets(start, width, np.asarray(counts, np.float64), np.asarray(sums, np.float64))

    def plus(self, values: Numbers, weights: Numbers | None) -> Buckets:
        """Return the counts with those of values that lie within the buckets."""
        size = len(self.counts)
        at = np.clip(np.floor(values / self.width) - self.start, 0, size - 1).astype(np.intp)
        products = values if weights is None else values * weights
        each = np.ones(len(values)) if weights is None else weights
        counts = np.bincount(at, each, size)
        sums = np.bincount(at, products, size)
        return Buckets(self.start, self.width, self.counts + counts, self.sums + sums)


class Histogram(Accumulator):
    """Values as they are, or counted in buckets once there are many."""

    def __init__(self, settings: HistogramOf) -> None:
        self.settings = settings
        self.parts: list[tuple[Numbers, Numbers | None]] = []
        self.count = 0
        self.counted: Buckets | None = None

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more numbers; those that are not finite are left out."""
        (values,), weights = number_rows(columns, self.settings.name)
        is_finite = np.isfinite(values)
        if not is_finite.all():
            values = values[is_finite]
            weights = None if weights is None else weights[is_finite]
        if not len(values):
            return
        self.parts.append((values, weights))
        self.count += len(values)
        if self.counted is not None or self.count > self.settings.most_raw:
            self.counted = self.buckets()
            self.parts = []
        counted = 0 if self.counted is None else 2 * self.counted.counts.nbytes
        values_bytes = 16 * sum(len(v) for v, _ in self.parts)
        self.held_bytes = counted + values_bytes

    def buckets(self) -> Buckets | None:
        """Return all values in buckets; None if there is none."""
        found = self.counted
        for values, weights in self.parts:
            low, high = float(values.min()), float(values.max())
            found = found or _empty(low, high, self.settings)
            found = found.widened(low, high, self.settings.most_buckets).plus(values, weights)
        return found

    def points(self) -> tuple[Numbers, Numbers]:
        """Return values in ascending order and their weights: as they are, or means of buckets."""
        if self.counted is not None:
            has_any = self.counted.counts > 0
            return self.counted.means[has_any], self.counted.counts[has_any]
        if not self.parts:
            return np.zeros(0), np.zeros(0)
        values = np.concatenate([values for values, _ in self.parts])
        weights = np.concatenate([np.ones(len(v)) if w is None else w for v, w in self.parts])
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]


def _empty(low: float, high: float, settings: HistogramOf) -> Buckets:
    """Return empty buckets for a range, as narrow as they may be."""
    least, most = settings.least_width, settings.most_buckets
    if low == high:
        wanted = least if least > 0 else 1.0
    else:
        wanted = max((high - low) / most, least, _LEAST_WIDTH)
    width = 2.0 ** math.ceil(math.log2(wanted))
    # Steps of a bucket must be larger than the rounding of the ends.
    width = max(width, 2.0 ** (math.frexp(max(abs(low), abs(high)))[1] - 52))
    return Buckets(math.floor(low / width), width, np.zeros(1), np.zeros(1))


def percentile(state: Histogram, percent: float) -> float | None:
    """Return a percentile, interpolated linearly between two values.

    Each value stands at the middle of its weight, the 0th percentile is the first, the 100th the
    last. Of equal weights this is NumPy's.
    """
    values, weights = state.points()
    if not len(values):
        return None
    total = np.cumsum(weights)
    if state.counted is not None:
        place = np.searchsorted(total, percent / 100 * total[-1])
        return float(values[min(int(place), len(values) - 1)])
    places = total - weights / 2
    at = places[0] + percent / 100 * (places[-1] - places[0])
    return float(np.interp(at, places, values))


def mode(state: Histogram) -> float | None:
    """Return the most frequent value, the smallest of several; of buckets the mean of one."""
    values, weights = state.points()
    if not len(values):
        return None
    found, at = np.unique(values, return_inverse=True)
    return float(found[np.bincount(at.ravel(), weights).argmax()])


def interval_mean(state: Histogram, low: float, high: float) -> float | None:
    """Return the mean of the values between two percentiles, both ends included."""
    values, weights = state.points()
    first, last = percentile(state, low), percentile(state, high)
    if first is None or last is None:
        return None
    inside = (values >= first) & (values <= last)
    return float(np.average(values[inside], weights=weights[inside])) if inside.any() else None
