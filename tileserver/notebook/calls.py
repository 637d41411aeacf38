"""Requests to an ASGI application within its own event loop: no port, no thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import anyio

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Answer(NamedTuple):
    """A response, whole."""

    status: int
    media_type: str
    body: bytes


async def get(app: App, target: str) -> Answer:
    """Return the response of an application to a GET.

    Args:
        app: the application; its lifespan has begun.
        target: path and query, percent-encoded.
    """
    path, _, query = target.partition("?")
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    answer = _Receiver()
    await app(scope, answer.receive, answer.send)
    return Answer(answer.status, answer.media_type, bytes(answer.body))


class _Receiver:
    """The client's side of a request without a body."""

    def __init__(self) -> None:
        self.status, self.media_type, self.body = 500, "", bytearray()
        self._is_sent = False

    async def receive(self) -> Message:
        """Return the empty body; a client that waits for its response sends nothing more."""
        if self._is_sent:
            await anyio.sleep_forever()
        self._is_sent = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        """Take a part of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = dict(message["headers"])
            self.media_type = headers.get(b"content-type", b"").decode("latin-1")
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
