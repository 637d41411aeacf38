"""PMTiles 3: the tiles of an area as one file that is read by ranges.

https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md. All integers are little-endian.

    header, 127 bytes | root directory | metadata, JSON | leaf directories | tiles
"""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import Box
from tileserver.contract.tiles import Tile

TILE_TYPES = {
    ImageFileFormat.PNG: 2,
    ImageFileFormat.JPEG: 3,
    ImageFileFormat.WEBP: 4,
    ImageFileFormat.AVIF: 5,
}
"""The formats of tiles that a file can have, and their numbers in its header."""
MEDIA_TYPE = "application/vnd.pmtiles"

_HEADER = struct.Struct("<7sB 8Q 3Q 4B BB 4i B2i")
_NONE, _GZIP = 1, 2
_MAX_ROOT_BYTES = 16384 - _HEADER.size
_LEAF_ENTRIES = 4096


class Entry(NamedTuple):
    """Tiles with consecutive ids and the same bytes, or a leaf directory if `run` is 0."""

    tile_id: int
    offset: int
    length: int
    run: int


def tile_id(tile: Tile) -> int:
    """Return the place of a tile on the Hilbert curves of all zooms.

    >>> [tile_id(Tile(*each)) for each in ((0, 0, 0), (0, 0, 1), (1, 1, 1), (0, 0, 2))]
    [0, 1, 3, 5]
    """
    x, y, zoom = tile
    place, side = int(((1 << 2 * zoom) - 1) // 3), (1 << zoom) >> 1
    while side:
        right, lower = bool(x & side), bool(y & side)
        place += side * side * ((3 * right) ^ lower)
        if not lower:
            if right:
                x, y = side - 1 - x, side - 1 - y
            x, y = y, x
        side >>= 1
    return place


def write_pmtiles(
    tiles: Iterable[tuple[Tile, bytes]],
    file_format: ImageFileFormat,
    bounds: Box,
    center: tuple[float, float, int],
    metadata: Mapping[str, Any],
) -> bytes:
    """Return a file of tiles, of which equal ones are kept once.

    Args:
        tiles: the tiles, at least one, each once.
        file_format: one of `TILE_TYPES`.
        bounds: in degrees, west below east.
        center: longitude, latitude and zoom of a first view.
        metadata: such as "name" and "attribution".
    """
    listed = sorted(tiles, key=lambda pair: tile_id(pair[0]))
    entries, data = _entries([(tile_id(tile), body) for tile, body in listed])
    root, leaves = _directories(entries)
    described = gzip.compress(json.dumps(dict(metadata), ensure_ascii=False).encode(), mtime=0)
    zooms = [tile.z for tile, _ in listed]
    lengths = [len(part) for part in (root, described, leaves, data)]
    starts = [_HEADER.size + sum(lengths[:place]) for place in range(4)]
    header = _HEADER.pack(
        b"PMTiles",
        3,
        *(number for pair in zip(starts, lengths, strict=True) for number in pair),
        len(listed),
        len(entries),
        len({entry.offset for entry in entries}),
        1,
        _GZIP,
        _NONE,
        TILE_TYPES[file_format],
        min(zooms),
        max(zooms),
        *(round(degrees * 1e7) for degrees in bounds),
        center[2],
        *(round(degrees * 1e7) for degrees in center[:2]),
    )
    return header + root + described + leaves + data


def _entries(tiles: Sequence[tuple[int, bytes]]) -> tuple[list[Entry], bytes]:
    """Return the directory's entries, by id, and the bytes of all tiles."""
    entries: list[Entry] = []
    parts: list[bytes] = []
    places: dict[bytes, tuple[int, int]] = {}
    end = 0
    for number, body in tiles:
        digest = hashlib.sha256(body).digest()
        if digest not in places:
            places[digest] = end, len(body)
            parts.append(body)
            end += len(body)
        last = entries[-1] if entries else None
        if last and last[1:3] == places[digest] and last.tile_id + last.run == number:
            entries[-1] = last._replace(run=last.run + 1)
        else:
            entries.append(Entry(number, *places[digest], 1))
    return entries, b"".join(parts)


def _directories(entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    """Return the root directory, within its limit, and the leaves that it refers to, if any."""
    root = _directory(entries)
    if len(root) <= _MAX_ROOT_BYTES:
        return root, b""
    pointers, leaves = [], b""
    for start in range(0, len(entries), _LEAF_ENTRIES):
        leaf = _directory(entries[start : start + _LEAF_ENTRIES])
        pointers.append(Entry(entries[start].tile_id, len(leaves), len(leaf), 0))
        leaves += leaf
    return _directory(pointers), leaves


def _directory(entries: Sequence[Entry]) -> bytes:
    numbers = [len(entries)]
    ids = [entry.tile_id for entry in entries]
    numbers += [after - before for before, after in zip([0, *ids], ids, strict=False)]
    numbers += [entry.run for entry in entries]
    numbers += [entry.length for entry in entries]
    end = -1
    for entry in entries:
        # 0 says that a tile follows the one before.
        numbers.append(0 if entry.offset == end else entry.offset + 1)
        end = entry.offset + entry.length
    return gzip.compress(b"".join(map(_varint, numbers)), mtime=0)


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
