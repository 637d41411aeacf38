"""OGC API - Tiles over HTTP: all that is linked is there, and tiles are those of other routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import mercantile
import morecantile
import pytest

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import AccessSettings, Config, RasterFolder
from tileserver.config.layers import LayerSettings
from tileserver.contract.matrix_sets import NAMES, POLAR
from tileserver.layers.ogc_tiles import CONFORMS_TO
from tileserver.server.app import create_app

KEY = "a-made-up-key-for-tests"  # pragma: allowlist secret
ASSET = "projects/localhost/assets/scene"
REL = "http://www.opengis.net/def/rel/ogc/1.0"
SCENE = mercantile.Tile(772, 1542, 12)
TILES = "/ogc/collections/scene/map/tiles"
PLACE = f"{SCENE.z}/{SCENE.y}/{SCENE.x}"
"""Zoom, row and column, in the order of the standard."""
STYLE = {"bands": "blue,green,red", "gamma": "1.2"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ogc")
    bands = ["red", "green", "blue"]
    write_raster(folder / "scene.tif", noise(3, 600, 500, "uint8"), descriptions=bands)
    return folder


def config(folder: Path, keys: tuple[tuple[str, str], ...] = ()) -> Config:
    layers = (LayerSettings("scene", ASSET), LayerSettings("other", ASSET, title='<b>&"'))
    access = AccessSettings(keys=keys)
    return Config(rasters=(RasterFolder(str(folder)),), layers=layers, access=access)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with (
        serve(create_app(config(folder))) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def document(client: httpx.Client, path: str, **parameters: Any) -> dict[str, Any]:
    answer = client.get(path, params=parameters or None)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def link(document: dict[str, Any], rel: str) -> str:
    """Return the address of the first link of a relation."""
    return next(str(each["href"]) for each in document["links"] if each["rel"] == rel)


def links_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all links anywhere in a document."""
    if isinstance(value, dict):
        if "href" in value:
            yield value
        for each in value.values():
            yield from links_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from links_in(each)


def test_everything_is_found_from_the_landing_page(client: httpx.Client) -> None:
    styled = f"{client.base_url}{TILES}?bands=red&min=0&max=200"
    waiting = [(f"{client.base_url}/ogc", "application/json"), (styled, "application/json")]
    seen = set()
    while waiting:
        url, media_type = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = client.get(url)
        assert answer.status_code == 200, (url, answer.text)
        assert answer.headers["content-type"] == media_type
        here = urlsplit(url).path
        found = list(links_in(answer.json())) if here.startswith("/ogc") else []
        assert all(urlsplit(each["href"]).netloc == urlsplit(url).netloc for each in found)
        waiting += [(each["href"], each["type"]) for each in found if not each.get("templated")]
    paths = {urlsplit(url).path for url in seen}
    assert {
        "/ogc/conformance",
        "/ogc/collections",
        "/tilejson/scene.json",
        "/openapi.json",
    } <= paths
    assert {f"/ogc/tileMatrixSets/{name}" for name in NAMES} <= paths
    assert {TILES, f"{TILES}/WebMercatorQuad", f"{TILES}/CanadianNAD83_LCC"} <= paths


def test_conformance_names_the_classes_of_tiles(client: httpx.Client) -> None:
    landing = document(client, "/ogc")
    classes = document(client, link(landing, "conformance"))["conformsTo"]
    assert classes == list(CONFORMS_TO)
    names = ("core", "tileset", "tilesets-list", "geodata-tilesets", "png", "jpeg")
    spec = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf"
    assert {f"{spec}/{name}" for name in names} <= set(classes)


def test_collections_are_the_layers(client: httpx.Client) -> None:
    found = document(client, "/ogc/collections")["collections"]
    assert [each["id"] for each in found] == ["scene", "other"]
    layers = document(client, "/layers")["layers"]
    for ours, theirs in zip(found, layers, strict=True):
        assert ours["title"] == theirs["title"]
        assert ours["extent"]["spatial"]["bbox"] == [theirs["bounds"]]
        assert link(ours, f"{REL}/tilesets-map").endswith(f"/{ours['id']}/map/tiles")
    page = document(client, "/ogc/collections", limit=1)
    assert [each["id"] for each in page["collections"]] == ["scene"]
    rest = document(client, link(page, "next"))
    assert [each["id"] for each in rest["collections"]] == ["other"]
    assert document(client, "/ogc/collections", q="oth")["collections"] == [found[1]]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in POLAR])
def test_definitions_are_those_of_morecantile(client: httpx.Client, name: str) -> None:
    found = document(client, f"/ogc/tileMatrixSets/{name}")
    ours, theirs = morecantile.TileMatrixSet.model_validate(found), morecantile.tms.get(name)
    assert ours.crs.to_epsg() == theirs.crs.to_epsg()
    assert len(ours.tileMatrices) == len(theirs.tileMatrices)
    for one, other in zip(ours.tileMatrices, theirs.tileMatrices, strict=True):
        assert one.pointOfOrigin == other.pointOfOrigin
        assert one.cellSize == other.cellSize
        assert (one.matrixWidth, one.matrixHeight) == (other.matrixWidth, other.matrixHeight)
    at = morecantile.Tile(0, 0, theirs.minzoom)
    assert ours.xy_bounds(at) == theirs.xy_bounds(at)


