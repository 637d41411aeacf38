"""Retries for files that change while they are read.

A reader raises AssetChanged if the file is not the one that was looked up. The caller looks the
asset up again and repeats the call, so that each answer belongs to one version of the file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

from tileserver.errors import AssetChanged

_TRIES = 3

A = TypeVar("A")
T = TypeVar("T")


def read_again(call: Callable[[], T]) -> T:
    """Return the result of a call that looks an asset up and reads it.

    Raises:
        AssetChanged: the file changed each time.
    """
    for _ in range(_TRIES - 1):
        try:
            return call()
        except AssetChanged:
            continue
    return call()


async def ask_again(call: Callable[[], Awaitable[T]]) -> T:
    """Return the result of an asynchronous call, as `read_again` does."""
    for _ in range(_TRIES - 1):
        try:
            return await call()
        except AssetChanged:
            continue
    return await call()


def asked_again(handler: Callable[[A], Awaitable[T]]) -> Callable[[A], Awaitable[T]]:
    """Decorate a request handler to be repeated as `ask_again` does."""

    @wraps(handler)
    async def answer(request: A) -> T:
        return await ask_again(lambda: handler(request))

    return answer
