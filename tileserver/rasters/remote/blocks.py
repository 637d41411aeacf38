"""Blocks of remote files kept in memory, for all files together, each fetched by one thread."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

from cachetools import LRUCache

from tileserver.errors import DeadlineExceeded

BLOCK_BYTES = 65_536
"""Headers, and what GDAL reads, are fetched in blocks that begin at multiples of this."""
_MAX_BYTES = 64_000_000

Fetch = Callable[[list[int]], Iterable[tuple[int, bytes]]]
"""Fetches blocks by their indexes, and returns each with its index."""


class Blocks:
    """Blocks by file and index: the least recently used go first. Any thread may use it."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._held: LRUCache[tuple[object, int], bytes] = LRUCache(max_bytes, getsizeof=len)
        self._flights: dict[tuple[object, int], Future[bytes]] = {}
        self._lock = threading.Lock()

    def held(self, file: object, indexes: Iterable[int]) -> dict[int, bytes]:
        """Return the blocks that are held, of those with some indexes."""
        with self._lock:
            return self._of(file, indexes)

    def put(self, file: object, index: int, block: bytes) -> None:
        """Keep a block."""
        with self._lock:
            self._held[file, index] = block

    def get(
        self, file: object, indexes: Sequence[int], fetch: Fetch, end_s: float = math.inf
    ) -> dict[int, bytes]:
        """Return blocks, the missing ones fetched, or waited for if another thread fetches them.

        Args:
            file: of the blocks.
            indexes: of the blocks.
            fetch: is called once at most, with the indexes that no other thread fetches.
            end_s: how long to wait for other threads, on time.monotonic().

        Raises:
            DeadlineExceeded: another thread took too long.
            Exception: what `fetch` raises.
        """
        with self._lock:
            found = self._of(file, indexes)
            missing = [i for i in indexes if i not in found]
            awaited = {i: self._flights[file, i] for i in missing if (file, i) in self._flights}
            mine = {i: Future[bytes]() for i in missing if i not in awaited}
            self._flights |= {(file, i): flight for i, flight in mine.items()}
        if mine:
            self._fetch(file, mine, fetch)
        return found | {i: _result(flight, end_s) for i, flight in (awaited | mine).items()}

    def _of(self, file: object, indexes: Iterable[int]) -> dict[int, bytes]:
        return {i: block for i in indexes if (block := self._held.get((file, i))) is not None}

    def _fetch(self, file: object, flights: Mapping[int, Future[bytes]], fetch: Fetch) -> None:
        try:
            fetched = dict(fetch(list(flights)))
        except BaseException as exc:
            self._forget(file, flights)
            for flight in flights.values():
                flight.set_exception(exc)
            raise
        with self._lock:
            for index in flights:
                self._held[file, index] = fetched[index]
        self._forget(file, flights)
        for index, flight in flights.items():
            flight.set_result(fetched[index])

    def _forget(self, file: object, flights: Iterable[int]) -> None:
        with self._lock:
            for index in flights:
                del self._flights[file, index]


def _result(flight: Future[bytes], end_s: float) -> bytes:
    left_s = None if math.isinf(end_s) else max(end_s - time.monotonic(), 0)
    try:
        return flight.result(left_s)
    except TimeoutError as exc:
        raise DeadlineExceeded("The file's server sends too slowly.") from exc
