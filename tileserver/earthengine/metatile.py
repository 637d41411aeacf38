"""One request upstream for a block of tiles, cut and encoded again without loss.

What counts at Earth Engine is the number of requests, 40 at once, so a map view is asked for in
blocks: tiles side by side, 4x4 of them, aligned to multiples of four at their zoom. A block is
asked once however many of its tiles are wanted, and all that it holds goes into the cache. It
ends where the pyramid and the asset's footprint end, and it is halved until it fits the limits
of getPixels; a block too complex for Earth Engine is asked again in smaller ones.

A tile asked alone (a link, a preview) brings its block too: against a stand-in of 300 ms and 4 ms
for each 256x256 it takes 0.39 s so and 0.31 s by itself. To tell it from the first tile of a view,
that one would have to wait for a second; tried with 10 ms, and on a busy machine the second came
later, a request too many for the view. So a quota is never spent twice, and a layer whose tiles
are looked at one by one is given blocks of one tile. What a view gains is measured in
tests/benchmarks/earth.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from tileserver.caching.memory import MemoryCache
from tileserver.contract.pixels import ImageFileFormat, PixelGrid, PixelRequest, PixelSource
from tileserver.contract.tiles import Tile, tile_grid, tile_of
from tileserver.earthengine.block_tiles import Cutting
from tileserver.earthengine.blocks import Block, block_of, fitting, nothing, smaller
from tileserver.errors import RequestTooLarge, TooComplex

_TOO_COMPLEX_S = 600.0
"""How long a view that was too complex is asked in the smaller blocks that were not."""
_VIEWS = 4096
_UNKNOWN_SAMPLE_BYTES = 8

V = TypeVar("V")


def _everywhere(grid: PixelGrid) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be known of a request's asset and layer to ask for several tiles at once."""

    tiles_per_side: int | None = None
    """Tiles on one side of a block, a power of two; 1 asks for tiles one by one. None: as set
    for all."""
    pixel_type: np.dtype[Any] | None = None
    """Structured, one field of the asset's own type for each band asked: what NPY would be.
    None: not known, three bands of eight bytes are assumed if none are named."""
    covers: Callable[[PixelGrid], bool] = _everywhere
    """Tells whether any of the asset may lie on a grid; where none does nothing is asked. What it
    says may be remembered as long as the request's asset_version stays the same."""


class Metatiled:
    """Ask `source` for blocks of tiles; what is no tile of a map passes untouched."""

    def __init__(
        self,
        memory: MemoryCache,
        source: PixelSource,
        tiles_per_side: int = 4,
        terms: Callable[[PixelRequest], Terms] = lambda request: Terms(),
    ) -> None:
        """Wrap a source.

        Args:
            memory: where the tiles of a block are put; its `get` must give fresh ones only.
            source: what is asked.
            tiles_per_side: of a block, a power of two, where `terms` does not say.
            terms: what is known of a request's asset and layer; cheap, as it is asked often.
        """
        self.memory = memory
        self.source = source
        self.tiles_per_side = tiles_per_side
        self.terms = terms
        self._sides: dict[Hashable, tuple[int, float]] = {}
        self._blocks: dict[Hashable, Block] = {}
        self._cutting = Cutting(memory, source)

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            UpstreamError: what came is not the block that was asked for.
            TileserverError: whatever `source` raises, once for all who wait for a block.
        """
        address = tile_of(request.grid) if isinstance(request.grid, PixelGrid) else None
        if address is None or request.region or not _can_be_cut(request.file_format):
            return await self.source.get_pixels(request)
        terms = self.terms(request)
        tile, size = address
        if not terms.covers(tile_grid(tile, size)):
            empty = nothing(request.file_format, size, terms.pixel_type)
            return await self.source.get_pixels(request) if empty is None else empty
        return await self._tile(request, tile, size, terms)

    async def _tile(self, request: PixelRequest, tile: Tile, size: int, terms: Terms) -> bytes:
        file_format = request.file_format.of_parts or request.file_format
        view = (replace(request, grid=None, file_format=file_format), tile.z, size)
        side = self._side(request, view, size, terms)
        block = self._block(view, tile, size, side, terms)
        # While this one was on its way here, another may have brought its block.
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
            # Only what helped, or one bad spot would break up the whole view.
            _remember(self._sides, view, (side, time.monotonic() + _TOO_COMPLEX_S))
        return body

    def _block(self, view: Hashable, tile: Tile, size: int, side: int, terms: Terms) -> Block:
        # To look at a footprint sixteen times takes a millisecond, and for all tiles sixteen.
        place = (view, side, tile.x // side, tile.y // side)
        block = self._blocks.get(place) or block_of(tile, size, side, terms.covers)
        _remember(self._blocks, place, block)
        return block

    def _side(self, request: PixelRequest, view: Hashable, size: int, terms: Terms) -> int:
        """Return how many tiles the side of a block has that getPixels allows."""
        side = self.tiles_per_side if terms.tiles_per_side is None else terms.tiles_per_side
        if side < 1 or side & (side - 1):
            raise ValueError(f"tiles_per_side must be 1, 2, 4, 8 …, got {side}")
        known, until_s = self._sides.get(view, (side, 0.0))
        if time.monotonic() < until_s:
            side = min(side, known)
        return fitting(side, size, _sample_bytes(request, terms.pixel_type))

    async def _from_block(self, request: PixelRequest, tile: Tile, block: Block) -> bytes:
        upstream = request.file_format.of_parts or request.file_format
        if block.is_one_tile and upstream is request.file_format:
            return await self.source.get_pixels(request)
        asked = replace(request, grid=block.grid, file_format=upstream)
        return await self._cutting.get_tile(asked, request.file_format, block, tile)


def _remember(of_views: dict[Hashable, V], view: Hashable, what: V) -> None:
    """Put something into a dictionary that forgets the views touched longest ago."""
    of_views.pop(view, None)
    of_views[view] = what
    if len(of_views) > _VIEWS:
        del of_views[next(iter(of_views))]


def _can_be_cut(file_format: ImageFileFormat) -> bool:
    return file_format.row.is_of_tiles and file_format.of_parts is not None


def _sample_bytes(request: PixelRequest, pixel_type: np.dtype[Any] | None) -> tuple[int, ...]:
    if pixel_type is None or pixel_type.names is None:
        return (_UNKNOWN_SAMPLE_BYTES,) * (len(request.band_ids) or 3)
    return tuple(pixel_type[name].itemsize for name in pixel_type.names)
