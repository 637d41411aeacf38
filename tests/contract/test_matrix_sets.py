"""Tile matrix sets against morecantile, by coordinates that it works out itself."""

from __future__ import annotations

import morecantile
import pytest

from tileserver.contract.matrix_sets import NAMES, POLAR, matrix_set
from tileserver.contract.tiles import tile_at, tile_grid
from tileserver.errors import InvalidRequest, TileOutOfRange

OFFICIAL = [name for name in NAMES if name not in POLAR]


def test_all_sets_of_morecantile_are_served_but_those_with_rows_of_different_widths() -> None:
    left_out = {each for each in morecantile.tms.list() if each not in NAMES}
    assert left_out == {"CDB1GlobalGrid", "GNOSISGlobalGrid"}
    assert all(morecantile.tms.get(each).is_variable for each in left_out)


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_tile_lies_where_morecantile_has_it(name: str) -> None:
    ours, theirs = matrix_set(name), morecantile.tms.get(name)
    for matrix in (ours.matrices[0], ours.matrices[5], ours.matrices[-1]):
        column, row = matrix.width // 3, matrix.height * 2 // 3
        box = ours.grid(matrix, column, row).box
        expected = theirs.xy_bounds(morecantile.Tile(column, row, int(matrix.id)))
        assert box == pytest.approx(tuple(expected), abs=matrix.cell * 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_neighbours_meet_without_a_seam(name: str) -> None:
    found = matrix_set(name)
    matrix = found.matrices[7]
    column, row = matrix.width // 2, matrix.height // 2
    one, right, below = (
        found.grid(matrix, column + across, row + down) for across, down in ((0, 0), (1, 0), (0, 1))
    )
    assert one.transform.scale_x == right.transform.scale_x == matrix.cell
    far, down = one.transform.moved(256, 0), one.transform.moved(0, 256)
    slack = matrix.cell * 1e-9
    assert far.translate_x == pytest.approx(right.transform.translate_x, abs=slack)
    assert down.translate_y == pytest.approx(below.transform.translate_y, abs=slack)


@pytest.mark.parametrize(
    ("name", "is_yx", "urn", "top_left"),
    [
        ("WorldCRS84Quad", False, "urn:ogc:def:crs:OGC:1.3:CRS84", (-180, 90)),
        ("WGS1984Quad", True, "urn:ogc:def:crs:EPSG::4326", (-180, 90)),
        ("EuropeanETRS89_LAEAQuad", True, "urn:ogc:def:crs:EPSG::3035", (2e6, 5.5e6)),
        ("NZTM2000Quad", True, "urn:ogc:def:crs:EPSG::2193", (-3260586.7284, 10438190.1652)),
        ("EPSG3413", False, "urn:ogc:def:crs:EPSG::3413", (-4194304, 4194304)),
        ("EPSG3031", False, "urn:ogc:def:crs:EPSG::3031", (-4194304, 4194304)),
    ],
)
def test_axes_are_in_the_order_of_the_crs(
    name: str, is_yx: bool, urn: str, top_left: tuple[float, float]
) -> None:
    found = matrix_set(name)
    assert (found.is_yx, found.crs_urn) == (is_yx, urn)
    assert (found.matrices[0].left, found.matrices[0].top) == top_left
    expected = list(top_left)[::-1] if is_yx else list(top_left)
    assert found.document["tileMatrices"][0]["pointOfOrigin"] == expected


def test_a_polar_map_has_its_pole_in_the_middle() -> None:
    found = matrix_set("EPSG3413")
    assert found.grid(found.matrices[0], 0, 0).box == (-4194304, -4194304, 4194304, 4194304)
    assert found.matrices[0].cell_m == pytest.approx(32768)


@pytest.mark.parametrize("name", NAMES)
def test_denominators_are_those_of_the_pixels(name: str) -> None:
    found = matrix_set(name)
    unit_m = 111319.49079327358 if found.crs_code == "EPSG:4326" else 1.0
    for each in found.matrices:
        # 0.28 mm is the pixel that OGC's denominators are for.
        assert each.scale_denominator * 0.28e-3 / unit_m == pytest.approx(each.cell, rel=1e-12)


def test_web_mercator_is_that_of_z_x_y() -> None:
    found = matrix_set("WebMercatorQuad")
    assert found.grid(found.matrix("9"), 95, 192, 2) == tile_grid(tile_at(95, 192, 9), 512)


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"tms: .*did you mean NZTM2000Quad"):
        matrix_set("NZTM2000")
    found = matrix_set("UTM31WGS84Quad")
    with pytest.raises(TileOutOfRange, match="zoom must be 1 to 24 in UTM31WGS84Quad, got '0'"):
        found.matrix("0")
    with pytest.raises(TileOutOfRange, match="x in 0 to 0 and y in 0 to 1, got x=1 and y=0"):
        found.grid(found.matrix("1"), 1, 0)
