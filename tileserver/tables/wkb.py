"""Well-known binary and text, checked before GEOS reads them: it recurses for each nesting."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import shapely

from tileserver.errors import UnreadableRaster, shown

_MAX_DEPTH = 6
_MAX_BRACKETS = 10
"""Of text: those of a MultiPolygon in as many collections."""
_MAX_PARTS = 2_000_000
_HEADER = 5


class _Malformed(ValueError):
    """It is no WKB."""


def shape_of(blob: bytes, name: str) -> Any:
    """Return the geometry of a blob.

    Args:
        blob: WKB, or EWKB, with or without heights and measures.
        name: what to call it in an error.

    Raises:
        UnreadableRaster: it is none, or is nested too deeply.
    """
    try:
        _check_depth(blob)
        return shapely.from_wkb(blob)
    except (_Malformed, struct.error, shapely.errors.ShapelyError) as exc:
        raise UnreadableRaster(f"{name} has no valid geometry.") from exc


def shape_of_text(text: str, name: str) -> Any:
    """Return the geometry of WKT.

    Raises:
        UnreadableRaster: it is none, or is nested too deeply; `name` is what to call it.
    """
    letters = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    steps = (letters == ord("(")).astype(np.int32) - (letters == ord(")"))
    if np.cumsum(steps, dtype=np.int32).max(initial=0) > _MAX_BRACKETS:
        raise UnreadableRaster(f"{name}: the WKT is nested too deeply.")
    try:
        return shapely.from_wkt(text)
    except shapely.errors.ShapelyError as exc:
        raise UnreadableRaster(f"{name}: expected WKT, got {shown(text)}.") from exc


def _check_depth(blob: bytes) -> None:
    """Raise _Malformed if geometries are nested too deeply, or reach past the end."""
    left, at, parts = [1], 0, 0
    while left:
        if left[-1] == 0:
            left.pop()
            continue
        left[-1] -= 1
        parts += 1
        if len(left) > _MAX_DEPTH or parts > _MAX_PARTS:
            raise _Malformed
        kind, order, width, at = _header(blob, at)
        if kind >= 4:
            left.append(_count(blob, at, order))
            at += 4
        else:
            at, rings = _end(blob, at, kind, order, width)
            parts += rings
        if at > len(blob):
            raise _Malformed


def _header(blob: bytes, at: int) -> tuple[int, str, int, int]:
    """Return the kind, the order of bytes, the size of a point in bytes, and the place behind."""
    order = "<" if blob[at : at + 1] == b"\x01" else ">"
    (code,) = struct.unpack_from(f"{order}I", blob, at + 1)
    flags, plain = code >> 28, code & 0x0FFFFFFF
    kind, extra = plain % 1000, plain // 1000
    if not 1 <= kind <= 7 or extra > 3:
        raise _Malformed
    heights = bool(flags & 8) or extra in (1, 3)
    measures = bool(flags & 4) or extra in (2, 3)
    return kind, order, 8 * (2 + heights + measures), at + _HEADER + (4 if flags & 2 else 0)


def _count(blob: bytes, at: int, order: str) -> int:
    (count,) = struct.unpack_from(f"{order}I", blob, at)
    if count > len(blob):
        raise _Malformed
    return int(count)


def _end(blob: bytes, at: int, kind: int, order: str, width: int) -> tuple[int, int]:
    """Return the place behind a point, a line or a polygon, and the number of its rings."""
    if kind == 1:
        return at + width, 0
    if kind == 2:
        return at + 4 + width * _count(blob, at, order), 0
    rings = _count(blob, at, order)
    if rings > _MAX_PARTS:
        raise _Malformed
    at += 4
    for _ in range(rings):
        at += 4 + width * _count(blob, at, order)
    return at, rings
