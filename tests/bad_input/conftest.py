from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rasterio import Affine

from tests.bad_input.server import Server
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config, LayerSettings, RasterFolder
from tileserver.server.app import create_app

LONLAT = Affine(0.01, 0.0, -112.0, 0.0, -0.01, 41.0)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose rasters are sound, so that only the request can be wrong.

    rgb has bands B1, B2 and B3; grey has b1; many has more bands than may be asked for; styled
    is B1 of rgb with a style, from 0 to 255.
    """
    folder = tmp_path_factory.mktemp("sound")
    write_raster(folder / "rgb.tif", noise(3, 64, 64, "uint8"), descriptions=["B1", "B2", "B3"])
    write_raster(folder / "grey.tif", noise(1, 64, 64, "int16"), "EPSG:4326", LONLAT)
    write_raster(folder / "many.tif", noise(1025, 2, 2, "uint8"), overviews=())
    with serve(create_app(sound_config(folder))) as url:
        yield Server(url, folder)


def sound_config(folder: Path) -> Config:
    """Return the configuration of the rasters above."""
    layers = [
        LayerSettings(name, f"projects/localhost/assets/{name}") for name in ("rgb", "grey", "many")
    ]
    styled = LayerSettings("styled", layers[0].asset, bands=("B1",), min=(0,), max=(255,))
    return Config(rasters=(RasterFolder(str(folder)),), layers=(styled, *layers))
