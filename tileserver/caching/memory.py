"""Encoded pixels cached in memory; concurrent requests for the same pixels share one fetch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from cachetools import LRUCache, TTLCache

from tileserver import metrics
from tileserver.concurrency.single_flight import SingleFlight
from tileserver.contract.pixels import PixelRequest, PixelSource
from tileserver.errors import InvalidRequest, NotFound, TileserverError

_ENTRY_BYTES = 1000
"""Estimate of the memory of a key and of the cache's bookkeeping."""

_SHARE = 32
"""A body larger than this fraction of the cache is not kept: it would displace many tiles."""
_ALWAYS_KEPT_BYTES = 1_000_000
"""The size of the largest tiles; kept in a small cache too."""
_RETRY_STALE_S = 10.0
"""Pause after a failure before a stale tile is refreshed again."""
_MAX_FAILED = 10_000
_REFUSED_S = 10.0
_MAX_REFUSED_BYTES = 16_000_000
_HIT, _STALE, _MISS = (metrics.CACHE.labels(result) for result in ("hit", "stale", "miss"))

log = logging.getLogger(__name__)

T = TypeVar("T")


def key_bytes(request: PixelRequest) -> int:
    """Return an estimate of the memory of a request as a key: clients write most of it."""
    options = request.visualization_options
    colors = () if options is None else options.palette_colors
    texts = (*request.band_ids, *colors, request.expression or "", request.asset_id)
    crs_code = getattr(request.grid, "crs_code", None) or ""
    # A position takes 110 bytes, however short its text.
    region = 0 if request.region is None else 8 * len(repr(request.region))
    steps = 0 if request.processing is None else request.processing.estimated_bytes
    return _ENTRY_BYTES + sum(map(len, texts)) + 60 * len(texts) + len(crs_code) + region + steps


class MemoryCache:
    """An LRU cache of encoded pixels by request.

    After `ttl_s` an entry is stale: kept as long as there is room, but not returned by `get`.
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
        """Bytes in use, bookkeeping included; at most `max_bytes`."""
        return int(self._entries.currsize)

    def get(self, request: PixelRequest) -> bytes | None:
        """Return the pixels of a request, or None if they are missing or stale."""
        entry = self._entries.get(request)
        return entry[0] if entry is not None and self.clock() < entry[1] else None

    def get_stale(self, request: PixelRequest) -> bytes | None:
        """Return the pixels of a request, fresh or stale, or None."""
        entry = self._entries.get(request)
        return None if entry is None else entry[0]

    def fresh_until_s(self, request: PixelRequest) -> float:
        """Return when the pixels of a request become stale, by `clock`; 0 if there are none."""
        entry = self._entries.get(request)
        return 0.0 if entry is None else entry[1]

    def put(self, request: PixelRequest, body: bytes) -> None:
        """Keep the pixels of a request, unless they are too large a part of the cache."""
        most = min(self._entries.maxsize, max(self._entries.maxsize // _SHARE, _ALWAYS_KEPT_BYTES))
        # An expression or a palette may be longer than the tile it makes.
        size = len(body) + key_bytes(request)
        if size <= most:
            self._entries[request] = body, self.clock() + self.ttl_s, size


class Cached:
    """Answers from memory; on a miss concurrent requests share one fetch from `source`.

    A stale entry is returned while it is refreshed in the background. If that fails it stays in
    use, and is refreshed again after a pause.
    """

    def __init__(self, memory: MemoryCache, source: PixelSource) -> None:
        self.memory = memory
        self.source = source
        self._flights: SingleFlight[PixelRequest, bytes] = SingleFlight()
        self._failed: TTLCache[PixelRequest, None] = TTLCache(
            _MAX_FAILED, _RETRY_STALE_S, timer=memory.clock
        )

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises the errors of `source`."""
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
        """Return whether a request can be answered from memory, with fresh or stale pixels."""
        return self.memory.get_stale(request) is not None

    async def _fetch(self, request: PixelRequest) -> bytes:
        body = await self.source.get_pixels(request)
        # The tiles of blocks are in the cache already.
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
    """Remembers permanent errors of `source` for a while."""

    def __init__(self, source: PixelSource, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self._refused: TTLCache[PixelRequest, tuple[InvalidRequest | NotFound, int]] = TTLCache(
            _MAX_REFUSED_BYTES, _REFUSED_S, timer=clock, getsizeof=lambda entry: entry[1]
        )

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises the errors of `source`, also remembered ones."""
        known = self._refused.get(request)
        if known is not None:
            # Without its trace, which would grow each time it is raised.
            raise known[0].with_traceback(None)
        try:
            return await self.source.get_pixels(request)
        except (InvalidRequest, NotFound) as exc:
            size = key_bytes(request) + len(str(exc))
            if size <= _MAX_REFUSED_BYTES // _SHARE:
                self._refused[request] = _bare(exc), size
            raise


def _bare(exc: InvalidRequest | NotFound) -> InvalidRequest | NotFound:
    """Return a copy of an error without trace and causes, which would keep large objects alive."""
    bare = type(exc).__new__(type(exc), *exc.args)
    bare.args = exc.args
    bare.__dict__.update(exc.__dict__)
    return bare
