"""A folder made to look right and handed to a colleague with QGIS, in five clicks a layer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, expect
from rasterio import Affine

from tests.support.commands import serving
from tests.support.rasterfiles import write_raster
from tests.support.waiting import PATIENCE_S
from tests.web.conftest import Visitor, fetch_json

MAX_CLICKS = 5
SIZE = 512
PLACE = Affine(30, 0, 500_000, 0, -30, 4_600_000)
COVER = {1: (0, 100, 0), 2: (255, 187, 34), 3: (250, 0, 0), 4: (0, 100, 200)}
BANDS = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]
NIR = BANDS.index("B8")
WATER = 64
"""Width of stripes in which the scene is dark in the infrared; between them it is bright."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DEM, a land cover with its colours, an orthophoto without overviews, ten bands."""
    folder = tmp_path_factory.mktemp("folder")
    row, column = np.mgrid[:SIZE, :SIZE]
    heights = 1200 + 700 * np.sin(row / 40) * np.cos(column / 50)
    write_raster(folder / "dem.tif", heights.astype("float32")[None], transform=PLACE)
    cover = (1 + (row // 128 + column // 128) % 4).astype("uint8")
    path = write_raster(folder / "cover.tif", cover[None], transform=PLACE, resampling="mode")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {value: (*color, 255) for value, color in COVER.items()})
    photo = np.stack([40 + column // 4, 60 + row // 4, np.full_like(row, 90)]).astype("uint8")
    write_raster(folder / "ortho.tif", photo, transform=PLACE, overviews=(), photometric="RGB")
    scene = np.stack([400 + 60 * n + (row + column) % 97 for n in range(10)]).astype("uint16")
    scene[NIR] += np.where(column // WATER % 2, 0, 2500).astype("uint16")
    write_raster(folder / "scene.tif", scene, transform=PLACE, descriptions=BANDS)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environ = {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    with serving(str(folder), "--port", "0", cwd=folder, environ=environ) as server:
        yield f"{server.url}/"


Pixels = NDArray[np.uint8]


def is_cover(pixels: Pixels) -> bool:
    """Return whether there are the colours of classes, and no others."""
    return {tuple(map(int, color)) for color in pixels.reshape(-1, 3)} <= set(COVER.values())


def is_shaded(pixels: Pixels) -> bool:
    """Return whether heights are in colours with shades: more colours than a ramp alone has."""
    colors = np.unique(pixels.reshape(-1, 3), axis=0).astype(int)
    return len(colors) > 400 and float(np.ptp(colors, axis=1).mean()) > 20


def is_photo(pixels: Pixels) -> bool:
    """Return whether the values of the photograph are the colours, without any stretch."""
    red, green, blue = (pixels[..., n] for n in range(3))
    return bool((blue == 90).all() and red.max() < 170 and green.min() >= 60 and np.ptp(red) > 4)


def is_false_colour(pixels: Pixels) -> bool:
    """Return whether red is bright and dark as the infrared is, and nothing between."""
    red = pixels[..., 0]
    dark, bright = red < 60, red > 200
    return bool(min(dark.mean(), bright.mean()) > 0.05 and (dark | bright).mean() > 0.95)


LOOKS: dict[str, Callable[[Pixels], bool]] = {
    "cover": is_cover,
    "dem": is_shaded,
    "ortho": is_photo,
    "scene": is_false_colour,
}


class Newcomer:
    """Someone who clicks, and counts."""

    def __init__(self, context: BrowserContext, url: str, name: str) -> None:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.visitor = Visitor(context.new_page(), url)
        self.visitor.watch()
        self.page = self.visitor.page
        self.visitor.open()
        self.row = self.visitor.row({"name": name})
        self.drawer = self.page.locator("#drawer")
        self.looks_right = LOOKS[name]
        self.clicks = 0

    def click(self, button: Locator) -> None:
        button.click()
        self.clicks += 1

    def look(self) -> None:
        """Wait until the map is painted as it should be."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.looks_right(self.visitor.picture(120, 120)):
            assert time.monotonic() < deadline, "the layer never looked right"
            self.page.wait_for_timeout(100)

    def copied(self) -> str:
        expect(self.page.locator("#messages")).to_contain_text("copied")
        return str(self.page.evaluate("navigator.clipboard.readText()"))


def tile_at(template: str, bounds: list[float]) -> Pixels:
    """Return the tile in the middle of bounds, of an address with {z}, {x} and {y}."""
    west, south, east, north = bounds
    lat, zoom = math.radians((south + north) / 2), 12
    x = int(((west + east) / 2 + 180) / 360 * 2**zoom)
    y = int((1 - math.asinh(math.tan(lat)) / math.pi) / 2 * 2**zoom)
    answer = httpx.get(template.format(z=zoom, x=x, y=y), timeout=60).raise_for_status()
    with Image.open(BytesIO(answer.content)) as image:
        pixels = np.asarray(image.convert("RGBA"))
    opaque: Pixels = pixels[pixels[..., 3] == 255][:, :3]
    assert len(opaque) > 10_000
    return opaque


def tiles_in(qlr: Path) -> str:
    """Return the address of the tiles that QGIS reads from a layer definition."""
    source = ElementTree.parse(qlr).findtext(".//datasource")
    assert source is not None
    (address,) = parse_qs(source)["url"]
    return address


@pytest.mark.parametrize("name", LOOKS)
def test_a_layer_is_made_right_and_handed_over_in_five_clicks(
    context: BrowserContext, url: str, name: str
) -> None:
    bounds = fetch_json(f"{url}info/{name}")["bounds"]
    someone = Newcomer(context, url, name)
    row, drawer = someone.row, someone.drawer
    someone.click(row.get_by_role("button", name="More about"))
    someone.click(row.get_by_role("button", name="Only this"))
    if name == "scene":
        someone.click(row.get_by_role("button", name="Style"))
        someone.click(drawer.get_by_role("button", name="False colour"))
    someone.look()
    someone.click(row.get_by_role("button", name="Copy XYZ URL"))
    address = someone.copied()
    assert someone.looks_right(tile_at(address, bounds))
    assert someone.clicks <= MAX_CLICKS
    # Or as a file, which QGIS opens by a double click; the link is not needed then.
    someone.clicks -= 1
    someone.click(row.get_by_role("button", name="Use elsewhere"))
    with someone.page.expect_download() as download:
        someone.click(drawer.get_by_role("link", name="QGIS layer (.qlr)"))
    assert someone.clicks <= MAX_CLICKS + (name == "scene")
    assert someone.looks_right(tile_at(tiles_in(Path(download.value.path())), bounds))
    assert someone.visitor.errors == []
    assert someone.visitor.outside == []
