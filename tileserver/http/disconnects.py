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

from tileserver.concurrency.deadline import deadline

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
    asking = asyncio.current_task()
    assert asking is not None
    watch = asyncio.create_task(_cancel_when_gone(receive, asking))
    try:
        return await call
    except asyncio.CancelledError:
        # As `asyncio.timeout` tells its own cancelling from that of others.
        if watch.done() and asking.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        watch.cancel()


async def _cancel_when_gone(receive: Receive, asking: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    # Here and not in a callback, which would run even when it has been too late for long.
    asking.cancel()
