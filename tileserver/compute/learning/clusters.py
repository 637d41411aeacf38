"""Clusters of rows by their centres: k-means, and what chooses the number of clusters by it.

As in Weka, inputs are first scaled to the training's range, 0 to 1, unless said otherwise. A row
belongs to the nearest centre, of several as near ones to the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.learning.training import Matrix
from tileserver.concurrency.time_limit import check_time

MAX_CLUSTERS = 1000
MAX_ITERATIONS = 10_000
_DEFAULT_ITERATIONS = 500
_PIECE_NUMBERS = 4_000_000
_CANDIDATES = 100

Labels = NDArray[np.int64]
Distance = Callable[[Matrix, Matrix], Matrix]


@dataclass(frozen=True, eq=False, slots=True)
class Clusters:
    """Centres of clusters in scaled inputs."""

    centres: Matrix
    """Shape (clusters, columns)."""
    distance: Distance
    low: Matrix
    span: Matrix

    @property
    def rows_at_once(self) -> int:
        """Return how many rows are labelled between two looks at the clock."""
        return max(64, 2_000_000 // max(1, self.centres.size))

    def labels(self, rows: Matrix) -> Labels:
        """Return the cluster of each row."""
        return nearest((rows - self.low) / self.span, self.centres, self.distance)


def scaling(rows: Matrix, is_scaled: bool = True) -> tuple[Matrix, Matrix]:
    """Return the least value and the span of each column; 0 and 1 where nothing is scaled."""
    if not is_scaled:
        return np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    span = np.ptp(rows, axis=0)
    return rows.min(axis=0), np.where(span > 0, span, 1.0)


def euclidean(rows: Matrix, centre: Matrix) -> Matrix:
    """Return the squared distance of rows to a centre."""
    off = rows - centre
    found: Matrix = np.einsum("ij,ij->i", off, off)
    return found


def manhattan(rows: Matrix, centre: Matrix) -> Matrix:
    """Return the sum of the distances of rows to a centre along each axis."""
    found: Matrix = np.abs(rows - centre).sum(axis=1)
    return found


def chebyshev(rows: Matrix, centre: Matrix) -> Matrix:
    """Return the largest of the distances of rows to a centre along the axes."""
    found: Matrix = np.abs(rows - centre).max(axis=1, initial=0.0)
    return found


DISTANCES: dict[str, Distance] = {
    "Euclidean": euclidean,
    "Manhattan": manhattan,
    "Chebyshev": chebyshev,
}


def nearest(rows: Matrix, centres: Matrix, distance: Distance) -> Labels:
    """Return the nearest centre of each row."""
    best = np.full(len(rows), np.inf)
    labels = np.zeros(len(rows), np.int64)
    for place, centre in enumerate(centres):
        if place * rows.size % _PIECE_NUMBERS < rows.size:
            check_time()
        found = distance(rows, centre)
        labels[found < best] = place
        best = np.minimum(best, found)
    return labels


def k_means(
    rows: Matrix, start: Matrix, distance: Distance, iterations: int | None = None
) -> tuple[Matrix, Labels]:
    """Return centres and labels once labels change no more, or after so many iterations.

    With distances along the axes a centre is the median of its rows, else the mean. A cluster
    without rows is dropped.
    """
    centres = start
    middle = np.mean if distance is euclidean else np.median
    labels = nearest(rows, centres, distance)
    for _ in range(iterations or _DEFAULT_ITERATIONS):
        check_time()
        used = np.unique(labels)
        centres = np.stack([middle(rows[labels == each], axis=0) for each in used])
        found = nearest(rows, centres, distance)
        if len(used) == len(start) and (found == labels).all():
            break
        is_same = (found == np.searchsorted(used, labels)).all()
        labels, start = found, centres
        if is_same:
            break
    return centres, labels


def started(
    rows: Matrix, count: int, method: int, distance: Distance, chance: np.random.Generator
) -> Matrix:
    """Return different rows to start from.

    Args:
        rows: to choose from.
        count: of centres, at most as many as there are different rows.
        method: 0 by chance, 1 k-means++, 2 canopies, 3 farthest first.
        distance: between rows.
        chance: draws them.
    """
    order = chance.permutation(len(rows))
    if method == 2:
        return _canopies(rows[order], count, distance)
    if method == 0:
        _, first = np.unique(rows[order], axis=0, return_index=True)
        chosen: Matrix = rows[order[np.sort(first)[:count]]]
        return chosen
    picked = [int(order[0])]
    left = distance(rows, rows[picked[0]])
    while len(picked) < count and left.max() > 0:
        check_time()
        if method == 1:
            sums = np.cumsum(left)
            place = min(
                int(np.searchsorted(sums, chance.random() * sums[-1], "right")), len(rows) - 1
            )
        else:
            place = int(left.argmax())
        picked.append(place)
        left = np.minimum(left, distance(rows, rows[place]))
    return rows[picked]


def _canopies(rows: Matrix, count: int, distance: Distance) -> Matrix:
    """Return the centres of the densest canopies (McCallum 2000), filled up by farthest rows."""
    reach = float(rows.std(axis=0).sum()) / max(1, rows.shape[1]) * 0.5
    reach = reach**2 * rows.shape[1] if distance is euclidean else reach * rows.shape[1]
    free = np.ones(len(rows), bool)
    found: list[tuple[int, Matrix]] = []
    while free.any() and len(found) < max(_CANDIDATES, count):
        check_time()
        seed = rows[int(free.argmax())]
        inside = free & (distance(rows, seed) <= reach)
        inside[int(free.argmax())] = True
        found.append((int(inside.sum()), rows[inside].mean(axis=0)))
        free &= ~inside
    found.sort(key=lambda each: -each[0])
    return np.stack([centre for _, centre in found[:count]])


def calinski_harabasz(rows: Matrix, labels: Labels) -> float:
    """Return the ratio of the variance between clusters to that within."""
    used, counts = np.unique(labels, return_counts=True)
    middle = rows.mean(axis=0)
    centres = np.stack([rows[labels == each].mean(axis=0) for each in used])
    between = float((counts * euclidean(centres, middle)).sum())
    within = float(euclidean(rows, centres[np.searchsorted(used, labels)]).sum())
    if len(used) < 2 or len(rows) <= len(used):
        return 0.0
    if within == 0:
        return np.inf
    return between / (len(used) - 1) * (len(rows) - len(used)) / within


def cascaded(
    rows: Matrix,
    counts: range,
    restarts: int,
    method: int,
    distance: Distance,
    iterations: int | None,
    chance: np.random.Generator,
) -> Matrix:
    """Return the centres of the number of clusters with the highest Calinski-Harabasz ratio."""
    best, chosen = -1.0, rows[:1]
    for count in counts:
        for _ in range(restarts):
            start = started(rows, count, method, distance, chance)
            centres, labels = k_means(rows, start, distance, iterations)
            found = calinski_harabasz(rows, labels)
            if found > best:
                best, chosen = found, centres
    return chosen


def grown(
    rows: Matrix,
    least: int,
    most: int,
    rounds: int,
    iterations: tuple[int, int],
    cutoff: float,
    distance: Distance,
    chance: np.random.Generator,
) -> Matrix:
    """Return centres by X-means (Pelleg and Moore 2000): split where that raises the BIC.

    Args:
        rows: to cluster.
        least: number of clusters to start with.
        most: number of clusters.
        rounds: of splitting.
        iterations: of k-means over all rows, and over the rows of a cluster.
        cutoff: the share of clusters to split if none is better split.
        distance: between rows.
        chance: draws the starts.
    """
    centres, labels = k_means(
        rows, started(rows, least, 0, distance, chance), distance, iterations[0]
    )
    for _ in range(rounds):
        splits = _splits(rows, labels, centres, iterations[1], distance, chance)
        better = [place for place, (gain, _) in enumerate(splits) if gain > 0]
        if not better and cutoff > 0:
            order = sorted(range(len(splits)), key=lambda place: -splits[place][0])
            better = [p for p in order[: int(len(order) * cutoff)] if len(splits[p][1]) > 1]
        better = sorted(better, key=lambda place: -splits[place][0])[: most - len(centres)]
        if not better:
            break
        parts = [
            splits[place][1] if place in better else centres[place : place + 1]
            for place in range(len(centres))
        ]
        centres, labels = k_means(rows, np.concatenate(parts), distance, iterations[0])
    return np.asarray(centres)


def _splits(
    rows: Matrix,
    labels: Labels,
    centres: Matrix,
    iterations: int,
    distance: Distance,
    chance: np.random.Generator,
) -> list[tuple[float, Matrix]]:
    """Return how much each cluster's BIC gains by a split in two, and the two centres."""
    found = []
    for place, centre in enumerate(centres):
        own = rows[labels == place]
        start = started(own, 2, 0, distance, chance) if len(own) > 2 else own[:1]
        if len(start) < 2:
            found.append((-np.inf, centre[np.newaxis]))
            continue
        pair, sides = k_means(own, start, distance, iterations)
        alone = bic(own, np.zeros(len(own), np.int64), centre[np.newaxis])
        found.append((bic(own, sides, pair) - alone, pair))
    return found


