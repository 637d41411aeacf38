"""Whether two inputs lie within a polygon: an odd number of its edges beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tileserver.compute.context import check_length
from tileserver.compute.learning.models import Model, Predict
from tileserver.compute.learning.training import Matrix
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown

_MAX_EDGES = 10_000


class SpectralRegion(Model):
    """A polygon of rings in the plane of two inputs."""

    def __init__(self, rings: Sequence[Any]) -> None:
        """Take rings, each a list of alternating coordinates or of pairs of them.

        Raises:
            InvalidRequest: one is malformed.
        """
        found = [_ring(each) for each in rings]
        if not found:
            raise InvalidRequest("coordinates must have a ring at least.")
        self._starts = np.concatenate(found)
        self._ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in found])
        check_length(len(self._starts), _MAX_EDGES, "edges")
        self.row_steps = 2.0 + 0.5 * len(self._starts)

    def predictions(self, mode: str) -> Predict | None:
        """Return 1 within and 0 outside."""
        return self._inside if mode == "CLASSIFICATION" else None

    def _inside(self, rows: Matrix) -> Matrix:
        x, y = rows[:, 0], rows[:, 1]
        odd = np.zeros(len(rows), dtype=bool)
        for place, ((x0, y0), (x1, y1)) in enumerate(zip(self._starts, self._ends, strict=True)):
            if place % 100 == 0:
                check_time()
            if y0 != y1:
                beyond = x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
                odd ^= ((y0 > y) != (y1 > y)) & beyond
        return odd.astype(np.float64)


def _ring(given: Any) -> Matrix:
    try:
        numbers = np.array(given, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if len(numbers) < 6 or len(numbers) % 2 or not np.isfinite(numbers).all():
        raise InvalidRequest(
            f"A ring must have three pairs of numbers at least, got {shown(given)}."
        )
    return numbers.reshape(-1, 2)
