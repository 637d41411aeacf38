"""Well-known binary, checked before GEOS reads it: that recurses for each level of nesting."""

from __future__ import annotations

import struct
from typing import Any

import shapely

from tileserver.errors import UnreadableRaster

_MAX_DEPTH = 6
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
            at = _end(blob, at, kind, order, width)
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


def _end(blob: bytes, at: int, kind: int, order: str, width: int) -> int:
    """Return the place behind a point, a line or a polygon."""
    if kind == 1:
        return at + width
    if kind == 2:
        return at + 4 + width * _count(blob, at, order)
    rings = _count(blob, at, order)
    at += 4
    for _ in range(rings):
        at += 4 + width * _count(blob, at, order)
    return at
