"""Blocks decoded without GDAL are those that GDAL decodes, however a GeoTIFF is written."""

from __future__ import annotations

import io
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from tests.rasters.engine import engine, raster_of, raw
from tests.support.rasterfiles import noise, write_raster
from tests.support.speeds import slow
from tileserver.errors import UnreadableRaster
from tileserver.geo.positions import Level
from tileserver.rasters.blocks.cache import BlockCache
from tileserver.rasters.blocks.codecs import DamagedBlock, decode
from tileserver.rasters.blocks.layouts import layouts_of
from tileserver.rasters.blocks.levels import BlockLevel, FileBlocks
from tileserver.rasters.datasets import GDAL_OPTIONS, directories_of
from tileserver.rasters.gdal_levels import GdalLevel
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.windows import LevelReader, Picks, read_picks

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
FLOATS = ("float32", "float64")
SHAPES: dict[str, dict[str, Any]] = {
    "tiles": {"blockxsize": 64, "blockysize": 48},
    "planes": {"blockxsize": 64, "blockysize": 48, "interleave": "band"},
    "strips": {"tiled": False, "blockysize": 7},
    "one strip": {"tiled": False, "blockysize": 150},
}


SOME = ("uint8", "int32", "float64")


def written() -> Iterator[Any]:
    """Yield every type in tiles, and some of them in other blocks: what decodes sees no types."""
    in_tiles, elsewhere = product(DTYPES + FLOATS, ["tiles"]), product(SOME, list(SHAPES)[1:])
    for dtype, shape in (*in_tiles, *elsewhere):
        yield pytest.param(dtype, SHAPES[shape] | {"compress": "deflate"}, id=f"{dtype} {shape}")
        for codec in ("deflate", "lzw", "zstd"):
            options = SHAPES[shape] | {"compress": codec, "predictor": 2}
            marks = () if shape == "tiles" else pytest.mark.slow
            yield pytest.param(
                dtype, options, id=f"{dtype} {shape} {codec} differences", marks=marks
            )
    for dtype, codec in product(("uint8", "int16", "float32"), ("none", "lzw", "zstd")):
        yield pytest.param(dtype, SHAPES["tiles"] | {"compress": codec}, id=f"{dtype} {codec}")
    for dtype, shape in product(FLOATS, SHAPES):
        options = SHAPES[shape] | {"compress": "deflate", "predictor": 3}
        yield pytest.param(dtype, options, id=f"{dtype} {shape} floating point differences")
    for dtype, predictor in (("uint16", 1), ("int32", 2), ("float32", 2), ("float64", 3)):
        for shape in SHAPES:
            options = SHAPES[shape] | {"endianness": "BIG", "predictor": predictor}
            yield pytest.param(dtype, options, id=f"{dtype} {shape} big-endian {predictor}")


def values_of(dtype: str, bands: int = 3) -> NDArray[Any]:
    made = np.random.default_rng(3).normal(100, 40, (bands, 150, 170))
    return made.astype(dtype) if np.dtype(dtype).kind == "f" else made.clip(0, 127).astype(dtype)


