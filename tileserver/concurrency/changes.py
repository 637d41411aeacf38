"""What is done again when a file changes while it is read.

A reader that finds another file than the one it was to read raises AssetChanged, and the asset is
looked up anew the next time. So whoever looked it up does so again, and answers of one version.
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
    """Return what a call returns that looks an asset up and reads it.

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
    """Return what an asynchronous call returns, as `read_again` does."""
    for _ in range(_TRIES - 1):
        try:
            return await call()
        except AssetChanged:
            continue
    return await call()


def asked_again(handler: Callable[[A], Awaitable[T]]) -> Callable[[A], Awaitable[T]]:
    """Return a handler of requests that answers of one version, as `ask_again` does."""

    @wraps(handler)
    async def answer(request: A) -> T:
        return await ask_again(lambda: handler(request))

    return answer
