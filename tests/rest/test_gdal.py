"""GDAL reads images and catalogs through its own drivers, EEDAI and EEDA."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.rest.conftest import LOCAL, PUBLIC, Served

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("gdalinfo", "gdal_translate", "ogrinfo"))),
    reason="gdalinfo, gdal_translate and ogrinfo are not installed (Debian: gdal-bin)",
)


def run(served: Served, *command: str, version: str = "v1") -> str:
    environment = {
        **os.environ,
        "EEDA_URL": f"{served.url}/{version}/",
        "EEDA_BEARER": "x",
        "GDAL_PAM_ENABLED": "NO",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    return done.stdout


def checksums(text: str) -> list[str]:
    return re.findall(r"Checksum=(\d+)", text)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("name", ["scene", "bytes", "heights"])
def test_an_image_is_described_as_its_file_is(served: Served, name: str, version: str) -> None:
    ours = run(served, "gdalinfo", "-checksum", f"EEDAI:{LOCAL}/{name}", version=version)
    native = run(served, "gdalinfo", "-checksum", str(served.folder / f"local/{name}.tif"))
    assert re.findall(r"Type=(\w+)", ours) == re.findall(r"Type=(\w+)", native)
    assert re.findall(r"(?:Origin|Pixel Size|Size is).*", ours) == re.findall(
        r"(?:Origin|Pixel Size|Size is).*", native
    )
    # What is masked is zero in Earth Engine's answers, and what it was in the file.
    if name != "heights":
        assert checksums(ours) == checksums(native)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("scene", "AUTO"),
        ("scene", "NPY"),
        ("scene", "GEO_TIFF"),
        ("bytes", "AUTO"),
        ("bytes", "PNG"),
        ("bytes", "AUTO_JPEG_PNG"),
        ("bytes", "NPY"),
        ("bytes", "GEO_TIFF"),
        ("heights", "NPY"),
        ("heights", "GEO_TIFF"),
    ],
)
def test_every_encoding_gives_every_value(
    served: Served, tmp_path: Path, name: str, encoding: str
) -> None:
    out = tmp_path / "out.tif"
    option = f"PIXEL_ENCODING={encoding}"
    run(served, "gdal_translate", "-q", "-oo", option, f"EEDAI:{LOCAL}/{name}", str(out))
    with (
        rasterio.open(out) as ours,
        rasterio.open(served.folder / f"local/{name}.tif") as native,
    ):
        masked = -np.inf if (name, encoding) == ("heights", "GEO_TIFF") else 0
        wanted = np.where(native.read_masks() > 0, native.read(), masked)
        if encoding == "AUTO_JPEG_PNG":
            # Where nothing is masked it may be a JPEG, which is near to what it shows.
            assert ours.read().shape == wanted.shape
        else:
            np.testing.assert_array_equal(ours.read(), wanted)


def test_rasterio_opens_an_image_too(served: Served) -> None:
    with rasterio.Env(EEDA_URL=f"{served.url}/v1/", EEDA_BEARER="x"):
        try:
            ours = rasterio.open(f"EEDAI:{LOCAL}/scene")
        except rasterio.RasterioIOError as exc:
            pytest.skip(f"this rasterio has no EEDAI driver: {exc}")
        with ours, rasterio.open(served.folder / "local/scene.tif") as native:
            np.testing.assert_array_equal(ours.read(), native.read())


def test_bands_can_be_chosen(served: Served) -> None:
    ours = run(served, "gdalinfo", "-checksum", f"EEDAI:{LOCAL}/scene:B3,B4")
    native = run(served, "gdalinfo", "-checksum", str(served.folder / "local/scene.tif"))
    assert checksums(ours) == checksums(native)[1:]


def test_a_public_image_is_found_by_its_short_id(served: Served) -> None:
    assert "Size is 300, 300" in run(served, "gdalinfo", "EEDAI:COPERNICUS/S2/20200401T184919_x")


def test_a_catalog_lists_the_images_of_a_collection(served: Served) -> None:
    told = run(served, "ogrinfo", "-al", f"EEDA:{LOCAL}/series")
    assert told.count("OGRFeature") == 4
    assert f"gdal_dataset (String) = EEDAI:{LOCAL}/series/m1" in told
    assert "startTime (DateTime) = 2020/01/01 00:00:00+00" in told
    assert "MULTIPOLYGON" in told
    assert "CLOUD (Real) = 10" in told


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("CLOUD < 25", 2),
        ("CLOUD < 25 AND SENSOR = 'B'", 0),
        ("SENSOR = 'B' OR CLOUD = 10", 3),
        ("NOT (CLOUD = 10)", 3),
        ("startTime >= '2020/02/01 00:00:00' AND endTime < '2020/03/15 00:00:00'", 2),
        ("EEDA:properties.CLOUD > 35", 1),
    ],
)
def test_a_catalog_is_filtered_by_the_server(served: Served, where: str, found: int) -> None:
    told = run(served, "ogrinfo", "-al", "-where", where, f"EEDA:{LOCAL}/series")
    assert told.count("OGRFeature") == found


@pytest.mark.parametrize(
    ("box", "found"), [(("-112.19", "40.6", "-112.1", "40.7"), 4), (("0", "0", "1", "1"), 0)]
)
def test_a_catalog_is_filtered_by_place(
    served: Served, box: tuple[str, str, str, str], found: int
) -> None:
    told = run(served, "ogrinfo", "-al", "-spat", *box, f"EEDA:{LOCAL}/series")
    assert told.count("OGRFeature") == found


def test_a_known_public_collection_is_a_catalog(served: Served) -> None:
    told = run(served, "ogrinfo", "-al", f"EEDA:{PUBLIC}/COPERNICUS/S2")
    assert told.count("OGRFeature") == 2
