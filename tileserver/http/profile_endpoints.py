"""Request handlers of the values along a line, and of the times of a layer."""

from __future__ import annotations

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.concurrency.retry_changed import asked_again
from tileserver.http.disconnects import while_connected
from tileserver.http.endpoints import layer_of_values, services_of, timed
from tileserver.http.parameters import (
    TIME_PARAMETER,
    parse_bbox,
    parse_query,
    parse_side,
    parse_table_format,
    parse_times,
)
from tileserver.http.responses import bytes_response, json_response
from tileserver.layers import profiles
from tileserver.layers.times import times_json


@asked_again
async def profile(request: Request) -> Response:
    """Answer GET /profile/{layer}?line=&points=&bands=&time=&format=: values along a line."""
    services = services_of(request)
    own = ("line", "points", "bands", "format", TIME_PARAMETER)
    layer, bands, parameters = await layer_of_values(request, own)
    _, kind = parse_table_format("", parameters)
    positions = profiles.parse_line(parameters.get("line", ""))
    parse_times(parameters, layer.asset)
    points = parse_side("points", parameters, profiles.MAX_POINTS) or profiles.DEFAULT_POINTS

    async def read() -> profiles.Profile:
        line = profiles.line_of(positions, max(points, 2))
        pieces = await services.geometry.call(profiles.profile_pieces, layer, bands, line)
        found = profiles.Profile(line, layer.made_bands(bands))
        async with services.summaries.held():
            for piece in pieces:
                pixels = timed(piece.request, layer, parameters)
                values = await services.bands.read_bands(pixels)
                await anyio.to_thread.run_sync(found.add, piece, values)
        return found

    found = await while_connected(request.receive, read())
    if kind == "csv":
        body = found.to_csv().encode()
        return bytes_response(request, body, "text/csv; charset=utf-8", "no-cache")
    return json_response(request, found.to_json())


@asked_again
async def times(request: Request) -> Response:
    """Answer GET /times/{layer}?bbox=&step=: what `time=` can be, of the files in a box."""
    services = services_of(request)
    parameters = parse_query(request.scope["query_string"], ("bbox", "step"))
    bbox = parse_bbox(parameters["bbox"]) if "bbox" in parameters else None
    layer = await services.layers.find(request.path_params["layer"])
    asset = layer.asset
    taken = await services.series.read_times(asset.name, asset.version, bbox)
    document = await anyio.to_thread.run_sync(times_json, taken, parameters.get("step"))
    return json_response(request, document)
