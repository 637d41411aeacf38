"""Two engines behind one door: local rasters below their prefixes, Earth Engine elsewhere."""

from __future__ import annotations

from typing import Protocol

from tileserver.assets import ImageAsset
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
    """Ask for names below certain prefixes one engine, for all others another."""

    def __init__(self, local_prefixes: tuple[str, ...], local: Engine, remote: Engine) -> None:
        self.local_prefixes = local_prefixes
        self.local = local
        self.remote = remote

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels from the engine that has the asset."""
        return await self._engine(request.asset_id).get_pixels(request)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity from the engine that has the asset."""
        return await self._engine(request.asset_id).read_bands(request)

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset of either engine, or raise AssetNotFound."""
        return await self._engine(name).get_asset(name)

    def _engine(self, name: str) -> Engine:
        return self.local if name.startswith(self.local_prefixes) else self.remote
