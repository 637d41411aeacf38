"""Reducers of pairs: correlations and slopes.

Pearson's p-value is that of Student's t, Kendall's of the normal approximation with ties, as in
SciPy; Earth Engine names Apache Commons Math for the correlations, which has the same. None takes
weights. Where a column has one value only, the results are null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tileserver.compute.context import check_length
from tileserver.compute.reductions import ranks
from tileserver.compute.reductions.comoments import Comoments
from tileserver.compute.registry import algorithm
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.compute.values.reducer import (
    Column,
    Named,
    Output,
    Reduced,
    Reducer,
    Stack,
    Valid,
    accumulated,
    number_rows,
)
from tileserver.errors import InvalidRequest

_MOST_ROWS = 500_000
_MOST_LAGS = 2000
Work = Callable[[Any, Any, Any], tuple[Any, ...]]


def _of_pairs(
    name: str, work: Work, place: int, inputs: int = 2, by_square: bool = False
) -> Output:
    """Return an output that is one result of a function of x and y.

    Args:
        name: of the output.
        work: one of `ranks`.
        place: of the result.
        inputs: 1 takes the sequence numbers as x.
        by_square: whether the function holds all pairs.
    """

    def reduce_columns(columns: Sequence[Column]) -> float | None:
        values, _ = number_rows(columns, name)
        check_length(len(values[0]), _MOST_ROWS, "rows")
        x, y = (np.arange(len(values[0]), dtype=float), values[0]) if inputs == 1 else values
        keep = np.isfinite(x) & np.isfinite(y)
        x, y = x[keep], y[keep]
        if len(x) < 2:
            return None
        if work is ranks.kendall and len(x) > _MOST_LAGS:
            return ranks.kendall_sorted(x, y)[place]
        found = float(
            work(x[:, np.newaxis], y[:, np.newaxis], np.ones((len(x), 1), bool))[place][0]
        )
        return found if math.isfinite(found) else None

    def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        count, shape = len(valid), valid.shape[1:]
        flat = [each.reshape(count, -1).astype(np.float64) for each in stacks]
        if inputs == 1:
            numbers = np.arange(count, dtype=np.float64)[:, np.newaxis]
            flat = [np.broadcast_to(numbers, flat[0].shape), flat[0]]
        known = valid.reshape(count, -1) & np.isfinite(flat[0]) & np.isfinite(flat[1])
        cost = count if by_square else 4
        found = ranks.by_pixels(work, flat[0], flat[1], known, cost)[place].reshape(shape)
        return np.nan_to_num(found), np.isfinite(found)

    takes = tuple(range(inputs))
    return Output(name, takes, reduce_columns, reduce_stacks, lambda t: DOUBLE)


def _correlation(state: Comoments) -> float | None:
    product = float(state.products[0, 0] * state.products[1, 1]) if state.weight else 0.0
    if not product > 0:
        return None
    return min(max(float(state.products[0, 1]) / math.sqrt(product), -1.0), 1.0)


def _p_value(state: Comoments) -> float | None:
    found = _correlation(state)
    if found is None:
        return None
    p_value = float(ranks.p_of_correlation(np.asarray(found), state.weight))
    return p_value if math.isfinite(p_value) else None


@algorithm("Reducer.pearsonsCorrelation() -> Reducer")
def pearsons_correlation() -> Reducer:
    """Return the reducer of x and y that gives their correlation and its two-sided p-value."""
    outputs = []
    for place, (name, finish) in enumerate((("correlation", _correlation), ("p-value", _p_value))):
        start = Named(Comoments, "pearsonsCorrelation")
        stacks = _of_pairs(name, ranks.pearson, place).reduce_stacks
        outputs.append(
            accumulated(name, start, finish, (0, 1), reduce_stacks=stacks, type_of=lambda t: DOUBLE)
        )
    return Reducer("pearsonsCorrelation", tuple(outputs), 2)


@algorithm("Reducer.spearmansCorrelation() -> Reducer")
def spearmans_correlation() -> Reducer:
    """Return the reducer of x and y that gives the correlation of their ranks."""
    return Reducer("spearmansCorrelation", (_of_pairs("correlation", ranks.spearman, 0),), 2)


@algorithm("Reducer.kendallsCorrelation(numInputs: Integer = 1.0) -> Reducer")
def kendalls_correlation(inputs: int) -> Reducer:
    """Return the reducer that gives Kendall's tau-b and its p-value, of x and y or of a sequence.

    With one input x is the number of each value, 0 and up.
    """
    if inputs not in (1, 2):
        raise InvalidRequest(f"numInputs must be 1 or 2, got {inputs}.")
    outputs = tuple(
        _of_pairs(name, ranks.kendall, place, inputs)
        for place, name in enumerate(("tau", "p-value"))
    )
    return Reducer("kendallsCorrelation", outputs, inputs)


@algorithm("Reducer.sensSlope() -> Reducer")
def sens_slope() -> Reducer:
    """Return the reducer of x and y that gives Sen's slope and the offset of its line.

    The slope is the median of those of all pairs; the offset puts the line through the medians.
    """
    outputs = tuple(
        _of_pairs(name, ranks.sens_slope, place, by_square=True)
        for place, name in enumerate(("slope", "offset"))
    )
    return Reducer("sensSlope", outputs, 2)
