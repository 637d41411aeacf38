"""Several engines behind one door: local rasters, expressions computed here, Earth Engine."""

from __future__ import annotations

from collections.abc import Mapping

from tileserver.contract.assets import ImageAsset
from tileserver.contract.engine import Engine
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.errors import AssetNotFound

EXPRESSIONS = "/expressions/"
"""In the names made up for images that are computed: `projects/P/expressions/NAME`."""


class Engines:
    """Ask for each name the engine that has it.

    Names below local prefixes are local rasters; those made up for layers that are computed have
    an engine each, those made up for other expressions are computed here; all others are Earth
    Engine's, if it is there.
    """

    def __init__(
        self,
        local_prefixes: tuple[str, ...],
        local: Engine,
        computing: Engine,
        remote: Engine | None = None,
        named: Mapping[str, Engine] | None = None,
    ) -> None:
        """Put engines behind one door.

        Args:
            local_prefixes: what the names of local rasters begin with.
            local: has the local rasters.
            computing: computes expressions.
            remote: Earth Engine, or None.
            named: who has the names made up for layers.
        """
        self.local_prefixes = local_prefixes
        self.local = local
        self.computing = computing
        self.remote = remote
        self.named = named or {}

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
        if name.startswith(self.local_prefixes):
            return self.local
        if name in self.named:
            return self.named[name]
        if EXPRESSIONS in name:
            return self.computing
        if self.remote is None:
            raise AssetNotFound(name)
        return self.remote
