from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from rasterio import Affine

from tests.support.rasterfiles import noise, write_raster
from tileserver.layers.documents import layer_json, layer_page, tile_url, tilejson
from tileserver.layers.layers import Layer, LayerDefinition, Layers
from tileserver.layers.listed import Failure, LayerPage
from tileserver.layers.styles import Style
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root

BASE = "https://tiles.example.org/maps"
WORLD = Affine(1.0, 0.0, -180.0, 0.0, -1.0, 90.0)
FIJI = Affine(0.1, 0.0, 178.0, 0.0, -0.1, -16.0)


def layer_of(
    folder: Path, name: str = "mine", crs: str = "EPSG:32612", **georeference: Any
) -> Layer:
    path = folder / "scene.tif"
    write_raster(path, noise(3, 180, 360, "uint8"), crs, overviews=(), **georeference)
    rasters = LocalRasters(Catalogue([Root(str(path))]))
    definition = LayerDefinition(
        name, rasters.catalogue.names()[0], title="A scene", attribution="Ours"
    )
    return asyncio.run(Layers([definition], rasters).find(name, Style(min=(0,), max=(255,))))


def check_tilejson(document: dict[str, Any]) -> None:
    """Fail where a document breaks a rule of TileJSON 3.0.0, its section in the comment.

    https://github.com/mapbox/tilejson-spec/tree/master/3.0.0
    """
    assert re.fullmatch(r"3\.0\.\d+", document["tilejson"])  # 3.1
    assert document["tiles"]  # 3.2
    for url in document["tiles"]:
        assert urlsplit(url).scheme in {"http", "https"}
        assert all(part in urlsplit(url).path for part in ("{z}", "{x}", "{y}"))
    minzoom, maxzoom = document.get("minzoom", 0), document.get("maxzoom", 30)  # 3.12, 3.13
    assert isinstance(minzoom, int)
    assert isinstance(maxzoom, int)
    assert 0 <= minzoom <= maxzoom <= 30
    west, south, east, north = document.get("bounds", [-180, -85.05112877980659, 180, 85.06])  # 3.5
    assert -180 <= west <= east <= 180
    assert -85.05112877980661 <= south <= north <= 85.05112877980661
    longitude, latitude, zoom = document.get("center", [0, 0, minzoom])  # 3.6
    assert west <= longitude <= east
    assert south <= latitude <= north
    assert minzoom <= zoom <= maxzoom
    assert isinstance(zoom, int)
    assert document.get("scheme", "xyz") in {"xyz", "tms"}  # 3.15
    assert re.fullmatch(r"\d+\.\d+\.\d+", document.get("version", "1.0.0"))  # 3.17
    for name in ("attribution", "description", "legend", "name", "template"):
        assert isinstance(document.get(name, ""), str)


@pytest.mark.parametrize(
    ("crs", "georeference"),
    [
        ("EPSG:32612", {}),
        ("EPSG:4326", {"transform": WORLD}),
        ("EPSG:4326", {"transform": FIJI}),
        ("EPSG:3031", {"transform": Affine(10_000, 0, -1_800_000, 0, -10_000, 900_000)}),
    ],
    ids=["utm", "world", "antimeridian", "south pole"],
)
def test_tilejson_keeps_the_rules_of_its_specification(
    tmp_path: Path, crs: str, georeference: dict[str, Any]
) -> None:
    layer = layer_of(tmp_path, crs=crs, **georeference)
    document = tilejson(BASE, layer, {})
    check_tilejson(document)
    assert document["name"] == "A scene"
    assert document["attribution"] == "Ours"
    assert "description" not in document
    assert (document["minzoom"], document["maxzoom"]) == (layer.minzoom, layer.maxzoom)


