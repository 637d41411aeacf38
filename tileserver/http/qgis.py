"""The handlers of the files that QGIS opens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.errors import AssetNotFound, InvalidRequest
from tileserver.http import addresses
from tileserver.http.endpoints import base_url, key_parameter, services_of, styled_layer
from tileserver.http.parameters import TIME_PARAMETER, parse_query, parse_times
from tileserver.http.responses import bytes_response
from tileserver.layers.layers import Layer
from tileserver.layers.listed import ListedLayer
from tileserver.layers.qgis import connections, layer_definition
from tileserver.layers.steps import STEP_PARAMETERS
from tileserver.layers.styles import STYLE_PARAMETERS
from tileserver.rendering.render import check_options

LAYER_PARAMETER = "layer"
_LOOK = (*STYLE_PARAMETERS, *STEP_PARAMETERS, TIME_PARAMETER)
_MAX_LAYERS = 1000


async def connections_file(request: Request) -> Response:
    """Answer GET /qgis.xml?layer=: connections to the tiles, for *Load Connections* of QGIS."""
    services = services_of(request)
    query = request.scope["query_string"]
    parameters = parse_query(query, (*_LOOK, LAYER_PARAMETER))
    name = parameters.pop(LAYER_PARAMETER, None)
    layers: Sequence[Layer | ListedLayer]
    if name is None:
        if style := _style_in(parameters):
            raise InvalidRequest(f"{next(iter(style))}: goes with layer alone, the name of a layer")
        layers = (await services.layer_list.page(None, _MAX_LAYERS)).layers
    else:
        # The access rules looked at the path, so an asset by its name would slip past them.
        if name not in services.layers:
            raise AssetNotFound(name)
        layer, style = await _drawn(request, name, (LAYER_PARAMETER,))
        layers = [layer]
    url, more = base_url(request), style | key_parameter(request)
    body = await anyio.to_thread.run_sync(connections, url, layers, more)
    return _attached(request, body, "application/xml", "qgis-xyz.xml")


async def layer_definition_file(request: Request) -> Response:
    """Answer GET /qgis/{layer}.qlr: the layer with its style, which QGIS adds to a map."""
    name = request.path_params["layer"]
    layer, style = await _drawn(request, name)
    body = layer_definition(base_url(request), layer, style | key_parameter(request))
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "layer"
    return _attached(request, body, "application/x-qgis-layer-definition", f"{stem}.qlr")


def _style_in(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters without a version token, of which documents have the present one."""
    return {name: text for name, text in parameters.items() if name in _LOOK}


async def _drawn(
    request: Request, name: str, more: Sequence[str] = ()
) -> tuple[Layer, dict[str, str]]:
    """Return a layer in the style of the query, which can be drawn, and that style.

    Raises:
        InvalidRequest: it cannot be drawn so.
    """
    layer, _, parameters = await styled_layer(request, name, (TIME_PARAMETER, *more))
    parse_times(parameters, layer.asset)
    check_options(layer.style.options(), len(layer.style.bands))
    return layer, _style_in(parameters)


def _attached(request: Request, body: bytes, media_type: str, name: str) -> Response:
    cache_control = addresses.document_cache_control(services_of(request).public_url)
    extra = {"content-disposition": f'attachment; filename="{name}"'}
    return bytes_response(request, body, media_type, cache_control, extra)
