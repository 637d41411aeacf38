"""The application: which route is answered by what."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

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
from tileserver.server.assembly import assemble
from tileserver.server.gate import Gate

_TUNED = Tuning()
_TURN_S = 0.001
"""What a thread that computes may hold the others up; Python's own is five times that."""


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
    rest: list[BaseRoute] = [RestRouter(stack.api, tuning.deadline_s)] if config.api.enabled else []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[endpoints.State]:
        sys.setswitchinterval(_TURN_S)
        async with stack.resources:
            with stack.services.readiness.until_the_end():
                async with watched(stack.sample), stack.seated:
                    yield {"services": stack.services}

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
            *rest,
            Mount("/", Page(directory=page_folder(), html=True)),
        ],
        middleware=[
            Middleware(Counted),
            Middleware(Gate, rules=stack.rules, bodies=stack.api.bodies),
            Middleware(ByClient),
        ],
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
