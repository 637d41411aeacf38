import io
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import BandArrays, Range, VisualizationOptions
from tileserver.errors import InvalidRequest
from tileserver.rendering.encoders import encode, media_type, named_zip
from tileserver.rendering.npy import write_npy
from tileserver.rendering.png import transparent_png

PICTURES = [each for each in ImageFileFormat if each.is_picture]
DTYPES = [
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float32", "float64"),
]
STYLE = VisualizationOptions((Range(0, 100),))


def bands_of(values: NDArray[Any], valid: Any = None) -> BandArrays:
    ids = tuple(f"B{band}" for band in range(1, len(values) + 1))
    return BandArrays(ids, values, np.ones(values.shape, bool) if valid is None else valid)


def smooth(count: int = 3) -> BandArrays:
    """Return bands of shape (count, 32, 48) that JPEG hardly changes, values 0..100."""
    columns = np.linspace(0, 100, 48).astype(np.uint16)
    return bands_of(np.broadcast_to(columns, (count, 32, 48)).copy())


def with_hole(bands: BandArrays) -> BandArrays:
    valid = bands.valid.copy()
    valid[0, :16, :16] = False
    return BandArrays(bands.ids, bands.values, valid)


def grid_for(bands: BandArrays) -> PixelGrid:
    _, height, width = bands.values.shape
    return PixelGrid(width, height, AffineTransform(10, 0, 5e5, 0, -10, 4e6), "EPSG:32610")


def encoded(
    file_format: ImageFileFormat, bands: BandArrays, options: VisualizationOptions | None = None
) -> bytes:
    return encode(file_format, bands, grid_for(bands), options)


