from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.earthengine.test_quota import Upstream, clock, request, run, settle
from tests.support.limits import cpu_limit
from tileserver.contract.pixels import PixelRequest, PixelSource
from tileserver.earthengine.breaker import Breaker, Guarded, Trip
from tileserver.earthengine.quota import Limited
from tileserver.earthengine.retries import RetryBudget, Retrying
from tileserver.errors import (
    AssetNotFound,
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    TileserverError,
    TooComplex,
    TransientError,
    UpstreamDown,
)

ALIVE = [
    None,
    InvalidRequest("no such band"),
    AssetNotFound("projects/p/assets/a"),
    TooComplex("Computation timed out."),
    RateLimited("429"),
]
"""What only an upstream that is alive answers."""
SILENT = [AuthenticationFailed("no credentials"), Overloaded("queue"), ValueError("a bug")]
"""What says nothing of the upstream."""


def upstream(failure: Exception | None = None, takes_s: float = 0.1) -> Upstream:
    return Upstream(lambda: takes_s, lambda _: failure)


def set_failure(source: Upstream, failure: Exception | None) -> None:
    source.failure = lambda _: failure


async def ask(source: PixelSource, times: int = 1) -> None:
    for _ in range(times):
        with suppress(TileserverError, ValueError):
            await source.get_pixels(request())


async def broken(source: Upstream) -> Breaker:
    """Return a breaker that has just opened."""
    breaker = Breaker(source, clock)
    set_failure(source, TransientError("503"))
    while not breaker.is_open:
        await ask(breaker)
    source.names.clear()
    return breaker


# Opening


@pytest.mark.parametrize("failure", [TransientError("503"), DeadlineExceeded("late")])
def test_failures_in_a_row_that_last_open_it(failure: Exception) -> None:
    async def scenario() -> None:
        breaker = Breaker(upstream(failure, takes_s=0.2), clock)
        await ask(breaker, 9)
        assert not breaker.is_open
        await ask(breaker)
        assert breaker.is_open

    run(scenario)


def test_failures_of_one_moment_do_not_open_it_until_they_last() -> None:
    async def scenario() -> None:
        source = upstream()
        breaker = Breaker(source, clock)
        await ask(breaker, 50)
        set_failure(source, TransientError("reset"))
        await asyncio.gather(*(ask(breaker) for _ in range(30)))
        assert not breaker.is_open
        await asyncio.sleep(1)
        await ask(breaker)
        assert breaker.is_open

    run(scenario)


def test_twenty_failures_of_which_none_is_answered_open_it_at_once() -> None:
    async def scenario() -> None:
        breaker = Breaker(upstream(TransientError("refused"), takes_s=0), clock)
        await ask(breaker, 19)
        assert not breaker.is_open
        await ask(breaker)
        assert breaker.is_open

    run(scenario)


def test_a_large_share_of_failures_opens_it_and_old_ones_do_not_count() -> None:
    async def scenario(pause_s: float, opens: bool) -> None:
        source = upstream(takes_s=0)
        breaker = Breaker(source, clock)
        for part in range(2):
            await ask(breaker)
            set_failure(source, TransientError("503"))
            await ask(breaker, 9)
            set_failure(source, None)
            if part == 0:
                await asyncio.sleep(pause_s)
        assert breaker.is_open == opens

    run(lambda: scenario(8, True))
    run(lambda: scenario(12, False))


@pytest.mark.parametrize("answers_after_s", [0.3, 3])
def test_failing_quicker_than_answering_does_not_open_it(answers_after_s: float) -> None:
    turns = itertools.count()

    class Flapping:
        async def get_pixels(self, _: PixelRequest) -> bytes:
            if next(turns) % 2:
                await asyncio.sleep(answers_after_s)
                return b"pixels"
            await asyncio.sleep(0.005)
            raise TransientError("503")

    async def scenario() -> None:
        breaker = Breaker(Flapping(), clock)
        limited = Limited(breaker, 40, 100, clock=clock)
        await asyncio.gather(*(ask(limited) for _ in range(200)))
        assert next(turns) == 200
        assert not breaker.is_open

    run(scenario)


def test_silence_to_all_that_are_asked_at_once_opens_it_before_more_are() -> None:
    async def scenario() -> None:
        source = upstream(DeadlineExceeded("silence"), takes_s=20)
        breaker = Breaker(source, clock)
        limited = Limited(breaker, 40, 100, clock=clock)
        await asyncio.gather(*(ask(limited) for _ in range(100)))
        assert breaker.is_open
        assert len(source.names) < 80

    run(scenario)


