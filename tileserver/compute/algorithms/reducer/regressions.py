"""Reducers that fit several y's to several x's, and covariances.

Outputs are arrays: `coefficients` of shape (numX, numY), `residuals` of shape (numY,), as
guides/reducers_regression has it. Decided where Google is silent: residuals are divided by the
number of rows; of x's that depend on each other the fit is the one with the least coefficients;
ridge regression does not shrink the intercept, and its p-values are those of the F-test of all x's;
`covariance` divides by the number of rows, as `variance` does. None takes weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.reductions import regressions
from tileserver.compute.reductions.comoments import Comoments
from tileserver.compute.reductions.regressions import Factor, Fit
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import Array, array
from tileserver.compute.values.pixel_type import DOUBLE, PixelType
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
    valid_rows,
)
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown

_MOST_COLUMNS = 500
_CHUNK = 2_000_000
_MOST_NUMBERS = 4_000_000
"""Of the arrays of all pixels of a piece, and of the rows of a robust fit."""
Numbers = NDArray[np.float64]
Tables = Callable[[Numbers, NDArray[np.bool_]], tuple[Sequence[Numbers], NDArray[np.bool_]]]
"""Gets tables of shape (pixels, rows, columns) and which rows there are; returns the results, each
with the pixels first, and where there are any."""


def _check_columns(x: int, y: int) -> int:
    if x < 1 or y < 1 or x + y > _MOST_COLUMNS:
        raise InvalidRequest(
            f"Expected numX and numY of 1 or more, together at most {_MOST_COLUMNS}, "
            f"got {x} and {y}."
        )
    return x + y


def _array_type(dimensions: int) -> Callable[[PixelType], PixelType]:
    return lambda type_: DOUBLE.with_dimensions(dimensions)


def _by_pixel(work: Tables, place: int) -> Callable[[Sequence[Stack], Valid], Reduced]:
    """Return the reduction of stacks to one result of a function of tables, pixel by pixel."""

    def reduce_stacks(stacks: Sequence[Stack], valid: Valid) -> Reduced:
        count, shape = len(valid), valid.shape[1:]
        flat = [each.reshape(count, -1) for each in stacks]
        known = valid.reshape(count, -1)
        step = max(1, _CHUNK // max(count * len(stacks), 1))
        found, is_there = [], []
        for begin in range(0, max(known.shape[1], 1), step):
            check_time()
            part = slice(begin, begin + step)
            table = np.stack([each[:, part].T for each in flat], axis=-1).astype(np.float64)
            rows = known[:, part].T & np.isfinite(table).all(axis=-1)
            values, there = work(np.where(rows[..., np.newaxis], table, 0.0), rows)
            if values[place][:1].size * known.shape[1] > _MOST_NUMBERS:
                raise out_of_memory()
            found.append(values[place])
            is_there.append(there)
        joined = np.nan_to_num(np.concatenate(found))
        return joined.reshape(*shape, *joined.shape[1:]), np.concatenate(is_there).reshape(shape)

    return reduce_stacks


def _outputs(
    start: Callable[[], Accumulator],
    names: Sequence[str],
    finish: Callable[[Any], Sequence[Numbers] | None],
    work: Tables,
    columns: int,
) -> tuple[Output, ...]:
    def finish_at(place: int) -> Callable[[Any], Array | None]:
        def result(state: Any) -> Array | None:
            found = finish(state)
            return None if found is None else array(np.nan_to_num(found[place]))

        return result

    return tuple(
        accumulated(
            name,
            start,
            finish_at(place),
            tuple(range(columns)),
            reduce_stacks=_by_pixel(work, place),
            type_of=_array_type(1 if place else 2),
        )
        for place, name in enumerate(names)
    )


def _parts(found: Fit) -> tuple[Numbers, Numbers]:
    return found.coefficients, found.residuals


@algorithm("Reducer.linearRegression(numX: Integer, numY: Integer = 1.0) -> Reducer")
def linear_regression(num_x: int, num_y: int) -> Reducer:
    """Return the reducer of x's, then y's, that gives a least-squares fit and its residuals.

    Both are null unless there are more rows than x's.
    """
    columns = _check_columns(num_x, num_y)

    def finish(state: Factor) -> tuple[Numbers, Numbers] | None:
        if state.count <= num_x:
            return None
        return _parts(regressions.fit(state.factor, np.asarray(state.count), num_x))

    def work(tables: Numbers, rows: NDArray[np.bool_]) -> tuple[Any, Any]:
        counts = rows.sum(axis=-1)
        found = regressions.fit(regressions.factor(tables), counts, num_x)
        return _parts(found), counts > num_x

    start = Named(Factor, "linearRegression")
    outputs = _outputs(start, ("coefficients", "residuals"), finish, work, columns)
    return Reducer("linearRegression", outputs, columns)


@dataclass(frozen=True, slots=True)
class _RowsOf:
    def __call__(self) -> _Rows:
        return _Rows()


class _Rows(Accumulator):
    """All rows as one table."""

    def __init__(self) -> None:
        self.parts: list[Numbers] = []

    def add(self, columns: Sequence[Column]) -> None:
        values, _ = number_rows(columns, self.name)
        table = np.stack(values, axis=1)
        self.parts.append(table[np.isfinite(table).all(axis=1)])
        self.held_bytes += self.parts[-1].nbytes


@algorithm(
    "Reducer.robustLinearRegression(numX: Integer, numY: Integer = 1.0, beta: Float = null)"
    " -> Reducer"
)
def robust_linear_regression(num_x: int, num_y: int, beta: float | None) -> Reducer:
    """Return the reducer that fits as `linearRegression`, without outliers.

    Points whose residuals are above beta take no part; without it, those beyond 2.795 standard
    deviations. Both outputs are null if there are fewer rows than x's.
    """
    columns = _check_columns(num_x, num_y)

    def finish(state: _Rows) -> tuple[Numbers, Numbers] | None:
        table = np.concatenate(state.parts) if state.parts else np.zeros((0, columns))
        if len(table) < num_x:
            return None
        if table.size > _MOST_NUMBERS:
            raise out_of_memory()
        return _parts(regressions.robust_fit(table, np.ones(len(table), bool), num_x, beta))

    def work(tables: Numbers, rows: NDArray[np.bool_]) -> tuple[Any, Any]:
        found = regressions.robust_fit(tables, rows, num_x, beta)
        return _parts(found), rows.sum(axis=-1) >= num_x

    start = Named(_RowsOf(), "robustLinearRegression")
    outputs = _outputs(start, ("coefficients", "residuals"), finish, work, columns)
    return Reducer("robustLinearRegression", outputs, columns)


@algorithm(
    "Reducer.ridgeRegression(numX: Integer, numY: Integer = 1.0, lambda: Float = 0.1) -> Reducer"
)
def ridge_regression(num_x: int, num_y: int, penalty: float) -> Reducer:
    """Return the reducer that fits with a penalty on the squares of coefficients.

    The coefficients have one row more, the intercepts; the third output has a p-value for each y.
    """
    columns = _check_columns(num_x, num_y)
    if not 0 <= penalty < np.inf:
        raise InvalidRequest(f"lambda must be 0 or more, got {penalty:g}.")

    def finish(state: Comoments) -> Sequence[Numbers] | None:
        if state.weight < num_x + 1:
            return None
        return _ridge(state.products, state.means, np.asarray(state.weight), num_x, penalty)

    def work(tables: Numbers, rows: NDArray[np.bool_]) -> tuple[Any, Any]:
        counts = rows.sum(axis=-1)
        means = tables.sum(axis=-2) / np.maximum(counts, 1)[..., np.newaxis]
        off = np.where(rows[..., np.newaxis], tables - means[..., np.newaxis, :], 0.0)
        products = np.swapaxes(off, -1, -2) @ off
        return _ridge(products, means, counts, num_x, penalty), counts >= num_x + 1

    start = Named(Comoments, "ridgeRegression")
    names = ("coefficients", "residuals", "pValue")
    return Reducer("ridgeRegression", _outputs(start, names, finish, work, columns), columns)


def _ridge(
    products: Numbers, means: Numbers, counts: NDArray[Any], num_x: int, penalty: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Return coefficients with intercepts, residuals and p-values, of any number of tables."""
    from scipy.special import fdtrc

    x, y = products[..., :num_x, :num_x], products[..., :num_x, num_x:]
    slopes = np.linalg.pinv(x + penalty * np.eye(num_x), rcond=1e-14, hermitian=True) @ y
    offsets = means[..., num_x:] - (means[..., np.newaxis, :num_x] @ slopes)[..., 0, :]
    totals = np.diagonal(products[..., num_x:, num_x:], axis1=-2, axis2=-1)
    squares = totals - (2 * slopes * y - slopes * (x @ slopes)).sum(axis=-2)
    squares = np.clip(squares, 0, None)
    count = np.asarray(counts, np.float64)[..., np.newaxis]
    freedom = np.maximum(count - num_x - 1, 1e-300)
    with np.errstate(all="ignore"):
        ratio = np.maximum(totals - squares, 0) / num_x / (squares / freedom)
    p_values = fdtrc(num_x, freedom, np.nan_to_num(ratio, nan=0.0, posinf=1e300))
    coefficients = np.concatenate([slopes, offsets[..., np.newaxis, :]], axis=-2)
    return coefficients, np.sqrt(squares / np.maximum(count, 1)), p_values


