"""A server, a browser, and a page that notes everything it should not do."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.commands import serving
from tests.support.waiting import PATIENCE_S, until
from tests.web.toolfiles import write_files

ROOT = Path(__file__).parents[2]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No name leads anywhere: what the page asks of others is noted, and never sent.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The address of the product itself, serving its demo; it ends in a slash."""
    if not (ROOT / "web" / "vendor" / "leaflet").is_dir():
        pytest.skip("web/vendor/leaflet is not there: pip install -e . puts it there")
    with serving("--port", "0", cwd=ROOT) as server:
        yield f"{server.url}/"


# One per module, not per session: while it runs, its event loop keeps asyncio.run from starting.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Demo:
    """The layers of the demo by what they are, as GET /layers describes them."""

    scene: dict[str, Any]
    """A small natural-colour image of seven bands."""
    elevation: dict[str, Any]
    """One band through a palette."""
    world: dict[str, Any]
    """The whole Earth."""


@pytest.fixture(scope="session")
def demo(server_url: str) -> Demo:
    layers = fetch_json(f"{server_url}layers")["layers"]
    scene = next(layer for layer in layers if len(layer["style"]["bands"]) == 3)
    elsewhere = [layer for layer in layers if layer["asset"] != scene["asset"]]
    return Demo(
        scene=scene,
        elevation=next(layer for layer in elsewhere if layer["style"]["palette"]),
        world=next(layer for layer in elsewhere if layer["bounds"][2] - layer["bounds"][0] > 350),
    )


def fetch_json(url: str) -> Any:
    with urlopen(url, timeout=PATIENCE_S) as answer:
        return json.load(answer)


@dataclass
class Visitor:
    """A browser page on our server, and what went wrong on it."""

    page: Page
    server_url: str
    outside: list[str] = field(default_factory=list)
    """Addresses outside the server that the page tried to reach."""
    requests: list[str] = field(default_factory=list)
    """Addresses on the server that it asked for."""
    errors: list[str] = field(default_factory=list)
    """Messages of the console's error level, CSP violations among them, and exceptions."""

    def watch(self) -> None:
        self.page.on("request", lambda request: self.note(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type == "error" else None,
        )

    def note(self, url: str) -> None:
        if not url.startswith(("about:", "data:", "blob:")):
            within = url.startswith(self.server_url)
            (self.requests if within else self.outside).append(url)

    def open(self, fragment: str = "") -> None:
        """Load the page afresh and wait for its list of layers, or of those not shown."""
        self.page.goto("about:blank")
        self.page.goto(self.server_url + fragment)
        self.page.locator(".layer, .not-shown").first.wait_for(state="attached")

    def wait_until(self, expression: str) -> None:
        """Wait for a JavaScript expression to become true.

        Playwright's own wait_for_function evaluates in the page, which its policy forbids.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"never became true: {expression}"
            self.page.wait_for_timeout(40)

    def wait_for_tiles(self) -> None:
        """Wait until every tile is loaded, and opaque as far as it fades in and is in view."""
        self.wait_until(
            "(tiles => tiles.length > 0 && tiles.every(tile => tile.complete"
            " && tile.naturalWidth > 0 && (getComputedStyle(tile).opacity === '1'"
            " || (({left, top, right, bottom}) => right <= 0 || bottom <= 0"
            " || left >= innerWidth || top >= innerHeight)(tile.getBoundingClientRect()))))"
            "([...document.querySelectorAll('img.leaflet-tile')])"
        )

    def picture(self, width: int = 80, height: int = 80) -> NDArray[np.uint8]:
        """Return the middle of what the page shows, as (height, width, 3)."""
        shown = Image.open(BytesIO(self.page.screenshot())).convert("RGB")
        left, top = (shown.width - width) // 2, (shown.height - height) // 2
        return np.asarray(shown.crop((left, top, left + width, top + height)))

    def row(self, layer: dict[str, Any]) -> Any:
        """Return the locator of a layer in the list."""
        return self.page.locator(f"li[data-name='{layer['name']}']")

    def order(self) -> list[str]:
        """Return the names in the list, the top layer first."""
        names = self.page.locator(".layer").evaluate_all(
            "rows => rows.map(row => row.dataset.name)"
        )
        return [str(name) for name in names]

    def fragment(self) -> str:
        return str(self.page.evaluate("location.hash"))


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh browser profile; `parametrize` it indirectly with options of `new_context`."""
    usual = {"viewport": {"width": 1024, "height": 640}, "reduced_motion": "reduce"}
    context = browser.new_context(**(usual | getattr(request, "param", {})))
    context.set_default_timeout(PATIENCE_S * 1000)
    yield context
    context.close()


@pytest.fixture
def visitor(context: BrowserContext, server_url: str) -> Iterator[Visitor]:
    """A page that must not ask for anything outside the server; a test in which it does fails."""
    visitor = Visitor(context.new_page(), server_url)
    visitor.watch()
    yield visitor
    assert visitor.outside == []


@pytest.fixture(scope="session")
def tool_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("tools"))


@pytest.fixture(scope="session")
def tool_url(tool_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of the files; it ends in a slash."""
    if not (ROOT / "web" / "vendor" / "leaflet").is_dir():
        pytest.skip("web/vendor/leaflet is not there: pip install -e . puts it there")
    arguments = ("dem.tif", "cover.tif", "--mosaic", "scenes", "--port", "0")
    environ = {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    with serving(*arguments, cwd=tool_folder, environ=environ) as server:
        info = f"{server.url}/info/scenes"
        until(lambda: fetch_json(info).get("mosaic", {}).get("complete"))
        yield f"{server.url}/"


@pytest.fixture
def user(context: BrowserContext, tool_url: str) -> Iterator[Visitor]:
    """A page on that server, which must neither ask others nor note an error."""
    visitor = Visitor(context.new_page(), tool_url)
    visitor.watch()
    yield visitor
    assert visitor.outside == []
    assert visitor.errors == []


@pytest.fixture(scope="module")
def modules(browser: Browser, server_url: str) -> Iterator[Page]:
    """A page on which the functions of the page's own modules can be called."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.goto(f"{server_url}icon.svg")
    yield page
    page.close()


def link(zoom: float, lat: float, lon: float, *layers: str) -> str:
    """Return a permalink's fragment; a layer is its name, with settings such as ";o=0.5"."""
    return f"#map={zoom}/{lat}/{lon}&l={','.join(quote(layer, safe='/;=') for layer in layers)}"


def middle(layer: dict[str, Any]) -> tuple[float, float]:
    """Return the latitude and longitude in the middle of a layer."""
    west, south, east, north = layer["bounds"]
    return (south + north) / 2, (west + east) / 2
