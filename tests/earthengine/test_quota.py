from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tileserver.contract.pixels import PixelRequest
from tileserver.earthengine.quota import Limited, Recent, worker_share
from tileserver.errors import (
    AssetNotFound,
    ConfigError,
    Overloaded,
    RateLimited,
    TileserverError,
    TransientError,
    UpstreamDown,
)


class JumpingSelector(selectors.DefaultSelector):
    """Does not wait for the next timer: it moves the clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("all tasks wait for one another")
        if not ready and timeout:
            self.now_s += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop in which an hour passes in no time; not for threads or sockets."""

    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now_s


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario; fail if a task's error was seen by nobody."""
    unseen: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, event: unseen.append(event))
        await scenario()

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(watched())
    assert unseen == []


def clock() -> float:
    return asyncio.get_running_loop().time()


def request(number: int = 0) -> PixelRequest:
    return PixelRequest(f"projects/p/assets/{number}")


@dataclass
class Upstream:
    """Answer after a while; note who was asked, when, and how many were under way at once."""

    takes_s: Callable[[], float] = lambda: 0.3
    failure: Callable[[PixelRequest], Exception | None] = lambda _: None
    names: list[str] = field(default_factory=list)
    sent_s: list[float] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.names.append(request.asset_id.rpartition("/")[2])
        self.sent_s.append(clock())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.takes_s())
            failure = self.failure(request)
            if failure:
                raise failure
            return b"pixels"
        finally:
            self.in_flight -= 1


def most_in_a_second(sent_s: Sequence[float]) -> int:
    """Return how many of ascending times lie in the fullest half-open second."""
    most = first = 0
    for last, now_s in enumerate(sent_s):
        while sent_s[first] <= now_s - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


async def settle() -> None:
    """Let everything run that does not wait for time to pass."""
    for _ in range(10):
        await asyncio.sleep(0)


def ask(source: Limited, numbers: Sequence[int]) -> list[asyncio.Task[bytes]]:
    return [asyncio.create_task(source.get_pixels(request(number))) for number in numbers]


# Concurrency and rate


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.floats(0.2, 150), st.integers(0, 2**32))
def test_neither_cap_is_ever_exceeded_and_no_slot_leaks(
    concurrency: int, per_second: float, seed: int
) -> None:
    rng = random.Random(seed)
    failures: list[Exception | None] = [
        None,
        None,
        RateLimited("429"),
        TransientError("503"),
        ValueError("bug"),
        UpstreamDown("open"),
    ]

    async def scenario() -> None:
        upstream = Upstream(lambda: rng.uniform(0, 1), lambda _: rng.choice(failures))
        source = Limited(upstream, concurrency, per_second, clock=clock)

        async def client(number: int) -> None:
            await asyncio.sleep(rng.uniform(0, 3))
            patience_s = rng.choice([0.0, rng.uniform(0, 2), 1e6])
            with suppress(TimeoutError, TileserverError, ValueError):
                await asyncio.wait_for(source.get_pixels(request(number)), patience_s)

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(client(number))
        assert upstream.most_in_flight <= concurrency
        assert (source.slots.in_flight, source.slots.waiting) == (0, 0)
        upstream.failure = lambda _: None
        await asyncio.gather(*ask(source, range(3)))
        assert source.slots.in_flight == 0

    run(scenario)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 150), st.integers(0, 2**32))
def test_no_second_holds_more_than_the_rate(per_second: float, seed: int) -> None:
    rng = random.Random(seed)

    async def scenario() -> None:
        upstream = Upstream(lambda: rng.uniform(0, 0.2))
        source = Limited(upstream, 50, per_second, clock=clock)

        async def client(number: int) -> None:
            await asyncio.sleep(rng.choice([0, 0, 1, 2.5]) + rng.uniform(0, 0.1))
            with suppress(TimeoutError):
                await asyncio.wait_for(source.get_pixels(request(number)), rng.choice([0.1, 1e6]))

        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(client(number))
        assert most_in_a_second(upstream.sent_s) <= max(1, per_second)

    run(scenario)


def test_a_full_second_is_used_up_to_the_rate() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 0.3)
        source = Limited(upstream, 40, 100, clock=clock)
        began_s = clock()
        await asyncio.gather(*ask(source, range(1000)))
        assert most_in_a_second(upstream.sent_s) == 100
        assert upstream.most_in_flight == 40
        assert 1000 / (clock() - began_s) >= 95

    run(scenario)


