"""One call of a method: what came, and what there is to answer it with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from tileserver.concurrency.threads import Threads
from tileserver.contract.pixels import PixelRequest
from tileserver.http.disconnects import while_connected
from tileserver.http.endpoints import Services
from tileserver.rasters.folders import Tree
from tileserver.rendering.encoders import media_type
from tileserver.rest.computers import Computer
from tileserver.rest.expression_store import Graphs
from tileserver.rest.requests import Bodies, Room, read_body, read_json

_THREADS = 4
SHORT_BYTES = 50_000
"""Of JSON that is read and written in no time."""
T = TypeVar("T")


class RemoteCatalog(Protocol):
    """What is asked of Earth Engine itself, within its quota and with our credentials."""

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset, or raise AssetNotFound."""
        ...

    async def list_assets(self, parent: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """Return a page of assets; the query is that of `listAssets`."""
        ...


@dataclass(frozen=True)
class Api:
    """What the methods work with."""

    services: Services
    tree: Tree
    local_prefixes: tuple[str, ...]
    """What the names of local assets begin with; each ends in a slash."""
    computer: Computer
    graphs: Graphs
    remote: RemoteCatalog | None = None
    threads: Threads = field(default_factory=lambda: Threads(_THREADS))
    """Of what reads the disk for lists, so that it never takes those of pixels."""
    bodies: Bodies = field(default_factory=Bodies)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns that blocks."""
        return await self.threads.run(function, *arguments)

    def is_local(self, name: str) -> bool:
        """Tell whether an asset is a local one, or would be."""
        return self.remote is None or name.startswith(self.local_prefixes)

    def holds_local(self, parent: str) -> bool:
        """Tell whether local assets lie in or below what has a name."""
        below = f"{parent}/"
        return self.is_local(below) or any(p.startswith(below) for p in self.local_prefixes)


@dataclass(frozen=True)
class Call:
    """A request for a method."""

    api: Api
    request: Request
    path: Mapping[str, str]
    """Parameters of the path."""
    query: Mapping[str, str]
    """Those of the query, of which clients send many that mean nothing here."""
    room: Room
    """For the body."""
    bodies: list[bytes] = field(default_factory=list, repr=False)
    """The body once it was read, for a method that is called again as a file has changed."""

    async def json(self, read: Callable[[Any], T]) -> T:
        """Return what `read` makes of the parsed body; a long one is parsed in a thread.

        Raises:
            InvalidRequest: it is too long, or no JSON; or what `read` raises.
        """
        if not self.bodies:
            self.bodies.append(await read_body(self.request, self.room))
        body = self.bodies[0]
        if len(body) <= SHORT_BYTES:
            return read(read_json(body))
        return await self.api.in_thread(lambda: read(read_json(body)))

    async def pixels(self, asked: PixelRequest) -> bytes:
        """Return pixels through the cache that tiles share; stops when the client hangs up."""
        pixels = self.api.services.pixels
        if pixels.holds(asked):
            return await pixels.get_pixels(asked)
        return await while_connected(self.request.receive, pixels.get_pixels(asked))


def json_answer(document: Any, cache_control: str = "private, no-store") -> Response:
    """Return a document as an answer."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(
        body.encode(), headers={"cache-control": cache_control}, media_type="application/json"
    )


def pixels_answer(asked: PixelRequest, body: bytes, file_name: str | None = None) -> Response:
    """Return encoded pixels as an answer; saved as `file_name` by a browser, if there is one."""
    headers = {"cache-control": "private, no-store"}
    if file_name is not None:
        headers["content-disposition"] = f'attachment; filename="{file_name}"'
    return Response(body, headers=headers, media_type=media_type(asked.file_format, body))
