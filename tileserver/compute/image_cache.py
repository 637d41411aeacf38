"""Evaluated images in memory: the next tile of an expression needs the same one."""

from __future__ import annotations

from threading import Lock

from cachetools import LRUCache

from tileserver.compute.values.image import Image

MAX_BYTES = 64_000_000


class ImageCache:
    """Images by expression and version of its assets; the least recently used go first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._entries: LRUCache[tuple[str, str], tuple[Image, int]] = LRUCache(
            max_bytes, getsizeof=lambda entry: entry[1]
        )
        self._lock = Lock()

    def get(self, expression: str, version: str) -> Image | None:
        """Return the image, or None."""
        with self._lock:
            entry = self._entries.get((expression, version))
        return None if entry is None else entry[0]

    def drop(self, expression: str, version: str) -> None:
        """Remove an image, if it is there."""
        with self._lock:
            self._entries.pop((expression, version), None)

    def put(self, expression: str, version: str, image: Image, size_bytes: int) -> None:
        """Keep an image of about `size_bytes`; one larger than the whole cache is not kept."""
        with self._lock:
            if size_bytes <= self._entries.maxsize:
                self._entries[expression, version] = (image, size_bytes)