def test_a_view_of_nine_blocks_leaves_at_once() -> None:
    async def scenario() -> None:
        upstream = Upstream()
        source = Limited(upstream, 40, 100, clock=clock)
        began_s = clock()
        await asyncio.gather(*ask(source, range(9)))
        assert upstream.sent_s == [began_s] * 9

    run(scenario)


def test_what_the_source_raises_passes_through() -> None:
    async def scenario() -> None:
        source = Limited(Upstream(failure=lambda _: AssetNotFound("a")), 1, 100, clock=clock)
        with pytest.raises(AssetNotFound):
            await source.get_pixels(request())

    run(scenario)


# Who goes first


def test_the_newest_goes_first_and_every_fourth_slot_goes_to_the_oldest() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 0.1)
        source = Limited(upstream, 1, 1000, clock=clock)
        await asyncio.gather(*ask(source, range(13)))
        assert upstream.names == [
            str(number) for number in (0, 12, 11, 1, 10, 9, 8, 2, 7, 6, 5, 3, 4)
        ]

    run(scenario)


def test_nobody_starves_while_newer_ones_keep_coming() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 0.1)
        source = Limited(upstream, 1, 1000, clock=clock)
        old = ask(source, range(21))
        flood: list[asyncio.Task[bytes]] = []
        while not all(task.done() for task in old):
            flood += ask(source, [len(flood) + 100])
            await asyncio.sleep(0.1)
            assert len(flood) <= 4 * 20 + 5
        for task in flood:
            task.cancel()
        await asyncio.wait(flood)

    run(scenario)


# Cancellation


def test_who_leaves_while_waiting_is_never_sent() -> None:
    async def scenario() -> None:
        upstream = Upstream()
        source = Limited(upstream, 1, 1000, clock=clock)
        tasks = ask(source, range(3))
        await settle()
        tasks[2].cancel()
        await asyncio.wait(tasks)
        assert upstream.names == ["0", "1"]

    run(scenario)


def test_a_slot_given_in_the_moment_of_leaving_goes_to_the_next_with_its_rate() -> None:
    async def scenario() -> None:
        upstream = Upstream()
        source = Limited(upstream, 1, 2, clock=clock)
        began_s = clock()

        async def first() -> None:
            await source.get_pixels(request(0))
            # The newest has the slot by now, and has not run since.
            assert (source.slots.in_flight, source.slots.waiting) == (1, 1)
            newest.cancel()

        leading = asyncio.create_task(first())
        oldest, newest = ask(source, [1, 2])
        await asyncio.wait([leading, oldest, newest])
        await leading
        assert newest.cancelled()
        assert upstream.names == ["0", "1"]
        assert upstream.sent_s[1] - began_s == pytest.approx(0.3)

    run(scenario)


def test_who_leaves_in_flight_frees_the_slot() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 1e6)
        source = Limited(upstream, 1, 1000, clock=clock)
        first, second = ask(source, range(2))
        await settle()
        first.cancel()
        await settle()
        assert upstream.names == ["0", "1"]
        second.cancel()
        await settle()
        assert source.slots.in_flight == 0

    run(scenario)


def test_what_the_breaker_refuses_uses_up_no_rate() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 0, lambda _: UpstreamDown("open"))
        source = Limited(upstream, 2, 1, clock=clock)
        began_s = clock()
        await asyncio.gather(*ask(source, range(100)), return_exceptions=True)
        assert len(upstream.names) == 100
        assert clock() == began_s

    run(scenario)


# A full queue


def test_a_full_queue_sheds_its_oldest_at_once_and_says_when_to_come_again() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 1)
        source = Limited(upstream, 2, 100, queue=10, clock=clock)
        tasks = ask(source, range(20))
        await settle()
        shed = [number for number, task in enumerate(tasks) if task.done()]
        assert shed == list(range(2, 10))
        failure = tasks[2].exception()
        assert isinstance(failure, Overloaded)
        # Eleven at two a second and a half.
        assert failure.retry_after_s == pytest.approx(11 / 4)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(answer == b"pixels" for answer in answers) == 12

    run(scenario)


