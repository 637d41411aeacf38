"""Reducers of numbers: mean, median, percentiles and their like, one input each.

None of them is weighted: a partly masked pixel counts like any other. Percentiles are interpolated
linearly, as in NumPy; the median of an even count is the mean of two; of several modes the result
is the smallest. Bucket limits are accepted and ignored, as all results are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tileserver.compute.context import check_length
from tileserver.compute.pixels import reductions
from tileserver.compute.registry import algorithm
from tileserver.compute.values.equality import Keys
from tileserver.compute.values.pixel_type import BOOLEAN, DOUBLE, PixelType
from tileserver.compute.values.reducer import (
    Column,
    Output,
    Reduced,
    Reducer,
    Stack,
    Valid,
    valid_rows,
)
from tileserver.errors import InvalidRequest, shown

COUNT = PixelType("int", 0, 2**32 - 1)
"""The type of a count of images."""
Reduction = Callable[[Stack, Valid], Reduced]
TypeRule = Callable[[PixelType], PixelType]
_MOST_PERCENTILES = 100


def as_is(type_: PixelType) -> PixelType:
    """Return the type itself, for a result that is one of the values."""
    return type_


def in_range(type_: PixelType) -> PixelType:
    """Return double with the same range."""
    return type_.with_precision("double")


def number(
    name: str, reduction: Reduction, type_of: TypeRule, of_none: float | None = None
) -> Output:
    """Return an output that reduces numbers to one; `of_none` is the result for no numbers."""

    def reduce_columns(columns: Sequence[Column]) -> Any:
        (values,) = valid_rows(columns)
        if not len(values):
            return of_none
        if values.dtype == object:
            raise InvalidRequest(f"Expected numbers for {name}, got {shown(values[0])}.")
        found, valid = reduction(values, np.ones(len(values), bool))
        return found.item() if valid else None

    return Output(name, (0,), reduce_columns, lambda s, valid: reduction(s[0], valid), type_of)


def _picked(name: str, reduction: Reduction, place: int) -> Output:
    """Return an output that is one of any values: the first or the last."""

    def reduce_columns(columns: Sequence[Column]) -> Any:
        (values,) = valid_rows(columns)
        return _plain(values[place]) if len(values) else None

    return replace(number(name, reduction, as_is), reduce_columns=reduce_columns)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _counted(columns: Sequence[Column]) -> int:
    return int(columns[0].valid.sum())


def _count_distinct(columns: Sequence[Column]) -> int:
    (values,) = valid_rows(columns)
    return len(np.unique(values)) if values.dtype != object else _different(values)


def _different(values: Iterable[Any]) -> int:
    keys = Keys()
    return len({keys.of(value) for value in values})


_COUNT = replace(number("count", reductions.count, lambda t: COUNT), reduce_columns=_counted)
_DISTINCT = replace(
    number("count", reductions.distinct, lambda t: COUNT), reduce_columns=_count_distinct
)
_MIN = number("min", reductions.least, as_is)
_MAX = number("max", reductions.greatest, as_is)


def _spread_of(name: str, is_sample: bool, is_root: bool) -> Output:
    return number(name, reductions.variance(is_sample, is_root), lambda t: DOUBLE)


SIMPLE: dict[str, tuple[tuple[Output, ...], str]] = {
    "count": ((_COUNT,), "how many there are"),
    "countDistinct": ((_DISTINCT,), "how many different ones there are"),
    "countDistinctNonNull": ((_DISTINCT,), "how many different ones there are, null left out"),
    "sum": ((number("sum", reductions.total, lambda t: DOUBLE, 0.0),), "the sum"),
    "product": ((number("product", reductions.product, lambda t: DOUBLE),), "the product"),
    "mean": ((number("mean", reductions.mean, in_range),), "the mean"),
    "minMax": ((_MIN, _MAX), "the smallest and the greatest"),
    "first": ((_picked("first", reductions.first, 0),), "the first"),
    "firstNonNull": ((_picked("first", reductions.first, 0),), "the first that is not null"),
    "last": ((_picked("last", reductions.last, -1),), "the last"),
    "lastNonNull": ((_picked("last", reductions.last, -1),), "the last that is not null"),
    "allNonZero": ((number("all", reductions.every, lambda t: BOOLEAN),), "1 if none is zero"),
    "anyNonZero": ((number("any", reductions.some, lambda t: BOOLEAN),), "1 if one is not zero"),
    "stdDev": ((_spread_of("stdDev", False, True),), "the standard deviation"),
    "sampleStdDev": ((_spread_of("sampleStdDev", True, True),), "that of a sample"),
    "variance": ((_spread_of("variance", False, False),), "the variance"),
    "sampleVariance": ((_spread_of("sampleVariance", True, False),), "the variance of a sample"),
}
"""Reducers without arguments by Earth Engine's name: outputs and meaning."""


for _name, (_outputs, _result) in SIMPLE.items():
    algorithm(f"Reducer.{_name}() -> Reducer", f"Return the reducer that gives {_result}.")(
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

    def reduce_columns(columns: Sequence[Column]) -> Any:
        leading, other = valid_rows(columns)
        if not len(leading):
            return None
        return _plain(other[leading.argmin() if name == "min" else leading.argmax()])

    return Output(f"{name}{place}", (0, place), reduce_columns, reduce_stacks, as_is)


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
    return Reducer("median", (number("median", reductions.percentile(50), in_range),))


@algorithm(f"Reducer.mode({_BUCKETS}) -> Reducer")
def mode(buckets: int | None, width: float | None, raw: int | None) -> Reducer:
    """Return the reducer that gives the most frequent."""
    return Reducer("mode", (number("mode", reductions.mode, as_is),))


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
    chosen = names or [f"p{each:g}" for each in percentiles]
    check_names(chosen, len(percentiles))
    return Reducer(
        "percentile",
        tuple(
            number(name, reductions.percentile(each), in_range)
            for name, each in zip(chosen, percentiles, strict=True)
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
