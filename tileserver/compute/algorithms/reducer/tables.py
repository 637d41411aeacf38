"""Reducers that give tables: frequencies and histograms.

Buckets of `histogram` and `autoHistogram` are a power of two wide, as Earth Engine's arguments
imply (`maxBuckets` is "rounded up to a power of 2"); by default there are at most 256.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.context import check_length
from tileserver.compute.reductions.ends import MOST_DISTINCT
from tileserver.compute.reductions.histograms import (
    MOST_BUCKETS,
    Histogram,
    histogram_of,
)
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import array
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.compute.values.reducer import (
    Accumulator,
    Column,
    Named,
    Output,
    Reduced,
    Reducer,
    Stack,
    Valid,
    accumulated,
    number_rows,
    weighted_rows,
)
from tileserver.errors import InvalidRequest, shown

_DEFAULT_BUCKETS = 256
_MOST_COUNTS = 2_000_000
"""Counts of all pixels of a piece at once."""


def as_array(values: NDArray[Any]) -> Any:
    """Return numbers as an ee.Array of doubles."""
    return array(values.astype(np.float64))


@algorithm("Reducer.frequencyHistogram() -> Reducer")
def frequency_histogram() -> Reducer:
    """Return the reducer that gives the weight of each value."""
    output = accumulated("histogram", _Frequencies, _counts, weighting="weighted")
    return Reducer("frequencyHistogram", (output,))


class _Frequencies(Accumulator):
    """The weight of each value."""

    def __init__(self) -> None:
        self.of_value: dict[Any, float] = {}

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more values."""
        (values,), weights = weighted_rows(columns)
        if values.dtype == object:
            if wrong := [each for each in values if not isinstance(each, str | int | float)]:
                raise InvalidRequest(f"Expected numbers or strings, got {shown(wrong[0])}.")
            values = np.array([e if isinstance(e, str) else repr(e) for e in values], dtype=str)
        found, at = np.unique(values, return_inverse=True)
        for value, count in zip(
            found.tolist(), np.bincount(at.ravel(), weights, len(found)).tolist(), strict=True
        ):
            self.of_value[value] = self.of_value.get(value, 0) + count
        check_length(len(self.of_value), MOST_DISTINCT, "different values")
        self.held_bytes = 120 * len(self.of_value)


def _counts(state: _Frequencies) -> dict[str, float]:
    return {as_text(value): state.of_value[value] for value in sorted(state.of_value)}


def frequencies(columns: Sequence[Column]) -> dict[str, float]:
    """Return the count of each value of a column, by the value as text."""
    state = _Frequencies()
    state.add(columns)
    return _counts(state)


def as_text(value: Any) -> str:
    """Return a value as a key; a whole number without a point."""
    is_whole = isinstance(value, float) and math.isfinite(value) and value == int(value)
    return str(int(value) if is_whole else value)


@algorithm(
    "Reducer.histogram(maxBuckets: Integer = null, minBucketWidth: Float = null,"
    " maxRaw: Integer = null) -> Reducer"
)
def histogram(most: int | None, least: float | None, raw: int | None) -> Reducer:
    """Return the reducer that gives weights in buckets, a power of two wide."""
    start = histogram_of("histogram", most, least, raw, _DEFAULT_BUCKETS)
    output = accumulated("histogram", start, bucketed, weighting="weighted")
    return Reducer("histogram", (output,))


def bucketed(state: Histogram) -> dict[str, Any] | None:
    """Return a histogram's buckets as a dictionary; None if there is no value."""
    found = state.buckets()
    if found is None:
        return None
    return {
        "bucketMeans": found.means.tolist(),
        "bucketMin": found.low,
        "bucketWidth": found.width,
        "histogram": found.counts.tolist(),
    }


