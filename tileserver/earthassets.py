"""Earth Engine's metadata as image assets, looked at again now and then.

The updateTime of an asset is its version: when it changes, so do the keys of all its tiles.
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from tileserver.assets import ImageAsset, Level
from tileserver.cache import SingleFlight
from tileserver.errors import AssetNotFound, TileserverError, UpstreamError
from tileserver.pixels import PixelGrid
from tileserver.wire import grid_from_json

POLL_S = 60.0
"""Age after which an asset's metadata is asked for again; a metadata read costs no compute."""
MAX_SAMPLES = 262_144
"""Pixels a band that statistics ask for: they cost compute, and 512 x 512 tell enough."""
_MISSING_S = 15.0
_MAX_ASSETS = 10_000

log = logging.getLogger(__name__)


class MetadataSource(Protocol):
    """What can be asked for an EarthEngineAsset."""

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset, or raise AssetNotFound."""
        ...


class EarthAssets:
    """Assets by name: asked for once, then kept, and refreshed behind the back of requests."""

    def __init__(
        self,
        source: MetadataSource,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.poll_s = poll_s
        self.clock = clock
        self._held: dict[str, tuple[ImageAsset | AssetNotFound, float]] = {}
        self._flights: SingleFlight[str, ImageAsset] = SingleFlight()
        self._refreshes: set[asyncio.Task[None]] = set()

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset as it was at most a moment ago.

        Raises:
            AssetNotFound: there is none, or none the credentials may read.
            UpstreamError: what it is cannot be drawn, or Earth Engine failed.
        """
        held = self._held.get(name)
        if held is None:
            return await self._flights.join(name, lambda: self._ask(name))
        found, asked_s = held
        age_s = self.clock() - asked_s
        if isinstance(found, AssetNotFound):
            if age_s < _MISSING_S:
                raise AssetNotFound(name)
            return await self._flights.join(name, lambda: self._ask(name))
        if age_s >= self.poll_s:
            self._refresh(name)
        return found

    def known(self, name: str) -> ImageAsset | None:
        """Return an asset that was asked for before, or None; asks nothing."""
        found = self._held.get(name, (None,))[0]
        return found if isinstance(found, ImageAsset) else None

    def _refresh(self, name: str) -> None:
        task = asyncio.create_task(self._try(name))
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)

    async def _try(self, name: str) -> None:
        try:
            await self._flights.join(name, lambda: self._ask(name))
        except TileserverError as exc:
            # What is held goes on being served; tell of it, and do not ask at each tile.
            log.warning("%s: its metadata could not be read again: %s", name, exc)
            found, _ = self._held[name]
            self._held[name] = (found, self.clock())

    async def _ask(self, name: str) -> ImageAsset:
        try:
            asset = asset_from_json(await self.source.get_asset(name))
        except AssetNotFound as exc:
            self._hold(name, exc)
            raise
        held = self._held.get(name)
        if held and isinstance(held[0], ImageAsset) and held[0].version == asset.version:
            asset = held[0]
        self._hold(name, asset)
        return asset

    def _hold(self, name: str, found: ImageAsset | AssetNotFound) -> None:
        if len(self._held) >= _MAX_ASSETS and name not in self._held:
            del self._held[next(iter(self._held))]
        self._held[name] = (found, self.clock())


def asset_from_json(members: Mapping[str, Any]) -> ImageAsset:
    """Return the image that an EarthEngineAsset describes.

    Raises:
        UpstreamError: it is not an image, or says too little to draw it.
    """
    name = str(members.get("name", ""))
    if members.get("type") != "IMAGE":
        kind = str(members.get("type", "nothing"))[:40]
        raise AssetNotFound(f"{name} ({kind}, expected an IMAGE)")
    bands = members.get("bands") or []
    try:
        dtypes = tuple(dtype_from_json(band.get("dataType", {})) for band in bands)
        grid = grid_from_json(bands[0]["grid"])
        ids = tuple(str(band["id"]) for band in bands)
    except (KeyError, IndexError, TypeError, TileserverError) as exc:
        raise UpstreamError(f"{name}: its metadata has no bands with a grid") from exc
    if not isinstance(grid, PixelGrid):
        raise UpstreamError(f"{name}: its first band has no complete grid")
    return ImageAsset(
        name=name,
        location="",
        version=str(members.get("updateTime", "")),
        grid=grid,
        band_ids=ids,
        band_indexes=tuple(range(1, len(ids) + 1)),
        dtype=np.result_type(*dtypes),
        band_dtypes=dtypes,
        max_samples=MAX_SAMPLES,
        nodata=None,
        has_mask=True,
        shares_mask=False,
        levels=(Level(None, 1),),
        pyramiding_policies=tuple(str(band.get("pyramidingPolicy", "MEAN")) for band in bands),
        start_time=members.get("startTime"),
        end_time=members.get("endTime"),
        update_time=members.get("updateTime"),
        size_bytes=int(members["sizeBytes"]) if "sizeBytes" in members else None,
        properties=members.get("properties") or {},
    )


def dtype_from_json(data_type: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the NumPy type that holds a PixelDataType, by its range as Earth Engine implies.

    >>> dtype_from_json({"precision": "INT", "range": {"max": 65535}})
    dtype('uint16')
    """
    precision = data_type.get("precision")
    if precision == "DOUBLE":
        return np.dtype(np.float64)
    if precision == "FLOAT":
        return np.dtype(np.float32)
    span = data_type.get("range") or {}
    low, high = float(span.get("min", 0)), float(span.get("max", 0))
    if low == high:
        return np.dtype(np.int32)
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32"):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.int64)
