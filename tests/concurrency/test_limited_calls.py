from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise

import pytest

from tests.support.limits import SOON_S
from tileserver.concurrency.limited_calls import LimitedCalls, ShortCalls
from tileserver.concurrency.time_limit import check_time, time_limit
from tileserver.errors import DeadlineExceeded, UnreadableRaster

LIMIT_S = 0.2


def refused(key: str) -> UnreadableRaster:
    return UnreadableRaster(f"{key} takes too long")


def test_calls_for_one_key_share_a_thread() -> None:
    calls: list[str] = []

    def slowly(key: str) -> int:
        calls.append(key)
        time.sleep(0.05)
        return len(calls)

    async def scenario() -> list[int]:
        aside = LimitedCalls(slowly, refused, SOON_S, 4)
        return list(await asyncio.gather(*(aside.call("a") for _ in range(20))))

    assert asyncio.run(scenario()) == [1] * 20


def test_a_key_that_takes_too_long_is_refused_then_at_once_and_others_go_on() -> None:
    released = threading.Event()
    calls: list[str] = []

    def stuck(key: str) -> str:
        calls.append(key)
        if key == "slow":
            released.wait(4 * SOON_S)
        return key

    async def scenario() -> None:
        aside = LimitedCalls(stuck, refused, LIMIT_S, 1)
        with pytest.raises(UnreadableRaster, match="slow takes too long"):
            await aside.call("slow")
        # In a single turn of the loop, so that no time is waited for.
        again = asyncio.create_task(aside.call("slow"))
        await asyncio.sleep(0)
        assert again.done()
        with pytest.raises(UnreadableRaster, match="slow takes too long"):
            await again
        aside.limit_s = SOON_S  # A thread may start late.
        assert await aside.call("swift") == "swift"
        released.set()

    asyncio.run(scenario())
    assert calls == ["slow", "swift"]


def test_a_key_is_tried_again_soon_at_first_and_then_ever_more_seldom() -> None:
    now_s, calls = 0.0, []

    def late(key: str) -> str:
        calls.append(now_s)
        raise DeadlineExceeded("late")

    async def scenario() -> None:
        nonlocal now_s
        aside = LimitedCalls(late, refused, 5.0, 1, clock=lambda: now_s)
        for _ in range(400):
            with pytest.raises(UnreadableRaster, match="a takes too long"):
                await aside.call("a")
            now_s += 1

    asyncio.run(scenario())
    waits_s = [after - before for before, after in pairwise(calls)]
    assert waits_s[:7] == [5, 10, 20, 40, 60, 60, 60]


def test_a_call_in_time_ends_the_waits() -> None:
    now_s, is_busy = 0.0, True

    def at_times(key: str) -> str:
        if is_busy:
            raise DeadlineExceeded("late")
        return key

    async def scenario() -> None:
        nonlocal now_s, is_busy
        aside = LimitedCalls(at_times, refused, 5.0, 1, clock=lambda: now_s)
        for wait_s in (5, 10, 20):
            with pytest.raises(UnreadableRaster):
                await aside.call("a")
            now_s += wait_s
        is_busy = False
        assert await aside.call("a") == "a"
        is_busy = True
        with pytest.raises(UnreadableRaster):
            await aside.call("a")
        now_s, is_busy = now_s + 5, False
        assert await aside.call("a") == "a"

    asyncio.run(scenario())


def test_what_looks_at_its_time_ends_its_thread_itself() -> None:
    ended = threading.Event()

    def endless() -> None:
        try:
            while True:
                check_time()
                time.sleep(0.001)
        finally:
            ended.set()

    async def scenario() -> None:
        with pytest.raises(DeadlineExceeded, match=r"longer than 0\.2 s"):
            await ShortCalls(LIMIT_S).call(endless)

    asyncio.run(scenario())
    assert ended.wait(SOON_S)


def test_an_inner_limit_does_not_lift_the_outer_one() -> None:
    with time_limit(-1), time_limit(10), pytest.raises(DeadlineExceeded):
        check_time()