class _Vectors(Comoments):
    """Comoments of one column of arrays of the same length."""

    is_centred = False

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more arrays."""
        (values,) = valid_rows(columns)
        if not len(values):
            return
        rows = _vectors(values)
        if self.weight and rows.shape[1] != len(self.means):
            raise InvalidRequest(
                f"Expected arrays of the same length, got {len(self.means)} and {rows.shape[1]}."
            )
        if self.is_centred:
            rows = np.concatenate([rows, -rows])
        self.add_rows(rows)


class _CentredVectors(_Vectors):
    is_centred = True


def _vectors(values: NDArray[Any]) -> Numbers:
    """Return arrays or lists of numbers as rows."""
    if values.dtype != object:
        found = values.reshape(len(values), -1) if values.ndim == 2 else None
    else:
        rows = [each.values if isinstance(each, Array) else np.asarray(each) for each in values]
        same = {each.shape for each in rows}
        is_sound = len(same) == 1 and rows[0].ndim == 1 and rows[0].dtype.kind in "biuf"
        found = np.stack(rows) if is_sound else None
    if found is None or not 1 <= found.shape[1] <= _MOST_COLUMNS:
        raise InvalidRequest(
            f"Expected 1-D arrays of the same length, at most {_MOST_COLUMNS}, "
            f"got {shown(values[0])}."
        )
    return found.astype(np.float64)


def _covariance(state: Comoments) -> Array | None:
    return array(state.products / state.weight) if state.weight else None


@algorithm("Reducer.covariance() -> Reducer")
def covariance() -> Reducer:
    """Return the reducer of 1-D arrays that gives their covariance matrix, of the population."""
    start = Named(_Vectors, "covariance")
    output = accumulated("covariance", start, _covariance, type_of=_array_type(2))
    return Reducer("covariance", (output,))


@algorithm("Reducer.centeredCovariance() -> Reducer")
def centered_covariance() -> Reducer:
    """Return the reducer of 1-D arrays with a mean of zero that gives their covariance matrix."""
    start = Named(_CentredVectors, "centeredCovariance")
    output = accumulated("centeredCovariance", start, _covariance, type_of=_array_type(2))
    return Reducer("centeredCovariance", (output,))
