"""Tiles kept in memory, and the same tile asked twice at once asked once.

The only user of cachetools.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache, TTLCache

from tileserver import metrics
from tileserver.errors import InvalidRequest, NotFound, TileserverError
from tileserver.pixels import PixelRequest, PixelSource

_ENTRY_BYTES = 1000
"""About what a key and the cache's own bookkeeping weigh beside the tile."""

_SHARE = 32
"""What alone is more than this part of the cache is not kept: one download, hundreds of tiles."""
_ALWAYS_KEPT_BYTES = 1_000_000
"""As large as tiles come; kept in a small cache too."""
_RETRY_STALE_S = 10.0
"""After a failure a stale tile is served so long before its source is asked again."""
_MAX_FAILED = 10_000
_REFUSED_S = 10.0
_MAX_REFUSED_BYTES = 16_000_000
_HIT, _STALE, _MISS = (metrics.CACHE.labels(result) for result in ("hit", "stale", "miss"))

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def key_bytes(request: PixelRequest) -> int:
    """Return about what a request weighs as a key: strangers write most of what it holds."""
    options = request.visualization_options
    colors = () if options is None else options.palette_colors
    texts = (*request.band_ids, *colors, request.expression or "", request.asset_id)
    crs_code = getattr(request.grid, "crs_code", None) or ""
    # A position takes 110 bytes, of which little may be written.
    region = 0 if request.region is None else 8 * len(repr(request.region))
    return _ENTRY_BYTES + sum(map(len, texts)) + 60 * len(texts) + len(crs_code) + region


class SingleFlight(Generic[K, T]):
    """Run one call a key at a time; whoever asks meanwhile waits for the same answer.

    The call is a task of its own: a client that leaves does not cancel the others, only when
    the last one leaves it is cancelled. A failure reaches every waiter and is forgotten.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}
        self._waiting: Counter[K] = Counter()
        self._kept: set[asyncio.Task[T]] = set()

    async def join(self, key: K, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` returns, calling it only if no call for the key is under way."""
        task = self._start(key, call)
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._leave(key, task)

    def _leave(self, key: K, task: asyncio.Task[T]) -> None:
        self._waiting[key] -= 1
        if self._waiting[key] == 0:
            del self._waiting[key]
            # Out of the dictionary first: whoever comes now must not join what is being cancelled.
            if not task.done() and task not in self._kept:
                del self._tasks[key]
                task.cancel()

    def keep(self, key: K, call: Callable[[], Awaitable[T]]) -> None:
        """Make a call that nobody need wait for, if none for the key is under way."""
        self._kept.add(self._start(key, call))

    def _start(self, key: K, call: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Return the task that makes the call for a key, a new one if none is under way."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(_run(call))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return task

    def _land(self, key: K, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        self._kept.discard(task)
        if not task.cancelled():
            task.exception()  # Looked at here, as all who waited may have left.


async def _run(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


class MemoryCache:
    """Encoded pixels by request: the least recently used go first.

    After `ttl_s` they are stale: kept as long as there is room, but no longer answered by `get`.
    """

    def __init__(
        self, max_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ttl_s = ttl_s
        self.clock = clock
        self._entries: LRUCache[PixelRequest, tuple[bytes, float, int]] = LRUCache(
            max_bytes, getsizeof=lambda entry: entry[2]
        )

    @property
    def held_bytes(self) -> int:
        """Bytes held now, bookkeeping included; never more than `max_bytes`."""
        return int(self._entries.currsize)

    def get(self, request: PixelRequest) -> bytes | None:
        """Return the pixels held for a request, or None if there are none or they are stale."""
        entry = self._entries.get(request)
        return entry[0] if entry is not None and self.clock() < entry[1] else None

    def get_stale(self, request: PixelRequest) -> bytes | None:
        """Return the pixels held for a request, however old, or None."""
        entry = self._entries.get(request)
        return None if entry is None else entry[0]

    def put(self, request: PixelRequest, body: bytes) -> None:
        """Keep the pixels of a request, unless they would push out too many others."""
        most = min(self._entries.maxsize, max(self._entries.maxsize // _SHARE, _ALWAYS_KEPT_BYTES))
        # An expression or a palette may be longer than the tile it makes.
        size = len(body) + key_bytes(request)
        if size <= most:
            self._entries[request] = body, self.clock() + self.ttl_s, size


class Cached:
    """Answer from memory, and ask `source` once for what is not there.

    What is stale is answered too, while it is fetched again; and if that fails it goes on being
    answered, and is tried again a little later.
    """

    def __init__(self, memory: MemoryCache, source: PixelSource) -> None:
        self.memory = memory
        self.source = source
        self._flights: SingleFlight[PixelRequest, bytes] = SingleFlight()
        self._failed: TTLCache[PixelRequest, None] = TTLCache(
            _MAX_FAILED, _RETRY_STALE_S, timer=memory.clock
        )

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises what `source` raises."""
        held = self.memory.get(request)
        if held is not None:
            _HIT.inc()
            return held
        stale = self.memory.get_stale(request)
        if stale is None:
            _MISS.inc()
            return await self._flights.join(request, lambda: self._fetch(request))
        _STALE.inc()
        if request not in self._failed:
            self._flights.keep(request, lambda: self._fetch_again(request, stale))
        return stale

    def holds(self, request: PixelRequest) -> bool:
        """Tell whether a request can be answered from memory, be it with stale pixels."""
        return self.memory.get_stale(request) is not None

    async def _fetch(self, request: PixelRequest) -> bytes:
        body = await self.source.get_pixels(request)
        # Who cuts tiles out of blocks has put it there already.
        if self.memory.get(request) is not body:
            self.memory.put(request, body)
        return body

    async def _fetch_again(self, request: PixelRequest, stale: bytes) -> bytes:
        try:
            return await self._fetch(request)
        except TileserverError as exc:
            log.warning("%s: a stale tile is served on: %s", request.asset_id, exc)
            self._failed[request] = None
            return stale


class Refusals:
    """Do not ask again for a while what `source` has refused for good."""

    def __init__(self, source: PixelSource, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self._refused: TTLCache[PixelRequest, tuple[InvalidRequest | NotFound, int]] = TTLCache(
            _MAX_REFUSED_BYTES, _REFUSED_S, timer=clock, getsizeof=lambda entry: entry[1]
        )

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises what `source` raises, or has raised of late."""
        known = self._refused.get(request)
        if known is not None:
            # Without its trace, which would grow with each time it is raised.
            raise known[0].with_traceback(None)
        try:
            return await self.source.get_pixels(request)
        except (InvalidRequest, NotFound) as exc:
            size = key_bytes(request) + len(str(exc))
            if size <= _MAX_REFUSED_BYTES // _SHARE:
                self._refused[request] = _bare(exc), size
            raise


def _bare(exc: InvalidRequest | NotFound) -> InvalidRequest | NotFound:
    """Return the same error without its trace and causes, which hold on to all they worked on."""
    bare = type(exc).__new__(type(exc), *exc.args)
    bare.args = exc.args
    bare.__dict__.update(exc.__dict__)
    return bare
