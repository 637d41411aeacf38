"""Reducers of numbers: mean, median, percentiles and their like, one input each.

Percentiles are interpolated linearly, as in NumPy; the median of an even count is the mean of two;
of several modes the result is the smallest. The moments of `skew` and `kurtosis` are those of the
population, as in the report whose formulas Earth Engine names for `covariance` (SAND2008-6212).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tileserver.compute.context import check_length
from tileserver.compute.pixels import reductions
from tileserver.compute.reductions import ends, histograms, moments
from tileserver.compute.registry import algorithm
from tileserver.compute.values.pixel_type import BOOLEAN, DOUBLE, PixelType
from tileserver.compute.values.reducer import (
    Accumulator,
    Column,
    Named,
    Output,
    Reduced,
    Reducer,
    Stack,
    Valid,
    Weights,
    accumulated,
    number_rows,
)
from tileserver.errors import InvalidRequest, shown

COUNT = PixelType("int", 0, 2**32 - 1)
"""The type of a count of images."""
Reduction = Callable[[Stack, Valid], Reduced]
TypeRule = Callable[[PixelType], PixelType]
Start = Callable[[], Accumulator]
Finish = Callable[[Any], Any]
_MOST_PERCENTILES = 100


def as_is(type_: PixelType) -> PixelType:
    """Return the type itself, for a result that is one of the values."""
    return type_


def in_range(type_: PixelType) -> PixelType:
    """Return double with the same range."""
    return type_.with_precision("double")


def to_double(type_: PixelType) -> PixelType:
    """Return double."""
    return DOUBLE


def number(
    name: str,
    start: Start,
    finish: Finish,
    reduction: Reduction,
    type_of: TypeRule = to_double,
    **members: Any,
) -> Output:
    """Return an output of one input that is a number.

    Args:
        name: of the output.
        start: makes the state of a reduction of columns.
        finish: returns the result from that state.
        reduction: reduces a stack of images, pixel by pixel.
        type_of: pixel type of the result, from that of the input.
        members: others of the output.
    """

    def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        return reduction(stacks[0], valid)

    return accumulated(
        name, Named(start, name), finish, reduce_stacks=reduce_stacks, type_of=type_of, **members
    )


def of_stacks(name: str, reduction: Reduction, type_of: TypeRule) -> Output:
    """Return an output of one input that is a number, for which all rows are held."""

    def reduce_columns(columns: Sequence[Column]) -> float | None:
        (values,), _ = number_rows(columns, name)
        if not len(values):
            return None
        found, valid = reduction(values, np.ones(len(values), bool))
        return float(found) if valid else None

    def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        return reduction(stacks[0], valid)

    return Output(name, (0,), reduce_columns, reduce_stacks, type_of)


def weighted(
    name: str,
    start: Start,
    finish: Finish,
    reduction: Callable[[Stack, Any], Reduced],
    type_of: TypeRule = to_double,
) -> Output:
    """Return an output of one weighted input; `reduction` takes weights or validity."""

    def reduce_weighted(stacks: Sequence[Stack], weights: Weights) -> Reduced:
        return reduction(stacks[0], weights)

    return number(
        name,
        start,
        finish,
        reduction,
        type_of,
        weighting="weighted",
        reduce_weighted=reduce_weighted,
    )


def by_histogram(
    name: str, start: Start, finish: Finish, reduction: Reduction, type_of: TypeRule = in_range
) -> Output:
    """Return a weighted output that a histogram yields."""
    return number(name, start, finish, reduction, type_of, weighting="weighted")


def _value(state: Any) -> Any:
    return state.value


def _every(values: Any) -> int:
    return int(np.all(values))


def _some(values: Any) -> int:
    return int(np.any(values))


def _product(values: Any) -> float:
    return float(np.prod(values, dtype=np.float64))


def _and(values: Any) -> int:
    return int(np.bitwise_and.reduce(np.asarray(values).astype(np.int64)))


def _or(values: Any) -> int:
    return int(np.bitwise_or.reduce(np.asarray(values).astype(np.int64)))


def _folded(name: str, fold: Finish, reduction: Reduction, type_of: TypeRule) -> Output:
    return number(name, ends.FoldOf(name, fold), _value, reduction, type_of)


def _count(reduction: Reduction, start: Start, finish: Finish, **members: Any) -> Output:
    return number("count", start, finish, reduction, lambda t: COUNT, **members)


def _spread_of(name: str, is_sample: bool, is_root: bool) -> Output:
    finish = partial(moments.variance, is_sample=is_sample, is_root=is_root)
    return number(name, moments.Squares, finish, reductions.variance(is_sample, is_root))


_COUNT = _count(reductions.count, ends.Count, lambda state: state.valid)
_EVERY = _count(reductions.rows, ends.Count, lambda state: state.rows, takes_masked=True)
_DISTINCT = _count(reductions.distinct, ends.Distinct, lambda state: state.count)
_RUNS = _count(reductions.runs, ends.Runs, lambda state: state.count)
_MIN = _folded("min", np.min, reductions.least, as_is)
_MAX = _folded("max", np.max, reductions.greatest, as_is)
_ALL = _folded("all", _every, reductions.every, lambda t: BOOLEAN)
_ANY = _folded("any", _some, reductions.some, lambda t: BOOLEAN)
_FIRST = number("first", ends.First, _value, reductions.first, as_is)
_LAST = number("last", ends.Last, _value, reductions.last, as_is)
_MEAN = weighted("mean", moments.Moments, moments.mean, reductions.mean, in_range)
_SUM = weighted("sum", moments.Moments, lambda state: state.sum, reductions.total)


def _circular(name: str, finish: Finish) -> Output:
    return weighted(name, moments.Angles, finish, reductions.circular(name))


SIMPLE: dict[str, tuple[tuple[Output, ...], str]] = {
    "count": ((_COUNT,), "how many there are"),
    "countEvery": ((_EVERY,), "how many there are, null and masked ones too"),
    "countDistinct": ((_DISTINCT,), "how many different ones there are"),
    "countDistinctNonNull": ((_DISTINCT,), "how many different ones there are, null left out"),
    "countRuns": ((_RUNS,), "how many runs of equal values there are, null left out"),
    "sum": ((_SUM,), "the weighted sum"),
    "product": ((_folded("product", _product, reductions.product, to_double),), "the product"),
    "mean": ((_MEAN,), "the weighted mean"),
    "minMax": ((_MIN, _MAX), "the smallest and the greatest"),
    "first": ((_FIRST,), "the first"),
    "firstNonNull": ((_FIRST,), "the first that is not null"),
    "last": ((_LAST,), "the last"),
    "lastNonNull": ((_LAST,), "the last that is not null"),
    "allNonZero": ((_ALL,), "1 if none is zero"),
    "and": ((_ALL,), "1 if none is zero"),
    "anyNonZero": ((_ANY,), "1 if one is not zero"),
    "or": ((_ANY,), "1 if one is not zero"),
    "bitwiseAnd": ((_folded("bitwiseAnd", _and, reductions.bits_and, as_is),), "the bits of all"),
    "bitwiseOr": ((_folded("bitwiseOr", _or, reductions.bits_or, as_is),), "the bits of any"),
    "stdDev": ((_spread_of("stdDev", False, True),), "the standard deviation"),
    "sampleStdDev": ((_spread_of("sampleStdDev", True, True),), "that of a sample"),
    "variance": ((_spread_of("variance", False, False),), "the variance"),
    "sampleVariance": ((_spread_of("sampleVariance", True, False),), "the variance of a sample"),
    "skew": ((number("skew", moments.Fourths, moments.skew, reductions.skew),), "the skewness"),
    "kurtosis": (
        (number("kurtosis", moments.Fourths, moments.kurtosis, reductions.kurtosis),),
        "the kurtosis, that of a normal distribution being 0",
    ),
    "circularMean": (
        (_circular("circularMean", moments.circular_mean),),
        "the weighted mean direction of angles in radians, -π to π",
    ),
    "circularVariance": (
        (_circular("circularVariance", moments.circular_variance),),
        "the weighted circular variance of angles in radians, 0 to 1",
    ),
    "circularStddev": (
        (_circular("circularStdDev", moments.circular_deviation),),
        "the weighted circular standard deviation of angles in radians",
    ),
}
"""Reducers without arguments by Earth Engine's name: outputs and meaning."""


