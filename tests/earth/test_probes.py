"""What /readyz, /healthz and /metrics tell while Earth Engine and its tokens come and go."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import pytest

from tests.earth.asking import OTHER, TILE, Serve, get_all, view
from tests.earth.conftest import Google
from tests.earth.workers import ask_alone, figure, serving_earth
from tests.support.serving import serve
from tests.support.standin import StandIn
from tests.support.waiting import until
from tileserver.config.config import Config
from tileserver.server.app import create_app

pytestmark = [pytest.mark.usefixtures("no_secret_told"), pytest.mark.timeout(300)]


def test_a_server_that_can_sign_is_ready_and_asks_for_nothing_but_a_token(
    serve_earth: Serve, engine: StandIn, google: Google
) -> None:
    with serve_earth() as earth:
        for _ in range(20):
            answer = earth.get("/readyz")
            assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
            assert answer.headers["cache-control"] == "no-store"
            earth.get("/healthz")
            earth.get("/metrics")
    assert engine.count() == 0
    assert google.tokens.count("token") == 1


def test_a_server_without_earth_engine_is_ready(serve_earth: Serve) -> None:
    with serve(create_app(Config())) as url:
        assert httpx.get(f"{url}/readyz", trust_env=False, timeout=60).json() == {"status": "ready"}


def test_a_server_that_gets_no_token_is_not_ready_and_lives(
    serve_earth: Serve, engine: StandIn, google: Google
) -> None:
    google.tokens.inject("invalid_grant", times=None)
    with serve_earth() as earth:
        answer = earth.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "unready"
        assert "Google gives no token" in answer.json()["reason"]
        assert earth.get("/healthz").status_code == 200
        text = earth.get("/metrics").text
        assert figure(text, "token_failures_total") >= 1
        google.tokens.heal()
        until(lambda: earth.get("/readyz").status_code == 200)
    assert engine.count() == 0


def test_a_token_that_is_refused_makes_a_server_unready(
    serve_earth: Serve, engine: StandIn
) -> None:
    with serve_earth() as earth:
        engine.inject("unauthenticated", times=None)
        assert earth.get(TILE).status_code == 502
        answer = earth.get("/readyz")
        assert answer.status_code == 503
        assert "refuses" in answer.json()["reason"]
        engine.heal()
        assert earth.get(TILE).status_code == 200
        until(lambda: earth.get("/readyz").status_code == 200)


def test_a_server_whose_earth_engine_is_down_is_degraded_and_stays(
    serve_earth: Serve, engine: StandIn
) -> None:
    with serve_earth() as earth:
        assert earth.get(TILE).status_code == 200
        engine.inject("status_503", times=None)

        def is_down() -> bool:
            get_all(
                earth,
                view("scene", 9, 264, 232, 6, 6, f".png?gamma={time.monotonic() % 9 + 0.1:.5f}"),
            )
            return bool(earth.get("/readyz").json()["status"] == "degraded")

        until(is_down)
        answer = earth.get("/readyz")
        assert answer.status_code == 200
        assert "Earth Engine" in answer.json()["reason"]
        assert earth.get(TILE).status_code == 200
        until(lambda: figure(earth.get("/metrics").text, "breaker_open") == 1)
        assert figure(earth.get("/metrics").text, "upstream_requests_total", "failed") >= 10


def routes(text: str) -> set[str]:
    """Return the routes that figures are of."""
    return set(re.findall(r'route="([^"]*)"', text))


def test_what_happens_is_counted(serve_earth: Serve, engine: StandIn) -> None:
    names = {
        "answered": ("requests_total", "/tiles/{layer:path}/{z}/{x}/{name}", "200"),
        "refused": ("requests_total", "/tiles/{layer:path}/{z}/{x}/{name}", "404"),
        "hits": ("cache_total", "hit"),
        "misses": ("cache_total", "miss"),
        "asked": ("upstream_requests_total", "pixels", "ok"),
        "again": ("retries_total",),
        "limited": ("upstream_requests_total", "rate_limited"),
        "known": ("upstream_requests_total", "metadata", "ok"),
    }

    def figures(earth: httpx.Client) -> dict[str, float]:
        text = earth.get("/metrics").text
        return {key: figure(text, *what) for key, what in names.items()}

    with serve_earth() as earth:
        # Servers of other tests in this process have counted too.
        text_before = earth.get("/metrics").text
        before = figures(earth)
        engine.inject("rate_limited", times=1, only="getPixels")
        for path in (TILE, TILE, OTHER, "/tiles/nothing/8/1/1.png", "/tiles/chough/8/1/1.png"):
            earth.get(path)
        after = figures(earth)
        text = earth.get("/metrics").text
    grown = {key: after[key] - before[key] for key in names}
    assert grown == {
        "answered": 3,
        "refused": 2,
        "hits": 1,
        "misses": 2,
        "asked": 2,
        "again": 1,
        "limited": 1,
        "known": 1,
    }
    # What a client asks for never becomes a label.
    assert "chough" not in text
    assert routes(text) - routes(text_before) <= {
        "/metrics",
        "/tiles/{layer:path}/{z}/{x}/{name}",
    }


def test_any_worker_tells_of_all_of_them(engine: StandIn, google: Google, tmp_path: Path) -> None:
    tiles = view("smooth", 9, 264, 232, 10, 6)
    with serving_earth(engine, google, tmp_path, 2) as server:
        for path in tiles:
            assert ask_alone(server.url + path) == 200

        def told() -> tuple[float, ...]:
            text = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=60).text
            return (
                figure(text, "requests_total", "/tiles/{layer:path}/{z}/{x}/{name}"),
                figure(text, "upstream_requests_total", "pixels", "ok"),
                figure(text, "slots_limit"),
            )

        until(lambda: told() == (60, 6, 40))
        assert {told() for _ in range(10)} == {(60, 6, 40)}
