from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile

from tests.support.rasterfiles import noise, write_raster
from tileserver import get_pixels
from tileserver.errors import AssetNotFound, ConfigError, InvalidRequest

HEIGHT, WIDTH = 40, 50
MASK = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.7
VALUES = np.maximum(noise(3, HEIGHT, WIDTH, "uint8"), 1)


@pytest.fixture
def scene(tmp_path: Path) -> str:
    return str(write_raster(tmp_path / "scene.tif", VALUES, mask=MASK, overviews=()))


def raw(params: dict[str, Any]) -> bytes:
    body = get_pixels(params)
    assert isinstance(body, bytes)
    return body


def array(params: dict[str, Any]) -> NDArray[Any]:
    answer = get_pixels(params)
    assert isinstance(answer, np.ndarray)
    return answer


def from_npy(body: bytes) -> NDArray[Any]:
    fields = np.load(io.BytesIO(body))
    return np.stack([fields[name] for name in fields.dtype.names])


def from_geotiff(body: bytes) -> NDArray[Any]:
    with MemoryFile(body) as file, file.open() as dataset:
        values: NDArray[Any] = dataset.read()
    return values


def from_zip(body: bytes) -> NDArray[Any]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        parts = [from_geotiff(archive.read(name)) for name in archive.namelist()]
    return np.concatenate(parts)


@pytest.mark.parametrize(
    ("file_format", "read"),
    [
        ("NPY", from_npy),
        ("GEO_TIFF", from_geotiff),
        ("GEOTIFF", from_geotiff),
        ("ZIPPED_GEO_TIFF", from_zip),
        ("ZIPPED_GEO_TIFF_PER_BAND", from_zip),
    ],
)
def test_raw_formats_hold_the_values_and_zero_where_masked(
    scene: str, file_format: str, read: Callable[[bytes], NDArray[Any]]
) -> None:
    values = read(raw({"assetId": scene, "fileFormat": file_format}))
    np.testing.assert_array_equal(values, np.where(MASK, VALUES, 0))


def test_a_tfrecord_is_framed_and_names_its_bands(scene: str) -> None:
    body = raw({"assetId": scene, "fileFormat": "TF_RECORD_IMAGE"})
    assert int.from_bytes(body[:8], "little") == len(body) - 16
    assert all(band in body for band in (b"b1", b"b2", b"b3"))


@pytest.mark.parametrize("name", ["NUMPY_NDARRAY", "numpy_ndarray"])
def test_an_array_has_a_field_a_band(scene: str, name: str) -> None:
    found = array({"assetId": scene, "fileFormat": name, "bandIds": ["b3", "b1"]})
    assert (found.shape, found.dtype.names) == ((HEIGHT, WIDTH), ("b3", "b1"))
    np.testing.assert_array_equal(found["b3"], np.where(MASK, VALUES[2], 0))


@pytest.mark.parametrize("file_format", ["PNG", "AUTO_JPEG_PNG", None])
def test_pictures_are_transparent_where_masked(scene: str, file_format: str | None) -> None:
    params = {"assetId": scene} | ({"fileFormat": file_format} if file_format else {})
    pixels = np.array(Image.open(io.BytesIO(raw(params))).convert("RGBA"))
    np.testing.assert_array_equal(pixels[..., 3] == 255, MASK)
    np.testing.assert_array_equal(pixels[..., :3][MASK], np.moveaxis(VALUES, 0, -1)[MASK])


@pytest.mark.parametrize("file_format", ["JPEG", "JPG", "jpeg"])
def test_a_jpeg_has_the_size_of_the_grid(scene: str, file_format: str) -> None:
    with Image.open(io.BytesIO(raw({"assetId": scene, "fileFormat": file_format}))) as image:
        assert (image.format, image.size) == ("JPEG", (WIDTH, HEIGHT))


def test_without_transparency_the_automatic_picture_is_a_jpeg(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "full.tif", VALUES, overviews=())
    with Image.open(io.BytesIO(raw({"assetId": str(path)}))) as image:
        assert image.format == "JPEG"


def test_an_asset_may_be_a_path_of_any_spelling(
    scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(scene).parent)
    for spelling in (scene, "scene.tif", "./scene.tif"):
        found = array({"assetId": spelling, "fileFormat": "NUMPY_NDARRAY"})
        assert found.shape == (HEIGHT, WIDTH)
    Path("scene.tif").rename("SCENE.TIFF")
    assert array({"assetId": "SCENE.TIFF", "fileFormat": "NUMPY_NDARRAY"}).size


def test_a_configuration_says_which_assets_there_are(
    scene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text(
        '[[rasters]]\npath = "."\nprefix = "projects/my-own/assets"'
    )
    params = {"assetId": "projects/my-own/assets/scene", "fileFormat": "NPY"}
    body = get_pixels(params, tmp_path / "mine.toml")
    assert body == get_pixels(params, str(tmp_path / "mine.toml")) != b""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssetNotFound):
        get_pixels(params)
    (tmp_path / "mine.toml").rename("tileserver.toml")
    assert get_pixels(params) == body


def test_without_any_configuration_there_is_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asset = "projects/localhost/assets/srtm_sierra_nevada"
    region = {"type": "Point", "coordinates": [-119.5332, 37.7459]}
    found = array({"assetId": asset, "region": region, "fileFormat": "NUMPY_NDARRAY"})
    assert found.shape == (1, 1)
    # Half Dome, 2694 m, on a grid of 90 m.
    assert 2200 < found["elevation"][0, 0] < 2750


def test_a_grid_is_read_where_rasterio_reads_it(scene: str) -> None:
    with rasterio.open(scene) as dataset:
        t = dataset.transform
    grid = {
        "dimensions": {"width": 20, "height": 10},
        "affineTransform": {
            "scaleX": t.a,
            "scaleY": t.e,
            "translateX": t.c + 5 * t.a,
            "translateY": t.f + 7 * t.e,
        },
        "crsCode": "EPSG:32612",
    }
    found = array({"assetId": scene, "fileFormat": "NUMPY_NDARRAY", "grid": grid})
    expected = np.where(MASK, VALUES[0], 0)[7:17, 5:25]
    np.testing.assert_array_equal(found["b1"], expected)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, InvalidRequest),
        ({"assetId": "projects/localhost/assets/none"}, AssetNotFound),
        ({"assetId": "none.tif"}, AssetNotFound),
        ({"assetId": "projects/localhost/assets/../x"}, InvalidRequest),
        ({"assetId": "USGS/SRTMGL1_003", "scale": 30}, InvalidRequest),
    ],
)
def test_what_cannot_be_answered_says_why(params: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        get_pixels(params)


def test_a_configuration_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        get_pixels({"assetId": "projects/localhost/assets/x"}, tmp_path / "none.toml")
