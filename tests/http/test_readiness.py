from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.support.limits import SOON_S, ends_soon
from tileserver.errors import AuthenticationFailed, TransientError
from tileserver.http.readiness import Readiness


class Tokens:
    def __init__(self, failure: Exception | None = None, takes_s: float = 0.0) -> None:
        self.asked = 0
        self.failure = failure
        self.takes_s = takes_s

    async def token(self) -> str:
        self.asked += 1
        await asyncio.sleep(self.takes_s)
        if self.failure:
            raise self.failure
        return "ya29"


def test_who_needs_no_token_is_ready() -> None:
    assert asyncio.run(Readiness().state()) == (True, "ready", None)


@pytest.mark.parametrize("failure", [AuthenticationFailed("no key"), TransientError("no key")])
def test_without_a_token_it_is_not_ready_and_says_why(failure: Exception) -> None:
    readiness = Readiness(Tokens(failure).token)
    assert asyncio.run(readiness.state()) == (False, "unready", "no key")


def test_a_token_that_is_refused_is_no_token() -> None:
    readiness = Readiness(Tokens().token, lambda: "refused")
    assert asyncio.run(readiness.state()) == (False, "unready", "refused")


def test_a_token_that_is_long_in_coming_is_not_waited_for() -> None:
    async def scenario() -> None:
        with ends_soon():
            verdict = await Readiness(Tokens(takes_s=4 * SOON_S).token).state()
        assert verdict == (False, "unready", "There is no access token yet.")

    asyncio.run(scenario())


def test_what_was_found_holds_for_five_seconds_and_many_ask_once() -> None:
    async def scenario() -> None:
        now, tokens = [0.0], Tokens(takes_s=0.01)
        readiness = Readiness(tokens.token, clock=lambda: now[0])
        await asyncio.gather(*(readiness.state() for _ in range(50)))
        assert tokens.asked == 1
        tokens.failure = TransientError("down")
        now[0] = 4.9
        assert (await readiness.state()).is_ready
        now[0] = 5.0
        assert not (await readiness.state()).is_ready
        tokens.failure = None
        now[0] = 10.1
        assert (await readiness.state()).is_ready
        assert tokens.asked == 3

    asyncio.run(scenario())


def test_trouble_is_told_and_no_reason_to_go() -> None:
    readiness = Readiness(troubles=lambda: ["This fails.", "That too."])
    assert asyncio.run(readiness.state()) == (True, "degraded", "This fails. That too.")


def test_who_is_told_to_end_is_not_ready_and_whoever_listened_before_hears_of_it() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        readiness = Readiness()
        with readiness.draining_on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            assert asyncio.run(readiness.state()) == (False, "unready", "The server is ending.")
        assert heard == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)
