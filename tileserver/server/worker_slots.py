"""Seats of workers, one for each share of Earth Engine's quota.

When a worker is replaced, the new one starts before the old one has ended: it answers from the
caches, and its requests to Earth Engine wait for a seat. A seat is a lock on one byte of a file,
which the kernel releases when its worker ends, even by a crash.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, whose workers are never replaced by a signal.
    fcntl = None  # type: ignore[assignment]

_POLL_S = 0.05
_PATIENCE_S = 12.0
"""Longer than a worker takes to end; after that there are more workers than seats."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def seated(
    folder: Path, seats: int, on_seat: Callable[[], None], patience_s: float = _PATIENCE_S
) -> AsyncIterator[None]:
    """Wait for a seat in the background; call `on_seat` once it is taken, or after `patience_s`."""
    try:
        file = os.open(folder / "seats", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        log.warning("No seats for the workers: %s", exc.strerror)
        on_seat()
        yield
        return
    task = asyncio.create_task(_seat(file, seats, on_seat, patience_s))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        os.close(file)


async def _seat(file: int, seats: int, on_seat: Callable[[], None], patience_s: float) -> None:
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + patience_s
    while not any(_take(file, seat) for seat in range(seats)):
        if loop.time() > ends_s:
            log.warning("There are more than the %d workers configured.", seats)
            break
        await asyncio.sleep(_POLL_S)
    on_seat()


def _take(file: int, seat: int) -> bool:
    """Return whether this process has taken a seat; always true on a system without locks."""
    if fcntl is None:
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, seat)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
