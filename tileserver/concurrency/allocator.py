"""Settings of the C library's memory allocator that fit threads which decode blocks.

glibc maps every array of more than its threshold anew and clears its pages one by one, which
costs as much as decoding a block; without limits it keeps the memory of a large block for each
thread that once decoded one. https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MAPPED_FROM_BYTES = 4 << 20
"""More than the usual block, 512 x 512 pixels of seven bands of two bytes."""
_KEPT_BYTES = 32_000_000
"""Freed memory at the end of an arena that is not given back."""
_ARENAS = 2
"""Threads share them, so that memory which one has freed serves the next."""


@lru_cache(maxsize=1)
def reuse_memory() -> None:
    """Let freed blocks serve the next ones, and give larger ones back to the system at once.

    Does nothing with another C library than glibc. It holds for the process: only the first call
    does anything.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_ARENA_MAX, _ARENAS)
