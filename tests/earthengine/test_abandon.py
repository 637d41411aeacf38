from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

import httpx
import pytest

from tests.earthengine.loops import LOOPS
from tests.earthengine.loops import run as run_on
from tests.support.loopback import Answer, Asked, Loopback, json_answer
from tileserver.earthengine.abandon import abandonable
from tileserver.earthengine.client import EarthEngine
from tileserver.earthengine.connections import Connections, make_client

QUICK, SLOW = (f"projects/my-project/assets/{name}" for name in ("quick", "slow"))
PATIENCE_S = 2.0


class Engine(Loopback):
    """Answers slowly when asked for `slow`."""

    slow_s = 0.02

    async def honest(self, asked: Asked) -> Answer:
        if "slow" in asked.path:
            await asyncio.sleep(self.slow_s)
        return json_answer({"type": "IMAGE"})


def run(
    engine: Engine,
    work: Callable[[EarthEngine], Awaitable[None]],
    auth: httpx.Auth | None = None,
    loop: str = "uvloop",
) -> None:
    """Let an Earth Engine with a single connection work."""

    async def connected() -> None:
        async with make_client(auth, 1) as client:
            await work(EarthEngine(client, "my-project", engine.url, 10))

    run_on(loop, connected())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def ask_metadata(source: EarthEngine) -> None:
    """Ask, and fail where there is no connection left to ask over."""
    async with asyncio.timeout(PATIENCE_S):
        assert await source.get_asset(QUICK) == {"type": "IMAGE"}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("is_cancelled_twice", [False, True])
@pytest.mark.parametrize("is_connected", [False, True])
def test_no_moment_of_leaving_costs_a_connection(
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
        run(engine, leave_at_many_moments, loop=loop)


async def turn(times: int) -> None:
    """Let the event loop turn."""
    for _ in range(times):
        await asyncio.sleep(0)


def test_what_is_abandoned_is_hung_up_and_not_waited_for() -> None:
    async def leave(source: EarthEngine) -> None:
        asking = asyncio.create_task(source.get_asset(SLOW))
        await until(lambda: engine.in_flight == 1)
        asking.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: engine.in_flight == 0)
        assert time.monotonic() - began < 1

    with Engine() as engine:
        engine.slow_s = 5
        run(engine, leave)


def test_what_is_abandoned_before_it_is_sent_never_is() -> None:
    class Hesitant(httpx.Auth):
        async def async_auth_flow(
            self, request: httpx.Request
        ) -> AsyncGenerator[httpx.Request, httpx.Response]:
            await asyncio.sleep(0.1)
            yield request

    async def leave(source: EarthEngine) -> None:
        asking = asyncio.create_task(source.get_asset(SLOW))
        await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.sleep(0.3)
        assert engine.count() == 0
        await ask_metadata(source)

    with Engine() as engine:
        run(engine, leave, Hesitant())


def test_a_connection_that_another_uses_by_now_is_left_to_it() -> None:
    async def linger(client: Connections) -> None:
        response = await client.send("GET", f"{engine.url}/quick", {})
        await response.aread()
        await asyncio.sleep(60)

    async def leave(source: EarthEngine) -> None:
        lingering = asyncio.create_task(abandonable(linger(source.client)))
        await until(lambda: engine.count() == 1)
        asking = asyncio.create_task(source.get_asset(SLOW))
        await until(lambda: engine.count() == 2)
        lingering.cancel()
        assert await asking == {"type": "IMAGE"}

    with Engine() as engine:
        engine.slow_s = 0.3
        run(engine, leave)


def test_what_is_not_abandoned_returns_and_raises_as_it_is() -> None:
    async def seven() -> int:
        return 7

    async def failing() -> int:
        raise ValueError("as it is")

    assert asyncio.run(abandonable(seven())) == 7
    with pytest.raises(ValueError, match="as it is"):
        asyncio.run(abandonable(failing()))
