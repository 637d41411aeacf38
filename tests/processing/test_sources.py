"""Processing of images that lie in several files: bands of one scene, and mosaics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.warp import Resampling as Gdal
from rasterio.warp import reproject

from tests.processing.conftest import Client
from tests.support.rasterfiles import affine, noise, write_raster
from tileserver.config.config import Config, RasterFolder
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.tiles import Tile, tile_grid

ZOOM, X, Y = 13, 4322, 3000
GRID = tile_grid(Tile(X, Y, ZOOM))


def around(side: int) -> PixelGrid:
    """The tile's pixels and those around it, 512 pixels on a side."""
    return GRID.window(Window(-128, -128, side, side))


def warped(path: Path, method: str) -> NDArray[Any]:
    """What GDAL makes of a raster on pixels half as large, in the north-west of the tile."""
    quarter = tile_grid(Tile(2 * X, 2 * Y, ZOOM + 1))
    with rasterio.open(path) as dataset:
        made = np.zeros((256, 256), dataset.dtypes[0])
        place = affine(quarter.transform)
        source = rasterio.band(dataset, 1)
        to = {"dst_transform": place, "dst_crs": "EPSG:3857", "resampling": Gdal[method]}
        reproject(source, made, tolerance=0, **to)
    return made


@pytest.fixture(scope="module")
def bands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file a band, of types and resolutions of their own."""
    folder = tmp_path_factory.mktemp("scene") / "S2X"
    folder.mkdir()
    fine, coarse = around(512), around(512).coarsened(256, 256)
    for name, grid, dtype in (
        ("B04", fine, "uint16"),
        ("B08", fine, "uint16"),
        ("B11", coarse, "uint8"),
    ):
        values = noise(1, grid.height, grid.width, dtype, seed=int(name[1:]))
        place = affine(grid.transform)
        write_raster(folder / f"{name}.tif", values, "EPSG:3857", place, overviews=())
    return folder


@pytest.fixture(scope="module")
def of_bands(bands: Path, serving: Callable[..., Client]) -> Client:
    return serving(bands)


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
@pytest.mark.parametrize("band", ["B04", "B11"])
def test_each_band_is_resampled_from_its_own_pixels(
    of_bands: Client, bands: Path, method: str, band: str
) -> None:
    name = of_bands.get("/layers").json()["layers"][0]["name"]
    ids = [each["id"] for each in of_bands.get(f"/info/{name}").json()["bands"]]
    assert len(ids) == 3
    (band_id,) = [each for each in ids if band in each or band.replace("B0", "B") in each]
    path = f"/tiles/{name}/{ZOOM + 1}/{2 * X}/{2 * Y}.npy"
    found = of_bands.bands(path, bands=band_id, resampling=method)[band_id]
    expected = warped(bands / f"{band}.tif", method)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_formula_over_files_is_that_of_their_values(of_bands: Client, bands: Path) -> None:
    name = of_bands.get("/layers").json()["layers"][0]["name"]
    red, infrared, _ = (each["id"] for each in of_bands.get(f"/info/{name}").json()["bands"])
    found = of_bands.bands(f"/tiles/{name}/{ZOOM}/{X}/{Y}.npy", expression=f"{infrared} - {red}")
    arrays = []
    for file in ("B04", "B08"):
        with rasterio.open(bands / f"{file}.tif") as dataset:
            arrays.append(dataset.read(1)[128:384, 128:384].astype(float))
    np.testing.assert_array_equal(found["expression"], arrays[1] - arrays[0])


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A raster, and a folder of its western and its eastern half."""
    folder = tmp_path_factory.mktemp("mosaic")
    whole, parts = around(512), folder / "parts"
    parts.mkdir()
    rows, columns = np.mgrid[0:512, 0:512]
    values = (500 + 100 * np.sin(columns / 20) * np.cos(rows / 30)).astype("float32")[None]
    one = folder / "whole.tif"
    write_raster(one, values, "EPSG:3857", affine(whole.transform), overviews=())
    for name, start in (("west", 0), ("east", 256)):
        half = whole.window(Window(start, 0, 256, 512))
        part = values[:, :, start : start + 256]
        place = affine(half.transform)
        write_raster(parts / f"{name}.tif", part, "EPSG:3857", place, overviews=())
    return one, parts


@pytest.mark.parametrize(
    "parameters",
    [
        {"algorithm": "hillshade", "resampling": "nearest"},
        {"algorithm": "slope"},
        {"resampling": "bilinear"},
        {"expression": "b1 * 2"},
        {"nodata": 500},
    ],
    ids=lambda each: "-".join(each),
)
def test_a_mosaic_is_processed_across_its_files_without_a_seam(
    halves: tuple[Path, Path], serving: Callable[..., Client], parameters: dict[str, Any]
) -> None:
    one, parts = halves
    whole = serving(one)
    folder = RasterFolder(str(parts), mosaic=True)
    mosaic = serving(one, Config(rasters=(folder,)))
    tile = f"{ZOOM + 1}/{2 * X}/{2 * Y}.npy"
    (name,) = mosaic.bands(f"/tiles/whole/{tile}", **parameters)
    expected = whole.bands(f"/tiles/whole/{tile}", **parameters)[name].astype(float)
    found = mosaic.bands(f"/tiles/projects/localhost/assets/parts/{tile}", **parameters)[name]
    np.testing.assert_allclose(found.astype(float), expected, atol=1e-3)
