"""How much memory this process takes, and took at most: as Linux tells."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def is_told() -> bool:
    """Tell whether this system says what is asked here."""
    return _STATUS.exists() and _CLEAR.exists()


def now_mb() -> float:
    """Return what is taken now."""
    return _field("VmRSS")


def most_mb() -> float:
    """Return what was taken at most since `forget`."""
    return _field("VmHWM")


def forget() -> None:
    """Give back what is free, and begin to measure anew."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    _CLEAR.write_text("5")


def _field(name: str) -> float:
    line = next(each for each in _STATUS.read_text().splitlines() if each.startswith(name))
    return int(line.split()[1]) / 1000
