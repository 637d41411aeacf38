"""The scale of rasters across the antimeridian and at the poles, against shifted controls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyproj import Geod
from rasterio import Affine

from tests.rasters.engine import asset_of, raster_of
from tests.support.rasterfiles import grid_of, noise, write_raster
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PartialGrid, PixelGrid
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import tile_at, tile_grid
from tileserver.geo.asset_extents import extent_of
from tileserver.geo.completion import complete
from tileserver.geo.crs import nominal_scale_m
from tileserver.geo.local_scale import pixel_side
from tileserver.geo.positions import choose_level
from tileserver.geo.turns import period


def placed(folder: Path, crs: str, transform: Affine, side: int = 256) -> Path:
    """Write a raster with overviews somewhere; return its path."""
    return write_raster(folder / "a.tif", noise(1, side, side), crs, transform, overviews=(2, 4))


def completed(asset: ImageAsset, crs_code: str) -> PixelGrid:
    return complete(PixelRequest(asset.name, grid=PartialGrid(crs_code=crs_code)), asset)


ACROSS = {
    "degrees": ("EPSG:4326", Affine(0.01, 0, 179, 0, -0.01, 10), 40.0),
    "degrees, 0 to 360": ("EPSG:4326", Affine(0.01, 0, 358.9, 0, -0.01, 10), 40.0),
    "grads": ("EPSG:4901", Affine(0.01, 0, 196.0, 0, -0.01, 10), 40.0),
    "Mercator at 150": ("EPSG:3832", Affine(1000, 0, 3_210_000, 0, -1000, 900_000), 2e6),
    "Web Mercator": ("EPSG:3857", Affine(1000, 0, 19_900_000, 0, -1000, 900_000), 2e6),
    "UTM 60": ("EPSG:32660", Affine(1000, 0, 700_000, 0, -1000, 900_000), 2e5),
}
"""CRS, transform, and how far west of it a control lies that does not cross 180 degrees."""


@pytest.mark.parametrize("target", ["EPSG:3857", "EPSG:4326", "EPSG:3832", "EPSG:4901"])
@pytest.mark.parametrize("which", ACROSS)
def test_a_raster_across_the_antimeridian_has_the_scale_of_its_control(
    tmp_path: Path, which: str, target: str
) -> None:
    crs, transform, shift = ACROSS[which]
    sizes, zooms = [], []
    for west in (0.0, shift):
        moved = Affine.translation(-west, 0) @ transform
        asset = asset_of(placed(tmp_path, crs, moved))
        grid = completed(asset, target)
        sizes.append((grid.width, grid.height))
        zooms.append(extent_of(asset).full_zoom)
    assert zooms[0] == zooms[1] > 4
    # UTM is not the same at both places: its pixels are turned.
    assert np.abs(np.subtract(sizes[0], sizes[1])).max() <= 0.03 * max(sizes[1])
    assert min(sizes[0]) > 200


POLES = {
    "EPSG:3413": 90.0,
    "EPSG:3571": 90.0,
    "EPSG:3995": 90.0,
    "EPSG:3031": -90.0,
    "EPSG:3976": -90.0,
}


@pytest.mark.parametrize("crs", POLES)
def test_a_raster_around_a_pole_has_zooms_and_overviews(tmp_path: Path, crs: str) -> None:
    pixel_m = 20_000.0
    path = placed(tmp_path, crs, Affine(pixel_m, 0, -128 * pixel_m, 0, -pixel_m, 128 * pixel_m))
    raster = raster_of(path)
    zoom = extent_of(raster.asset).full_zoom
    # At a quarter of the diagonal, some 16 degrees from the pole, a pixel of the tile is as large.
    latitude = np.radians(90 - 128 * pixel_m * 2**0.5 / 2 / 111_000)
    tile_m = 156_543 / 2**zoom * np.cos(latitude)
    assert pixel_m / 2.1 < tile_m <= pixel_m * 1.1
    factors = [
        choose_level(raster.levels, raster.grid, tile_grid(tile_at(0, 0, z))).factor
        for z in (zoom, zoom - 1, zoom - 2)
    ]
    assert factors == [1, 2, 4] or factors == [1, 1, 2]
    assert (
        complete(
            PixelRequest(raster.asset.name, grid=PartialGrid(crs_code="EPSG:3857")), raster.asset
        ).width
        > 256
    )


def test_a_raster_within_85_degrees_of_no_tile_still_has_a_scale() -> None:
    grid = grid_of(100, 100, Affine(1000, 0, -50_000, 0, -1000, 50_000), "EPSG:3413")
    side = pixel_side(grid, "EPSG:3857")
    assert side is not None
    assert side > 1000


@pytest.mark.parametrize("crs", ["EPSG:4807", "EPSG:4901", "EPSG:4326", "EPSG:4269"])
def test_a_turn_and_the_equator_are_those_of_the_unit(crs: str) -> None:
    turn = period(crs)
    assert turn == (400 if crs in ("EPSG:4807", "EPSG:4901") else 360)
    around_m = Geod(a=6378137, b=6378137).line_length([0, 120, 240, 360], [0] * 4)
    assert nominal_scale_m(crs, turn) == pytest.approx(around_m)
