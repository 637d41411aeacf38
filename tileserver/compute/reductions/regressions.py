"""Least squares by orthogonal factors, for one table that comes in pieces or for many at once.

Rows are x's followed by y's. A table's triangular factor R of [X Y] holds all that a fit needs, and
pieces join as the factor of one R below the other, so nothing is squared that need not be. All
functions take factors of shape (…, columns, columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.reducer import Accumulator, Column, number_rows
from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
_CHUNK = 1_000_000
"""Numbers that are factored at once."""
_TALWAR = 2.795
"""Residuals in standard deviations beyond which a point is an outlier (O'Leary, 1990)."""
_DEVIATION = 0.6744897501960817
"""Median of the absolute values of a normal distribution."""
_MOST_ITERATIONS = 30


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients, shape (…, numX, numY), and residuals' root mean squares, shape (…, numY)."""

    coefficients: Numbers
    residuals: Numbers


class Factor(Accumulator):
    """The triangular factor of a table, and its number of rows."""

    def __init__(self) -> None:
        self.count = 0
        self.factor: Numbers = np.zeros((0, 0))

    def add(self, columns: Sequence[Column]) -> None:
        """Take some more rows; those with a number that is not finite are left out."""
        values, _ = number_rows(columns, self.name)
        table = np.stack(values, axis=1)
        table = table[np.isfinite(table).all(axis=1)]
        self.count += len(table)
        size = table.shape[1]
        if not len(self.factor):
            self.factor = np.zeros((size, size))
            self.held_bytes = self.factor.nbytes
        step = max(_CHUNK // size, size)
        for begin in range(0, len(table), step):
            check_time()
            self.factor = factor(np.vstack([self.factor, table[begin : begin + step]]))


def factor(tables: Numbers) -> Numbers:
    """Return the square triangular factor of tables of shape (…, rows, columns)."""
    size = tables.shape[-1]
    found: Any = np.linalg.qr(tables, mode="r")
    missing = size - found.shape[-2]
    below = np.zeros((*found.shape[:-2], max(missing, 0), size))
    joined: Numbers = np.concatenate([found, below], axis=-2)
    return joined


def fit(factors: Numbers, counts: NDArray[np.int64], num_x: int) -> Fit:
    """Return the least-squares fit; of dependent x's the one of the least coefficients."""
    x = factors[..., :num_x, :num_x]
    y = factors[..., :num_x, num_x:]
    coefficients = solved(x, y)
    rest = factors[..., :, num_x:] - factors[..., :, :num_x] @ coefficients
    squares = (rest**2).sum(axis=-2)
    return Fit(coefficients, np.sqrt(squares / np.maximum(counts, 1)[..., np.newaxis]))


def solved(x: Numbers, y: Numbers) -> Numbers:
    """Return the solution of triangular systems, columns scaled to the same length first."""
    lengths = np.sqrt((x**2).sum(axis=-2, keepdims=True))
    scaled = x / np.where(lengths > 0, lengths, 1)
    diagonal = np.abs(np.diagonal(scaled, axis1=-2, axis2=-1))
    is_sound = diagonal.min(axis=-1) > 1e-10
    found = np.zeros((*x.shape[:-2], x.shape[-1], y.shape[-1]))
    if is_sound.any():
        found[is_sound] = np.linalg.solve(scaled[is_sound], y[is_sound])
    if not is_sound.all():
        bad = ~is_sound
        found[bad] = np.linalg.pinv(scaled[bad], rcond=1e-10) @ y[bad]
    by_length: Numbers = found / np.where(lengths > 0, lengths, 1).swapaxes(-1, -2)
    return by_length


def robust_fit(tables: Numbers, valid: NDArray[np.bool_], num_x: int, beta: float | None) -> Fit:
    """Return the fit without outliers: iteratively reweighted with Talwar's cost function.

    A point's residual is the root mean square over the y's. It is an outlier above `beta`, by
    default 2.795 standard deviations, estimated from the median of the residuals.

    Args:
        tables: shape (…, rows, numX + numY).
        valid: which rows there are, shape (…, rows).
        num_x: the number of x's.
        beta: as above.
    """
    weights = valid
    for _ in range(_MOST_ITERATIONS):
        check_time()
        kept = np.where(weights[..., np.newaxis], tables, 0.0)
        found = fit(factor(kept), weights.sum(axis=-1), num_x)
        off = tables[..., num_x:] - tables[..., :num_x] @ found.coefficients
        lengths = np.sqrt((off**2).mean(axis=-1))
        limit = _limit(lengths, valid) if beta is None else np.float64(beta)
        new = valid & (lengths <= limit)
        # Too few points are left for a fit: keep the one before.
        new = np.where((new.sum(axis=-1) > num_x)[..., np.newaxis], new, weights)
        if (new == weights).all():
            break
        weights = new
    return found


def _limit(lengths: Numbers, valid: NDArray[np.bool_]) -> Numbers:
    known = np.where(valid, lengths, np.nan)
    with np.errstate(all="ignore"):
        middle = np.nanmedian(known, axis=-1, keepdims=True) if known.size else known
    scale = np.nan_to_num(middle) / _DEVIATION
    # Of a perfect fit all residuals are rounding.
    least = 1e-9 * float(np.nan_to_num(known).max(initial=0.0))
    return np.asarray(np.maximum(_TALWAR * scale, least), np.float64)