_DEPRECATED = ("and", "or")

for _name, (_outputs, _result) in SIMPLE.items():
    _flag = "deprecated " if _name in _DEPRECATED else ""
    algorithm(f"{_flag}Reducer.{_name}() -> Reducer", f"Return the reducer that gives {_result}.")(
        partial(Reducer, _name, _outputs)
    )


def _extreme(name: str, output: Output, inputs: int) -> Reducer:
    check_length(inputs, 100, "inputs")
    if inputs < 1:
        raise InvalidRequest(f"numInputs must be 1 or more, got {inputs}.")
    return Reducer(name, (output, *(_beside(name, i) for i in range(1, inputs))), inputs)


def _beside(name: str, place: int) -> Output:
    """Return the output of another input's value where the first one is least or greatest."""

    def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        end = np.inf if name == "min" else -np.inf
        leading = np.where(valid, stacks[0], end)
        at = leading.argmin(axis=0) if name == "min" else leading.argmax(axis=0)
        found = np.take_along_axis(stacks[1], at[np.newaxis], axis=0)[0]
        return found, np.asarray(valid.any(axis=0))

    return accumulated(
        f"{name}{place}",
        ends.BesideOf(name == "min"),
        _value,
        (0, place),
        reduce_stacks=reduce_stacks,
        type_of=as_is,
    )


