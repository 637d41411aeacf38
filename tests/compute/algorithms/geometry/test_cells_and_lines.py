"""S2 cells against s2sphere's corners, cut lines against pyproj, geometries of geometries."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pyproj import Geod

from tests.compute.conftest import Evaluator
from tileserver.compute.values.sphere import EARTH_M
from tileserver.errors import InvalidRequest

SPHERE = Geod(a=EARTH_M, b=EARTH_M)
CELLS: dict[str, list[list[float]]] = {
    "89c25a31": [
        [-73.994756346, 40.707344377], [-73.994756346, 40.702399961],
        [-73.98887973, 40.701566431], [-73.98887973, 40.706510825],
    ],
    "1": [
        [-45.0, -35.264389683], [45.0, -35.264389683], [45.0, 35.264389683],
        [-45.0, 35.264389683],
    ],
    "b": [
        [-135.0, -35.264389683], [135.0, -35.264389683], [45.0, -35.264389683],
        [-45.0, -35.264389683],
    ],
    "54906ab12f": [  # pragma: allowlist secret
        [-122.332028323, 47.606447487], [-122.332451783, 47.606314024],
        [-122.332140979, 47.606069524], [-122.331717521, 47.606202984],
    ],
    "9749eb7": [
        [-85.251548232, -24.355122644], [-85.251548232, -24.378833322],
        [-85.230841445, -24.37818524], [-85.230841445, -24.354475032],
    ],
    "3000000000000001": [[90, 0], [90.000000071, 0], [90.000000071, 7.1e-08], [90, 7.1e-08]],
}  # fmt: skip
"""Corners as s2sphere 0.2.5 gives them, by token."""


@pytest.mark.parametrize("token", CELLS)
def test_a_cell_has_the_corners_that_s2_gives_it(
    ee: ModuleType, evaluator: Evaluator, token: str
) -> None:
    number = int(token.ljust(16, "0"), 16)
    signed = number - 2**64 if number >= 2**63 else number
    for made in (ee.Geometry.fromS2CellToken(token), ee.Geometry.fromS2CellId(signed)):
        found = evaluator.value(made)
        assert found["type"] == "Polygon"
        (ring,) = found["coordinates"]
        assert np.allclose(ring, [*CELLS[token], CELLS[token][0]], atol=1e-8)
    assert evaluator.value(ee.Geometry.s2Cell(signed)) == found


def test_the_face_around_a_pole_is_a_sixth_of_the_sphere(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    for token in ("1", "3", "5", "9", "b"):
        area = evaluator.value(ee.Geometry.fromS2CellToken(token).area())
        assert area == pytest.approx(4 * np.pi * EARTH_M**2 / 6, rel=1e-9)


@pytest.mark.parametrize("token", ["", "x", "f", "0", "2", "89c25a31000000001", "ffffffffffffffff"])
def test_a_token_of_no_cell_is_refused(ee: ModuleType, evaluator: Evaluator, token: str) -> None:
    with pytest.raises(InvalidRequest, match=r"S2 (cell|token)"):
        evaluator.value(ee.Geometry.fromS2CellToken(token))


def lengths_of(found: dict[str, Any]) -> list[float]:
    """Return the length of each line, in metres on the sphere."""
    return [SPHERE.line_length(*np.array(line).T) for line in found["coordinates"]]


def test_lines_are_cut_at_metres_along_them(ee: ModuleType, evaluator: Evaluator) -> None:
    line = ee.Geometry.LineString([[-122.09, 37.42], [-122.08, 37.43], [-122.08, 37.44]])
    whole = evaluator.value(line.length())
    found = evaluator.value(line.cutLines([100, 10, 1500, 1e9, -5, 0], 1))
    assert found["type"] == "MultiLineString"
    assert lengths_of(found) == pytest.approx([10, 90, 1400, whole - 1500], rel=1e-6)
    assert [each[0] for each in found["coordinates"][1:]] == [
        each[-1] for each in found["coordinates"][:-1]
    ]
    both = ee.Geometry.MultiLineString([[[0, 0], [1, 0]], [[0, 1], [0, 2]]])
    assert len(evaluator.value(both.cutLines([1000]))["coordinates"]) == 4


def test_lines_are_cut_in_units_of_a_projection(ee: ModuleType, evaluator: Evaluator) -> None:
    proj = ee.Projection("EPSG:32612")
    line = ee.Geometry.LineString([[0, 0], [30, 40]], proj, False)
    found = evaluator.value(line.cutLines([5, 25], 1, proj))
    points = [[[0, 0], [3, 4]], [[3, 4], [15, 20]], [[15, 20], [30, 40]]]
    assert np.allclose(found["coordinates"], points)
    feature = ee.Feature(line, {"name": "a"}).cutLines([5], 1, proj)
    assert evaluator.value(feature)["properties"] == {"name": "a"}
    assert len(evaluator.value(feature)["geometry"]["coordinates"]) == 2


def test_of_points_and_areas_no_line_is_left(ee: ModuleType, evaluator: Evaluator) -> None:
    for made in (ee.Geometry.Point([1, 2]), ee.Geometry.Rectangle([0, 0, 1, 1])):
        found = evaluator.value(made.cutLines([10]))
        assert (found["type"], found["coordinates"]) == ("MultiLineString", [])


def test_a_feature_gets_its_geometry_in_another_projection(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    feature = ee.Feature(ee.Geometry.Point([-111, 0]), {"name": "a"})
    moved = ee.Feature(ee.Algorithms.ProjectionTransform(feature, ee.Projection("EPSG:32612"), 1))
    found = evaluator.value(moved)
    assert found["geometry"]["coordinates"] == pytest.approx([500_000, 0], abs=1e-6)
    assert found["properties"] == {"name": "a"}
    proj = ee.ApiFunction.lookup("Proj").call("EPSG:32612", [30, 0, 1, 0, -30, 2])
    assert evaluator.value(proj)["transform"] == [30, 0, 1, 0, -30, 2]


SQUARE = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]
MADE: dict[str, tuple[Any, tuple[str, Any]]] = {
    "points": (
        lambda g: g.MultiPoint([g.Point([1, 2]), g.Point([3, 4]).centroid()]),
        ("MultiPoint", [[1, 2], [3, 4]]),
    ),
    "a line": (
        lambda g: g.LineString([g.Point([1, 2]), g.Point([3, 4])]),
        ("LineString", [[1, 2], [3, 4]]),
    ),
    "lines": (
        lambda g: g.MultiLineString(
            [g.LineString([[1, 2], [3, 4]]), g.LineString([[5, 6], [7, 8]])]
        ),
        ("MultiLineString", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
    ),
    "a ring": (lambda g: g.Polygon([g.LinearRing(SQUARE)]), ("Polygon", [SQUARE])),
    "corners": (lambda g: g.Polygon([g.Point(xy) for xy in SQUARE]), ("Polygon", [SQUARE])),
    "areas": (
        lambda g: g.MultiPolygon([g.Polygon([SQUARE]), g.Polygon([SQUARE])]),
        ("MultiPolygon", [[SQUARE], [SQUARE]]),
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_a_geometry_is_made_of_geometries(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    make, (kind, coordinates) = MADE[name]
    found = evaluator.value(make(ee.Geometry))
    assert (found["type"], found["coordinates"]) == (kind, coordinates)


def test_a_geometry_of_geometries_has_their_projection_and_edges(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    proj = ee.Projection("EPSG:32612")
    utm = [ee.Geometry.Rectangle([0, 0, 10, 10], proj, False) for _ in range(2)]
    both = ee.Geometry.MultiPolygon(utm)
    assert evaluator.value(both.projection().crs()) == "EPSG:32612"
    assert evaluator.value(both.geodesic()) is False
    straight = ee.Geometry.MultiPolygon([ee.Geometry.BBox(0, 0, 60, 60)])
    assert evaluator.value(straight)["geodesic"] is False
    curved = ee.Geometry.MultiPolygon([ee.Geometry.BBox(0, 0, 60, 60)], None, True, 1000)
    assert evaluator.value(curved.area()) == pytest.approx(
        evaluator.value(straight.area()), rel=1e-3
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda ee: ee.Geometry.LineString([[0, 0], [1, 1]]).cutLines(["a"]), "A distance is not"),
        (
            lambda ee: ee.Geometry.MultiPolygon([ee.Geometry.Point([1, 2])]),
            "Invalid GeoJSON coordinates of a MultiPolygon",
        ),
    ],
)
def test_what_makes_no_lines_or_areas_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(ee))
