"""The quota is kept, with any number of clients and workers."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.earth.asking import Serve, get_all, view
from tests.earth.conftest import Google
from tests.earth.workers import figure, serving_earth, statuses_of
from tests.support.standin import StandIn
from tests.support.waiting import until
from tileserver.earthengine.tuning import Tuning

pytestmark = pytest.mark.timeout(300)

SIXTY = view("smooth", 9, 264, 232, 10, 6)
"""In 3x2 blocks."""


def test_a_thousand_clients_of_the_same_sixty_tiles_take_a_request_a_block(
    folder: Path, google: Google, tmp_path: Path
) -> None:
    """A tenth of the sixty tiles a client, chosen by chance; two workers."""
    with (
        StandIn(folder, accepts=google.tokens.accepts, latency_s=0.3) as engine,
        serving_earth(engine, google, tmp_path, 2) as server,
    ):
        assert statuses_of(server.url, 1000, SIXTY, each=6) == {200}
    assert engine.pixel_requests == 6, grids(engine)
    assert engine.max_in_flight <= 40


@pytest.mark.parametrize("workers", [1, 2])
def test_many_clients_of_many_tiles_never_take_more_than_the_cap(
    workers: int, folder: Path, google: Google, tmp_path: Path
) -> None:
    styles = [f"{path}?opacity=0.{n}" for n in range(1, 6) for path in SIXTY[::3]]
    with (
        StandIn(folder, accepts=google.tokens.accepts) as engine,
        serving_earth(engine, google, tmp_path, workers) as server,
    ):
        engine.waits_for = 20
        assert statuses_of(server.url, 100, styles, each=20) == {200}
    # Each of five styles has six blocks, and none is asked for twice.
    assert engine.pixel_requests == 30, len(grids(engine))
    assert 20 <= engine.max_in_flight <= 40
    assert all(asked.status == 200 for asked in engine.seen)


def test_never_more_than_the_cap_is_in_flight(serve_earth: Serve, engine: StandIn) -> None:
    engine.waits_for = 40
    with serve_earth(Tuning(tiles_per_side=1)) as earth:
        answers = get_all(earth, view("smooth", 9, 264, 230, 10, 9))
    assert {each.status_code for each in answers} == {200}
    assert engine.pixel_requests == 90
    assert engine.max_in_flight == 40
    assert all(asked.status == 200 for asked in engine.seen)


def asking(url: str, path: str) -> socket.socket:
    """Return a connection over which something was asked for."""
    client = socket.create_connection(("127.0.0.1", int(urlsplit(url).port or 0)))
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return client


@pytest.mark.parametrize(
    "path", [view("smooth", 8, 136, 120, 1, 1)[0], "/point/smooth?lon=3&lat=3"]
)
def test_a_client_that_hangs_up_while_it_waits_is_dropped_before_anything_is_sent(
    serve_earth: Serve, engine: StandIn, path: str
) -> None:
    with serve_earth(concurrency=1) as earth:

        def waiting() -> float:
            return figure(earth.get("/metrics").text, "queue_length")

        earth.get("/info/smooth")
        engine.forget()
        engine.waits_for = math.inf
        with asking(str(earth.base_url), view("smooth", 8, 132, 116, 1, 1)[0]) as first:
            until(lambda: engine.in_flight)
            with asking(str(earth.base_url), path):
                until(lambda: waiting() == 1)
            until(lambda: waiting() == 0)
            engine.waits_for = 0
            assert first.recv(12) == b"HTTP/1.1 200"
        assert earth.get("/point/smooth?lon=4&lat=4").status_code == 200
    assert engine.pixel_requests == 2


def test_a_client_that_hangs_up_frees_its_slot(serve_earth: Serve, engine: StandIn) -> None:
    with serve_earth(concurrency=1) as earth:
        earth.get("/info/smooth")
        engine.waits_for = math.inf
        with asking(str(earth.base_url), SIXTY[0]):
            until(lambda: engine.in_flight)
        until(lambda: not engine.in_flight)
        engine.waits_for = 0
        # A slot that was lost would be waited for in vain, until the deadline.
        assert earth.get(SIXTY[-1]).status_code == 200


def grids(engine: StandIn) -> list[object]:
    """Return what was asked, and when, to tell why it was too much."""
    began_s = engine.seen[0].arrived_s
    return [(each.arrived_s - began_s, each.json()["grid"]) for each in engine.seen if each.body]
