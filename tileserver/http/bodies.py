"""Areas in requests to the server's own routes: GeoJSON in the query or as the body."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
from starlette.requests import ClientDisconnect, Request

from tileserver.concurrency.threads import Slots
from tileserver.errors import InvalidRequest, RequestTooLarge
from tileserver.http.disconnects import ClientGone
from tileserver.layers.areas import MAX_BYTES, Areas, parse_areas

_BODIES = Slots(16, "bodies of requests", 256)
"""Read and parsed at once; each takes up to 2 MB, and much more parsed."""
_PARSED = Slots(1, "bodies of requests", 256)
"""Parsed at once: the parser of JSON holds Python's lock, which the event loop needs in between."""


async def areas_of(request: Request, parameters: Mapping[str, str]) -> Areas | None:
    """Return the areas in the body of a POST, or in the parameter `clip`; None without any.

    Raises:
        InvalidRequest: it is no GeoJSON, or both are there.
        RequestTooLarge: it is too long.
        ClientGone: the client has hung up.
    """
    clip = parameters.get("clip")
    if request.method != "POST":
        return None if clip is None else await anyio.to_thread.run_sync(parse_areas, clip, "clip")
    if clip is not None:
        raise InvalidRequest("clip: expected the area in the query or as the body, got both")
    # Read once, though the handler may run again.
    areas: Areas | None = getattr(request.state, "areas", None)
    if areas is None:
        async with _BODIES.held():
            body = await read_body(request, MAX_BYTES)
            async with _PARSED.held():
                areas = await anyio.to_thread.run_sync(parse_areas, body, "body")
        request.state.areas = areas
    return areas


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the body; the deadline of the route ends one that comes too slowly.

    Raises:
        RequestTooLarge: it has more bytes.
        ClientGone: the client has hung up.
    """
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                raise RequestTooLarge(f"the body has more than {max_bytes} bytes")
            chunks.append(chunk)
    except ClientDisconnect:
        raise ClientGone from None
    return b"".join(chunks)
