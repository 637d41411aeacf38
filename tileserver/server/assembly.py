"""The services behind the routes, assembled from a configuration: engines, caches, layers.

A new provider of assets is one more entry in `_providers`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tileserver import metrics
from tileserver.caching.folder_store import FolderStore
from tileserver.caching.memory import Cached, MemoryCache
from tileserver.caching.shared import BestEffortStore
from tileserver.caching.sizes import default_block_bytes, default_tile_bytes
from tileserver.compute.budget import COMPUTING_S
from tileserver.config.config import Config
from tileserver.contract.engine import Engine
from tileserver.contract.mounts import Mounts
from tileserver.contract.names import EXPRESSIONS, Access, layer_prefix
from tileserver.earthengine.tuning import Tuning
from tileserver.expressions.document import Computed
from tileserver.http import endpoints
from tileserver.http.page import page_links
from tileserver.http.readiness import Readiness
from tileserver.http.response_cache import ResponseCache
from tileserver.http.rules import Rules
from tileserver.layers.layer_index import FILE, LayerIndex
from tileserver.layers.layer_list import LayerList
from tileserver.layers.layers import LayerDefinition, Layers
from tileserver.mosaics.engine import Mosaics
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.folders import Tree
from tileserver.rasters.roots import Root
from tileserver.rasters.soundness import check_sound
from tileserver.rest.asset_metadata import AssetMetadata, LocalAssets, MosaicAssets, RemoteAssets
from tileserver.rest.browsing import Browser
from tileserver.rest.call import Api
from tileserver.server.access import readable_assets, rules_of
from tileserver.server.browsing import browser_of
from tileserver.server.definitions import catalogue_of, definitions_of, drawn_of, project_of
from tileserver.server.drawn_tables import RastersAndTables, drawing_engine, pictures_apart
from tileserver.server.engines import Engines
from tileserver.server.growth import Growth, growth_of
from tileserver.server.hot_folders import HotFolders
from tileserver.server.late_computing import LateComputing
from tileserver.server.rest_api import rest_api
from tileserver.server.served_mosaics import mosaic_engine, noticed, starting
from tileserver.server.worker_slots import seated
from tileserver.server.world import EngineImages, ImageReader, LocalImages, MosaicImages, World
from tileserver.tables.store import Tables

if TYPE_CHECKING:
    from tileserver.earthengine.stack import Earth

log = logging.getLogger(__name__)
T = TypeVar("T")

_RESPONSES_SHARE = 8  # the fraction of `[cache] memory` for responses that are repeated
_TUNED = Tuning()
_SHARED_BYTES = 256_000_000  # disk space of the cache that the workers of one server share


@dataclass(frozen=True)
class Provider:
    """Assets below some prefixes of names, as each part of the server reads them."""

    prefixes: tuple[str, ...]
    """Each ends in a slash, or is the name of one asset; an empty one stands for all names that no
    other provider has."""
    engine: Engine
    """For tiles and documents."""
    images: ImageReader
    """For expressions."""
    assets: AssetMetadata
    """For the REST API's metadata."""


@dataclass(frozen=True)
class Assembly:
    """The services behind the routes."""

    services: endpoints.Services
    rasters: LocalRasters
    """The engine of local rasters."""
    api: Api
    rules: Rules
    """Which requests are admitted."""
    trusted_proxies: Sequence[str]
    """Addresses and networks of the proxies whose headers count."""
    responses: ResponseCache
    credentials: str | None
    """Which Google credentials are used and whose; None without Earth Engine."""
    seated: AbstractAsyncContextManager[None]
    """Entered while serving: only a worker with a seat sends requests to Earth Engine."""
    starting: AbstractAsyncContextManager[None]
    """Entered while serving: begins what takes long and will be needed."""
    following: AbstractAsyncContextManager[None]
    """Entered while serving: has the layers follow the folders of rasters."""
    growth: Growth | None
    """Makes pyramids of rasters without overviews."""
    growing: AbstractAsyncContextManager[None]
    """Entered while serving: has them made."""
    sample: Callable[[], None]
    """Updates the gauges before a scrape."""
    resources: AsyncExitStack
    """Closes engines and stores."""