def test_without_a_queue_who_cannot_go_at_once_is_refused() -> None:
    async def scenario() -> None:
        source = Limited(Upstream(), 1, 100, queue=0, clock=clock)
        (first,) = ask(source, [0])
        await settle()
        with pytest.raises(Overloaded):
            await source.get_pixels(request(1))
        assert await first == b"pixels"

    run(scenario)


@pytest.mark.slow
def test_a_burst_of_ten_thousand_is_shed_at_once_and_the_queue_goes_on() -> None:
    async def scenario() -> None:
        upstream = Upstream()
        source = Limited(upstream, 40, 100, clock=clock)
        began_s = clock()
        tasks = ask(source, range(10_000))
        await settle()
        refused = [task for task in tasks if task.done()]
        assert len(refused) == 10_000 - 40 - 1000
        assert clock() == began_s
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(answer == b"pixels" for answer in answers) == 1040
        assert clock() - began_s == pytest.approx(10.5, abs=0.3)

    run(scenario)


# 429


def test_one_429_shrinks_the_limit_once_and_disturbs_nobody() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 0.1 * len(upstream.names))
        upstream.failure = lambda one: RateLimited("429") if one == request(0) else None
        source = Limited(upstream, 40, 1000, clock=clock)
        answers = await asyncio.gather(*ask(source, range(40)), return_exceptions=True)
        assert source.slots.limit == 28
        assert sum(answer == b"pixels" for answer in answers) == 39

    run(scenario)


def test_429s_of_one_moment_count_once() -> None:
    async def scenario() -> None:
        upstream = Upstream(failure=lambda _: RateLimited("429"))
        source = Limited(upstream, 40, 1000, clock=clock)
        await asyncio.gather(*ask(source, range(40)), return_exceptions=True)
        assert source.slots.limit == 28
        await asyncio.gather(*ask(source, range(28)), return_exceptions=True)
        assert source.slots.limit == 19

    run(scenario)


def test_429_forever_brings_the_limit_to_the_floor_and_it_recovers_by_one_a_round() -> None:
    async def scenario() -> None:
        upstream = Upstream(failure=lambda _: RateLimited("429"))
        source = Limited(upstream, 40, 100, clock=clock)
        limits = [40]
        while limits[-1] > 1:
            await asyncio.gather(*ask(source, range(limits[-1])), return_exceptions=True)
            limits.append(source.slots.limit)
        assert limits == [40, 28, 19, 13, 9, 6, 4, 2, 1]
        await asyncio.gather(*ask(source, range(9)), return_exceptions=True)
        assert source.slots.limit == 1
        upstream.failure = lambda _: None
        for limit in range(2, 41):
            await asyncio.gather(*ask(source, range(limit - 1)))
            assert source.slots.limit == limit
        await asyncio.gather(*ask(source, range(40)))
        assert source.slots.limit == 40

    run(scenario)


def test_a_lowered_limit_is_kept_in_flight_and_in_rate() -> None:
    async def scenario() -> None:
        upstream = Upstream(failure=lambda _: RateLimited("429"))
        source = Limited(upstream, 40, 100, clock=clock)
        for _ in range(8):
            await asyncio.gather(*ask(source, range(40)), return_exceptions=True)
        await asyncio.sleep(2)
        upstream.most_in_flight = 0
        upstream.sent_s.clear()
        upstream.failure = lambda _: TransientError("503")
        await asyncio.gather(*ask(source, range(20)), return_exceptions=True)
        assert upstream.most_in_flight == 1
        assert most_in_a_second(upstream.sent_s) == 2

    run(scenario)


# Workers


@given(st.integers(1, 500), st.integers(1, 64))
def test_the_shares_of_all_workers_add_up_to_the_cap(cap: int, workers: int) -> None:
    if workers > cap:
        with pytest.raises(ConfigError, match=f"at most {cap} workers"):
            worker_share(cap, workers, 0)
        return
    shares = [worker_share(cap, workers, index) for index in range(workers)]
    assert sum(shares) == cap
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1


# Counting


def test_recent_events_are_forgotten_after_the_window() -> None:
    times_s = [0.5, 0.6, 5.0, 9.9, 9.9, 10.5, 19.5]
    recent = Recent(10.0, lambda: times_s[0])
    for _ in range(4):
        recent.add()
        times_s.pop(0)
    counts = []
    while times_s:
        counts.append(recent.count())
        times_s.pop(0)
    assert counts == [4, 2, 0]
