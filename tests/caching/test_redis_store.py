"""Row by row what may go wrong with Redis, against a real one: pixels come all the same, soon."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.support.limits import SOON_S, ends_soon
from tests.support.redisserver import RedisServer, Wire, free_port, redis_server
from tileserver.caching.envelope import key_of
from tileserver.caching.redis_store import RedisStore
from tileserver.caching.shared import BestEffortStore, Shared
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import ConfigError, UpstreamError

REQUEST = PixelRequest("projects/localhost/assets/scene")
BODY = bytes(range(256)) * 400
BUDGET_S = 0.05
AMPLE_S = 20.0
"""A budget that a busy machine keeps too, where a test is not about it."""
REQUEST_KEY = f"tileserver:{key_of('here', REQUEST)}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


class Source:
    """Answers after a while, or when told to; counts."""

    def __init__(
        self,
        takes_s: float = 0.0,
        failure: Exception | None = None,
        gate: asyncio.Event | None = None,
    ) -> None:
        self.asked = 0
        self.takes_s = takes_s
        self.failure = failure
        self.gate = gate

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked += 1
        await asyncio.sleep(self.takes_s)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure:
            raise self.failure
        return BODY


class Counting(RedisStore):
    """Counts how often Redis is asked for a body."""

    asked = 0

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        return await super().get(key)


def shared(
    url: str,
    source: Source,
    ttl_s: float = 60,
    claim_s: float = 5,
    budget_s: float = AMPLE_S,
    clock: Callable[[], float] = time.monotonic,
) -> Shared:
    """Return what a machine of its own would have."""
    store = Counting(url, ttl_s, claim_s)
    store.budget_s = budget_s
    return Shared(BestEffortStore(store, clock), source, "here", patience_s=2 * SOON_S)


def run(scenario: Callable[[], Awaitable[None]], *machines: Shared) -> None:
    unseen: list[object] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, event: unseen.append(event))
        try:
            await scenario()
        finally:
            for each in machines:
                await each.store.close()

    asyncio.run(watched())
    assert unseen == []


async def ask(machine: Shared, request: PixelRequest = REQUEST) -> None:
    """Ask, and look at the answer."""
    with ends_soon():
        assert await machine.get_pixels(request) == BODY


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def kept(server: RedisServer, bodies: int = 1) -> None:
    """Wait until so many bodies are in Redis and all claims are given back."""
    await until(lambda: len(server.keys()) == bodies and server.claims() == [])


def test_what_one_machine_has_fetched_no_other_fetches(server: RedisServer) -> None:
    source = Source()
    one, other = (shared(server.url, source) for _ in range(2))

    async def scenario() -> None:
        await ask(one)
        await kept(server)
        await ask(other)
        assert source.asked == 1
        assert len(server.keys()) == 1
        assert server.claims() == []

    run(scenario, one, other)


def test_what_many_machines_ask_for_at_once_is_fetched_once(server: RedisServer) -> None:
    source = Source(takes_s=0.3)
    machines = [shared(server.url, source) for _ in range(5)]

    async def scenario() -> None:
        requests = [PixelRequest(f"projects/localhost/assets/{n}") for n in range(8)]
        await asyncio.gather(*(ask(each, r) for each in machines for r in requests))
        assert source.asked == len(requests)

    run(scenario, *machines)


def test_a_body_is_forgotten_after_its_time(server: RedisServer) -> None:
    source = Source()
    one = shared(server.url, source, ttl_s=2)

    async def scenario() -> None:
        await ask(one)
        await kept(server)
        await until(lambda: server.keys() == [])
        await ask(one)
        assert source.asked == 2

    run(scenario, one)


def test_the_claim_of_a_machine_that_died_expires(server: RedisServer) -> None:
    source = Source()
    one = shared(server.url, source, claim_s=0.4)

    async def scenario() -> None:
        with server.client as client:
            client.set(f"{REQUEST_KEY}:claim", "of one that died", px=400)
        asked = asyncio.create_task(ask(one))
        await until(lambda: one.store.store.asked > 0)  # type: ignore[attr-defined]
        assert source.asked == 0
        await asked
        assert source.asked == 1

    run(scenario, one)


def test_the_claim_of_a_machine_that_lives_does_not_expire(server: RedisServer) -> None:
    source = Source(takes_s=2)
    one, other = (shared(server.url, source, claim_s=1.5) for _ in range(2))

    async def scenario() -> None:
        await asyncio.gather(ask(one), ask(other))
        assert source.asked == 1

    run(scenario, one, other)


def test_nobody_takes_away_the_claim_of_another(server: RedisServer) -> None:
    gate = asyncio.Event()
    one = shared(server.url, Source(gate=gate))

    async def scenario() -> None:
        asked = asyncio.create_task(ask(one))
        await until(lambda: len(server.claims()) == 1)
        with server.client as client:
            client.set(f"{REQUEST_KEY}:claim", "of another by now")
        gate.set()
        await asked
        await until(lambda: len(server.keys()) == 1)
        await one.store.close()
        assert len(server.claims()) == 1

    run(scenario, one)


def test_a_machine_that_fails_lets_the_next_one_try(server: RedisServer) -> None:
    gate = asyncio.Event()
    broken = shared(server.url, Source(failure=UpstreamError("no"), gate=gate))
    sound = shared(server.url, Source())

    async def scenario() -> None:
        asked = asyncio.create_task(broken.get_pixels(REQUEST))
        await until(lambda: len(server.claims()) == 1)
        waiting = asyncio.create_task(ask(sound))
        gate.set()
        with pytest.raises(UpstreamError):
            await asked
        await waiting

    run(scenario, broken, sound)


def test_a_client_that_leaves_takes_its_claim_along(server: RedisServer) -> None:
    slow, quick = shared(server.url, Source(4 * SOON_S)), shared(server.url, Source())

    async def scenario() -> None:
        asked = asyncio.create_task(slow.get_pixels(REQUEST))
        await until(lambda: len(server.claims()) == 1)
        waiting = asyncio.create_task(ask(quick))
        await until(lambda: quick.store.store.asked > 0)  # type: ignore[attr-defined]
        asked.cancel()
        await waiting

    run(scenario, slow, quick)


# What goes wrong


def corrupt(server: RedisServer, value: bytes | None) -> None:
    with server.client as client:
        if value is None:
            client.delete(REQUEST_KEY)
            client.rpush(REQUEST_KEY, "a list")
        else:
            client.set(REQUEST_KEY, value)


def value_of(server: RedisServer, key: bytes | str = REQUEST_KEY) -> bytes | None:
    """Return what is kept under a key; None if it is no string."""
    with server.client as client:
        value: bytes | None = client.get(key) if client.type(key) == b"string" else None
        return value


@pytest.mark.parametrize("kind", ["empty", "noise", "cut", "flipped", "of another key", "a list"])
def test_a_corrupt_value_is_deleted_and_ignored(server: RedisServer, kind: str) -> None:
    source = Source()
    one, other = (shared(server.url, source) for _ in range(2))

    async def scenario() -> None:
        await ask(one, PixelRequest("projects/localhost/assets/elsewhere"))
        await kept(server)
        (far,) = server.keys()
        await ask(one)
        await kept(server, 2)
        whole = value_of(server)
        assert whole is not None
        values = {
            "empty": b"",
            "noise": b"noise" * 100,
            "cut": whole[:-1],
            "flipped": whole[:-1] + bytes([whole[-1] ^ 1]),
            "of another key": value_of(server, far),
            "a list": None,
        }
        corrupt(server, values[kind])
        asked = source.asked
        await ask(other)
        assert source.asked == asked + 1
        await until(lambda: value_of(server) == whole and server.claims() == [])
        await ask(one)
        assert source.asked == asked + 1
        assert not other.store.is_failing

    run(scenario, one, other)


def check_that_it_is_done_without(machine: Shared, source: Source) -> Callable[[], Awaitable[None]]:
    async def scenario() -> None:
        await ask(machine)
        assert machine.store.is_failing
        # The breaker: from now on Redis is not asked.
        for _ in range(20):
            await ask(machine)
        assert machine.store.store.asked == 1  # type: ignore[attr-defined]
        assert source.asked == 21

    return scenario


def test_a_redis_that_refuses_connections_is_done_without() -> None:
    source = Source()
    one = shared(f"redis://127.0.0.1:{free_port()}", source)
    run(check_that_it_is_done_without(one, source), one)


def test_a_redis_that_stalls_is_done_without_after_fifty_milliseconds(server: RedisServer) -> None:
    source = Source()
    with Wire(server.port) as wire:
        one = shared(wire.url, source, budget_s=BUDGET_S, clock=lambda: 0.0)
        wire.stalls = True
        run(check_that_it_is_done_without(one, source), one)


def test_a_redis_that_stalls_in_the_midst_is_done_without_and_found_again(
    server: RedisServer,
) -> None:
    source, now_s = Source(), [0.0]
    with Wire(server.port) as wire:
        one = shared(wire.url, source, clock=lambda: now_s[0])

        async def scenario() -> None:
            await ask(one)
            await kept(server)
            wire.stalls, one.store.store.budget_s = True, BUDGET_S
            await ask(one)
            assert source.asked == 2
            wire.stalls, one.store.store.budget_s = False, AMPLE_S
            now_s[0] = 100.0
            await ask(one)
            assert source.asked == 2
            assert not one.store.is_failing

        run(scenario, one)


def test_a_connection_that_is_cut_is_opened_again_unnoticed(server: RedisServer) -> None:
    source = Source()
    with Wire(server.port) as wire:
        one = shared(wire.url, source)

        async def scenario() -> None:
            for _ in range(3):
                await ask(one)
                await kept(server)
                wire.cut()
                await until(lambda: wire.connections == 0)
            assert source.asked == 1

        run(scenario, one)


def test_a_redis_that_is_started_again_is_found_again(server: RedisServer) -> None:
    source, now_s = Source(), [0.0]
    one = shared(server.url, source, clock=lambda: now_s[0])

    async def scenario() -> None:
        await ask(one)
        server.stop()
        await ask(one)
        assert source.asked == 2
        server.start()
        now_s[0] = 100.0
        await ask(one)
        await kept(server)
        assert source.asked == 3
        await ask(one)
        assert source.asked == 3

    run(scenario, one)


def test_a_redis_without_memory_is_done_without(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        source = Source()
        one = shared(server.url, source)
        run(check_that_it_is_done_without(one, source), one)


def test_a_replica_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    options = ("--replicaof", "127.0.0.1", str(free_port()), "--replica-read-only", "yes")
    with redis_server(tmp_path, *options) as server:
        source = Source()
        one = shared(server.url, source)
        run(check_that_it_is_done_without(one, source), one)


def test_a_failover_in_the_midst_is_done_without(server: RedisServer) -> None:
    source = Source()
    one = shared(server.url, source)

    async def scenario() -> None:
        await ask(one)
        await kept(server)
        with server.client as client:
            client.replicaof("127.0.0.1", free_port())
        await ask(one, PixelRequest("projects/localhost/assets/other"))
        assert one.store.is_failing

    run(scenario, one)


@pytest.mark.parametrize("user", ["", "nobody:hunter2canary@", ":hunter2canary@"])
def test_a_redis_that_wants_another_password_is_done_without_and_none_is_told(
    tmp_path: Path, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with redis_server(tmp_path, "--requirepass", "correct-canary") as server:
        source = Source()
        one = shared(server.url.replace("://", f"://{user}"), source)
        run(check_that_it_is_done_without(one, source), one)
    told = [each for each in caplog.records if each.name.startswith("tileserver")]
    assert len(told) == 1
    assert "redis" in told[0].getMessage()
    assert "canary" not in caplog.text + repr(one.store.store)


def test_the_right_password_opens_it(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--requirepass", "correct-canary") as server:
        source = Source()
        one = shared(server.url.replace("://", "://:correct-canary@"), source)

        async def scenario() -> None:
            await ask(one)
            await until(lambda: one.store.store._claims == {})  # type: ignore[attr-defined]
            await ask(one)
            assert source.asked == 1

        run(scenario, one)


@pytest.mark.parametrize("query", ["?no_such_option=1", "?socket_timeout=soon", "?db=x"])
def test_an_address_that_cannot_be_is_refused_without_its_password(query: str) -> None:
    with pytest.raises(ConfigError, match=r"\[cache\] url") as refused:
        RedisStore(f"redis://:hunter2@localhost:6379/0{query}", 60)
    assert "hunter2" not in str(refused.value)


def test_a_loop_that_is_held_up_is_no_fault_of_the_store(server: RedisServer) -> None:
    source = Source()
    one = shared(server.url, source, budget_s=4 * BUDGET_S)

    async def scenario() -> None:
        async def hog() -> None:
            for _ in range(8):
                time.sleep(5 * BUDGET_S)  # noqa: ASYNC251
                await asyncio.sleep(0)

        hogging = asyncio.create_task(hog())
        await ask(one)
        await ask(one)
        await hogging
        assert source.asked == 1
        assert not one.store.is_failing

    run(scenario, one)
