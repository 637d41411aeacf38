"""`show`: maps of both libraries, whose tiles are fetched as a browser does."""

from __future__ import annotations

import os
import sys
import threading
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import tileserver
from tests.notebook.conftest import NORTH, PIXEL_DEG, WEST
from tests.support.rasterfiles import noise, write_raster
from tests.support.waiting import until
from tileserver.errors import ConfigError, InvalidRequest
from tileserver.notebook import background, close
from tileserver.notebook.bridge import Bridge

BOUNDS = (WEST, NORTH - 2, WEST + 2, NORTH)


def tiles_of(drawn: Any) -> list[str]:
    """Return the templates of a map's tiles, of either library."""
    if hasattr(drawn, "layers"):
        return [each.url for each in drawn.layers]
    return [each.tiles for each in drawn._children.values() if hasattr(each, "tiles")]


def tile(template: str, longitude: float, latitude: float, zoom: int) -> NDArray[np.uint8]:
    """Return the tile around a place."""
    x, y = position(longitude, latitude, zoom)
    url = template.format(z=zoom, x=int(x), y=int(y), r="")
    with urlopen(url, timeout=60) as answer:
        return np.asarray(Image.open(BytesIO(answer.read())).convert("RGBA"))


def position(longitude: float, latitude: float, zoom: int) -> tuple[float, float]:
    sine = np.sin(np.radians(latitude))
    north = 0.5 - np.log((1 + sine) / (1 - sine)) / (4 * np.pi)
    return (longitude / 360 + 0.5) * 2**zoom, float(north) * 2**zoom


def pixel(template: str, longitude: float, latitude: float, zoom: int = 8) -> list[int]:
    """Return red, green, blue and alpha of the pixel at a place."""
    x, y = position(longitude, latitude, zoom)
    column, row = int(x % 1 * 256), int(y % 1 * 256)
    return [int(each) for each in tile(template, longitude, latitude, zoom)[row, column]]


@pytest.mark.parametrize("library", ["ipyleaflet", "folium"])
def test_a_file_is_drawn_by_both_libraries(scene: Path, library: str) -> None:
    (template,) = tiles_of(tileserver.show(scene, library=library))
    assert pixel(template, WEST + 0.5, NORTH - 1) == [255, 0, 0, 255]
    assert pixel(template, WEST + 1.5, NORTH - 1) == [0, 0, 255, 255]
    assert pixel(template, WEST + 2.1, NORTH - 1)[3] == 0


def test_a_map_fits_its_layers_and_names_them(scene: Path) -> None:
    drawn = tileserver.show({"Two halves": scene})
    (layer,) = drawn.layers
    assert layer.name == "Two halves"
    assert layer.bounds == [(NORTH - 2, WEST), (NORTH, WEST + 2)]
    assert drawn.center == pytest.approx([NORTH - 1, WEST + 1], abs=0.02)
    # At 8 it would be 554 pixels high, of 480.
    assert drawn.zoom == 7


def test_arrays_are_drawn_where_their_bounds_are() -> None:
    ramp = np.linspace(0, 100, 200, dtype="float32")[np.newaxis].repeat(100, axis=0)
    ramp[:50, :100] = np.nan
    drawn = tileserver.show(ramp, bounds=BOUNDS, min=0, max=100, palette=["black", "#ff0000"])
    (template,) = tiles_of(drawn)
    red = [pixel(template, WEST + x, NORTH - 1.5)[0] for x in (0.5, 1.0, 1.5)]
    assert red == pytest.approx([64, 127, 191], abs=3)
    assert pixel(template, WEST + 0.5, NORTH - 0.5)[3] == 0
    assert pixel(template, WEST + 1.5, NORTH - 0.5)[3] == 255


def test_pictures_may_have_their_bands_first_or_last() -> None:
    picture = np.zeros((20, 30, 4), "uint8")
    picture[..., 1], picture[..., 3] = 200, 255
    picture[:10, :, 3] = 0
    bands = np.moveaxis(picture[..., :3], 2, 0)
    last, first = tiles_of(tileserver.show(picture, bands, bounds=BOUNDS, min=0, max=255))
    for template in (last, first):
        assert pixel(template, WEST + 1, NORTH - 1.5) == [0, 200, 0, 255]
    assert [pixel(each, WEST + 1, NORTH - 0.5)[3] for each in (last, first)] == [0, 255]


