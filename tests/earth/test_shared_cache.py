"""Servers and workers that share a Redis, or a folder, with Earth Engine behind all of them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from rasterio import Affine

from tests.earth.asking import LAYERS, OTHER, SCENE, TILE, Heard, Serve, get_all, pixels, view
from tests.earth.conftest import Google
from tests.earth.workers import ask_alone, figure, serving_earth, statuses_of, workers_of
from tests.support.rasterfiles import noise, write_raster
from tests.support.redisserver import Wire, free_port, redis_server
from tests.support.standin import StandIn
from tests.support.waiting import until
from tileserver.config.config import CacheSettings, Config
from tileserver.earthengine.tuning import Tuning

pytestmark = pytest.mark.timeout(300)

SIXTY = view("smooth", 9, 264, 232, 10, 6)


def sharing(url: str) -> Config:
    return Config(layers=LAYERS, cache=CacheSettings(url=url))


def test_two_servers_of_one_redis_ask_for_a_block_once(
    serve_earth: Serve, engine: StandIn, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        config = sharing(server.url)
        with serve_earth(config=config) as one, serve_earth(config=config) as other:
            first, again = get_all(one, SIXTY), get_all(other, SIXTY)
    assert [each.content for each in first] == [each.content for each in again]
    assert {each.status_code for each in first} == {200}
    assert engine.pixel_requests == 6


def test_a_server_of_another_project_shares_nothing(
    engine: StandIn, heard: Heard, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        config = sharing(server.url)
        with Serve(engine.url, heard)(config=config) as one:
            assert one.get(TILE).status_code == 200
        with Serve(f"{engine.url}/", heard)(config=config) as other:
            assert other.get(TILE).status_code == 200
    assert engine.pixel_requests == 2


def test_four_workers_of_one_redis_take_a_request_a_block(
    folder: Path, google: Google, tmp_path: Path
) -> None:
    with (
        redis_server(tmp_path) as server,
        StandIn(folder, accepts=google.tokens.accepts, latency_s=0.3) as engine,
        serving_earth(engine, google, tmp_path, 4, TILESERVER_CACHE__URL=server.url) as earth,
    ):
        assert statuses_of(earth.url, 250, SIXTY, each=12) == {200}
    assert engine.pixel_requests == 6
    assert engine.max_in_flight <= 40


@pytest.mark.parametrize("trouble", ["refused", "stalled", "password"])
def test_a_redis_in_trouble_is_done_without_and_tells_no_password(
    trouble: str,
    serve_earth: Serve,
    engine: StandIn,
    heard: Heard,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with redis_server(tmp_path, "--requirepass", "right") as server, Wire(server.port) as wire:
        port = {"refused": free_port(), "stalled": wire.port, "password": server.port}[trouble]
        wire.stalls = trouble == "stalled"
        with serve_earth(config=sharing(f"redis://:hunter2secret@127.0.0.1:{port}/0")) as earth:
            earth.get("/info/scene")
            # Without a time limit of its own, a call of the stalled store would never end.
            assert earth.get(TILE).status_code == 200
            assert earth.get(OTHER).status_code == 200
            ready = earth.get("/readyz")
            assert ready.status_code == 200
            assert ready.json() == {"status": "degraded", "reason": "The shared cache fails."}
            failures = figure(earth.get("/metrics").text, "shared_cache_failures_total", "redis")
            assert failures >= 1
    printed = capfd.readouterr()
    told = [each.text for each in heard] + [caplog.text, printed.out, printed.err]
    assert "hunter2secret" not in "\n".join(told)
    assert caplog.text.count("The shared cache (redis) fails") == 1


def test_tiles_from_redis_are_those_of_earth_engine_and_survive_it(
    serve_earth: Serve, engine: StandIn, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        config = sharing(server.url)
        with serve_earth(config=config) as one:
            before = pixels(one.get(TILE))
            until(server.keys)
        with serve_earth(config=config) as other:
            other.get("/info/scene")
            engine.inject("status_503", times=None)
            assert (pixels(other.get(TILE)) == before).all()


def test_an_asset_that_changes_gets_new_keys(tmp_path: Path, google: Google) -> None:
    place = Affine(0.02, 0, 0.0, 0, -0.02, 20.0)
    path = "/tiles/scene/8/129/115.png"
    seen, version = [], ""
    with (
        redis_server(tmp_path) as server,
        StandIn(tmp_path, accepts=google.tokens.accepts) as engine,
    ):
        config = replace(sharing(server.url), layers=(SCENE,))
        for turn in range(2):
            scene = noise(3, 200, 200, seed=turn)
            write_raster(tmp_path / "scene.tif", scene, "EPSG:4326", place, overviews=())
            os.utime(tmp_path / "scene.tif", (time.time() + 60 * turn,) * 2)
            with Serve(engine.url, [])(Tuning(poll_s=0.1), config) as earth:
                # The stand-in looks at its files now and then, as Earth Engine's metadata lags.
                until(lambda old=version: earth.get("/info/scene").json()["version"] != old)  # type: ignore[misc]
                version = earth.get("/info/scene").json()["version"]
                seen.append(pixels(earth.get(path)))
                until(server.keys)
    assert engine.pixel_requests == len(seen) == 2
    assert (seen[0] != seen[1]).any()


def answered(url: str) -> float:
    """Return how many requests the worker that is scraped answered with 200."""
    text = httpx.get(f"{url}/metrics", trust_env=False, timeout=60).text
    return figure(text, "requests_total", "200")


def test_workers_whose_folder_is_taken_away_go_on_by_themselves(
    folder: Path, google: Google, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with (
        StandIn(folder, accepts=google.tokens.accepts) as engine,
        serving_earth(engine, google, tmp_path, 2, TMPDIR=str(temporary)) as server,
    ):
        until(lambda: ask_alone(server.url + SIXTY[0]) == 200)
        (shared,) = temporary.glob("tileserver-*/pixels")
        assert shared.stat().st_mode & 0o077 == shared.parent.stat().st_mode & 0o077 == 0
        shutil.rmtree(shared)
        assert statuses_of(server.url, 50, SIXTY, each=30) == {200}
        assert 6 <= engine.pixel_requests <= 12
        text = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=60).text
        assert figure(text, "shared_cache_failures_total", "disk") >= 1
        shutil.rmtree(shared.parent)
        # The metrics' own files are gone too: each worker tells of itself, and one of them may not
        # have answered anything yet.
        until(lambda: ask_alone(server.url + SIXTY[0]) == 200 and answered(server.url) >= 1)


def test_the_folder_of_the_workers_is_gone_with_them(
    folder: Path, google: Google, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with (
        StandIn(folder, accepts=google.tokens.accepts) as engine,
        serving_earth(engine, google, tmp_path, 2, TMPDIR=str(temporary)) as server,
    ):
        until(lambda: len(workers_of(server)) == 2 and ask_alone(server.url + SIXTY[0]) == 200)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
    assert list(temporary.iterdir()) == []


def test_without_room_for_a_folder_the_workers_serve_all_the_same(
    folder: Path, google: Google, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    # Python looks for another place where TMPDIR is none; nothing can be made in this one.
    sitecustomize = tmp_path / "sitecustomize.py"
    sitecustomize.write_text("import tempfile\ntempfile.tempdir = '/proc'\n")
    with (
        StandIn(folder, accepts=google.tokens.accepts) as engine,
        serving_earth(engine, google, tmp_path, 2, PYTHONPATH=f"{tmp_path}:{Path.cwd()}") as server,
    ):
        assert statuses_of(server.url, 20, SIXTY, each=60) == {200}
        assert 6 <= engine.pixel_requests <= 12
