"""Pages of other origins in Chromium: what they may show, and what they never read."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.support.waiting import PATIENCE_S
from tests.web.conftest import CHROMIUM, CHROMIUM_ARGS, ROOT
from tileserver.config.config import AccessSettings, ApiSettings, Config, RasterFolder
from tileserver.server.app import create_app

ASSET = "projects/localhost/assets/scene"
KEY = "a-key+of/the=page"
SECRETS = [
    f"/tiles/{ASSET}/0/0/0.png",
    f"/preview/{ASSET}.png",
    f"/legend/{ASSET}.svg",
    f"/info/{ASSET}",
    f"/tilejson/{ASSET}.json",
    f"/point/{ASSET}?lon=-111&lat=40",
    f"/statistics/{ASSET}",
    f"/v1/{ASSET}",
    "/v1/projects/localhost:listAssets",
    "/$discovery/rest",
    "/metrics",
]
READ = """async (url) => {
    const told = [];
    for (const mode of ["cors", "no-cors"]) {
        for (const credentials of ["omit", "include"]) {
            try {
                const answer = await fetch(url, { mode, credentials });
                if (answer.type !== "opaque") told.push(`fetch ${mode} ${answer.status}`);
            } catch {}
        }
    }
    const loads = (make) => new Promise((done) => {
        const element = make();
        element.onload = () => done(true);
        element.onerror = () => done(false);
        document.body.append(element);
        if (element.tagName === "IMG") element.src = url;
    });
    if (await loads(() => document.createElement("img"))) told.push("img");
    const anonymous = () => Object.assign(document.createElement("img"), { crossOrigin: "" });
    if (await loads(anonymous)) told.push("img crossorigin");
    const script = () => Object.assign(document.createElement("script"), { src: url });
    if (await loads(script)) told.push("script");
    return told;
}"""
MAP = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="leaflet.css">
<style>html, body, #map {{ height: 100%; margin: 0 }}</style><div id="map"></div>
<script src="leaflet.js"></script><script>
const map = L.map("map").setView([40, -111], 3);
L.tileLayer("{url}/tiles/scene/{{z}}/{{x}}/{{y}}.png", {{ crossOrigin: {cross} }}).addTo(map);
</script>"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("origins")
    write_raster(folder / "scene.tif", noise(3, 500, 600, "uint8"))
    graphs = ApiSettings(graphs=str(folder / "graphs"))
    return Config(rasters=(RasterFolder(str(folder / "scene.tif")),), api=graphs)


@pytest.fixture(scope="module")
def url(config: Config) -> Iterator[str]:
    """Serve a raster, with nothing else configured."""
    with serve(create_app(config)) as url:
        yield url


@pytest.fixture(scope="module")
def keyed_url(config: Config) -> Iterator[str]:
    """Serve it to holders of a key."""
    with serve(create_app(replace(config, access=AccessSettings(keys=(("page", KEY),))))) as url:
        yield url


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Keep still."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[str]:
    """Serve pages of another origin: a blank one, and one with Leaflet."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "index.html").write_text("<!doctype html><title>elsewhere</title><body></body>")
    for name in ("leaflet.js", "leaflet.css"):
        (folder / name).write_bytes((ROOT / "web/vendor/leaflet" / name).read_bytes())
    for name, cross in (("plain", "false"), ("cross", "'anonymous'")):
        (folder / f"{name}.html").write_text(MAP.format(url=url, cross=cross))
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for which evil.example is this machine."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    names = "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    args = [each for each in CHROMIUM_ARGS if "host-resolver" not in each] + [names]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_S * 1000)
    yield context.new_page()
    context.close()


def wait_for_tiles(page: Page) -> int:
    page.wait_for_selector("img.leaflet-tile-loaded")
    page.wait_for_timeout(300)
    return page.locator("img.leaflet-tile-loaded").count()


@pytest.mark.parametrize("name", ["127.0.0.1", "evil.example"])
@pytest.mark.parametrize("route", SECRETS)
def test_another_origin_reads_no_asset_no_api_and_no_figures(
    page: Page, url: str, elsewhere: str, route: str, name: str
) -> None:
    assert httpx.get(url + route, timeout=60).status_code == 200
    page.goto(elsewhere.replace("127.0.0.1", name))
    assert page.evaluate(READ, url + route) == []


