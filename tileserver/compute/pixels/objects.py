"""Objects: connected pixels of the same value, labelled, counted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time

Offsets = Sequence[tuple[int, int]]
"""Column and row of each neighbour from a pixel."""
EIGHT: Offsets = [(1, -1), (1, 0), (1, 1), (0, 1)]
FOUR: Offsets = [(1, 0), (0, 1)]

_MOST_PENDING = 4_000_000
"""Pairs of connected pixels that are held at once."""


@dataclass(frozen=True, eq=False, slots=True)
class Objects:
    """The objects of a band."""

    labels: NDArray[np.int64]
    """Shape (height, width): the number of each pixel's object, -1 for none."""
    count: int

    def sizes(self) -> NDArray[np.int64]:
        """Return the number of pixels of each object."""
        known = self.labels[self.labels >= 0]
        return np.bincount(known, minlength=self.count)

    def extents(self) -> NDArray[np.int64]:
        """Return the columns or rows that each object spans, the greater of the two."""
        rows, columns = np.nonzero(self.labels >= 0)
        labels = self.labels[rows, columns]
        return np.maximum(_spans(rows, labels, self.count), _spans(columns, labels, self.count))

    def firsts(self) -> NDArray[np.int64]:
        """Return the place of the first pixel of each object, in rows from the top."""
        flat = self.labels.ravel()
        found = np.full(self.count, flat.size, np.int64)
        places = np.flatnonzero(flat >= 0)
        np.minimum.at(found, flat[places], places)
        return found

    def members(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the places of pixels, object by object, and where each object's begin."""
        flat = self.labels.ravel()
        order = np.argsort(flat, kind="stable")
        order = order[np.searchsorted(flat[order], 0) :]
        return order, np.searchsorted(flat[order], np.arange(self.count))


def _spans(places: NDArray[Any], labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    low = np.full(count, np.iinfo(np.int64).max)
    high = np.full(count, -1)
    np.minimum.at(low, labels, places)
    np.maximum.at(high, labels, places)
    return np.asarray(high - low + 1)


def objects_of(values: NDArray[Any], valid: NDArray[np.bool_], offsets: Offsets) -> Objects:
    """Return the objects of pixels that are equal and connected.

    Args:
        values: shape (height, width).
        valid: pixels that belong to an object.
        offsets: of the neighbours of a pixel; those on the other side are its neighbours too.
    """
    labels, count = _runs(values, valid, (1, 0) in offsets or (-1, 0) in offsets)
    pending: list[NDArray[np.int64]] = []
    for column, row in sorted({_half(*each) for each in offsets} - {(1, 0), (0, 0)}):
        check_time()
        here, there = _shifted(values.shape, column, row)
        meet = valid[here] & valid[there] & (values[here] == values[there])
        meet &= labels[here] != labels[there]
        found = np.stack([labels[here][meet], labels[there][meet]])
        if found.shape[1]:
            is_new = np.append(True, (found[:, 1:] != found[:, :-1]).any(axis=0))
            pending.append(found[:, is_new])
        if sum(each.shape[1] for each in pending) > _MOST_PENDING:
            labels, count = _joined(labels, count, pending)
            pending = []
    labels, count = _joined(labels, count, pending)
    return Objects(np.where(valid, labels, -1), count)


def _joined(
    labels: NDArray[np.int64], count: int, pairs: list[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], int]:
    """Return labels of which pairs are made one, and how many are left."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    check_time()
    if not pairs or not count:
        return labels, count
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first), np.bool_), (first, second)), shape=(count, count))
    number, of_label = connected_components(graph.tocsr(), directed=False)
    return of_label[np.maximum(labels, 0)].astype(np.int64), int(number)


def _half(column: int, row: int) -> tuple[int, int]:
    """Return an offset or its opposite, whichever goes down, or along the row to the right."""
    return (column, row) if row > 0 or (row == 0 and column >= 0) else (-column, -row)


def _runs(
    values: NDArray[Any], valid: NDArray[np.bool_], joins: bool
) -> tuple[NDArray[np.int64], int]:
    """Return the number of each pixel's run of equal pixels in its row, and how many there are."""
    begins = valid.copy()
    if joins and values.shape[1] > 1:
        same = valid[:, 1:] & valid[:, :-1] & (values[:, 1:] == values[:, :-1])
        begins[:, 1:] &= ~same
    found = np.cumsum(begins.ravel()).reshape(values.shape)
    return found - 1, int(found[-1, -1]) if found.size else 0


def _shifted(shape: tuple[int, ...], column: int, row: int) -> tuple[Any, Any]:
    """Return the slices of pixels that have a neighbour at an offset, and of the neighbours."""
    height, width = shape[:2]
    left, right = max(0, -column), min(width, width - column)
    here = (slice(0, max(0, height - row)), slice(left, max(left, right)))
    there = (slice(row, max(row, height)), slice(left + column, max(left, right) + column))
    return here, there