@pytest.mark.parametrize("answer", ALIVE)
def test_an_answer_of_any_kind_ends_a_row_of_failures(answer: Exception | None) -> None:
    async def scenario() -> None:
        source = upstream()
        breaker = Breaker(source, clock)
        for _ in range(2):
            set_failure(source, TransientError("503"))
            await ask(breaker, 8)
            set_failure(source, answer)
            await ask(breaker)
        assert not breaker.is_open

    run(scenario)


@pytest.mark.parametrize("failure", [*ALIVE, *SILENT])
def test_nothing_but_failures_to_answer_opens_it(failure: Exception | None) -> None:
    async def scenario() -> None:
        breaker = Breaker(upstream(failure), clock)
        await ask(breaker, 200)
        assert not breaker.is_open

    run(scenario)


def test_429_alone_never_opens_it_behind_limits_and_retries() -> None:
    async def scenario() -> None:
        source = upstream(RateLimited("429"))
        breaker = Breaker(source, clock)
        limited = Limited(breaker, 40, 100, clock=clock)
        retrying = Retrying(Guarded(limited, breaker), budget=RetryBudget(clock=clock))
        for _ in range(20):
            asking = [asyncio.create_task(retrying.get_pixels(request())) for _ in range(10)]
            answers = await asyncio.gather(*asking, return_exceptions=True)
            kinds = {type(answer) for answer in answers}
            assert kinds <= {Overloaded, DeadlineExceeded}
        assert not breaker.is_open
        assert limited.slots.limit == 1
        set_failure(source, None)
        for _ in range(20):
            await asyncio.gather(*(ask(retrying) for _ in range(50)))
        assert limited.slots.limit == 40

    run(scenario)


# While it is open


def test_while_open_nothing_is_asked_and_clients_learn_when_to_come_again() -> None:
    async def scenario() -> None:
        source = upstream()
        breaker = await broken(source)
        await asyncio.sleep(2)
        with pytest.raises(UpstreamDown, match="503") as caught:
            await breaker.get_pixels(request())
        assert caught.value.retry_after_s == pytest.approx(3)
        assert source.names == []

    run(scenario)


def test_while_open_an_answer_takes_less_than_five_milliseconds() -> None:
    async def scenario() -> None:
        source = upstream()
        breaker = await broken(source)
        limited = Limited(breaker, 1, 100, clock=clock)
        retrying = Retrying(Guarded(limited, breaker))
        with cpu_limit(100 * 0.005):
            for _ in range(100):
                with pytest.raises(UpstreamDown):
                    await retrying.get_pixels(request())

    run(scenario)


def test_who_already_waits_for_a_slot_when_it_opens_is_refused_too() -> None:
    async def scenario() -> None:
        source = upstream(TransientError("refused"), takes_s=0.5)
        breaker = Breaker(source, clock)
        limited = Limited(breaker, 4, 100, clock=clock)
        asking = [asyncio.create_task(limited.get_pixels(request())) for _ in range(500)]
        began_s = clock()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert sum(type(answer) is UpstreamDown for answer in answers) > 480
        assert clock() - began_s < 3

    run(scenario)


# Trying again


def test_one_request_tries_after_the_pause_and_the_others_follow_when_it_succeeds() -> None:
    async def scenario() -> None:
        source = upstream()
        breaker = await broken(source)
        set_failure(source, None)
        await asyncio.sleep(5)
        asking = [asyncio.create_task(breaker.get_pixels(request())) for _ in range(10)]
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert answers[0] == b"pixels"
        assert all(isinstance(answer, UpstreamDown) for answer in answers[1:])
        assert not breaker.is_open
        await asyncio.gather(*(breaker.get_pixels(request()) for _ in range(10)))

    run(scenario)


@pytest.mark.parametrize("answer", ALIVE)
def test_an_answer_of_any_kind_closes_it(answer: Exception | None) -> None:
    async def scenario() -> None:
        source = upstream()
        breaker = await broken(source)
        set_failure(source, answer)
        await asyncio.sleep(5)
        await ask(breaker)
        assert not breaker.is_open

    run(scenario)


def test_the_pause_doubles_to_a_minute_and_is_short_again_after_a_success() -> None:
    async def scenario() -> None:
        source = upstream(takes_s=0)
        breaker = await broken(source)
        pauses_s = [await pause_s(breaker)]
        for _ in range(5):
            await ask(breaker)
            pauses_s.append(await pause_s(breaker))
        assert pauses_s == pytest.approx([5, 10, 20, 40, 60, 60])
        set_failure(source, None)
        await ask(breaker)
        set_failure(source, TransientError("503"))
        await ask(breaker, 20)
        assert await pause_s(breaker) == pytest.approx(5)

    run(scenario)


