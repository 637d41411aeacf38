"""How much memory the caches may take by default: shares of what the process may have.

Together they leave more than half of it to the process itself.
"""

from __future__ import annotations

import os
from pathlib import Path

_BLOCKS_SHARE = 4
_LEAST_BLOCKS_BYTES = 64_000_000
_MOST_BLOCKS_BYTES = 2_000_000_000
_TILES_SHARE = 8
_LEAST_TILES_BYTES = 16_000_000
_MOST_TILES_BYTES = 512_000_000
_UNKNOWN_BYTES = 1_000_000_000
"""Of a machine that does not tell."""
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""The limit of a container, of control groups 2 and 1."""


def default_block_bytes(workers: int = 1, memory_bytes: float | None = None) -> int:
    """Return what decoded blocks may take in each worker: 64 MB to 2 GB.

    Args:
        workers: share a quarter of the memory.
        memory_bytes: that the process may have; None is the machine's or the container's.
    """
    share = (memory_bytes or _memory_bytes()) / (_BLOCKS_SHARE * workers)
    return int(min(max(share, _LEAST_BLOCKS_BYTES), _MOST_BLOCKS_BYTES))


def default_tile_bytes(workers: int = 1, memory_bytes: float | None = None) -> int:
    """Return what finished tiles and responses may take in each worker: 16 to 512 MB.

    Args:
        workers: share an eighth of the memory.
        memory_bytes: that the process may have; None is the machine's or the container's.
    """
    share = (memory_bytes or _memory_bytes()) / (_TILES_SHARE * workers)
    return int(min(max(share, _LEAST_TILES_BYTES), _MOST_TILES_BYTES))


def _memory_bytes() -> float:
    return min(_machine_bytes(), *map(_limit_bytes, _LIMITS))


def _machine_bytes() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN_BYTES


def _limit_bytes(path: Path) -> float:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        # No such file, or "max".
        return float("inf")
