from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.support.limits import SOON_S, ends_soon
from tileserver.compute.budget import Budget
from tileserver.compute.lanes import Lanes
from tileserver.errors import InvalidRequest

PATIENCE_S = 4 * SOON_S


def endless(budget: Budget) -> str:
    """Compute until the budget's time is over."""
    while True:
        budget.check_time()
        time.sleep(0.005)


def test_a_short_computation_does_not_wait_for_long_ones() -> None:
    async def scenario() -> None:
        lanes, deadline = Lanes(2, short_s=0.1), time.monotonic() + PATIENCE_S
        long_ones = [asyncio.create_task(lanes.run(endless, str(n), deadline)) for n in range(16)]
        await asyncio.sleep(0.2)
        with ends_soon():
            assert await lanes.run(lambda budget: 3, "1 + 2", deadline) == 3
        for each in long_ones:
            each.cancel()
        await asyncio.gather(*long_ones, return_exceptions=True)

    asyncio.run(scenario())


def test_a_computation_that_takes_long_goes_on_where_there_is_room() -> None:
    calls = list[int]()

    def long_one(budget: Budget) -> str:
        calls.append(1)
        time.sleep(0.3)
        budget.check_time()
        return "done"

    lanes = Lanes(1, short_s=0.05)
    deadline = time.monotonic() + PATIENCE_S
    assert asyncio.run(lanes.run(long_one, "a", deadline)) == "done"
    assert len(calls) == 1


def test_a_computation_that_is_stopped_begins_again_when_there_is_room() -> None:
    async def scenario() -> None:
        lanes, deadline = Lanes(1, short_s=0.05), time.monotonic() + PATIENCE_S
        calls, is_stopped = list[str](), threading.Event()

        def first(budget: Budget) -> str:
            """Fill the lane of long ones until the second was stopped."""
            calls.append("first")
            while not is_stopped.wait(0.005):
                budget.check_time()
            return "done"

        def second(budget: Budget) -> str:
            calls.append("second")
            try:
                return "done" if is_stopped.is_set() else endless(budget)
            finally:
                is_stopped.set()

        one = asyncio.create_task(lanes.run(first, "a", deadline))
        while not calls:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert await lanes.run(second, "b", deadline) == "done"
        assert await one == "done"
        assert calls == ["first", "second", "second"]

    asyncio.run(scenario())


def test_a_computation_ends_at_its_deadline_in_either_lane() -> None:
    for short_s in (0.05, 5.0):
        lanes = Lanes(1, short_s=short_s)
        with pytest.raises(InvalidRequest, match="timed out"):
            asyncio.run(lanes.run(endless, "a", time.monotonic() + 0.2))


def test_a_computation_that_nobody_waits_for_ends() -> None:
    async def scenario() -> None:
        lanes, budgets = Lanes(1), list[Budget]()

        def noting(budget: Budget) -> str:
            budgets.append(budget)
            return endless(budget)

        task = asyncio.create_task(lanes.run(noting, "a", time.monotonic() + PATIENCE_S))
        async with asyncio.timeout(SOON_S):
            while not budgets:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert budgets[0].deadline == 0.0

    asyncio.run(scenario())
