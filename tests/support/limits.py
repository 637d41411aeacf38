"""Limits of time that hold on a busy machine too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SOON_S = 30.0
"""For what ends after a moment, or else would hang: a busy machine may take this long."""


@contextmanager
def cpu_limit(limit_s: float) -> Iterator[None]:
    """Fail if the block takes more seconds of the processor, in all threads of the process."""
    began_s = time.process_time()
    yield
    took_s = time.process_time() - began_s
    assert took_s < limit_s, f"took {took_s:.2f} s of the processor, at most {limit_s:g} expected"


@contextmanager
def ends_soon(limit_s: float = SOON_S) -> Iterator[None]:
    """Fail if the block takes longer than `limit_s` seconds by the clock, most of it waiting."""
    began_s = time.monotonic()
    yield
    assert time.monotonic() - began_s < limit_s
