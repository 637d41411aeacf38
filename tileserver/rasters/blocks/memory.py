"""How much memory decoded blocks may take by default: a share of what the process may have."""

from __future__ import annotations

import os
from pathlib import Path

_SHARE = 4
_LEAST_BYTES = 64_000_000
_MOST_BYTES = 2_000_000_000
_UNKNOWN_BYTES = 1_000_000_000
"""Of a machine that does not tell."""
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""The limit of a container, of control groups 2 and 1."""


def default_block_bytes(workers: int = 1) -> int:
    """Return a quarter of the memory, divided among workers: 64 MB to 2 GB each."""
    share = min(_machine_bytes(), *map(_limit_bytes, _LIMITS)) / (_SHARE * workers)
    return int(min(max(share, _LEAST_BYTES), _MOST_BYTES))


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
