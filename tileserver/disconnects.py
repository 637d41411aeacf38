"""Clients that leave: a map that has moved on hangs up, and nothing more is done for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client has hung up; nobody will read the answer."""


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
