"""What yields pixels, values and metadata of assets."""

from __future__ import annotations

from typing import Protocol

from tileserver.contract.assets import ImageAsset
from tileserver.contract.pixels import BandArrays, PixelRequest


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

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the asset that `get_asset` would return without waiting, else None."""
        ...
