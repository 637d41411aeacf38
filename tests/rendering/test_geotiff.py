import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Compression, MaskFlags
from rasterio.io import MemoryFile

from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest
from tileserver.rendering.geotiff import write_geotiff

NORTH_UP = AffineTransform(scale_x=30, translate_x=4e5, scale_y=-30, translate_y=4.5e6)
DTYPES = [
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float32", "float64"),
]

WRITTEN = {"int64": "float64", "uint64": "float64"}


def grid_of(
    width: int, height: int, transform: AffineTransform = NORTH_UP, crs_code: str = "EPSG:32612"
) -> PixelGrid:
    return PixelGrid(width, height, transform, crs_code)


def bands_of(count: int, height: int, width: int, dtype: str) -> BandArrays:
    rng = np.random.default_rng(5)
    values = (rng.random((count, height, width)) * 120).astype(dtype)
    ids = tuple(f"B{band}" for band in range(1, count + 1))
    return BandArrays(ids, values, np.ones(values.shape, bool))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 3, 4])
def test_rasterio_reads_back_every_type(dtype: str, count: int) -> None:
    bands = bands_of(count, 21, 34, dtype)
    with MemoryFile(write_geotiff(bands, grid_of(34, 21))) as memory, memory.open() as dataset:
        assert np.array_equal(dataset.read(), bands.values)
        assert set(dataset.dtypes) == {WRITTEN.get(dtype, dtype)}
        assert dataset.descriptions == bands.ids
        assert dataset.crs == CRS.from_epsg(32612)
        assert dataset.compression == Compression.deflate
        assert dataset.nodata is None


NODATA = {
    **dict.fromkeys(("uint8", "uint16", "uint32"), 0),
    **{name: int(np.iinfo(name).min) for name in ("int8", "int16", "int32")},
    **dict.fromkeys(("float16", "float32", "float64", "int64", "uint64"), -np.inf),
}
"""As the files of Earth Engine's computePixels and downloads have it; geedim 2.0 lists them."""


@pytest.mark.parametrize(("dtype", "nodata"), NODATA.items())
def test_masked_pixels_have_earth_engine_s_nodata_of_their_type(dtype: str, nodata: float) -> None:
    values = np.array([[[5, 6]], [[7, 8]]], dtype)
    valid = np.array([[[True, False]], [[True, True]]])
    body = write_geotiff(BandArrays(("x", "y"), values, valid), grid_of(2, 1))
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert dataset.nodata == nodata
        assert dataset.read(masked=True).mask.tolist() == (~valid).tolist()
        assert dataset.read()[valid].tolist() == [5, 7, 8]


def test_zeros_of_an_image_without_a_masked_pixel_stay_valid() -> None:
    body = write_geotiff(bands_of(1, 4, 5, "uint8"), grid_of(5, 4))
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert dataset.nodata is None
        assert dataset.read(masked=True).mask.all() == np.False_


@pytest.mark.parametrize(
    "transform",
    [
        NORTH_UP,
        AffineTransform(0.1, 0.02, 3, 0.01, -0.1, 4),
        AffineTransform(scale_x=2, translate_x=-7, scale_y=3, translate_y=1),
        AffineTransform(scale_x=2, scale_y=-2),
    ],
)
def test_the_transform_is_kept_exactly_with_its_shear(transform: AffineTransform) -> None:
    body = write_geotiff(bands_of(1, 4, 5, "uint8"), grid_of(5, 4, transform))
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert tuple(dataset.transform)[:6] == (
            *(transform.scale_x, transform.shear_x, transform.translate_x),
            *(transform.shear_y, transform.scale_y, transform.translate_y),
        )


@pytest.mark.parametrize("scale_y", [1.0, -1.0])
def test_a_grid_of_unit_pixels_at_the_origin_stays_georeferenced(scale_y: float) -> None:
    transform = AffineTransform(scale_x=1, scale_y=scale_y)
    body = write_geotiff(bands_of(1, 4, 5, "uint8"), grid_of(5, 4, transform, "EPSG:4326"))
    # Opening would warn, and warnings are errors, if the transform were missing.
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert tuple(dataset.transform)[:6] == pytest.approx((1, 0, 0, 0, scale_y, 0))
        assert dataset.crs == CRS.from_epsg(4326)


def test_the_crs_may_be_wkt() -> None:
    sinusoidal = CRS.from_proj4("+proj=sinu +R=6371007.181 +units=m")
    grid = grid_of(5, 4, crs_code=sinusoidal.to_wkt())
    body = write_geotiff(bands_of(1, 4, 5, "uint8"), grid)
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert dataset.crs.to_dict()["proj"] == "sinu"


def test_an_unknown_crs_is_the_request_s_fault() -> None:
    with pytest.raises(InvalidRequest, match="EPSG:1"):
        write_geotiff(bands_of(1, 4, 5, "uint8"), grid_of(5, 4, crs_code="EPSG:1"))


@pytest.mark.parametrize(("side", "is_tiled"), [(256, False), (513, True)])
def test_large_files_are_tiled(side: int, is_tiled: bool) -> None:
    body = write_geotiff(bands_of(1, side, side, "uint8"), grid_of(side, side))
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert dataset.profile["tiled"] is is_tiled
        assert not is_tiled or dataset.block_shapes == [(256, 256)]


def test_three_byte_bands_are_a_picture_and_a_fourth_is_no_alpha() -> None:
    three = write_geotiff(bands_of(3, 4, 5, "uint8"), grid_of(5, 4))
    with MemoryFile(three) as memory, memory.open() as dataset:
        assert dataset.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    four = write_geotiff(bands_of(4, 4, 5, "uint8"), grid_of(5, 4))
    with MemoryFile(four) as memory, memory.open() as dataset:
        assert ColorInterp.alpha not in dataset.colorinterp
        assert all(flags == [MaskFlags.all_valid] for flags in dataset.mask_flag_enums)


def test_it_is_a_classic_little_tiff_and_the_same_each_time() -> None:
    bands, grid = bands_of(2, 30, 30, "float32"), grid_of(30, 30)
    body = write_geotiff(bands, grid)
    assert body.startswith(b"II*\x00")
    assert body == write_geotiff(bands, grid)


def test_half_floats_become_floats() -> None:
    bands = bands_of(1, 4, 5, "float16")
    with MemoryFile(write_geotiff(bands, grid_of(5, 4))) as memory, memory.open() as dataset:
        assert dataset.dtypes == ("float32",)
        assert np.array_equal(dataset.read(), bands.values.astype(np.float32))
