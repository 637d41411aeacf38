"""The quota is kept, with any number of clients and workers."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.earth.asking import Serve, get_all, view
from tests.earth.conftest import Google
from tests.earth.workers import serving_earth, statuses_of
from tests.support.standin import StandIn
from tileserver.earthengine.stack import Tuning

SIXTY = view("smooth", 9, 264, 232, 10, 6)
"""In 3x2 blocks."""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_clients_of_the_same_sixty_tiles_take_a_request_a_block(
    workers: int, folder: Path, google: Google, tmp_path: Path
) -> None:
    """All sixty tiles a client, each in an order of its own."""
    with (
        StandIn(folder, accepts=google.tokens.accepts, latency_s=0.3) as engine,
        serving_earth(engine, google, tmp_path, workers) as server,
    ):
        assert statuses_of(server.url, 1000, SIXTY, each=60) == {200}
    assert engine.pixel_requests == 6, grids(engine)
    assert engine.max_in_flight <= 40


@pytest.mark.parametrize("workers", [1, 2])
def test_many_clients_of_many_tiles_never_take_more_than_the_cap(
    workers: int, folder: Path, google: Google, tmp_path: Path
) -> None:
    styles = [f"{path}?gamma={g}" for g in (1.1, 1.2, 1.3) for path in SIXTY]
    lone = [f"{path}&opacity=0.{n}" for n in range(1, 6) for path in styles[::3]]
    with (
        StandIn(folder, accepts=google.tokens.accepts, latency_s=0.3) as engine,
        serving_earth(engine, google, tmp_path, workers) as server,
    ):
        assert statuses_of(server.url, 200, lone, each=20) == {200}
    # Each of fifteen styles has six blocks, and none is asked for twice.
    assert engine.pixel_requests == 90, len(grids(engine))
    assert 20 <= engine.max_in_flight <= 40
    assert all(asked.status == 200 for asked in engine.seen)


def test_never_more_than_the_cap_is_in_flight(serve_earth: Serve, engine: StandIn) -> None:
    engine.latency_s = 0.5
    with serve_earth(Tuning(tiles_per_side=1)) as earth:
        answers = get_all(earth, view("smooth", 9, 264, 230, 10, 9))
    assert {each.status_code for each in answers} == {200}
    assert engine.pixel_requests == 90
    assert 30 <= engine.max_in_flight <= 40
    assert all(asked.status == 200 for asked in engine.seen)


def hang_up_after(url: str, path: str, seconds: float) -> None:
    with socket.create_connection(("127.0.0.1", int(urlsplit(url).port or 0))) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        time.sleep(seconds)


@pytest.mark.parametrize(
    "path", [view("smooth", 8, 136, 120, 1, 1)[0], "/point/smooth?lon=3&lat=3"]
)
def test_a_client_that_hangs_up_while_it_waits_is_dropped_before_anything_is_sent(
    serve_earth: Serve, engine: StandIn, path: str
) -> None:
    with serve_earth(concurrency=1) as earth:
        earth.get("/info/smooth")
        engine.latency_s = 0.6
        engine.forget()
        url = str(earth.base_url)
        first = socket.create_connection(("127.0.0.1", int(urlsplit(url).port or 0)))
        path = view("smooth", 8, 132, 116, 1, 1)[0]
        first.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        time.sleep(0.1)
        hang_up_after(url, path, 0.1)
        assert first.recv(12) == b"HTTP/1.1 200"
        first.close()
        time.sleep(0.2)
        assert engine.pixel_requests == 1
        assert engine.in_flight == 0


def test_a_client_that_hangs_up_frees_its_slot(serve_earth: Serve, engine: StandIn) -> None:
    with serve_earth(concurrency=1) as earth:
        earth.get("/info/smooth")
        engine.latency_s = 5
        hang_up_after(str(earth.base_url), SIXTY[0], 0.3)
        engine.latency_s = 0
        started = time.monotonic()
        assert earth.get(SIXTY[-1]).status_code == 200
        assert time.monotonic() - started < 1


def grids(engine: StandIn) -> list[object]:
    """Return what was asked, and when, to tell why it was too much."""
    began_s = engine.seen[0].arrived_s
    return [(each.arrived_s - began_s, each.json()["grid"]) for each in engine.seen if each.body]
