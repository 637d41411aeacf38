"""Superpixels grown from seeds, and clusters of the pixels of a block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.learning.clusters import (
    Labels,
    euclidean,
    k_means,
    nearest,
    started,
)
from tileserver.concurrency.time_limit import check_time

Numbers = NDArray[np.float64]
_EIGHT = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
_FOUR = [(-1, 0), (0, -1), (0, 1), (1, 0)]


def grown_segments(
    values: Numbers,
    valid: NDArray[np.bool_],
    seeds: NDArray[np.int64],
    spacing: float,
    compactness: float,
    is_eight: bool,
) -> NDArray[np.int64]:
    """Return the seed that each pixel belongs to, -1 for none.

    Segments grow in rounds. In each the neighbours of all segments are compared with the means of
    colours and places of these, and the nearer half of them join the nearest one. So it is SNIC's
    queue (Achanta and Süsstrunk 2017), emptied many pixels at a time.

    Args:
        values: shape (bands, height, width).
        valid: shape (height, width), pixels that may belong to a segment.
        seeds: of the same shape, the number of the seed at a pixel, from 0 on; -1 for none.
        spacing: between seeds, in pixels.
        compactness: weight of places beside that of colours.
        is_eight: whether diagonal pixels are neighbours.
    """
    height, width = valid.shape
    weight = compactness / max(spacing, 1.0)
    rows, columns = np.mgrid[0:height, 0:width] * weight
    features = np.pad(np.stack([*values, rows, columns]), ((0, 0), (1, 1), (1, 1)))
    flat = features.reshape(len(features), -1).T
    steps = np.array(
        [row * (width + 2) + column for row, column in (_EIGHT if is_eight else _FOUR)]
    )
    labels = np.full(len(flat), -2, np.int64)
    inside = np.pad(valid, 1).ravel()
    labels[inside] = -1
    start = np.pad(seeds, 1, constant_values=-1).ravel()
    new = np.flatnonzero((start >= 0) & inside)
    labels[new] = start[new]
    count = int(seeds.max(initial=-1)) + 1
    sums, sizes = np.zeros((count, flat.shape[1])), np.zeros(count)
    frontier = np.zeros(0, np.int64)
    while len(new):
        check_time()
        np.add.at(sums, labels[new], flat[new])
        sizes += np.bincount(labels[new], minlength=count)
        around = (new[:, np.newaxis] + steps).ravel()
        frontier = np.unique(np.concatenate([frontier, around]))
        frontier = frontier[labels[frontier] == -1]
        if not len(frontier):
            break
        best, off = _best(frontier, steps, labels, flat, sums, sizes)
        joins = off <= np.median(off)
        new = frontier[joins]
        labels[new] = best[joins]
    found = labels.reshape(height + 2, width + 2)[1:-1, 1:-1]
    return np.maximum(found, -1)


def _best(
    frontier: NDArray[np.int64],
    steps: NDArray[np.int64],
    labels: Labels,
    flat: Numbers,
    sums: Numbers,
    sizes: Numbers,
) -> tuple[Labels, Numbers]:
    """Return the nearest of the segments beside each pixel, and the squared distance to it."""
    best, least = np.full(len(frontier), -1), np.full(len(frontier), np.inf)
    for step in steps:
        beside = labels[frontier + step]
        known = np.flatnonzero(beside >= 0)
        own = beside[known]
        off = euclidean_pairs(flat[frontier[known]], sums[own] / sizes[own, np.newaxis])
        is_nearer = off < least[known]
        chosen = known[is_nearer]
        best[chosen], least[chosen] = own[is_nearer], off[is_nearer]
    return best, least


def euclidean_pairs(first: Numbers, second: Numbers) -> Numbers:
    """Return the squared distance of each row to the row at the same place."""
    off = first - second
    return np.asarray(np.einsum("ij,ij->i", off, off))


def clustered(rows: Numbers, count: int, iterations: int) -> tuple[Labels, bool]:
    """Return clusters of rows by k-means, and whether they had settled by then."""
    start = started(rows, count, 1, euclidean, np.random.default_rng(0))
    _, labels = k_means(rows, start, euclidean, iterations)
    used = np.unique(labels)
    again = np.stack([rows[labels == each].mean(axis=0) for each in used])
    moved = used[nearest(rows, again, euclidean)]
    return labels, bool((moved == labels).all())


def gaussian_clusters(rows: Numbers, iterations: int, critical: float, most: int) -> Labels:
    """Return clusters by G-means: each is split in two while it is not normally distributed.

    Args:
        rows: shape (count, bands).
        iterations: rounds of splitting, and of k-means in each.
        critical: a cluster is split if Anderson and Darling's statistic is above it.
        most: number of clusters.
    """
    centres = rows.mean(axis=0, keepdims=True)
    labels = np.zeros(len(rows), np.int64)
    for _ in range(iterations):
        parts: list[Any] = []
        for place in range(len(centres)):
            check_time()
            pair = _halves(rows[labels == place], critical)
            is_room = len(parts) + 2 + len(centres) - place - 1 <= most
            parts.append(pair if pair is not None and is_room else centres[place : place + 1])
        if all(len(part) == 1 for part in parts):
            break
        centres, labels = k_means(rows, np.concatenate(parts), euclidean, iterations)
    return labels


def _halves(rows: Numbers, critical: float) -> Numbers | None:
    """Return the centres of a cluster's halves if it is not normally distributed between them."""
    if len(rows) < 8 or not np.ptp(rows, axis=0).any():
        return None
    start = started(rows, 2, 3, euclidean, np.random.default_rng(0))
    if len(start) < 2:
        return None
    pair, _ = k_means(rows, start, euclidean, 20)
    if len(pair) < 2:
        return None
    return pair if anderson_darling(rows @ (pair[0] - pair[1])) > critical else None


def anderson_darling(values: Numbers) -> float:
    """Return the statistic of the test for a normal distribution, of estimated moments."""
    from scipy.special import log_ndtr

    count = len(values)
    deviation = values.std(ddof=1)
    if not deviation > 0:
        return 0.0
    z = np.sort((values - values.mean()) / deviation)
    weights = 2 * np.arange(1, count + 1) - 1
    total = float((weights * (log_ndtr(z) + log_ndtr(-z[::-1]))).sum()) / count
    return -count - total
