"""Confusion matrices: counts of actual classes, the rows, by predicted ones, the columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.errors import InvalidRequest

MAX_CLASSES = 2000


@dataclass(frozen=True, eq=False, slots=True)
class ConfusionMatrix:
    """Counts, and the class of each row and column."""

    counts: NDArray[Any]
    """Shape (classes, classes)."""
    order: tuple[int, ...]

    def to_json(self) -> Any:
        """Return the `getInfo` JSON, nested lists."""
        return self.counts.tolist()


def counted(
    actual: NDArray[np.int64], predicted: NDArray[np.int64], order: Sequence[int] | None = None
) -> ConfusionMatrix:
    """Return the matrix of two columns.

    Args:
        actual: classes.
        predicted: as many.
        order: the classes to count, others are left out; None counts from 0 to the greatest.

    Raises:
        InvalidRequest: a class is negative, or there are too many.
    """
    if order is None:
        both = np.concatenate([actual, predicted])
        if both.min(initial=0) < 0:
            raise InvalidRequest(
                f"Classes must not be negative without an order, got {both.min()}."
            )
        order = range(int(both.max(initial=-1)) + 1)
    if len(order) > MAX_CLASSES:
        raise out_of_memory()
    classes = np.array(order, np.int64)
    sorting = np.argsort(classes, kind="stable")
    places = [_places(each, classes, sorting) for each in (actual, predicted)]
    known = (places[0] >= 0) & (places[1] >= 0)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (places[0][known], places[1][known]), 1)
    return ConfusionMatrix(counts, tuple(int(each) for each in classes))


def _places(
    values: NDArray[np.int64], classes: NDArray[np.int64], sorting: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the place of each value among classes, -1 where it is none."""
    if not len(classes):
        return np.full(len(values), -1)
    at = np.clip(np.searchsorted(classes[sorting], values), 0, len(classes) - 1)
    return np.where(classes[sorting][at] == values, sorting[at], -1)