def test_a_name_that_was_pointed_here_reads_nothing_at_all(page: Page, url: str) -> None:
    rebound = url.replace("127.0.0.1", "evil.example")
    for route in ("/", *SECRETS, "/layers", "/tiles/scene/0/0/0.png", "/info/scene"):
        answer = page.goto(rebound + route)
        assert answer is not None
        assert (route, answer.status) == (route, 403)


@pytest.mark.parametrize("route", ["/v1/projects/p/maps", "/v1/projects/p/value:compute"])
def test_another_origin_starts_nothing(
    page: Page, url: str, elsewhere: str, config: Config, route: str
) -> None:
    page.goto(elsewhere)
    constant = {"functionName": "Image.constant", "arguments": {"value": {"constantValue": 1}}}
    values = {"0": {"functionInvocationValue": constant}}
    body = json.dumps({"expression": {"result": "0", "values": values}})
    assert httpx.post(url + route, content=body, timeout=60).is_success
    script = """async ([url, body]) => {
        await fetch(url, { method: "POST", mode: "no-cors", body }).catch(() => null);
    }"""
    before = _figures(url)
    page.evaluate(script, [url + route, body])
    after = _figures(url)
    assert after["403"] == before["403"] + 1
    assert after["200"] == before["200"]


def _figures(url: str) -> dict[str, float]:
    """Return how many requests to the API, and refusals, had which status."""
    found = {"200": 0.0, "403": 0.0}
    for line in httpx.get(f"{url}/metrics", timeout=60).text.splitlines():
        match = re.fullmatch(r'tileserver_requests_total\{.*status="(\d+)"\} (\S+)', line)
        if match and "/metrics" not in line:
            found[match[1]] = found.get(match[1], 0) + float(match[2])
    return found


@pytest.mark.parametrize("kind", ["plain", "cross"])
def test_a_layer_that_is_configured_is_shown_by_a_map_of_another_origin(
    page: Page, elsewhere: str, kind: str
) -> None:
    page.goto(f"{elsewhere}/{kind}.html")
    assert wait_for_tiles(page) > 0
    if kind == "cross":
        script = """() => {
            const canvas = document.createElement("canvas").getContext("2d");
            canvas.drawImage(document.querySelector("img.leaflet-tile-loaded"), 0, 0);
            return canvas.getImageData(0, 0, 1, 1).data.length;
        }"""
        assert page.evaluate(script) == 4


def test_the_page_opened_with_a_key_passes_it_on(page: Page, keyed_url: str) -> None:
    failed: list[str] = []
    page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)
    query = httpx.QueryParams({"key": KEY})
    page.goto(f"{keyed_url}/?{query}")
    assert wait_for_tiles(page) > 0
    page.locator(".legend").first.wait_for()
    page.mouse.click(640, 300)
    page.locator("#inspector").get_by_text("b1").first.wait_for()
    assert failed == []
    page.get_by_role("button", name=re.compile("^More about")).click()
    shown = page.get_by_role("button", name="Copy XYZ URL").get_attribute("title") or ""
    document = page.get_by_role("button", name="Copy TileJSON URL").get_attribute("title") or ""
    # What is copied goes to others, so that the key stays here.
    for copied in (shown.format(z=0, x=0, y=0), document):
        assert "key" not in copied
        assert httpx.get(copied, timeout=60).status_code == 401
        with_key = httpx.get(copied, headers={"X-API-Key": KEY}, timeout=60)
        assert with_key.status_code == 200
        assert "key=" not in with_key.text


def test_the_page_works_after_the_browser_asked_for_a_password(
    browser: Browser, keyed_url: str
) -> None:
    with browser.new_context(http_credentials={"username": "me", "password": KEY}) as context:
        page = context.new_page()
        failed: list[str] = []
        page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)
        page.goto(keyed_url)
        assert wait_for_tiles(page) > 0
        assert failed == []
        assert KEY not in page.content()


def test_without_a_key_the_page_is_not_shown(page: Page, keyed_url: str) -> None:
    page.goto(f"{keyed_url}/css/base.css")
    # With credentials the browser would ask its user for a password.
    script = "async (url) => (await fetch(url, { credentials: 'omit' })).status"
    for query in ("", "?key=wrong"):
        assert page.evaluate(script, f"{keyed_url}/{query}") == 401
