"""Locks of rasters, of which one thread at a time reads the file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tileserver.errors import DeadlineExceeded

_LOCK_S = 5.0


@contextmanager
def hold(lock: threading.Lock, name: str) -> Iterator[None]:
    """Hold the lock of a raster; give up after `_LOCK_S`, as PROJ or a disk may delay its holder.

    Raises:
        DeadlineExceeded: another thread holds it.
    """
    if not lock.acquire(timeout=_LOCK_S):
        raise DeadlineExceeded(f"{name}: its header or its CRS takes too long to read.")
    try:
        yield
    finally:
        lock.release()
