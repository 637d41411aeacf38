"""Downloaders people use, geedim and cubexpress, get our pixels."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio

from tests.clients.conftest import Served
from tests.clients.rasters import (
    BANDS,
    COUNT,
    HEIGHTS,
    S2,
    S2_BEST,
    SCENE,
    SERIES,
    SIDE,
    heights,
    scene,
    series,
    start_of,
)
from tests.clients.values import NORTH, UTM, WEST
from tests.support.oracles import pixels_of
from tests.support.rasterfiles import grid_of

pytestmark = pytest.mark.filterwarnings("ignore")
NATIVE = {"crs": UTM, "crs_transform": [30, 0, WEST, 0, -30, NORTH], "shape": (SIDE, SIDE)}


@pytest.fixture(scope="module")
def geedim(ee: ModuleType) -> Any:
    """Return geedim, which gives images and collections the attribute `gd`."""
    return pytest.importorskip("geedim", exc_type=ImportError)


@pytest.fixture(scope="module")
def cubexpress(ee: ModuleType) -> Any:
    return pytest.importorskip("cubexpress", exc_type=ImportError)


def test_geedim_describes_an_image(ee: ModuleType, geedim: Any) -> None:
    image = ee.Image(SCENE).gd
    assert (image.crs, image.shape, image.dtype, image.scale) == (UTM, (SIDE, SIDE), "uint16", 30)
    assert tuple(image.transform)[:6] == (30, 0, WEST, 0, -30, NORTH)
    assert image.bandNames == list(BANDS)


@pytest.mark.parametrize("most_px", [SIDE, 50])
def test_geedim_gets_an_array_in_tiles(ee: ModuleType, geedim: Any, most_px: int) -> None:
    array = ee.Image(SCENE).gd.toNumPy(max_tile_dim=most_px)
    assert array.dtype == np.uint16
    np.testing.assert_array_equal(array, np.moveaxis(scene(), 0, -1))


def test_geedim_gets_floats(ee: ModuleType, geedim: Any) -> None:
    array = ee.Image(HEIGHTS).gd.toNumPy()
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array[..., 0], heights().filled(-np.inf))


def test_geedim_gets_masks(ee: ModuleType, geedim: Any) -> None:
    array = ee.Image(HEIGHTS).gd.toNumPy(masked=True)
    np.testing.assert_array_equal(array.mask[..., 0], heights().mask)
    np.testing.assert_array_equal(array[..., 0].compressed(), heights().compressed())


def test_geedim_writes_a_geotiff_of_a_computed_image(
    ee: ModuleType, geedim: Any, tmp_path: Path
) -> None:
    path = tmp_path / "half.tif"
    image = ee.Image(SCENE).divide(2).floor().toUint16().gd.prepareForExport(**NATIVE)
    image.gd.toGeoTIFF(path, max_tile_dim=60)
    with rasterio.open(path) as dataset:
        assert (dataset.crs.to_string(), dataset.descriptions) == (UTM, BANDS)
        np.testing.assert_array_equal(dataset.read(), scene() // 2)


def test_geedim_makes_a_composite(ee: ModuleType, geedim: Any) -> None:
    bands = ee.ImageCollection(SERIES).select(["B4", "B8"])
    image = bands.gd.composite(method="median", mask=False).select(["B4", "B8"])
    array = image.gd.prepareForExport(**NATIVE, dtype="float64").gd.toNumPy()
    medians = np.median(series()[:, :2], axis=0)
    np.testing.assert_allclose(array, np.moveaxis(medians, 0, -1))


def test_geedim_finds_images_by_time(ee: ModuleType, geedim: Any) -> None:
    found = ee.ImageCollection(SERIES).gd.filter("2020-04-05", "2020-05-05").gd.properties
    wanted = [i for i in range(COUNT) if "2020-04-05" <= f"{start_of(i):%Y-%m-%d}" < "2020-05-05"]
    assert [each["system:index"] for each in found.values()] == [f"t{i}" for i in wanted]


def test_geedim_tells_how_much_is_not_masked(ee: ModuleType, geedim: Any) -> None:
    told = ee.Image(HEIGHTS).mask().gd.regionCoverage().getInfo()
    share = 100 * (~heights().mask).mean()
    assert told["elevation"] == pytest.approx(share, rel=0.02)


def test_cubexpress_finds_images_and_downloads_them(
    ee: ModuleType, cubexpress: Any, served: Served, tmp_path: Path
) -> None:
    place = cubexpress.point_to_rt(lon=-121.58, lat=38.05, width=64, height=48, scale=10)
    table = cubexpress.discover_images(S2, place, "2020-04-01", "2020-09-01")
    (row,) = table.df.itertuples()
    assert S2_BEST[:8] in row.id
    result = cubexpress.express(table.select_bands("B4", "B3", "B2"), str(tmp_path))
    assert (result.n_succeeded, result.n_failed) == (1, 0)
    (path,) = tmp_path.rglob("*.tif")
    with rasterio.open(path) as dataset:
        values, transform = dataset.read(), dataset.transform
        assert (dataset.crs.to_string(), dataset.shape) == ("EPSG:32610", (48, 64))
    grid = grid_of(64, 48, transform, "EPSG:32610")
    oracle = pixels_of(served.folder / f"public/{S2}/{S2_BEST}.tif", grid)
    clear = ~oracle.on_edge
    np.testing.assert_array_equal(values[:, clear], oracle.values[[2, 1, 0]][:, clear])


def test_cubexpress_knows_the_pixels_of_an_image(ee: ModuleType, cubexpress: Any) -> None:
    found = cubexpress.asset_to_rt(SCENE)
    assert (found.crs, found.width, found.height) == (UTM, SIDE, SIDE)
    assert (found.translate_x, found.translate_y, found.scale_x) == (WEST, NORTH, 30)