@algorithm(
    "Reducer.autoHistogram(maxBuckets: Integer = null, minBucketWidth: Float = null,"
    " maxRaw: Integer = null, cumulative: Boolean = false) -> Reducer"
)
def auto_histogram(
    most: int | None, least: float | None, raw: int | None, is_cumulative: bool
) -> Reducer:
    """Return the reducer that gives an array of lower edges and weights of buckets."""
    start = histogram_of("autoHistogram", most, least, raw, _DEFAULT_BUCKETS)

    def finish(state: Histogram) -> Any:
        found = state.buckets()
        return (
            None if found is None else _edges_and_counts(found.edges, found.counts, is_cumulative)
        )

    return Reducer(
        "autoHistogram", (accumulated("histogram", start, finish, weighting="weighted"),)
    )


def _edges_and_counts(edges: NDArray[Any], counts: NDArray[Any], is_cumulative: bool) -> Any:
    counts = counts.cumsum() if is_cumulative else counts
    return as_array(np.column_stack([edges, counts]))


@algorithm(
    "Reducer.histogramCombiner(maxBuckets: Integer = null, minBucketWidth: Float = null)"
    " -> Reducer",
    hidden=True,
)
def histogram_combiner(most: int | None, least: float | None) -> Reducer:
    """Return the reducer that joins dictionaries of `histogram` to one."""
    start = histogram_of("histogramCombiner", most, least, None, _DEFAULT_BUCKETS)
    return Reducer("histogramCombiner", (accumulated("histogram", _CombinedOf(start), bucketed),))


@dataclass(frozen=True, slots=True)
class _CombinedOf:
    settings: Any

    def __call__(self) -> _Combined:
        return _Combined(self.settings)


class _Combined(Histogram):
    def add(self, columns: Sequence[Column]) -> None:
        for each in columns[0].values[columns[0].valid]:
            means, counts = _of_dictionary(each)
            super().add([Column(means, counts > 0, counts)])