async def pause_s(breaker: Breaker) -> float:
    """Wait until it lets a request through, and return for how long."""
    with pytest.raises(UpstreamDown) as caught:
        breaker.check()
    assert caught.value.retry_after_s is not None
    await asyncio.sleep(caught.value.retry_after_s)
    breaker.check()
    return caught.value.retry_after_s


def test_failures_from_before_it_opened_do_not_count_once_it_has_closed() -> None:
    async def scenario() -> None:
        source = upstream(takes_s=0)
        breaker = await broken(source)
        set_failure(source, None)
        await asyncio.sleep(5)
        await ask(breaker, 19)
        set_failure(source, TransientError("503"))
        await ask(breaker)
        assert not breaker.is_open

    run(scenario)


@pytest.mark.parametrize("failure", SILENT)
def test_when_a_try_says_nothing_the_next_request_tries(failure: Exception) -> None:
    async def scenario() -> None:
        source = upstream()
        breaker = await broken(source)
        await asyncio.sleep(5)
        set_failure(source, failure)
        await ask(breaker)
        assert breaker.is_open
        set_failure(source, None)
        await ask(breaker)
        assert not breaker.is_open

    run(scenario)


def test_when_the_client_of_a_try_leaves_the_next_request_tries() -> None:
    async def scenario() -> None:
        source = upstream()
        breaker = await broken(source)
        set_failure(source, None)
        await asyncio.sleep(5)
        trying = asyncio.create_task(breaker.get_pixels(request()))
        await settle()
        trying.cancel()
        await settle()
        assert await breaker.get_pixels(request()) == b"pixels"
        assert not breaker.is_open

    run(scenario)


def test_an_answer_to_what_was_sent_before_it_opened_changes_nothing() -> None:
    async def scenario() -> None:
        source = upstream()
        source.takes_s = lambda: 4
        breaker = Breaker(source, clock)
        late = asyncio.create_task(breaker.get_pixels(request()))
        await settle()
        source.takes_s = lambda: 0.1
        set_failure(source, TransientError("503"))
        await ask(breaker, 15)
        assert breaker.is_open
        source.failure = lambda _: None
        assert await late == b"pixels"
        assert breaker.is_open

    run(scenario)


# A used-up quota


def test_a_used_up_quota_opens_it_for_ten_minutes_with_its_own_words() -> None:
    async def scenario() -> None:
        source = upstream(QuotaExhausted("Your usage exceeded the custom quota"))
        breaker = Breaker(source, clock)
        with pytest.raises(QuotaExhausted):
            await breaker.get_pixels(request())
        for _ in range(2):
            with pytest.raises(UpstreamDown, match="exceeded the custom quota") as caught:
                await breaker.get_pixels(request())
            assert caught.value.retry_after_s == pytest.approx(600)
            await asyncio.sleep(600)
            await ask(breaker)
        assert len(source.names) == 3
        set_failure(source, None)
        await asyncio.sleep(600)
        assert await breaker.get_pixels(request()) == b"pixels"

    run(scenario)


# An upstream that is ill


@pytest.mark.parametrize("per_second", [2, 10, 90])
@pytest.mark.parametrize("how", ["at random", "in turn"])
def test_an_upstream_that_fails_every_second_time_still_gives_almost_half(
    per_second: int, how: str
) -> None:
    async def scenario() -> None:
        source = Upstream(lambda: 0.1, failing(how))
        breaker = Breaker(source, clock)
        limited = Limited(breaker, 40, 100, clock=clock)
        budget = RetryBudget(at_least=0, clock=clock)
        retrying = Retrying(Guarded(limited, breaker), budget=budget, rng=random.Random(2))
        asking = []
        for number in range(1000):
            asking.append(asyncio.create_task(retrying.get_pixels(request(number))))
            await asyncio.sleep(1 / per_second)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert answers.count(b"pixels") >= 450
        assert len(source.names) <= 1100

    run(scenario)


def failing(how: str) -> Callable[[object], Exception | None]:
    """Return what fails half of the requests."""
    rng = random.Random(11)
    turns = [0]

    def fail(_: object) -> Exception | None:
        turns[0] += 1
        fails = rng.random() < 0.5 if how == "at random" else turns[0] % 2 == 0
        return TransientError("503") if fails else None

    return fail


def test_the_thresholds_can_be_set() -> None:
    async def scenario() -> None:
        breaker = Breaker(upstream(TransientError("503")), clock, Trip(in_a_row=2, over_s=0))
        await ask(breaker, 2)
        assert breaker.is_open

    run(scenario)
