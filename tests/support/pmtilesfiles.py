"""PMTiles as the reader of its own project finds them; that reader has no types."""

from __future__ import annotations

from typing import Any

import pmtiles.reader
import pmtiles.tile

_reader: Any = pmtiles.reader
_tile: Any = pmtiles.tile
PNG: Any = _tile.TileType.PNG
UNCOMPRESSED: Any = _tile.Compression.NONE


def header_of(body: bytes) -> dict[str, Any]:
    """Return the header of a file."""
    return dict(_reader.Reader(_reader.MemorySource(body)).header())


def metadata_of(body: bytes) -> dict[str, Any]:
    """Return the metadata of a file."""
    return dict(_reader.Reader(_reader.MemorySource(body)).metadata())


def tile_in(body: bytes, z: int, x: int, y: int) -> bytes | None:
    """Return a tile of a file, None if it has none."""
    found: bytes | None = _reader.Reader(_reader.MemorySource(body)).get(z, x, y)
    return found


def tiles_in(body: bytes) -> dict[tuple[int, int, int], bytes]:
    """Return all tiles of a file by z, x and y."""
    return {tuple(address): tile for address, tile in _reader.all_tiles(_reader.MemorySource(body))}


def id_of(z: int, x: int, y: int) -> int:
    """Return the id of a tile."""
    return int(_tile.zxy_to_tileid(z, x, y))
