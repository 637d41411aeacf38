"""getPixels in every format: the bytes hold the pixels that rasterio reads."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from tests.rasters.conftest import Once
from tests.rasters.engine import asset_of, engine, name_of, oracle, tiles_over
from tests.rendering.test_tfrecord import example_class, payload_of
from tests.support.oracles import Answer
from tests.support.rasterfiles import affine, noise, ramp, write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import PixelRequest, Range, VisualizationOptions
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.errors import InvalidRequest

DTYPES = [
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float32", "float64"),
]
GRID = tile_grid(Tile(386, 770, 11))
IDS = ("red", "green", "blue")
EXAMPLE = example_class()


def scene(once: Once, dtype: str) -> Path:
    """Return three bands of noise, a third of it masked."""
    shown = np.random.default_rng(5).random((333, 451)) > 0.3
    options: Any = {"mask": shown, "resampling": "nearest", "descriptions": IDS}
    return once(dtype, lambda path: write_raster(path, noise(3, 333, 451, dtype), **options))


def asked(
    path: Path,
    file_format: ImageFileFormat,
    options: VisualizationOptions | None = None,
    *bands: str,
    grid: PixelGrid = GRID,
) -> bytes:
    request = PixelRequest(name_of(path), file_format, grid, None, bands, options)
    return engine(path).pixels(request)


def of_npy(body: bytes) -> dict[str, NDArray[Any]]:
    array = np.load(io.BytesIO(body), allow_pickle=False)
    return {name: array[name] for name in array.dtype.names}


def of_geotiff(body: bytes) -> dict[str, NDArray[Any]]:
    with MemoryFile(body) as memory, memory.open() as dataset:
        assert dataset.crs == CRS.from_epsg(3857)
        assert dataset.transform == affine(GRID.transform)
        return dict(zip(dataset.descriptions, dataset.read(), strict=True))


def of_zip(body: bytes) -> dict[str, NDArray[Any]]:
    bands: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            bands |= of_geotiff(archive.read(name))
    return bands


def of_tfrecord(body: bytes) -> dict[str, NDArray[Any]]:
    features = EXAMPLE.FromString(payload_of(body)).features.feature
    return {name: np.array(features[name].float_list.value, "f4").reshape(256, 256) for name in IDS}


RAW = {
    ImageFileFormat.NPY: of_npy,
    ImageFileFormat.GEO_TIFF: of_geotiff,
    ImageFileFormat.ZIPPED_GEO_TIFF: of_zip,
    ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND: of_zip,
    ImageFileFormat.TF_RECORD_IMAGE: of_tfrecord,
}


@pytest.mark.slow
def stored(file_format: ImageFileFormat, dtype: np.dtype[Any]) -> tuple[np.dtype[Any], Any]:
    """Return the type of written values, and the value of masked ones."""
    if file_format is ImageFileFormat.TF_RECORD_IMAGE:
        return np.dtype("f4"), 0
    if file_format is ImageFileFormat.NPY or (dtype.kind == "u" and dtype.itemsize < 8):
        return dtype, 0
    if dtype.kind == "i" and dtype.itemsize < 8:
        return dtype, np.iinfo(dtype).min
    return np.dtype("f8" if dtype.itemsize == 8 else dtype), -np.inf


@pytest.mark.parametrize(
    ("file_format", "dtype"),
    # A zip holds GeoTIFFs, so two types tell as much as all.
    [(f, d) for f in RAW for d in (("uint16", "float32") if "ZIP" in f else DTYPES)],
)
def test_raw_formats_hold_the_values_and_say_what_is_masked(
    once: Once, file_format: ImageFileFormat, dtype: str
) -> None:
    path = scene(once, dtype)
    expected = oracle(path, GRID)
    bands = RAW[file_format](asked(path, file_format))
    assert tuple(bands) == IDS
    written, fill = stored(file_format, np.dtype(dtype))
    assert {band.dtype for band in bands.values()} == {written}
    wanted = np.where(expected.valid, expected.values.astype(written), fill)
    same = (np.stack(list(bands.values())) == wanted).all(axis=0)
    assert same[~expected.on_edge].all()
    assert expected.valid.any()
    assert not expected.valid.all()


STYLES: dict[str, tuple[VisualizationOptions | None, tuple[str, ...]]] = {
    "as it is": (None, IDS),
    "one range": (VisualizationOptions((Range(40, 200),)), IDS),
    "a range a band": (VisualizationOptions((Range(0, 99), Range(50, 60), Range(-9, 300))), IDS),
    "gamma": (VisualizationOptions((Range(0, 255),), gamma=2.2), IDS),
    "dark": (VisualizationOptions((Range(20, 180),), gamma=0.4), ("blue", "red", "green")),
    "opacity": (VisualizationOptions((Range(0, 255),), opacity=0.4), IDS),
    "grey": (VisualizationOptions((Range(10, 90),)), ("green",)),
    "palette": (VisualizationOptions((Range(10, 240),), ("0000ff", "white", "f00")), ("blue",)),
    "palette, gamma": (VisualizationOptions((Range(0, 255),), ("000", "0f0"), gamma=3), ("red",)),
}


def drawn(expected: Answer, options: VisualizationOptions, bands: tuple[str, ...]) -> NDArray[Any]:
    """Return red, green, blue and alpha by the formula, in floating point."""
    chosen = [IDS.index(band) for band in bands]
    ranges = options.ranges or (Range(0, 255),)
    ranges = ranges if len(ranges) == len(chosen) else ranges * len(chosen)
    channels = []
    for index, each in zip(chosen, ranges, strict=True):
        v = (expected.values[index].astype(np.float64) - each.min) / (each.max - each.min)
        channels.append(np.clip(v, 0, 1) ** (1 / (options.gamma or 1)))
    if options.palette_colors:
        colors = {"0000ff": (0, 0, 1), "white": (1, 1, 1), "f00": (1, 0, 0), "000": (0, 0, 0)}
        stops = [colors.get(name, (0, 1, 0)) for name in options.palette_colors]
        position = channels[0] * (len(stops) - 1)
        places = range(len(stops))
        channels = [np.interp(position, places, [stop[c] for stop in stops]) for c in range(3)]
    shown = np.logical_and.reduce(expected.valid[chosen])
    opacity = 1.0 if options.opacity is None else options.opacity
    picture = [*(channels * 3)[:3], np.full(shown.shape, opacity)]
    result: NDArray[Any] = np.stack(picture, axis=-1) * 255 * shown[..., np.newaxis]
    return result


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_picture_is_the_formula_to_within_one(once: Once, style: str, dtype: str) -> None:
    options, bands = STYLES[style]
    # Beyond 0 and 255 too, where the type goes there.
    values = noise(3, 333, 451, "uint8").astype(np.float64) * 1.1 - 10
    values = values.clip(0 if dtype.startswith("u") else -10, 255 if dtype == "uint8" else 300)
    shown = np.random.default_rng(5).random((333, 451)) > 0.3
    path = once(
        f"{dtype} beyond",
        lambda path: write_raster(path, values.astype(dtype), mask=shown, descriptions=IDS),
    )
    expected = oracle(path, GRID)
    body = asked(path, ImageFileFormat.PNG, options, *bands)
    image = np.array(Image.open(io.BytesIO(body)).convert("RGBA")).astype(int)
    wanted = drawn(expected, options or VisualizationOptions(), bands)
    difference = np.abs(image - wanted).max(axis=-1)
    assert difference[~expected.on_edge].max() <= 1
    assert expected.valid.sum() > 10_000


def test_a_webp_is_the_png_exactly(once: Once) -> None:
    path = scene(once, "uint8")
    bodies = [asked(path, each) for each in (ImageFileFormat.PNG, ImageFileFormat.WEBP)]
    png, webp = (np.array(Image.open(io.BytesIO(body)).convert("RGBA")) for body in bodies)
    assert np.array_equal(png, webp)


def test_a_jpeg_is_nearly_the_formula(tmp_path: Path) -> None:
    values = np.concatenate([ramp(900, 1200, 0.1, 0.05) * f for f in (0.5, 1, 1.4)])
    path = write_raster(tmp_path / "a.tif", values, descriptions=IDS)
    grid = tile_grid(tiles_over(asset_of(path), (13,))[1])
    options = VisualizationOptions((Range(0, 240),))
    body = asked(path, ImageFileFormat.JPEG, options, grid=grid)
    image = np.array(Image.open(io.BytesIO(body))).astype(int)
    expected = oracle(path, grid)
    assert expected.valid.all()
    difference = np.abs(image - drawn(expected, options, IDS)[..., :3])
    assert difference.mean() < 1.5
    assert difference.max() <= 8


def test_auto_is_a_jpeg_inside_and_a_png_at_the_edge(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(3, 900, 1200, "uint8"))
    auto = ImageFileFormat.AUTO_JPEG_PNG
    inside = asked(path, auto, grid=tile_grid(tiles_over(asset_of(path), (13,))[1]))
    at_edge = asked(path, auto, grid=tile_grid(Tile(386, 770, 11)))
    assert [Image.open(io.BytesIO(body)).format for body in (inside, at_edge)] == ["JPEG", "PNG"]


def test_bands_come_in_the_order_asked_for(once: Once) -> None:
    path = scene(once, "int16")
    bands = of_npy(asked(path, ImageFileFormat.NPY, None, "blue", "red"))
    every = of_npy(asked(path, ImageFileFormat.NPY))
    assert list(bands) == ["blue", "red"]
    assert all(np.array_equal(bands[name], every[name]) for name in bands)


def test_a_picture_that_cannot_be_drawn_is_refused_before_a_pixel_is_read(once: Once) -> None:
    path = scene(once, "int16")
    with pytest.raises(InvalidRequest, match="one or three bands, got 2"):
        asked(path, ImageFileFormat.PNG, None, "blue", "red")
    with pytest.raises(InvalidRequest, match=r"'nir' did not match any bands\. Bands: red, green"):
        asked(path, ImageFileFormat.NPY, None, "nir")


@pytest.mark.parametrize("file_format", [f for f in ImageFileFormat if f.is_picture])
def test_a_picture_beside_the_asset_is_empty(once: Once, file_format: ImageFileFormat) -> None:
    body = asked(scene(once, "uint8"), file_format, grid=tile_grid(Tile(386, 385, 11)))
    image = Image.open(io.BytesIO(body))
    pixels = np.array(image.convert("RGBA"))
    assert not pixels[..., :3].any()
    assert image.format == "JPEG" or not pixels[..., 3].any()


def test_values_beside_the_asset_are_zero(once: Once) -> None:
    path = scene(once, "int16")
    bands = of_npy(asked(path, ImageFileFormat.NPY, grid=tile_grid(Tile(386, 385, 11))))
    assert list(bands) == list(IDS)
    assert not any(band.any() for band in bands.values())
