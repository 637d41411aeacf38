"""As many seats as workers, so that never more of them ask Earth Engine than its quota is cut for.

While workers are replaced the new one is there before the old one has gone: it answers from what
is held, and what it has to ask for waits for the seat. A seat is a lock on one byte of a file,
which the kernel gives back when its worker ends, however it does.
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
"""More than a worker that is ending takes; after that it is no replacement but one too many."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def seated(
    folder: Path, seats: int, on_seat: Callable[[], None], patience_s: float = _PATIENCE_S
) -> AsyncIterator[None]:
    """Look for a seat while inside; call `on_seat` once there is one, or none is to be had."""
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
    """Return whether a seat is ours now; where there are no locks it is."""
    if fcntl is None:
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, seat)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
