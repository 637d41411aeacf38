"""When the files of a mosaic were taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import Box
from tileserver.contract.pixels import Taken
from tileserver.mosaics.snapshots import Snapshot

_DAY_S = 86400.0


def taken(snapshot: Snapshot, box: Box | None) -> Taken:
    """Return the times of the files that touch a box in degrees, or of all; blocks."""
    members = snapshot.members
    numbers = np.arange(len(members)) if box is None else snapshot.places.touching(_parts(box))
    numbers = numbers[np.isfinite(members.starts_s[numbers])]
    starts_s, boxes = members.starts_s[numbers], members.boxes[numbers]
    return Taken(np.unique(starts_s), len(numbers), _is_by_day(starts_s, boxes))


def _parts(box: Box) -> list[Box]:
    """Return a box, or the two on either side of the antimeridian."""
    if box.west <= box.east:
        return [box]
    return [box._replace(east=180.0), box._replace(west=-180.0)]


def _is_by_day(starts_s: NDArray[np.float64], boxes: NDArray[np.float64]) -> bool:
    """Return whether files of one place were taken on different days."""
    if (starts_s % _DAY_S == 0).all():
        return True
    days = np.floor(starts_s / _DAY_S)
    times = np.unique(np.column_stack([boxes, days, starts_s]), axis=0)
    return len(np.unique(times[:, :-1], axis=0)) == len(times)
