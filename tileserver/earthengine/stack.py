"""Earth Engine put together: the path of its pixels as one expression."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tileserver.caching.memory import Cached, MemoryCache, Refusals
from tileserver.caching.shared import BestEffortStore, Shared
from tileserver.config.config import EarthEngineSettings
from tileserver.contract.assets import ImageAsset
from tileserver.contract.pixels import PixelRequest, PixelSource
from tileserver.earthengine.assets import EarthAssets
from tileserver.earthengine.breaker import Breaker, Guarded
from tileserver.earthengine.client import EarthEngine
from tileserver.earthengine.connections import make_client
from tileserver.earthengine.credentials import describe, find_credentials
from tileserver.earthengine.engine import EarthRasters
from tileserver.earthengine.metatile import Metatiled, Terms
from tileserver.earthengine.quota import Limited, RequestSlots, worker_share
from tileserver.earthengine.retries import Retrying
from tileserver.earthengine.splitting import Split
from tileserver.earthengine.tokens import GoogleAuth
from tileserver.earthengine.tuning import Tuning
from tileserver.expressions.document import Computed
from tileserver.geo.asset_extents import known_extent
from tileserver.geo.positions import parts_within

_BLOCK_DEPTH = 1

T = TypeVar("T")


_TUNED = Tuning()


@dataclass(frozen=True)
class Earth:
    """The engine, with the parts that report its state and the call that closes it."""

    engine: EarthRasters
    credentials: str
    """Kind and account of the credentials, as text."""
    metadata: MetadataClient
    """Metadata in Earth Engine's own JSON."""
    auth: GoogleAuth
    breaker: Breaker
    slots: RequestSlots
    close: Callable[[], Awaitable[None]]


def connect(
    settings: EarthEngineSettings,
    memory: MemoryCache,
    workers: int = 1,
    tuning: Tuning = _TUNED,
    computed: Mapping[str, Computed] | None = None,
    store: BestEffortStore | None = None,
) -> Earth:
    """Return Earth Engine as an engine; blocks while it searches for credentials.

    Args:
        settings: project, endpoint and quota.
        memory: the cache of tiles.
        workers: processes that share the quota; each takes the smallest share.
        tuning: defaults to override.
        computed: expressions of computed images, by their asset names.
        store: the cache shared with other processes, if any; the caller closes it.

    Raises:
        AuthenticationFailed: there are no credentials; the message says how to get some.
        ConfigError: there are more workers than concurrent requests.
    """
    concurrency = worker_share(settings.concurrency, workers, workers - 1)
    given = tuning.credentials
    credentials, description = (given, describe(given)) if given else find_credentials()
    find_again = None if given else lambda: find_credentials()[0]
    auth = GoogleAuth(credentials, settings.project, find_again=find_again)
    client = make_client(auth, concurrency, tuning.tls)
    engine = EarthEngine(client, settings.project, settings.endpoint, tuning.try_s)
    breaker = Breaker(engine)
    limited = Limited(breaker, concurrency, settings.requests_per_second / workers)
    guarded = Retrying(Guarded(limited, breaker), deadline_s=tuning.deadline_s)
    metadata = MetadataClient(engine, limited, breaker, guarded)
    namespace = f"{settings.endpoint} {settings.project}"

    def shared(source: PixelSource) -> PixelSource:
        return Shared(store, source, namespace, tuning.deadline_s) if store else source

    assets = EarthAssets(metadata, tuning.poll_s, computed=computed)
    rasters = EarthRasters(
        assets,
        tiles=Metatiled(
            memory,
            shared(Refusals(Split(guarded, _BLOCK_DEPTH, tuning.deadline_s))),
            tuning.tiles_per_side,
            terms=lambda request: _terms(assets, request),
        ),
        values=Cached(memory, shared(Refusals(Split(guarded, deadline_s=tuning.deadline_s)))),
    )
    return Earth(rasters, description, metadata, auth, breaker, limited.slots, client.aclose)


class MetadataClient:
    """Metadata and values, within the same quota, retries and deadline as pixels."""

    def __init__(
        self, engine: EarthEngine, limited: Limited, breaker: Breaker, retrying: Retrying
    ) -> None:
        self.engine = engine
        self.limited = limited
        self.breaker = breaker
        self.retrying = retrying

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset, or raise AssetNotFound."""
        return await self._retried(name, lambda: self.engine.get_asset(name))

    async def list_assets(self, parent: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """Return a page of the assets below a parent; `query` as of `listAssets`."""
        return await self._retried(
            parent,
            lambda: self.engine.list_assets(
                parent,
                query.get("pageToken"),
                int(query["pageSize"]) if query.get("pageSize") else None,
                query.get("filter"),
                query.get("view"),
            ),
        )

    async def compute_value(self, expression: Mapping[str, Any], name: str) -> Any:
        """Return an expression's value: of an image, its description."""
        return await self._retried(name, lambda: self.engine.compute_value(expression, name))

    async def _retried(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self.retrying.call(name, lambda: self._try(call))

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        self.breaker.check()
        async with self.limited.slots.take():
            with self.breaker.asking():
                return await call()


def _terms(assets: EarthAssets, request: PixelRequest) -> Terms:
    """Return the facts about a request's asset and layer that decide its blocks."""
    asset = assets.known(request.asset_id)
    if asset is None:
        return Terms(request.tiles_per_side)
    extent = known_extent(asset)
    if extent is None:
        return Terms(request.tiles_per_side, pixel_type(asset, request))
    return Terms(
        request.tiles_per_side,
        pixel_type(asset, request),
        lambda grid: bool(parts_within(extent.boxes, grid)),
    )


def pixel_type(asset: ImageAsset, request: PixelRequest) -> np.dtype[Any]:
    """Return the structured type of the bands a request asks for."""
    return np.dtype([(band.id, band.dtype) for band in asset.select(request.band_ids)])
