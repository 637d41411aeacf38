"""OpenLayers paints WMTS and OGC API - Tiles, pixel by pixel, on a page of another origin."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.clients.test_wmts import LAYER, STYLE, Tile, tile_in_the_middle, tile_of
from tests.support.waiting import PATIENCE_S

LIBRARY = Path(__file__).parent / "libraries" / "node_modules" / "ol" / "dist" / "ol.js"
SIDE = 256
MAP = """(source, resolutions, center, resolution) => new Promise((resolve) => {
    const layer = new ol.layer.Tile({source});
    // Resolutions of the tiles alone, so that none is drawn between two pixels.
    const projection = source.getProjection();
    const view = new ol.View({projection, center, resolution, constrainResolution: false});
    const map = new ol.Map({target: "map", controls: [], layers: [layer], view});
    map.once("rendercomplete", () => resolve(null));
})"""
WMTS = f"""async ([url, layer, matrixSet, center, resolution]) => {{
    const text = await (await fetch(url)).text();
    const capabilities = new ol.format.WMTSCapabilities().read(text);
    const options = ol.source.WMTS.optionsFromCapabilities(capabilities, {{layer, matrixSet}});
    const source = new ol.source.WMTS({{...options, crossOrigin: "anonymous"}});
    await ({MAP})(source, null, center, resolution);
}}"""
OGC_API = f"""async ([url, center, resolution]) => {{
    const source = new ol.source.OGCMapTile({{url, crossOrigin: "anonymous"}});
    await new Promise((resolve, reject) => {{
        const look = () => {{
            if (source.getState() === "ready") resolve(null);
            if (source.getState() === "error") reject(new Error("no tileset"));
        }};
        source.on("change", look);
        look();
    }});
    await ({MAP})(source, null, center, resolution);
}}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    if not LIBRARY.is_file():
        pytest.skip("npm ci in tests/web/libraries brings the libraries of maps")
    page = browser.new_page(
        viewport={"width": SIDE, "height": SIDE}, device_scale_factor=1, reduced_motion="reduce"
    )
    page.set_default_timeout(PATIENCE_S * 1000)
    yield page
    page.close()


def painted(page: Page, script: str, arguments: list[Any]) -> Any:
    """Return what a script paints on an empty map, shape (256, 256, 3)."""
    style = f"margin: 0; width: {SIDE}px; height: {SIDE}px"
    page.set_content(f'<body style="{style}"><div id="map" style="{style}"></div>')
    page.add_script_tag(path=LIBRARY)
    page.evaluate(script, arguments)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        return np.asarray(image.convert("RGB"))


def view_of(tile: Tile) -> tuple[list[float], float]:
    """Return the middle of a tile in units of its CRS, and the side of its pixels."""
    west, south, east, north = tile.grid.box
    return [(west + east) / 2, (south + north) / 2], tile.grid.transform.scale_x


@pytest.mark.parametrize("name", ["WebMercatorQuad", "WGS1984Quad"])
def test_openlayers_paints_wmts(page: Page, server_url: str, name: str) -> None:
    url = server_url.rstrip("/")
    tile = tile_in_the_middle(url, name)
    expected = tile_of(url, tile)
    assert (expected[..., 3] == 255).all()
    capabilities = f"{url}/wmts/{LAYER}/1.0.0/WMTSCapabilities.xml?{STYLE}"
    found = painted(page, WMTS, [capabilities, LAYER, name, *view_of(tile)])
    np.testing.assert_array_equal(found, expected[..., :3])


def test_openlayers_paints_ogcs_api(page: Page, server_url: str) -> None:
    url = server_url.rstrip("/")
    tile = tile_in_the_middle(url, "WebMercatorQuad")
    tileset = f"{url}/ogc/collections/{LAYER}/map/tiles/WebMercatorQuad?{STYLE}"
    found = painted(page, OGC_API, [tileset, *view_of(tile)])
    np.testing.assert_array_equal(found, tile_of(url, tile)[..., :3])
