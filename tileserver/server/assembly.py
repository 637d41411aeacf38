"""What stands behind the routes, put together from a configuration: engines, caches, layers."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tileserver import metrics
from tileserver.caching.folder_store import FolderStore
from tileserver.caching.memory import Cached, MemoryCache
from tileserver.caching.redis_store import RedisStore
from tileserver.caching.shared import BestEffortStore
from tileserver.compute.engine import COMPUTING_S, Computing
from tileserver.config.config import Config, EarthEngineSettings
from tileserver.config.layers import LayerSettings, computed_image
from tileserver.contract.names import Access
from tileserver.earthengine.stack import Earth, Tuning, connect
from tileserver.errors import ConfigError, InvalidRequest
from tileserver.http import endpoints
from tileserver.http.hosts import HostNames, is_loopback
from tileserver.http.keys import SHORT, Keys
from tileserver.http.page import page_files
from tileserver.http.readiness import Readiness
from tileserver.http.rules import Rules
from tileserver.layers.layers import LayerDefinition, Layers, automatic_layers
from tileserver.layers.styles import Style, parse_colors
from tileserver.rasters.catalogue import Catalogue, Root
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.folders import Tree
from tileserver.rasters.remote.files import RemoteFiles
from tileserver.rest.calls import Api
from tileserver.rest.expression_store import Graphs, default_folder
from tileserver.server.engines import EXPRESSIONS, Engines
from tileserver.server.worker_slots import seated
from tileserver.server.world import LocalWorld, WiderWorld

_TUNED = Tuning()
_SHARED_BYTES = 256_000_000
"""On disk, of what the workers of one server share."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stack:
    """Everything behind the routes."""

    services: endpoints.Services
    api: Api
    rules: Rules
    """Who may ask for what."""
    credentials: str | None
    """Which Google credentials are used and whose, in words; None without Earth Engine."""
    seated: AbstractAsyncContextManager[None]
    """To be inside of while serving: only a worker with a seat asks Earth Engine."""
    sample: Callable[[], None]
    """Puts down the figures that are read off rather than counted."""
    close: Callable[[], Awaitable[None]]


def assemble(
    config: Config,
    shown: Sequence[Root] = (),
    tuning: Tuning = _TUNED,
    folder: Path | None = None,
) -> Stack:
    """Return what stands behind the routes.

    Raises:
        ConfigError: the configuration cannot be served; says why.
        AuthenticationFailed: Earth Engine is on, and there are no credentials.
    """
    catalogue = catalogue_of(config, shown)
    rasters = LocalRasters(catalogue)
    memory = MemoryCache(config.cache.memory_bytes, config.cache.ttl_s)
    definitions = definitions_of(config, catalogue, shown)
    computed = {each.asset_name: each.computed for each in definitions if each.computed}
    earth, store = None, None
    if config.earth_engine:
        store = shared_store(config, folder)
        earth = connect(config.earth_engine, memory, config.server.workers, tuning, computed, store)
    tree = Tree(catalogue)
    access = Access(readable_assets(config, shown))
    remote = earth.rasters if earth else None
    # What a layer shows was chosen by who configured it, what an expression may read was not.
    deadline_s = min(COMPUTING_S, tuning.deadline_s)
    of_layers = remote or Computing(
        LocalWorld(rasters, tree), deadline_s=deadline_s, computed=computed
    )
    world = (
        WiderWorld(rasters, tree, remote, access.may_read)
        if remote
        else LocalWorld(rasters, tree, access.may_read)
    )
    computing = Computing(world, deadline_s=deadline_s)
    engine = Engines(
        catalogue.prefixes,
        rasters,
        computing,
        remote,
        dict.fromkeys(computed, of_layers),
    )
    services = endpoints.Services(
        layers=Layers(definitions, engine, access),
        pixels=Cached(memory, engine),
        bands=engine,
        public_url=config.server.public_url,
        tile_max_age_s=int(config.cache.ttl_s),
        readiness=_readiness(earth, store) if earth else Readiness(),
    )

    api = Api(
        services=services,
        tree=tree,
        local_prefixes=catalogue.prefixes,
        computer=computing,
        graphs=Graphs(Path(config.api.graphs) if config.api.graphs else default_folder(os.environ)),
        remote=earth.catalog if earth else None,
    )

    async def close() -> None:
        rasters.close()
        if earth:
            await earth.close()
        if store:
            await store.close()

    credentials = earth.credentials if earth else None
    seat: AbstractAsyncContextManager[None] = nullcontext()
    if earth and folder:
        earth.slots.hold()
        seat = seated(folder, config.server.workers, earth.slots.resume)
    rules = rules_of(config, shown, services.layers.definitions, os.environ)
    return Stack(services, api, rules, credentials, seat, partial(_sample, memory, earth), close)


def shared_store(config: Config, folder: Path | None) -> BestEffortStore | None:
    """Return what this process shares with others: Redis if there is one, else the folder.

    Raises:
        ConfigError: there can be no Redis at that address.
    """
    if config.cache.url is not None:
        return BestEffortStore(RedisStore(config.cache.url, config.cache.ttl_s))
    if folder is None:
        return None
    max_bytes = min(_SHARED_BYTES, config.cache.memory_bytes)
    return BestEffortStore(
        FolderStore(folder, max_bytes, config.cache.ttl_s, config.server.workers)
    )


