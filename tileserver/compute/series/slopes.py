"""Slopes of series by total variation: few changes of slope, as VeRDET has them.

After Hughes, Kaylor and Hayes (2017), Forests 8(5), and Chartrand (2011), whose differentiation it
uses: the slopes u between images minimize |A u - f|² / 2 + alpha |D u|₁, with A the sum of slopes
times years and D their changes. It is solved by lagged diffusivity, many series at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
_SMOOTH = 1e-8
"""Keeps the weight of a slope that does not change finite."""


def slopes_of(
    years: Numbers, values: Numbers, alpha: float, tolerance: float, most_runs: int
) -> Numbers:
    """Return the slopes between the images of series, shape (series, images - 1).

    Args:
        years: of the images, ascending.
        values: shape (series, images), NaN where missing.
        alpha: weight of changes of slope.
        tolerance: share by which slopes may change in the last run.
        most_runs: runs of the solver.
    """
    spans = np.diff(years)
    known = np.isfinite(values)
    first = known.argmax(axis=1)
    start = np.take_along_axis(values, first[:, np.newaxis], axis=1)
    # Sums from the first known image on: rows are images, columns the slopes before them.
    after = np.arange(len(years))[:, np.newaxis] > np.arange(len(spans))[np.newaxis, :]
    sums = after[np.newaxis] & (np.arange(len(spans)) >= first[:, np.newaxis])[:, np.newaxis, :]
    matrix = sums * spans * known[:, :, np.newaxis]
    data = np.where(known, values - start, 0.0)
    normal = np.einsum("npi,npj->nij", matrix, matrix)
    right = np.einsum("npi,np->ni", matrix, data)
    change = np.diff(np.eye(len(spans)), axis=0)
    found = np.zeros((len(values), len(spans)))
    for _ in range(most_runs):
        check_time()
        weights = alpha / np.sqrt((found @ change.T) ** 2 + _SMOOTH)
        new = np.linalg.solve(_stiffened(normal, weights), right[:, :, np.newaxis])[:, :, 0]
        size = np.linalg.norm(new, axis=1)
        moved = np.linalg.norm(new - found, axis=1)
        found = new
        if (moved <= tolerance * np.maximum(size, 1e-12)).all():
            break
    return found


def _stiffened(normal: Numbers, weights: Numbers) -> Numbers:
    """Return the normal equations with the weights of changes between neighbouring slopes."""
    found = normal.copy()
    before = np.arange(weights.shape[1])
    after = before + 1
    found[:, before, before] += weights + 1e-12
    found[:, after, after] += weights + 1e-12
    found[:, before, after] -= weights
    found[:, after, before] -= weights
    return found
