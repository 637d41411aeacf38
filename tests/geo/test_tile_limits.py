"""Limits of tiles against those that morecantile and mercantile list for a place."""

from __future__ import annotations

import mercantile
import morecantile
import pytest

from tileserver.contract.grids import Box
from tileserver.contract.matrix_sets import matrix_set
from tileserver.geo.tile_limits import TileLimits, boxes_of, tile_limits

UTAH = Box(-112.89, 40.62, -112.55, 40.91)
FIJI = Box(177.0, -19.0, -179.0, -16.0)
WORLD = Box(-180.0, -90.0, 180.0, 90.0)
ALPS = Box(6.0, 45.0, 12.0, 48.0)
SVALBARD = Box(10.0, 76.0, 30.0, 81.0)


def limits_of(name: str, zoom: int, bounds: Box) -> TileLimits | None:
    found = matrix_set(name)
    return tile_limits(found.matrix(str(zoom)), boxes_of(bounds, found.crs_code))


@pytest.mark.parametrize("zoom", [0, 4, 9, 12])
def test_limits_on_the_usual_map_are_those_of_mercantile(zoom: int) -> None:
    tiles = list(mercantile.tiles(*UTAH, zooms=zoom))
    found = limits_of("WebMercatorQuad", zoom, UTAH)
    columns, rows = {each.x for each in tiles}, {each.y for each in tiles}
    assert found is not None
    assert 0 <= min(columns) - found.min_column <= 1
    assert 0 <= found.max_column - max(columns) <= 1
    assert 0 <= min(rows) - found.min_row <= 1
    assert 0 <= found.max_row - max(rows) <= 1


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("WorldCRS84Quad", UTAH),
        ("WGS1984Quad", UTAH),
        ("EuropeanETRS89_LAEAQuad", ALPS),
        ("UPSArcticWGS84Quad", SVALBARD),
        ("UTM31WGS84Quad", Box(2.0, 45.0, 4.0, 47.0)),
        ("NZTM2000Quad", Box(170.0, -44.0, 174.0, -41.0)),
    ],
)
def test_limits_hold_all_tiles_of_morecantile_and_few_more(name: str, bounds: Box) -> None:
    theirs = morecantile.tms.get(name)
    for zoom in (3, 6, 8):
        tiles = list(theirs.tiles(*bounds, zooms=[zoom]))
        found = limits_of(name, zoom, bounds)
        assert found is not None
        assert all(found.has(each.x, each.y) for each in tiles)
        side = 1 + max(len({each.x for each in tiles}), len({each.y for each in tiles}))
        assert found.max_column - found.min_column + 1 <= side * 1.2 + 1
        assert found.max_row - found.min_row + 1 <= side * 1.2 + 1


def test_what_crosses_the_antimeridian_is_on_both_sides() -> None:
    assert len(boxes_of(FIJI, "EPSG:4326")) == len(boxes_of(FIJI, "EPSG:3857")) == 2
    found = limits_of("WebMercatorQuad", 6, FIJI)
    assert found is not None
    assert (found.min_column, found.max_column) == (0, 63)
    assert found.max_row - found.min_row <= 1


@pytest.mark.parametrize("name", ["WebMercatorQuad", "WorldCRS84Quad", "WGS1984Quad"])
def test_the_world_has_all_tiles(name: str) -> None:
    found, matrix = limits_of(name, 3, WORLD), matrix_set(name).matrix("3")
    assert found == (0, matrix.width - 1, 0, matrix.height - 1)


def test_a_place_off_the_map_has_no_tiles() -> None:
    assert limits_of("NZTM2000Quad", 8, ALPS) is None


def test_an_edge_on_that_of_a_tile_adds_no_other_tile() -> None:
    found = matrix_set("WorldCRS84Quad")
    assert tile_limits(found.matrix("2"), [Box(-90.0, 0.0, -45.0, 45.0)]) == (2, 2, 1, 1)
    assert tile_limits(found.matrix("2"), [Box(-45.0, 45.0, -45.0, 45.0)]) == (3, 3, 1, 1)
