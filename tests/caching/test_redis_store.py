"""Row by row what may go wrong with Redis, against a real one: pixels come all the same, soon."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.support.redisserver import RedisServer, Wire, free_port, redis_server
from tileserver.caching.envelope import key_of
from tileserver.caching.redis_store import RedisStore
from tileserver.caching.shared import BestEffortStore, Shared
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import ConfigError, UpstreamError

REQUEST = PixelRequest("projects/localhost/assets/scene")
BODY = bytes(range(256)) * 400
BUDGET_S = 0.05
SLACK_S = 0.1
"""For a machine with other things to do."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


class Source:
    """Answers after a while; counts."""

    def __init__(self, takes_s: float = 0.0, failure: Exception | None = None) -> None:
        self.asked = 0
        self.takes_s = takes_s
        self.failure = failure

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked += 1
        await asyncio.sleep(self.takes_s)
        if self.failure:
            raise self.failure
        return BODY


def shared(url: str, source: Source, ttl_s: float = 60, claim_s: float = 5) -> Shared:
    """Return what a machine of its own would have."""
    return Shared(BestEffortStore(RedisStore(url, ttl_s, claim_s)), source, "here")


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


async def timed(machine: Shared, request: PixelRequest = REQUEST) -> float:
    """Ask, look at the answer, and return the seconds it took."""
    started = time.perf_counter()
    assert await machine.get_pixels(request) == BODY
    return time.perf_counter() - started


def test_what_one_machine_has_fetched_no_other_fetches(server: RedisServer) -> None:
    source = Source()
    one, other = (shared(server.url, source) for _ in range(2))

    async def scenario() -> None:
        await timed(one)
        await asyncio.sleep(0.1)
        assert await timed(other) < SLACK_S
        assert source.asked == 1
        assert len(server.keys()) == 1
        assert server.claims() == []

    run(scenario, one, other)


def test_what_many_machines_ask_for_at_once_is_fetched_once(server: RedisServer) -> None:
    source = Source(takes_s=0.3)
    machines = [shared(server.url, source) for _ in range(5)]

    async def scenario() -> None:
        requests = [PixelRequest(f"projects/localhost/assets/{n}") for n in range(8)]
        await asyncio.gather(*(timed(each, r) for each in machines for r in requests))
        assert source.asked == len(requests)

    run(scenario, *machines)


def test_a_body_is_forgotten_after_its_time(server: RedisServer) -> None:
    source = Source()
    one = shared(server.url, source, ttl_s=0.3)

    async def scenario() -> None:
        await timed(one)
        await asyncio.sleep(0.4)
        await timed(one)
        assert source.asked == 2

    run(scenario, one)


def test_the_claim_of_a_machine_that_died_expires(server: RedisServer) -> None:
    source = Source()
    one = shared(server.url, source, claim_s=0.4)
    place = f"tileserver:{key_of('here', REQUEST)}:claim"

    async def scenario() -> None:
        with server.client as client:
            client.set(place, "of one that died", px=400)
        assert 0.2 < await timed(one) < 1
        assert source.asked == 1

    run(scenario, one)


def test_the_claim_of_a_machine_that_lives_does_not_expire(server: RedisServer) -> None:
    source = Source(takes_s=1.2)
    one, other = (shared(server.url, source, claim_s=0.3) for _ in range(2))

    async def scenario() -> None:
        await asyncio.gather(timed(one), timed(other))
        assert source.asked == 1

    run(scenario, one, other)


def test_nobody_takes_away_the_claim_of_another(server: RedisServer) -> None:
    one = shared(server.url, Source(takes_s=0.2))
    place = f"tileserver:{key_of('here', REQUEST)}:claim"

    async def scenario() -> None:
        asked = asyncio.create_task(timed(one))
        await asyncio.sleep(0.1)
        with server.client as client:
            client.set(place, "of another by now")
        await asked
        await asyncio.sleep(0.1)
        assert len(server.claims()) == 1

    run(scenario, one)


def test_a_machine_that_fails_lets_the_next_one_try(server: RedisServer) -> None:
    broken = shared(server.url, Source(0.2, UpstreamError("no")))
    sound = shared(server.url, Source())

    async def scenario() -> None:
        asked = asyncio.create_task(broken.get_pixels(REQUEST))
        await asyncio.sleep(0.1)
        assert await timed(sound) < 1
        with pytest.raises(UpstreamError):
            await asked

    run(scenario, broken, sound)


def test_a_client_that_leaves_takes_its_claim_along(server: RedisServer) -> None:
    slow, quick = shared(server.url, Source(30)), shared(server.url, Source())

    async def scenario() -> None:
        asked = asyncio.create_task(slow.get_pixels(REQUEST))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(timed(quick))
        await asyncio.sleep(0.1)
        asked.cancel()
        assert await waiting < 1

    run(scenario, slow, quick)


# What goes wrong


def corrupt(server: RedisServer, value: bytes | None) -> None:
    key = f"tileserver:{key_of('here', REQUEST)}"
    with server.client as client:
        if value is None:
            client.delete(key)
            client.rpush(key, "a list")
        else:
            client.set(key, value)


