"""Bands of different types and resolutions in one image, over HTTP and with real clients."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from os import environ
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from google.auth.credentials import AnonymousCredentials
from PIL import Image
from rasterio.warp import transform

from tests.rest.conftest import LOCAL, Served
from tests.support.scenefiles import BANDS, SIDE_M, write_scene
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

SCENE = f"{LOCAL}/S2A"
IDS = [band.id for band in BANDS]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = write_scene(tmp_path_factory.mktemp("scenes") / "S2A")
    with serve(create_app(Config(), [Root(str(folder))])) as url:
        yield Served(url, folder)


@pytest.fixture(scope="module")
def ee(served: Served) -> Iterator[ModuleType]:
    import ee as official

    anonymous: Any = AnonymousCredentials
    official.Initialize(anonymous(), url=served.url, project="localhost")
    yield official
    official.Reset()


def native(served: Served, band: str) -> Any:
    with rasterio.open(served.folder / f"{band}.tif") as dataset:
        return np.where(dataset.read_masks(1) > 0, dataset.read(1), 0)


def get(served: Served, path: str, **query: Any) -> Any:
    return httpx.get(f"{served.url}{path}", params=query, timeout=60).raise_for_status()


def test_the_scene_is_the_first_layer_and_its_bands_wait_below(served: Served) -> None:
    layers = get(served, "/layers").json()["layers"]
    assert [each["name"] for each in layers] == ["S2A", *sorted(IDS)]
    assert [each["visible"] for each in layers] == [True, *[False] * len(IDS)]
    finest = next(each for each in layers if each["name"] == "B02")
    assert layers[0]["maxzoom"] == finest["maxzoom"]


def test_info_tells_type_and_scale_of_each_band(served: Served) -> None:
    bands = get(served, "/info/S2A").json()["bands"]
    found = [
        (band["id"], band["data_type"], round(band["scale_m"]), band["nodata"]) for band in bands
    ]
    assert found == [(band.id, band.dtype, band.pixel_m, band.nodata) for band in BANDS]


@pytest.mark.parametrize("at", [(11, 11), (1234.5, 987), (1805, 3799), (3839, 2)])
def test_a_point_has_the_pixel_of_each_band(served: Served, at: tuple[float, float]) -> None:
    x, y = 400_000 + at[0], 4_500_000 - at[1]
    (lon,), (lat,) = transform("EPSG:32612", "EPSG:4326", [x], [y])
    values = get(served, "/point/S2A", lon=lon, lat=lat).json()["values"]
    for band in BANDS:
        with rasterio.open(served.folder / f"{band.id}.tif") as dataset:
            (wanted,) = dataset.sample([(x, y)], masked=True)
        expected = None if wanted.mask.any() else wanted[0].item()
        assert values[band.id] == expected


def test_statistics_are_of_all_pixels_of_each_band(served: Served) -> None:
    found = get(served, "/statistics/S2A").json()
    assert list(found) == IDS
    for band in BANDS:
        with rasterio.open(served.folder / f"{band.id}.tif") as dataset:
            values = dataset.read(1, masked=True).compressed()
        assert found[band.id]["count"] == values.size
        assert found[band.id]["min"] == values.min().item()
        assert found[band.id]["mean"] == pytest.approx(values.mean(dtype=np.float64))
    assert list(get(served, "/statistics/S2A", bands="SCL,B01").json()) == ["SCL", "B01"]


def test_a_tile_mixes_resolutions(served: Served) -> None:
    bounds = get(served, "/tilejson/S2A.json").json()["bounds"]
    box = ",".join(map(str, bounds))
    style = {"bands": "B11,B04,B01", "min": 0, "max": 30000, "bbox": box, "width": 200}
    body = get(served, "/preview/S2A.png", **style).content
    picture = np.asarray(Image.open(io.BytesIO(body)))
    assert picture.shape[2] in (3, 4)
    assert picture[50:150, 50:150, 0].std() > 20


def test_the_client_sees_each_band(ee: ModuleType) -> None:
    image = ee.Image(SCENE)
    assert image.bandNames().getInfo() == IDS
    types = image.bandTypes().getInfo()
    assert (types["SCL"]["precision"], types["SCL"]["max"]) == ("int", 255)
    assert types["B8A"]["precision"] == "float"
    info = image.getInfo()["bands"]
    assert [band["crs_transform"][0] for band in info] == [band.pixel_m for band in BANDS]
    assert [band["dimensions"][0] for band in info] == [SIDE_M // band.pixel_m for band in BANDS]
    assert image.select("B8A").projection().nominalScale().getInfo() == pytest.approx(20)
    assert image.select("B02", "B04").projection().getInfo()["transform"][0] == 10
    with pytest.raises(ee.EEException, match="different projections"):
        image.projection().getInfo()


def test_get_pixels_gives_each_band_its_type(ee: ModuleType, served: Served) -> None:
    params = {"assetId": SCENE, "fileFormat": "NUMPY_NDARRAY", "bandIds": ["B02", "SCL", "B8A"]}
    found = ee.data.getPixels(params)
    assert found.dtype == np.dtype([("B02", "<u2"), ("SCL", "u1"), ("B8A", "<f4")])
    np.testing.assert_array_equal(found["B02"], native(served, "B02"))
    for band in ("SCL", "B8A"):
        np.testing.assert_array_equal(found[band], native(served, band).repeat(2, 0).repeat(2, 1))
    one = ee.data.getPixels({**params, "bandIds": ["SCL", "B01"]})
    assert one.shape == (192, 192)
    place = {"type": "Point", "coordinates": [-112.16, 40.63]}
    assert ee.data.getPixels({**params, "region": place}).shape == (1, 1)


def test_geotiffs_hold_all_bands_or_one_each(ee: ModuleType, served: Served) -> None:
    params = {"assetId": SCENE, "fileFormat": "GEO_TIFF", "bandIds": ["SCL", "B8A", "B11"]}
    with rasterio.open(io.BytesIO(ee.data.getPixels(params))) as dataset:
        assert dataset.descriptions == ("SCL", "B8A", "B11")
        for index, band in enumerate(dataset.descriptions, start=1):
            np.testing.assert_array_equal(dataset.read(index), native(served, band))
    one_each = {"fileFormat": "ZIPPED_GEO_TIFF_PER_BAND", "bandIds": params["bandIds"]}
    body = httpx.post(f"{served.url}/v1/{SCENE}:getPixels", json=one_each, timeout=60)
    with zipfile.ZipFile(io.BytesIO(body.content)) as archive:
        for name, kind in (("SCL", "uint8"), ("B8A", "float32"), ("B11", "uint16")):
            with rasterio.open(io.BytesIO(archive.read(f"{name}.tif"))) as dataset:
                assert dataset.dtypes == (kind,)
                np.testing.assert_array_equal(dataset.read(1), native(served, name))


def test_expressions_mix_bands(ee: ModuleType, served: Served) -> None:
    image = ee.Image(SCENE)
    index = image.normalizedDifference(["B02", "B11"]).rename("nd")
    grid = {
        "dimensions": {"width": 384, "height": 384},
        "affineTransform": {
            "scaleX": 10,
            "translateX": 400000,
            "scaleY": -10,
            "translateY": 4500000,
        },
        "crsCode": "EPSG:32612",
    }
    request = {"expression": index, "fileFormat": "NUMPY_NDARRAY", "grid": grid}
    found = ee.data.computePixels(request)["nd"]
    blue = native(served, "B02").astype(float)
    swir = native(served, "B11").astype(float).repeat(2, 0).repeat(2, 1)
    wanted = np.where(blue > 0, (blue - swir) / (blue + swir), 0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    point = ee.Geometry.Point(-112.16, 40.63)
    means = image.select("SCL").reduceRegion(ee.Reducer.mean(), image.geometry(), 20).getInfo()
    assert means["SCL"] == pytest.approx(native(served, "SCL").mean(), rel=0.01)
    sampled = image.reduceRegion(ee.Reducer.first(), point, 10, "EPSG:32612").getInfo()
    assert set(sampled) == set(IDS)


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="gdalinfo is not installed")
def test_gdal_finds_a_dataset_for_each_grid(served: Served) -> None:
    def gdalinfo(*arguments: str) -> str:
        keys = {"EEDA_URL": f"{served.url}/v1/", "EEDA_BEARER": "x", "GDAL_PAM_ENABLED": "NO"}
        command = ["gdalinfo", "-checksum", *arguments]
        done = subprocess.run(
            command, env={**environ, **keys}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = re.findall(r"SUBDATASET_\d+_NAME=(\S+)", gdalinfo(f"EEDAI:{SCENE}"))
    assert len(listed) == 3
    seen: dict[str, str] = {}
    for each in listed:
        text = gdalinfo(each)
        ids = re.findall(r"Description = (\S+)", text)
        seen |= dict(zip(ids, re.findall(r"Checksum=(\d+)", text), strict=True))
    for band in BANDS:
        if band.nodata is None:
            wanted = re.findall(r"Checksum=(\d+)", gdalinfo(str(served.folder / f"{band.id}.tif")))
            assert [seen[band.id]] == wanted, band.id
