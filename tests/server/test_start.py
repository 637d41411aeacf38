"""What a server imports: not what it does without, and nothing long on the event loop."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.support.commands import Serving, serving
from tests.support.rasterfiles import noise, write_raster
from tests.support.waiting import until

WATCHED = """
import json, os, signal, sys, threading

class Noted:
    "Notes the thread in which each module was looked for first."

    def __init__(self):
        self.threads = {}

    def find_spec(self, name, path=None, target=None):
        self.threads.setdefault(name, threading.current_thread().name)

def tell(number, frame):
    file = os.environ["TOLD"]
    with open(file + ".part", "w") as draft:
        json.dump({name: noted.threads.get(name) for name in list(sys.modules)}, draft)
    os.replace(file + ".part", file)

noted = Noted()
sys.meta_path.insert(0, noted)
signal.signal(signal.SIGUSR1, tell)
from tileserver.__main__ import main
main()
"""
"""A program that serves, and writes upon SIGUSR1 which modules are loaded, and in which threads."""
OF_OTHERS = (
    "tileserver.compute.engine",
    "tileserver.earthengine.stack",
    "tileserver.ingest.ingest",
    "tileserver.rasters.remote.ranges",
    "PIL",
    "aiohttp",
    "botocore",
    "google.auth",
    "httpcore",
    "httpx",
    "morecantile",
    "pydantic",
    "pyproj",
    "re2",
    "redis",
    "requests",
    "shapely",
)
"""What a server of rasters does without."""
EVALUATOR = "tileserver.compute.engine"
EXPRESSION = {"result": "0", "values": {"0": {"constantValue": 3}}}


def watched(told: Path) -> Mapping[str, str]:
    return {"TOLD": str(told)}


def modules(server: Serving, told: Path) -> dict[str, str | None]:
    """Return the names of loaded modules, and the threads that imported them."""
    told.unlink(missing_ok=True)
    os.kill(server.process.pid, signal.SIGUSR1)
    until(told.exists)
    loaded: dict[str, str | None] = json.loads(told.read_text())
    return loaded


def command() -> list[str]:
    return [sys.executable, "-u", "-c", WATCHED]


def test_a_server_of_rasters_imports_nothing_of_other_sources(tmp_path: Path) -> None:
    raster = write_raster(tmp_path / "scene.tif", noise(3, 300, 300, "uint16"))
    told = tmp_path / "told.json"
    asked = ("/tilejson/scene.json", "/layers", "/tiles/scene/11/386/774.png", "/metrics")
    with serving(
        raster, "--port", "0", cwd=tmp_path, command=command(), environ=watched(told)
    ) as server:
        for path in asked:
            assert httpx.get(server.url + path, timeout=60).status_code == 200
        loaded = modules(server, told)
    assert "tileserver.rasters.engine" in loaded
    assert [name for name in OF_OTHERS if name in loaded] == []


def test_the_first_expression_imports_the_evaluator_beside_the_event_loop(tmp_path: Path) -> None:
    raster = write_raster(tmp_path / "scene.tif", noise(1, 300, 300, "uint16"))
    told = tmp_path / "told.json"
    with serving(
        raster, "--port", "0", cwd=tmp_path, command=command(), environ=watched(told)
    ) as server:
        target = f"{server.url}/v1/projects/p/value:compute"
        answer = httpx.post(target, json={"expression": EXPRESSION}, timeout=60)
        loaded = modules(server, told)
    assert answer.json() == {"result": 3}
    assert loaded[EVALUATOR] not in (None, "MainThread")
    assert loaded["shapely"] == loaded[EVALUATOR]


def test_a_server_with_a_computed_layer_imports_the_evaluator_by_itself(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    # The bundled demo has one.
    with serving("--port", "0", cwd=tmp_path, command=command(), environ=watched(told)) as server:
        until(lambda: EVALUATOR in modules(server, told))
        assert modules(server, told)[EVALUATOR] != "MainThread"
