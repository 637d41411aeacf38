"""The application put together: what stands behind each route."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from tileserver import endpoints, metrics
from tileserver.cache import Cached, MemoryCache
from tileserver.catalogue import Catalogue, Root
from tileserver.config import Config, EarthEngineSettings
from tileserver.disconnects import ClientGone, timely
from tileserver.earthengine.stack import Earth, Tuning, connect
from tileserver.engines import Engine, Engines
from tileserver.errors import ConfigError, InvalidRequest, TileserverError
from tileserver.layers import LayerDefinition, Layers, automatic_layers
from tileserver.page import Page, page_folder
from tileserver.rasters import LocalRasters
from tileserver.readiness import Readiness
from tileserver.responses import (
    CommonHeaders,
    Counted,
    on_client_gone,
    on_crash,
    on_error,
    on_http_error,
)
from tileserver.settings.layers import LayerSettings, computed_image
from tileserver.sharing.folder import FolderStore
from tileserver.sharing.remote import RedisStore
from tileserver.sharing.seats import seated
from tileserver.sharing.stores import Tolerant
from tileserver.styles import Style, parse_colors
from tileserver.watchdog import watched

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TUNED = Tuning()
_SHARED_BYTES = 256_000_000
"""On disk, of what the workers of one server share."""

log = logging.getLogger(__name__)


def create_app(
    config: Config,
    shown: Sequence[Root] = (),
    tuning: Tuning = _TUNED,
    folder: Path | None = None,
) -> Starlette:
    """Return the server of a configuration.

    Args:
        config: what to serve.
        shown: more rasters, each of which becomes a layer.
        tuning: of Earth Engine, for tests and measurements.
        folder: what the workers of one server share; None is nothing.

    Raises:
        ConfigError: the configuration cannot be served; says why.
    """
    stack = assemble(config, shown, tuning, folder)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[endpoints.State]:
        with stack.services.readiness.until_the_end():
            async with watched(stack.sample), stack.seated:
                yield {"services": stack.services}
        await stack.close()

    app = Starlette(
        routes=[
            Route("/tiles/{layer:path}/{z}/{x}/{name}", timely(endpoints.tile, tuning.deadline_s)),
            Route("/layers", timely(endpoints.layer_list, tuning.deadline_s)),
            Route("/tilejson/{layer:path}.json", timely(endpoints.tilejson, tuning.deadline_s)),
            Route("/info/{layer:path}", timely(endpoints.info, tuning.deadline_s)),
            Route("/point/{layer:path}", timely(endpoints.point, tuning.deadline_s)),
            Route("/statistics/{layer:path}", timely(endpoints.statistics, tuning.deadline_s)),
            Route("/preview/{name:path}", timely(endpoints.preview, tuning.deadline_s)),
            Route("/legend/{layer:path}.svg", timely(endpoints.legend, tuning.deadline_s)),
            Route("/healthz", endpoints.healthz),
            Route("/readyz", endpoints.readyz),
            Route("/metrics", endpoints.figures),
            Mount("/", Page(directory=page_folder(), html=True)),
        ],
        middleware=[Middleware(Counted), Middleware(CommonHeaders)],
        exception_handlers={
            TileserverError: on_error,
            HTTPException: on_http_error,
            ClientGone: on_client_gone,
            Exception: on_crash,
        },
        lifespan=lifespan,
    )
    # A redirect would repeat the Host header, whatever it says, where a 404 tells what is wrong.
    app.router.redirect_slashes = False
    return app


@dataclass(frozen=True)
class Stack:
    """Everything behind the routes."""

    services: endpoints.Services
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
    earth, store = None, None
    engine: Engine = rasters
    if config.earth_engine:
        store = shared_store(config, folder)
        computed = {each.asset_name: each.computed for each in definitions if each.computed}
        earth = connect(config.earth_engine, memory, config.server.workers, tuning, computed, store)
        engine = Engines(catalogue.prefixes, rasters, earth.rasters)
    services = endpoints.Services(
        layers=Layers(definitions, engine, readable_assets(config, shown)),
        pixels=Cached(memory, engine),
        bands=engine,
        public_url=config.server.public_url,
        tile_max_age_s=int(config.cache.ttl_s),
        readiness=_readiness(earth, store) if earth else Readiness(),
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
    return Stack(services, credentials, seat, partial(_sample, memory, earth), close)


def shared_store(config: Config, folder: Path | None) -> Tolerant | None:
    """Return what this process shares with others: Redis if there is one, else the folder.

    Raises:
        ConfigError: there can be no Redis at that address.
    """
    if config.cache.url is not None:
        return Tolerant(RedisStore(config.cache.url, config.cache.ttl_s))
    if folder is None:
        return None
    max_bytes = min(_SHARED_BYTES, config.cache.memory_bytes)
    return Tolerant(FolderStore(folder, max_bytes, config.cache.ttl_s, config.server.workers))


def _readiness(earth: Earth, store: Tolerant | None) -> Readiness:
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
    if config.server.host in _LOOPBACK:
        return None
    log.warning("[access] assets is not set: Earth Engine's assets are served as layers only")
    return [f"{root.prefix}/**" for root in (*shown, *_roots(config))]


def _roots(config: Config) -> list[Root]:
    return [Root(each.path, each.prefix) for each in config.rasters]


def catalogue_of(config: Config, shown: Sequence[Root] = ()) -> Catalogue:
    """Return the assets a configuration names.

    Raises:
        ConfigError: a path leads nowhere.
    """
    return Catalogue([*shown, *_roots(config)])


def definitions_of(
    config: Config, catalogue: Catalogue, shown: Sequence[Root] = ()
) -> list[LayerDefinition]:
    """Return the layers: those configured, and every raster when none are or it is to be shown."""
    configured = [_definition(each, config.earth_engine) for each in config.layers]
    taken = {each.name for each in configured}
    drawn = Catalogue(shown) if shown or configured else catalogue
    return [*automatic_layers(drawn.names(), taken), *configured]


def _definition(settings: LayerSettings, earth: EarthEngineSettings | None) -> LayerDefinition:
    try:
        palette = parse_colors(settings.palette) if settings.palette else ()
        computed = None if settings.asset else computed_image(settings)
    except InvalidRequest as exc:
        raise ConfigError(f"[layers.{settings.name}] {exc}") from exc
    if computed and earth is None:
        raise ConfigError(f"[layers.{settings.name}] needs [earth_engine], which computes it")
    made_up = f"projects/{earth.project if earth else ''}/expressions/{settings.name}"
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
