"""The engine of processing: reads bands by another engine, works on them, and draws the result.

request ─► bands of the other engine, on the grid with a margin ─► steps ─► encode ─► bytes
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from tileserver.concurrency.cores import cores
from tileserver.concurrency.threads import Threads
from tileserver.contract.engine import Engine
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.processing import Processing
from tileserver.geo.completion import complete
from tileserver.processing.lattices import Lattice, lattice_of
from tileserver.rendering.encoders import encode
from tileserver.rendering.render import check_options

T = TypeVar("T")


class Processed:
    """A `PixelSource` and `BandSource` of requests that ask for processing."""

    def __init__(self, engine: Engine, resamples: Callable[[str], bool]) -> None:
        """Process what an engine reads.

        Args:
            engine: has the bands.
            resamples: whether it does the `reading` part of processing itself, for an asset.
        """
        self.engine = engine
        self.resamples = resamples
        self._threads = Threads(cores() + 1, "requests for processing")

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            InvalidRequest: the steps do not fit the asset.
            TileserverError: as the engine that reads raises them.
        """
        processing = request.processing
        if processing == _reading(processing) and self.resamples(request.asset_id):
            return await self.engine.get_pixels(request)
        grid = await self._grid(request)
        options, file_format = request.visualization_options, request.file_format
        bands = await self._read(request, grid)
        if file_format.is_picture or options is not None:
            check_options(options, len(bands.ids))
        return await self._threads.run(lambda made: encode(file_format, made, grid, options), bands)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid; raises as `get_pixels`."""
        return await self._read(request, await self._grid(request))

    async def _grid(self, request: PixelRequest) -> PixelGrid:
        return complete(request, await self.engine.get_asset(request.asset_id))

    async def _read(self, request: PixelRequest, grid: PixelGrid) -> BandArrays:
        """Return bands as they are read on a grid."""
        reading = _reading(request.processing)
        wanted = replace(request, grid=grid, region=None, processing=reading)
        if reading is None or self.resamples(request.asset_id):
            return await self.engine.read_bands(wanted)
        asset = await self.engine.get_asset(request.asset_id)
        lattice = await self._threads.run(
            lambda each: lattice_of(each, asset, request.band_ids, reading), grid
        )
        if lattice is None:
            return await self.engine.read_bands(replace(wanted, processing=None))
        return await self._resampled(wanted, lattice)

    async def _resampled(self, wanted: PixelRequest, lattice: Lattice) -> BandArrays:
        neighbours = replace(wanted, grid=lattice.grid, processing=None)
        bands = await self.engine.read_bands(neighbours)
        return await self._threads.run(lattice.resampled, bands)


def _reading(processing: Processing | None) -> Processing | None:
    return None if processing is None else processing.reading
