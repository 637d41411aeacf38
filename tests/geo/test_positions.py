from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine

from tests.rasters.engine import asset_of, level_of, raster_of, tiles_over
from tests.rasters.test_identity import HEIGHT, PLACES, WIDTH
from tests.support.oracles import WORLD_M
from tests.support.rasterfiles import grid_of, noise, write_raster
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.geo.crs import transform_points
from tileserver.geo.positions import nearest, parts, positions

UTM = grid_of(1000, 1000, Affine(30, 0, 400_000, 0, -30, 4_500_000), "EPSG:32612")


def exactly(grid: PixelGrid, source: PixelGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of a grid's centres in a source, each asked of PROJ."""
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = grid.transform.apply(columns.ravel(), rows.ravel())
    x, y = transform_points(grid.crs_code, source.crs_code, x, y)
    found = source.transform.inverse().apply(x, y)
    return tuple(each.reshape(columns.shape) for each in found)


@pytest.mark.parametrize("tile", [Tile(3, 6, 4), Tile(96, 192, 9), Tile(6186, 12319, 15)])
@pytest.mark.parametrize("size", [33, 256, 512])
def test_interpolated_positions_are_within_a_millionth_of_a_pixel(tile: Tile, size: int) -> None:
    grid = tile_grid(tile, size)
    at = positions(grid, UTM)
    for found, expected in zip((at.columns, at.rows), exactly(grid, UTM), strict=True):
        assert np.abs(found - expected).max() < 2e-6


def test_where_no_polynomial_fits_every_pixel_is_asked_for() -> None:
    """The pole lies in this grid: longitudes go all around it."""
    source = grid_of(3600, 900, Affine(0.1, 0, -180, 0, -0.1, 90), "EPSG:4326")
    grid = grid_of(128, 96, Affine(10_000, 0, -640_000, 0, -10_000, 480_000), "EPSG:3413")
    at = positions(grid, source)
    columns, rows = exactly(grid, source)
    assert np.abs(at.rows - rows).max() < 2e-6
    assert np.abs((at.columns - columns + 1800) % 3600 - 1800).max() < 1e-5


def test_aligned_grids_need_but_a_row_and_a_column() -> None:
    world = grid_of(3600, 1800, Affine(0.1, 0, -180, 0, -0.1, 90), "EPSG:4326")
    at = positions(tile_grid(Tile(5, 5, 4)), world)
    assert (at.columns.shape, at.rows.shape) == ((1, 256), (256, 1))
    columns, rows = exactly(tile_grid(Tile(5, 5, 4)), world)
    assert np.abs(at.columns - columns).max() < 1e-9
    assert np.abs(at.rows - rows).max() < 1e-9


@pytest.mark.parametrize("west", [-540, -180, 0, 170, 360])
def test_positions_are_found_wherever_a_source_begins(west: float) -> None:
    source = grid_of(3600, 1800, Affine(0.1, 0, west, 0, -0.1, 90), "EPSG:4326")
    grid = grid_of(720, 1, Affine(0.5, 0, -180, 0, -0.5, 10), "EPSG:4326")
    found = nearest(positions(grid, source).columns)
    expected = np.floor(((np.arange(720) * 0.5 - 179.75 - west) % 360) * 10 + 1e-6)
    assert np.array_equal(found[0], expected)


def test_nearest_is_the_pixel_that_holds_a_place() -> None:
    places = np.array([0.0, 0.4, 0.999, 1 - 1e-8, 1.0, -1e-8, -0.5, np.inf, -np.inf, np.nan, 1e300])
    assert nearest(places).tolist() == [0, 0, 0, 1, 1, 0, -1, -1, -1, -1, -1]


@pytest.mark.parametrize("place", PLACES)
def test_parts_leave_nothing_out(tmp_path: Path, place: str) -> None:
    values = np.ones((1, HEIGHT, WIDTH), np.uint8)
    asset = asset_of(write_raster(tmp_path / "a.tif", values, *PLACES[place]))
    for tile in tiles_over(asset, (0, 1, 3, 5, 8)):
        grid = tile_grid(tile, 64)
        whole = positions(grid, asset.common_grid)
        inside = (nearest(whole.columns) >= 0) & (nearest(whole.columns) < WIDTH)
        inside = inside & (nearest(whole.rows) >= 0) & (nearest(whole.rows) < HEIGHT)
        for part in parts(asset, grid):
            inside[part.slices] = False
        assert not inside.any(), tile


def test_a_tile_far_from_the_asset_has_no_parts(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, HEIGHT, WIDTH), *PLACES["utm"])
    asset = asset_of(path)
    assert parts(asset, tile_grid(Tile(0, 0, 5))) == []
    assert len(parts(asset, tile_grid(Tile(0, 0, 0)))) == 1


