"""Masked pixels: whatever hides them, at whatever level."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from tests.rasters.conftest import Once
from tests.rasters.engine import engine, name_of, oracle, raster_of, read
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import PixelRequest, Range, VisualizationOptions
from tileserver.rasters.geotiffs import GeoTiff

SIDE = 600
HOLE = np.s_[100:380, 140:420]
OUT = (np.s_[..., :90, :], np.s_[..., 392:, :])
"""Rows that lie clear of the hole at every level."""
IN = np.s_[..., 112:368, 152:408]


def shown() -> NDArray[np.bool_]:
    valid = np.ones((SIDE, SIDE), bool)
    valid[HOLE] = False
    return valid


def pixels(dtype: str = "uint8", fill: Any = None, bands: int = 2) -> NDArray[Any]:
    values = noise(bands, SIDE, SIDE, dtype) // 2 + 1
    if fill is not None:
        values[values == fill] = 1
        values[:, *HOLE] = fill
    return values


def without_overviews_of_its_mask(path: Path) -> Path:
    write_raster(path, pixels())
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(shown())
    return path


MASKED: dict[str, Callable[[Path], Path]] = {
    "nodata of an integer": lambda path: write_raster(path, pixels("int16", -32768), nodata=-32768),
    "nodata zero": lambda path: write_raster(path, pixels("uint16", 0), nodata=0),
    "nodata of a float": lambda path: write_raster(
        path, pixels("float32", -3.4028234663852886e38), nodata=-3.4028234663852886e38
    ),
    "nodata that float32 rounds": lambda path: write_raster(
        path, pixels("float32", 0.1), nodata=0.1
    ),
    "nodata NaN": lambda path: write_raster(path, pixels("float64", np.nan), nodata=np.nan),
    "nodata of 64 bits": lambda path: write_raster(
        path, pixels("int64", -(2**40)), nodata=-(2**40)
    ),
    "a mask": lambda path: write_raster(path, pixels(), mask=shown()),
    "a mask in strips": lambda path: write_raster(path, pixels(), mask=shown(), tiled=False),
    "a mask, no overviews": lambda path: write_raster(path, pixels(), mask=shown(), overviews=()),
    "a mask that overviews lack": without_overviews_of_its_mask,
    "an alpha band": lambda path: write_raster(path, pixels(), mask=shown(), alpha=True),
    "an alpha band of 16 bits": lambda path: write_raster(
        path, pixels("uint16"), mask=shown(), alpha=True
    ),
}


def enlarged(raster: GeoTiff, factor: int) -> PixelGrid:
    """Return a grid over a raster with pixels so many times as large."""
    t = raster.grid.transform
    transform = AffineTransform(
        t.scale_x * factor, 0, t.translate_x, 0, t.scale_y * factor, t.translate_y
    )
    return PixelGrid(SIDE // factor, SIDE // factor, transform, raster.grid.crs_code)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MASKED)
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_what_is_hidden_is_hidden_at_every_level(once: Once, kind: str, factor: int) -> None:
    path = once(kind, MASKED[kind])
    raster = raster_of(path)
    assert raster.has_mask
    assert len(raster.asset.band_ids) == 2
    grid = enlarged(raster, factor)
    bands = read(path, grid)
    inner = tuple(slice(s.start // factor, s.stop // factor) for s in IN[1:])
    assert not bands.valid[:, *inner].any()
    assert not bands.masked_to_zero()[:, *inner].any()
    assert bands.valid[:, : 90 // factor].all()
    assert bands.valid[:, 392 // factor + 1 :].all()
    assert oracle(path, grid).differences(bands) == (0, 0)


@pytest.mark.parametrize("kind", MASKED)
def test_a_picture_is_transparent_where_it_is_masked(once: Once, kind: str) -> None:
    path = once(kind, MASKED[kind])
    raster = raster_of(path)
    request = PixelRequest(
        name_of(path),
        ImageFileFormat.PNG,
        enlarged(raster, 1),
        band_ids=raster.asset.band_ids[:1],
        visualization_options=VisualizationOptions((Range(0, 200),)),
    )
    image = Image.open(io.BytesIO(engine(path).pixels(request))).convert("RGBA")
    alpha = np.array(image)[..., 3]
    assert np.array_equal(alpha, np.where(shown(), 255, 0))


def test_one_masked_band_hides_the_pixel_of_three(tmp_path: Path) -> None:
    values = pixels("uint8", bands=3)
    values[0, :10], values[1, 10:20], values[2, 20:30] = 0, 0, 0
    path = write_raster(tmp_path / "a.tif", values, nodata=0)
    grid = enlarged(raster_of(path), 1)
    request = PixelRequest(name_of(path), ImageFileFormat.PNG, grid)
    alpha = np.array(Image.open(io.BytesIO(engine(path).pixels(request))).convert("RGBA"))[..., 3]
    assert not alpha[:30].any()
    assert (alpha[30:] == 255).all()
    bands = read(path, grid)
    assert bands.valid.sum(axis=(1, 2)).tolist() == [SIDE * (SIDE - 10)] * 3


def test_stored_fill_that_nothing_hides_comes_as_it_is(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", pixels("float32", -3.4e38))
    bands = read(path, None)
    assert bands.valid.all()
    assert (bands.masked_to_zero()[:, *HOLE] == np.float32(-3.4e38)).all()


def test_nan_is_stored_fill_in_raw_formats_and_transparent_in_pictures(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", pixels("float32", np.nan, bands=1), overviews=())
    rasters, name = engine(path), name_of(path)
    array = np.load(io.BytesIO(rasters.pixels(PixelRequest(name, ImageFileFormat.NPY))))
    assert np.array_equal(np.isnan(array["b1"]), ~shown())
    body = rasters.pixels(PixelRequest(name, ImageFileFormat.PNG))
    alpha = np.array(Image.open(io.BytesIO(body)).convert("RGBA"))[..., 3]
    assert np.array_equal(alpha == 0, ~shown())


def with_nodata_tag(path: Path, text: bytes) -> Path:
    """Write a GeoTIFF of bytes whose nodata of 7 is overwritten by one that rasterio refuses."""
    write_raster(path, pixels(), nodata=127, overviews=(), compress=None)
    body = path.read_bytes()
    assert body.count(b"127\x00") == 1
    path.write_bytes(body.replace(b"127\x00", text.ljust(4, b"\x00")))
    return path


@pytest.mark.parametrize("text", [b"-99", b"300", b"nan"])
def test_a_nodata_that_no_pixel_can_have_hides_nothing(tmp_path: Path, text: bytes) -> None:
    path = with_nodata_tag(tmp_path / "a.tif", text)
    bands = read(path, None)
    assert bands.valid.all()
    assert np.array_equal(bands.values, pixels())


def test_a_mask_that_overviews_lack_is_found_only_where_there_is_one(tmp_path: Path) -> None:
    broken = raster_of(without_overviews_of_its_mask(tmp_path / "a.tif"))
    whole = raster_of(MASKED["a mask"](tmp_path / "b.tif"))
    full = raster_of(write_raster(tmp_path / "c.tif", pixels(), mask=np.ones((SIDE, SIDE), bool)))
    assert [len(raster.levels) for raster in (broken, whole, full)] == [1, 3, 3]


def test_overviews_beside_the_file_are_read_as_well(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", pixels(), overviews=())
    with (
        rasterio.Env(TIFF_USE_OVR=True),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.build_overviews([2, 4])
    assert path.with_suffix(".tif.ovr").exists()
    assert [level.factor for level in raster_of(path).levels] == [1, 2, 4]


def translucent(path: Path, nodata: float | None = None, **profile: Any) -> NDArray[np.uint8]:
    """Write RGB of 200, 120, 40 with every alpha there is; return the alphas."""
    alpha = np.arange(65536).reshape(256, 256).astype(np.uint8)
    values = np.full((3, 256, 256), [[[200]], [[120]], [[40]]], np.uint8)
    values[:, :16, :16] = 7
    write_raster(path, values, mask=None, alpha=True, overviews=(), nodata=nodata, **profile)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(alpha, 4)
    return alpha


def drawn(path: Path) -> NDArray[np.uint8]:
    """Return the RGBA of a raster's own pixels, drawn from 0 to 255."""
    options = VisualizationOptions((Range(0, 255),))
    request = PixelRequest(
        name_of(path), ImageFileFormat.PNG, raster_of(path).grid, visualization_options=options
    )
    return np.array(Image.open(io.BytesIO(engine(path).pixels(request))).convert("RGBA"))