@algorithm("Reducer.min(numInputs: Integer = 1.0) -> Reducer")
def smallest(inputs: int) -> Reducer:
    """Return the reducer that gives the smallest value, and the other inputs' values there."""
    return _extreme("min", _MIN, inputs)


@algorithm("Reducer.max(numInputs: Integer = 1.0) -> Reducer")
def greatest(inputs: int) -> Reducer:
    """Return the reducer that gives the greatest value, and the other inputs' values there."""
    return _extreme("max", _MAX, inputs)


_BUCKETS = "maxBuckets: Integer = null, minBucketWidth: Float = null, maxRaw: Integer = null"


@algorithm(f"Reducer.median({_BUCKETS}) -> Reducer")
def median(buckets: int | None, width: float | None, raw: int | None) -> Reducer:
    """Return the reducer that gives the median."""
    start = histograms.histogram_of("median", buckets, width, raw)
    return Reducer("median", (_percentile("median", 50, start),))


def _percentile(name: str, percent: float, start: Start) -> Output:
    finish = partial(histograms.percentile, percent=percent)
    return by_histogram(name, start, finish, reductions.percentile(percent))


@algorithm(f"Reducer.mode({_BUCKETS}) -> Reducer")
def mode(buckets: int | None, width: float | None, raw: int | None) -> Reducer:
    """Return the reducer that gives the most frequent."""
    start = histograms.histogram_of("mode", buckets, width, raw)
    output = by_histogram("mode", start, histograms.mode, reductions.mode, as_is)
    return Reducer("mode", (output,))


@algorithm(
    f"Reducer.intervalMean(minPercentile: Float, maxPercentile: Float, {_BUCKETS}) -> Reducer"
)
def interval_mean(
    low: float, high: float, buckets: int | None, width: float | None, raw: int | None
) -> Reducer:
    """Return the reducer that gives the mean of the values between two percentiles."""
    if not 0 <= low <= high <= 100:
        raise InvalidRequest(
            f"Expected 0 <= minPercentile <= maxPercentile <= 100, got {low:g} and {high:g}."
        )
    start = histograms.histogram_of("intervalMean", buckets, width, raw)
    finish = partial(histograms.interval_mean, low=low, high=high)
    output = by_histogram("mean", start, finish, reductions.interval_mean(low, high))
    return Reducer("intervalMean", (output,))


@algorithm(
    f"Reducer.percentile(percentiles: List, outputNames: List = null, {_BUCKETS}) -> Reducer"
)
def percentile(
    percentiles: list[Any],
    names: list[Any] | None,
    buckets: int | None,
    width: float | None,
    raw: int | None,
) -> Reducer:
    """Return the reducer that gives percentiles, by the names p5, p50 or those given."""
    check_length(len(percentiles), _MOST_PERCENTILES, "percentiles")
    for each in percentiles:
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 <= each <= 100:
            raise InvalidRequest(f"Percentiles must be numbers from 0 to 100, got {shown(each)}.")
    if not percentiles:
        raise InvalidRequest("Expected one percentile or more.")
    start = histograms.histogram_of("percentile", buckets, width, raw)
    chosen = names or [f"p{each:g}" for each in percentiles]
    check_names(chosen, len(percentiles))
    return Reducer(
        "percentile",
        tuple(
            _percentile(name, each, start) for name, each in zip(chosen, percentiles, strict=True)
        ),
    )


def check_names(names: Sequence[Any], count: int) -> None:
    """Raise InvalidRequest unless these are names for as many outputs, no two the same."""
    if len(names) != count:
        raise InvalidRequest(f"Expected {count} names of outputs, got {len(names)}.")
    if wrong := [name for name in names if not isinstance(name, str) or not name]:
        raise InvalidRequest(f"Expected names of outputs, got {shown(wrong[0])}.")
    if len(set(names)) < len(names):
        raise InvalidRequest("The names of outputs must not repeat.")
