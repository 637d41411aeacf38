"""Trajectories cut into straight segments, as LandTrendr does.

After Kennedy, Yang and Cohen (2010), Remote Sensing of Environment 114, section 3.2. All series of
a block are worked on together, an array a step: values are of shape (series, years), NaN where a
year is missing. Increasing values are disturbance, decreasing ones recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rules:
    """The arguments of LandTrendr."""

    most_segments: int
    spike_threshold: float
    overshoot: int
    prevents_one_year_recovery: bool
    recovery_threshold: float
    p_threshold: float
    best_proportion: float
    least_observations: int


def despiked(values: Numbers, threshold: float) -> Numbers:
    """Return series with spikes dampened: points that stick out from both neighbours.

    In turn the sharpest spike of a series is moved towards the mean of its neighbours, by as much
    as it is sharper than they differ, until none is sharper than the threshold.
    """
    found = values.copy()
    rows = np.arange(len(found))
    if threshold >= 1 or found.shape[1] < 3:
        return found
    for _ in range(found.shape[1]):
        check_time()
        before, here, after = found[:, :-2], found[:, 1:-1], found[:, 2:]
        furthest = np.maximum(np.abs(here - before), np.abs(here - after))
        share = 1 - np.abs(after - before) / np.where(furthest > 0, furthest, 1.0)
        share = np.where((furthest > 0) & np.isfinite(share), share, 0.0)
        at = share.argmax(axis=1)
        sharpest = share[rows, at]
        moved = sharpest > threshold
        if not moved.any():
            break
        middle = (before[rows, at] + after[rows, at]) / 2
        change = np.where(moved, sharpest * (middle - here[rows, at]), 0.0)
        found[rows, at + 1] += change
    return found


def vertices_of(years: Numbers, values: Numbers, rules: Rules) -> tuple[Flags, Flags]:
    """Return which points of each series are vertices, and which series could be fitted."""
    known = np.isfinite(values)
    sound = known.sum(axis=1) >= max(rules.least_observations, 2)
    vertices = _ends(known)
    most = rules.most_segments + 1
    for _ in range(most + rules.overshoot - 2):
        check_time()
        vertices |= _furthest(years, values, vertices, known)
    vertices = _culled(years, values, vertices, most)
    return _best_model(years, values, vertices, known, rules), sound


def cut(years: Numbers, values: Numbers, most_segments: int, most_error: float) -> Flags:
    """Return the points between which lines follow each series closely enough.

    Args:
        years: of the points, ascending.
        values: without gaps.
        most_segments: lines of one series.
        most_error: root of the mean square of the differences, up to which no line is cut.
    """
    known = np.isfinite(values)
    found = _ends(known)
    for _ in range(most_segments - 1):
        check_time()
        off = interpolated(years, values, found) - values
        is_far = np.sqrt((off**2).mean(axis=1)) > most_error
        if not is_far.any():
            break
        found |= _furthest(years, values, found, known) & is_far[:, np.newaxis]
    return found


def _ends(known: Flags) -> Flags:
    """Return the first and last known point of each series."""
    found = np.zeros(known.shape, bool)
    rows = np.flatnonzero(known.any(axis=1))
    found[rows, known[rows].argmax(axis=1)] = True
    found[rows, known.shape[1] - 1 - known[rows, ::-1].argmax(axis=1)] = True
    return found


def _furthest(years: Numbers, values: Numbers, vertices: Flags, known: Flags) -> Flags:
    """Return the point of each series that is furthest from the lines between vertices."""
    line = interpolated(years, values, vertices)
    off = np.where(known & ~vertices, np.abs(values - line), -1.0)
    at = off.argmax(axis=1)
    found = np.zeros(known.shape, bool)
    rows = np.flatnonzero(off[np.arange(len(off)), at] > 0)
    found[rows, at[rows]] = True
    return found


def interpolated(years: Numbers, values: Numbers, vertices: Flags) -> Numbers:
    """Return series on the lines between their vertices; flat before the first, after the last."""
    count = values.shape[1]
    place = np.arange(count)
    left = np.maximum.accumulate(np.where(vertices, place, -1), axis=1)
    right = np.minimum.accumulate(np.where(vertices, place, count)[:, ::-1], axis=1)[:, ::-1]
    left, right = np.where(left < 0, right, left), np.where(right >= count, left, right)
    left, right = np.clip(left, 0, count - 1), np.clip(right, 0, count - 1)
    low = np.take_along_axis(values, left, axis=1)
    high = np.take_along_axis(values, right, axis=1)
    span = years[right] - years[left]
    share = (years[np.newaxis, :] - years[left]) / np.where(span > 0, span, 1.0)
    found: Numbers = low + (high - low) * np.where(span > 0, share, 0.0)
    return found


def _culled(years: Numbers, values: Numbers, vertices: Flags, most: int) -> Flags:
    """Return at most so many vertices: those with the least change of angle are left out."""
    found = vertices.copy()
    span_x = max(float(years[-1] - years[0]), 1e-12)
    low, high = (
        np.nanmin(values, axis=1, initial=np.inf),
        np.nanmax(values, axis=1, initial=-np.inf),
    )
    span_y = np.where(high > low, high - low, 1.0)[:, np.newaxis]
    while (found.sum(axis=1) > most).any():
        check_time()
        angles = _angles(years / span_x, values / span_y, found)
        at = angles.argmin(axis=1)
        rows = np.flatnonzero((found.sum(axis=1) > most) & np.isfinite(angles.min(axis=1)))
        if not len(rows):
            break
        found[rows, at[rows]] = False
    return found


def _neighbours(vertices: Flags) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of the vertices before and after each point, -1 and the count for none."""
    count = vertices.shape[1]
    place = np.arange(count)
    marks = np.where(vertices, place, -1)
    before = np.full(vertices.shape, -1)
    before[:, 1:] = np.maximum.accumulate(marks, axis=1)[:, :-1]
    marks = np.where(vertices, place, count)
    after = np.full(vertices.shape, count)
    after[:, :-1] = np.minimum.accumulate(marks[:, ::-1], axis=1)[:, ::-1][:, 1:]
    return before, after


