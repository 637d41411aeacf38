"""Snippets for other programs: each is run, or parsed and its tiles fetched."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page
from rasterio.windows import from_bounds

from tests.clients.test_consumers import extent
from tests.support.waiting import PATIENCE_S
from tests.web.conftest import CHROMIUM, CHROMIUM_ARGS
from tileserver.contract.tiles import Tile

LIBRARIES = Path(__file__).parent / "libraries" / "node_modules"
ROOT = Path(__file__).parents[2]
ELEVATION, SCENE = "sierra-nevada", "great-salt-lake"
STYLE = {"gamma": "1.4", "palette": "0000ff,ffff00"}
OPACITY = 0.6
SCRIPT = """async ({name, style, opacity, members}) => {
    const {fetchLayers} = await import('./api.js');
    const {subjectOf} = await import('./snippets/subject.js');
    const {fitting} = await import('./snippets/all.js');
    const {addressesOf, filesOf} = await import('./snippets/addresses.js');
    const {layers} = await fetchLayers();
    const layer = {...layers.find(each => each.name === name), ...members};
    const subject = subjectOf({layer, style, opacity});
    const texts = fitting(subject).flatMap(group => group.snippets)
        .map(({name, write}) => [name, write(subject)]);
    const {attribution, bounds, minzoom, maxzoom} = subject;
    const members_ = {attribution, bounds, minzoom, maxzoom};
    return {
        texts: Object.fromEntries(texts),
        addresses: Object.fromEntries([...addressesOf(subject), ...filesOf(subject)]),
        ...members_,
    };
}"""


class Snippets(NamedTuple):
    """What the page writes for a layer."""

    texts: dict[str, str]
    addresses: dict[str, str]
    attribution: str
    bounds: list[float]
    minzoom: int
    maxzoom: int


def written(
    modules: Page, name: str, style: dict[str, str], opacity: float = 1, **members: Any
) -> Snippets:
    argument = {"name": name, "style": style, "opacity": opacity, "members": members}
    return Snippets(**modules.evaluate(SCRIPT, argument))


@pytest.fixture(scope="module")
def elevation(modules: Page) -> Snippets:
    """The snippets of a layer of one band, styled and faint."""
    return written(modules, ELEVATION, STYLE, OPACITY)


@pytest.fixture(scope="module")
def tile(elevation: Snippets) -> Tile:
    """A tile in the middle of it."""
    found = re.search(r"/(\d+)/(\d+)/(\d+)\.png", elevation.texts["curl"])
    assert found is not None
    z, x, y = map(int, found.groups())
    return Tile(x, y, z)


def picture(url: str) -> NDArray[np.uint8]:
    answer = httpx.get(url, timeout=60).raise_for_status()
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def check_tiles(url: str, tile: Tile, opacity: float | None = OPACITY) -> None:
    """Check that a template leads to tiles with the style, and with the opacity if there is one."""
    assert "key=" not in url
    query = parse_qs(urlsplit(url).query)
    assert {name: query[name] for name in STYLE} == {name: [text] for name, text in STYLE.items()}
    assert query.get("opacity") == (None if opacity is None else [str(opacity)])
    pixels = picture(url.replace("{r}", "").format(**tile._asdict()))
    assert pixels[..., 3].max() == round(255 * (opacity or 1))


def template_in(text: str) -> str:
    (found,) = set(re.findall(r"https?://[^\s\"'|]+/tiles/[^\s\"'|]+", text))
    return str(found)


def test_addresses_carry_style_and_opacity_and_lead_to_answers(
    elevation: Snippets, tile: Tile
) -> None:
    addresses = elevation.addresses
    check_tiles(addresses["XYZ"], tile)
    assert addresses["XYZ, 512 pixels (@2x)"] == addresses["XYZ"].replace("{y}", "{y}@2x")
    assert picture(addresses["XYZ, 512 pixels (@2x)"].format(**tile._asdict())).shape[0] == 512
    tilejson = httpx.get(addresses["TileJSON"], timeout=60).raise_for_status().json()
    check_tiles(tilejson["tiles"][0], tile)
    capabilities = ET.fromstring(httpx.get(addresses["WMTS"], timeout=60).raise_for_status().text)
    resources = [each.get("template") for each in capabilities.iter() if each.get("template")]
    assert resources
    assert all(
        "gamma=1.4" in (each or "") and f"opacity={OPACITY}" in (each or "") for each in resources
    )
    values = picture(addresses["Values (terrarium)"].format(**tile._asdict())).astype(float)
    heights = values[..., 0] * 256 + values[..., 1] + values[..., 2] / 256 - 32768
    assert 200 < np.median(heights) < 4500
    assert ET.fromstring(httpx.get(addresses["Legend (.svg)"], timeout=60).text).tag.endswith("svg")
    connections = ET.fromstring(httpx.get(addresses["QGIS connections (.xml)"], timeout=60).text)
    check_tiles(connections[0].get("url") or "", tile)
    layer = ET.fromstring(httpx.get(addresses["QGIS layer (.qlr)"], timeout=60).text)
    source = parse_qs(layer.findtext(".//datasource") or "")
    check_tiles(source["url"][0], tile)


def test_a_picture_of_three_bands_has_no_values_to_hold(modules: Page) -> None:
    found = written(modules, SCENE, {})
    assert "maplibre-terrain" not in found.texts
    assert "Values (terrarium)" not in found.addresses
    one = written(modules, SCENE, {"bands": "B4", "min": "0"})
    assert "maplibre-terrain" in one.texts


def test_texts_of_strangers_stay_texts(modules: Page) -> None:
    hostile = "</script>'\"`${x}&<img src=x onerror=alert(1)>\\\n{0}%s]]>"
    found = written(modules, SCENE, {}, 0.5, title=hostile, attribution=hostile)
    for name, text in found.texts.items():
        # Of programs that show an attribution as HTML it is text all the same.
        assert "<img" not in text or name in (
            "folium",
            "ipyleaflet",
            "streamlit",
            "superset",
            "grafana",
        )
        if name in ("folium", "ipyleaflet", "dash-leaflet", "streamlit", "superset"):
            literals = [
                node.value
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
            assert not any(each.startswith("import ") for each in literals)
            has_title = name in ("folium", "ipyleaflet", "streamlit", "superset")
            assert (hostile in literals) == has_title
    assert json.loads(found.texts["grafana"])["name"] == hostile
    (layer,) = ET.fromstring(found.texts["tableau"]).iter("layer")
    assert "onerror" in (layer.get("display-name") or "")
    assert "<script" not in found.texts["leaflet"]


def test_folium_shows_the_layer(elevation: Snippets, tile: Tile) -> None:
    names: dict[str, Any] = {}
    exec(compile(elevation.texts["folium"], "folium", "exec"), names)
    (layer,) = (
        each
        for each in names["m"]._children.values()
        if getattr(each, "tiles", "").startswith("http://127.0.0.1")
    )
    check_tiles(layer.tiles, tile, None)
    assert layer.options["opacity"] == OPACITY
    assert layer.options["max_native_zoom"] == elevation.maxzoom
    html = names["m"].get_root().render()
    assert layer.tiles.split("?")[0] in html
    assert f'"attribution": "{elevation.attribution}"' in html


def test_ipyleaflet_shows_the_layer(elevation: Snippets, tile: Tile) -> None:
    names: dict[str, Any] = {}
    exec(compile(elevation.texts["ipyleaflet"], "ipyleaflet", "exec"), names)
    layer = names["m"].layers[-1]
    check_tiles(layer.url, tile, None)
    assert (layer.opacity, layer.max_native_zoom) == (OPACITY, elevation.maxzoom)
    assert layer.attribution == elevation.attribution
    (south, west), (north, east) = layer.bounds
    np.testing.assert_allclose([west, south, east, north], elevation.bounds, atol=1e-6)


@pytest.mark.parametrize("name", ["dash-leaflet", "streamlit"])
def test_programs_of_python_compile_and_their_tiles_come(
    elevation: Snippets, tile: Tile, name: str
) -> None:
    text = elevation.texts[name]
    calls = {
        ast.unparse(node.func): {each.arg: ast.literal_eval(each.value) for each in node.keywords}
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and all(_is_literal(each.value) for each in node.keywords)
    }
    check_tiles(template_in(text), tile, None)
    options = calls["dl.TileLayer" if name == "dash-leaflet" else "folium.TileLayer"]
    assert options["opacity"] == OPACITY
    assert elevation.maxzoom in options.values()
    compile(text, name, "exec")


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def test_grafana_takes_the_layer_as_json(elevation: Snippets, tile: Tile) -> None:
    found = json.loads(elevation.texts["grafana"])
    assert (found["type"], found["opacity"]) == ("xyz", OPACITY)
    assert found["config"]["maxZoom"] == elevation.maxzoom
    assert found["config"]["attribution"] == elevation.attribution
    check_tiles(found["config"]["url"], tile, None)


def test_superset_takes_the_layer_as_a_base_map(
    elevation: Snippets, tile: Tile, server_url: str
) -> None:
    names: dict[str, Any] = {}
    exec(compile(elevation.texts["superset"], "superset", "exec"), names)
    ((url, title),) = names["DECKGL_BASE_MAP"]
    assert (url[:7], bool(title)) == ("tile://", True)
    check_tiles(url[7:], tile)
    policy = names["TALISMAN_CONFIG"]["content_security_policy"]
    for directive in ("img-src", "connect-src"):
        assert server_url.rstrip("/") in policy[directive]


def test_power_bi_has_its_fields(elevation: Snippets, tile: Tile) -> None:
    fields = dict(line.split(": ", 1) for line in elevation.texts["power-bi"].splitlines())
    check_tiles(fields["Tile URL"], tile)
    sides = [float(fields[f"{side} bound"]) for side in ("West", "South", "East", "North")]
    np.testing.assert_allclose(sides, elevation.bounds, atol=1e-6)
    assert int(fields["Maximum zoom"]) == elevation.maxzoom


def test_tableau_reads_server_and_path(elevation: Snippets, tile: Tile) -> None:
    (connection,) = ET.fromstring(elevation.texts["tableau"]).iter("connection")
    path = connection.get("url-format") or ""
    template = path.replace("{Z}", "{z}").replace("{X}", "{x}").replace("{Y}", "{y}")
    check_tiles(f"{connection.get('server')}:{connection.get('port')}{template}", tile)


def test_gdal_opens_its_file(elevation: Snippets, tile: Tile, tmp_path: Path) -> None:
    path = tmp_path / "layer.xml"
    path.write_text(elevation.texts["gdal"])
    # Coarser than the full resolution by whole powers of two, so that GDAL asks for this very tile.
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(path) as dataset:
        assert (dataset.count, dataset.crs.to_epsg()) == (4, 3857)
        window = from_bounds(*extent(tile), dataset.transform)
        pixels = np.moveaxis(dataset.read(window=window, out_shape=(4, 256, 256)), 0, -1)
    expected = picture(elevation.addresses["XYZ"].format(**tile._asdict()))
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_fetches_tile_picture_and_legend(
    elevation: Snippets, tile: Tile, tmp_path: Path
) -> None:
    script = f"set -e\n{elevation.texts['curl']}\n"
    environment = {"PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "tile.png") as image:
        pixels = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(
        pixels, picture(elevation.addresses["XYZ"].format(**tile._asdict()))
    )
    with Image.open(tmp_path / "picture.png") as image:
        assert min(image.size) > 100
    assert ET.parse(tmp_path / "legend.svg").getroot().tag.endswith("svg")


# Libraries of maps, painted. Tiles of 512 pixels fall on the pixels of a dense screen.

SIDE = 256


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page of another origin: a map element, and nothing else."""
    folder = tmp_path_factory.mktemp("elsewhere")
    element = (
        f'<div id="map" style="width:{SIDE}px;height:{SIDE}px;background:#fff!important"></div>'
    )
    (folder / "index.html").write_text(f'<!doctype html><body style="margin:0">{element}</body>')
    (folder / "favicon.ico").write_bytes(b"")
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def canvas(browser: Browser, elsewhere: str) -> Iterator[Page]:
    """That page on a dense screen, of a browser that paints WebGL without a graphics card."""
    if not LIBRARIES.is_dir():
        pytest.skip("npm ci in tests/web/libraries brings the libraries of maps")
    arguments = [each for each in CHROMIUM_ARGS if each != "--disable-gpu"]
    arguments += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    launched = browser.browser_type.launch(executable_path=CHROMIUM, args=arguments)
    page = launched.new_page(
        viewport={"width": SIDE, "height": SIDE}, device_scale_factor=2, reduced_motion="reduce"
    )
    page.set_default_timeout(PATIENCE_S * 1000)
    page.goto(elsewhere)
    yield page
    launched.close()


