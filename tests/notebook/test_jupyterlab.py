"""Maps in JupyterLab, in Chromium: over a hub's proxy, the port and the comm; pixels read back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.commands import environment
from tests.support.waiting import PATIENCE_S, until
from tests.web.conftest import ROOT, browser

__all__ = ["browser"]

jupyterlab = pytest.importorskip("jupyterlab")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyter_server_proxy")

HUB_PREFIX = "/user/ada/"
TOKEN = "a-token-of-this-test"  # pragma: allowlist secret
_TRIES = 10
PATIENT = """{
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    AbortSignal.timeout = (ms) => timeout(20 * ms);
}"""
RED, BLUE = (255, 0, 0), (0, 0, 255)
CELLS = [
    # As under JupyterHub, whose environment the server of this test has.
    """import os
import numpy as np
import tileserver
halves = np.zeros((200, 200, 3), "uint8")
halves[:, :100, 0] = 255
halves[:, 100:, 2] = 255
by_proxy = tileserver.show(halves, bounds=(10, 48, 12, 50), height=300)
by_proxy""",
    """os.environ.pop("JUPYTERHUB_SERVICE_PREFIX", None)
by_port = tileserver.show(halves, bounds=(10, 48, 12, 50), height=300)
by_port""",
    """by_comm = tileserver.show(halves, bounds=(10, 48, 12, 50), height=300)
by_comm""",
    """unreachable = tileserver.show(halves, bounds=(10, 48, 12, 50), height=300, connection="port")
unreachable""",
    """tileserver.show(halves, bounds=(10, 48, 12, 50), height=300, library="folium")""",
]


class Lab(NamedTuple):
    """A server of Jupyter."""

    url: str
    """With the base URL; ends in a slash."""
    folder: Path
    """Of its notebooks."""

    def api(self, path: str, method: str = "GET") -> Any:
        request = Request(f"{self.url}api/{path}", method=method)
        request.add_header("Authorization", f"token {TOKEN}")
        with urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read() or b"null")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return JupyterLab below a hub's prefix, with jupyter-server-proxy."""
    home = tmp_path_factory.mktemp("jupyter")
    (notebooks := home / "notebooks").mkdir()
    prefix = Path(jupyterlab.__file__).parents[4]
    environ = environment(
        {
            "JUPYTER_PATH": str(prefix / "share" / "jupyter"),
            "JUPYTER_CONFIG_PATH": str(prefix / "etc" / "jupyter"),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTERHUB_SERVICE_PREFIX": HUB_PREFIX,
            "JUPYTER_TOKEN": TOKEN,
        }
    )
    options = [
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
        f"--ServerApp.base_url={HUB_PREFIX}",
        f"--ServerApp.root_dir={notebooks}",
        f"--LabApp.app_dir={prefix / 'share' / 'jupyter' / 'lab'}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    log = (home / "log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environ, stdout=log, stderr=log
    )
    try:
        url = _address(process, home)
        yield Lab(url, notebooks)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        log.close()


def _address(process: subprocess.Popen[bytes], home: Path) -> str:
    """Return the address that a server tells in its folder."""

    def told() -> list[Path]:
        assert process.poll() is None, (home / "log").read_text()
        return [each for each in (home / "runtime").glob("jpserver-*.json") if each.stat().st_size]

    until(told, 4 * PATIENCE_S)
    found: str = json.loads(told()[0].read_text())["url"]
    return found


class Notebook:
    """A notebook in the browser."""

    def __init__(self, page: Page, lab: Lab, cells: list[str]) -> None:
        self.page, self.lab = page, lab
        self.targets: list[str] = []
        """Addresses of tiles that the page asked for."""
        page.on("request", lambda each: self.targets.append(each.url))
        made = [nbformat.v4.new_code_cell(each) for each in cells]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})
        nbformat.write(notebook, lab.folder / "maps.ipynb")
        page.goto(f"{lab.url}doc/tree/maps.ipynb?token={TOKEN}")
        # A cell that is run before the kernel is there may not be run at all.
        expect(page.get_by_text(re.compile(r"\| Idle$"))).to_be_visible(
            timeout=4 * PATIENCE_S * 1000
        )

    def run(self, number: int) -> Locator:
        """Run a cell; return its output."""
        cell = self.page.locator(".jp-CodeCell").nth(number)
        prompt = cell.locator(".jp-InputPrompt")
        for _ in range(_TRIES):
            cell.locator(".cm-content").click()
            self.page.keyboard.press("Control+Enter")
            # JupyterLab drops the key while it is not yet ready for it.
            with suppress(AssertionError):
                expect(prompt).not_to_have_text("[ ]:", timeout=10_000)
                break
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"))
        output = cell.locator(".jp-OutputArea-output").first
        output.scroll_into_view_if_needed()
        return output

    def tiles(self, prefix: str) -> int:
        return sum(each.startswith(prefix) and "/tiles/" in each for each in self.targets)


