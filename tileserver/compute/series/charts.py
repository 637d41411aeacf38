"""Control charts of series: a harmonic fit, its residuals, and their moving averages.

After Brooks et al. (2014), IEEE Transactions on Geoscience and Remote Sensing 52(6): harmonics are
fitted to the training years, once more without the points beyond the first limit; the residuals of
all years, scaled by the deviation of the training ones, are averaged with exponential weights and
counted in control limits. All arrays are of shape (series, images).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
_DAYS = 365.25
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Control:
    """The arguments of Ewmacd, in its order."""

    vegetation: float
    first_year: int
    last_year: int
    harmonics: int
    first_limit: float
    second_limit: float
    share: float
    sigmas: float
    rounds: bool
    persistence: int


@dataclass(frozen=True, slots=True)
class Charts:
    """What EWMACD tells of series."""

    ewma: Numbers
    coefficients: Numbers
    rmse: Numbers
    r_squared: Numbers
    residuals: Numbers
    sound: Flags
    """Of which series there was enough to fit."""


def charted(days: Numbers, values: Numbers, training: Flags, control: Control) -> Charts:
    """Return the charts of series.

    Args:
        days: of the year, of each image.
        values: of the series, NaN where masked.
        training: which images are of the training years.
        control: the arguments.
    """
    basis = _basis(days, control.harmonics)
    known = np.isfinite(values) & (values > control.vegetation)
    used = known & training
    coefficients = _fitted(basis, values, used)
    off = values - coefficients @ basis.T
    deviation = _deviation(off, used)
    used &= np.abs(off) <= control.first_limit * deviation[:, np.newaxis]
    coefficients = _fitted(basis, values, used)
    off = np.where(known, values - coefficients @ basis.T, 0.0)
    deviation = _deviation(off, used)
    sound = used.sum(axis=1) > basis.shape[1]
    total = np.where(used, values - _mean(values, used)[:, np.newaxis], 0.0)
    rest = np.where(used, off, 0.0)
    square = (rest**2).sum(axis=1) / np.maximum((total**2).sum(axis=1), _TINY)
    rmse = np.sqrt((rest**2).sum(axis=1) / np.maximum(used.sum(axis=1), 1))
    kept = known & (np.abs(off) <= control.second_limit * deviation[:, np.newaxis])
    scores = _averages(off, kept, deviation, control)
    return Charts(scores, coefficients, rmse, 1 - square, off, sound)


def _basis(days: Numbers, harmonics: int) -> Numbers:
    """Return a constant, and sine and cosine of each harmonic, shape (images, 1 + 2 harmonics)."""
    turn = 2 * np.pi * days / _DAYS
    waves = [f(turn * k) for k in range(1, harmonics + 1) for f in (np.sin, np.cos)]
    return np.stack([np.ones_like(days), *waves], axis=1)


def _fitted(basis: Numbers, values: Numbers, used: Flags) -> Numbers:
    """Return the coefficients of least squares, of the images that are used."""
    weighted = used[:, :, np.newaxis] * basis
    normal = np.einsum("npi,pj->nij", weighted, basis)
    normal[:, range(basis.shape[1]), range(basis.shape[1])] += 1e-9
    right = np.einsum("npi,np->ni", weighted, np.where(used, values, 0.0))
    found: Numbers = np.linalg.solve(normal, right[:, :, np.newaxis])[:, :, 0]
    return found


def _mean(values: Numbers, used: Flags) -> Numbers:
    found: Numbers = np.where(used, values, 0.0).sum(axis=1) / np.maximum(used.sum(axis=1), 1)
    return found


def _deviation(off: Numbers, used: Flags) -> Numbers:
    square = np.where(used, off, 0.0) ** 2
    return np.asarray(np.sqrt(square.sum(axis=1) / np.maximum(used.sum(axis=1) - 1, 1)))


def _averages(off: Numbers, kept: Flags, deviation: Numbers, control: Control) -> Numbers:
    """Return the moving averages in control limits, where they persist; else 0."""
    scale = np.maximum(deviation, _TINY)
    share = control.share
    found = np.zeros(off.shape)
    average, count = np.zeros(len(off)), np.zeros(len(off))
    for i in range(off.shape[1]):
        here = kept[:, i]
        average = np.where(here, share * off[:, i] + (1 - share) * average, average)
        count = np.where(here, count + 1, count)
        spread = share / (2 - share) * (1 - (1 - share) ** (2 * np.maximum(count, 1)))
        found[:, i] = average / (control.sigmas * scale * np.sqrt(spread))
    if control.rounds:
        found = np.trunc(found)
    return _persistent(found, control.persistence)


def _persistent(scores: Numbers, least: int) -> Numbers:
    """Return scores where so many in a row have the same sign; else 0."""
    sign = np.sign(scores)
    run = np.zeros(len(scores))
    before = np.zeros(len(scores))
    found = np.zeros(scores.shape)
    for i in range(scores.shape[1]):
        run = np.where((sign[:, i] == before) & (sign[:, i] != 0), run + 1, sign[:, i] != 0)
        before = sign[:, i]
        found[:, i] = np.where(run >= least, scores[:, i], 0.0)
    return found
