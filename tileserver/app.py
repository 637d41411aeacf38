"""The application put together: what stands behind each route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from tileserver import endpoints
from tileserver.cache import Cached, MemoryCache
from tileserver.catalogue import Catalogue, Root
from tileserver.config import Config, LayerSettings
from tileserver.errors import ConfigError, InvalidRequest, TileserverError
from tileserver.layers import LayerDefinition, Layers, automatic_layers
from tileserver.page import Page, page_folder
from tileserver.rasters import LocalRasters
from tileserver.responses import CommonHeaders, on_crash, on_error, on_http_error
from tileserver.styles import Style, parse_colors


def create_app(config: Config, shown: Sequence[Root] = ()) -> Starlette:
    """Return the server of a configuration.

    Args:
        config: what to serve.
        shown: more rasters, each of which becomes a layer.

    Raises:
        ConfigError: the configuration cannot be served; says why.
    """
    catalogue = catalogue_of(config, shown)
    rasters = LocalRasters(catalogue)
    pixels = Cached(MemoryCache(config.cache.memory_bytes, config.cache.ttl_s), rasters)
    services = endpoints.Services(
        layers=Layers(definitions_of(config, catalogue, shown), rasters, config.access.assets),
        pixels=pixels,
        bands=rasters,
        public_url=config.server.public_url,
        tile_max_age_s=int(config.cache.ttl_s),
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[endpoints.State]:
        yield {"services": services}
        rasters.close()

    app = Starlette(
        routes=[
            Route("/tiles/{layer:path}/{z}/{x}/{name}", endpoints.tile),
            Route("/layers", endpoints.layer_list),
            Route("/tilejson/{layer:path}.json", endpoints.tilejson),
            Route("/info/{layer:path}", endpoints.info),
            Route("/point/{layer:path}", endpoints.point),
            Route("/statistics/{layer:path}", endpoints.statistics),
            Route("/preview/{name:path}", endpoints.preview),
            Route("/legend/{layer:path}.svg", endpoints.legend),
            Route("/healthz", endpoints.healthz),
            Mount("/", Page(directory=page_folder(), html=True)),
        ],
        middleware=[Middleware(CommonHeaders)],
        exception_handlers={
            TileserverError: on_error,
            HTTPException: on_http_error,
            Exception: on_crash,
        },
        lifespan=lifespan,
    )
    # A redirect would repeat the Host header, whatever it says, where a 404 tells what is wrong.
    app.router.redirect_slashes = False
    return app


def catalogue_of(config: Config, shown: Sequence[Root] = ()) -> Catalogue:
    """Return the assets a configuration names.

    Raises:
        ConfigError: a path leads nowhere.
    """
    return Catalogue([*shown, *(Root(each.path, each.prefix) for each in config.rasters)])


def definitions_of(
    config: Config, catalogue: Catalogue, shown: Sequence[Root] = ()
) -> list[LayerDefinition]:
    """Return the layers: those configured, and every raster when none are or it is to be shown."""
    configured = [_definition(each) for each in config.layers]
    taken = {each.name for each in configured}
    drawn = Catalogue(shown) if shown or configured else catalogue
    return [*automatic_layers(drawn.names(), taken), *configured]


def _definition(settings: LayerSettings) -> LayerDefinition:
    try:
        palette = parse_colors(settings.palette) if settings.palette else ()
    except InvalidRequest as exc:
        raise ConfigError(f"[layers.{settings.name}] {exc}") from exc
    return LayerDefinition(
        name=settings.name,
        asset_name=settings.asset,
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
    )
