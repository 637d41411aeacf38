"""Earth Engine put together: the path of its pixels as one expression."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.assets import ImageAsset
from tileserver.breaker import Breaker, Guarded
from tileserver.cache import Cached, MemoryCache
from tileserver.config import EarthEngineSettings
from tileserver.credentials import find_credentials
from tileserver.earthassets import EarthAssets
from tileserver.earthengine import EarthEngine, make_client
from tileserver.earthrasters import EarthRasters
from tileserver.limits import Limited, worker_share
from tileserver.metatile import Metatiled, Terms
from tileserver.pixels import PixelGrid, PixelRequest
from tileserver.retries import Retrying
from tileserver.sampling import parts
from tileserver.splitting import Split
from tileserver.tokens import GoogleAuth

_TRY_S = 20.0
"""Seconds for one try; shorter than `Retrying`'s deadline, so that the breaker hears of it."""
_BLOCK_DEPTH = 1


@dataclass(frozen=True)
class Earth:
    """The engine, and what is to be told and closed."""

    rasters: EarthRasters
    credentials: str
    """Which credentials are used and whose, in words."""
    close: Callable[[], Awaitable[None]]


def connect(settings: EarthEngineSettings, memory: MemoryCache, workers: int = 1) -> Earth:
    """Return Earth Engine as an engine; finds the credentials, and blocks meanwhile.

    Args:
        settings: project, endpoint and quota.
        memory: where the tiles of blocks are put.
        workers: processes that share the quota; this one takes the smallest share.

    Raises:
        AuthenticationFailed: there are no credentials; says how to get some.
        ConfigError: there are more workers than requests at once.
    """
    concurrency = worker_share(settings.concurrency, workers, workers - 1)
    credentials, description = find_credentials()
    auth = GoogleAuth(credentials, settings.project, find_again=lambda: find_credentials()[0])
    client = make_client(auth, concurrency)
    engine = EarthEngine(client, settings.project, settings.endpoint, _TRY_S)
    breaker = Breaker(engine)
    limited = Limited(breaker, concurrency, settings.requests_per_second / workers)
    guarded = Retrying(Guarded(limited, breaker))
    assets = EarthAssets(_Metadata(engine, limited, breaker))
    rasters = EarthRasters(
        assets,
        tiles=Metatiled(
            memory,
            Split(guarded, max_depth=_BLOCK_DEPTH),
            terms=lambda request: _terms(assets, request),
        ),
        values=Cached(memory, Split(guarded)),
    )
    return Earth(rasters, description, client.aclose)


class _Metadata:
    """Metadata, asked within the same quota as pixels."""

    def __init__(self, engine: EarthEngine, limited: Limited, breaker: Breaker) -> None:
        self.engine = engine
        self.limited = limited
        self.breaker = breaker

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        self.breaker.check()
        async with self.limited.slots.take():
            with self.breaker.asking():
                return await self.engine.get_asset(name)


def _terms(assets: EarthAssets, request: PixelRequest) -> Terms:
    """Return what is known of a request's asset, for asking in blocks."""
    asset = assets.known(request.asset_id)
    if asset is None:
        return Terms()
    return Terms(pixel_type=pixel_type(asset, request), covers=lambda grid: _covers(asset, grid))


def _covers(asset: ImageAsset, grid: PixelGrid) -> bool:
    return bool(parts(asset, grid))


def pixel_type(asset: ImageAsset, request: PixelRequest) -> np.dtype[Any]:
    """Return the structured type of the bands a request asks for."""
    types = asset.band_dtypes or (asset.dtype,) * len(asset.band_ids)
    return np.dtype([(asset.band_ids[i], types[i]) for i in asset.indexes(request.band_ids)])
