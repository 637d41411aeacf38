from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.support.limits import SOON_S, ends_soon
from tileserver.caching.shared import MAX_BODY_BYTES, BestEffortStore, Shared, StoreError
from tileserver.contract.pixels import PixelRequest

REQUEST = PixelRequest("projects/localhost/assets/scene")


class Held:
    """A store in a dictionary, which fails or dawdles when told to."""

    name = "disk"
    budget_s = 0.05

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.claims: set[str] = set()
        self.calls = 0
        self.fails = False
        self.dawdles_s = 0.0

    async def _called(self) -> None:
        self.calls += 1
        await asyncio.sleep(self.dawdles_s)
        if self.fails:
            raise StoreError("told to")

    async def get(self, key: str) -> bytes | None:
        await self._called()
        return self.bodies.get(key)

    async def put(self, key: str, body: bytes) -> None:
        await self._called()
        self.bodies[key] = body

    async def claim(self, key: str) -> bool:
        await self._called()
        is_free = key not in self.claims
        self.claims.add(key)
        return is_free

    async def release(self, key: str) -> None:
        self.claims.discard(key)

    async def close(self) -> None:
        pass


class Source:
    def __init__(self, body: bytes = b"pixels", takes_s: float = 0.0) -> None:
        self.asked = 0
        self.body = body
        self.takes_s = takes_s

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked += 1
        await asyncio.sleep(self.takes_s)
        return self.body


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    unseen: list[object] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, event: unseen.append(event))
        await scenario()

    asyncio.run(watched())
    assert unseen == []


def test_two_who_share_a_store_fetch_once() -> None:
    async def scenario() -> None:
        store, source = Held(), Source(takes_s=0.1)
        both = [Shared(BestEffortStore(store), source, "here") for _ in range(2)]
        assert await asyncio.gather(*(each.get_pixels(REQUEST) for each in both)) == [b"pixels"] * 2
        assert source.asked == 1
        await asyncio.sleep(0.01)
        assert store.claims == set()

    run(scenario)


def test_who_has_waited_too_long_fetches_too() -> None:
    async def scenario() -> None:
        store, source = Held(), Source()
        one = Shared(BestEffortStore(store), source, "here", patience_s=0.2)
        other = Shared(BestEffortStore(store), Source(takes_s=4 * SOON_S), "here")
        hanging = asyncio.create_task(other.get_pixels(REQUEST))
        await asyncio.sleep(0.01)
        started = time.monotonic()
        with ends_soon():
            assert await one.get_pixels(REQUEST) == b"pixels"
        assert time.monotonic() - started > 0.15
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert store.claims == set()

    run(scenario)


def test_a_huge_body_is_passed_on_and_not_put() -> None:
    async def scenario() -> None:
        store, source = Held(), Source(bytes(MAX_BODY_BYTES + 1))
        shared = Shared(BestEffortStore(store), source, "here")
        assert await shared.get_pixels(REQUEST) is source.body
        await asyncio.sleep(0.01)
        assert (store.bodies, store.claims) == ({}, set())

    run(scenario)


def test_a_store_that_fails_is_left_alone_longer_and_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        now = [0.0]
        store = Held()
        tolerant = BestEffortStore(store, clock=lambda: now[0])
        store.fails = True
        tried_s = []
        while now[0] < 100:
            before = store.calls
            assert await tolerant.get("key") is None
            assert await tolerant.claim("key") is True
            if store.calls > before:
                tried_s.append(now[0])
            now[0] += 0.5
        assert tried_s == [0, 1, 3, 7, 15, 31, 61, 91]
        store.fails = False
        now[0] = 200
        await tolerant.get("key")
        assert not tolerant.is_failing

    run(scenario)
    assert [each.getMessage() for each in caplog.records] == [
        "The shared cache (disk) fails, and is done without: get: told to",
        "The shared cache (disk) works again.",
    ]


def test_after_a_failure_one_call_tries_and_the_others_do_without() -> None:
    async def scenario() -> None:
        now = [0.0]
        store = Held()
        tolerant = BestEffortStore(store, clock=lambda: now[0])
        store.fails = True
        await tolerant.get("key")
        now[0], store.calls = 2.0, 0
        await asyncio.gather(*(tolerant.get(str(n)) for n in range(50)))
        assert store.calls == 1

    run(scenario)


def test_calls_that_fail_together_count_as_one_failure() -> None:
    async def scenario() -> None:
        now = [0.0]
        store = Held()
        store.fails, store.dawdles_s = True, 0.01
        tolerant = BestEffortStore(store, clock=lambda: now[0])
        calls = [asyncio.create_task(tolerant.get(str(n))) for n in range(50)]
        await asyncio.sleep(0)
        now[0] = 0.1
        await asyncio.gather(*calls)
        store.fails = False
        now[0] = 1.2
        await tolerant.get("key")
        assert not tolerant.is_failing

    run(scenario)


def test_a_store_that_dawdles_has_failed_when_its_budget_is_over() -> None:
    async def scenario() -> None:
        store = Held()
        store.dawdles_s = 4 * SOON_S
        tolerant = BestEffortStore(store)
        started = time.monotonic()
        with ends_soon():
            assert await tolerant.get("key") is None
        assert time.monotonic() - started > 0.04
        assert tolerant.is_failing

    run(scenario)
