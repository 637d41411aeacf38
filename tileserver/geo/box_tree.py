"""Which of many boxes in degrees a place touches: an STR tree of all of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import Box


class BoxTree:
    """An index of boxes in degrees, found by the boxes that they touch."""

    def __init__(self, boxes: NDArray[np.float64]) -> None:
        """Index boxes.

        Args:
            boxes: shape (n, 4): west, south, east, north; east may lie past 180.
        """
        # Late: shapely is not needed by a server without an index.
        import shapely

        past = np.flatnonzero(boxes[:, 2] > 180.0)
        # What lies past the antimeridian is a box of its own, at the other side of the map.
        every = np.concatenate([boxes, boxes[past] - [360.0, 0.0, 360.0, 0.0]])
        self._numbers = np.concatenate([np.arange(len(boxes)), past])
        self._tree = shapely.STRtree(shapely.box(*every.T))

    def touching(self, places: Iterable[Box]) -> NDArray[np.int64]:
        """Return the numbers of the boxes that touch any of some places, in ascending order.

        The places are in degrees, from -180 to 180.
        """
        import shapely

        found = [self._numbers[self._tree.query(shapely.box(*place))] for place in places]
        numbers: NDArray[np.int64] = np.unique(np.concatenate(found)) if found else np.empty(0, int)
        return numbers
