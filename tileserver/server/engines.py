"""One engine in front of all others, which hands requests on by the names of their assets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tileserver.contract.assets import ImageAsset
from tileserver.contract.engine import Engine
from tileserver.contract.grids import Box
from tileserver.contract.mounts import Mounts
from tileserver.contract.pixels import BandArrays, Moment, PixelRequest, Taken
from tileserver.contract.times import epoch_s
from tileserver.mosaics.engine import Mosaics
from tileserver.processing.engine import Processed


class Engines:
    """An engine that hands each request to another one, by the longest prefix of its name.

    All methods raise AssetNotFound for a name without an engine.
    """

    def __init__(self, mounts: Mounts[Engine]) -> None:
        self.mounts = mounts
        self._processed = Processed(_Unprocessed(mounts), self._resamples)

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels."""
        if request.processing is not None:
            return await self._processed.get_pixels(request)
        return await self.mounts.find(request.asset_id).get_pixels(request)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        if request.processing is not None:
            return await self._processed.read_bands(request)
        return await self.mounts.find(request.asset_id).read_bands(request)

    async def get_asset(self, name: str) -> ImageAsset:
        """Return the asset of a full name."""
        return await self.mounts.find(name).get_asset(name)

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the asset that `get_asset` would return without waiting, else None."""
        return self.mounts.find(name).known_asset(name)

    async def read_series(self, request: PixelRequest) -> Sequence[Moment]:
        """Return the pixels of each file of an image, by time; of one of a single file, its own."""
        engine = self.mounts.find(request.asset_id)
        if isinstance(engine, Mosaics):
            return await engine.read_series(request)
        asset = await engine.get_asset(request.asset_id)
        return [Moment(asset.name, asset.start_time, await self.read_bands(request))]

    async def read_times(self, name: str, version: str, box: Box | None) -> Taken:
        """Return when the files of an image were taken; of one of a single file, its own time."""
        engine = self.mounts.find(name)
        if isinstance(engine, Mosaics):
            return await engine.read_times(name, version, box)
        start_s = epoch_s((await engine.get_asset(name)).start_time)
        starts_s = np.array([start_s] if np.isfinite(start_s) else [])
        return Taken(starts_s, len(starts_s), is_by_day=False)

    def _resamples(self, name: str) -> bool:
        return getattr(self.mounts.find(name), "resamples", False)


class _Unprocessed:
    """The engines behind the names, which read bands as `Processed` asks for them."""

    def __init__(self, mounts: Mounts[Engine]) -> None:
        self.mounts = mounts

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels."""
        return await self.mounts.find(request.asset_id).get_pixels(request)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        return await self.mounts.find(request.asset_id).read_bands(request)

    async def get_asset(self, name: str) -> ImageAsset:
        """Return the asset of a full name."""
        return await self.mounts.find(name).get_asset(name)

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the asset that `get_asset` would return without waiting, else None."""
        return self.mounts.find(name).known_asset(name)
