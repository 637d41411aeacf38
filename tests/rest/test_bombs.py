"""What is small to send and enormous to compute is refused: soon, in little memory, alone."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rest import memory
from tests.rest.bombs import ANSWERED, REFUSED, call, expression, mapped, pixels_of, sequence
from tests.rest.conftest import LOCAL, config_of
from tests.support.serving import serve
from tests.support.waiting import Stopwatch, computing_threads, until
from tileserver.config.config import AccessSettings
from tileserver.earthengine.tuning import Tuning
from tileserver.server.app import create_app

pytestmark = pytest.mark.slow  # Each takes seconds.

DEADLINE_S = 1.0
MOST_S = 2.0
"""Of computing, for one bomb."""
MOST_MB = 200.0
PROJECT = "/v1/projects/p"
_LOOKS = 5
"""So many in a row, a fiftieth of a second apart, tell an idle process from a moment's pause."""


@pytest.fixture(scope="module")
def hurried(folder: Path, graphs: Path) -> Iterator[httpx.Client]:
    """Serve all rasters by a server that computes for a moment only."""
    app = create_app(config_of(folder, graphs), tuning=Tuning(deadline_s=DEADLINE_S))
    with serve(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        # The first expression loads the engine, which may take longer on a busy machine.
        until(lambda: answers_an_honest_request(client))
        yield client


def answers_an_honest_request(client: httpx.Client) -> bool:
    body = {"expression": expression(call("Number.add", left=1, right=2))}
    answer = client.post(f"{PROJECT}/value:compute", json=body)
    return answer.status_code == 200 and answer.json() == {"result": 3}


def request_of(name: str) -> tuple[str, bytes | None]:
    """Return the path and the body of a bomb."""
    made = (REFUSED | ANSWERED)[name]()
    path, body = made if isinstance(made, tuple) else ("value:compute", {"expression": made})
    return f"{PROJECT}/{path}", None if body is None else json.dumps(body).encode()


def wait_until_idle(most_s: float) -> None:
    """Wait until this process, server and all, has nothing to do.

    Fails once it has computed for `most_s` more.
    """
    began_s, idle = _cpu_of_others_s(), 0
    while idle < _LOOKS:
        time.sleep(0.02)
        # A thread that computes is seen whenever it has a core or waits for one.
        idle = 0 if computing_threads() else idle + 1
        assert _cpu_of_others_s() - began_s < most_s, "it still computes"


def _cpu_of_others_s() -> float:
    """Return the CPU seconds of all threads of this process but the one that asks."""
    return time.process_time() - time.thread_time()


@pytest.mark.parametrize("name", ANSWERED)
def test_a_pattern_that_would_never_end_is_answered(hurried: httpx.Client, name: str) -> None:
    path, body = request_of(name)
    with Stopwatch() as watch:
        answer = hurried.post(path, content=body)
    assert answer.status_code == 200
    assert watch.took_s < MOST_S


@pytest.mark.parametrize("name", REFUSED)
def test_a_bomb_is_refused(hurried: httpx.Client, name: str) -> None:
    path, body = request_of(name)
    if memory.is_told():
        memory.forget()
        before_mb = memory.now_mb()
    with Stopwatch() as watch:
        answer = hurried.get(path) if body is None else hurried.post(path, content=body)
    wait_until_idle(2.5)
    assert answer.status_code in (400, 404) if body is None else answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    assert len(error["message"]) < 1000
    assert watch.took_s < MOST_S
    if memory.is_told():
        assert memory.most_mb() - before_mb < MOST_MB


def test_an_honest_request_is_answered_after_all_of_them(hurried: httpx.Client) -> None:
    assert answers_an_honest_request(hurried)


BUSY = (
    "maps that give arrays",
    "buffers of buffers",
    "resampled a thousand times",
    "a list added to itself",
    "arrays of arrays",
    "a large geometry, changed again and again",
    "many functions over one chain",
    "catastrophic names of properties",
)


def test_eight_bombs_at_once_hold_nothing_else_up(hurried: httpx.Client) -> None:
    requests = [request_of(name) for name in BUSY]
    # CPU seconds of this process while each was waited for: those of the bombs are among them.
    waits_s: list[float] = []
    tile_waits_s: list[float] = []
    # Around the raster at UTAH, none of them in the cache.
    tiles = [
        f"/tiles/{LOCAL}/bytes/13/{x}/{y}.png" for x in range(1530, 1550) for y in range(3080, 3090)
    ]
    assert hurried.get(tiles.pop()).status_code == 200
    is_over = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=hurried.base_url, timeout=60, trust_env=False) as client:
            while not is_over.is_set():
                for waits, path in ((waits_s, "/healthz"), (tile_waits_s, tiles.pop())):
                    with Stopwatch() as watch:
                        assert client.get(path).status_code == 200
                    waits.append(watch.took_s)
                time.sleep(0.02)

    def send(each: tuple[str, bytes | None]) -> int:
        with httpx.Client(base_url=hurried.base_url, timeout=60, trust_env=False) as client:
            return client.post(each[0], content=each[1]).status_code

    with ThreadPoolExecutor(9) as threads:
        looking = threads.submit(look)
        found = list(threads.map(send, requests))
        is_over.set()
        looking.result()
    wait_until_idle(3)
    assert found == [400] * 8
    # A bomb on the loop would hold it up for DEADLINE_S, and all eight one after the other.
    assert statistics.median(waits_s) < 0.6
    assert max(waits_s) < DEADLINE_S
    assert max(tile_waits_s) < 2 * DEADLINE_S


