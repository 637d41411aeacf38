"""Every pixel equals the one rasterio reads at the same place of the same level."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from tests.rasters.conftest import Once
from tests.rasters.engine import (
    asset_of,
    engine,
    level_of,
    oracle,
    raster_of,
    raw,
    read,
    tiles_over,
)
from tests.support.oracles import SINUSOIDAL, WORLD_M, pixels_of
from tests.support.rasterfiles import UTAH, affine, grid_of, noise, write_raster
from tileserver.contract.grids import PixelGrid
from tileserver.contract.tiles import Tile, tile_grid

WIDTH, HEIGHT = 451, 333
ZOOMS = (0, 1, 2, 4, 6, 8, 10, 12, 14, 19, 22)
LAMBERT_WKT = CRS.from_proj4(
    "+proj=lcc +lat_0=40 +lon_0=10 +lat_1=41 +lat_2=48 +x_0=5e5 +ellps=GRS80 +units=m"
).to_wkt()
DISK = "+proj=ortho +lat_0=30 +lon_0=-100"
DTYPES = [
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float32", "float64"),
]


def filling(west: float, south: float, east: float, north: float) -> Affine:
    """Return the transform of WIDTH x HEIGHT pixels that fill a box."""
    return Affine((east - west) / WIDTH, 0, west, 0, (south - north) / HEIGHT, north)


def turned(degrees: float, side: float, x: float, y: float) -> Affine:
    """Return the transform of square pixels turned anticlockwise about their first corner."""
    along, across = side * np.cos(np.radians(degrees)), side * np.sin(np.radians(degrees))
    return Affine(along, across, x, across, -along, y)


PLACES: dict[str, tuple[str, Affine]] = {
    "degrees": ("EPSG:4326", Affine(0.01, 0, 8, 0, -0.01, 48)),
    "whole world": ("EPSG:4326", filling(-180, -90, 180, 90)),
    "whole world from Greenwich": ("EPSG:4326", filling(0, -90, 360, 90)),
    "whole world upside down": ("EPSG:4326", filling(180, 90, -180, -90)),
    "degrees past the antimeridian": ("EPSG:4326", filling(170, -20, 190, 0)),
    "degrees before the antimeridian": ("EPSG:4326", filling(-190, -20, -170, 0)),
    "another datum": ("EPSG:4267", Affine(0.01, 0, -100, 0, -0.01, 40)),
    "web mercator": ("EPSG:3857", Affine(100, 0, 1e6, 0, -100, 6e6)),
    "web mercator past its edge": ("EPSG:3857", Affine(100, 0, WORLD_M / 2 - 2e4, 0, -100, 6e6)),
    "web mercator before its edge": ("EPSG:3857", Affine(100, 0, -WORLD_M / 2 - 2e4, 0, -100, 6e6)),
    "utm": ("EPSG:32612", UTAH),
    "utm south, antimeridian": ("EPSG:32760", Affine(300, 0, 7e5, 0, -300, 8.1e6)),
    "utm 1, antimeridian": ("EPSG:32601", Affine(600, 0, 1e5, 0, -600, 7.1e6)),
    "utm 60, antimeridian": ("EPSG:32660", Affine(600, 0, 6e5, 0, -600, 7.1e6)),
    "north pole inside": ("EPSG:3413", Affine(20_000, 0, -5e6, 0, -20_000, 4e6)),
    "north pole near": ("EPSG:3413", Affine(1000, 0, -2e5, 0, -1000, 2e5)),
    "south pole inside": ("EPSG:3031", Affine(20_000, 0, -5e6, 0, -20_000, 4e6)),
    "lambert": ("EPSG:2154", Affine(500, 0, 6e5, 0, -500, 6.7e6)),
    "lambert without a code": (LAMBERT_WKT, Affine(400, 0, 3e5, 0, -400, 7e5)),
    "british grid": ("EPSG:27700", Affine(200, 0, 4e5, 0, -200, 4e5)),
    "modis": (SINUSOIDAL, Affine(926.625433, 0, -1111950.52, 0, -926.625433, 5559752.6)),
    "modis, whole world": (
        SINUSOIDAL,
        filling(-2.0015109e7, -1.0007554e7, 2.0015109e7, 1.0007554e7),
    ),
    "rotated": ("EPSG:32612", turned(27, 30, 4e5, 4.5e6)),
    "rotated degrees, antimeridian": ("EPSG:4326", turned(27, 0.05, 175, 45)),
    "sheared": ("EPSG:32612", Affine(30, 11, 4e5, 4, -30, 4.5e6)),
    "south up": ("EPSG:32612", Affine(30, 0, 4e5, 0, 30, 4.49e6)),
    "west on the right": ("EPSG:32612", Affine(-30, 0, 4.2e5, 0, -30, 4.5e6)),
    "flat pixels": ("EPSG:32612", Affine(90, 0, 4e5, 0, -25, 4.5e6)),
    "smaller than a pixel from afar": ("EPSG:32612", Affine(0.1, 0, 4e5, 0, -0.1, 4.5e6)),
    "disk of the Earth": (
        "+proj=ortho +lat_0=30 +lon_0=-100",
        filling(-6.7e6, -6.7e6, 6.7e6, 6.7e6),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_every_pixel_is_the_one_rasterio_reads(tmp_path: Path, place: str) -> None:
    crs, transform = PLACES[place]
    path = write_raster(tmp_path / "a.tif", noise(2, HEIGHT, WIDTH), crs, transform)
    raster, rasters = raster_of(path), engine(path)
    grids = [tile_grid(tile, 96) for tile in tiles_over(raster.asset, ZOOMS)]
    levels = {level_of(raster, grid).factor for grid in grids}
    shown = on_edges = 0
    for grid in [*grids, raster.grid]:
        expected = pixels_of(path, grid, level_of(raster, grid).overview)
        on_edge, elsewhere = expected.differences(rasters.bands(raw(path, grid)))
        assert elsewhere == 0, grid
        on_edges += on_edge
        shown += int(expected.valid.any(axis=0).sum())
    assert len(levels) > 1
    assert shown > 30_000
    assert on_edges <= shown / 1000


def test_its_own_grid_shows_every_pixel(tmp_path: Path) -> None:
    for place in ("degrees past the antimeridian", "whole world from Greenwich", "rotated"):
        values = noise(2, HEIGHT, WIDTH)
        path = write_raster(tmp_path / f"{place}.tif", values, *PLACES[place])
        bands = read(path, None)
        assert bands.valid.all()
        assert np.array_equal(bands.values, values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", [Tile(386, 770, 11), Tile(1545, 3082, 13)])
def test_every_type_of_pixel_keeps_its_values(once: Once, dtype: str, tile: Tile) -> None:
    values = noise(2, HEIGHT, WIDTH, dtype)
    path = once(dtype, lambda path: write_raster(path, values, resampling="nearest"))
    grid = tile_grid(tile)
    bands = read(path, grid)
    assert bands.values.dtype == np.dtype(dtype)
    assert bands.valid.sum() > 10_000
    assert oracle(path, grid).differences(bands)[1] == 0


TARGETS = {
    "utm": grid_of(200, 150, Affine(95, 0, 400_100, 0, -95, 4_499_900), "EPSG:32612"),
    "the next utm zone": grid_of(200, 150, Affine(95, 0, -110_000, 0, -95, 4.53e6), "EPSG:32613"),
    "degrees": grid_of(200, 150, Affine(1e-3, 0, -112.2, 0, -1e-3, 40.65), "EPSG:4326"),
    "degrees from Greenwich": grid_of(
        200, 150, Affine(1e-3, 0, 247.8, 0, -1e-3, 40.65), "EPSG:4326"
    ),
    "rotated": grid_of(200, 150, turned(40, 40, 403_000, 4_499_000), "EPSG:32612"),
    "south up": grid_of(200, 150, Affine(60, 0, 400_100, 0, 60, 4_490_500), "EPSG:32612"),
    "polar": grid_of(200, 150, Affine(200, 0, -5.267e6, 0, -200, -2.2e6), "EPSG:3413"),
    "modis": grid_of(200, 150, Affine(90, 0, -9.47e6, 0, -90, 4.518e6), "SR-ORG:6974"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_any_grid_may_be_asked_for(tmp_path: Path, target: str) -> None:
    path = write_raster(tmp_path / "a.tif", noise(2, HEIGHT, WIDTH))
    expected = oracle(path, TARGETS[target])
    assert expected.valid.sum() > 2000
    assert expected.differences(read(path, TARGETS[target]))[1] == 0


def warped(path: Path, grid: PixelGrid) -> Any:
    """Return the values and the alpha of GDAL's own nearest warp, without its approximation."""
    with (
        rasterio.open(path) as dataset,
        WarpedVRT(
            dataset,
            crs=grid.crs_code,
            transform=affine(grid.transform),
            width=grid.width,
            height=grid.height,
            resampling=Resampling.nearest,
            add_alpha=True,
            tolerance=1e-9,
        ) as virtual,
    ):
        return virtual.read()


@pytest.mark.parametrize("place", ["degrees", "web mercator", "utm", "lambert", "british grid"])
def test_gdal_warps_to_the_same_pixels(tmp_path: Path, place: str) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, HEIGHT, WIDTH), *PLACES[place], overviews=())
    grid = tile_grid(tiles_over(asset_of(path), (10,))[0])
    values, alpha = warped(path, grid)
    bands = read(path, grid)
    same = (values == bands.masked_to_zero()[0]) & ((alpha != 0) == bands.valid[0])
    assert bands.valid.sum() > 500
    assert same.mean() >= 0.999
