"""Overviews and masks beside a raster, with GDAL's own reading of them as the oracle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from tests.rasters.engine import engine, name_of, raster_of, raw
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.ingest.growing import Job, grow
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.pyramids.store import PyramidStore
from tileserver.rasters.roots import Root

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SIDE = 1024


def holes() -> NDArray[np.bool_]:
    valid = np.random.default_rng(2).random((SIDE, SIDE)) > 0.2
    valid[100:300, 200:600] = False
    return valid


def with_ovr(path: Path, *factors: int, **options: Any) -> Path:
    settings = {"GDAL_PAM_ENABLED": False, "TIFF_USE_OVR": True, **options}
    with rasterio.Env(**settings), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews(list(factors), Resampling.average)
    assert path.with_name(f"{path.name}.ovr").is_file()
    return path


def with_msk(path: Path, valid: NDArray[np.bool_]) -> Path:
    settings = {"GDAL_TIFF_INTERNAL_MASK": False, "GDAL_PAM_ENABLED": False}
    with rasterio.Env(**settings), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(valid)
    assert path.with_name(f"{path.name}.msk").is_file()
    return path


def at_factor(rasters: LocalRasters, path: Path, factor: int) -> BandArrays:
    coarse = AffineTransform(30.0 * factor, 0, 400_000, 0, -30.0 * factor, 4_500_000)
    grid = PixelGrid(SIDE // factor, SIDE // factor, coarse, "EPSG:32612")
    return rasters.bands(raw(path, grid))


def check_levels(path: Path, factors: tuple[int, ...], bands: list[int] | None = None) -> None:
    """Fail unless each level is the one that GDAL shows."""
    rasters = engine(path)
    for number, factor in enumerate((1, *factors)):
        options = {"overview_level": number - 1} if number else {}
        with rasterio.open(path, **options) as dataset:
            found = at_factor(rasters, path, factor)
            np.testing.assert_array_equal(found.values, dataset.read(bands))
            np.testing.assert_array_equal(found.valid, dataset.read_masks(bands) > 0)
    rasters.close()


@pytest.mark.parametrize("compress", ["deflate", "packbits"])
@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize(("count", "dtype"), [(3, "uint8"), (1, "int16"), (1, "float32")])
def test_overviews_beside_a_raster_are_those_that_gdal_shows(
    tmp_path: Path, count: int, dtype: str, nodata: int | None, compress: str
) -> None:
    values = (noise(count, SIDE, SIDE, "uint8") % 12).astype(dtype)
    path = write_raster(
        tmp_path / "scene.tif", values, nodata=nodata, overviews=(), compress=compress
    )
    with_ovr(path, 2, 4, 8)
    raster = raster_of(path)
    assert [level.factor for level in raster.levels] == [1, 2, 4, 8]
    assert bool(raster.layouts) == (compress == "deflate")
    assert raster.asset.overview_factors == (2, 4, 8)
    check_levels(path, (2, 4, 8))


def test_levels_beside_that_gdal_has_to_read(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, SIDE, SIDE, "uint8"), overviews=())
    with_ovr(path, 2, 4, COMPRESS_OVERVIEW="PACKBITS")
    assert not raster_of(path).layouts
    check_levels(path, (2, 4))


def test_opacity_goes_with_its_levels(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "scene.tif",
        noise(3, SIDE, SIDE, "uint8"),
        mask=holes(),
        alpha=True,
        overviews=(),
    )
    with_ovr(path, 2, 4)
    check_levels(path, (2, 4), [1, 2, 3])


def test_levels_within_a_raster_go_first(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, SIDE, SIDE), overviews=())
    with_ovr(path, 2, 8)
    with rasterio.open(write_raster(tmp_path / "other.tif", noise(1, SIDE, SIDE, seed=9))):
        (tmp_path / "other.tif").replace(path)
    raster = raster_of(path)
    assert [level.factor for level in raster.levels] == [1, 2, 4]
    assert raster.beside is None


@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("compress", ["deflate", "packbits"])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_mask_beside_a_raster_masks_as_gdal_masks(
    tmp_path: Path, count: int, compress: str, nodata: int | None
) -> None:
    values = noise(count, SIDE, SIDE, "uint8") % 12
    path = write_raster(
        tmp_path / "scene.tif", values, nodata=nodata, overviews=(), compress=compress
    )
    with_msk(path, holes())
    check_levels(path, ())
    assert not at_factor(engine(path), path, 1).valid.all()


def test_a_raster_with_a_mask_beside_it_gets_a_pyramid_with_a_mask(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, SIDE, SIDE, "uint8"), overviews=())
    with_msk(path, holes())
    (tmp_path / "pyramids").mkdir()
    store = PyramidStore(tmp_path / "pyramids", 10**9)
    version = raster_of(path).asset.version
    folder, name = str(tmp_path), path.name
    grow(Job(str(store.folder), 10**9, version, name_of(path), folder, name, False, "nowhere"))
    rasters = LocalRasters(Catalogue([Root(str(path))], pyramids=store))
    found = at_factor(rasters, path, 2)
    quads = holes().reshape(SIDE // 2, 2, SIDE // 2, 2)
    np.testing.assert_array_equal(found.valid[0], quads.any(axis=(1, 3)))
    rasters.close()


@pytest.mark.parametrize("what", ["bands", "type", "size", "rubbish", "empty", "text"])
@pytest.mark.parametrize("end", [".ovr", ".msk"])
def test_what_does_not_fit_the_raster_is_left_out(
    tmp_path: Path, what: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, SIDE, SIDE, "uint8"), overviews=())
    beside = path.with_name(f"scene.tif{end}")
    match what:
        case "bands":
            write_raster(beside, noise(2, SIDE // 2, SIDE // 2, "uint8"), overviews=())
        case "type":
            write_raster(beside, noise(3, SIDE // 2, SIDE // 2, "int16"), overviews=())
        case "size":
            write_raster(beside, noise(3, SIDE // 2, SIDE // 8, "uint8"), overviews=())
        case "rubbish":
            beside.write_bytes(b"II*\0\xff\xff\xff\xff rubbish")
        case "empty":
            beside.write_bytes(b"")
        case "text":
            beside.write_text('<VRTDataset rasterXSize="512" rasterYSize="512"></VRTDataset>')
    raster = raster_of(path)
    assert (len(raster.levels), raster.has_mask) == (1, False)
    assert f"its {end} is left out" in caplog.text
    assert str(tmp_path) not in caplog.text
    assert at_factor(engine(path), path, 1).valid.all()


@pytest.mark.parametrize("end", [".ovr", ".msk"])
def test_a_file_that_is_being_written_is_not_there_yet(tmp_path: Path, end: str) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, SIDE, SIDE, "uint8"), overviews=())
    with_ovr(path, 4)
    with_msk(path, holes())
    catalogue = Catalogue([Root(str(path))])

    def looks() -> tuple[bool, bool]:
        catalogue.expire(name_of(path))
        raster = catalogue.find(name_of(path))
        assert isinstance(raster, GeoTiff)
        return len(raster.levels) > 1, raster.mask is not None

    # The levels have no mask, so they are not used beside one.
    assert looks() == (False, True)
    with path.with_name(f"scene.tif{end}").open("r+b") as file:
        os.utime(file.fileno())
        assert looks() == ((False, True) if end == ".ovr" else (True, False))
    assert looks() == (False, True)


def test_levels_beside_a_raster_that_are_removed_are_missed_by_nobody(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, SIDE, SIDE), overviews=())
    with_ovr(path, 4)
    rasters = engine(path)
    smooth = at_factor(rasters, path, 4)
    path.with_name("scene.tif.ovr").unlink()
    afresh = LocalRasters(rasters.catalogue)
    assert (at_factor(afresh, path, 4).values != smooth.values).any()
    afresh.close()
    rasters.close()