def bic(rows: Matrix, labels: Labels, centres: Matrix) -> float:
    """Return the Bayesian information criterion of spherical clusters, by Pelleg and Moore."""
    count, columns = rows.shape
    clusters = len(centres)
    if count <= clusters:
        return -np.inf
    spread = float(euclidean(rows, centres[labels]).sum()) / (count - clusters) / columns
    sizes = np.bincount(labels, minlength=clusters).astype(float)
    sizes = sizes[sizes > 0]
    spread = max(spread, 1e-12)
    likelihood = float((sizes * np.log(sizes)).sum()) - count * np.log(count)
    likelihood -= count * columns / 2 * np.log(2 * np.pi * spread)
    likelihood -= (count - clusters) * columns / 2
    return float(likelihood - clusters * (columns + 1) / 2 * np.log(count))


def quantized(rows: Matrix, count: int, rate: float, epochs: int) -> Matrix:
    """Return centres by learning vector quantization without classes, all rows at once.

    Centres start evenly along the rows' order, and move in each epoch towards the mean of the rows
    nearest to them, by a rate that falls to zero.
    """
    _, first = np.unique(rows, axis=0, return_index=True)
    different = rows[np.sort(first)]
    picked = np.linspace(0, len(different) - 1, min(count, len(different))).astype(int)
    centres = different[picked].copy()
    for epoch in range(epochs):
        check_time()
        labels = nearest(rows, centres, euclidean)
        moved = centres.copy()
        for each in np.unique(labels):
            step = rate * (1 - epoch / epochs)
            moved[each] += step * (rows[labels == each].mean(axis=0) - centres[each])
        if np.abs(moved - centres).max() < 1e-9:
            break
        centres = moved
    return np.asarray(centres)
