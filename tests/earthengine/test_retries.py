from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.earthengine.test_quota import Upstream, clock, request, run
from tileserver.contract.pixels import PixelRequest
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
    UpstreamError,
)


class Script:
    """Fail as listed, then answer; note when it was asked."""

    def __init__(self, *failures: Exception, takes_s: float = 0.0) -> None:
        self.failures = list(failures)
        self.takes_s = takes_s
        self.asked_s: list[float] = []

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked_s.append(clock())
        await asyncio.sleep(self.takes_s)
        if self.failures:
            raise self.failures.pop(0)
        return b"pixels"

    @property
    def waits_s(self) -> list[float]:
        return [later - sooner for sooner, later in pairwise(self.asked_s)]


def retrying(
    source: Script | Upstream | Limited, tries: int = 3, budget: RetryBudget | None = None
) -> Retrying:
    budget = budget or RetryBudget(1.0, 1000, clock=clock)
    return Retrying(source, tries, budget=budget, rng=random.Random(1))


def outcome(source: Script, retry: Retrying | None = None) -> bytes | BaseException:
    """Return what one request ends with."""
    found: list[bytes | BaseException] = []

    async def scenario() -> None:
        asking = (retry or retrying(source)).get_pixels(request())
        found.extend(await asyncio.gather(asking, return_exceptions=True))

    run(scenario)
    return found[0]


# What is asked again


@pytest.mark.parametrize("failure", [TransientError("503"), RateLimited("429")])
def test_what_may_pass_is_asked_once_more(failure: Exception) -> None:
    source = Script(failure)
    assert outcome(source) == b"pixels"
    assert len(source.asked_s) == 2


@pytest.mark.parametrize(
    "failure",
    [
        InvalidRequest("no such band"),
        AssetNotFound("projects/p/assets/a"),
        AuthenticationFailed("401"),
        TooComplex("User memory limit exceeded."),
        UpstreamError("not a PNG"),
        QuotaExhausted("daily"),
        UpstreamDown("open", 5),
        Overloaded("queue is full", 3),
        DeadlineExceeded("late"),
        ValueError("a bug"),
    ],
)
def test_what_fails_the_same_way_again_is_asked_once(failure: Exception) -> None:
    source = Script(failure)
    assert outcome(source) is failure
    assert len(source.asked_s) == 1


def test_a_failure_that_stays_transient_is_raised_after_three_tries() -> None:
    failures = [TransientError(str(number)) for number in range(4)]
    source = Script(*failures)
    assert outcome(source) is failures[2]
    assert len(source.asked_s) == 3


def test_429_forever_ends_as_overloaded_with_a_retry_after() -> None:
    source = Script(*(RateLimited("429: slow down") for _ in range(9)))
    ended = outcome(source)
    assert type(ended) is Overloaded
    assert ended.retry_after_s is not None
    assert 0 < ended.retry_after_s <= 60
    assert str(ended) == "429: slow down"
    assert len(source.asked_s) == 3


# How long it waits


def test_the_waits_are_spread_over_a_doubling_range_up_to_its_cap() -> None:
    longest = [0.0] * 7
    for seed in range(60):
        source = Script(*(TransientError("503") for _ in range(7)))
        retry = Retrying(source, 8, 1000, RetryBudget(1, 1000, clock=clock), random.Random(seed))
        assert outcome(source, retry) == b"pixels"
        longest = [max(pair) for pair in zip(longest, source.waits_s, strict=True)]
    caps = [0.25, 0.5, 1, 2, 4, 4, 4]
    assert all(0.8 * cap < wait <= cap for wait, cap in zip(longest, caps, strict=True))


@pytest.mark.parametrize("kind", [RateLimited, TransientError])
def test_retry_after_is_waited_for_and_a_little_more(
    kind: type[RateLimited] | type[TransientError],
) -> None:
    source = Script(kind("later", 2.0))
    assert outcome(source) == b"pixels"
    assert 2 <= source.waits_s[0] <= 2.25


@pytest.mark.parametrize("kind", [RateLimited, TransientError])
def test_a_retry_after_past_the_deadline_fails_at_once_with_a_capped_one(
    kind: type[RateLimited] | type[TransientError],
) -> None:
    source = Script(kind("later", 3600.0))
    began: list[float] = []
    ended: list[float] = []

    async def scenario() -> None:
        began.append(clock())
        with pytest.raises(Overloaded) as caught:
            await retrying(source).get_pixels(request())
        ended.append(clock())
        assert caught.value.retry_after_s == 60

    run(scenario)
    assert ended == began
    assert len(source.asked_s) == 1