def image_of(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


@pytest.mark.parametrize("file_format", PICTURES)
@pytest.mark.parametrize("count", [1, 3])
def test_every_picture_shows_the_stretched_values(file_format: ImageFileFormat, count: int) -> None:
    bands = smooth(count)
    image = image_of(encoded(file_format, bands, STYLE))
    assert image.size == (48, 32)
    expected = np.moveaxis(np.broadcast_to(bands.values, (3, 32, 48)), 0, -1) * 2.55
    is_lossy = image.format in ("JPEG", "AVIF")
    difference = np.abs(np.array(image.convert("RGB")) - expected).max()
    assert difference <= (6 if is_lossy else 1)


@pytest.mark.parametrize("file_format", PICTURES)
def test_a_media_type_says_what_the_bytes_are(file_format: ImageFileFormat) -> None:
    for bands in (smooth(), with_hole(smooth())):
        body = encoded(file_format, bands, STYLE)
        assert media_type(file_format, body) == Image.MIME[image_of(body).format or ""]


def test_auto_is_a_jpeg_unless_something_is_transparent() -> None:
    auto = ImageFileFormat.AUTO_JPEG_PNG
    assert image_of(encoded(auto, smooth(), STYLE)).format == "JPEG"
    assert image_of(encoded(auto, with_hole(smooth()), STYLE)).format == "PNG"
    faint = VisualizationOptions((Range(0, 100),), opacity=0.5)
    assert image_of(encoded(auto, smooth(), faint)).format == "PNG"


@pytest.mark.parametrize("file_format", [ImageFileFormat.PNG, ImageFileFormat.WEBP])
@pytest.mark.parametrize("count", [1, 3])
def test_masked_pixels_are_transparent(file_format: ImageFileFormat, count: int) -> None:
    image = image_of(encoded(file_format, with_hole(smooth(count)), STYLE))
    alpha = np.array(image.convert("RGBA"))[..., 3]
    assert not alpha[:16, :16].any()
    assert (alpha[16:] == 255).all()
    assert (alpha[:, 16:] == 255).all()


def test_masked_pixels_of_a_jpeg_are_black() -> None:
    bands = bands_of(np.full((3, 32, 32), 100, np.uint8))
    image = np.array(image_of(encoded(ImageFileFormat.JPEG, with_hole(bands), STYLE)))
    assert image[:14, :14].max() <= 5
    assert image[18:, 18:].min() >= 250


def test_a_tile_without_data_is_the_transparent_constant() -> None:
    bands = bands_of(np.full((3, 256, 256), 7, np.uint16), np.zeros((3, 256, 256), bool))
    assert encoded(ImageFileFormat.PNG, bands, STYLE) == transparent_png(256, 256)


def test_a_webp_keeps_every_opaque_color_exactly() -> None:
    values = np.random.default_rng(2).integers(0, 256, (3, 20, 30), dtype=np.uint8)
    image = image_of(encoded(ImageFileFormat.WEBP, bands_of(values)))
    assert np.array_equal(np.array(image), np.moveaxis(values, 0, -1))


def test_a_webp_has_no_side_beyond_16383() -> None:
    with pytest.raises(InvalidRequest, match="16383 pixels a side, got 16384x1"):
        encoded(ImageFileFormat.WEBP, bands_of(np.zeros((1, 1, 16384), np.uint8)))


@pytest.mark.parametrize("file_format", PICTURES)
def test_two_bands_make_no_picture(file_format: ImageFileFormat) -> None:
    with pytest.raises(InvalidRequest, match="one or three bands, got 2"):
        encoded(file_format, smooth(2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_npy_is_a_structured_array_in_band_order(dtype: str, count: int) -> None:
    rng = np.random.default_rng(4)
    bands = bands_of((rng.random((count, 7, 9)) * 120).astype(dtype))
    body = encoded(ImageFileFormat.NPY, bands)
    array = np.load(io.BytesIO(body), allow_pickle=False)
    assert array.shape == (7, 9)
    assert array.flags.c_contiguous
    assert array.dtype == np.dtype([(band, np.dtype(dtype)) for band in bands.ids])
    for band, values in zip(bands.ids, bands.values, strict=True):
        assert np.array_equal(array[band], values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_npy_is_byte_for_byte_what_numpy_saves(dtype: str) -> None:
    bands = bands_of(np.arange(3 * 4 * 5).reshape(3, 4, 5).astype(dtype))
    array = np.empty((4, 5), [(band, np.dtype(dtype).newbyteorder("<")) for band in bands.ids])
    for band, values in zip(bands.ids, bands.values, strict=True):
        array[band] = values
    saved = io.BytesIO()
    np.save(saved, array, allow_pickle=False)
    assert np.array_equal(np.load(io.BytesIO(write_npy(bands))), array)
    # NumPy reserves room to grow after the shape, so its header may be longer than ours.
    assert write_npy(bands).split(b"\n", 1)[1] == saved.getvalue().split(b"\n", 1)[1]


def test_a_big_endian_array_is_saved_little_endian() -> None:
    body = write_npy(bands_of(np.array([[[1, 258]]], ">u2")))
    assert b"'<u2'" in body
    assert np.load(io.BytesIO(body))["B1"].tolist() == [[1, 258]]


def test_masked_pixels_of_an_npy_are_zero() -> None:
    bands = bands_of(
        np.array([[[1.5, np.nan]], [[2, 3]]]), np.array([[[True, False]], [[True] * 2]])
    )
    array = np.load(io.BytesIO(write_npy(bands)))
    assert (array["B1"].tolist(), array["B2"].tolist()) == ([[1.5, 0.0]], [[2.0, 3.0]])


def header_of(body: bytes) -> str:
    """Return an NPY's header, checking what GDAL insists on."""
    assert body[:8] == b"\x93NUMPY\x01\x00"
    length = int.from_bytes(body[8:10], "little")
    assert (10 + length) % 64 == 0
    header = body[10 : 10 + length].decode("latin-1")
    assert header.endswith("\n")
    return header


def test_the_header_is_version_1_even_for_1024_bands() -> None:
    bands = bands_of(np.arange(1024, dtype=np.uint8).reshape(1024, 1, 1))
    body = write_npy(bands)
    assert len(header_of(body)) > 10_000
    array = np.load(io.BytesIO(body), max_header_size=65535)
    assert array["B1024"].tolist() == [[255]]


def test_a_header_that_does_not_fit_version_1_is_refused() -> None:
    ids = tuple(f"{band:060}" for band in range(1024))
    bands = BandArrays(ids, np.zeros((1024, 1, 1), np.uint8), np.ones((1024, 1, 1), bool))
    with pytest.raises(InvalidRequest, match="1024 bands do not fit an NPY header of 65535 bytes"):
        write_npy(bands)


@settings(deadline=None)
@given(st.lists(st.text("aé'\"\\ _1", min_size=1), min_size=1, max_size=4, unique=True))
def test_any_latin_1_band_id_survives(ids: list[str]) -> None:
    values = np.zeros((len(ids), 2, 3), np.int16)
    body = write_npy(BandArrays(tuple(ids), values, np.ones(values.shape, bool)))
    header_of(body)
    assert np.load(io.BytesIO(body), allow_pickle=False).dtype.names == tuple(ids)


def test_a_band_id_beyond_latin_1_is_refused() -> None:
    bands = BandArrays(("温度",), np.zeros((1, 1, 1)), np.ones((1, 1, 1), bool))
    with pytest.raises(InvalidRequest, match="Latin-1"):
        write_npy(bands)


@pytest.mark.parametrize(
    "file_format",
    [
        ImageFileFormat.NPY,
        ImageFileFormat.TF_RECORD_IMAGE,
        ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND,
    ],
)
def test_formats_that_go_by_id_refuse_one_id_twice(file_format: ImageFileFormat) -> None:
    bands = BandArrays(("B1", "B1"), np.zeros((2, 1, 1)), np.ones((2, 1, 1), bool))
    with pytest.raises(InvalidRequest, match="two are the same"):
        encoded(file_format, bands)


def test_with_options_an_npy_holds_the_picture() -> None:
    bands = bands_of(np.array([[[0, 50, 100]]], np.int16), np.array([[[True, True, False]]]))
    array = np.load(io.BytesIO(encoded(ImageFileFormat.NPY, bands, STYLE)))
    assert array.dtype == np.dtype([(f"vis-{color}", "u1") for color in ("red", "green", "blue")])
    for name in array.dtype.names:
        assert array[name].tolist() == [[0, 128, 0]]


def test_empty_options_are_none_and_leave_the_values_raw() -> None:
    bands = bands_of(np.array([[[-7]], [[3000]]], np.int16))
    body = encoded(ImageFileFormat.NPY, bands, VisualizationOptions())
    assert body == encoded(ImageFileFormat.NPY, bands)
    assert np.load(io.BytesIO(body)).tolist() == [[(-7, 3000)]]


def test_with_options_a_geotiff_holds_the_picture() -> None:
    bands = smooth()
    body = encoded(ImageFileFormat.GEO_TIFF, bands, STYLE)
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert dataset.descriptions == ("vis-red", "vis-green", "vis-blue")
        assert set(dataset.dtypes) == {"uint8"}
        assert np.abs(dataset.read() - bands.values * 2.55).max() <= 1


def test_without_options_a_geotiff_holds_the_values() -> None:
    bands = smooth(2)
    body = encoded(ImageFileFormat.GEO_TIFF, bands)
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert np.array_equal(dataset.read(), bands.values)


def test_a_zip_holds_one_tif_or_one_for_each_band() -> None:
    bands = smooth(2)
    whole = zipfile.ZipFile(io.BytesIO(encoded(ImageFileFormat.ZIPPED_GEO_TIFF, bands)))
    assert whole.namelist() == ["image.tif"]
    assert whole.read("image.tif") == encoded(ImageFileFormat.GEO_TIFF, bands)
    each = zipfile.ZipFile(io.BytesIO(encoded(ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND, bands)))
    assert each.namelist() == ["B1.tif", "B2.tif"]
    with MemoryFile(each.read("B2.tif")) as memory, memory.open() as dataset:
        assert dataset.descriptions == ("B2",)
        assert np.array_equal(dataset.read(1), bands.values[1])


def test_the_files_of_a_zip_can_be_named() -> None:
    bands = smooth(2)
    whole = encoded(ImageFileFormat.ZIPPED_GEO_TIFF, bands)
    each = encoded(ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND, bands)
    one = zipfile.ZipFile(io.BytesIO(named_zip(whole, "mine", is_per_band=False)))
    two = zipfile.ZipFile(io.BytesIO(named_zip(each, "mine", is_per_band=True)))
    assert one.namelist() == ["mine.tif"]
    assert two.namelist() == ["mine.B1.tif", "mine.B2.tif"]
    assert two.read("mine.B2.tif") == zipfile.ZipFile(io.BytesIO(each)).read("B2.tif")


def test_a_band_id_cannot_lead_out_of_the_folder_it_is_unpacked_into() -> None:
    bands = BandArrays(("../../etc/b", "C:\\x"), np.zeros((2, 1, 1)), np.ones((2, 1, 1), bool))
    body = encoded(ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND, bands)
    assert zipfile.ZipFile(io.BytesIO(body)).namelist() == [".._.._etc_b.tif", "C__x.tif"]


@pytest.mark.parametrize("file_format", list(ImageFileFormat))
def test_the_same_pixels_are_the_same_bytes(file_format: ImageFileFormat) -> None:
    options = STYLE if file_format.is_picture else None
    first = encoded(file_format, with_hole(smooth()), options)
    assert encoded(file_format, with_hole(smooth()), options) == first
    assert len(first) > 50
    if not file_format.is_picture:
        assert media_type(file_format, first) == file_format.media_type


@pytest.mark.parametrize("opacity", [None, 0.0, 0.5])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "int32"])
def test_a_palette_is_drawn_as_the_formula_says(dtype: str, opacity: float | None) -> None:
    """The reference is NumPy's own interpolation of the palette, in double precision."""
    values = np.linspace(-20, 120, 4096).reshape(64, 64).astype(dtype)
    valid = np.ones((64, 64), bool)
    valid[10:20, 5:30] = False
    bands = BandArrays(("b1",), values[np.newaxis], valid[np.newaxis])
    palette = ("000000", "ff8000", "00ff00", "ffffff")
    options = VisualizationOptions(ranges=(Range(0, 100),), palette_colors=palette, opacity=opacity)
    image = image_of(encode(ImageFileFormat.PNG, bands, grid_for(bands), options))
    found = np.array(image.convert("RGBA"))
    share = np.clip(values.astype(float) / 100, 0, 1)
    stops = np.array([[0, 0, 0], [255, 128, 0], [0, 255, 0], [255, 255, 255]])
    right = [np.interp(share, np.linspace(0, 1, 4), stops[:, channel]) for channel in range(3)]
    alpha = int(255 * (1 if opacity is None else opacity) + 0.5)
    assert (found[..., 3] == valid * alpha).all()
    shown = valid & (alpha > 0)
    assert np.abs(found[shown][:, :3] - np.stack(right, -1)[shown]).max(initial=0) <= 0.51
    assert not found[~shown].any()


def test_few_colours_are_written_with_a_palette() -> None:
    values = (np.arange(65536).reshape(1, 256, 256) // 256).astype(np.uint8)
    bands = BandArrays(("b1",), values, np.ones(values.shape, bool))
    options = VisualizationOptions(ranges=(Range(0, 255),), palette_colors=("000000", "0000ff"))
    body = encode(ImageFileFormat.PNG, bands, grid_for(bands), options)
    assert image_of(body).mode == "P"
    assert len(body) < 3000
