from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine
from rasterio.crs import CRS

from tests.rasters.engine import asset_of
from tests.rasters.test_identity import HEIGHT, PLACES, WIDTH
from tests.support.oracles import SINUSOIDAL, WORLD_M, points_in
from tests.support.rasterfiles import UTAH, affine, apply, noise, write_raster
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box
from tileserver.contract.tiles import HALF_WORLD_M
from tileserver.errors import InvalidRequest
from tileserver.geo.extents import footprint, footprint_extent, lonlat_bounds

At = Callable[[str], ImageAsset]


@pytest.fixture(scope="module")
def asset_at(tmp_path_factory: pytest.TempPathFactory) -> At:
    """Return what writes a raster at a place, the first time, and describes it."""
    folder = tmp_path_factory.mktemp("places")

    @cache
    def written(place: str) -> ImageAsset:
        path = folder / f"{place}.tif"
        return asset_of(write_raster(path, noise(1, HEIGHT, WIDTH), *PLACES[place], overviews=()))

    return written


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("crs_code", ["EPSG:4326", "EPSG:3857", "EPSG:3413"])
def test_a_footprint_holds_every_pixel_and_lies_on_the_map(
    asset_at: At, place: str, crs_code: str
) -> None:
    asset = asset_at(place)
    boxes = footprint(asset, crs_code)
    source, target = CRS.from_string(asset.common_grid.crs_code), CRS.from_string(crs_code)
    across, down = np.meshgrid(np.linspace(0, WIDTH, 91), np.linspace(0, HEIGHT, 71))
    x, y = points_in(source, target, *apply(affine(asset.common_grid.transform), across, down))
    turn = {"EPSG:4326": 360.0, "EPSG:3857": WORLD_M}.get(crs_code)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if turn:
        x = (x + turn / 2) % turn - turn / 2
        assert all(-turn / 2 <= box.west <= box.east <= turn / 2 for box in boxes)
    slack = 1e-9 * (turn or WORLD_M)
    held = np.zeros(x.shape, bool)
    for box in boxes:
        held |= (
            (x >= box.west - slack)
            & (x <= box.east + slack)
            & (y >= box.south - slack)
            & (y <= box.north + slack)
        )
    # The poles of Web Mercator and the other pole of a polar map are far away.
    assert held[np.abs(y) < 3 * WORLD_M].all()


BOUNDS = {
    "degrees": (8, 44.67, 12.51, 48),
    "whole world": (-180, -90, 180, 90),
    "whole world from Greenwich": (-180, -90, 180, 90),
    "whole world upside down": (-180, -90, 180, 90),
    "degrees past the antimeridian": (170, -20, -170, 0),
    "degrees before the antimeridian": (170, -20, -170, 0),
    "modis, whole world": (-180, -90, 180, 90),
    "utm": (-112.183, 40.555, -112.021, 40.646),
    "utm south, antimeridian": (178.880, -18.079, -179.833, -17.160),
    "web mercator past its edge": (179.820, 47.151, -179.775, 47.354),
    "web mercator before its edge": (179.820, 47.151, -179.775, 47.354),
    "north pole near": (-180, 87.04, 180, 90),
    "south pole inside": (-180, -90, 180, -35.44),
}


@pytest.mark.parametrize("place", BOUNDS)
def test_bounds_in_degrees_run_east_from_west_across_the_antimeridian(
    asset_at: At, place: str
) -> None:
    assert lonlat_bounds(asset_at(place)) == pytest.approx(BOUNDS[place], abs=2e-2)


def test_an_edge_on_the_antimeridian_belongs_to_the_assets_side(tmp_path: Path) -> None:
    for west, expected in ((-180, (-180, -150)), (150, (150, 180)), (180, (-180, -150))):
        transform = Affine(0.1, 0, west, 0, -0.1, 10)
        path = write_raster(tmp_path / f"{west}.tif", noise(1, 50, 300), "EPSG:4326", transform)
        bounds = lonlat_bounds(asset_of(path))
        assert (bounds.west, bounds.east) == pytest.approx(expected)


def test_a_disk_of_the_earth_does_not_reach_around_it(tmp_path: Path) -> None:
    crs = "+proj=geos +h=35785831 +lon_0=0 +datum=WGS84 +sweep=y"
    transform = Affine(30_000, 0, -6.7e6, 0, -40_000, 6.7e6)
    path = write_raster(tmp_path / "a.tif", noise(1, 333, 451), crs, transform)
    bounds = lonlat_bounds(asset_of(path))
    assert -82 < bounds.west < -60
    assert 60 < bounds.east < 82


def test_an_extent_may_go_on_past_the_antimeridian(asset_at: At) -> None:
    asset = asset_at("utm south, antimeridian")
    extent = footprint_extent(asset, "EPSG:4326")
    assert (extent.west, extent.east) == pytest.approx((178.880, 180.167), abs=1e-2)


def test_an_extent_ends_where_web_mercator_does(asset_at: At) -> None:
    world = footprint_extent(asset_at("whole world"), "EPSG:3857")
    assert world == pytest.approx(Box(-HALF_WORLD_M, -HALF_WORLD_M, HALF_WORLD_M, HALF_WORLD_M))


def test_an_asset_that_a_crs_does_not_show_has_no_extent_there(tmp_path: Path) -> None:
    asset = asset_of(write_raster(tmp_path / "a.tif", noise(1, 50, 50), "EPSG:32612", UTAH))
    unseen = CRS.from_proj4("+proj=ortho +lat_0=0 +lon_0=70").to_wkt()
    with pytest.raises(InvalidRequest, match="lies outside the domain of PROJCS"):
        footprint_extent(asset, unseen)


def test_boxes_meet_if_they_share_a_point() -> None:
    box = Box(0, 0, 2, 2)
    assert box.meets(Box(2, 2, 3, 3))
    assert box.meets(Box(1, -5, 1.5, 5))
    assert not box.meets(Box(2.1, 0, 3, 2))
    assert not box.meets(Box(0, -2, 2, -0.1))


MODIS_TILE_M = 1_111_950.5196666666


@pytest.mark.parametrize(("column", "row"), [(27, 3), (8, 3), (35, 9), (0, 9), (14, 0)])
def test_corners_past_the_end_of_a_map_belong_to_no_place(
    tmp_path: Path, column: int, row: int
) -> None:
    """Tiles of MODIS at the end of its map lie half in and half off it."""
    west, north = (column - 18) * MODIS_TILE_M, (9 - row) * MODIS_TILE_M
    pixel = MODIS_TILE_M / 60
    path = write_raster(
        tmp_path / "a.tif",
        noise(1, 60, 60, "uint8"),
        SINUSOIDAL,
        Affine(pixel, 0, west, 0, -pixel, north),
        overviews=(),
    )
    lats = np.radians(np.linspace(north, north - MODIS_TILE_M, 50) / 6371007.181 * 180 / np.pi)
    xs = np.linspace(west, west + MODIS_TILE_M, 50)
    x, lat = np.meshgrid(xs, lats)
    lons = np.degrees(x / (6371007.181 * np.cos(lat)))
    inside = lons[np.abs(lons) <= 180]
    bounds = lonlat_bounds(asset_of(path))
    assert bounds.west == pytest.approx(inside.min(), abs=2.5)
    assert bounds.east == pytest.approx(inside.max(), abs=2.5)
