"""Exports of an area: PMTiles as another library reads them, and limits."""

from __future__ import annotations

import io
import json
import re
import zlib
from base64 import b64decode
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image
from rasterio import Affine

from tests.support.pmtilesfiles import (
    PNG,
    UNCOMPRESSED,
    header_of,
    id_of,
    metadata_of,
    tile_in,
    tiles_in,
)
from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import Box
from tileserver.contract.tiles import Tile, tiles_within
from tileserver.rasters.roots import Root
from tileserver.rendering.pmtiles import tile_id, write_pmtiles
from tileserver.server.app import create_app


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Ask a server of a raster near zero, and of one across the antimeridian."""
    folder = tmp_path_factory.mktemp("exports")
    rows, columns = np.mgrid[0:300, 0:400]
    values = np.stack([rows, columns, rows + columns]).astype(np.uint16)
    grid = Affine(0.01, 0, 10, 0, -0.01, 5)
    write_raster(folder / "scene.tif", values, "EPSG:4326", grid, mask=columns > 40)
    east = Affine(0.05, 0, 175, 0, -0.05, -10)
    write_raster(folder / "fiji.tif", values[:1, :200, :200], "EPSG:4326", east)
    app = create_app(Config(), [Root(str(folder))])
    with serve(app) as url, httpx.Client(base_url=url, timeout=100) as client:
        yield client


def exported(client: httpx.Client, path: str) -> bytes:
    answer = client.get(path).raise_for_status()
    assert answer.headers["content-type"] == "application/vnd.pmtiles"
    return answer.content


def test_the_reader_of_pmtiles_finds_every_tile_as_the_server_has_it(client: httpx.Client) -> None:
    file = exported(client, "/export/scene.pmtiles?maxzoom=7&min=0&max=400")
    header, listed = header_of(file), client.get("/tilejson/scene.json").json()
    assert (header["min_zoom"], header["max_zoom"]) == (0, 7)
    assert (header["tile_type"], header["tile_compression"]) == (PNG, UNCOMPRESSED)
    sides = [header[f"{name}_e7"] / 1e7 for name in ("min_lon", "min_lat", "max_lon", "max_lat")]
    np.testing.assert_allclose(sides, listed["bounds"], atol=1e-6)
    assert metadata_of(file)["name"] == "scene"
    found = tiles_in(file)
    assert {z for z, _, _ in found} == set(range(8))
    for (z, x, y), body in found.items():
        assert body == client.get(f"/tiles/scene/{z}/{x}/{y}.png?min=0&max=400").content
    # What is left out is empty, or outside.
    columns, rows = tiles_within(Box(*listed["bounds"]), 7)
    for x in range(columns.start - 1, columns.stop + 1):
        for y in range(rows.start - 1, rows.stop + 1):
            if (7, x, y) not in found:
                body = client.get(f"/tiles/scene/7/{x}/{y}.png").content
                picture = np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))
                assert picture[..., 3].max() == 0


def test_an_area_across_the_antimeridian_has_tiles_on_both_sides(client: httpx.Client) -> None:
    file = exported(client, "/export/fiji.pmtiles?maxzoom=5&format=webp&bbox=178,-18,-178,-12")
    columns = {x for z, x, _ in tiles_in(file) if z == 5}
    assert columns == {0, 31}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("scene.pmtiles?maxzoom=20", "maxzoom: 20 makes"),
        ("scene.pmtiles?maxzoom=25", "maxzoom: expected a whole number from 0 to 24"),
        ("scene.pmtiles?bbox=1,2,3", "bbox: expected west,south,east,north"),
        ("scene.pmtiles?bbox=-60,-60,-50,-50", "bbox: nothing shows in it"),
        ("scene.pmtiles?format=npy", "format: expected one of png"),
        ("scene.pmtiles?format=bmp", "suffix: expected one of"),
        ("scene.mbtiles", "suffix: expected one of .html, .pmtiles"),
        ("scene.html?min=x", "min: expected a number"),
    ],
)
def test_what_cannot_be_exported_is_refused(client: httpx.Client, query: str, message: str) -> None:
    answer = client.get(f"/export/{query}")
    assert (answer.status_code, message in answer.text) == (400, True), answer.text


def test_a_refusal_of_too_many_tiles_says_what_would_do(client: httpx.Client) -> None:
    text = client.get("/export/scene.pmtiles?maxzoom=20").text
    found = re.search(r"expected maxzoom=(\d+)", text)
    assert found is not None
    assert int(found[1]) < 20
    assert client.get("/export/nothing.pmtiles").status_code == 404


def test_the_map_in_one_file_has_exact_values_and_stays_below_its_limit(
    client: httpx.Client,
) -> None:
    answer = client.get("/export/scene.html").raise_for_status()
    assert answer.headers["content-type"].startswith("text/html")
    assert len(answer.content) <= 5_000_000
    parts = dict(
        re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', answer.text)
    )
    about, stored = json.loads(parts["about"]), json.loads(parts["stored"])
    zoom = about["maxzoom"]
    assert zoom >= 5
    assert [band["dtype"] for band in about["bands"]] == ["uint16"] * 3
    name, text = next(iter(stored.items()))
    body = zlib.decompress(b64decode(text))
    array = np.load(io.BytesIO(client.get(f"/tiles/scene/{name}.npy").content))
    size = 8192 + 131072
    for band, values in enumerate(array.dtype.names):
        part = body[band * size : (band + 1) * size]
        found = np.frombuffer(part[8192:], "<u2").reshape(256, 256)
        np.testing.assert_array_equal(found, array[values])
    assert name.startswith(f"{zoom}/")


def test_leaf_directories_are_read_too() -> None:
    tiles = [(Tile(x, y, 8), b"%d" % (x * y % 251)) for x in range(256) for y in range(256)]
    body = write_pmtiles(
        tiles, ImageFileFormat.PNG, Box(-180, -85, 180, 85), (0.0, 0.0, 1), {"name": "é"}
    )
    assert header_of(body)["leaf_directory_length"] > 0
    for tile, expected in tiles[::4999]:
        assert tile_in(body, tile.z, tile.x, tile.y) == expected
        assert tile_id(tile) == id_of(tile.z, tile.x, tile.y)
    assert tile_in(body, 7, 0, 0) is None