def _of_dictionary(value: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        means = np.array(value["bucketMeans"], dtype=np.float64)
        counts = np.array(value["histogram"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise InvalidRequest(f"Expected a histogram, got {shown(value)}.") from exc
    if means.shape != counts.shape or means.ndim != 1:
        raise InvalidRequest("Expected as many bucketMeans as counts in the histogram.")
    return means, counts


@dataclass(frozen=True, slots=True)
class _Steps:
    """Equal steps from a lower end to an upper one, which is excluded."""

    low: float
    high: float
    count: int

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf or not 1 <= self.count <= MOST_BUCKETS:
            raise InvalidRequest(f"Expected min < max and 1 to {MOST_BUCKETS} steps.")

    @property
    def edges(self) -> NDArray[np.float64]:
        """The lower edge of each step."""
        step = (self.high - self.low) / self.count
        return self.low + np.arange(self.count, dtype=np.float64) * step

    def places(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the step of each value within the ends."""
        found = np.floor((values - self.low) / (self.high - self.low) * self.count)
        return np.clip(found, 0, self.count - 1).astype(np.intp)

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which values lie within the ends."""
        found: NDArray[np.bool_] = (values >= self.low) & (values < self.high)
        return found


@dataclass(frozen=True, slots=True)
class _FixedOf:
    axes: tuple[_Steps, ...]

    def __call__(self) -> _Fixed:
        return _Fixed(self.axes)


class _Fixed(Accumulator):
    """Weights in equal steps of one column, or of several at once."""

    def __init__(self, axes: Sequence[_Steps]) -> None:
        self.axes = axes
        self.counts = np.zeros([axis.count for axis in axes])

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows; those outside of an axis are left out."""
        values, weights = number_rows(columns, self.name)
        inside = np.logical_and.reduce(
            [axis.holds(each) for axis, each in zip(self.axes, values, strict=True)]
        )
        at = np.zeros(int(inside.sum()), np.intp)
        for axis, each in zip(self.axes, values, strict=True):
            at = at * axis.count + axis.places(each[inside])
        kept = None if weights is None else weights[inside]
        found = np.bincount(at, kept, self.counts.size)
        self.counts += found.reshape(self.counts.shape)
        self.held_bytes = self.counts.nbytes


@algorithm(
    "Reducer.fixedHistogram(min: Float, max: Float, steps: Integer,"
    " cumulative: Boolean = false) -> Reducer"
)
def fixed_histogram(low: float, high: float, steps: int, is_cumulative: bool) -> Reducer:
    """Return the reducer that gives an array of lower edges and weights of equal steps."""
    axis = _Steps(low, high, steps)

    def finish(state: _Fixed) -> Any:
        return _edges_and_counts(axis.edges, state.counts, is_cumulative)

    def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        counts = _counts_of_pixels(axis, stacks[0], valid)
        counts = counts.cumsum(axis=-1) if is_cumulative else counts
        edges = np.broadcast_to(axis.edges, counts.shape)
        return np.stack([edges, counts], axis=-1), np.asarray(valid.any(axis=0))

    start = Named(_FixedOf((axis,)), "fixedHistogram")
    output = accumulated(
        "histogram",
        start,
        finish,
        weighting="weighted",
        reduce_stacks=reduce_stacks,
        type_of=lambda t: DOUBLE.with_dimensions(2),
    )
    return Reducer("fixedHistogram", (output,))


def _counts_of_pixels(axis: _Steps, stack: Stack, valid: Valid) -> NDArray[np.float64]:
    """Return the counts of each pixel of a stack, shape (…, steps)."""
    return _tables_of_pixels([axis], [stack], valid)


def _tables_of_pixels(
    axes: Sequence[_Steps], stacks: Sequence[Stack], valid: Valid
) -> NDArray[np.float64]:
    """Return the counts of each pixel of stacks, a stack for each axis; shape (…, *steps)."""
    pixels, steps = valid[0].size, [axis.count for axis in axes]
    total = math.prod(steps)
    if pixels * total > _MOST_COUNTS:
        raise out_of_memory()
    inside = valid.reshape(len(valid), pixels)
    at = np.broadcast_to(np.arange(pixels), inside.shape)
    for axis, stack in zip(axes, stacks, strict=True):
        flat = stack.reshape(inside.shape).astype(np.float64)
        inside = inside & axis.holds(flat)
        at = at * axis.count + axis.places(flat)
    found = np.bincount(at[inside], minlength=pixels * total).astype(np.float64)
    return found.reshape(*valid.shape[1:], *steps)


def _axis(name: str, start: Any, axis: _Steps) -> Output:
    """Return the output of the lower edges of steps."""

    def edges(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        shape = (*valid.shape[1:], axis.count)
        return np.broadcast_to(axis.edges, shape), np.asarray(valid.any(axis=0))

    return accumulated(
        name,
        start,
        lambda state: as_array(axis.edges),
        (0, 1),
        reduce_stacks=edges,
        type_of=lambda t: DOUBLE.with_dimensions(1),
    )


@algorithm(
    "Reducer.fixed2DHistogram(xMin: Float, xMax: Float, xSteps: Integer, yMin: Float,"
    " yMax: Float, ySteps: Integer) -> Reducer"
)
def fixed_2d_histogram(
    x_low: float, x_high: float, x_steps: int, y_low: float, y_high: float, y_steps: int
) -> Reducer:
    """Return the reducer that gives counts in equal steps of x and y, and the steps' lower edges.

    The array of counts has an entry for each step of x, of an entry for each step of y.
    """
    across, down = _Steps(x_low, x_high, x_steps), _Steps(y_low, y_high, y_steps)
    check_length(x_steps * y_steps, 16 * MOST_BUCKETS, "buckets")
    start = Named(_FixedOf((across, down)), "fixed2DHistogram")

    def counts(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        return _tables_of_pixels((across, down), stacks, valid), np.asarray(valid.any(axis=0))

    outputs = (
        accumulated(
            "histogram",
            start,
            lambda state: as_array(state.counts),
            (0, 1),
            reduce_stacks=counts,
            type_of=lambda t: DOUBLE.with_dimensions(2),
        ),
        _axis("xAxis", start, across),
        _axis("yAxis", start, down),
    )
    return Reducer("fixed2DHistogram", outputs, 2)
