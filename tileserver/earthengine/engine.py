"""Earth Engine as an engine: pixels within its quota, metadata and values."""

from __future__ import annotations

from dataclasses import replace

from tileserver.concurrency.limited_calls import ShortCalls
from tileserver.contract.assets import ImageAsset
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import BandArrays, PixelRequest, PixelSource, check_limits
from tileserver.earthengine.assets import EarthAssets
from tileserver.earthengine.masks import MASK_BYTES, masked_bands, masked_request
from tileserver.geo.completion import complete


class EarthRasters:
    """The pixels, assets and bands of Earth Engine; an `Engine`."""

    def __init__(self, assets: EarthAssets, tiles: PixelSource, values: PixelSource) -> None:
        """Combine the parts of an engine.

        Args:
            assets: the metadata.
            tiles: source of pictures and map tiles.
            values: source of the bands of queries.
        """
        self.assets = assets
        self.tiles = tiles
        self.values = values
        self.geometry = ShortCalls()

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises the errors of `tiles`."""
        if request.file_format is ImageFileFormat.NPZ:
            # Its masks are found by the ids of the bands.
            asset = await self.assets.get_asset(request.asset_id)
            chosen = tuple(band.id for band in asset.select(request.band_ids))
            request = replace(request, band_ids=chosen)
        return await self.tiles.get_pixels(self._computed(request))

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset; raises AssetNotFound, or Earth Engine's error."""
        return await self.assets.get_asset(name)

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return an asset that is in memory and need not be asked for again yet, else None."""
        return self.assets.current(name)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid, with a single request."""
        asset = await self.assets.get_asset(request.asset_id)
        bands = asset.select(request.band_ids)
        grid = await self.geometry.call(complete, request, asset)
        sample_bytes = [size for band in bands for size in (band.dtype.itemsize, MASK_BYTES)]
        check_limits(grid.width, grid.height, sample_bytes)
        chosen = [band.id for band in bands]
        asked = masked_request(self._computed(request), grid, chosen)
        return masked_bands(await self.values.get_pixels(asked), grid, chosen)

    def _computed(self, request: PixelRequest) -> PixelRequest:
        """Return the request, with the expression if its asset is a computed image."""
        computed = self.assets.computed.get(request.asset_id)
        return request if computed is None else replace(request, expression=computed.expression)