def _angles(x: Numbers, y: Numbers, vertices: Flags) -> Numbers:
    """Return the change of angle at each inner vertex, infinite elsewhere."""
    count = y.shape[1]
    before, after = _neighbours(vertices)
    inner = vertices & (before >= 0) & (after < count)
    b, a = np.clip(before, 0, count - 1), np.clip(after, 0, count - 1)
    y_before, y_after = np.take_along_axis(y, b, axis=1), np.take_along_axis(y, a, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.arctan((y - y_before) / (x[np.newaxis, :] - x[b]))
        second = np.arctan((y_after - y) / (x[a] - x[np.newaxis, :]))
    return np.where(inner, np.abs(second - first), np.inf)


def _best_model(
    years: Numbers, values: Numbers, vertices: Flags, known: Flags, rules: Rules
) -> Flags:
    """Return the vertices of the best of the models with ever fewer of them."""
    from scipy.stats import f as f_distribution

    models, scores = [], []
    current = vertices.copy()
    total = np.nansum((values - _mean(values, known)) ** 2, axis=1)
    number = known.sum(axis=1)
    for _ in range(max(rules.most_segments, 1)):
        check_time()
        fitted = fit(years, values, current)
        rest = np.nansum((values - fitted) ** 2, axis=1)
        segments = np.maximum(current.sum(axis=1) - 1, 1)
        within = np.maximum(number - 2 * segments - 1, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = ((total - rest) / (2 * segments)) / (rest / within)
        score = f_distribution.sf(np.nan_to_num(ratio, posinf=1e30), 2 * segments, within)
        score = np.where(_recovers_too_fast(years, fitted, current, rules), np.inf, score)
        models.append(current.copy())
        scores.append(np.where(total > 0, score, 1.0))
        current = _without_weakest(years, values, current, rules)
    ranked = np.array(scores)
    limit = (2 - rules.best_proportion) * ranked.min(axis=0)
    good = (ranked <= limit) & (ranked <= rules.p_threshold)
    best = np.where(good.any(axis=0), good.argmax(axis=0), len(models) - 1)
    return np.array(models)[best, np.arange(len(values))]


def _mean(values: Numbers, known: Flags) -> Numbers:
    held = np.where(known, values, 0.0)
    found: Numbers = (held.sum(axis=1) / np.maximum(known.sum(axis=1), 1))[:, np.newaxis]
    return found


def fit(years: Numbers, values: Numbers, vertices: Flags) -> Numbers:
    """Return series fitted by lines between vertices, whose heights are of least squares."""
    found = np.full(values.shape, np.nan)
    numbers = vertices.sum(axis=1)
    for count in np.unique(numbers[numbers >= 2]):
        check_time()
        rows = np.flatnonzero(numbers == count)
        basis = _hats(years, vertices[rows], int(count))
        known = np.isfinite(values[rows])
        weighted = basis * known[:, :, np.newaxis]
        normal = np.einsum("npi,npj->nij", weighted, basis)
        right = np.einsum("npi,np->ni", weighted, np.where(known, values[rows], 0.0))
        normal[:, range(int(count)), range(int(count))] += 1e-12
        heights = np.linalg.solve(normal, right[:, :, np.newaxis])
        found[rows] = (basis @ heights)[:, :, 0]
    return found


def _hats(years: Numbers, vertices: Flags, count: int) -> Numbers:
    """Return a function a vertex, 1 there and 0 at the others, shape (series, years, vertices)."""
    places = np.flatnonzero(vertices.ravel()).reshape(-1, count) % vertices.shape[1]
    at = years[places]
    found = np.zeros((*vertices.shape, count))
    for i in range(count):
        unit = np.zeros((len(at), count))
        unit[:, i] = 1.0
        for k in range(count - 1):
            start, end = at[:, k, np.newaxis], at[:, k + 1, np.newaxis]
            share = (years[np.newaxis, :] - start) / (end - start)
            inside = (share >= 0) & (share <= 1)
            value = unit[:, k, np.newaxis] * (1 - share) + unit[:, k + 1, np.newaxis] * share
            found[:, :, i] = np.where(inside, value, found[:, :, i])
        found[:, :, i] = np.where(years < at[:, :1], float(i == 0), found[:, :, i])
        found[:, :, i] = np.where(years > at[:, -1:], float(i == count - 1), found[:, :, i])
    return found


def _recovery_rates(years: Numbers, fitted: Numbers, vertices: Flags) -> tuple[Any, Any]:
    """Return years and share of the whole range of the recovery that ends at each vertex."""
    before, _ = _neighbours(vertices)
    start = np.clip(before, 0, None)
    drop = np.take_along_axis(fitted, start, axis=1) - fitted
    span = years[np.newaxis, :] - years[start]
    whole = np.nanmax(fitted, axis=1, initial=-np.inf) - np.nanmin(fitted, axis=1, initial=np.inf)
    share = drop / np.where(whole > 0, whole, 1.0)[:, np.newaxis]
    is_end = vertices & (before >= 0) & (share > 0)
    return np.where(is_end, span, np.inf), np.where(is_end, share, 0.0)


def _too_fast(years: Numbers, fitted: Numbers, vertices: Flags, rules: Rules) -> Flags:
    """Return the vertices at which a recovery ends that is not allowed."""
    span, share = _recovery_rates(years, fitted, vertices)
    fast: Flags = np.asarray(share / span > rules.recovery_threshold)
    if rules.prevents_one_year_recovery:
        fast = np.logical_or(fast, (span <= 1) & (share > 0))
    return fast


def _recovers_too_fast(years: Numbers, fitted: Numbers, vertices: Flags, rules: Rules) -> Flags:
    found: Flags = np.asarray(_too_fast(years, fitted, vertices, rules).any(axis=1))
    return found


def _without_weakest(years: Numbers, values: Numbers, vertices: Flags, rules: Rules) -> Flags:
    """Return vertices without one: of a recovery too fast, else the one that tells the least."""
    found = vertices.copy()
    heights = fit(years, values, vertices)
    before, after = _neighbours(vertices)
    inner = vertices & (before >= 0) & (after < vertices.shape[1])
    fast = _too_fast(years, heights, vertices, rules) & inner
    b, a = np.clip(before, 0, None), np.clip(after, None, vertices.shape[1] - 1)
    span = np.maximum(years[a] - years[b], 1e-12)
    line = np.take_along_axis(heights, b, axis=1) * (years[a] - years) / span
    line = line + np.take_along_axis(heights, a, axis=1) * (years - years[b]) / span
    cost = np.where(inner, np.abs(heights - line) * span, np.inf)
    cost = np.where(fast, -1.0, cost)
    at = cost.argmin(axis=1)
    rows = np.flatnonzero(inner.any(axis=1))
    found[rows, at[rows]] = False
    return found