def test_the_checker_of_tilejson_can_fail(tmp_path: Path) -> None:
    document = tilejson(BASE, layer_of(tmp_path), {})
    for wrong in (
        {"bounds": [0, 10, 5, 0]},
        {"center": [0, 0, 40]},
        {"tiles": ["https://x/{z}/{x}"]},
        {"minzoom": 25, "maxzoom": 3},
    ):
        with pytest.raises(AssertionError):
            check_tilejson(document | wrong)


def test_a_layer_across_the_antimeridian_goes_all_the_way_around(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, crs="EPSG:4326", transform=FIJI)
    assert layer.bounds.west > layer.bounds.east
    assert tilejson(BASE, layer, {})["bounds"][::2] == [-180, 180]
    assert layer_json(BASE, layer)["bounds"] == list(layer.bounds)


def test_the_center_of_a_layer_lies_on_it_wherever_that_is(tmp_path: Path) -> None:
    for transform in (
        FIJI,
        Affine(0.02, 0, 174, 0, -0.02, 10),
        Affine(0.02, 0, -178, 0, -0.02, 10),
    ):
        layer = layer_of(tmp_path, crs="EPSG:4326", transform=transform)
        longitude = tilejson(BASE, layer, {})["center"][0]
        right = transform.c + transform.a * 360 / 2
        assert (longitude - right) % 360 == pytest.approx(0) or (right - longitude) % 360 < 1e-9
        assert -180 <= longitude <= 180


def test_a_tile_url_bears_the_version_and_the_style_it_was_asked_with(tmp_path: Path) -> None:
    layer = layer_of(tmp_path)
    url = tile_url(BASE, layer, {"palette": "000,fff", "min": "0"}, "@2x.webp")
    assert url.startswith(f"{BASE}/tiles/mine/{{z}}/{{x}}/{{y}}@2x.webp?")
    query = parse_qs(urlsplit(url).query)
    assert query == {"palette": ["000,fff"], "min": ["0"], "v": [layer.version]}
    assert tilejson(BASE, layer, {"min": "0"})["tiles"][0].count("min=0") == 1


@pytest.mark.parametrize("name", ["a b", "100%", "déjà", "a/b", "a?b#c&d", "{z}"])
def test_any_name_is_safe_in_a_url(tmp_path: Path, name: str) -> None:
    layer = layer_of(tmp_path, name)
    parts = urlsplit(tile_url(BASE, layer, {}))
    assert unquote(parts.path) == f"/maps/tiles/{name}/{{z}}/{{x}}/{{y}}.png"
    assert parts.fragment == ""
    assert parts.path.count("{z}") == 1


def test_a_layer_is_told_in_full(tmp_path: Path) -> None:
    layer = layer_of(tmp_path)
    told = layer_json(BASE, layer)
    assert told == {
        "name": "mine",
        "title": "A scene",
        "description": None,
        "attribution": "Ours",
        "asset": "projects/localhost/assets/scene",
        "bounds": list(layer.bounds),
        "minzoom": 0,
        "maxzoom": layer.maxzoom,
        "style": layer.style.to_json(),
        "visible": True,
        "tiles": tile_url(BASE, layer, {}),
    }
    assert told["style"]["bands"] == ["b1", "b2", "b3"]


def test_a_page_of_layers_names_the_next(tmp_path: Path) -> None:
    layer = layer_of(tmp_path)
    assert layer_page(BASE, LayerPage([layer], [], None), 5) == {
        "layers": [layer_json(BASE, layer)],
        "next": None,
    }
    following = layer_page(BASE, LayerPage([], [], "a b&c"), 5)["next"]
    assert following.startswith(f"{BASE}/layers?")
    assert parse_qs(urlsplit(following).query) == {"after": ["a b&c"], "limit": ["5"]}


def test_what_cannot_be_shown_is_told_beside_what_can() -> None:
    page = layer_page(BASE, LayerPage([], [Failure("mars", "Mars", "no place on Earth")], None), 5)
    assert page == {
        "layers": [],
        "next": None,
        "errors": [{"name": "mars", "title": "Mars", "reason": "no place on Earth"}],
    }
