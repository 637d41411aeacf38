"""The route of the values, or the features, at a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.concurrency.retry_changed import asked_again
from tileserver.concurrency.time_limit import time_limit
from tileserver.contract.drawn_tables import MAX_RADIUS_M
from tileserver.http.disconnects import while_connected
from tileserver.http.endpoints import layer_of_values, services_of, timed
from tileserver.http.parameters import TIME_PARAMETER, parse_place
from tileserver.http.responses import json_response
from tileserver.layers import queries
from tileserver.layers.layers import Layer
from tileserver.layers.styles import parse_number

_FEATURES_S = 20.0
"""To find the features at a place, the table read included."""


@asked_again
async def point(request: Request) -> Response:
    """Answer GET /point/{layer}?lon=&lat=&bands=&radius=: values, or the features of a table."""
    own = ("lon", "lat", "bands", "radius", TIME_PARAMETER)
    layer, bands, parameters = await layer_of_values(request, own)
    place, radius_m = parse_place(parameters), 0.0
    if "radius" in parameters:
        radius_m = parse_number("radius", parameters["radius"], 0, MAX_RADIUS_M)
    if layer.asset.table is not None:
        return json_response(request, await features_there(request, layer, place, radius_m))
    return json_response(request, await values_there(request, layer, place, bands, parameters))


async def values_there(
    request: Request,
    layer: Layer,
    place: tuple[float, float],
    bands: Sequence[str],
    parameters: Mapping[str, str],
) -> dict[str, Any]:
    """Return the values of bands at a longitude and latitude in degrees."""
    pixel = timed(queries.point_request(layer, *place, bands), layer, parameters)
    reading = services_of(request).bands.read_bands(pixel)
    return queries.point(*place, await while_connected(request.receive, reading))


async def features_there(
    request: Request, layer: Layer, place: tuple[float, float], radius_m: float
) -> dict[str, Any]:
    """Return the features of a table within metres of a longitude and latitude in degrees."""
    table, find = layer.asset.table, services_of(request).features_at
    assert table is not None, "the layer is one of a table"
    assert find is not None, "a server that draws tables has them"

    def found() -> dict[str, Any]:
        with time_limit(_FEATURES_S):
            return find(table.name, *place, radius_m)

    lon, lat = place
    return {"lon": lon, "lat": lat, "values": {}, **await anyio.to_thread.run_sync(found)}
