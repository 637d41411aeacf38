"""Files of different CRSs, types, bands and masks in one mosaic."""

import math
from pathlib import Path

import mercantile
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.enums import ColorInterp
from rasterio.warp import reproject
from rasterio.warp import transform as project

from tests.mosaics.conftest import MakeMosaic
from tests.mosaics.files import NAME, masked, read, shifted, whole
from tests.support.rasterfiles import UTAH, affine, write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import Box, PixelGrid
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import tile_at, tile_grid
from tileserver.geo.extents import lonlat_bounds

MIXED = [
    ("a.tif", "EPSG:32612", 30.0, "uint8", 0),
    ("b.tif", "EPSG:4326", 30 / 111_000, "int16", -9),
    ("c.tif", "EPSG:3857", 60.0, "float32", None),
    ("d.tif", "EPSG:5070", 90.0, "uint16", 65535),
]


def write_mixed(folder: Path) -> list[Path]:
    """Write four files that overlap near Salt Lake City, no two of a CRS, type or resolution."""
    paths = []
    for number, (name, crs, side, dtype, nodata) in enumerate(MIXED):
        ((x,), (y,)) = project("EPSG:4326", crs, [-112.0 + number * 0.03], [40.7 - number * 0.03])
        values = np.full((1, 200, 220), 10 * (number + 1), dtype)
        values[:, 50:60, 50:90] = 10 * (number + 1) if nodata is None else nodata
        transform = Affine(side, 0, x, 0, -side, y)
        path = folder / name
        paths.append(
            write_raster(
                path, values, crs, transform, nodata=nodata, overviews=(2,), resampling="nearest"
            )
        )
    return paths


@pytest.mark.parametrize("zoom", [12, 10])
def test_each_pixel_is_that_of_the_first_file_there(
    zoom: int, folder: Path, make_mosaic: MakeMosaic
) -> None:
    paths = write_mixed(folder)
    grid = tile_grid(mercantile.tile(-111.98, 40.68, zoom))
    expected = np.full((256, 256), np.nan)
    for path in reversed(paths):
        with rasterio.open(path) as dataset:
            valid = dataset.read_masks(1) > 0
            values = np.where(valid, dataset.read(1).astype(np.float64), np.nan)
            layer = np.full((256, 256), np.nan)
            reproject(
                values,
                layer,
                src_transform=dataset.transform,
                src_crs=dataset.crs,
                src_nodata=np.nan,
                dst_transform=affine(grid.transform),
                dst_crs="EPSG:3857",
                dst_nodata=np.nan,
                tolerance=0.0,
            )
        expected = np.where(np.isfinite(layer), layer, expected)
    found = masked(read(whole(make_mosaic(folder)), grid))[0]
    is_same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    # Pixels whose centres lie on the edge of a pixel of a file.
    assert np.isfinite(expected).sum() > 2000
    assert is_same.mean() > 0.995


def test_types_are_joined_and_the_grid_is_in_degrees(folder: Path, make_mosaic: MakeMosaic) -> None:
    write_mixed(folder)
    asset = whole(make_mosaic(folder)).find(NAME)
    assert asset.bands[0].dtype == np.result_type("u1", "i2", "f4", "u2")
    assert asset.common_grid.crs_code == "EPSG:4326"
    side = asset.common_grid.transform.scale_x
    assert 30 / 111_320 * 0.9 < side < 30 / 111_320 * 1.5


def test_bands_are_those_of_most_files(folder: Path, make_mosaic: MakeMosaic) -> None:
    rgb = ["red", "green", "blue"]
    for number, names in enumerate([rgb, rgb[::-1], [*rgb, "nir"], ["red"]]):
        values = np.stack(
            [np.full((40, 40), 10 * number + "rgbn".index(n[0]), "uint8") for n in names]
        )
        transform = shifted(40 * number, 0)
        write_raster(
            folder / f"{number}.tif", values, transform=transform, overviews=(), descriptions=names
        )
    mosaics = whole(make_mosaic(folder))
    assert mosaics.find(NAME).band_ids == ("red", "green", "blue")
    everything = read(mosaics)
    # A file without one of the bands shows only where it is not asked for.
    assert everything.valid[:, 0, ::40].all(axis=0).tolist() == [True, True, True, False]
    assert everything.values[:, 0, 40].tolist() == [10, 11, 12]
    only_red = read(mosaics, bands=("red",))
    assert only_red.values[0, 0, ::40].tolist() == [0, 10, 20, 30]