def assemble(
    config: Config,
    added: Sequence[Root] = (),
    tuning: Tuning = _TUNED,
    folder: Path | None = None,
) -> Assembly:
    """Return the services behind the routes.

    Args:
        config: the configuration.
        added: rasters beside those of the configuration, each of which becomes a layer.
        tuning: of Earth Engine, for tests and measurements.
        folder: shared by the workers of one server, if there is one.

    Raises:
        ConfigError: the configuration cannot be served; says why.
        AuthenticationFailed: Earth Engine is on, and there are no credentials.
    """
    resources = AsyncExitStack()
    tiles_bytes = config.cache.memory_bytes or default_tile_bytes(config.server.workers)
    responses_bytes = tiles_bytes // _RESPONSES_SHARE
    memory = MemoryCache(tiles_bytes - responses_bytes, config.cache.ttl_s)
    rasters = local_engine(config, added, resources)
    drawn = drawn_of(config, rasters.catalogue, added)
    look = partial(definitions_of, config, drawn, added)
    definitions = look()
    computed, styled = pictures_apart(definitions)
    store = shared_store(config, folder, resources) if config.earth_engine else None
    earth = earth_engine(config, memory, tuning, computed, store, resources)
    mosaics = mosaic_engine(rasters, resources)
    local = (*rasters.catalogue.prefixes, *rasters.catalogue.mosaics)
    access = Access(readable_assets(config, local))
    deadline_s = min(COMPUTING_S, tuning.deadline_s)
    tables = Tables(rasters.catalogue)
    drawing = drawing_engine(rasters, tables, styled, deadline_s)
    providers = _providers(rasters, tables, drawing, mosaics, earth, access)
    images = Mounts(_by_prefix(providers, lambda provider: provider.images))
    computing = LateComputing(World(images, access.may_read), deadline_s)
    # Layers are chosen by the operator, so their expressions may read every asset.
    trusted = LateComputing(World(images), deadline_s, None if earth else computed)
    of_layers = earth.engine if earth else trusted
    of_tables = [(name, drawing) for name in styled]
    engine = engines(providers, computing, of_layers, project_of(config.earth_engine), of_tables)
    layers = Layers(definitions, engine, access)
    listed = layer_list(layers, rasters, folder, resources)
    assets = _by_prefix(providers, lambda provider: provider.assets)
    prefixes = rasters.catalogue.prefixes
    browser = browser_of(config.earth_engine, prefixes, providers[0].assets, assets)
    readiness = _readiness(earth, store)
    services = services_of(config, listed, engine, memory, readiness, browser, tables.features_at)
    rules = rules_of(config, local, layers, os.environ)
    responses = ResponseCache(rules.keys, responses_bytes)
    return Assembly(
        services=services,
        rasters=rasters,
        api=rest_api(config, services, Mounts(assets), computing, rasters.catalogue, resources),
        rules=rules,
        trusted_proxies=config.server.trusted_proxies,
        responses=responses,
        credentials=earth.credentials if earth else None,
        seated=_seat(config, earth, folder),
        starting=starting(trusted, drawing, mosaics),
        growth=(growth := growth_of(rasters)),
        growing=growth.growing() if growth else nullcontext(),
        following=_following(listed, [rasters.catalogue, drawn], noticed(look, mosaics)),
        sample=partial(_sample, memory, responses, rasters, earth),
        resources=resources,
    )


def local_engine(config: Config, added: Sequence[Root], resources: AsyncExitStack) -> LocalRasters:
    """Return the engine of local rasters; raises ConfigError when a path leads nowhere."""
    blocks_bytes = config.cache.blocks_bytes or default_block_bytes(config.server.workers)
    rasters = LocalRasters(catalogue_of(config, added), block_cache_bytes=blocks_bytes)
    resources.callback(rasters.close)
    return rasters


def earth_engine(
    config: Config,
    memory: MemoryCache,
    tuning: Tuning,
    computed: Mapping[str, Computed],
    store: BestEffortStore | None,
    resources: AsyncExitStack,
) -> Earth | None:
    """Return Earth Engine, or None when the configuration does not use it.

    Args:
        config: has project, endpoint and quota.
        memory: the cache of tiles.
        tuning: for tests and measurements.
        computed: the expressions of layers, by the names made up for them.
        store: the cache shared with other processes, if there is one.
        resources: closes the connections.

    Raises:
        AuthenticationFailed: there are no credentials.
    """
    if config.earth_engine is None:
        return None
    # Late, as the clients of Earth Engine take 0.2 s and 20 MB.
    from tileserver.earthengine.stack import connect

    earth = connect(config.earth_engine, memory, config.server.workers, tuning, computed, store)
    resources.push_async_callback(earth.close)
    return earth


def engines(
    providers: Sequence[Provider],
    computing: Engine,
    of_layers: Engine,
    project: str,
    of_tables: Sequence[tuple[str, Engine]] = (),
) -> Engines:
    """Return one engine in front of all others.

    Args:
        providers: of stored assets.
        computing: computes the expressions of requests.
        of_layers: computes those of layers.
        project: in the names made up for layers.
        of_tables: draw those of layers that are tables.
    """
    stored = _by_prefix(providers, lambda provider: provider.engine)
    made_up = [(EXPRESSIONS, computing), (layer_prefix(project), of_layers), *of_tables]
    return Engines(Mounts([*stored, *made_up]))


