"""Lines cut into dashes that lie alike in every piece of a picture.

A dash is counted from the beginning of its line, so two tiles agree where it is; of a long line
only what is near the grid is cut.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

_MOST = 200_000
"""Dashes on a piece of a picture; a line that has more there covers it anyway."""
DASHES = {"dotted": (1.0, 1.0), "dashed": (4.0, 2.0)}
"""By type of line, the lengths of a dash and of the gap after it, in widths of the line."""


def dashed(lines: BaseGeometry, on: float, off: float, near: BaseGeometry) -> BaseGeometry:
    """Return the dashes of lines within the bounds of a geometry; the lines if there are too many.

    Args:
        lines: a line or several.
        on: length of a dash in units of the CRS, above zero.
        off: length of a gap.
        near: dashes outside its bounds may be left out.
    """
    dashes = [np.empty((0, 2, 2))]
    left = _MOST
    for line in shapely.get_parts(lines):
        ends = _of_line(shapely.get_coordinates(line), on, off, near, left)
        if ends is None:
            return lines
        left -= len(ends)
        dashes.append(ends)
    return shapely.MultiLineString(list(np.concatenate(dashes)))


def _of_line(
    points: NDArray[np.float64], on: float, off: float, near: BaseGeometry, most: int
) -> NDArray[np.float64] | None:
    """Return the ends of the straight pieces of dashes, shape (count, 2, 2); None if too many."""
    starts, steps = points[:-1], np.diff(points, axis=0)
    lengths = np.hypot(*steps.T)
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    enter, leave = _within(starts, steps, near.bounds)
    kept = (enter < leave) & (lengths > 0)
    starts, steps, lengths, before = starts[kept], steps[kept], lengths[kept], before[kept]
    first, last = before + enter[kept] * lengths, before + leave[kept] * lengths
    low = np.floor(first / (on + off)).astype(np.int64)
    counts = np.floor(last / (on + off)).astype(np.int64) - low + 1
    if counts.sum() > most:
        return None
    which = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + low[which]
    begin = np.maximum(number * (on + off), first[which])
    end = np.minimum(number * (on + off) + on, last[which])
    ends = np.stack([begin, end], axis=1)[begin < end]
    which = which[begin < end]
    share = (ends - before[which, np.newaxis]) / lengths[which, np.newaxis]
    found: NDArray[np.float64] = (
        starts[which, np.newaxis] + share[..., np.newaxis] * (steps[which, np.newaxis])
    )
    return found


def _within(
    starts: NDArray[np.float64], steps: NDArray[np.float64], box: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return between which shares of its length each straight piece is within a box."""
    enter, leave = np.zeros(len(starts)), np.ones(len(starts))
    for axis in range(2):
        start, step = starts[:, axis], steps[:, axis]
        moves = step != 0
        safe = np.where(moves, step, 1.0)
        sides = np.stack([(box[axis] - start) / safe, (box[axis + 2] - start) / safe])
        inside = (start >= box[axis]) & (start <= box[axis + 2])
        nearer = np.where(moves, sides.min(axis=0), np.where(inside, 0.0, 1.0))
        farther = np.where(moves, sides.max(axis=0), np.where(inside, 1.0, 0.0))
        enter, leave = np.maximum(enter, nearer), np.minimum(leave, farther)
    return enter, leave