def test_a_tileset_tells_limits_and_addresses_of_tiles(client: httpx.Client) -> None:
    found = document(client, f"{TILES}/WebMercatorQuad", **STYLE)
    assert (found["dataType"], found["tileMatrixSetId"]) == ("map", "WebMercatorQuad")
    limits = {each["tileMatrix"]: each for each in found["tileMatrixSetLimits"]}
    info = document(client, "/info/scene")
    assert sorted(map(int, limits)) == list(range(info["maxzoom"] + 1))
    own = limits[str(SCENE.z)]
    assert own["minTileRow"] <= SCENE.y <= own["maxTileRow"]
    assert own["minTileCol"] <= SCENE.x <= own["maxTileCol"]
    assert document(client, link(found, "describedby"))["bands"] == ["blue", "green", "red"]
    items = [each for each in found["links"] if each["rel"] == "item"]
    assert all(each["templated"] for each in items)
    place = {"{tileMatrix}": SCENE.z, "{tileRow}": SCENE.y, "{tileCol}": SCENE.x}
    for each in items:
        url = each["href"]
        for name, value in place.items():
            url = url.replace(name, str(value))
        answer = client.get(url)
        assert answer.headers["content-type"] == each["type"]
        assert "immutable" in answer.headers["cache-control"]
        suffix = parse_qs(urlsplit(url).query)["f"][0]
        plain = client.get(f"/tiles/scene/{SCENE.z}/{SCENE.x}/{SCENE.y}.{suffix}", params=STYLE)
        assert answer.content == plain.content


@pytest.mark.parametrize("name", ["WebMercatorQuad", "WGS1984Quad", "CanadianNAD83_LCC"])
def test_tiles_within_the_limits_are_there_and_others_are_not(
    client: httpx.Client, name: str
) -> None:
    last = document(client, f"{TILES}/{name}")["tileMatrixSetLimits"][-1]
    zoom = last["tileMatrix"]
    for row, column in (
        (last["minTileRow"], last["minTileCol"]),
        (last["maxTileRow"], last["maxTileCol"]),
    ):
        inside = client.get(f"{TILES}/{name}/{zoom}/{row}/{column}")
        assert inside.status_code == 200, inside.text
        plain = client.get(f"/tiles/scene/{zoom}/{column}/{row}.png", params={"tms": name})
        assert inside.content == plain.content
    for row, column in (
        (last["minTileRow"] - 1, last["minTileCol"]),
        (last["minTileRow"], last["maxTileCol"] + 1),
    ):
        outside = client.get(f"{TILES}/{name}/{zoom}/{row}/{column}")
        assert outside.status_code == 404
        assert "has columns" in outside.text
    deeper = client.get(f"{TILES}/{name}/{int(zoom) + 1}/0/0")
    assert (deeper.status_code, "has no tiles in zoom" in deeper.text) == (404, True)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{TILES}/Mars", 404, "unknown tile matrix set"),
        (f"{TILES}/NZTM2000Quad", 404, "scene does not lie in NZTM2000Quad"),
        (f"{TILES}/WebMercatorQuad/99/0/0", 404, "zoom must be 0 to 24"),
        (f"{TILES}/WebMercatorQuad/12/1542/a", 400, "tileCol: expected a whole number"),
        (f"{TILES}/WebMercatorQuad/{PLACE}?f=gif", 400, "f: expected one of png, jpg"),
        (f"{TILES}/WebMercatorQuad/{PLACE}?bnads=red", 400, "did you mean bands"),
        (f"{TILES}/WebMercatorQuad?f=html", 400, "f: expected json"),
        (f"{TILES}/WebMercatorQuad/1/2", 404, "not found"),
        ("/ogc/collections/nothing", 404, "not found"),
        ("/ogc/collections/nothing/map/tiles/WebMercatorQuad/0/0/0", 404, "not found"),
        ("/ogc/collections?limit=0", 400, "limit"),
        ("/ogc/tileMatrixSets/Mars", 404, "unknown tile matrix set"),
        ("/ogc/nothing", 404, "no such page"),
        ("/ogc?f=xml", 400, "f: expected json"),
    ],
)
def test_refusals_are_json(client: httpx.Client, path: str, status: int, words: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]["message"]
    assert answer.headers["cache-control"] == "no-store"


def test_assets_by_name_are_closed_to_pages_of_other_origins(client: httpx.Client) -> None:
    foreign = {"origin": "https://evil.example"}
    own = f"/ogc/collections/{ASSET}/map/tiles/WebMercatorQuad/{PLACE}"
    assert client.get(own).status_code == 200
    assert client.get(own, headers=foreign).status_code == 403
    assert client.get(f"{TILES}/WebMercatorQuad/{PLACE}", headers=foreign).status_code == 200
    assert client.get("/ogc/collections", headers=foreign).status_code == 200


def test_the_key_of_the_query_goes_into_all_addresses(folder: Path) -> None:
    app = create_app(config(folder, (("tests", KEY),)))
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        for path in ("/ogc/collections", "/ogc/collections/scene", TILES, f"{TILES}/WGS1984Quad"):
            found = list(links_in(document(client, path, key=KEY)))
            assert found
            assert all(parse_qs(urlsplit(each["href"]).query)["key"] == [KEY] for each in found)
            assert client.get(path).status_code == 401
        # What is the same on every server needs none.
        assert client.get("/ogc/tileMatrixSets").status_code == 200
