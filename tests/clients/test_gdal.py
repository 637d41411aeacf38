"""GDAL's driver EEDAI reads each type of pixel in each encoding, value for value.

What of its catalogs and bands is tested in tests/rest/test_gdal.py is not repeated here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from tests.clients.conftest import Served
from tests.clients.rasters import (
    BYTES,
    HEIGHTS,
    HOLES,
    S2,
    S2_BEST,
    SCENE,
    SERIES,
    heights,
    holes,
    picture,
    scene,
    series,
)

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("gdalinfo", "gdal_translate"))),
    reason="gdalinfo and gdal_translate are not installed (Debian: gdal-bin)",
)
BEST = f"{S2}/{S2_BEST}"
VALUES: dict[str, NDArray[Any]] = {
    SCENE: scene(),
    HOLES: holes().filled(0)[np.newaxis],
    HEIGHTS: heights().filled(0)[np.newaxis],
    BYTES: picture().filled(0),
    f"{SERIES}/t3": series()[3],
}
MASKED = {HOLES: holes(), HEIGHTS: heights()}
TYPES = {SCENE: "UInt16", HOLES: "Int16", HEIGHTS: "Float32", BYTES: "Byte"}
LOSSLESS = [
    *((asset, encoding) for asset in VALUES for encoding in ("AUTO", "NPY", "GEO_TIFF")),
    (BYTES, "PNG"),
    (BYTES, "AUTO_JPEG_PNG"),
]
"""Of bytes of which some are masked, AUTO_JPEG_PNG is a PNG."""


def run(served: Served, *command: str) -> str:
    environment = {
        **os.environ,
        "EEDA_URL": f"{served.url}/v1/",
        "EEDA_BEARER": "x",
        "GDAL_PAM_ENABLED": "NO",
    }
    # rasterio's own PROJ data may be too new for this GDAL.
    for name in ("PROJ_LIB", "PROJ_DATA", "GDAL_DATA"):
        environment.pop(name, None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    return done.stdout


def translated(served: Served, folder: Path, asset: str, *options: str) -> NDArray[Any]:
    """Return the values of a file that gdal_translate has made of an asset."""
    path = str(folder / "out.tif")
    run(served, "gdal_translate", "-q", *options, f"EEDAI:{asset}", path)
    with rasterio.open(path) as dataset:
        values: NDArray[Any] = dataset.read()
    return values


def values_of(asset: str, encoding: str) -> NDArray[Any]:
    """Return the values of an encoding; GDAL hands on what a GeoTIFF has where it is masked."""
    masked = MASKED.get(asset)
    if masked is None or encoding not in ("AUTO", "GEO_TIFF"):
        return VALUES[asset]
    nodata = -np.inf if masked.dtype.kind == "f" else np.iinfo(masked.dtype).min
    filled: NDArray[Any] = masked.filled(nodata)[np.newaxis]
    return filled


@pytest.mark.parametrize(("asset", "encoding"), LOSSLESS)
def test_an_encoding_gives_every_value(
    served: Served, tmp_path: Path, asset: str, encoding: str
) -> None:
    found = translated(served, tmp_path, asset, "-oo", f"PIXEL_ENCODING={encoding}")
    wanted = values_of(asset, encoding)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_jpeg_is_near_to_every_value(served: Served, tmp_path: Path) -> None:
    found = translated(served, tmp_path, BYTES, "-oo", "PIXEL_ENCODING=JPEG")
    assert found.shape == VALUES[BYTES].shape
    # Noise is the worst that can be asked of JPEG, and its colours are at half the size.
    assert np.corrcoef(found.mean(axis=0).ravel(), VALUES[BYTES].mean(axis=0).ravel())[0, 1] > 0.8


@pytest.mark.parametrize(("asset", "encoding"), LOSSLESS)
def test_info_sums_up_the_same(served: Served, tmp_path: Path, asset: str, encoding: str) -> None:
    option = f"PIXEL_ENCODING={encoding}"
    ours = run(served, "gdalinfo", "-checksum", "-oo", option, f"EEDAI:{asset}")
    path = str(tmp_path / "native.tif")
    with rasterio.open(served.file(asset)) as source:
        profile = {**source.profile, "nodata": None}
    with rasterio.open(path, "w", **profile) as target:
        target.write(values_of(asset, encoding))
    native = run(served, "gdalinfo", "-checksum", path)
    for member in (r"Checksum=(\d+)", r"Type=(\w+)", r"Origin = .*", r"Pixel Size = .*"):
        assert re.findall(member, ours) == re.findall(member, native), member
    if asset in TYPES:
        assert set(re.findall(r"Type=(\w+)", ours)) == {TYPES[asset]}


@pytest.mark.parametrize("level", [0, 1])
def test_an_overview_that_gdal_computes_is_one_of_the_file(
    served: Served, tmp_path: Path, level: int
) -> None:
    told = run(served, "gdalinfo", f"EEDAI:{BEST}")
    assert "Size is 700, 800" in told
    assert "Overviews: 350x400, 175x200" in told
    found = translated(served, tmp_path, BEST, "-ovr", str(level))
    path = served.folder / f"public/{BEST}.tif"
    with rasterio.open(path, overview_level=level) as dataset:
        np.testing.assert_array_equal(found, np.where(dataset.read_masks(), dataset.read(), 0))


def test_a_window_is_that_of_the_file(served: Served, tmp_path: Path) -> None:
    found = translated(served, tmp_path, SCENE, "-srcwin", "10", "20", "40", "30")
    np.testing.assert_array_equal(found, scene()[:, 20:50, 10:50])
