"""The short way around the Earth between neighbouring points of a line."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def jumps(x: NDArray[np.float64], turn: float) -> NDArray[np.bool_]:
    """Return where neighbours are more than half a turn apart; those of a whole turn are not.

    A step of a whole turn is an edge of a map of the world.

    Args:
        x: shape (n,), degrees or units of a CRS.
        turn: the x after which it comes round to the same place.
    """
    steps = np.abs(np.diff(x))
    found: NDArray[np.bool_] = (steps > turn / 2) & (steps != turn)
    return found


def short_way(x: NDArray[np.float64], turn: float) -> NDArray[np.float64]:
    """Return x the short way from each point to the next, the westernmost within half a turn of 0.

    Where there is no jump, x is returned as it is.
    """
    turns = np.where(jumps(x, turn), -np.round(np.diff(x) / turn), 0.0)
    if not turns.any():
        return x
    x = x + turn * np.concatenate([[0.0], np.cumsum(turns)])
    found: NDArray[np.float64] = x - turn * math.floor(x.min() / turn + 0.5)
    return found
