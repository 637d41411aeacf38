"""Several applications behind one port: each source of a notebook has its own.

The first part of a path is the number of an application, /3/tiles/…. Of those that were not used
lately the caches and open files are closed; the next request opens them anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from tileserver.notebook.calls import App, Message, Receive, Scope, Send

_MOST_OPEN = 8
"""Applications with caches and open files at one time."""
_GONE = b"There is no such map any more; run the cell again."

log = logging.getLogger(__name__)


@dataclass
class _Hosted:
    """An application, and its state while it is open."""

    make: Callable[[], Any]
    app: Any = None
    state: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    """Those under way."""
    used: int = 0
    """When it was used last, counted in requests of all."""
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: AsyncExitStack | None = None


class Hosted:
    """The ASGI application in front of all."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """The server's; None until it has begun."""
        self._all: list[_Hosted] = []
        self._count = 0

    def add(self, make: Callable[[], Any]) -> int:
        """Return the number of a new application; `make` returns a Starlette application."""
        self._all.append(_Hosted(make))
        return len(self._all) - 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or live as long as the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.loop = asyncio.get_running_loop()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for each in self._all:
            await _close(each)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        number, slash, rest = scope["path"][1:].partition("/")
        if not slash or not number.isdecimal() or int(number[:9]) >= len(self._all):
            await _refuse(send)
            return
        hosted = self._all[int(number[:9])]
        hosted.requests += 1
        try:
            app = await self._opened(hosted)
            inner = {**scope, "path": f"/{rest}", "state": dict(hosted.state)}
            inner["raw_path"] = b"/" + scope["raw_path"][1:].partition(b"/")[2]
            await app(inner, receive, send)
        finally:
            hosted.requests -= 1

    async def _opened(self, hosted: _Hosted) -> App:
        """Return an application whose lifespan has begun."""
        self._count += 1
        hosted.used = self._count
        async with hosted.opening:
            if hosted.app is None:
                await self._make_room()
                await _open(hosted)
        app: App = hosted.app
        return app

    async def _make_room(self) -> None:
        """Close the application that was used longest ago and answers no request now."""
        opened = [each for each in self._all if each.app is not None]
        idle = sorted((each for each in opened if not each.requests), key=lambda each: each.used)
        for each in idle[: max(0, len(opened) - _MOST_OPEN + 1)]:
            await _close(each)


async def _open(hosted: _Hosted) -> None:
    # In a thread, as it may read files; the first one imports, too.
    app = await asyncio.to_thread(_made, hosted.make)
    stack = AsyncExitStack()
    hosted.state = dict(await stack.enter_async_context(app.router.lifespan_context(app)) or {})
    hosted.app, hosted.ended = app, stack


def _made(make: Callable[[], Any]) -> Any:
    """Return an application; a StopIteration, which no future can hold, as another error."""
    try:
        return make()
    except StopIteration as exc:
        raise RuntimeError("the application was not made") from exc


async def _close(hosted: _Hosted) -> None:
    stack, hosted.app, hosted.ended = hosted.ended, None, None
    if stack is None:
        return
    try:
        await stack.aclose()
    except Exception:
        log.exception("closing a map's source failed")


async def _refuse(send: Send) -> None:
    start: Message = {
        "type": "http.response.start",
        "status": 404,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"no-store"),
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": _GONE})