def test_nobody_computes_on_for_a_client_that_has_left(folder: Path, graphs: Path) -> None:
    """The server would compute for half a minute."""
    body = {"expression": mapped(sequence(), call("List.sort", list=sequence(50_000)))}
    body["expression"]["values"]["body"] = call(
        "List.sort", list=call("List.sequence", start={"argumentReference": "x"}, count=2000)
    )
    slow = pixels_of(REFUSED["resampled a thousand times"]()[1]["expression"])[1]
    slow["grid"] = {**slow["grid"], "dimensions": {"width": 2048, "height": 2048}}
    with serve(create_app(config_of(folder, graphs))) as url:
        for path, asked in (("value:compute", body), ("image:computePixels", slow)):
            with (
                httpx.Client(base_url=url, timeout=0.7, trust_env=False) as client,
                pytest.raises(httpx.ReadTimeout),
            ):
                client.post(f"{PROJECT}/{path}", json=asked)
            wait_until_idle(2)


def test_an_expression_reads_what_may_be_read_and_says_no_paths(
    folder: Path, tmp_path: Path
) -> None:
    access = AccessSettings(assets=(f"{LOCAL}/bytes",))
    config = replace(config_of(folder, tmp_path / "graphs"), access=access)
    with (
        serve(create_app(config)) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):

        def told(asset: str, name: str = "Image.load") -> tuple[int, str]:
            body: dict[str, Any] = {"expression": expression(call(name, id=asset))}
            answer = client.post(f"{PROJECT}/value:compute", json=body)
            assert str(folder) not in answer.text
            return answer.status_code, answer.text

        assert told(f"{LOCAL}/bytes")[0] == 200
        there_is_none = told(f"{LOCAL}/nothing")
        for name in ("scene", "series/m1", "bytes.tif", "../local/scene", "bytes/../scene"):
            status, text = told(f"{LOCAL}/{name}")
            assert status == 400
            if name in ("scene",):
                assert text == there_is_none[1].replace("nothing", name)
        for name in (
            str(folder / "local/bytes.tif"),
            f"file://{folder}/local/bytes.tif",
            "/vsicurl/http://127.0.0.1:9/x.tif",
            "/etc/passwd",
            "http://127.0.0.1:9/x.tif",
        ):
            body = {"expression": expression(call("Image.load", id=name))}
            answer = client.post(f"{PROJECT}/value:compute", json=body)
            assert answer.status_code == 400
        assert told(f"{LOCAL}/series", "ImageCollection.load")[0] == 400
