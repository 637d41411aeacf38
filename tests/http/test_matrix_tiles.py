"""Tiles of other tile matrix sets over HTTP, their pixels against GDAL's own reprojection."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject

from tests.support.oracles import _places, pixels_of
from tests.support.rasterfiles import affine, noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.contract.grids import PixelGrid
from tileserver.contract.matrix_sets import matrix_set
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

WORLD = Affine(0.25, 0, -180, 0, -0.25, 90)
TOLERANCE_PX = 0.125
"""How far off the places of pixels may be that gdalwarp interpolates, by default."""
STYLE = {"bands": "B1", "min": "0", "max": "255"}
TILES = [
    ("WorldCRS84Quad", 2, 3, 1),
    ("WGS1984Quad", 2, 3, 1),
    ("WorldMercatorWGS84Quad", 2, 1, 1),
    ("EuropeanETRS89_LAEAQuad", 1, 1, 0),
    ("CanadianNAD83_LCC", 1, 2, 5),
    ("NZTM2000Quad", 2, 1, 2),
    ("UPSArcticWGS84Quad", 3, 3, 4),
    ("UPSAntarcticWGS84Quad", 3, 4, 3),
    ("EPSG3413", 1, 0, 1),
    ("EPSG3031", 1, 1, 1),
]
"""Set, zoom, column and row, where the map has pixels about as large as the raster's or smaller."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a raster of the world, and one of Utah."""
    folder = tmp_path_factory.mktemp("sets")
    world = {"crs": "EPSG:4326", "transform": WORLD, "overviews": (), "descriptions": ["B1"]}
    write_raster(folder / "world.tif", noise(1, 720, 1440, "uint8"), **world)
    write_raster(
        folder / "utah.tif", noise(1, 300, 300, "uint8"), overviews=(), descriptions=["B1"]
    )
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with (
        serve(create_app(Config(), [Root(str(folder))])) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def grey(body: bytes) -> NDArray[np.uint8]:
    """Return grey and alpha of a picture, shape (2, height, width)."""
    return np.moveaxis(np.asarray(Image.open(io.BytesIO(body)).convert("LA")), -1, 0)


def warped(path: Path, grid: PixelGrid) -> NDArray[Any]:
    """Return what GDAL makes of a raster on a grid, zero where it has nothing."""
    made = np.zeros((grid.height, grid.width), np.uint8)
    with rasterio.open(path) as dataset:
        reproject(
            rasterio.band(dataset, 1),
            made,
            dst_transform=affine(grid.transform),
            dst_crs=CRS.from_string(grid.crs_code),
            resampling=Resampling.nearest,
        )
    return made


def off_edges(path: Path, grid: PixelGrid) -> NDArray[np.float64]:
    """Return how far the centres of a grid's pixels lie off the edges of a raster's, in pixels."""
    with rasterio.open(path) as dataset:
        places = _places(dataset, grid)
    off: NDArray[np.float64] = np.min([np.abs(each - np.round(each)) for each in places], axis=0)
    return off


@pytest.mark.parametrize(("name", "zoom", "column", "row"), TILES)
def test_a_tile_has_the_pixels_that_gdal_reprojects(
    client: httpx.Client, folder: Path, name: str, zoom: int, column: int, row: int
) -> None:
    found = matrix_set(name)
    grid = found.grid(found.matrix(str(zoom)), column, row)
    path = f"/tiles/world/{zoom}/{column}/{row}"
    answer = client.get(f"{path}.png", params={**STYLE, "tms": name})
    assert answer.status_code == 200, answer.text
    ours, theirs = grey(answer.content), warped(folder / "world.tif", grid)
    oracle = pixels_of(folder / "world.tif", grid)
    clear = oracle.valid[0] & ~oracle.on_edge
    assert clear.mean() > 0.2
    assert (ours[1][clear] == 255).all()
    np.testing.assert_array_equal(ours[0][clear], oracle.values[0][clear])
    differs = clear & (ours[0] != theirs)
    assert differs.mean() < 0.05
    assert (off_edges(folder / "world.tif", grid)[differs] < TOLERANCE_PX).all()
    raw = client.get(f"{path}.npy", params={"tms": name})
    values = np.load(io.BytesIO(raw.content))["B1"]
    np.testing.assert_array_equal(values[clear], ours[0][clear])


def test_web_mercator_by_its_name_is_the_same_tile(client: httpx.Client) -> None:
    plain = client.get("/tiles/utah/11/386/768.png")
    named = client.get("/tiles/utah/11/386/768.png", params={"tms": "WebMercatorQuad"})
    assert named.content == plain.content
    assert named.headers["etag"] == plain.headers["etag"]
    # Its pixels were in memory already.
    assert "hit" in named.headers["cache-status"]


def test_tiles_have_the_headers_of_others(client: httpx.Client) -> None:
    url = "/tiles/world/2/3/1.png?tms=WorldCRS84Quad"
    first, again = client.get(url), client.get(url)
    assert "fwd=miss" in first.headers["cache-status"] or "hit" in first.headers["cache-status"]
    assert "hit" in again.headers["cache-status"]
    assert again.content == first.content
    same = client.get(url, headers={"if-none-match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert first.headers["access-control-allow-origin"] == "*"
    assert client.head(url).headers["content-length"] == str(len(first.content))
    layers = client.get("/layers").json()["layers"]
    version = next(each["tiles"] for each in layers if each["name"] == "world").partition("v=")[2]
    assert "immutable" in client.get(f"{url}&v={version}").headers["cache-control"]


def test_twice_the_pixels_show_the_same_place(client: httpx.Client, folder: Path) -> None:
    found = matrix_set("WorldCRS84Quad")
    grid = found.grid(found.matrix("2"), 3, 1, 2)
    query = {**STYLE, "tms": "WorldCRS84Quad"}
    picture = grey(client.get("/tiles/world/2/3/1@2x.png", params=query).content)
    assert picture.shape == (2, 512, 512)
    oracle = pixels_of(folder / "world.tif", grid)
    clear = ~oracle.on_edge
    np.testing.assert_array_equal(picture[0][clear], oracle.values[0][clear])


def test_outside_the_layer_a_tile_is_empty(client: httpx.Client) -> None:
    answer = client.get("/tiles/utah/6/10/10.png", params={"tms": "NZTM2000Quad"})
    assert answer.status_code == 200
    assert "outside" in answer.headers["cache-status"]
    assert not grey(answer.content)[1].any()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/tiles/world/0/2/0.png?tms=WorldCRS84Quad", 404, "x in 0 to 1 and y in 0 to 0"),
        ("/tiles/world/30/0/0.png?tms=WorldCRS84Quad", 404, "zoom must be 0 to 23"),
        ("/tiles/world/0/0/0.png?tms=UTM31WGS84Quad", 404, "zoom must be 1 to 24"),
        ("/tiles/world/0/-1/0.png?tms=WorldCRS84Quad", 404, "x in 0 to 1"),
        ("/tiles/world/0/0/0.png?tms=WorldCRS84", 400, "did you mean WorldCRS84Quad"),
        ("/tiles/world/0/0/0.png?tms=", 400, "tms: expected a value"),
        ("/tiles/world/0/0/0.png?tms=../secret", 400, "unknown tile matrix set"),
        ("/tiles/world/0/0/0.png?tms=WorldCRS84Quad&tms=WGS1984Quad", 400, "given twice"),
        ("/tiles/world/0/0/0.png?tms=WorldCRS84Quad&bnads=B1", 400, "did you mean bands"),
        ("/tiles/world/0/0/0.gif?tms=WorldCRS84Quad", 400, "suffix"),
        ("/tiles/world/0/1e1/0.png?tms=WorldCRS84Quad", 400, "x: expected a whole number"),
        ("/tiles/nothing/0/0/0.png?tms=WorldCRS84Quad", 404, "not found"),
        ("/tiles/world/0/0/0.png?%74ms=WorldCRS84Quad", 400, "unknown parameter 'tms'"),
    ],
)
def test_refusals_are_lines_of_text(
    client: httpx.Client, path: str, status: int, words: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert words in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