def expect_halves(shown: Locator) -> None:
    """Wait until a map shows red in the west of its middle and blue in the east."""

    def is_painted() -> bool:
        picture = np.asarray(Image.open(BytesIO(shown.screenshot())).convert("RGB"))
        row = picture[picture.shape[0] // 2]
        red, blue = (np.flatnonzero((row == each).all(axis=1)) for each in (RED, BLUE))
        # Two degrees at zoom 6 or 7, by the height of the map.
        return len(red) > 30 and len(blue) > 30 and bool(red.max() < blue.min())

    until(is_painted)


def test_tiles_reach_jupyterlab_by_every_way(browser: Browser, lab: Lab) -> None:
    """Drive one notebook through all ways, as its reader would.

    In turn: a hub's proxy, the port, the comm when neither is reached, what the map says where
    there is no way, its recovery, a map of folium, and a kernel that ends.
    """
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    context.set_default_timeout(4 * PATIENCE_S * 1000)
    # A way that does not answer within seconds is left for the next, also on a busy machine.
    context.add_init_script(PATIENT)
    page = context.new_page()
    try:
        notebook = Notebook(page, lab, CELLS)

        proxied = notebook.run(0)
        expect_halves(proxied)
        assert notebook.tiles(f"{lab.url}proxy/")
        origin = lab.url.partition(HUB_PREFIX)[0]
        assert not [
            each
            for each in notebook.targets
            if "/tiles/" in each and not each.startswith(f"{origin}/")
        ]

        direct = notebook.run(1)
        expect_halves(direct)
        expect(direct.get_by_role("status")).to_be_hidden()
        # The first map may still ask for tiles of its own.
        asked = [each for each in notebook.targets if "/0/tiles/" in each]
        (port,) = {each.partition("/0/tiles/")[0] for each in asked if "/proxy/" not in each}
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", port)
        assert port != origin

        def block(route: Route) -> None:
            route.abort()

        unreached = re.compile(rf"^{re.escape(port)}/|/proxy/\d+/")
        page.route(unreached, block)
        before = len(notebook.targets)
        by_comm = notebook.run(2)
        expect_halves(by_comm)
        sources = by_comm.locator("img.leaflet-tile").evaluate_all("all => all.map((x) => x.src)")
        assert sources
        assert all(each.startswith("blob:") for each in sources)
        assert len(notebook.targets) > before, "other ways were tried first"

        lost = notebook.run(3)
        expect(lost.get_by_role("status")).to_contain_text(f"no answer at {port}/")
        page.unroute(unreached, block)
        expect_halves(lost)
        expect(lost.get_by_role("status")).to_be_hidden()

        _serve_leaflet(page)
        frame = notebook.run(4).frame_locator("iframe")
        expect(frame.locator("img.leaflet-tile-loaded").first).to_be_visible()

        for each in lab.api("kernels"):
            lab.api(f"kernels/{each['id']}", "DELETE")
        lost.scroll_into_view_if_needed()
        lost.get_by_title("Zoom out").click()
        expect(lost.get_by_role("status")).to_contain_text("has it ended?")
    finally:
        context.close()


def _serve_leaflet(page: Page) -> None:
    """Answer in place of the network that folium's pages take Leaflet from."""
    leaflet = ROOT / "web" / "vendor" / "leaflet"
    if not leaflet.is_dir():
        pytest.skip("web/vendor/leaflet is not there: pip install -e . puts it there")
    scripts = re.compile(r"^https://")

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        found = next(leaflet.rglob(name), None) if name.startswith("leaflet.") else None
        if found:
            route.fulfill(path=found)
        else:
            route.fulfill(body="")

    page.route(scripts, answer)
