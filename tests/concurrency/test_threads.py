from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from tests.support.limits import SOON_S, ends_soon
from tileserver.concurrency.threads import Slots, Threads, on_behalf_of, was_refused
from tileserver.errors import Overloaded


async def ask(threads: Threads, client: str, call: Callable[[], object]) -> None:
    with on_behalf_of(client):
        await threads.run(call)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_one_client_alone_has_all_slots_and_a_screenful_waits() -> None:
    async def scenario() -> None:
        threads = Threads(4)
        at_once, most = [0], [0]
        lock = threading.Lock()

        def call() -> None:
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            time.sleep(0.01)
            with lock:
                at_once[0] -= 1

        await asyncio.gather(*(ask(threads, "browser", call) for _ in range(104)))
        assert most == [4]

    asyncio.run(scenario())


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def scenario() -> None:
        threads, gate = Threads(1, max_waiting=20, patience_s=4 * SOON_S), threading.Event()
        waiting = [asyncio.create_task(ask(threads, "a", gate.wait)) for _ in range(11)]
        await until(lambda: threads.slots.waiting == 10)
        with ends_soon(), pytest.raises(Overloaded) as refused:
            await ask(threads, "a", gate.wait)
        assert refused.value.retry_after_s is not None
        assert refused.value.retry_after_s >= 1
        assert was_refused("a")
        assert not was_refused("b")
        gate.set()
        await asyncio.gather(*waiting)

    asyncio.run(scenario())


def test_a_client_that_fills_its_share_leaves_room_for_others_and_they_have_turns() -> None:
    async def scenario() -> None:
        threads, gate, order = Threads(1, max_waiting=20), threading.Event(), list[str]()
        first = asyncio.create_task(ask(threads, "hog", gate.wait))
        await asyncio.sleep(0)
        hog = [
            asyncio.create_task(ask(threads, "hog", lambda: order.append("hog"))) for _ in range(10)
        ]
        await until(lambda: threads.slots.waiting == 10)
        late = asyncio.create_task(ask(threads, "late", lambda: order.append("late")))
        await until(lambda: threads.slots.waiting == 11)
        gate.set()
        await asyncio.gather(first, late, *hog)
        assert order.index("late") <= 1

    asyncio.run(scenario())


def test_the_newest_goes_first_and_every_fourth_turn_is_the_oldest_ones() -> None:
    async def scenario() -> None:
        threads, gate, order = Threads(1), threading.Event(), list[int]()
        tasks = [asyncio.create_task(ask(threads, "a", gate.wait))]
        for number in range(8):
            await asyncio.sleep(0)
            call = partial(order.append, number)
            tasks.append(asyncio.create_task(ask(threads, "a", call)))
        await until(lambda: threads.slots.waiting == 8)
        gate.set()
        await asyncio.gather(*tasks)
        assert order == [7, 6, 5, 0, 4, 3, 2, 1]

    asyncio.run(scenario())


def test_in_a_flood_the_oldest_goes_first_so_that_none_waits_in_vain() -> None:
    async def scenario() -> None:
        threads, gate, order = Threads(1), threading.Event(), list[int]()
        tasks = [asyncio.create_task(ask(threads, "a", gate.wait))]
        for number in range(150):
            await asyncio.sleep(0)
            call = partial(order.append, number)
            tasks.append(asyncio.create_task(ask(threads, "a", call)))
        await until(lambda: threads.slots.waiting == 150)
        gate.set()
        await asyncio.gather(*tasks)
        assert order[:50] == list(range(50))
        assert 149 in order[50:53]

    asyncio.run(scenario())


def test_a_client_that_leaves_while_it_waits_never_runs() -> None:
    async def scenario() -> None:
        threads, gate, ran = Threads(1), threading.Event(), list[int]()
        first = asyncio.create_task(ask(threads, "a", gate.wait))
        await asyncio.sleep(0)
        gone = asyncio.create_task(ask(threads, "a", lambda: ran.append(1)))
        await until(lambda: threads.slots.waiting == 1)
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        assert threads.slots.waiting == 0
        gate.set()
        await first
        await ask(threads, "a", lambda: ran.append(2))
        assert ran == [2]

    asyncio.run(scenario())


def test_who_waited_too_long_is_refused() -> None:
    async def scenario() -> None:
        threads, gate = Threads(1, patience_s=0.1), threading.Event()
        first = asyncio.create_task(ask(threads, "a", gate.wait))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await ask(threads, "a", gate.wait)
        gate.set()
        await first

    asyncio.run(scenario())


def test_slow_calls_make_the_queue_short() -> None:
    async def scenario() -> None:
        slots = Slots(1, "calls", patience_s=10.0)
        assert slots.take_free()
        for _ in range(100):
            slots.give_back(5.0)
            assert slots.take_free()
        waiting = [asyncio.create_task(slots.take()) for _ in range(100)]
        await until(lambda: slots.waiting == 100)
        with pytest.raises(Overloaded):
            await slots.take()
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert slots.waiting == 0

    asyncio.run(scenario())


def test_calls_that_never_return_lose_their_slot_but_not_without_end() -> None:
    async def scenario() -> None:
        threads, gate = Threads(2), threading.Event()
        try:
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await threads.run(gate.wait)
            with ends_soon():
                await threads.run(lambda: None)
            for _ in range(40):
                with suppress(TimeoutError, Overloaded):
                    async with asyncio.timeout(0.01):
                        await threads.run(gate.wait)
            assert threading.active_count() < 60
        finally:
            gate.set()

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_queue_without_a_limit_refuses_nobody() -> None:
    async def scenario() -> None:
        threads = Threads(2, max_waiting=math.inf, patience_s=math.inf)
        done = list[int]()
        await asyncio.gather(*(ask(threads, "a", lambda: done.append(1)) for _ in range(3000)))
        assert len(done) == 3000

    asyncio.run(scenario())


def test_a_call_that_takes_long_lets_others_pass_while_there_are_slow_slots() -> None:
    async def run() -> None:
        threads, may_end = Threads(1, slow_slots=2, quick_s=0.01), threading.Event()
        may_end_first = threading.Event()
        begun = [threading.Event() for _ in range(3)]

        def long(number: int) -> bool:
            begun[number].set()
            return (may_end if number else may_end_first).wait(60)

        tasks = []
        for number in range(3):
            # The only quick slot is free again, as the ones before are in slow slots.
            tasks.append(asyncio.create_task(threads.run(long, number)))
            assert await asyncio.to_thread(begun[number].wait, 60)
        later = asyncio.create_task(threads.run(lambda: "later"))
        done, _ = await asyncio.wait([later], timeout=0.1)
        assert not done  # No slow slot is left for the third.
        may_end_first.set()
        # The third takes the slow slot of the first, though it was late before that was free.
        assert await asyncio.wait_for(later, 60) == "later"
        assert not tasks[2].done()
        may_end.set()
        assert await asyncio.gather(*tasks) == [True] * 3
        # All slots are free again.
        assert [threads.slots.take_free() for _ in range(2)] == [True, False]
        assert [threads._slow.take_free() for _ in range(3)] == [True, True, False]

    asyncio.run(run())