@pytest.mark.parametrize("after_s", [0.0, -5.0, math.nan])
def test_a_retry_after_that_makes_no_sense_is_ignored(after_s: float) -> None:
    source = Script(TransientError("503", after_s))
    assert outcome(source) == b"pixels"
    assert source.waits_s[0] <= 0.25


# The deadline


def test_what_hangs_is_cancelled_at_the_deadline() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 1e9)
        limited = Limited(upstream, 1, 100, clock=clock)
        began_s = clock()
        with pytest.raises(DeadlineExceeded, match="projects/p/assets/0: no pixels within 25 s"):
            await retrying(limited).get_pixels(request())
        assert clock() - began_s == pytest.approx(25)
        assert (limited.slots.in_flight, upstream.in_flight) == (0, 0)

    run(scenario)


def test_all_tries_share_one_deadline() -> None:
    async def scenario() -> None:
        source = Script(*(TransientError("503") for _ in range(3)), takes_s=12)
        began_s = clock()
        with pytest.raises(DeadlineExceeded):
            await retrying(source).get_pixels(request())
        assert clock() - began_s == pytest.approx(25)

    run(scenario)


def test_a_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    source = Script(TransientError("503"), takes_s=24.999)
    assert isinstance(outcome(source), TransientError)


def test_a_timeout_of_the_source_is_not_taken_for_the_deadline() -> None:
    failure = TimeoutError("the source's own")
    assert outcome(Script(failure)) is failure


def test_a_client_that_leaves_during_a_wait_is_not_asked_for_again() -> None:
    async def scenario() -> None:
        source = Script(TransientError("503", 5.0))
        task = asyncio.create_task(retrying(source).get_pixels(request()))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(10)
        assert task.cancelled()
        assert len(source.asked_s) == 1

    run(scenario)


# The budget


def spent(budget: RetryBudget, requests: int, retries: int) -> int:
    for _ in range(requests):
        budget.note_request()
    return sum(budget.spend() for _ in range(retries))


@pytest.mark.parametrize(("requests", "allowed"), [(0, 3), (1, 3), (39, 3), (40, 4), (1000, 100)])
def test_retries_are_a_tenth_of_the_requests_or_three(requests: int, allowed: int) -> None:
    assert spent(RetryBudget(clock=lambda: 0.0), requests, 200) == allowed


def test_the_budget_forgets_after_ten_seconds() -> None:
    now_s = [0.0]
    budget = RetryBudget(clock=lambda: now_s[0])
    assert spent(budget, 100, 200) == 10
    now_s[0] = 5.0
    assert spent(budget, 100, 200) == 10
    now_s[0] = 10.5
    assert spent(budget, 0, 200) == 0
    now_s[0] = 30.0
    assert spent(budget, 0, 200) == 3


def test_a_dead_upstream_is_asked_little_more_than_it_would_be_without_retries() -> None:
    async def scenario() -> None:
        upstream = Upstream(lambda: 0.01, lambda _: TransientError("503"))
        retry = retrying(upstream, budget=RetryBudget(clock=clock))
        asking = [asyncio.create_task(retry.get_pixels(request(n))) for n in range(1000)]
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert all(type(answer) is TransientError for answer in answers)
        assert 1000 < len(upstream.names) <= 1100

    run(scenario)


@pytest.mark.parametrize("gaps_s", [[0.01], [0.0, 0.0, 0.3], [0.2]])
def test_an_upstream_that_fails_every_second_time_still_gives_almost_half(
    gaps_s: Sequence[float],
) -> None:
    rng = random.Random(4)

    async def scenario() -> None:
        upstream = Upstream(lambda: 0.1, lambda _: rng.choice([None, TransientError("503")]))
        limited = Limited(upstream, 40, 100, clock=clock)
        retry = retrying(limited, budget=RetryBudget(at_least=0, clock=clock))
        asking = []
        for number in range(1000):
            asking.append(asyncio.create_task(retry.get_pixels(request(number))))
            await asyncio.sleep(gaps_s[number % len(gaps_s)])
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(answer, bytes | TileserverError) for answer in answers)
        assert answers.count(b"pixels") >= 450
        assert len(upstream.names) <= 1100

    run(scenario)
