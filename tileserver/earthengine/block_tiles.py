"""The tiles of blocks: each block is fetched once and each of its tiles encoded once.

Tiles that requests wait for are encoded first. A view only touches most of its outer blocks, whose
other tiles are wanted later or never: they are encoded on request, or else one at a time once no
request waits, so that all pixels that were paid for end up in the cache. Until then the decoded
pixels of a few blocks are kept.
"""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Iterable
from dataclasses import replace

from tileserver.caching.memory import MemoryCache
from tileserver.concurrency.single_flight import SingleFlight
from tileserver.concurrency.threads import Threads
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest, PixelSource
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.earthengine.blocks import Block, DecodedBlock, decode_block

_MAX_KEPT_BYTES = 64_000_000
"""Decoded pixels of blocks with tiles still to encode; beyond it a block is encoded at once."""


class BlockTiles:
    """Fetches blocks from `source`, and puts their encoded tiles into the memory cache."""

    def __init__(
        self, memory: MemoryCache, source: PixelSource, max_kept_bytes: int = _MAX_KEPT_BYTES
    ) -> None:
        """`max_kept_bytes` is of decoded blocks whose remaining tiles are yet to be encoded."""
        self.memory = memory
        self.source = source
        self.max_kept_bytes = max_kept_bytes
        self._wanted: dict[Hashable, set[Tile]] = {}
        """Tiles that requests wait for, of blocks that are being fetched."""
        self._kept: dict[Hashable, _Entry] = {}
        self._bodies: SingleFlight[PixelRequest, bytes] = SingleFlight()
        self._fetches: SingleFlight[Hashable, _Entry] = SingleFlight()
        self._encodings: SingleFlight[tuple[Hashable, Tile], bytes] = SingleFlight()
        self._rests: SingleFlight[None, None] = SingleFlight()
        # More threads than processors would only make the first block as late as the last. The
        # queue has no limit: these pixels have been paid for.
        self._threads = Threads(
            os.cpu_count() or 1, "blocks", max_waiting=math.inf, patience_s=math.inf
        )

    async def get_tile(
        self, upstream: PixelRequest, file_format: ImageFileFormat, block: Block, tile: Tile
    ) -> bytes:
        """Return an encoded tile of a block.

        Args:
            upstream: the request for the whole block.
            file_format: of the tile.
            block: the tiles that `upstream` covers.
            tile: one of them.

        Raises:
            UpstreamError: the answer is not the block.
            TileserverError: the error of `source`, raised to each waiting request.
        """
        key = upstream, file_format
        entry = self._kept.get(key)
        if entry is None:
            self._wanted.setdefault(key, set()).add(tile)
            entry = await self._fetches.join(key, lambda: self._fetch(upstream, file_format, block))
        body = entry.tiles.get(tile)
        return await self._encoded(entry, tile) if body is None else body

    async def _fetch(
        self, upstream: PixelRequest, file_format: ImageFileFormat, block: Block
    ) -> _Entry:
        """Return a block whose wanted tiles are encoded; the others follow."""
        key = upstream, file_format
        try:
            body = await self._bodies.join(upstream, lambda: self.source.get_pixels(upstream))
            decoded, tiles = await self._threads.run(
                _decode, body, block, file_format, self._wanted.get(key, ())
            )
        finally:
            self._wanted.pop(key, None)
        entry = _Entry(upstream, decoded)
        for tile, encoded in tiles.items():
            self._put(entry, tile, encoded)
        if entry.left:
            await self._keep(key, entry)
        return entry

    async def _keep(self, key: Hashable, entry: _Entry) -> None:
        kept_bytes = sum(each.decoded.nbytes for each in self._kept.values())
        if kept_bytes + entry.decoded.nbytes > self.max_kept_bytes:
            await self._finish(entry)
            return
        self._kept[key] = entry
        self._rests.keep(None, self._finish_all)

    async def _finish_all(self) -> None:
        while self._kept:
            key, entry = next(iter(self._kept.items()))
            try:
                await self._finish(entry)
            finally:
                del self._kept[key]

    async def _finish(self, entry: _Entry) -> None:
        # One by one: a request that waits for a thread meanwhile is next.
        while entry.left:
            await self._encoded(entry, entry.left[0])

    async def _encoded(self, entry: _Entry, tile: Tile) -> bytes:
        """Return a tile, encoding it if that is not done yet."""
        key = (entry.upstream, entry.decoded.file_format), tile
        return await self._encodings.join(key, lambda: self._encode(entry, tile))

    async def _encode(self, entry: _Entry, tile: Tile) -> bytes:
        body = await self._threads.run(entry.decoded.encode_tile, tile)
        self._put(entry, tile, body)
        return body

    def _put(self, entry: _Entry, tile: Tile, body: bytes) -> None:
        entry.tiles[tile] = body
        entry.left.remove(tile)
        grid = tile_grid(tile, entry.decoded.block.size)
        request = replace(entry.upstream, grid=grid, file_format=entry.decoded.file_format)
        self.memory.put(request, body)


class _Entry:
    """A decoded block, and which of its tiles are encoded."""

    def __init__(self, upstream: PixelRequest, decoded: DecodedBlock) -> None:
        self.upstream = upstream
        self.decoded = decoded
        self.tiles: dict[Tile, bytes] = {}
        self.left = [tile for tile, _ in decoded.block.places()]


def _decode(
    body: bytes, block: Block, file_format: ImageFileFormat, wanted: Iterable[Tile]
) -> tuple[DecodedBlock, dict[Tile, bytes]]:
    """Return a decoded block, and the encoded tiles that are wanted by now; blocks."""
    decoded = decode_block(body, block, file_format)
    # The event loop may add to `wanted` meanwhile; a tuple is made at once.
    return decoded, {tile: decoded.encode_tile(tile) for tile in tuple(wanted)}
