"""Rasters that are no GeoTIFFs, with GDAL's own reading of them as the oracle."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from tests.support.rasterfiles import noise, write_raster
from tileserver.config.config import load_config
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.raster_formats import SUFFIXES
from tileserver.errors import ConfigError, UnreadableRaster
from tileserver.ingest.growing import Job, grow
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.other_formats import check_driver
from tileserver.rasters.pyramids.store import PyramidStore
from tileserver.rasters.roots import Root, check_root

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]
ALL = tuple(SUFFIXES)
PREFIX = "projects/localhost/assets/"


def copied(path: Path, driver: str, values: Any, **options: Any) -> Path:
    """Write values in another format, with what GDAL puts beside the file."""
    source = write_raster(path.with_name(f"source-of-{path.stem}.tif"), values, overviews=())
    rasterio.shutil.copy(source, path, driver=driver, **options)
    source.unlink()
    return path


def placed(path: Path) -> Path:
    """Write a world file and a .prj beside a picture."""
    suffix = path.suffix[1:]
    path.with_suffix(f".{suffix[0]}{suffix[-1]}w").write_text("30\n0\n0\n-30\n400015\n4499985\n")
    path.with_suffix(".prj").write_text(rasterio.crs.CRS.from_epsg(32612).to_wkt())
    path.with_name(f"{path.name}.aux.xml").unlink(missing_ok=True)
    return path


def elevations(folder: Path) -> Path:
    """Write a tile of SRTM, which has nothing but its pixels and its name."""
    values = (noise(1, 1201, 1201, "uint16")[0] % 4000).astype(">i2")
    values[:30, :30] = -32768
    path = folder / "N45E006.hgt"
    path.write_bytes(values.tobytes())
    return path


FILES: dict[str, Callable[[Path], Path]] = {
    "JP2OpenJPEG": lambda folder: copied(
        folder / "a.jp2",
        "JP2OpenJPEG",
        noise(3, 700, 600, "uint8"),
        QUALITY="100",
        REVERSIBLE="YES",
    ),
    "PNG": lambda folder: placed(copied(folder / "a.png", "PNG", noise(3, 300, 200, "uint8"))),
    "JPEG": lambda folder: placed(copied(folder / "a.jpg", "JPEG", noise(3, 300, 200, "uint8"))),
    "HFA": lambda folder: copied(folder / "a.img", "HFA", noise(2, 300, 200, "int16")),
    "AAIGrid": lambda folder: copied(folder / "a.asc", "AAIGrid", noise(1, 60, 50, "int16")),
    "SRTMHGT": elevations,
}


def rasters_in(path: Path, store: PyramidStore | None = None) -> LocalRasters:
    return LocalRasters(Catalogue([Root(str(path), formats=ALL)], pyramids=store))


def raster_of(rasters: LocalRasters, name: str) -> GeoTiff:
    raster = rasters.catalogue.find(f"{PREFIX}{name}")
    assert isinstance(raster, GeoTiff)
    return raster


def whole(rasters: LocalRasters, name: str) -> BandArrays:
    return rasters.bands(PixelRequest(f"{PREFIX}{name}", ImageFileFormat.NPY, None))


@pytest.mark.parametrize("driver", FILES)
def test_pixels_and_place_are_those_that_gdal_shows(tmp_path: Path, driver: str) -> None:
    path = FILES[driver](tmp_path)
    rasters = rasters_in(tmp_path)
    assert rasters.catalogue.names() == [f"{PREFIX}{path.stem}"]
    found = whole(rasters, path.stem)
    grid = raster_of(rasters, path.stem).grid
    with rasterio.open(path) as dataset:
        assert dataset.driver == driver
        np.testing.assert_array_equal(found.values, dataset.read())
        np.testing.assert_array_equal(found.valid, dataset.read_masks() > 0)
        t = grid.transform
        ours = [t.scale_x, t.shear_x, t.translate_x, t.shear_y, t.scale_y, t.translate_y]
        np.testing.assert_allclose(ours, list(dataset.transform)[:6])
        expected = 4326 if driver == "SRTMHGT" else 32612
        assert rasterio.crs.CRS.from_user_input(grid.crs_code).to_epsg() == expected
    # Read again, by another dataset.
    again = rasters_in(path)
    np.testing.assert_array_equal(whole(again, path.stem).values, found.values)
    for each in (rasters, again):
        each.close()


def test_levels_of_jpeg_2000_are_used(tmp_path: Path) -> None:
    path = copied(tmp_path / "a.jp2", "JP2OpenJPEG", noise(1, 1500, 1000, "uint8"))
    raster = raster_of(rasters_in(path), "a")
    with rasterio.open(path) as dataset:
        assert [level.factor for level in raster.levels[1:]] == dataset.overviews(1) != []


def test_a_picture_without_overviews_gets_a_pyramid(tmp_path: Path) -> None:
    values = noise(3, 1024, 1024, "uint8")
    path = placed(copied(tmp_path / "a.png", "PNG", values))
    (tmp_path / "pyramids").mkdir()
    store = PyramidStore(tmp_path / "pyramids", 10**9)
    version = raster_of(rasters_in(path), "a").asset.version
    name = f"{PREFIX}a"
    grow(Job(str(store.folder), 10**9, version, name, str(tmp_path), "a.png", False, "nowhere"))
    raster = raster_of(rasters_in(path, store), "a")
    assert [level.factor for level in raster.levels] == [1, 2, 4]
    with rasterio.open(store.place(version).path) as dataset:
        quads = values.reshape(3, 512, 2, 512, 2).astype(int).sum(axis=(2, 4))
        np.testing.assert_array_equal(dataset.read(), (quads + 2) // 4)


def test_without_the_format_in_the_list_nothing_is_found(tmp_path: Path) -> None:
    for make in FILES.values():
        make(tmp_path)
    assert Catalogue([Root(str(tmp_path))]).names() == []
    only = Catalogue([Root(str(tmp_path), formats=("PNG",))])
    assert only.names() == [f"{PREFIX}a"]
    for path in tmp_path.glob("a.*"):
        assert Catalogue([Root(str(path))]).names() == []


@pytest.mark.parametrize("driver", FILES)
def test_a_file_is_opened_with_the_driver_of_its_suffix_alone(tmp_path: Path, driver: str) -> None:
    (tmp_path / "in").mkdir()
    source = FILES[driver](tmp_path / "in")
    for suffixes in SUFFIXES.values():
        if source.suffix in suffixes:
            continue
        path = tmp_path / f"x{suffixes[0]}"
        path.write_bytes(source.read_bytes())
        with pytest.raises(UnreadableRaster, match="not a readable"):
            rasters_in(path).catalogue.find(f"{PREFIX}x")


@pytest.mark.parametrize("suffix", [".png", ".jp2", ".img", ".asc", ".hgt", ".jpg"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"rubbish" * 100,
        b'<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>',
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"EHFA_HEADER_TAG\0" + b"\xff" * 400,
        b"ncols 99999999\nnrows 99999999\nxllcorner 0\nyllcorner 0\ncellsize 1\n0 0 0\n",
    ],
)
def test_rubbish_is_refused_by_name_and_without_a_path(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"N00E000{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableRaster) as caught:
        rasters_in(path).catalogue.find(f"{PREFIX}N00E000")
    assert "N00E000" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_pixels_in_another_file_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    path = tmp_path / "served/a.img"
    # A file of ERDAS may leave its pixels to another one, which it names.
    copied(path, "HFA", noise(1, 300, 200, "uint8"), USE_SPILL="YES")
    spilled = path.with_suffix(".ige")
    assert spilled.is_file()
    with pytest.raises(UnreadableRaster):
        whole(rasters_in(path), "a")


def test_a_link_to_a_file_of_another_format_is_not_read(tmp_path: Path) -> None:
    FILES["PNG"](tmp_path)
    (tmp_path / "scene.tif").symlink_to("a.png")
    catalogue = Catalogue([Root(str(tmp_path))])
    with pytest.raises(UnreadableRaster, match="link to a file of another format"):
        catalogue.find(f"{PREFIX}scene")


def test_the_list_is_configured_for_each_folder(tmp_path: Path) -> None:
    FILES["PNG"](tmp_path)
    path = tmp_path / "tileserver.toml"
    path.write_text('[[rasters]]\npath = "."\nformats = ["GTiff", "PNG"]\n')
    assert load_config(path, {}, {}).rasters[0].formats == ("GTiff", "PNG")
    path.write_text('[[rasters]]\npath = "."\nformats = ["VRT"]\n')
    with pytest.raises(ConfigError, match="GTiff, JP2OpenJPEG, PNG"):
        load_config(path, {}, {})
    with pytest.raises(ConfigError, match=r"formats = \[\"PNG\"\] serves this file"):
        check_root(str(tmp_path / "a.png"))
    check_root(str(tmp_path / "a.png"), formats=("PNG",))


def test_a_driver_that_is_missing_is_named() -> None:
    check_driver("PNG")
    # GDAL can be told at its start to do without a driver.
    code = (
        "from tileserver.rasters.roots import check_root\n"
        "from tileserver.errors import ConfigError\n"
        "try: check_root('/', formats=('JP2OpenJPEG',))\n"
        "except ConfigError as exc: print(exc)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "GDAL_SKIP": "JP2OpenJPEG"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "has no driver JP2OpenJPEG" in done.stdout
