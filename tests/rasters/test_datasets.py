from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.errors import RasterioIOError

from tests.support.limits import SOON_S
from tests.support.rasterfiles import noise, write_raster
from tileserver.errors import AssetChanged, UnreadableRaster
from tileserver.rasters.dataset_pool import DatasetPool
from tileserver.rasters.datasets import gdal_environment, open_raster
from tileserver.rasters.files import Place, SeenFile, find_file
from tileserver.rasters.remote.places import is_remote

VRT = """<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename>{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("scheme", ["s3", "gs", "https", "http", "HTTPS"])
def test_urls_are_remote(scheme: str) -> None:
    assert is_remote(f"{scheme}://bucket/scene.tif")


@pytest.mark.parametrize(
    "path", ["/data/s3.tif", "s3/scene.tif", "file:///a.tif", "/vsicurl/http://a"]
)
def test_all_else_is_not(path: str) -> None:
    assert not is_remote(path)


def test_a_level_is_opened_as_if_it_were_the_image(tmp_path: Path) -> None:
    path = str(write_raster(tmp_path / "a.tif", noise(2, 300, 401)))
    with gdal_environment():
        shapes = [open_raster(path, "a", level).shape for level in (None, 0, 1)]
    assert shapes == [(300, 401), (150, 201), (75, 101)]


@pytest.mark.parametrize("body", [b"", b"not a raster", b"II*\x00\x08\x00\x00\x00"])
def test_what_is_no_geotiff_is_unreadable_and_shows_no_path(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "secret.tif"
    path.write_bytes(body)
    with gdal_environment(), pytest.raises(UnreadableRaster, match="asset: not a") as caught:
        open_raster(str(path), "asset")
    assert "secret" not in str(caught.value)


def test_a_vrt_under_the_name_of_a_geotiff_is_not_opened(tmp_path: Path) -> None:
    inner = write_raster(tmp_path / "inner.tif", noise(1, 9, 9, "uint8"))
    path = tmp_path / "a.tif"
    path.write_text(VRT.format(inner))
    with gdal_environment(), pytest.raises(UnreadableRaster):
        open_raster(str(path), "asset")


def test_a_dataset_is_lent_again_and_two_at_once_are_two(tmp_path: Path) -> None:
    path = str(write_raster(tmp_path / "a.tif", noise(1, 60, 60)))
    pool = DatasetPool()
    with gdal_environment():
        with (
            pool.borrow(path, "v1", "a", None) as first,
            pool.borrow(path, "v1", "a", None) as second,
        ):
            assert first is not second
        with pool.borrow(path, "v1", "a", None) as again:
            assert again in (first, second)
        with pool.borrow(path, "v2", "a", None) as newer:
            assert newer not in (first, second)
        with pool.borrow(path, "v1", "a", 0) as overview:
            assert overview.shape == (30, 30)
    pool.close()
    assert all(dataset.closed for dataset in (first, second, newer, overview))


def test_no_more_than_so_many_stay_open(tmp_path: Path) -> None:
    path = str(write_raster(tmp_path / "a.tif", noise(1, 60, 60)))
    pool = DatasetPool(max_idle=2)
    lent = []
    with gdal_environment():
        for version in ("v1", "v2", "v3"):
            with pool.borrow(path, version, "a", None) as dataset:
                lent.append(dataset)
    assert [dataset.closed for dataset in lent] == [True, False, False]
    pool.close()


@pytest.mark.parametrize("error", [RasterioIOError("x"), OSError("x")])
def test_a_dataset_that_failed_is_closed_and_the_error_names_the_asset(
    tmp_path: Path, error: Exception
) -> None:
    path = str(write_raster(tmp_path / "a.tif", noise(1, 60, 60)))
    pool = DatasetPool()

    def fail() -> None:
        with gdal_environment(), pool.borrow(path, "v1", "asset", None) as dataset:
            lent.append(dataset)
            raise error

    lent: list[object] = []
    with pytest.raises(UnreadableRaster, match="asset: the GeoTIFF is damaged or out of reach"):
        fail()
    assert all(getattr(dataset, "closed", False) for dataset in lent)
    with gdal_environment(), pool.borrow(path, "v1", "asset", None) as fresh:
        assert fresh not in lent


def test_a_truncated_file_is_damaged(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 600, 600), overviews=())
    path.write_bytes(path.read_bytes()[:200_000])
    pool = DatasetPool()

    def read() -> None:
        with gdal_environment(), pool.borrow(str(path), "v1", "asset", None) as dataset:
            assert np.any(dataset.read())

    with pytest.raises(UnreadableRaster, match="asset: "):
        read()


def seen(path: Path) -> SeenFile:
    found = find_file(Place(str(path.parent), path.name))
    assert found is not None
    return found


def test_what_is_lent_is_the_file_that_was_seen(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 60, 60, seed=1))
    before, pool = seen(path), DatasetPool()

    def read() -> Any:
        with (
            gdal_environment(),
            pool.borrow(str(path), "v1", "a", None, before) as dataset,
        ):
            return dataset.read()

    assert np.array_equal(read(), noise(1, 60, 60, seed=1))
    os.replace(write_raster(tmp_path / "b.tif", noise(1, 60, 60, seed=2)), path)
    for _ in range(2):
        with pytest.raises(AssetChanged, match="'a' changed"):
            read()
    pool.close()


def test_a_file_that_is_damaged_while_it_is_lent_has_changed(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 900, 900))
    before, pool = seen(path), DatasetPool()

    def read() -> None:
        with gdal_environment(), pool.borrow(str(path), "v1", "a", None, before) as dataset:
            os.truncate(path, 500)
            dataset.read()

    with pytest.raises(AssetChanged):
        read()
    pool.close()


def test_what_is_gone_is_closed_without_anybody_asking(tmp_path: Path) -> None:
    paths = [write_raster(tmp_path / f"{name}.tif", noise(1, 60, 60)) for name in "ab"]
    pool, lent = DatasetPool(sweep_s=0.05), []
    for path in paths:
        with (
            gdal_environment(),
            pool.borrow(str(path), "v1", "a", None, seen(path)) as dataset,
        ):
            lent.append(dataset)
    paths[0].unlink()
    deadline = time.monotonic() + SOON_S
    while not lent[0].closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not lent[1].closed
    pool.close()
    assert lent[1].closed


def test_a_pool_that_nobody_has_ends_with_all_it_holds(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 60, 60))
    before = len(os.listdir("/proc/self/fd"))
    pool = DatasetPool(sweep_s=0.01)
    with gdal_environment(), pool.borrow(str(path), "v1", "a", None, seen(path)):
        pass
    assert len(os.listdir("/proc/self/fd")) == before + 2
    del pool
    deadline = time.monotonic() + SOON_S
    while len(os.listdir("/proc/self/fd")) > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
