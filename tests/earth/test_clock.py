"""Rows 22 and 23: a wall clock that jumps, and an event loop that is held up."""

from __future__ import annotations

import math
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.earth.asking import LAYERS, OTHER, TILE, get_all, view
from tests.earth.conftest import Google
from tests.earth.workers import ask_alone, figure, serving_earth
from tests.support.serving import serve
from tests.support.standin import StandIn
from tests.support.waiting import until
from tileserver.config.config import Config, EarthEngineSettings
from tileserver.earthengine.tuning import Tuning
from tileserver.server.app import create_app

LIBRARY = "faketime/libfaketime.so.1"
SMOOTH = view("smooth", 9, 264, 232, 10, 6)
PLACES = [SMOOTH[each] for each in (0, 4, 8, 40, 44, 48)]
"""Each in a block of its own."""


@pytest.fixture
def faked(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a process whose wall clock follows the file `clock`."""
    libraries = [each for each in Path("/usr/lib").glob(f"*/{LIBRARY}") if each.exists()]
    if shutil.which("faketime") is None or not libraries:
        pytest.skip("libfaketime is not installed")
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    return {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }


def date_of(answer: httpx.Response) -> float:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(answer.headers["date"]).timestamp()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("jump_s", "workers"), [(-3600, 1), (3600, 2)])
def test_a_wall_clock_that_jumps_an_hour_harms_nothing(
    jump_s: int,
    workers: int,
    folder: Path,
    google: Google,
    tmp_path: Path,
    faked: dict[str, str],
) -> None:
    is_ahead = jump_s > 0
    # Shorter than the jump, where what is held must stay fresh; short, where it must expire.
    ttl = "30m" if is_ahead else "1s"
    with (
        StandIn(folder, accepts=google.tokens.accepts) as engine,
        serving_earth(
            engine, google, tmp_path, workers, 4, TILESERVER_CACHE__TTL=ttl, **faked
        ) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        # Each worker gets a token of its own; after the jump it would be refused, and rightly.
        until(
            lambda: (
                ask_alone(f"{server.url}/readyz") == 200 and google.tokens.count("token") >= workers
            )
        )
        assert {each.status_code for each in get_all(client, PLACES)} == {200}
        (tmp_path / "clock").write_text(f"{jump_s:+d}\n")
        until(lambda: abs(date_of(client.get("/healthz")) - time.time() - jump_s) < 60)
        asked = engine.pixel_requests
        # What is not held is fetched, all at once: the token goes on holding, and the
        # limits neither refuse nor hold up anything for an hour.
        styled = [f"{path}?gamma=1.5" for path in PLACES]
        assert {each.status_code for each in get_all(client, [*PLACES, *styled])} == {200}
        assert client.get("/readyz").status_code == 200
        assert engine.max_in_flight <= 40
        if is_ahead:
            assert (asked, engine.pixel_requests) == (6, 12)
            return

        def fetched_again() -> bool:
            assert {each.status_code for each in get_all(client, PLACES)} == {200}
            return engine.pixel_requests >= 18

        until(fetched_again)
        assert engine.count("getAsset") <= 2 * workers


def test_a_loop_that_is_held_up_for_two_seconds_costs_no_answer(
    engine: StandIn, google: Google, caplog: pytest.LogCaptureFixture
) -> None:
    settings = EarthEngineSettings("my-project", engine.url)
    app = create_app(Config(layers=LAYERS, earth_engine=settings), tuning=Tuning(tiles_per_side=1))

    async def sometimes_held_up(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/hold":
            time.sleep(2)  # noqa: ASYNC251
        await app(scope, receive, send)

    with (
        serve(sometimes_held_up) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        assert client.get(OTHER).status_code == 200
        engine.waits_for = math.inf
        asked = pool.submit(get_all, client, [TILE, *SMOOTH])
        until(lambda: engine.in_flight >= 40)
        client.get("/hold")
        engine.waits_for = 0
        assert {each.status_code for each in asked.result()} == {200}
        until(lambda: "held up for" in caplog.text)
        text = client.get("/metrics").text
    counted = figure(text, "event_loop_lag_seconds_count")
    assert counted > figure(text, "event_loop_lag_seconds_bucket", "1.0")
