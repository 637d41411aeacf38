"""`show` in real kernels: a notebook executed, kernels that end, restart and run side by side."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from tests.support.commands import environment
from tests.support.waiting import PATIENCE_S, until

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
manager = pytest.importorskip("jupyter_client.manager")

pytestmark = pytest.mark.slow

START_S = 4 * PATIENCE_S
"""For a kernel to start, or to import the package: seconds of CPU time on an idle machine."""
SHOWN = """
import json, os
import numpy as np
import tileserver
from tileserver.notebook import background
red = np.zeros((64, 64, 3), "uint8")
red[..., 0] = 255
drawn = tileserver.show(red, bounds=(10, 48, 12, 50))
server = background.background()
print(json.dumps({"pid": os.getpid(), "url": drawn.layers[0].url, "folder": str(server.folder)}))
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let kernels import this checkout, and write nothing into the user's folders."""
    for name, text in environment({"IPYTHONDIR": str(tmp_path / "ipython")}).items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)


class Kernel:
    """A kernel and its client."""

    def __init__(self, km: Any, kc: Any) -> None:
        self.km, self.kc = km, kc

    def run(self, code: str) -> dict[str, Any]:
        """Run code; return the JSON that it printed."""
        said: list[str] = []
        failed: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                failed.append("\n".join(content["traceback"]))

        self.kc.execute_interactive(code, timeout=START_S, output_hook=take)
        assert not failed, failed[0]
        found: dict[str, Any] = json.loads("".join(said) or "{}")
        return found


@contextmanager
def kernel() -> Iterator[Kernel]:
    # Past its time to end a kernel is killed, and leaves its folder.
    km = manager.KernelManager(shutdown_wait_time=PATIENCE_S)
    km.start_kernel()
    kc = km.client()
    kc.start_channels()
    try:
        kc.wait_for_ready(timeout=START_S)
        yield Kernel(km, kc)
    finally:
        kc.stop_channels()
        km.shutdown_kernel(now=not km.is_alive())


def colour(template: str) -> list[int]:
    """Return the colour in the middle of the array, of a tile fetched as a browser does."""
    with urlopen(template.format(z=7, x=67, y=43, r=""), timeout=PATIENCE_S) as answer:
        picture = np.asarray(Image.open(BytesIO(answer.read())).convert("RGBA"))
    return [int(each) for each in picture[240, 230]]


def is_listened(template: str) -> bool:
    parts = urlsplit(template)
    with socket.socket() as client:
        client.settimeout(PATIENCE_S)
        return client.connect_ex((parts.hostname, parts.port)) == 0


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_notebook_is_executed_and_shows_maps(tmp_path: Path) -> None:
    cells = [
        "import numpy as np, tileserver\nband = np.arange(100.0).reshape(10, 10)",
        "tileserver.show(band, bounds=(10, 48, 12, 50), palette='viridis')",
        "tileserver.show(band, bounds=(10, 48, 12, 50), library='folium')",
        "tileserver.show('nowhere.tif')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    client = nbclient.NotebookClient(
        notebook,
        timeout=START_S,
        startup_timeout=START_S,
        allow_errors=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    _, ours, folium, refused = (each.outputs for each in notebook.cells)
    (data,) = (each.data for each in ours)
    assert "application/vnd.jupyter.widget-view+json" in data
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    models = {each["model_name"] for each in states.values()}
    assert {"LeafletMapModel", "LeafletTileLayerModel", "AnyModel"} <= models
    assert "leaflet" in folium[0].data["text/html"]
    assert "/tiles/" in folium[0].data["text/html"]
    assert refused[0].ename == "ConfigError"
    assert refused[0].evalue == f"nowhere.tif: no such file or folder in {tmp_path}"


def test_the_server_ends_with_its_kernel() -> None:
    with kernel() as one:
        found = one.run(SHOWN)
        assert colour(found["url"]) == [255, 0, 0, 255]
        one.km.shutdown_kernel()
        until(lambda: not is_there(found["pid"]))
        assert not is_listened(found["url"])
        assert not Path(found["folder"]).exists()


def test_a_kernel_that_is_restarted_has_a_new_server() -> None:
    with kernel() as one:
        before = one.run(SHOWN)
        one.km.restart_kernel()
        one.kc.wait_for_ready(timeout=START_S)
        assert not is_listened(before["url"])
        after = one.run(SHOWN)
        assert after["url"] != before["url"]
        assert colour(after["url"]) == [255, 0, 0, 255]


def test_two_kernels_have_servers_of_their_own() -> None:
    with kernel() as one, kernel() as other:
        first, second = one.run(SHOWN), other.run(SHOWN)
        assert colour(first["url"]) == colour(second["url"]) == [255, 0, 0, 255]
        key = urlsplit(second["url"]).query
        with pytest.raises(HTTPError, match="401"):
            colour(f"{first['url'].partition('?')[0]}?{key}")
        left = one.run(
            "from tileserver.notebook import close\nclose()\nimport threading, json\n"
            "named = [each.name for each in threading.enumerate()]\n"
            "ours = ('uvicorn', 'pyramids', 'AnyIO', 'decode', 'uvloop', 'asyncio')\n"
            "print(json.dumps({'left': [each for each in named if each.startswith(ours)]}))"
        )
        assert left == {"left": []}
        assert not is_listened(first["url"])
        assert colour(second["url"]) == [255, 0, 0, 255]
