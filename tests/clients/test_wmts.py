"""GDAL and QGIS read WMTS, in several projections; their pixels are those of our tiles."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import warp

from tests.support.qgis import picture
from tests.support.qgis_wmts import View, painted_views
from tests.support.serving import serve
from tileserver.contract.grids import PixelGrid
from tileserver.contract.matrix_sets import matrix_set
from tileserver.server.app import create_app
from tileserver.server.get_pixels import find_config

LAYER = "great-salt-lake"
STYLE = "bands=B3%2CB2%2CB1&min=20&max=160"


class Tile(NamedTuple):
    """A tile that shows a part of the layer."""

    matrix_set: str
    zoom: str
    column: int
    row: int

    @property
    def grid(self) -> PixelGrid:
        found = matrix_set(self.matrix_set)
        return found.grid(found.matrix(self.zoom), self.column, self.row)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(create_app(find_config(None, {}, {}))) as url:
        yield url


def tile_in_the_middle(url: str, name: str, zoom: str | None = None) -> Tile:
    """Return a tile of the layer's middle, at the deepest zoom that the capabilities name."""
    west, south, east, north = httpx.get(f"{url}/info/{LAYER}", timeout=60).json()["bounds"]
    found = matrix_set(name)
    (x,), (y,) = warp.transform(
        "EPSG:4326", found.crs_code, [(west + east) / 2], [(south + north) / 2]
    )
    matrix = found.matrix(zoom or deepest(url, name))
    side = matrix.cell * 256
    return Tile(name, matrix.id, int((x - matrix.left) // side), int((matrix.top - y) // side))


def deepest(url: str, name: str) -> str:
    from owslib.wmts import WebMapTileService

    service = WebMapTileService(f"{url}/wmts/{LAYER}?{STYLE}")
    limits = service.contents[LAYER].tilematrixsetlinks[name].tilematrixlimits
    return str(max(map(int, limits)))


def tile_of(url: str, tile: Tile) -> NDArray[np.uint8]:
    """Return the pixels of our tile, shape (256, 256, 4)."""
    path = f"/tiles/{LAYER}/{tile.zoom}/{tile.column}/{tile.row}.png"
    answer = httpx.get(f"{url}{path}?{STYLE}&tms={tile.matrix_set}", timeout=60)
    assert answer.status_code == 200, answer.text
    pixels = picture(answer.content)
    assert pixels[..., 3].any()
    return pixels


def run(folder: Path, *command: str) -> str:
    environment = {
        **os.environ,
        "GDAL_PAM_ENABLED": "NO",
        "GDAL_DEFAULT_WMS_CACHE_PATH": str(folder / "cache"),
        "HOME": str(folder),
    }
    # rasterio's own PROJ data may be too new for this GDAL.
    for name in ("PROJ_LIB", "PROJ_DATA", "GDAL_DATA"):
        environment.pop(name, None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which("gdal_translate"), reason="gdal_translate is not installed")
@pytest.mark.parametrize("name", ["WebMercatorQuad", "WGS1984Quad", "CanadianNAD83_LCC"])
def test_gdal_reads_the_pixels_of_our_tiles(url: str, tmp_path: Path, name: str) -> None:
    tile = tile_in_the_middle(url, name)
    grid = tile.grid
    source = f"WMTS:{url}/wmts/{LAYER}?{STYLE},layer={LAYER},tilematrixset={name}"
    info = run(tmp_path, "gdalinfo", source)
    assert "Band 4" in info
    west, south, east, north = grid.box
    window = map(repr, (west, north, east, south))
    target = tmp_path / "out.tif"
    run(tmp_path, "gdal_translate", "-q", "-projwin", *window, source, str(target))
    with rasterio.open(target) as dataset:
        assert dataset.shape == (256, 256)
        found = tuple(dataset.transform)[:6]
        expected = grid.transform.members
        assert found == pytest.approx(expected, rel=1e-9, abs=grid.transform.scale_x * 1e-3)
        pixels = np.moveaxis(dataset.read(), 0, -1)
    np.testing.assert_array_equal(pixels, tile_of(url, tile))


@pytest.mark.skipif(not shutil.which("gdalinfo"), reason="gdalinfo is not installed")
def test_gdal_lists_the_layers(url: str, tmp_path: Path) -> None:
    info = run(tmp_path, "gdalinfo", f"WMTS:{url}/wmts")
    layers = httpx.get(f"{url}/layers", timeout=60).json()["layers"]
    assert len(layers) > 2
    assert all(f"layer={each['name']}" in info for each in layers)


@pytest.mark.skipif(not shutil.which("gdalinfo"), reason="gdalinfo is not installed")
def test_gdal_lists_the_collections_of_ogcs_api(url: str, tmp_path: Path) -> None:
    info = run(tmp_path, "gdalinfo", f"OGCAPI:{url}/ogc")
    layers = httpx.get(f"{url}/layers", timeout=60).json()["layers"]
    assert all(f"/ogc/collections/{each['name']}" in info for each in layers)


@pytest.mark.usefixtures("qgis")
def test_qgis_paints_the_pixels_of_our_tiles(url: str, tmp_path: Path) -> None:
    names = {
        "WebMercatorQuad": "EPSG:3857",
        "WGS1984Quad": "EPSG:4326",
        "CanadianNAD83_LCC": "EPSG:3978",
    }
    tiles = [tile_in_the_middle(url, name) for name in names]
    views = [
        View(f"{url}/wmts/{LAYER}?{STYLE}", LAYER, each.matrix_set, crs, each.grid.box)
        for each, crs in zip(tiles, names.values(), strict=True)
    ]
    for tile, found in zip(tiles, painted_views(views, tmp_path), strict=True):
        np.testing.assert_array_equal(found, tile_of(url, tile), err_msg=tile.matrix_set)
