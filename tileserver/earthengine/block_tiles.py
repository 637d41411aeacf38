"""Blocks fetched once and cut: first the tiles that somebody waits for, the others after that.

Of a block that a view only touches most tiles are wanted later or never. They are encoded when
they are asked for, or else one at a time once nobody waits, so that all that was paid for ends up
in the cache. Until then the pixels are kept, a few blocks of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Iterable
from dataclasses import replace

from tileserver.caching.memory import MemoryCache
from tileserver.concurrency.single_flight import SingleFlight
from tileserver.concurrency.threads import Threads
from tileserver.contract.pixels import ImageFileFormat, PixelRequest, PixelSource
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.earthengine.blocks import Block, Sheet, read_sheet

_MAX_KEPT_BYTES = 64_000_000
"""Pixels kept of blocks that are not all encoded; beyond it a block is encoded at once."""


class Cutting:
    """Tiles out of blocks, each block asked of `source` once and each tile encoded once."""

    def __init__(self, memory: MemoryCache, source: PixelSource) -> None:
        self.memory = memory
        self.source = source
        self._wanted: dict[Hashable, set[Tile]] = {}
        """Tiles that somebody waits for, of blocks that are on their way."""
        self._kept: dict[Hashable, _Cut] = {}
        self._bodies: SingleFlight[PixelRequest, bytes] = SingleFlight()
        self._cuts: SingleFlight[Hashable, _Cut] = SingleFlight()
        self._encodings: SingleFlight[tuple[Hashable, Tile], bytes] = SingleFlight()
        self._rests: SingleFlight[None, None] = SingleFlight()
        # More threads than processors would only make the first block as late as the last; what
        # was paid for is cut however many wait.
        self._threads = Threads(
            os.cpu_count() or 1, "blocks", max_waiting=math.inf, patience_s=math.inf
        )

    async def get_tile(
        self, asked: PixelRequest, file_format: ImageFileFormat, block: Block, tile: Tile
    ) -> bytes:
        """Return a tile of a block.

        Args:
            asked: what to ask for the whole block.
            file_format: of the tile.
            block: the tiles that `asked` covers.
            tile: the one wanted.

        Raises:
            UpstreamError: what came is not the block.
            TileserverError: what `source` raises, once for all who wait.
        """
        key = asked, file_format
        cut = self._kept.get(key)
        if cut is None:
            self._wanted.setdefault(key, set()).add(tile)
            cut = await self._cuts.join(key, lambda: self._cut(asked, file_format, block))
        body = cut.tiles.get(tile)
        return await self._encoded(cut, tile) if body is None else body

    async def _cut(self, asked: PixelRequest, file_format: ImageFileFormat, block: Block) -> _Cut:
        """Return a block of which the wanted tiles are encoded, and the others soon will be."""
        key = asked, file_format
        try:
            body = await self._bodies.join(asked, lambda: self.source.get_pixels(asked))
            sheet, tiles = await self._threads.run(
                _begin, body, block, file_format, self._wanted.get(key, ())
            )
        finally:
            self._wanted.pop(key, None)
        cut = _Cut(asked, sheet)
        for tile, encoded in tiles.items():
            self._put(cut, tile, encoded)
        if cut.left:
            await self._keep(key, cut)
        return cut

    async def _keep(self, key: Hashable, cut: _Cut) -> None:
        kept_bytes = sum(each.sheet.nbytes for each in self._kept.values())
        if kept_bytes + cut.sheet.nbytes > _MAX_KEPT_BYTES:
            await self._finish(cut)
            return
        self._kept[key] = cut
        self._rests.keep(None, self._finish_all)

    async def _finish_all(self) -> None:
        while self._kept:
            key, cut = next(iter(self._kept.items()))
            try:
                await self._finish(cut)
            finally:
                del self._kept[key]

    async def _finish(self, cut: _Cut) -> None:
        # One by one: who waits for a thread meanwhile is next.
        while cut.left:
            await self._encoded(cut, cut.left[0])

    async def _encoded(self, cut: _Cut, tile: Tile) -> bytes:
        """Return a tile, encoded now if it is not yet."""
        key = (cut.asked, cut.sheet.file_format), tile
        return await self._encodings.join(key, lambda: self._encode(cut, tile))

    async def _encode(self, cut: _Cut, tile: Tile) -> bytes:
        body = await self._threads.run(cut.sheet.encoded, tile)
        self._put(cut, tile, body)
        return body

    def _put(self, cut: _Cut, tile: Tile, body: bytes) -> None:
        cut.tiles[tile] = body
        cut.left.remove(tile)
        grid = tile_grid(tile, cut.sheet.block.size)
        request = replace(cut.asked, grid=grid, file_format=cut.sheet.file_format)
        self.memory.put(request, body)


class _Cut:
    """A block as far as it is cut."""

    def __init__(self, asked: PixelRequest, sheet: Sheet) -> None:
        self.asked = asked
        self.sheet = sheet
        self.tiles: dict[Tile, bytes] = {}
        self.left = [tile for tile, _ in sheet.block.places()]


def _begin(
    body: bytes, block: Block, file_format: ImageFileFormat, wanted: Iterable[Tile]
) -> tuple[Sheet, dict[Tile, bytes]]:
    """Return a block's pixels and the tiles wanted by now; blocks."""
    sheet = read_sheet(body, block, file_format)
    # Others may be wanted meanwhile; a tuple is made at once.
    return sheet, {tile: sheet.encoded(tile) for tile in tuple(wanted)}
