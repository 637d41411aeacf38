"""Tiles kept in memory, and the same tile asked twice at once asked once.

The only user of cachetools.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from cachetools import TTLCache

from tileserver.pixels import PixelRequest, PixelSource

_ENTRY_BYTES = 1000
"""About what a key and the cache's own bookkeeping weigh beside the tile."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Run one call a key at a time; whoever asks meanwhile waits for the same answer.

    The call is a task of its own: a client that leaves does not cancel the others. A failure
    reaches every waiter and is forgotten.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    async def join(self, key: K, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` returns, calling it only if no call for the key is under way."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(_run(call))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def _land(self, key: K, task: asyncio.Task[T]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # Looked at here, as all who waited may have left.


async def _run(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


class MemoryCache:
    """Encoded pixels by request: the least recently used go first, and all after `ttl_s`."""

    def __init__(self, max_bytes: int, ttl_s: float) -> None:
        self.ttl_s = ttl_s
        self._entries: TTLCache[PixelRequest, bytes] = TTLCache(
            max_bytes, ttl_s, getsizeof=lambda body: len(body) + _ENTRY_BYTES
        )

    @property
    def held_bytes(self) -> int:
        """Bytes held now, bookkeeping included; never more than `max_bytes`."""
        return int(self._entries.currsize)

    def get(self, request: PixelRequest) -> bytes | None:
        """Return the pixels held for a request, or None."""
        return self._entries.get(request)

    def put(self, request: PixelRequest, body: bytes) -> None:
        """Keep the pixels of a request, unless they alone are more than the cache may hold."""
        if len(body) + _ENTRY_BYTES <= self._entries.maxsize:
            self._entries[request] = body


class Cached:
    """Answer from memory, and ask `source` once for what is not there."""

    def __init__(self, memory: MemoryCache, source: PixelSource) -> None:
        self.memory = memory
        self.source = source
        self._flights: SingleFlight[PixelRequest, bytes] = SingleFlight()

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises what `source` raises."""
        held = self.memory.get(request)
        if held is not None:
            return held
        return await self._flights.join(request, lambda: self._fetch(request))

    def holds(self, request: PixelRequest) -> bool:
        """Tell whether a request can be answered from memory."""
        return self.memory.get(request) is not None

    async def _fetch(self, request: PixelRequest) -> bytes:
        body = await self.source.get_pixels(request)
        self.memory.put(request, body)
        return body
