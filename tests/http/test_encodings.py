"""Tiles whose colours are values, TileJSON to its spec, legends in three formats, AVIF."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine

from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tileserver.server.app import create_app
from tileserver.server.get_pixels import find_config

PIXEL = 20037508.342789244 / 2**7 / 256
GRID = Affine(PIXEL, 0, 0, 0, -PIXEL, 0)
TILE = "8/128/128"
LAYERS = """
[[rasters]]
path = "scenes"
[layers.heights]
asset = "projects/localhost/assets/heights"
palette = ["0000ff", "ffff00"]
min = -100
max = 300
[layers.scene]
title = 'Scene "<b>'
asset = "projects/localhost/assets/scene"
[layers.cover]
asset = "projects/localhost/assets/cover"
[layers.fiji]
asset = "projects/localhost/assets/fiji"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encodings")
    scenes = folder / "scenes"
    scenes.mkdir()
    rows, columns = np.mgrid[0:256, 0:256]
    heights = (rows * 1.25 - columns / 3 - 0.123).astype(np.float32)
    write_raster(scenes / "heights.tif", heights[None], "EPSG:3857", GRID, mask=columns < 200)
    scene = np.stack([rows, columns, rows + columns]).astype(np.uint16)
    write_raster(scenes / "scene.tif", scene, "EPSG:3857", GRID)
    cover = np.where(rows < 100, 2, np.where(columns < 30, 5, 7)).astype(np.uint8)
    write_raster(scenes / "cover.tif", cover[None], "EPSG:3857", GRID)
    values, colors = [2, 3, 5, 7], ["ff0000", "00ff00", "0000ff", "123456"]
    names = ["Water", "Ice", "Trees", "Rock"]
    members = {"values": values, "palette": colors, "names": names}
    properties = {f"b1_class_{key}": each for key, each in members.items()}
    (scenes / "cover.json").write_text(json.dumps({"properties": properties}))
    east = Affine(0.1, 0, 175, 0, -0.1, -10)
    write_raster(scenes / "fiji.tif", np.ones((1, 100, 100), np.uint8), "EPSG:4326", east)
    (folder / "tileserver.toml").write_text(LAYERS)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    config = find_config(folder / "tileserver.toml", {}, {})
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def pixels(client: httpx.Client, path: str) -> NDArray[np.uint8]:
    answer = client.get(path).raise_for_status()
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def values(client: httpx.Client, path: str) -> NDArray[np.float64]:
    array = np.load(io.BytesIO(client.get(path).raise_for_status().content))
    return np.asarray(array[array.dtype.names[0]], np.float64)