LAYOUTS: dict[str, dict[str, Any]] = {
    "blocks": {},
    "strips": {"tiled": False},
    "by GDAL": {"compress": "lerc", "max_z_error": 0},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_partial_alpha_is_drawn_as_it_is(tmp_path: Path, layout: str) -> None:
    alpha = translucent(tmp_path / "a.tif", **LAYOUTS[layout])
    found = drawn(tmp_path / "a.tif")
    assert (found[..., 3] == alpha).all()
    assert (found[20:][alpha[20:] > 0][:, :3] == [200, 120, 40]).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_alpha_band_and_a_nodata_value_both_hide_pixels(tmp_path: Path, layout: str) -> None:
    alpha = translucent(tmp_path / "a.tif", nodata=7, **LAYOUTS[layout])
    hidden = np.zeros((256, 256), bool)
    hidden[:16, :16] = True
    assert (drawn(tmp_path / "a.tif")[..., 3] == np.where(hidden, 0, alpha)).all()


def test_partial_alpha_counts_as_valid_in_raw_values(tmp_path: Path) -> None:
    alpha = translucent(tmp_path / "a.tif")
    bands = read(tmp_path / "a.tif", raster_of(tmp_path / "a.tif").grid)
    assert (bands.valid == (alpha > 0)).all()


def test_an_alpha_band_of_zeros_and_ones_is_opaque_at_one(tmp_path: Path) -> None:
    translucent(tmp_path / "a.tif")
    shown = np.indices((256, 256)).sum(axis=0) % 2
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.write(shown.astype(np.uint8), 4)
    assert (drawn(tmp_path / "a.tif")[..., 3] == shown * 255).all()