def test_a_tile_of_the_world_has_two_parts_across_the_antimeridian(tmp_path: Path) -> None:
    place = PLACES["degrees past the antimeridian"]
    asset = asset_of(write_raster(tmp_path / "a.tif", noise(1, HEIGHT, WIDTH), *place))
    west, east = sorted(parts(asset, tile_grid(Tile(0, 0, 0))), key=lambda part: part.column)
    assert west.column == 0
    assert east.column + east.width == 256
    assert west.width + east.width < 40


@pytest.mark.parametrize("turns", [-2, -1, 1, 3])
def test_a_grid_past_the_antimeridian_shows_the_same_place(tmp_path: Path, turns: int) -> None:
    asset = asset_of(write_raster(tmp_path / "a.tif", noise(1, HEIGHT, WIDTH), *PLACES["utm"]))
    tile = tile_grid(tiles_over(asset, (10,))[0])
    t = tile.transform
    moved = AffineTransform(
        t.scale_x, 0, t.translate_x + turns * WORLD_M, 0, t.scale_y, t.translate_y
    )
    grid = PixelGrid(256, 256, moved, tile.crs_code)
    (part,) = parts(asset, grid)
    native = asset.common_grid
    here, there = positions(tile, native), positions(grid.window(part), native)
    assert np.abs(here.columns - there.columns).max() < 1e-4
    assert np.abs(here.rows - there.rows).max() < 1e-4


@pytest.mark.slow
def test_a_grid_of_absurd_pixels_is_answered_at_once(tmp_path: Path) -> None:
    raster = raster_of(write_raster(tmp_path / "a.tif", noise(1, 50, 50), "EPSG:32612"))
    for transform in (
        AffineTransform(1e18, 0, -1e20, 0, -1e18, 1e20),
        AffineTransform(1e-12, 0, 1e15, 0, -1e-12, 0),
    ):
        for crs_code in ("EPSG:4326", "EPSG:3857", "EPSG:32612", "EPSG:3413"):
            grid = PixelGrid(64, 64, transform, crs_code)
            assert level_of(raster, grid) in raster.levels
            for part in parts(raster.asset, grid):
                positions(grid.window(part), raster.grid)


def test_a_pixel_larger_than_the_map_reads_the_smallest_level(tmp_path: Path) -> None:
    raster = raster_of(write_raster(tmp_path / "a.tif", noise(1, 500, 500), "EPSG:32612"))
    huge = AffineTransform(9e6, 0, -2e7, 0, -9e6, 2e7)
    assert level_of(raster, PixelGrid(4, 4, huge, "EPSG:3857")).factor == 4


def test_pixels_that_reach_over_the_antimeridian_are_measured_across_it(tmp_path: Path) -> None:
    transform = Affine(0.01, 0, 178, 0, -0.01, 2)
    raster = raster_of(write_raster(tmp_path / "a.tif", noise(1, 400, 400), "EPSG:4326", transform))
    narrow = AffineTransform(0.02, 0, 170, 0, -0.05, 10)
    assert level_of(raster, PixelGrid(9, 9, narrow, "EPSG:4326")).factor == 2
    metres = AffineTransform(2300, 0, 1.9e7, 0, -5700, 1e6)
    assert level_of(raster, PixelGrid(9, 9, metres, "EPSG:3857")).factor == 2
