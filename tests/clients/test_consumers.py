"""Programs that people have, reading our tiles: GDAL and QGIS."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image

from tests.support.qgis import painted, picture
from tests.support.serving import serve
from tileserver.contract.tiles import HALF_WORLD_M, Tile, tile_grid
from tileserver.server.app import create_app
from tileserver.server.get_pixels import find_config

LAKE = Tile(95, 192, 9)
GDAL_TMS = """<GDAL_WMS>
  <Service name="TMS"><ServerUrl>{url}</ServerUrl></Service>
  <DataWindow>
    <UpperLeftX>-{half}</UpperLeftX><UpperLeftY>{half}</UpperLeftY>
    <LowerRightX>{half}</LowerRightX><LowerRightY>-{half}</LowerRightY>
    <TileLevel>9</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY>
    <YOrigin>top</YOrigin>
  </DataWindow>
  <Projection>EPSG:3857</Projection>
  <BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>
  <BandsCount>4</BandsCount>
</GDAL_WMS>"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(create_app(find_config(None, {}, {}))) as url:
        yield url


def tiles_url(url: str, name: str) -> str:
    layers: list[dict[str, Any]] = httpx.get(f"{url}/layers", timeout=60).json()["layers"]
    return next(str(each["tiles"]) for each in layers if each["name"] == name)


def extent(tile: Tile) -> tuple[float, float, float, float]:
    """West, south, east, north in EPSG:3857 metres."""
    transform = tile_grid(tile).transform
    (west, north), (east, south) = transform.apply(0, 0), transform.apply(256, 256)
    return west, south, east, north


@pytest.mark.skipif(not shutil.which("gdal_translate"), reason="gdal_translate is not installed")
def test_gdal_reads_the_tiles_pixel_by_pixel(url: str, tmp_path: Path) -> None:
    template = tiles_url(url, "great-salt-lake")
    for part in "zxy":
        template = template.replace(f"{{{part}}}", f"${{{part}}}")
    source = tmp_path / "tiles.xml"
    source.write_text(GDAL_TMS.format(url=escape(template), half=repr(HALF_WORLD_M)))
    environment = {**os.environ, "GDAL_PAM_ENABLED": "NO"}
    # rasterio's own PROJ data may be too new for this GDAL.
    for name in ("PROJ_LIB", "PROJ_DATA", "GDAL_DATA"):
        environment.pop(name, None)
    info = subprocess.run(
        ["gdalinfo", str(source)], capture_output=True, text=True, env=environment, timeout=60
    )
    assert (info.returncode, "131072, 131072" in info.stdout) == (0, True), info.stderr
    west, south, east, north = extent(LAKE)
    window = map(repr, (west, north, east, south))
    command = ["gdal_translate", "-q", "-projwin", *window, str(source), str(tmp_path / "o.tif")]
    made = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert made.returncode == 0, made.stderr
    with rasterio.open(tmp_path / "o.tif") as dataset:
        pixels = np.moveaxis(dataset.read(), 0, -1)
    body = httpx.get(tiles_url(url, "great-salt-lake").format(**LAKE._asdict()), timeout=60).content
    np.testing.assert_array_equal(pixels, picture(body))
    assert pixels[..., 3].any()


@pytest.mark.usefixtures("qgis")
def test_qgis_paints_the_layer_that_layers_tells_of(url: str, tmp_path: Path) -> None:
    template = tiles_url(url, "great-salt-lake")
    found = painted(template, extent(LAKE), tmp_path, side=512, zmax=9)
    body = httpx.get(template.format(**LAKE._asdict()), timeout=60).content
    expected = np.asarray(
        Image.fromarray(picture(body)).resize((512, 512), Image.Resampling.NEAREST)
    )
    assert (found[..., 3] > 0).mean() == pytest.approx((expected[..., 3] > 0).mean(), abs=0.05)
    shown = (found[..., 3] == 255) & (expected[..., 3] == 255)
    difference = np.abs(found[shown].astype(float) - expected[shown])
    assert difference.mean() < 20
