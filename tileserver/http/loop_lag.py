"""The lag of the event loop, measured four times a second.

A blocked loop answers no request, and no timeout within it fires.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from tileserver import metrics

_EVERY_S = 0.25
_LOGGED_S = 1.0

log = logging.getLogger(__name__)


@asynccontextmanager
async def watched(
    sample: Callable[[], None], every_s: float = _EVERY_S, logged_s: float = _LOGGED_S
) -> AsyncIterator[None]:
    """Measure the loop's lag while inside.

    Args:
        sample: called each time, to update gauges.
        every_s: the interval.
        logged_s: a longer lag is logged.
    """
    task = asyncio.create_task(_watch(sample, every_s, logged_s))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(sample: Callable[[], None], every_s: float, logged_s: float) -> None:
    while True:
        began_s = time.monotonic()
        await asyncio.sleep(every_s)
        lag_s = max(0.0, time.monotonic() - began_s - every_s)
        metrics.LOOP_LAG.observe(lag_s)
        metrics.LOOP_LAG_LAST.set(lag_s)
        if lag_s > logged_s:
            log.warning("The event loop was held up for %.1f s.", lag_s)
        sample()
