"""Images that were evaluated a moment ago: what a tile needs again for the next one."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from tileserver.compute.values.image import Image

MAX_BYTES = 64_000_000


class HeldImages:
    """Images by expression and version of its assets; those not used for longest go first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._held: OrderedDict[tuple[str, str], tuple[Image, int]] = OrderedDict()
        self._lock = Lock()
        self._bytes = 0

    def get(self, expression: str, version: str) -> Image | None:
        """Return the image, or None."""
        key = (expression, version)
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def drop(self, expression: str, version: str) -> None:
        """Forget an image, if it is held."""
        with self._lock:
            _, freed = self._held.pop((expression, version), (None, 0))
            self._bytes -= freed

    def hold(self, expression: str, version: str, image: Image, size_bytes: int) -> None:
        """Hold an image, about so large; one that would push out all others is not held."""
        if size_bytes > self.max_bytes:
            return
        key = (expression, version)
        with self._lock:
            if key in self._held:
                self._bytes -= self._held.pop(key)[1]
            self._held[key] = (image, size_bytes)
            self._bytes += size_bytes
            while self._bytes > self.max_bytes:
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed
