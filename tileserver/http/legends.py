"""The handler of legends."""

from __future__ import annotations

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.concurrency.retry_changed import asked_again
from tileserver.errors import InvalidRequest
from tileserver.http.endpoints import _cache_control as cache_control_of
from tileserver.http.endpoints import services_of, styled_layer
from tileserver.http.parameters import (
    LEGEND_FORMATS,
    VERSION_PARAMETER,
    parse_legend,
    parse_side,
)
from tileserver.http.responses import bytes_response, json_response
from tileserver.layers import legends
from tileserver.rendering.legend_png import legend_png

_MAX_SCALE = 4
"""Pixels of a PNG for each of the SVG's."""


@asked_again
async def legend(request: Request) -> Response:
    """Answer GET /legend/{layer}.{ext}?scale=: colours and values, as svg, png or json."""
    services = services_of(request)
    name, suffix = parse_legend(request.path_params["name"])
    if not suffix:
        expected = ", ".join(f".{each}" for each in LEGEND_FORMATS)
        raise InvalidRequest(f"suffix: expected one of {expected}, got {name[-40:]!r}")
    layer, _, parameters = await styled_layer(request, name, ("scale",))
    scale = parse_side("scale", parameters, _MAX_SCALE) or 1
    layer = await legends.with_occurring_classes(layer, services.bands)
    cache_control = cache_control_of(services, layer, parameters.get(VERSION_PARAMETER))
    if suffix == "json":
        return json_response(request, legends.legend_json(layer), cache_control)
    svg = legends.legend(layer)
    if suffix == "svg":
        return bytes_response(request, svg.encode(), "image/svg+xml", cache_control)
    async with services.documents.held():
        body = await anyio.to_thread.run_sync(legend_png, svg, scale)
    return bytes_response(request, body, "image/png", cache_control)
