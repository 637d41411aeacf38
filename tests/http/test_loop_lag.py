from __future__ import annotations

import asyncio
import logging
import re
import time

import pytest

from tests.earth.workers import figure
from tests.support.limits import SOON_S
from tileserver import metrics
from tileserver.http.loop_lag import watched


@pytest.mark.slow
def test_a_loop_that_is_held_up_is_measured_and_said(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with watched(lambda: None, every_s=0.05):
            await asyncio.sleep(0.1)
            time.sleep(1.3)  # noqa: ASYNC251
            # The watcher wakes within two turns of the loop, and again after 0.05 s or more.
            lags = [await lag() for _ in range(3)]
            assert max(lags) > 1

    async def lag() -> float:
        await asyncio.sleep(0)
        return figure(metrics.exposition().decode(), "event_loop_lag_last_seconds")

    before = figure(metrics.exposition().decode(), "event_loop_lag_seconds_bucket", "1.0")
    total = figure(metrics.exposition().decode(), "event_loop_lag_seconds_count")
    asyncio.run(scenario())
    (said,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    held_up = re.fullmatch(r"The event loop was held up for (\d+\.\d) s\.", said)
    assert held_up is not None
    assert 1 < float(held_up[1]) < SOON_S
    text = metrics.exposition().decode()
    slow = figure(text, "event_loop_lag_seconds_count") - total
    assert slow - (figure(text, "event_loop_lag_seconds_bucket", "1.0") - before) == 1


def test_figures_are_sampled_each_time_and_a_free_loop_is_not_spoken_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sampled = []

    async def scenario() -> None:
        async with watched(lambda: sampled.append(1), every_s=0.01, logged_s=SOON_S):
            began_s = time.monotonic()
            async with asyncio.timeout(SOON_S):
                while len(sampled) < 5:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert len(sampled) <= (time.monotonic() - began_s) / 0.01 + 1

    asyncio.run(scenario())
    assert caplog.records == []
