from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import mercantile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tileserver.contract.grids import PixelGrid
from tileserver.contract.tiles import (
    HALF_WORLD_M,
    MAX_ZOOM,
    WEB_MERCATOR,
    Tile,
    native_zoom,
    pixel_m,
    tile_at,
    tile_grid,
    tile_of,
)
from tileserver.errors import TileOutOfRange

SIZES = st.sampled_from([256, 512])
LAST_BIT_M = math.ulp(HALF_WORLD_M)
"""Four nanometres: how finely a float tells apart places on the map."""


@st.composite
def tiles(draw: st.DrawFn, min_zoom: int = 0) -> Tile:
    zoom = draw(st.integers(min_zoom, MAX_ZOOM))
    side = st.integers(0, 2**zoom - 1)
    return Tile(draw(side), draw(side), zoom)


def corner(grid: PixelGrid, column: int, row: int) -> tuple[float, float]:
    x, y = grid.transform.apply(column, row)
    return float(x), float(y)


@given(tiles(min_zoom=1), SIZES)
def test_neighbours_share_their_edges(tile: Tile, size: int) -> None:
    tile = tile._replace(x=tile.x & ~1, y=tile.y & ~1)
    grid = tile_grid(tile, size)
    right = tile_grid(tile._replace(x=tile.x + 1), size)
    below = tile_grid(tile._replace(y=tile.y + 1), size)
    # Exact where an edge is one number; the far edge of a grid is a sum, which rounds twice more.
    assert right.transform == replace(grid.transform, translate_x=right.transform.translate_x)
    assert below.transform == replace(grid.transform, translate_y=below.transform.translate_y)
    assert corner(grid, size, 0) == pytest.approx(corner(right, 0, 0), rel=0, abs=2 * LAST_BIT_M)
    assert corner(grid, 0, size) == pytest.approx(corner(below, 0, 0), rel=0, abs=2 * LAST_BIT_M)


@given(tiles(), SIZES)
def test_a_grid_lies_where_integers_say(tile: Tile, size: int) -> None:
    grid = tile_grid(tile, size)
    side = Fraction(2 * HALF_WORLD_M) / 2**tile.z
    west, north = -Fraction(HALF_WORLD_M) + tile.x * side, Fraction(HALF_WORLD_M) - tile.y * side
    x, y = corner(grid, 0, 0)
    assert Fraction(grid.transform.scale_x) * size == side
    assert abs(Fraction(x) - west) <= Fraction(LAST_BIT_M)
    assert abs(Fraction(y) - north) <= Fraction(LAST_BIT_M)
    assert (grid.width, grid.height, grid.crs_code) == (size, size, WEB_MERCATOR)


@given(tiles(), SIZES)
def test_a_grid_tells_its_tile_and_size(tile: Tile, size: int) -> None:
    assert tile_of(tile_grid(tile, size)) == (tile, size)


@given(tiles(), SIZES)
def test_what_is_a_little_off_a_tile_is_none(tile: Tile, size: int) -> None:
    grid = tile_grid(tile, size)
    moved = grid.transform.translate_x + grid.transform.scale_x
    assert tile_of(replace(grid, crs_code="EPSG:4326")) is None
    assert tile_of(replace(grid, height=size - 1)) is None
    assert tile_of(replace(grid, width=0, height=0)) is None
    assert tile_of(replace(grid, transform=replace(grid.transform, translate_x=moved))) is None
    assert tile_of(replace(grid, transform=replace(grid.transform, scale_x=-1.0))) is None


@given(tiles(), SIZES)
def test_a_tile_begins_where_its_parent_and_its_first_child_do(tile: Tile, size: int) -> None:
    grid = tile_grid(tile, size)
    if tile.z < MAX_ZOOM:
        child = tile_grid(Tile(2 * tile.x, 2 * tile.y, tile.z + 1), size)
        assert corner(child, 0, 0) == corner(grid, 0, 0)
        assert child.transform.scale_x * 2 == grid.transform.scale_x
    if size == 512:
        assert corner(tile_grid(tile, 256), 0, 0) == corner(grid, 0, 0)


@given(tiles())
def test_corners_are_mercantiles(tile: Tile) -> None:
    left, bottom, right, top = mercantile.xy_bounds(*tile)
    grid = tile_grid(tile)
    assert corner(grid, 0, 0) == pytest.approx((left, top), abs=1e-7)
    assert corner(grid, 256, 256) == pytest.approx((right, bottom), abs=1e-7)


@given(st.integers(0, MAX_ZOOM), SIZES)
def test_pixels_of_twice_the_size_are_half_as_wide(zoom: int, size: int) -> None:
    assert pixel_m(zoom, size) * size * 2**zoom == 2 * HALF_WORLD_M
    assert native_zoom(pixel_m(zoom, size), size) == zoom


@given(st.floats(1e-4, 1e7))
def test_the_native_zoom_is_the_first_that_shows_every_pixel(native_m: float) -> None:
    zoom = native_zoom(native_m)
    assert zoom == MAX_ZOOM or pixel_m(zoom) <= native_m * (1 + 1e-8)
    assert zoom == 0 or pixel_m(zoom - 1) > native_m * (1 - 1e-8)


@pytest.mark.parametrize(
    "address",
    [
        (0, 0, -1),
        (0, 0, MAX_ZOOM + 1),
        (1, 0, 0),
        (0, 1, 0),
        (-1, 0, 3),
        (0, -1, 3),
        (8, 0, 3),
        (10**20, 0, 24),
    ],
)
def test_a_tile_outside_the_pyramid_is_refused_with_what_there_is(
    address: tuple[int, int, int],
) -> None:
    with pytest.raises(TileOutOfRange, match="zoom"):
        tile_at(*address)
