"""The first zoom whose tiles show all files that lie on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.tiles import HALF_WORLD_M, mercator_ys

_MAX_ZOOM = 10
"""The last zoom whose tiles are counted; it has a million."""


def complete_from(boxes: NDArray[np.float64], most: int) -> int | None:
    """Return the first zoom at which no tile touches more than so many boxes, or None.

    Args:
        boxes: shape (n, 4) in degrees; east may lie past 180.
        most: boxes.
    """
    if len(boxes) <= most:
        return 0
    past = boxes[boxes[:, 2] > 180.0] - [360.0, 0.0, 360.0, 0.0]
    west, south, east, north = np.concatenate([boxes, past]).T
    lefts, rights = (np.clip((x + 180) / 360, 0, 1) for x in (west, east))
    tops, bottoms = _down(north), _down(south)
    for zoom in range(_MAX_ZOOM + 1):
        if _most_in_a_tile(lefts, tops, rights, bottoms, 2**zoom) <= most:
            return zoom
    return None


def _down(latitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far down the map latitudes are, 0 to 1."""
    return np.clip(0.5 - mercator_ys(latitudes) / (2 * HALF_WORLD_M), 0, 1)


def _most_in_a_tile(
    lefts: NDArray[np.float64],
    tops: NDArray[np.float64],
    rights: NDArray[np.float64],
    bottoms: NDArray[np.float64],
    side: int,
) -> int:
    """Return the largest number of boxes that one of `side` x `side` tiles touches."""
    first_x, last_x, first_y, last_y = (
        np.minimum((each * side).astype(np.int64), side - 1)
        for each in (lefts, rights, tops, bottoms)
    )
    # Where boxes begin and end, summed along both axes, is how many there are.
    width = side + 1
    starts = [first_y * width + first_x, (last_y + 1) * width + last_x + 1]
    ends = [first_y * width + last_x + 1, (last_y + 1) * width + first_x]
    changes = np.zeros(width**2, np.int64)
    for each in starts:
        changes += np.bincount(each, minlength=width**2)
    for each in ends:
        changes -= np.bincount(each, minlength=width**2)
    return int(changes.reshape(width, width).cumsum(axis=0).cumsum(axis=1).max())
