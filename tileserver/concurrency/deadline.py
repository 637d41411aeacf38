"""A deadline for a block of asynchronous code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tileserver.errors import DeadlineExceeded


@asynccontextmanager
async def deadline(seconds: float, name: str) -> AsyncIterator[asyncio.Timeout]:
    """Cancel the block after a number of seconds.

    Raises:
        DeadlineExceeded: it was cancelled; the message begins with `name`.
    """
    try:
        async with asyncio.timeout(seconds) as scope:
            yield scope
    except TimeoutError as exc:
        if not scope.expired():
            raise
        raise DeadlineExceeded(f"{name}: no pixels within {seconds:g} s.") from exc


def left_s(scope: asyncio.Timeout) -> float:
    """Return the seconds that are left."""
    ends_s = scope.when()
    return 0.0 if ends_s is None else ends_s - asyncio.get_running_loop().time()
