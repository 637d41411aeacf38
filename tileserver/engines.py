"""Two engines behind one door: local rasters for the assets they have, Earth Engine for others."""

from __future__ import annotations

from typing import Protocol

from tileserver.assets import ImageAsset
from tileserver.errors import AssetNotFound
from tileserver.pixels import BandArrays, PixelRequest


class Engine(Protocol):
    """What yields pixels, values and metadata of assets."""

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels."""
        ...

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        ...

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset, or raise AssetNotFound."""
        ...


class Engines:
    """Ask the first of two engines that has an asset."""

    def __init__(self, local: Engine, remote: Engine) -> None:
        self.local = local
        self.remote = remote

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels from the engine that has the asset."""
        return await (await self._engine(request.asset_id)).get_pixels(request)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity from the engine that has the asset."""
        return await (await self._engine(request.asset_id)).read_bands(request)

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset of either engine, or raise AssetNotFound."""
        return await (await self._engine(name)).get_asset(name)

    async def _engine(self, name: str) -> Engine:
        try:
            await self.local.get_asset(name)
        except AssetNotFound:
            return self.remote
        return self.local
