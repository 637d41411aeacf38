"""Earth Engine's metadata as image assets, cached and refreshed in the background.

The updateTime of an asset is its version: when it changes, so do the keys of all its tiles.
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets
A computed image has no metadata: its description is computed once, and its version is that of its
expression.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from cachetools import LRUCache

from tileserver.concurrency.limited_calls import ShortCalls
from tileserver.concurrency.single_flight import SingleFlight
from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.wire import grid_from_json
from tileserver.errors import AssetNotFound, InvalidRequest, TileserverError, UpstreamError
from tileserver.expressions.description import computed_asset, dtype_from_json
from tileserver.expressions.document import Computed
from tileserver.geo.asset_extents import AssetExtents

POLL_S = 60.0
"""Age at which an asset's metadata is refreshed; reading it costs no compute."""
_MISSING_S = 15.0
_MAX_ASSETS = 10_000

log = logging.getLogger(__name__)


class MetadataSource(Protocol):
    """A source of EarthEngineAssets and computed values."""

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset, or raise AssetNotFound."""
        ...

    async def compute_value(self, expression: Mapping[str, Any], name: str) -> Any:
        """Return an expression's value: of an image, its description."""
        ...


class EarthAssets:
    """Assets by name, cached and refreshed in the background."""

    def __init__(
        self,
        source: MetadataSource,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
        computed: Mapping[str, Computed] | None = None,
    ) -> None:
        """Read from `source`; `computed` are the expressions of computed images, by name."""
        self.source = source
        self.computed = computed or {}
        self.poll_s = poll_s
        self.clock = clock
        self._held: LRUCache[str, tuple[ImageAsset | AssetNotFound, float]] = LRUCache(_MAX_ASSETS)
        self._flights: SingleFlight[str, ImageAsset] = SingleFlight()
        self._refreshes: set[asyncio.Task[None]] = set()
        self.geometry = ShortCalls()
        self.extents = AssetExtents()

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset, at most about `poll_s` old.

        Raises:
            AssetNotFound: it does not exist, or the credentials may not read it.
            UpstreamError: it cannot be drawn, or Earth Engine failed.
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
        if age_s >= self.poll_s and name not in self.computed:
            self._refresh(name)
        return found

    def known(self, name: str) -> ImageAsset | None:
        """Return a cached asset, or None; sends no request."""
        found = self._held.get(name, (None,))[0]
        return found if isinstance(found, ImageAsset) else None

    def current(self, name: str) -> ImageAsset | None:
        """Return a cached asset that `get_asset` would not refresh, or None."""
        found, asked_s = self._held.get(name, (None, 0.0))
        is_fresh = name in self.computed or self.clock() - asked_s < self.poll_s
        return found if is_fresh and isinstance(found, ImageAsset) else None

    def _refresh(self, name: str) -> None:
        task = asyncio.create_task(self._try(name))
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)

    async def _try(self, name: str) -> None:
        try:
            await self._flights.join(name, lambda: self._ask(name))
        except TileserverError as exc:
            # The cached asset stays in use until the next refresh.
            log.warning("%s: its metadata could not be read again: %s", name, exc)
            if held := self._held.get(name):
                self._hold(name, held[0])

    async def _ask(self, name: str) -> ImageAsset:
        try:
            asset = await self._read(name)
        except AssetNotFound as exc:
            self._hold(name, exc)
            raise
        held = self._held.get(name)
        if held and isinstance(held[0], ImageAsset) and held[0].version == asset.version:
            asset = held[0]
        # Blocks of tiles end at its footprint; an asset without one is refused when it is drawn.
        with suppress(TileserverError):
            await self.extents.find(asset)
        self._hold(name, asset)
        return asset

    async def _read(self, name: str) -> ImageAsset:
        computed = self.computed.get(name)
        if computed is None:
            return asset_from_json(await self.source.get_asset(name))
        try:
            expression = json.loads(computed.expression)
            description = await self.source.compute_value(expression, name)
        except InvalidRequest as exc:
            # The request for a tile is not at fault.
            raise UpstreamError(f"{name}: Earth Engine cannot compute it: {exc}") from exc
        return await self.geometry.call(computed_asset, name, computed, description)

    def _hold(self, name: str, found: ImageAsset | AssetNotFound) -> None:
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
    try:
        bands = tuple(map(_band_from_json, members["bands"]))
        size_bytes = int(members["sizeBytes"]) if "sizeBytes" in members else None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as exc:
        raise UpstreamError(f"{name}: its metadata is not that of an image: {exc}") from exc
    except TileserverError as exc:
        raise UpstreamError(f"{name}: its metadata has no bands with a grid") from exc
    if not bands:
        raise UpstreamError(f"{name}: its metadata has no bands")
    return ImageAsset(
        name,
        version=str(members.get("updateTime", "")),
        bands=bands,
        start_time=members.get("startTime"),
        end_time=members.get("endTime"),
        update_time=members.get("updateTime"),
        size_bytes=size_bytes,
        properties=members.get("properties") or {},
    )


def _band_from_json(members: Mapping[str, Any]) -> Band:
    """Return the band that an ImageBand describes; raises what its members raise."""
    grid = grid_from_json(members["grid"])
    if not isinstance(grid, PixelGrid):
        raise InvalidRequest("the grid is not complete")
    return Band(
        id=str(members["id"]),
        dtype=dtype_from_json(members.get("dataType", {})),
        grid=grid,
        pyramiding_policy=str(members.get("pyramidingPolicy", "MEAN")),
    )
