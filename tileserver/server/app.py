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
from tileserver.earthengine.tuning import Tuning
from tileserver.errors import TileserverError
from tileserver.http.disconnects import ClientGone, timely
from tileserver.http.error_responses import on_client_gone, on_crash, on_error, on_http_error
from tileserver.http.loop_lag import watched
from tileserver.http.page import Page, page_folder
from tileserver.http.response_cache import RESPONSES, KeepResponses
from tileserver.http.responses import ByClient, Counted
from tileserver.http.routes import ROWS
from tileserver.layers.layer_list import filling
from tileserver.rasters.roots import Root
from tileserver.rest.router import RestRouter
from tileserver.server.assembly import Assembly, assemble
from tileserver.server.gate import Gate
from tileserver.server.proxies import TrustedProxies

_TUNED = Tuning()
_SWITCH_INTERVAL_S = 0.001
"""After which a computing thread lets the others run; Python's own is five times that."""
_ERROR_HANDLERS: Mapping[Any, ExceptionHandler] = {
    TileserverError: on_error,
    HTTPException: on_http_error,
    ClientGone: on_client_gone,
    Exception: on_crash,
}


def create_app(
    config: Config,
    added: Sequence[Root] = (),
    tuning: Tuning = _TUNED,
    folder: Path | None = None,
) -> Starlette:
    """Return the application of a configuration.

    Args:
        config: the configuration.
        added: rasters beside those of the configuration, each of which becomes a layer.
        tuning: of Earth Engine, for tests and measurements.
        folder: shared by the workers of one server, if there is one.

    Raises:
        ConfigError: the configuration cannot be served; says why.
    """
    assembly = assemble(config, added, tuning, folder)
    return app_of(assembly, config.api.enabled, tuning.deadline_s)


def app_of(assembly: Assembly, has_api: bool, deadline_s: float = _TUNED.deadline_s) -> Starlette:
    """Return the application of an assembly.

    Args:
        assembly: the services; closed when the application has been served.
        has_api: whether it answers Earth Engine's REST API.
        deadline_s: of a request.

    Raises:
        ConfigError: the page is missing.
    """
    listed = assembly.services.layer_list

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Mapping[str, object]]:
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        async with assembly.resources:
            with assembly.services.readiness.draining_on_signals():
                async with (
                    watched(assembly.sample),
                    assembly.seated,
                    assembly.starting,
                    filling(listed),
                    assembly.following,
                    assembly.growing,
                ):
                    yield {"services": assembly.services, RESPONSES: assembly.responses}

    app = Starlette(
        routes=_routes(assembly, has_api, deadline_s),
        middleware=[
            Middleware(TrustedProxies, trusted=assembly.trusted_proxies),
            Middleware(KeepResponses),
            Middleware(Counted),
            Middleware(Gate, rules=assembly.rules, bodies=assembly.api.bodies),
            Middleware(ByClient),
        ],
        exception_handlers=_ERROR_HANDLERS,
        lifespan=lifespan,
    )
    # A redirect would repeat a forged Host header; a 404 says what is wrong.
    app.router.redirect_slashes = False
    return app


def _routes(assembly: Assembly, has_api: bool, deadline_s: float) -> list[BaseRoute]:
    """Return the routes in the order in which they are tried; the page has all other paths."""
    own: list[BaseRoute] = [
        Route(
            row.path,
            timely(row.endpoint, deadline_s) if row.is_timed else row.endpoint,
            methods=list(row.methods),
        )
        for row in ROWS
    ]
    return [
        *own,
        *([RestRouter(assembly.api, deadline_s)] if has_api else []),
        Mount("/", Page(directory=page_folder(), html=True, policy=assembly.services.links.policy)),
    ]
