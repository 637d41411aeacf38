"""Cancel a request when its client disconnects, or at the deadline.

A map that is panned disconnects from the tiles that it no longer shows.
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
    """The client disconnected before the response."""


def timely(handler: Handler, deadline_s: float) -> Handler:
    """Return a handler with a deadline for metadata, pixels and all retries together.

    It raises DeadlineExceeded after `deadline_s` seconds.
    """

    async def within_deadline(request: Request) -> Response:
        async with deadline(deadline_s, request.scope["path"][:_MAX_SHOWN]):
            return await handler(request)

    return within_deadline


async def while_connected(receive: Receive, call: Coroutine[Any, Any, T]) -> T:
    """Return the result of a call; cancel it if the client disconnects meanwhile.

    Raises:
        ClientGone: the client disconnected.
    """
    asking = asyncio.current_task()
    assert asking is not None
    watch = asyncio.create_task(_cancel_when_gone(receive, asking))
    try:
        return await call
    except asyncio.CancelledError:
        # As `asyncio.timeout` tells its own cancellation from another one.
        if watch.done() and asking.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        watch.cancel()


async def _cancel_when_gone(receive: Receive, asking: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    # Not in a done callback: it would also run after `call` has returned.
    asking.cancel()
