"""A cancelled request leaves its connection to the next one."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.earthengine.loops import LOOPS
from tests.earthengine.loops import run as run_on
from tests.support.loopback import Answer, Asked, Loopback, json_answer
from tileserver.earthengine.client import EarthEngine
from tileserver.earthengine.connections import make_client

QUICK, SLOW, LAST = (f"projects/my-project/assets/{name}" for name in ("quick", "slow", "last"))
PATIENCE_S = 30.0
ROUNDS = 300


class Engine(Loopback):
    """Answers slowly when asked for `slow`, and `last` once it is asked for it four times at once.

    A cancelled request may reach it long after it was cancelled.
    """

    slow_s = 0.02
    last_ones = 0

    async def honest(self, asked: Asked) -> Answer:
        if "slow" in asked.path:
            await asyncio.sleep(self.slow_s)
        if "last" in asked.path:
            self.last_ones += 1
            while self.last_ones < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return json_answer({"type": "IMAGE"})


def run(
    engine: Engine,
    work: Callable[[EarthEngine], Awaitable[None]],
    loop: str = "uvloop",
    connections: int = 1,
) -> None:
    """Let an Earth Engine with so many connections work."""

    async def connected() -> None:
        async with make_client(None, connections) as client:
            await work(EarthEngine(client, "my-project", engine.url, 10))

    run_on(loop, connected())


async def ask_metadata(source: EarthEngine) -> None:
    """Ask, and fail where there is no connection left to ask over."""
    async with asyncio.timeout(PATIENCE_S):
        assert await source.get_asset(QUICK) == {"type": "IMAGE"}


async def turn(times: int) -> None:
    """Let the event loop turn."""
    for _ in range(times):
        await asyncio.sleep(0)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("is_cancelled_twice", [False, True])
@pytest.mark.parametrize("is_connected", [False, True])
def test_no_moment_of_cancellation_costs_a_connection(
    is_connected: bool, is_cancelled_twice: bool, loop: str
) -> None:
    async def leave(source: EarthEngine, wait: Awaitable[None]) -> None:
        if is_connected:
            await ask_metadata(source)
        asking = asyncio.create_task(source.get_asset(SLOW))
        await wait
        asking.cancel()
        if is_cancelled_twice:
            await asyncio.sleep(0)
            asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await ask_metadata(source)

    async def leave_at_many_moments(source: EarthEngine) -> None:
        for turns in range(40):
            await leave(source, turn(turns))
        engine.slow_s = 0
        for step in range(40):
            await leave(source, asyncio.sleep(step * 0.0001))

    with Engine() as engine:
        run(engine, leave_at_many_moments, loop)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_crowds_that_are_cancelled_cost_no_connection(loop: str) -> None:
    async def crowds(source: EarthEngine) -> None:
        moments = random.Random(1)
        for _ in range(ROUNDS):
            asking = [asyncio.create_task(source.get_asset(SLOW)) for _ in range(8)]
            await turn(moments.randrange(40))
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        # As many at once as there are connections: not one of them is lost.
        async with asyncio.timeout(6 * PATIENCE_S):
            await asyncio.gather(*(source.get_asset(LAST) for _ in range(4)))
        assert engine.last_ones == 4

    with Engine() as engine:
        engine.slow_s = 0.002
        run(engine, crowds, loop, connections=4)


def test_the_connection_of_a_cancelled_request_is_closed_at_once() -> None:
    async def leave(source: EarthEngine) -> None:
        asking = asyncio.create_task(source.get_asset(SLOW))
        async with asyncio.timeout(PATIENCE_S):
            while engine.in_flight == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        asking.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(PATIENCE_S):
            while engine.in_flight:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert time.monotonic() - began < engine.slow_s / 2

    with Engine() as engine:
        engine.slow_s = 4 * PATIENCE_S
        run(engine, leave)
