"""The application put together: what stands behind each route."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from tileserver import endpoints
from tileserver.access import Access
from tileserver.cache import Cached, MemoryCache
from tileserver.catalogue import Catalogue, Root
from tileserver.compute.engine import COMPUTING_S, Computing
from tileserver.compute.world import LocalWorld, WiderWorld
from tileserver.config import Config, EarthEngineSettings
from tileserver.disconnects import ClientGone, timely
from tileserver.earthengine.stack import Tuning, connect
from tileserver.engines import EXPRESSIONS, Engines
from tileserver.errors import ConfigError, InvalidRequest, TileserverError
from tileserver.folders import Tree
from tileserver.layers import LayerDefinition, Layers, automatic_layers
from tileserver.page import Page, page_folder
from tileserver.rasters import LocalRasters
from tileserver.responses import CommonHeaders, on_client_gone, on_crash, on_error, on_http_error
from tileserver.rest.calls import Api
from tileserver.rest.door import Door
from tileserver.rest.graphs import Graphs, default_folder
from tileserver.settings.layers import LayerSettings, computed_image
from tileserver.styles import Style, parse_colors

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TUNED = Tuning()

log = logging.getLogger(__name__)


def create_app(config: Config, shown: Sequence[Root] = (), tuning: Tuning = _TUNED) -> Starlette:
    """Return the server of a configuration.

    Args:
        config: what to serve.
        shown: more rasters, each of which becomes a layer.
        tuning: of Earth Engine, for tests and measurements.

    Raises:
        ConfigError: the configuration cannot be served; says why.
    """
    stack = assemble(config, shown, tuning)
    rest: list[BaseRoute] = [Door(stack.api, tuning.deadline_s)] if config.api.enabled else []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[endpoints.State]:
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
            *rest,
            Mount("/", Page(directory=page_folder(), html=True)),
        ],
        middleware=[Middleware(CommonHeaders)],
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
    api: Api
    credentials: str | None
    """Which Google credentials are used and whose, in words; None without Earth Engine."""
    close: Callable[[], Awaitable[None]]


def assemble(config: Config, shown: Sequence[Root] = (), tuning: Tuning = _TUNED) -> Stack:
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
    earth = None
    if config.earth_engine:
        earth = connect(config.earth_engine, memory, config.server.workers, tuning, computed)
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

    return Stack(services, api, earth.credentials if earth else None, close)


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
