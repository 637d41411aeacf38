"""The engine of processing: reads bands by another engine, works on them, and draws the result.

request ─► bands of the other engine, on the grid with a margin ─► steps ─► encode ─► bytes
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tileserver.concurrency.cores import cores
from tileserver.concurrency.threads import Threads
from tileserver.contract.assets import ImageAsset
from tileserver.contract.engine import Engine
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.processing import Processing
from tileserver.errors import AssetChanged
from tileserver.geo.completion import complete
from tileserver.processing.drawing import drawn
from tileserver.processing.lattices import lattice_of
from tileserver.processing.makers import Maker, maker_of
from tileserver.processing.similarity import BySimilarity
from tileserver.processing.vectors import Vectors
from tileserver.rasters.masking import mask_value


class Processed:
    """A `PixelSource` and `BandSource` of requests that ask for processing."""

    def __init__(self, engine: Engine, resamples: Callable[[str], bool]) -> None:
        """Process the bands that an engine reads.

        Args:
            engine: has the bands.
            resamples: whether it does the `reading` part of processing itself, for an asset.
        """
        self.engine = engine
        self.resamples = resamples
        self._vectors = Vectors()
        self._threads = Threads(cores() + 1, "requests for processing")

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            InvalidRequest: the steps do not fit the asset.
            AssetChanged: the asset is of another version than the request.
            TileserverError: as the engine that reads raises them.
        """
        if request.processing == _reading(request) and self.resamples(request.asset_id):
            return await self.engine.get_pixels(request)
        asset = await self._asset(request)
        grid = complete(request, asset)
        bands = await self._bands(request, asset, grid)
        options, file_format = request.visualization_options, request.file_format

        return await self._threads.run(
            lambda made: drawn(made, grid, file_format, options, request.processing), bands
        )

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid; raises as `get_pixels`."""
        asset = await self._asset(request)
        return await self._bands(request, asset, complete(request, asset))

    async def _asset(self, request: PixelRequest) -> ImageAsset:
        asset = await self.engine.get_asset(request.asset_id)
        if request.asset_version not in ("", asset.version):
            raise AssetChanged(request.asset_id)
        return asset

    async def _bands(self, request: PixelRequest, asset: ImageAsset, grid: PixelGrid) -> BandArrays:
        """Return the bands of a request on its complete grid, made by its steps."""
        bands = await self._made(request, asset, grid)
        area = request.processing.clip if request.processing else None
        if area is None:
            return bands

        def within(whole: BandArrays) -> BandArrays:
            # Late, and beside the event loop: shapely and the evaluator take 0.2 s.
            from tileserver.processing.clipping import clipped

            return clipped(whole, grid, area)

        return await self._threads.run(within, bands)

    async def _made(self, request: PixelRequest, asset: ImageAsset, grid: PixelGrid) -> BandArrays:
        """Return the bands of a request, whatever the area."""
        processing = request.processing
        maker = await self._maker(request, asset)
        if maker is None:
            bands = await self._read(request, asset, grid)
            return _unscaled(bands, processing, asset)
        wide = _widened(grid, maker.margin_px)
        bands = await self._read(replace(request, band_ids=maker.band_ids), asset, wide)

        def made(read: BandArrays) -> BandArrays:
            return _named(maker.make(_unscaled(read, processing, asset), wide), processing)

        return await self._threads.run(made, bands)

    async def _maker(self, request: PixelRequest, asset: ImageAsset) -> Maker | None:
        """Return the maker of the bands of a request; None if they stay as they are."""
        steps, band_ids = request.processing, request.band_ids
        if steps is not None and steps.like is not None:
            vector = await self._vectors.find(request, asset, self.read_bands)
            return BySimilarity(band_ids or asset.band_ids, vector, steps.threshold)
        return await self._threads.run(lambda each: maker_of(steps, asset, each), band_ids)

    async def _read(self, request: PixelRequest, asset: ImageAsset, grid: PixelGrid) -> BandArrays:
        """Return bands as they are read on a grid."""
        reading = _reading(request)
        wanted = replace(request, grid=grid, region=None, processing=reading)
        if reading is None or self.resamples(request.asset_id):
            return await self.engine.read_bands(wanted)
        lattice = await self._threads.run(
            lambda each: lattice_of(each, asset, request.band_ids, reading), grid
        )
        plain = replace(wanted, processing=None, grid=lattice.grid if lattice else grid)
        bands = await self.engine.read_bands(plain)
        if reading.nodata is not None:
            mask_value(bands.values, bands.valid, reading.nodata)
        return await self._threads.run(lattice.resampled, bands) if lattice else bands


def _reading(request: PixelRequest) -> Processing | None:
    return None if request.processing is None else request.processing.reading


def _widened(grid: PixelGrid, margin_px: int) -> PixelGrid:
    if not margin_px:
        return grid
    sides = grid.width + 2 * margin_px, grid.height + 2 * margin_px
    return grid.window(Window(-margin_px, -margin_px, *sides))


def _named(bands: BandArrays, processing: Processing | None) -> BandArrays:
    assert processing is not None
    return replace(bands, ids=processing.makes or bands.ids)


def _unscaled(bands: BandArrays, processing: Processing | None, asset: ImageAsset) -> BandArrays:
    """Return value * scale + offset of each band, as its file has these."""
    if processing is None or not processing.unscale:
        return bands
    notes = [band.notes for band in asset.select(bands.ids)]
    values = np.empty(bands.values.shape, np.float64)
    for made, stored, note in zip(values, bands.values, notes, strict=True):
        np.multiply(stored, 1.0 if note.scale is None else note.scale, out=made)
        made += note.offset or 0.0
    return replace(bands, values=values, dtypes=())
