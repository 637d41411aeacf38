"""Blocks of remote files kept in memory, for all files together."""

from __future__ import annotations

import threading

from cachetools import LRUCache

BLOCK_BYTES = 65_536
"""A file is fetched in blocks that begin at multiples of this."""
_MAX_BYTES = 64_000_000


class Blocks:
    """Blocks by file and index: the least recently used go first."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._held: LRUCache[tuple[object, int], bytes] = LRUCache(max_bytes, getsizeof=len)
        self._lock = threading.Lock()

    def get(self, file: object, index: int) -> bytes | None:
        """Return a block, or None if it is not held."""
        with self._lock:
            return self._held.get((file, index))

    def put(self, file: object, start: int, body: bytes) -> None:
        """Keep the blocks that a body consists of, the first of which has index `start`."""
        with self._lock:
            for i in range(0, len(body), BLOCK_BYTES):
                self._held[file, start + i // BLOCK_BYTES] = body[i : i + BLOCK_BYTES]


def runs(indexes: list[int], most: int) -> list[tuple[int, int]]:
    """Return the stretches (first, last) that sorted indexes consist of, each of `most` or fewer.

    >>> runs([0, 1, 2, 5, 6], 2)
    [(0, 1), (2, 2), (5, 6)]
    """
    found: list[tuple[int, int]] = []
    for index in indexes:
        if found and index == found[-1][1] + 1 and index - found[-1][0] < most:
            found[-1] = found[-1][0], index
        else:
            found.append((index, index))
    return found