def layer_list(
    layers: Layers, rasters: LocalRasters, folder: Path | None, resources: AsyncExitStack
) -> LayerList:
    """Return the list of layers; workers share its index in the folder, if there is one."""
    listed = LayerList(layers, files=rasters.catalogue, check_sound=partial(check_sound, rasters))
    if listed.is_long and folder is not None:
        listed.index = LayerIndex(folder / FILE)
    resources.callback(listed.index.close)
    return listed


def services_of(
    config: Config,
    listed: LayerList,
    engine: Engines,
    memory: MemoryCache,
    readiness: Readiness,
    browser: Browser | None = None,
    features_at: endpoints.FeaturesAt | None = None,
) -> endpoints.Services:
    """Return the services of the tile server's own routes."""
    return endpoints.Services(
        layers=listed.layers,
        layer_list=listed,
        pixels=Cached(memory, engine),
        bands=engine,
        series=engine,
        public_url=config.server.public_url,
        tile_max_age_s=int(config.cache.ttl_s),
        links=page_links(config),
        readiness=readiness,
        browser=browser,
        features_at=features_at,
    )


def shared_store(
    config: Config, folder: Path | None, resources: AsyncExitStack
) -> BestEffortStore | None:
    """Return the cache shared with other processes: Redis if configured, else the folder.

    Raises:
        ConfigError: there can be no Redis at that address.
    """
    if config.cache.url is not None:
        from tileserver.caching.redis_store import RedisStore

        store = BestEffortStore(RedisStore(config.cache.url, config.cache.ttl_s))
    elif folder is not None:
        max_bytes = min(_SHARED_BYTES, config.cache.memory_bytes or _SHARED_BYTES)
        workers = config.server.workers
        store = BestEffortStore(FolderStore(folder, max_bytes, config.cache.ttl_s, workers))
    else:
        return None
    resources.push_async_callback(store.close)
    return store


def _providers(
    rasters: LocalRasters,
    tables: Tables,
    drawing: LateComputing,
    mosaics: Mosaics | None,
    earth: Earth | None,
    access: Access,
) -> list[Provider]:
    """Return the providers of assets; one more provider is one more entry."""
    tree = Tree(rasters.catalogue)
    metadata = LocalAssets(tree, access.may_read, tables)
    local = Provider(
        prefixes=rasters.catalogue.prefixes if earth else ("",),
        engine=RastersAndTables(rasters, drawing),
        images=LocalImages(rasters, tree, tables),
        assets=metadata,
    )
    here = [local]
    if mosaics is not None:
        images = MosaicImages(mosaics)
        assets = MosaicAssets(metadata, mosaics)
        here.append(Provider(mosaics.names, mosaics, images, assets))
    if earth is None:
        return here
    remote = Provider(
        prefixes=("",),
        engine=earth.engine,
        images=EngineImages(earth.engine),
        assets=RemoteAssets(earth.metadata, earth.engine, access.may_read),
    )
    return [*here, remote]


def _by_prefix(providers: Sequence[Provider], pick: Callable[[Provider], T]) -> list[tuple[str, T]]:
    return [(prefix, pick(provider)) for provider in providers for prefix in provider.prefixes]


def _seat(
    config: Config, earth: Earth | None, folder: Path | None
) -> AbstractAsyncContextManager[None]:
    if earth is None or folder is None:
        return nullcontext()
    earth.slots.hold()
    return seated(folder, config.server.workers, earth.slots.resume)


def _following(
    listed: LayerList,
    catalogues: Sequence[Catalogue],
    look: Callable[[], Sequence[LayerDefinition]],
) -> AbstractAsyncContextManager[None]:
    """Return the watcher that has layers follow the folders of catalogues, if there are any."""
    if not any(each.has_folders for each in catalogues):
        return nullcontext()
    return HotFolders(list(dict.fromkeys(catalogues)), look, listed).followed()


def _readiness(earth: Earth | None, store: BestEffortStore | None) -> Readiness:
    if earth is None:
        return Readiness()

    def troubles() -> list[str]:
        found = {
            "Earth Engine is not asked for now: it failed too often.": earth.breaker.is_open,
            "The shared cache fails.": store is not None and store.is_failing,
        }
        return [message for message, holds in found.items() if holds]

    return Readiness(earth.auth.token, lambda: earth.auth.problem, troubles)


def _sample(
    memory: MemoryCache, responses: ResponseCache, rasters: LocalRasters, earth: Earth | None
) -> None:
    metrics.MEMORY.set(memory.held_bytes)
    metrics.RESPONSES.set(responses.held_bytes)
    metrics.BLOCKS.set(rasters.blocks.held_bytes)
    if earth is not None:
        metrics.BREAKER_OPEN.set(earth.breaker.is_open)
        metrics.QUEUE.set(earth.slots.waiting)
        metrics.IN_FLIGHT.set(earth.slots.in_flight)
        metrics.SLOTS.set(earth.slots.limit)