def test_partial_alpha_lets_the_file_below_shine_through(
    folder: Path, make_mosaic: MakeMosaic
) -> None:
    colors, alphas = (200, 40), np.linspace(0, 255, 50).round().astype(np.uint8)
    for name, color, alpha in zip("ab", colors, (alphas, np.full(50, 128)), strict=True):
        values = np.full((4, 50, 50), color, np.uint8)
        values[3] = alpha
        _write_rgba(folder / f"{name}.tif", values)
    found = read(whole(make_mosaic(folder)))
    top = alphas / 255
    cover = top + 128 / 255 * (1 - top)
    expected = (200 * top + 40 * 128 / 255 * (1 - top)) / cover
    assert found.alpha is not None
    np.testing.assert_allclose(found.alpha[0], cover * 255, atol=0.51)
    np.testing.assert_allclose(found.values[0, 0], expected, atol=0.51)
    # No pixel is darker than the darkest file: there is no rim.
    assert found.values.min() >= 40


def _write_rgba(path: Path, values: NDArray[np.uint8]) -> None:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint8",
        count=4,
        width=50,
        height=50,
        crs="EPSG:32612",
        transform=UTAH,
        photometric="RGB",
        alpha="unspecified",
    ) as dataset:
        dataset.colorinterp = [ColorInterp(each) for each in (3, 4, 5, 6)]
        dataset.write(values)


def test_it_crosses_the_antimeridian_in_one_piece(folder: Path, make_mosaic: MakeMosaic) -> None:
    sides = {"east": (179.0, 1), "west": (-180.0, 2), "across": (179.5, 3)}
    for name, (west, value) in sides.items():
        south = -17.0 if name == "across" else -16.0
        write_raster(
            folder / f"{name}.tif",
            np.full((1, 100, 100), value, "uint8"),
            "EPSG:4326",
            Affine(0.01, 0, west, 0, -0.01, south),
            overviews=(),
        )
    mosaics = whole(make_mosaic(folder))
    bounds = lonlat_bounds(mosaics.find(NAME))
    np.testing.assert_allclose(bounds, Box(179.0, -18.0, -179.0, -16.0), atol=1e-6)

    def value_at(lon: float, lat: float) -> float:
        grid = PixelGrid.filling(
            Box(lon - 0.001, lat - 0.001, lon + 0.001, lat + 0.001), 1, 1, "EPSG:4326"
        )
        return float(masked(read(mosaics, grid))[0, 0, 0])

    places = [(179.2, -16.5), (-179.8, -16.5), (179.7, -17.5), (-179.7, -17.5), (180.3, -16.5)]
    assert [value_at(*place) for place in places] == [1, 2, 3, 3, 2]
    assert math.isnan(value_at(179.2, -17.5))
    # Tiles on both sides of the seam.
    for x, wanted in ((1023, {1, 3}), (0, {2, 3})):
        pixels = masked(read(mosaics, tile_grid(tile_at(x, 561, 10))))
        assert set(np.unique(pixels[np.isfinite(pixels)])) <= wanted


def test_another_crs_than_tiles_finds_the_files_too(folder: Path, make_mosaic: MakeMosaic) -> None:
    write_mixed(folder)
    mosaics = whole(make_mosaic(folder))
    request = PixelRequest(f"{NAME}/a", ImageFileFormat.NPY)
    alone = mosaics.rasters.bands(request)
    grid = mosaics.rasters.catalogue.find(f"{NAME}/a").grid
    together = read(mosaics, grid)
    np.testing.assert_array_equal(together.values[0][alone.valid[0]], 10)
    assert (masked(together)[0, 50:60, 50:90] != 10).all()


def test_files_of_a_band_each_are_one_scene(folder: Path, make_mosaic: MakeMosaic) -> None:
    for number, day in enumerate(("20250601", "20250701")):
        scene = folder / f"S2A_{day}"
        scene.mkdir()
        for band, size in (("B02", 40), ("B03", 40), ("B05", 20)):
            side = 1200 / size
            value = np.full((1, size, size), 10 * number + int(band[1:]), "uint16")
            transform = Affine(side, 0, UTAH.c + 600 * number, 0, -side, UTAH.f)
            write_raster(scene / f"{band}.tif", value, transform=transform, overviews=())
    mosaics = whole(make_mosaic(folder, "newest"))
    asset = mosaics.find(NAME)
    assert asset.band_ids == ("B02", "B03", "B05")
    assert asset.mosaic is not None
    assert asset.mosaic.file_count == 2
    assert asset.start_time is not None
    assert asset.start_time.startswith("2025-06-01")
    found = read(mosaics)
    assert found.values[:, 0, 0].tolist() == [2, 3, 5]
    # The newer scene lies on top.
    assert found.values[:, 0, 25].tolist() == [12, 13, 15]
