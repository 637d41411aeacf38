"""Requests that nobody waits for any more, ended without cancelling the task that makes them.

A task that is cancelled while httpcore gives it a connection, opens one or closes one (as for an
earlier cancellation) leaves a connection in the pool that is never used again nor closed. There
are as many as Earth Engine grants requests at once, so each loss would be one request fewer, until
the server is started again; maps that are panned abandon requests all day.

So no cancellation comes near the pool. A request is made by a task of its own, and who abandons it
hangs up: its connection is closed, which httpcore takes for what it is, a broken connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Line(Protocol):
    """A connection that can be closed at once."""

    user: object
    """Who sent something over it last."""

    def hang_up(self) -> None:
        """Close it; whoever reads or writes sees a broken connection."""
        ...


class _Call:
    """One request, sent as often as it takes."""

    def __init__(self) -> None:
        self.line: Line | None = None
        """What it was last sent over."""
        self.is_abandoned = False

    def abandon(self) -> None:
        """End what is under way; what is yet to be sent ends when it comes to it."""
        self.is_abandoned = True
        # The connection may have gone back to the pool since, and on to somebody else.
        if self.line is not None and self.line.user is self:
            self.line.hang_up()


_call: ContextVar[_Call | None] = ContextVar("_call", default=None)
_running: set[asyncio.Task[Any]] = set()
"""The loop itself holds its tasks weakly."""


async def abandonable(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; when this is cancelled `work` is not, its connection is closed.

    What it is sent over has to tell `about_to_send`.
    """
    call, context = _Call(), copy_context()
    context.run(_call.set, call)
    task = asyncio.create_task(work, context=context)
    _running.add(task)
    task.add_done_callback(_running.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            call.abandon()
        raise


def about_to_send(line: Line) -> None:
    """Note what the request of this task is sent over; hang up if nobody waits for it any more."""
    call = line.user = _call.get()
    if call is not None:
        call.line = line
        if call.is_abandoned:
            line.hang_up()
