"""Geometries drawn into pixels."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from tileserver.compute.pixels.rasterize import MARKERS, drawn, marker, outline, parts_of
from tileserver.contract.grids import AffineTransform, PixelGrid

GRID = PixelGrid(20, 10, AffineTransform(2.0, 0.0, 100.0, 0.0, -2.0, 50.0), "EPSG:32612")


def box(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    """Return a box of the grid's pixels in its CRS."""
    return shapely.box(100 + 2 * left, 50 - 2 * bottom, 100 + 2 * right, 50 - 2 * top)


def test_the_last_shape_is_on_top() -> None:
    found = drawn([box(2, 1, 6, 5), box(4, 3, 8, 7), box(90, 90, 99, 99)], GRID)
    wanted = np.full((10, 20), -1)
    wanted[1:5, 2:6] = 0
    wanted[3:7, 4:8] = 1
    np.testing.assert_array_equal(found, wanted)


def test_nothing_near_is_nothing() -> None:
    assert (drawn([box(90, 90, 99, 99)], GRID) == -1).all()
    assert (drawn([], GRID) == -1).all()


def test_an_outline_has_its_width_on_both_sides_of_the_edge() -> None:
    found = drawn([outline(box(4, 2, 12, 8), 2, GRID)], GRID) >= 0
    wanted = np.zeros((10, 20), bool)
    wanted[1:9, 3:13] = True
    wanted[3:7, 5:11] = False
    # The outer corners are round.
    for row, column in ((1, 3), (1, 12), (8, 3), (8, 12)):
        wanted[row, column] = found[row, column]
    np.testing.assert_array_equal(found, wanted)


def test_what_a_grid_cuts_off_gets_no_edge_there() -> None:
    found = drawn([outline(box(-50, -50, 5, 50), 2, GRID)], GRID) >= 0
    np.testing.assert_array_equal(np.nonzero(found.all(axis=0))[0], [4, 5])
    assert not found[:, [0, 1, 2, 3, 6, 7]].any()


@pytest.mark.parametrize("shape", ["circle", *MARKERS])
def test_a_mark_is_around_its_point_and_within_its_radius(shape: str) -> None:
    point = shapely.Point(120, 40)
    found = marker(point, shape, 4, GRID)
    assert found.is_valid
    assert found.contains(point)
    farthest = shapely.distance(shapely.points(shapely.get_coordinates(found)), point)
    assert farthest.max() == pytest.approx(8, rel=0.03)
    assert abs(found.centroid.x - 120) < 1e-6


def test_a_diamond_is_the_pixels_near_by_foot() -> None:
    found = drawn([marker(shapely.Point(121, 39), "diamond", 3.2, GRID)], GRID) >= 0
    rows, columns = np.mgrid[0:10, 0:20]
    np.testing.assert_array_equal(found, abs(rows - 5) + abs(columns - 10) <= 3)


def test_the_parts_of_parts_are_found() -> None:
    point, line = shapely.Point(0, 0), shapely.LineString([(0, 0), (1, 1)])
    inner = shapely.GeometryCollection([shapely.MultiPoint([(1, 1), (2, 2)]), line])
    parts = parts_of(shapely.GeometryCollection([point, inner, shapely.Point()]))
    assert sorted(part.geom_type for part in parts) == ["LineString", "Point", "Point", "Point"]
