"""A request for a method of the REST API, and the services that methods answer it with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from tileserver.concurrency.threads import Threads
from tileserver.contract.mounts import Mounts
from tileserver.contract.pixels import PixelRequest
from tileserver.exports.exporter import Exporter
from tileserver.http.disconnects import while_connected
from tileserver.http.endpoints import Services
from tileserver.rendering.encoders import media_type
from tileserver.rest.asset_metadata import AssetMetadata
from tileserver.rest.expression_store import ExpressionStore
from tileserver.rest.requests import Bodies, Room, read_body, read_json

_THREADS = 4
SHORT_BYTES = 50_000
"""Of JSON that the event loop parses itself, in well under a millisecond."""
T = TypeVar("T")


class Computer(Protocol):
    """Computes expressions, each the JSON text of {"result": …, "values": …}."""

    async def value(self, expression: str) -> Any:
        """Return the value, as JSON has it.

        Raises:
            InvalidRequest: it cannot be computed; says why.
        """
        ...

    async def features(self, expression: str) -> list[dict[str, Any]]:
        """Return the features of a collection as GeoJSON in degrees; raises as `value`."""
        ...

    async def version(self, expression: str) -> str:
        """Return a token that changes whenever an asset it loads does; raises as `value`."""
        ...

    async def algorithms(self) -> bytes:
        """Return the list of algorithms as JSON, as Earth Engine answers it."""
        ...


@dataclass(frozen=True)
class Api:
    """The services that methods use."""

    services: Services
    assets: Mounts[AssetMetadata]
    """By the prefixes of names."""
    computer: Computer
    stored: ExpressionStore
    exporter: Exporter | None = None
    """None if exports are turned off."""
    threads: Threads = field(default_factory=lambda: Threads(_THREADS))
    """For JSON, expressions on disk and files of tables, apart from the threads of pixels."""
    bodies: Bodies = field(default_factory=Bodies)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return the result of a function that blocks."""
        return await self.threads.run(function, *arguments)


@dataclass(frozen=True)
class Call:
    """A request for a method."""

    api: Api
    request: Request
    path: Mapping[str, str]
    """Parameters of the path."""
    query: Mapping[str, str]
    """Parameters of the query; unknown ones are ignored, as clients send many."""
    room: Room
    """Memory for the body."""
    bodies: list[bytes] = field(default_factory=list, repr=False)
    """The body once it was read, for a method that is retried after a file has changed."""

    async def json(self, read: Callable[[Any], T]) -> T:
        """Return the result of `read` on the parsed body; a long one is parsed in a thread.

        Raises:
            InvalidRequest: it is too long, or no JSON; or what `read` raises.
        """
        if not self.bodies:
            self.bodies.append(await read_body(self.request, self.room))
        body = self.bodies[0]
        if len(body) <= SHORT_BYTES:
            return read(read_json(body))
        return await self.api.in_thread(lambda: read(read_json(body)))

    async def pixels(self, request: PixelRequest) -> bytes:
        """Return pixels through the cache that tiles share; stops when the client disconnects."""
        pixels = self.api.services.pixels
        if pixels.holds(request):
            return await pixels.get_pixels(request)
        return await while_connected(self.request.receive, pixels.get_pixels(request))


def json_answer(document: Any, cache_control: str = "private, no-store") -> Response:
    """Return a document as an answer."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return json_bytes_answer(body.encode(), cache_control)


def json_bytes_answer(body: bytes, cache_control: str = "private, no-store") -> Response:
    """Return JSON as an answer."""
    return Response(body, headers={"cache-control": cache_control}, media_type="application/json")


def pixels_answer(request: PixelRequest, body: bytes, file_name: str | None = None) -> Response:
    """Return encoded pixels as an answer; saved as `file_name` by a browser, if there is one."""
    headers = {"cache-control": "private, no-store"}
    if file_name is not None:
        headers["content-disposition"] = f'attachment; filename="{file_name}"'
    return Response(body, headers=headers, media_type=media_type(request.file_format, body))
