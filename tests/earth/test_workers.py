"""Workers that end, are killed or are replaced: nobody is lost, and nothing stays claimed."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.earth.asking import view
from tests.earth.conftest import Google
from tests.earth.workers import ask_alone, one_client, serving_earth, workers_of
from tests.support.commands import wait_until_ended
from tests.support.standin import StandIn
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)

HUNDRED = view("smooth", 10, 528, 464, 40, 40)[::16]
"""Of a hundred places, most of them in blocks of their own."""
TILE = "/tiles/smooth/9/266/234.png"


@contextmanager
def engine_of(folder: Path, google: Google, latency_s: float) -> Iterator[StandIn]:
    with StandIn(folder, accepts=google.tokens.accepts, latency_s=latency_s) as engine:
        yield engine


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_requests_in_flight_are_answered_before_the_end(
    workers: int, folder: Path, google: Google, tmp_path: Path
) -> None:
    with (
        engine_of(folder, google, 0.1) as engine,
        serving_earth(engine, google, tmp_path, workers, side=1) as server,
    ):
        engine.waits_for = math.inf
        port = int(urlsplit(server.url).port or 0)
        assert len(HUNDRED) == 100

        async def scenario() -> list[list[int]]:
            asked = [asyncio.create_task(one_client(port, [path])) for path in HUNDRED]
            await asyncio.to_thread(until, lambda: engine.pixel_requests >= 20)
            assert not any(each.done() for each in asked)
            server.process.send_signal(signal.SIGTERM)
            # The signal comes first, with all hundred requests under way.
            await asyncio.sleep(0.3)
            engine.waits_for = 0
            return await asyncio.gather(*asked)

        assert asyncio.run(scenario()) == [[200]] * 100
        assert wait_until_ended(server.process) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("which", [0, 1])
def test_a_worker_that_is_killed_is_replaced_and_its_claims_are_free(
    which: int, folder: Path, google: Google, tmp_path: Path
) -> None:
    """One of the two has the claim of the block, the other waits for it."""
    with (
        engine_of(folder, google, 0.0) as engine,
        serving_earth(engine, google, tmp_path, 2) as server,
    ):
        until(lambda: len(workers_of(server)) == 2)
        engine.waits_for = math.inf
        with ThreadPoolExecutor(24) as pool:
            asked = [pool.submit(ask_alone, server.url + TILE) for _ in range(24)]
            until(lambda: engine.count("getPixels"))
            victim = sorted(workers_of(server))[which]
            os.kill(victim, signal.SIGKILL)
            engine.waits_for = 0
            answers = [each.result() for each in asked]
        # Who was connected to the victim hears of it, and that may be all; others get their tile.
        assert set(answers) <= {200, "ReadError", "RemoteProtocolError", "ConnectError"}
        assert engine.pixel_requests <= 2
        until(lambda: len(workers_of(server)) == 2 and victim not in workers_of(server))
        assert {ask_alone(server.url + TILE) for _ in range(20)} == {200}
        assert engine.pixel_requests <= 2


def test_on_sighup_the_workers_are_replaced_and_no_request_fails(
    folder: Path, google: Google, tmp_path: Path
) -> None:
    with (
        engine_of(folder, google, 0.05) as engine,
        serving_earth(engine, google, tmp_path, 2, side=1) as server,
    ):
        until(lambda: ask_alone(server.url + TILE) == 200)
        before = workers_of(server)
        heard: list[int | str] = []
        is_over = threading.Event()

        def keep_asking(places: list[str]) -> None:
            for path in places * 1000:
                # A pause, so that the new workers start soon.
                if is_over.wait(0.02):
                    return
                heard.append(ask_alone(server.url + path))

        with ThreadPoolExecutor(4) as pool:
            for first in range(4):
                pool.submit(keep_asking, HUNDRED[first::4])
            try:
                server.process.send_signal(signal.SIGHUP)
                until(lambda: len(workers_of(server)) == 2 and not workers_of(server) & before, 150)
                until(lambda: len(heard) > 100)
            finally:
                is_over.set()
        assert set(heard) == {200}


CLIENTS = 64
"""More than the 40 slots, and few enough for the deadline of 25 s. While one worker is replaced the
other answers all with its 20 slots; of 44 waiting requests the oldest get every fourth slot, hence
an answer after 44 * 4 / 20 rounds of LATENCY_S, some 4 s."""
LATENCY_S = 0.4


def test_on_sighup_no_more_than_the_cap_is_in_flight_and_no_cold_tile_is_lost(
    folder: Path, google: Google, tmp_path: Path
) -> None:
    with (
        engine_of(folder, google, LATENCY_S) as engine,
        serving_earth(engine, google, tmp_path, 2, side=1) as server,
    ):
        until(lambda: len(workers_of(server)) == 2)
        before = workers_of(server)
        port = int(urlsplit(server.url).port or 0)
        heard: list[list[int]] = []
        is_over = threading.Event()

        async def keep_asking(client: int) -> None:
            turn = 0
            while not is_over.is_set():
                # A style of its own each time: a tile that was not asked for before.
                turn += 1
                path = f"{HUNDRED[client % 100]}?gamma={1 + turn / 1000:.3f}&min={client}"
                heard.append(await one_client(port, [path]))

        async def scenario() -> None:
            asking = [asyncio.create_task(keep_asking(client)) for client in range(CLIENTS)]
            # One worker at least has used all its slots, and both are asked all the while.
            engine.waits_for = math.inf
            await asyncio.to_thread(until, lambda: engine.max_in_flight >= 20)
            engine.waits_for = 0
            server.process.send_signal(signal.SIGHUP)
            try:
                await asyncio.to_thread(until, lambda: not workers_of(server) & before, 150)
                answered = len(heard)
                await asyncio.to_thread(until, lambda: len(heard) > answered + CLIENTS)
            finally:
                is_over.set()
            await asyncio.gather(*asking)

        asyncio.run(scenario())
        assert {status for each in heard for status in each} == {200}
        assert engine.max_in_flight <= 40
        assert all(asked.status == 200 for asked in engine.seen)
