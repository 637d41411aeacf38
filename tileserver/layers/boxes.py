"""Boxes in degrees that have a point in common."""

from __future__ import annotations

from tileserver.contract.grids import Box


def touches(one: Box, other: Box) -> bool:
    """Tell whether two boxes in degrees have a point in common; both may cross 180 degrees."""
    if one.south > other.north or other.south > one.north:
        return False
    spans = [_spans(box) for box in (one, other)]
    return any(a[0] <= b[1] and b[0] <= a[1] for a in spans[0] for b in spans[1])


def _spans(box: Box) -> list[tuple[float, float]]:
    if box.west <= box.east:
        return [(box.west, box.east)]
    return [(box.west, 180.0), (-180.0, box.east)]