def terrarium(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    red, green, blue = np.moveaxis(picture[..., :3].astype(np.float64), -1, 0)
    return np.asarray(red * 256 + green + blue / 256 - 32768)


def mapbox(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    red, green, blue = np.moveaxis(picture[..., :3].astype(np.float64), -1, 0)
    return np.asarray(-10000 + 0.1 * (red * 65536 + green * 256 + blue))


@pytest.mark.parametrize(
    ("layer", "query"),
    [
        ("heights", ""),
        ("scene", "&expression=b1/1000-3"),
        ("scene", "&bands=b3"),
        ("scene", "&expression=b1*2-b2"),
        ("heights", "&stretch=percentile:2,98,log"),
        ("cover", ""),
    ],
)
@pytest.mark.parametrize("scale", ["", "@2x"])
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_terrarium_tiles_of_one_band_hold_the_values_of_npy_tiles(
    client: httpx.Client, layer: str, query: str, scale: str, suffix: str
) -> None:
    of_values = query if "stretch" not in query else ""
    path = f"/tiles/{layer}/{TILE}{scale}"
    picture = pixels(client, f"{path}.{suffix}?encoding=terrarium{query}")
    expected = values(client, f"{path}.npy?{of_values.removeprefix('&')}")
    shown = picture[..., 3] == 255
    assert np.all(shown | (picture[..., 3] == 0))
    assert shown.mean() == (200 / 256 if layer == "heights" else 1)
    difference = expected[shown] - terrarium(picture)[shown]
    assert difference.min() >= 0
    assert difference.max() < 1 / 256


def test_mapbox_tiles_hold_values_to_a_tenth(client: httpx.Client) -> None:
    picture = pixels(client, f"/tiles/heights/{TILE}.png?encoding=mapbox")
    shown = picture[..., 3] == 255
    expected = values(client, f"/tiles/heights/{TILE}.npy")
    np.testing.assert_allclose(mapbox(picture)[shown], expected[shown], atol=0.0501)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/tiles/scene/0/0/0.png?encoding=terrarium", "encoding: holds the values of one band"),
        ("/tilejson/scene.json?encoding=terrarium", "such as bands=b1"),
        ("/tiles/heights/0/0/0.png?encoding=float", "encoding: expected terrarium or mapbox"),
        ("/tiles/heights/8/128/128.jpg?encoding=terrarium", "expected png or webp"),
        ("/tiles/heights/8/128/128.avif?encoding=terrarium", "expected png or webp"),
        ("/tiles/heights/0/0/0.npy?encoding=terrarium", "which NPY does not keep"),
        ("/legend/heights.svg?scale=5", "scale: expected"),
        ("/legend/heights.gif", "suffix: expected one of .svg, .png, .json"),
    ],
)
def test_what_cannot_be_encoded_is_refused_by_its_parameter(
    client: httpx.Client, path: str, message: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert message in answer.text


class _Images(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def images(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Images()
    parser.feed(html)
    return parser.tags


def test_tilejson_follows_its_spec(client: httpx.Client) -> None:
    for name in ("heights", "scene", "cover", "fiji"):
        found = client.get(f"/tilejson/{name}.json").raise_for_status().json()
        assert found["tilejson"] == "3.0.0"
        assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
        assert 0 <= found["minzoom"] <= found["maxzoom"] <= 30
        west, south, east, north = found["bounds"]
        assert -180 <= west < east <= 180
        assert -90 < south < north < 90
        lon, lat, zoom = found["center"]
        assert west <= lon <= east
        assert south <= lat <= north
        assert type(zoom) is int
        assert found["minzoom"] <= zoom <= found["maxzoom"]
        (template,) = found["tiles"]
        assert template.startswith(str(client.base_url))
        (tag, attributes), *others = images(found["legend"])
        assert (tag, others) == ("img", [])
        assert attributes["alt"] == f"Legend of {found['name']}"
        legend = client.get(attributes["src"] or "").raise_for_status()
        assert legend.headers["content-type"] == "image/svg+xml"
        assert "encoding" not in found
    # Ten degrees across the antimeridian: the middle is where the data is, the zoom shows it all.
    assert found["bounds"][::2] == [-180, 180]
    assert found["center"] == [180, -15, 4]


def test_tilejson_of_values_says_how_they_are_encoded(client: httpx.Client) -> None:
    found = client.get("/tilejson/heights.json?encoding=terrarium").raise_for_status().json()
    assert found["encoding"] == "terrarium"
    assert "legend" not in found
    z, x, y = TILE.split("/")
    picture = pixels(client, found["tiles"][0].format(z=z, x=x, y=y))
    expected = values(client, f"/tiles/heights/{TILE}.npy")
    shown = picture[..., 3] == 255
    np.testing.assert_allclose(terrarium(picture)[shown], expected[shown], atol=1 / 256)
    by_algorithm = client.get("/tilejson/heights.json?algorithm=mapbox").raise_for_status().json()
    assert by_algorithm["encoding"] == "mapbox"


def test_a_picture_of_very_many_classes_is_refused_before_it_is_painted(
    client: httpx.Client,
) -> None:
    colormap = json.dumps({str(value): "#fff" for value in range(300)}, separators=(",", ":"))
    refused = client.get("/legend/heights.png", params={"colormap": colormap, "scale": 4})
    assert refused.status_code == 400
    assert refused.text.startswith("scale: 4 makes a picture of 960 x 24168 pixels")
    small = client.get("/legend/heights.png", params={"colormap": colormap})
    assert Image.open(io.BytesIO(small.content)).size == (240, 6042)


def legend(client: httpx.Client, name: str, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/legend/{name}.json{query}").raise_for_status().json()
    return found


def test_the_json_legend_of_a_gradient_has_the_colours_of_tiles(client: httpx.Client) -> None:
    found = legend(client, "heights", "?gamma=2")
    assert (found["kind"], found["min"], found["max"]) == ("gradient", -100, 300)
    assert [found["stops"][0]["value"], found["stops"][-1]["value"]] == [-100, 300]
    picture = pixels(client, f"/tiles/heights/{TILE}.png?gamma=2")
    array = values(client, f"/tiles/heights/{TILE}.npy")
    at = [stop["value"] for stop in found["stops"]]
    colors = np.array([list(bytes.fromhex(stop["color"][1:])) for stop in found["stops"]])
    shown = (picture[..., 3] == 255) & (array > 0)
    for channel in range(3):
        expected = np.interp(array[shown], at, colors[:, channel])
        assert np.abs(expected - picture[..., channel][shown]).max() <= 2


def test_the_json_legend_has_the_classes_that_occur(client: httpx.Client) -> None:
    found = legend(client, "cover")
    assert found["kind"] == "classes"
    listed = [(each["value"], each["label"], each["color"]) for each in found["classes"]]
    assert listed == [(2, "Water", "#ff0000"), (5, "Trees", "#0000ff"), (7, "Rock", "#123456")]
    svg = client.get("/legend/cover.svg").text
    assert "Trees" in svg
    assert "Ice" not in svg


def test_the_json_legend_of_a_colormap_has_its_intervals(client: httpx.Client) -> None:
    colormap = '[[-50,0,"#ff0000"],[0,300,"#00ff00"]]'
    answer = client.get("/legend/heights.json", params={"colormap": colormap}).json()
    first = answer["classes"][0]
    assert (first["min"], first["max"], first["color"]) == (-50, 0, "#ff0000")


def test_the_json_legend_of_three_bands_has_their_channels(client: httpx.Client) -> None:
    found = legend(client, "scene", "?bands=b3,b2,b1&min=0&max=10,20,30")
    assert found["kind"] == "channels"
    rows = [(each["channel"], each["band"], each["max"]) for each in found["channels"]]
    assert rows == [("red", "b3", 10), ("green", "b2", 20), ("blue", "b1", 30)]


@pytest.mark.parametrize("layer", ["heights", "cover", "scene"])
@pytest.mark.parametrize("scale", [1, 3])
def test_a_png_legend_is_the_svg_painted(client: httpx.Client, layer: str, scale: int) -> None:
    root = ET.fromstring(client.get(f"/legend/{layer}.svg").text)
    picture = pixels(client, f"/legend/{layer}.png?scale={scale}")
    width, height = int(root.get("width", "")), int(root.get("height", ""))
    assert picture.shape == (height * scale, width * scale, 4)
    svg = "{http://www.w3.org/2000/svg}"
    seen = 0
    for each in root.iter(f"{svg}rect"):
        x, y, w, h = (float(each.get(name, "")) for name in ("x", "y", "width", "height"))
        fill = each.get("fill", "")
        if fill.startswith("#") and w < 20 and float(each.get("rx", "")) < 5:
            color = picture[int((y + h / 2) * scale), int((x + w / 2) * scale), :3]
            assert tuple(color) == tuple(bytes.fromhex(fill[1:]))
            seen += 1
        if fill.startswith("url"):
            row = picture[int((y + h / 2) * scale), int(x * scale) : int((x + w) * scale), :3]
            assert np.abs(row[scale + 1].astype(int) - (0, 0, 255)).max() <= 3
            assert np.abs(row[-scale - 2].astype(int) - (255, 255, 0)).max() <= 3
            seen += 1
    assert seen == {"heights": 1, "cover": 3, "scene": 0}[layer]
    # Text is dark on white: there is some.
    assert (picture[: 30 * scale, :, :3].max(axis=-1) < 90).sum() > 40 * scale * scale


def test_avif_tiles_look_like_png_tiles_and_have_their_alpha(client: httpx.Client) -> None:
    for path in (f"/tiles/heights/{TILE}", f"/tiles/scene/{TILE}@2x"):
        exact = pixels(client, f"{path}.png").astype(int)
        answer = client.get(f"{path}.avif").raise_for_status()
        assert answer.headers["content-type"] == "image/avif"
        lossy = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)
        shown = exact[..., 3] == 255
        assert np.abs(lossy[..., 3] - exact[..., 3]).max() <= 8
        assert np.abs(lossy - exact)[shown].mean() < 2