def prepare(page: Page, script: Path, style: Path | None) -> None:
    """Show an empty map element beside a library."""
    page.reload()
    page.add_script_tag(path=script)
    if style:
        page.add_style_tag(path=style)


def shown(page: Page) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(page.screenshot())) as image:
        return np.asarray(image.convert("RGB")).astype(np.int64)


def expected_on_white(elevation: Snippets, tile: Tile) -> NDArray[np.int64]:
    """Return the tile on white, as every library composes it."""
    url = elevation.addresses["XYZ, 512 pixels (@2x)"].replace(f"opacity={OPACITY}", "opacity=1")
    pixels = picture(url.format(**tile._asdict())).astype(float)
    alpha = pixels[..., 3:] / 255 * OPACITY
    return (pixels[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.int64)


def centre(tile: Tile) -> tuple[float, float]:
    """Return longitude and latitude of the middle of a tile."""
    west, south, east, north = extent(tile)
    half = 20037508.342789244
    lon = (west + east) / 2 / half * 180
    y = (south + north) / 2 / half * np.pi
    return lon, float(np.degrees(np.arctan(np.sinh(y))))


def check_painted(page: Page, elevation: Snippets, tile: Tile) -> None:
    expected = expected_on_white(elevation, tile)
    assert len(np.unique(expected)) > 50
    wait_for_picture(
        page, lambda found: float((np.abs(found - expected).max(axis=-1) > 3).mean()) < 0.001
    )


def wait_for_picture(page: Page, is_right: Callable[[NDArray[np.int64]], bool]) -> None:
    """Wait until the page shows what it should.

    A library is done when it has all it asked for; the browser may paint a picture later.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not is_right(shown(page)):
        assert time.monotonic() < deadline, "the map shows something else"
        page.wait_for_timeout(40)


def test_leaflet_paints_the_layer(canvas: Page, elevation: Snippets, tile: Tile) -> None:
    vendor = ROOT / "web" / "vendor" / "leaflet"
    prepare(canvas, vendor / "leaflet.js", vendor / "leaflet.css")
    lon, lat = centre(tile)
    canvas.evaluate(
        """([lat, lon, zoom, text]) => new Promise((resolve) => {
            const options = {zoomControl: false, attributionControl: false, fadeAnimation: false};
            const map = L.map("map", options).setView([lat, lon], zoom);
            new Function("map", text)(map);
            map.eachLayer(layer => layer.once("load", resolve));
        })""",
        [lat, lon, tile.z, elevation.texts["leaflet"]],
    )
    check_painted(canvas, elevation, tile)


def test_openlayers_paints_the_layer(canvas: Page, elevation: Snippets, tile: Tile) -> None:
    prepare(canvas, LIBRARIES / "ol" / "dist" / "ol.js", None)
    lon, lat = centre(tile)
    canvas.evaluate(
        """([lat, lon, zoom, text]) => new Promise((resolve) => {
            const center = ol.proj.fromLonLat([lon, lat]);
            const view = new ol.View({center, zoom});
            const map = new ol.Map({target: "map", controls: [], view});
            new Function("map", text)(map);
            map.once("rendercomplete", resolve);
        })""",
        [lat, lon, tile.z, elevation.texts["openlayers"]],
    )
    check_painted(canvas, elevation, tile)


MAPLIBRE = """([lat, lon, zoom, text]) => new Promise((resolve, reject) => {
    const options = {attributionControl: false, fadeDuration: 0, interactive: false};
    const style = {version: 8, sources: {}, layers: []};
    const map = new maplibregl.Map({container: "map", center: [lon, lat], zoom, style, ...options});
    window.shownMap = map;
    map.on("error", ({error}) => reject(error));
    map.on("load", () => {
        new Function("map", text)(map);
        map.once("idle", () => resolve(null));
    });
})"""


def test_maplibre_paints_the_layer(canvas: Page, elevation: Snippets, tile: Tile) -> None:
    dist = LIBRARIES / "maplibre-gl" / "dist"
    prepare(canvas, dist / "maplibre-gl.js", dist / "maplibre-gl.css")
    lon, lat = centre(tile)
    # MapLibre counts zooms in tiles of 512 pixels.
    canvas.evaluate(MAPLIBRE, [lat, lon, tile.z - 1, elevation.texts["maplibre"]])
    check_painted(canvas, elevation, tile)


def test_maplibre_paints_a_pmtiles_file_of_the_area(
    canvas: Page, elevation: Snippets, tile: Tile, server_url: str
) -> None:
    dist = LIBRARIES / "maplibre-gl" / "dist"
    prepare(canvas, dist / "maplibre-gl.js", dist / "maplibre-gl.css")
    canvas.add_script_tag(path=LIBRARIES / "pmtiles" / "dist" / "pmtiles.js")
    query = urlencode({**STYLE, "opacity": str(OPACITY), "maxzoom": tile.z + 1})
    lon, lat = centre(tile)
    # The tiles of the next zoom have the pixels of a dense screen.
    text = """
        const source = { type: "raster", url: "pmtiles://area", tileSize: 128, maxzoom: ZOOM };
        map.addSource("area", source);
        map.addLayer({ id: "area", type: "raster", source: "area" });
    """.replace("ZOOM", str(tile.z + 1))
    canvas.evaluate(
        """async (url) => {
            const body = await (await fetch(url)).arrayBuffer();
            const archive = new pmtiles.PMTiles(new pmtiles.FileSource(new File([body], "area")));
            const protocol = new pmtiles.Protocol();
            protocol.add(archive);
            maplibregl.addProtocol("pmtiles", protocol.tile);
        }""",
        f"{server_url}export/{ELEVATION}.pmtiles?{query}",
    )
    canvas.evaluate(MAPLIBRE, [lat, lon, tile.z - 1, text])
    expected = expected_on_white(elevation, tile)
    assert len(np.unique(expected)) > 20
    # Pixels of two zooms: nearest neighbours of the same raster, half a pixel apart.
    wait_for_picture(canvas, lambda found: float(np.abs(found - expected).mean()) < 6)


def test_maplibre_has_the_values_as_a_terrain(
    canvas: Page, elevation: Snippets, tile: Tile, server_url: str
) -> None:
    dist = LIBRARIES / "maplibre-gl" / "dist"
    prepare(canvas, dist / "maplibre-gl.js", dist / "maplibre-gl.css")
    lon, lat = centre(tile)
    canvas.evaluate(MAPLIBRE, [lat, lon, tile.z, elevation.texts["maplibre-terrain"]])
    height = canvas.evaluate(
        "([lon, lat]) => shownMap.queryTerrainElevation([lon, lat])", [lon, lat]
    )
    point = httpx.get(f"{server_url}point/{ELEVATION}?lon={lon}&lat={lat}", timeout=60).json()
    (expected,) = point["values"].values()
    # Between the pixels of a coarser zoom.
    assert abs(height - expected) < 150
    wait_for_picture(canvas, lambda found: len(np.unique(found)) > 20)
