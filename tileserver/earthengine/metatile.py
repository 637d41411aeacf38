"""Metatiles: one upstream request for a block of tiles, which are then encoded one by one.

Earth Engine limits the number of requests, 40 at once, so a map view is fetched in blocks: 4x4
tiles side by side, aligned to multiples of four at their zoom. A block is fetched once however
many of its tiles are requested, and all of them go into the cache. It ends where the pyramid and
the asset's footprint end, and its side is halved until it fits the limits of getPixels; a block
that is too complex for Earth Engine is requested again in smaller ones.

A single tile (a link, a preview) brings its block too: against a stand-in that takes 300 ms and
4 ms for each 256x256 it takes 0.39 s so and 0.31 s by itself. Telling it from the first tile of a
view means waiting for a second tile; with 10 ms, on a busy machine, that came later and cost the
view one request more. Therefore no request is spent twice, and a layer whose tiles are viewed one
by one can set blocks of one tile. tests/benchmarks/earth.py measures what a view gains.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cachetools import LRUCache, TTLCache

from tileserver.caching.memory import MemoryCache
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import PixelRequest, PixelSource
from tileserver.contract.tiles import Tile, tile_grid, tile_of
from tileserver.earthengine.block_tiles import BlockTiles
from tileserver.earthengine.blocks import Block, block_of, fitting, smaller, transparent_tile
from tileserver.earthengine.masks import MASK_BYTES
from tileserver.errors import RequestTooLarge, TooComplex

_TOO_COMPLEX_S = 600.0
"""How long the smaller blocks that succeeded are used for a view that was too complex."""
_VIEWS = 4096
_UNKNOWN_SAMPLE_BYTES = 8


def _everywhere(grid: PixelGrid) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Terms:
    """Facts about an asset and layer that decide how large its blocks are and where they end."""

    tiles_per_side: int | None = None
    """Tiles on one side of a block, a power of two; 1 fetches tiles one by one, None is the
    default of `Metatiled`."""
    pixel_type: np.dtype[Any] | None = None
    """Structured, as of an NPY body: one field of the asset's own type for each band. None is
    unknown: three bands of eight bytes are assumed if the request names none."""
    covers: Callable[[PixelGrid], bool] = _everywhere
    """Whether the asset may have pixels on a grid; without any, nothing is requested. Results may
    be cached for as long as the request's asset_version stays the same."""


class Metatiled:
    """Requests blocks of tiles from `source`; passes requests for other grids through."""

    def __init__(
        self,
        memory: MemoryCache,
        source: PixelSource,
        tiles_per_side: int = 4,
        terms: Callable[[PixelRequest], Terms] = lambda request: Terms(),
    ) -> None:
        """Wrap a source.

        Args:
            memory: receives the tiles of a block; its `get` must return fresh ones only.
            source: fetches the pixels.
            tiles_per_side: of a block, a power of two, where `terms` sets none.
            terms: returns the facts about a request's asset and layer; called for each tile.
        """
        self.memory = memory
        self.source = source
        self.tiles_per_side = tiles_per_side
        self.terms = terms
        self._sides: TTLCache[Hashable, int] = TTLCache(_VIEWS, _TOO_COMPLEX_S)
        self._blocks: LRUCache[Hashable, Block] = LRUCache(_VIEWS)
        self._block_tiles = BlockTiles(memory, source)

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            UpstreamError: the answer is not the requested block.
            TileserverError: the error of `source`, raised to each request that waits for a block.
        """
        address = tile_of(request.grid) if isinstance(request.grid, PixelGrid) else None
        if address is None or request.region or not _can_be_cut(request.file_format):
            return await self.source.get_pixels(request)
        terms = self.terms(request)
        tile, size = address
        if not terms.covers(tile_grid(tile, size)):
            empty = transparent_tile(request.file_format, size, terms.pixel_type)
            return await self.source.get_pixels(request) if empty is None else empty
        return await self._tile(request, tile, size, terms)

    async def _tile(self, request: PixelRequest, tile: Tile, size: int, terms: Terms) -> bytes:
        file_format = request.file_format.of_parts or request.file_format
        view = (replace(request, grid=None, file_format=file_format), tile.z, size)
        side = self._side(request, view, size, terms)
        block = self._block(view, tile, size, side, terms)
        # Another request may have fetched the block in the meantime.
        held = self.memory.get(request)
        if held is not None:
            return held
        first = block
        while True:
            try:
                body = await self._from_block(request, tile, block)
            except (TooComplex, RequestTooLarge):
                if block.is_one_tile:
                    raise
                side, block = smaller(side, block, tile, terms.covers)
            else:
                break
        if block is not first:
            # Only if it helped, or one bad spot would break up the whole view.
            self._sides[view] = side
        return body

    def _block(self, view: Hashable, tile: Tile, size: int, side: int, terms: Terms) -> Block:
        # Testing a footprint for 16 tiles takes a millisecond; for each tile of a block, 16.
        place = (view, side, tile.x // side, tile.y // side)
        block = self._blocks.get(place)
        if block is None:
            block = self._blocks[place] = block_of(tile, size, side, terms.covers)
        return block

    def _side(self, request: PixelRequest, view: Hashable, size: int, terms: Terms) -> int:
        """Return the number of tiles on the side of a block, within the limits of getPixels."""
        side = self.tiles_per_side if terms.tiles_per_side is None else terms.tiles_per_side
        if side < 1 or side & (side - 1):
            raise ValueError(f"tiles_per_side must be 1, 2, 4, 8 …, got {side}")
        side = min(side, self._sides.get(view, side))
        return fitting(side, size, _sample_bytes(request, terms.pixel_type))

    async def _from_block(self, request: PixelRequest, tile: Tile, block: Block) -> bytes:
        file_format = request.file_format.of_parts or request.file_format
        if block.is_one_tile and file_format is request.file_format:
            return await self.source.get_pixels(request)
        upstream = replace(request, grid=block.grid, file_format=file_format)
        return await self._block_tiles.get_tile(upstream, request.file_format, block, tile)


def _can_be_cut(file_format: ImageFileFormat) -> bool:
    return file_format.row.is_of_tiles and file_format.of_parts is not None


def _sample_bytes(request: PixelRequest, pixel_type: np.dtype[Any] | None) -> tuple[int, ...]:
    masks = MASK_BYTES if request.file_format is ImageFileFormat.NPZ else 0
    if pixel_type is None or pixel_type.names is None:
        return (_UNKNOWN_SAMPLE_BYTES + masks,) * (len(request.band_ids) or 3)
    return tuple(pixel_type[name].itemsize + masks for name in pixel_type.names)