@pytest.mark.parametrize("kind", ["empty", "noise", "cut", "flipped", "of another key", "a list"])
def test_a_corrupt_value_is_deleted_and_ignored(server: RedisServer, kind: str) -> None:
    source = Source()
    one, other = (shared(server.url, source) for _ in range(2))

    async def scenario() -> None:
        await timed(one)
        await asyncio.sleep(0.1)
        (key,) = server.keys()
        with server.client as client:
            whole = client.get(key)
        elsewhere = PixelRequest("projects/localhost/assets/elsewhere")
        if kind == "of another key":
            await timed(one, elsewhere)
            await asyncio.sleep(0.1)
            (far,) = set(server.keys()) - {key}
            with server.client as client:
                whole = client.get(far)
        values = {
            "empty": b"",
            "noise": b"noise" * 100,
            "cut": whole[:-1],
            "flipped": whole[:-1] + bytes([whole[-1] ^ 1]),
            "of another key": whole,
            "a list": None,
        }
        corrupt(server, values[kind])
        asked = source.asked
        await timed(other)
        assert source.asked == asked + 1
        await asyncio.sleep(0.1)
        await timed(one)
        assert source.asked == asked + 1
        assert not other.store.is_failing

    run(scenario, one, other)


def check_that_it_is_done_without(machine: Shared, source: Source) -> Callable[[], Awaitable[None]]:
    async def scenario() -> None:
        assert await timed(machine) < BUDGET_S + SLACK_S
        assert machine.store.is_failing
        # The breaker: from now on it costs nothing.
        took_s = [await timed(machine) for _ in range(20)]
        assert sorted(took_s)[10] < 0.005
        assert source.asked == 21

    return scenario


def test_a_redis_that_refuses_connections_is_done_without() -> None:
    source = Source()
    one = shared(f"redis://127.0.0.1:{free_port()}", source)
    run(check_that_it_is_done_without(one, source), one)


def test_a_redis_that_stalls_is_done_without_after_fifty_milliseconds(server: RedisServer) -> None:
    source = Source()
    with Wire(server.port) as wire:
        one = shared(wire.url, source)
        wire.stalls = True
        run(check_that_it_is_done_without(one, source), one)


def test_a_redis_that_stalls_in_the_midst_is_done_without_and_found_again(
    server: RedisServer,
) -> None:
    source = Source()
    with Wire(server.port) as wire:
        one = shared(wire.url, source)

        async def scenario() -> None:
            await timed(one)
            wire.stalls = True
            assert await timed(one) < BUDGET_S + SLACK_S
            assert source.asked == 2
            wire.stalls = False
            await asyncio.sleep(1.2)
            await timed(one)
            assert source.asked == 2
            assert not one.store.is_failing

        run(scenario, one)


def test_a_connection_that_is_cut_is_opened_again_unnoticed(server: RedisServer) -> None:
    source = Source()
    with Wire(server.port) as wire:
        one = shared(wire.url, source)

        async def scenario() -> None:
            for _ in range(3):
                await timed(one)
                await asyncio.sleep(0.1)
                wire.cut()
                await asyncio.sleep(0.1)
            assert source.asked == 1

        run(scenario, one)


def test_a_redis_that_is_started_again_is_found_again(server: RedisServer) -> None:
    source = Source()
    one = shared(server.url, source)

    async def scenario() -> None:
        await timed(one)
        server.stop()
        await timed(one)
        assert source.asked == 2
        server.start()
        await asyncio.sleep(1.2)
        await timed(one)
        await asyncio.sleep(0.1)
        assert source.asked == 3
        await timed(one)
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
        await timed(one)
        await asyncio.sleep(0.1)
        with server.client as client:
            client.replicaof("127.0.0.1", free_port())
        other = PixelRequest("projects/localhost/assets/other")
        assert await timed(one, other) < BUDGET_S + SLACK_S
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
            await timed(one)
            await asyncio.sleep(0.1)
            await timed(one)
            assert source.asked == 1

        run(scenario, one)


@pytest.mark.parametrize("query", ["?no_such_option=1", "?socket_timeout=soon", "?db=x"])
def test_an_address_that_cannot_be_is_refused_without_its_password(query: str) -> None:
    with pytest.raises(ConfigError, match=r"\[cache\] url") as refused:
        RedisStore(f"redis://:hunter2@localhost:6379/0{query}", 60)
    assert "hunter2" not in str(refused.value)


def test_a_loop_that_is_held_up_is_no_fault_of_the_store(server: RedisServer) -> None:
    source = Source()
    one = shared(server.url, source)

    async def scenario() -> None:
        async def hog() -> None:
            for _ in range(30):
                time.sleep(0.06)  # noqa: ASYNC251
                await asyncio.sleep(0)

        hogging = asyncio.create_task(hog())
        await timed(one)
        await timed(one)
        await hogging
        assert source.asked == 1
        assert not one.store.is_failing

    run(scenario, one)
