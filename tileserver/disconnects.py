"""Clients that leave: a map that has moved on hangs up, and nothing more is done for it.

Nobody waits longer than the deadline either, whatever it takes to answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from tileserver.earthengine.retries import deadline

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
_MAX_SHOWN = 80


class ClientGone(Exception):
    """The client has hung up; nobody will read the answer."""


def timely(handler: Handler, deadline_s: float) -> Handler:
    """Return a handler that gives up after so many seconds, metadata and all tries included."""

    async def within_deadline(request: Request) -> Response:
        async with deadline(deadline_s, request.scope["path"][:_MAX_SHOWN]):
            return await handler(request)

    return within_deadline


async def while_connected(receive: Receive, call: Coroutine[Any, Any, T]) -> T:
    """Return what a call returns; cancel it when the client hangs up meanwhile.

    Raises:
        ClientGone: it did.
    """
    task = asyncio.create_task(call)
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