def whole(level: LevelReader, raster: GeoTiff) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return values and validity of all pixels of a level, and of a hem around them."""
    columns = np.arange(-3, level.width + 3)[np.newaxis, :]
    rows = np.arange(-2, level.height + 2)[:, np.newaxis]
    inside = (columns >= 0) & (columns < level.width) & (rows >= 0) & (rows < level.height)
    shape = len(raster.band_indexes), *inside.shape
    values, valid = np.zeros(shape, raster.dtype), np.zeros(shape, np.bool_)
    deadline = time.monotonic() + 60
    picks = Picks(columns, rows, inside)
    read_picks(level, raster.asset.name, raster.band_indexes, picks, values, valid, deadline)
    return values, valid


def check_equal(path: Path, tolerance: int = 0) -> None:
    """Read each level both ways; the file must be one that is read without GDAL."""
    raster = raster_of(path)
    assert len(raster.layouts) == len(raster.levels)
    assert raster.source is not None
    file = FileBlocks(BlockCache(10**8), raster.source, raster.asset.name, time.monotonic() + 60)
    for level, layout in zip(raster.levels, raster.layouts, strict=True):
        options = {} if level.overview is None else {"overview_level": level.overview}
        with rasterio.Env(**GDAL_OPTIONS), rasterio.open(path, **options) as dataset:
            right = whole(GdalLevel(dataset, raster), raster)
        found = whole(BlockLevel(file, layout, raster), raster)
        assert right[1].any()
        if tolerance:
            assert np.abs(right[0].astype(int) - found[0]).max() <= tolerance
        else:
            assert np.array_equal(right[0], found[0], equal_nan=raster.dtype.kind == "f")
        assert np.array_equal(right[1], found[1])


@pytest.mark.parametrize(("dtype", "options"), list(written()))
def test_blocks_are_as_gdal_reads_them(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    check_equal(write_raster(tmp_path / "a.tif", values_of(dtype), **options))


@pytest.mark.parametrize(
    ("photometric", "interleave"),
    [("YCBCR", "pixel"), *product(("RGB", "MINISBLACK"), ("pixel", "band"))],
)
def test_jpeg_is_as_gdal_reads_it(tmp_path: Path, photometric: str, interleave: str) -> None:
    bands = 1 if photometric == "MINISBLACK" else 3
    smooth = np.add.outer(np.arange(150), np.arange(170)) // 2
    values = np.stack([smooth + 40 * i for i in range(bands)]).astype("uint8")
    made: dict[str, Any] = {"compress": "jpeg", "photometric": photometric}
    made |= {"interleave": interleave, "blockxsize": 64, "blockysize": 48}
    path = write_raster(tmp_path / "a.tif", values, **made)
    # GDAL may come with another version of the library, which converts colours in another way.
    check_equal(path, tolerance=2 if photometric == "YCBCR" else 0)


MASKS: dict[str, dict[str, Any]] = {
    "nodata": {"nodata": 100},
    "nodata that is zero": {"nodata": 0},
    "a mask": {"mask": True},
    "an alpha band": {"mask": True, "alpha": True},
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", *slow("int16"), "float32", *slow("float64")])
def test_masks_are_as_gdal_tells_them(tmp_path: Path, mask: str, shape: str, dtype: str) -> None:
    options = SHAPES[shape] | MASKS[mask]
    if "mask" in options:
        options["mask"] = np.random.default_rng(1).random((150, 170)) > 0.3
    check_equal(write_raster(tmp_path / "a.tif", values_of(dtype), **options))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("nodata", [-9999.1, float("nan"), 1e-40, 3.4028234663852886e38, 0.1])
def test_numbers_beside_nodata_are_told_as_gdal_tells_them(
    tmp_path: Path, dtype: str, nodata: float
) -> None:
    exact = np.dtype(dtype).type(nodata)
    near = [exact]
    with np.errstate(over="ignore"):
        for _ in range(9):
            near = [np.nextafter(near[0], -exact), *near, np.nextafter(near[-1], 2 * exact)]
    values = np.resize(np.array([*near, 5, np.nan], dtype), (1, 150, 170))
    check_equal(write_raster(tmp_path / "a.tif", values, nodata=nodata, resampling="nearest"))


@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("shape", ["tiles", "planes", "strips"])
def test_blocks_that_were_never_written_are_as_gdal_fills_them(
    tmp_path: Path, nodata: int | None, shape: str
) -> None:
    options = SHAPES[shape] | {"SPARSE_OK": True, "nodata": nodata}
    values = np.full((3, 150, 170), nodata or 0, "uint16")
    values[:, 60:80, 70:90] = 9
    check_equal(write_raster(tmp_path / "a.tif", values, **options))


def test_bigtiff_and_one_band_and_palettes_are_read(tmp_path: Path) -> None:
    check_equal(write_raster(tmp_path / "a.tif", values_of("uint8", 1), BIGTIFF="YES"))
    check_equal(write_raster(tmp_path / "b.tif", values_of("uint8", 1), photometric="palette"))


@pytest.mark.parametrize(
    "options",
    [
        {"nbits": 4, "dtype": "uint8"},
        {"compress": "packbits"},
        {"compress": "lzma"},
        {"compress": "webp", "webp_lossless": True},
        {"nbits": 16, "dtype": "float32"},
    ],
)
def test_what_is_not_understood_is_left_to_gdal(tmp_path: Path, options: dict[str, Any]) -> None:
    dtype = options.get("dtype", "uint8")
    assert raster_of(write_raster(tmp_path / "a.tif", values_of(dtype), **options)).layouts == ()


def test_a_damaged_block_is_left_to_gdal(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 300, 300), overviews=())
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(UnreadableRaster):
        engine(path).bands(raw(path, None))


@pytest.mark.parametrize("photometric", ["YCBCR", "MINISBLACK"])
def test_a_jpeg_that_declares_another_size_is_refused_before_it_takes_memory(
    tmp_path: Path, photometric: str
) -> None:
    bands = 3 if photometric == "YCBCR" else 1
    made: dict[str, Any] = {"compress": "jpeg", "photometric": photometric}
    path = write_raster(tmp_path / "a.tif", values_of("uint8", bands), **made)
    layout = raster_of(path).layouts[0].image
    bomb = io.BytesIO()
    Image.new("L" if bands == 1 else "RGB", (3000, 3000)).save(bomb, "JPEG")
    tracemalloc.start()
    try:
        with pytest.raises(DamagedBlock):
            decode(layout, bomb.getvalue(), layout.block_height)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("predictor", [2, 3])
def test_the_predictor_of_an_uncompressed_file_is_read_past_as_libtiff_does(
    tmp_path: Path, predictor: int
) -> None:
    values = np.arange(64 * 64, dtype="float32").reshape(1, 64, 64)
    path = write_raster(tmp_path / "a.tif", values, overviews=(), compress="none", zlevel=None)
    directories = directories_of(str(path), "a")
    raw_one = directories[0]
    marked = replace(raw_one, storage=replace(raw_one.storage, predictor=predictor))
    levels = (Level(None, 1),)
    (layout,) = layouts_of([marked], levels, np.dtype("float32"), None, False)
    assert layout.image.predictor == 1
