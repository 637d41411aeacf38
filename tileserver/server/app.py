"""The Starlette application: routes, middleware, error handlers."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ExceptionHandler

from tileserver.config.config import Config
from tileserver.earthengine.stack import Tuning
from tileserver.errors import TileserverError
from tileserver.http import endpoints
from tileserver.http.disconnects import ClientGone, timely
from tileserver.http.loop_lag import watched
from tileserver.http.page import Page, page_folder
from tileserver.http.responses import (
    ByClient,
    Counted,
    on_client_gone,
    on_crash,
    on_error,
    on_http_error,
)
from tileserver.rasters.catalogue import Root
from tileserver.rest.router import RestRouter
from tileserver.server.assembly import Stack, assemble
from tileserver.server.gate import Gate

_TUNED = Tuning()
_SWITCH_INTERVAL_S = 0.001
"""After which a computing thread lets the others run; Python's own is five times that."""
_TIMED_ENDPOINTS = {
    "/tiles/{layer:path}/{z}/{x}/{name}": endpoints.tile,
    "/layers": endpoints.layer_list,
    "/tilejson/{layer:path}.json": endpoints.tilejson,
    "/info/{layer:path}": endpoints.info,
    "/point/{layer:path}": endpoints.point,
    "/statistics/{layer:path}": endpoints.statistics,
    "/preview/{name:path}": endpoints.preview,
    "/legend/{layer:path}.svg": endpoints.legend,
}
"""By path; each answers within the deadline."""
_ERROR_HANDLERS: Mapping[Any, ExceptionHandler] = {
    TileserverError: on_error,
    HTTPException: on_http_error,
    ClientGone: on_client_gone,
    Exception: on_crash,
}


def create_app(
    config: Config,
    shown: Sequence[Root] = (),
    tuning: Tuning = _TUNED,
    folder: Path | None = None,
) -> Starlette:
    """Return the application of a configuration.

    Args:
        config: the configuration.
        shown: more rasters, each of which becomes a layer.
        tuning: of Earth Engine, for tests and measurements.
        folder: shared by the workers of one server, if there is one.

    Raises:
        ConfigError: the configuration cannot be served; says why.
    """
    stack = assemble(config, shown, tuning, folder)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[endpoints.State]:
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        async with stack.resources:
            with stack.services.readiness.draining_on_signals():
                async with watched(stack.sample), stack.seated:
                    yield {"services": stack.services}

    app = Starlette(
        routes=_routes(stack, config.api.enabled, tuning.deadline_s),
        middleware=[
            Middleware(Counted),
            Middleware(Gate, rules=stack.rules, bodies=stack.api.bodies),
            Middleware(ByClient),
        ],
        exception_handlers=_ERROR_HANDLERS,
        lifespan=lifespan,
    )
    # A redirect would repeat a forged Host header; a 404 says what is wrong.
    app.router.redirect_slashes = False
    return app


def _routes(stack: Stack, has_api: bool, deadline_s: float) -> list[BaseRoute]:
    """Return the routes in the order in which they are tried; the page has all other paths."""
    timed: list[BaseRoute] = [
        Route(path, timely(endpoint, deadline_s)) for path, endpoint in _TIMED_ENDPOINTS.items()
    ]
    return [
        *timed,
        Route("/healthz", endpoints.healthz),
        Route("/readyz", endpoints.readyz),
        Route("/metrics", endpoints.figures),
        *([RestRouter(stack.api, deadline_s)] if has_api else []),
        Mount("/", Page(directory=page_folder(), html=True)),
    ]