def test_masked_integers_of_every_value_keep_the_masks_of_each_band() -> None:
    values = np.arange(256, dtype="uint8").reshape(16, 16)
    both = np.ma.masked_array([values, values], mask=[values < 128, values >= 128])
    first, second = tiles_of(
        tileserver.show((both, {"bands": "b1"}), (both, {"bands": "b2"}), bounds=BOUNDS, max=255)
    )
    north, south = (WEST + 1, NORTH - 0.4), (WEST + 1, NORTH - 1.6)
    assert [pixel(each, *place)[3] for each in (first, second) for place in (north, south)] == [
        0,
        255,
        255,
        0,
    ]


def test_xarray_says_where_it_lies() -> None:
    xarray = pytest.importorskip("xarray")
    y = 4_500_000 + 30 * np.arange(50.0)
    x = 400_000 + 30 * np.arange(60.0)
    values = np.where(x > x.mean(), 1.0, 0.0)[np.newaxis].repeat(50, axis=0)
    array = xarray.DataArray(values, coords={"y": y, "x": x}, dims=("y", "x"), name="half")
    with pytest.raises(InvalidRequest, match=r"CRS of the coordinates x and y is unknown"):
        tileserver.show(array)
    drawn = tileserver.show(array, crs=32612, min=0, max=1)
    from rasterio.warp import transform

    (longitude,), (latitude,) = transform("EPSG:32612", "EPSG:4326", [x[45]], [y[10]])
    assert drawn.layers[0].name == "half"
    assert pixel(drawn.layers[0].url, longitude, latitude, 14) == [255, 255, 255, 255]
    days = xarray.concat([array, array], "time")
    with pytest.raises(InvalidRequest, match="bands"):
        tileserver.show(days.expand_dims(level=3), crs=32612)


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (["nowhere.tif"], {}, r"^nowhere\.tif: no such file or folder in "),
        (["nowhere"], {}, r"'nowhere': no such file or folder in .*no name of an asset"),
        ([np.zeros((4, 4))], {}, r"an array needs bounds="),
        ([np.zeros(4)], {"bounds": BOUNDS}, r"shape .*, got \(4,\)"),
        ([np.zeros((4, 4), "complex64")], {"bounds": BOUNDS}, r"complex64"),
        ([np.zeros((4, 4))], {"bounds": (1, 2, 0, 3)}, r"west < east"),
        ([np.zeros((4, 4))], {"bounds": (1, 2, 3)}, r"bounds: expected \(west"),
        ([np.zeros((4, 4))], {"bounds": (0, 0, 5e5, 4e6)}, r"crs= names the CRS"),
        ([np.zeros((4, 4))], {"bounds": BOUNDS, "crs": "EPSG:99999"}, r"^crs: 'EPSG:99999'"),
        ([np.zeros((4, 4))], {"bounds": BOUNDS, "pallete": "gray"}, r"did you mean 'palette'"),
        ([np.zeros((4, 4))], {"bounds": BOUNDS, "palette": "nocolour"}, r"nocolour"),
        ([np.zeros((4, 4))], {"bounds": BOUNDS, "library": "qgis"}, r"'ipyleaflet' or 'folium'"),
        ([np.zeros((4, 4))], {"bounds": BOUNDS, "connection": "ftp"}, r"'port', 'proxy', 'comm'"),
        ([np.zeros((4, 4))], {"bounds": BOUNDS, "name": ["a", "b"]}, r"a title for each of 1"),
        ([], {}, r"show what\?"),
        ([7], {}, r"got 7"),
    ],
)
def test_errors_say_what_is_wrong(
    arguments: list[Any], keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, InvalidRequest), match=message):
        tileserver.show(*arguments, **keywords)


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("anywidget", "folium"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'ee-tileserver\[notebook\]'"):
        tileserver.show(np.zeros((4, 4)), bounds=BOUNDS)


def test_nobody_without_the_key_reads_anything(scene: Path) -> None:
    (template,) = tiles_of(tileserver.show(scene))
    url = template.format(z=8, x=135, y=87, r="")
    bare = url.partition("?")[0]
    root = bare.partition("/0/")[0]
    for other in (bare, f"{bare}?key=x", f"{root}/0/layers", f"{root}/0/v1/projects/a/assets/b"):
        with pytest.raises(HTTPError, match="401"):
            urlopen(other, timeout=60)
    for outside in ("/", "/1/layers", "/99999999999/layers", "/-1/layers", "/x/layers", "/0"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(root + outside, timeout=60)
    assert os.stat(background.background().folder).st_mode & 0o077 == 0


def test_one_server_serves_all_calls_and_ends(scene: Path) -> None:
    before = set(threading.enumerate())
    first, second = (tiles_of(tileserver.show(scene, opacity=each))[0] for each in (1, 0.5))
    array = tiles_of(tileserver.show(np.ones((5, 5)), bounds=BOUNDS))[0]
    assert first == second
    assert first.partition("/0/")[0] == array.partition("/1/")[0]
    folder = background.background().folder
    assert len(list(folder.glob("*.tif"))) == 1
    close()
    with pytest.raises(OSError, match="refused"):
        pixel(first, WEST + 1, NORTH - 1)
    assert not folder.exists()
    until(lambda: not {each for each in threading.enumerate() if each not in before})
    assert pixel(tiles_of(tileserver.show(scene))[0], WEST + 0.5, NORTH - 1) == [255, 0, 0, 255]


def test_more_sources_than_are_kept_open_all_draw() -> None:
    count = 12
    drawn = tileserver.show(
        *(np.full((4, 4), number + 1, "uint8") for number in range(count)),
        bounds=BOUNDS,
        min=0,
        max=count,
    )
    for number in (*range(count), 0):
        (value, *_) = pixel(drawn.layers[number].url, WEST + 1, NORTH - 1)
        assert value == pytest.approx(255 * (number + 1) / count, abs=1)
    assert [each.visible for each in drawn.layers] == [True] + [False] * (count - 1)


def test_a_folder_shows_all_its_layers(tmp_path: Path, scene: Path) -> None:
    write_raster(tmp_path / "other.tif", noise(1, 64, 64, "uint8"))
    assert sorted(each.name for each in tileserver.show(tmp_path).layers) == ["other", "scene"]


def test_values_come_at_a_click(scene: Path) -> None:
    drawn = tileserver.show(scene)
    shown = drawn.on_interaction.__self__._interaction_callbacks.callbacks[0]
    shown(type="click", coordinates=[NORTH - 1, WEST + 0.5 + PIXEL_DEG / 2])
    until(lambda: "255" in shown._text.value)
    assert "scene" in shown._text.value
    assert drawn.layers[-1].location == pytest.approx([NORTH - 1, WEST + 0.5 + PIXEL_DEG / 2])


def test_tiles_come_over_the_comm(scene: Path) -> None:
    drawn = tileserver.show(scene, connection="comm")
    widgets = (getattr(each, "widget", None) for each in drawn.controls)
    (bridge,) = (each for each in widgets if isinstance(each, Bridge))
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    bridge.send = lambda content, buffers: sent.append((content, buffers))
    x, y = position(WEST + 0.5, NORTH - 1, 8)
    (template,) = tiles_of(drawn)
    target = template.format(z=8, x=int(x), y=int(y), r="").removeprefix(bridge.base)
    for number, each in enumerate([target, "0/layers", None, target.partition("?")[0]]):
        bridge._answer(bridge, {"id": number, "target": each}, [])
    until(lambda: len(sent) == 4)
    answers = {content["id"]: (content["status"], bodies[0]) for content, bodies in sent}
    assert {number: status for number, (status, _) in answers.items()} == {
        0: 200,
        1: 404,
        2: 404,
        3: 401,
    }
    picture = np.asarray(Image.open(BytesIO(answers[0][1])))
    assert picture[int(y % 1 * 256), int(x % 1 * 256), :3].tolist() == [255, 0, 0]
    close()
    bridge._answer(bridge, {"id": 5, "target": target}, [])
    assert sent[-1][0]["status"] == 410
