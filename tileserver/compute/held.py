"""Images that were evaluated a moment ago: what a tile needs again for the next one."""

from __future__ import annotations

from threading import Lock

from cachetools import LRUCache

from tileserver.compute.values.image import Image

MAX_BYTES = 64_000_000


class HeldImages:
    """Images by expression and version of its assets; those not used for longest go first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._held: LRUCache[tuple[str, str], tuple[Image, int]] = LRUCache(
            max_bytes, getsizeof=lambda entry: entry[1]
        )
        self._lock = Lock()

    def get(self, expression: str, version: str) -> Image | None:
        """Return the image, or None."""
        with self._lock:
            found = self._held.get((expression, version))
        return None if found is None else found[0]

    def drop(self, expression: str, version: str) -> None:
        """Forget an image, if it is held."""
        with self._lock:
            self._held.pop((expression, version), None)

    def hold(self, expression: str, version: str, image: Image, size_bytes: int) -> None:
        """Hold an image, about so large; one that would push out all others is not held."""
        if size_bytes <= self.max_bytes:
            with self._lock:
                self._held[expression, version] = image, size_bytes