def _readiness(earth: Earth, store: BestEffortStore | None) -> Readiness:
    def troubles() -> list[str]:
        amiss = {
            "Earth Engine is not asked for now: it failed too often.": earth.breaker.is_open,
            "The shared cache fails.": store is not None and store.is_failing,
        }
        return [what for what, is_so in amiss.items() if is_so]

    return Readiness(earth.auth.token, lambda: earth.auth.problem, troubles)


def _sample(memory: MemoryCache, earth: Earth | None) -> None:
    metrics.MEMORY.set(memory.held_bytes)
    if earth is not None:
        metrics.BREAKER_OPEN.set(earth.breaker.is_open)
        metrics.QUEUE.set(earth.slots.waiting)
        metrics.IN_FLIGHT.set(earth.slots.in_flight)
        metrics.SLOTS.set(earth.slots.limit)


def readable_assets(config: Config, shown: Sequence[Root] = ()) -> Sequence[str] | None:
    """Return patterns of the assets that may be read by name; None is all there are.

    What is configured decides. Without a word on it, all local rasters may, and of Earth
    Engine's assets those that the credentials can read, as long as nobody else reaches the
    server: its user is who pays for them.
    """
    if config.access.assets is not None or config.earth_engine is None:
        return config.access.assets
    if is_private(config):
        return None
    log.warning("[access] assets is not set: Earth Engine's assets are served as layers only")
    return _local_assets(config, shown)


def is_private(config: Config) -> bool:
    """Tell whether nobody but the users of this machine is meant to reach the server."""
    server = config.server
    return is_loopback(server.host) and server.public_url is None and not config.access.open


def _local_assets(config: Config, shown: Sequence[Root]) -> list[str]:
    return [f"{root.prefix}/**" for root in (*shown, *_roots(config))]


def rules_of(
    config: Config,
    shown: Sequence[Root],
    layer_names: Container[str],
    environ: Mapping[str, str],
) -> Rules:
    """Return who may ask for what.

    Raises:
        ConfigError: a key is not set, cannot be sent, or is another's too.
    """
    is_for_one = config.earth_engine is not None and config.access.assets is None
    return Rules(
        layer_names,
        Keys(config.access.secrets(environ)),
        is_loopback(config.server.host),
        config.access.open,
        HostNames(config.server.public_url),
        # Of a proxy that nobody told of.
        Access(_local_assets(config, shown)) if is_for_one and is_private(config) else None,
        page_files(),
    )


def exposure(config: Config) -> str | None:
    """Return a warning that strangers reach the server as it is configured, or None."""
    access = config.access
    if is_loopback(config.server.host) or access.keys or access.open:
        return None
    if access.assets is not None:
        return None
    return (
        f"{config.server.host} is reached from other machines, and there are no [access] keys: "
        "EVERYBODY WHO REACHES IT SEES ALL LAYERS AND RASTERS. /v1 and /metrics stay closed until "
        "[access] keys are set, or [access] open = true serves them to everybody"
    )


def weak_keys(config: Config, environ: Mapping[str, str]) -> str | None:
    """Return a warning of API keys that can be guessed, or None.

    Raises:
        ConfigError: a key is not set.
    """
    secrets = config.access.secrets(environ)
    names = [f"keys.{name}" for name, secret in secrets.items() if len(secret) < SHORT]
    if not names:
        return None
    return (
        f"[access] {', '.join(names)}: expected {SHORT} characters or more, fewer can be guessed; "
        "`openssl rand -hex 24` makes a key"
    )


def _roots(config: Config) -> list[Root]:
    return [Root(each.path, each.prefix) for each in config.rasters]


def catalogue_of(config: Config, shown: Sequence[Root] = ()) -> Catalogue:
    """Return the assets a configuration names.

    Raises:
        ConfigError: a path leads nowhere.
    """
    return Catalogue([*shown, *_roots(config)], remote_files(config))


def remote_files(config: Config) -> RemoteFiles:
    """Return the files behind URLs, looked at again when tiles of them become stale."""
    return RemoteFiles(config.cache.ttl_s, config.remote.private_hosts)


def definitions_of(
    config: Config, catalogue: Catalogue, shown: Sequence[Root] = ()
) -> list[LayerDefinition]:
    """Return the layers: those configured, and the rasters when none are or they are to be shown.

    Rasters that `[access] assets` leaves out make no layers by themselves.
    """
    configured = [_definition(each, config.earth_engine) for each in config.layers]
    taken = {each.name for each in configured}
    drawn = Catalogue(shown) if shown or configured else catalogue
    # A layer that is configured is a decision of its own, one that makes itself is none.
    readable = filter(Access(config.access.assets).may_read, drawn.names())
    return [*automatic_layers(readable, taken), *configured]


def _definition(settings: LayerSettings, earth: EarthEngineSettings | None) -> LayerDefinition:
    try:
        palette = parse_colors(settings.palette) if settings.palette else ()
        computed = None if settings.asset else computed_image(settings)
    except InvalidRequest as exc:
        raise ConfigError(f"[layers.{settings.name}] {exc}") from exc
    project = earth.project if earth else "localhost"
    made_up = f"projects/{project}{EXPRESSIONS}{settings.name}"
    return LayerDefinition(
        name=settings.name,
        asset_name=settings.asset or made_up,
        computed=computed,
        title=settings.title or "",
        description=settings.description,
        attribution=settings.attribution,
        style=Style(
            settings.bands,
            settings.min,
            settings.max,
            palette,
            settings.gamma,
            settings.opacity,
        ),
        minzoom=settings.minzoom,
        maxzoom=settings.maxzoom,
        is_visible=settings.visible,
        class_names=settings.class_names,
        tiles_per_side=settings.tiles_per_side,
    )
