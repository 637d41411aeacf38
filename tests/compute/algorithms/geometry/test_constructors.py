"""Geometries are those that shapely makes, measured on the ground."""

from __future__ import annotations

import math
import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import mapping, shape

from tests.compute.conftest import SCENE, SIDE, Evaluator
from tests.support.rasterfiles import UTAH
from tileserver.compute.budget import Budget
from tileserver.errors import InvalidRequest

RADIUS = 6371010.0
SQUARE = [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]
OTHER = [[[1, 1], [3, 1], [3, 3], [1, 3], [1, 1]]]


def flat(found: Any) -> Any:
    """Return a shape on PROJ's plane where great circles are straight, around (1.5, 1.5)."""
    there = Transformer.from_crs("+proj=latlong +R=1", "+proj=gnom +lat_0=1.5 +lon_0=1.5 +R=1")

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(there.transform(points[:, 0], points[:, 1]))

    return shapely.transform(found, moved)


def is_like(found: dict[str, Any], expected: Any) -> bool:
    """Tell whether GeoJSON is a shape of that plane."""
    return bool(flat(shape(found)).symmetric_difference(expected).area < 1e-15)


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        ("Point", [1, 2]),
        ("MultiPoint", [[1, 2], [3, 4]]),
        ("LineString", [[1, 2], [3, 4]]),
        ("MultiLineString", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
        ("Polygon", SQUARE),
        ("MultiPolygon", [SQUARE, [[[5, 5], [6, 5], [6, 6], [5, 5]]]]),
    ],
)
def test_a_geometry_is_told_as_geojson(
    ee: ModuleType, evaluator: Evaluator, kind: str, coordinates: Any
) -> None:
    made = getattr(ee.Geometry, kind)(coordinates)
    found = evaluator.value(made)
    assert found["type"] == kind
    assert shape(found).equals(shape({"type": kind, "coordinates": coordinates}))
    assert evaluator.value(made.type()) == kind
    assert evaluator.value(made.coordinates()) == found["coordinates"]
    assert "evenOdd" not in found


def test_a_ring_is_closed_and_numbers_are_taken_in_pairs(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    found = evaluator.value(ee.Geometry.Polygon([0, 0, 2, 0, 2, 2, 0, 2]))
    assert found["coordinates"] == SQUARE


def test_a_geometry_of_computed_points(ee: ModuleType, evaluator: Evaluator) -> None:
    centre = ee.Geometry.Point([1, 2]).centroid()
    found = evaluator.value(ee.Geometry.LineString([centre, ee.Geometry.Point([3, 4])]))
    assert found["coordinates"] == [[1, 2], [3, 4]]


def test_geometries_together_are_one(ee: ModuleType, evaluator: Evaluator) -> None:
    points = ee.Geometry.MultiPoint([[0, 0], [1, 1]])
    mixed = ee.Geometry(
        {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Point", "coordinates": [1, 2]},
                {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
            ],
        }
    )
    found = evaluator.value(mixed)
    assert [each["type"] for each in found["geometries"]] == ["Point", "LineString"]
    assert len(evaluator.value(mixed.geometries())) == 2
    assert evaluator.value(points.geometries())[1]["coordinates"] == [1, 1]


def test_a_box_is_cut_at_the_poles_and_goes_over_the_antimeridian(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    box = ee.ApiFunction.lookup("GeometryConstructors.BBox")
    found = evaluator.value(box.call(170, -100, -170, 50))
    assert shape(found).bounds == (170, -90, 190, 50)
    assert found["geodesic"] is False
    everything = box.call(-200, -90, 200, 90)
    assert evaluator.value(everything.isUnbounded()) is True


def test_a_rectangle_lies_in_the_pixels_of_a_projection(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    make = ee.ApiFunction.lookup("GeometryConstructors.Rectangle")
    box = make.call([0, 0, SIDE, SIDE], ee.Image(SCENE).projection(), False)
    pixels = ee.Image(SCENE).projection()
    assert evaluator.value(box.area(1, pixels)) == SIDE**2
    assert evaluator.value(box)["coordinates"][0][0] == [UTAH.c, UTAH.f]
    there = box.transform(ee.Projection("EPSG:32612"), 1)
    side = 30 * SIDE
    expected = (UTAH.c, UTAH.f - side, UTAH.c + side, UTAH.f)
    found = evaluator.value(there)
    assert shape(found).bounds == pytest.approx(expected)
    assert found["crs"]["properties"]["name"] == "EPSG:32612"
    # Its own footprint, told in degrees, is that of the image.
    footprint = ee.Image(SCENE).geometry()
    apart = box.transform().symmetricDifference(footprint).area(1)
    assert evaluator.value(apart) < 0.03 * side**2


def test_an_image_of_a_constant_is_everywhere(ee: ModuleType, evaluator: Evaluator) -> None:
    assert evaluator.value(ee.Image(1).geometry().isUnbounded()) is True
    assert evaluator.value(ee.Image(SCENE).geometry().isUnbounded()) is False


def test_an_image_without_a_footprint_lies_where_its_bands_do(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    bare = ee.Image(ee.Image(SCENE).set("system:footprint", None))
    found = bare.geometry()
    assert evaluator.value(found.isUnbounded()) is False
    apart = found.symmetricDifference(ee.Image(SCENE).geometry(), 1).area(1)
    assert evaluator.value(apart) < 0.03 * (30 * SIDE) ** 2
    everywhere = bare.addBands(ee.Image(1)).geometry()
    assert evaluator.value(everywhere.isUnbounded()) is True


def test_areas_and_lengths_are_metres_on_a_sphere(ee: ModuleType, evaluator: Evaluator) -> None:
    box = ee.Geometry.Rectangle([0, 0, 2, 2], None, False)
    degree = math.radians(1) * RADIUS
    area = RADIUS**2 * math.radians(2) * math.sin(math.radians(2))
    assert evaluator.value(box.area()) == pytest.approx(area, rel=1e-9)
    line = ee.Geometry.LineString([[0, 0], [3, 0]])
    assert evaluator.value(line.length()) == pytest.approx(3 * degree, rel=1e-9)
    assert evaluator.value(line.perimeter()) == 0
    assert evaluator.value(box.length()) == 0
    edges = 2 + 2 + 2 + 2 * math.cos(math.radians(2))
    assert evaluator.value(box.perimeter()) == pytest.approx(edges * degree, rel=1e-4)


def test_with_a_projection_lengths_are_its_units(ee: ModuleType, evaluator: Evaluator) -> None:
    proj = ee.Projection("EPSG:32612")
    box = ee.Geometry.Rectangle([300000, 4000000, 300100, 4000200], proj, False)
    assert evaluator.value(box.area(1, proj)) == pytest.approx(20000)
    assert evaluator.value(box.perimeter(1, proj)) == pytest.approx(600)
    assert evaluator.value(box.buffer(10, 1, proj).bounds(1, proj).area(1, proj)) == pytest.approx(
        120 * 220
    )


@pytest.mark.parametrize("lat", [0, 45, 80])
@pytest.mark.parametrize("lon", [0, -111, 179.99])
def test_a_buffer_reaches_as_many_metres_on_the_ground(
    ee: ModuleType, evaluator: Evaluator, lon: float, lat: float
) -> None:
    point = ee.Geometry.Point([lon, lat])
    circle = point.buffer(5000)
    assert evaluator.value(circle.area()) == pytest.approx(math.pi * 5000**2, rel=0.02)
    east, north = evaluator.value(circle.bounds())["coordinates"][0][2]
    width = math.radians(east - lon) * RADIUS * math.cos(math.radians(lat))
    assert width == pytest.approx(5000, rel=0.01)
    assert math.radians(north - lat) * RADIUS == pytest.approx(5000, rel=0.01)


def test_a_negative_buffer_shrinks(ee: ModuleType, evaluator: Evaluator) -> None:
    box = ee.Geometry.Rectangle([10, 10, 10.1, 10.1], None, False)
    inner = box.buffer(-1000)
    assert evaluator.value(box.contains(inner, 1)) is True
    assert evaluator.value(inner.area()) < evaluator.value(box.area())


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("union", shapely.union),
        ("intersection", shapely.intersection),
        ("difference", shapely.difference),
        ("symmetricDifference", shapely.symmetric_difference),
    ],
)
def test_two_areas_are_joined(ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any) -> None:
    first, second = ee.Geometry.Polygon(SQUARE), ee.Geometry.Polygon(OTHER)
    shapes = [shape({"type": "Polygon", "coordinates": c}) for c in (SQUARE, OTHER)]
    found = evaluator.value(getattr(first, name)(second, 1))
    assert is_like(found, oracle(*map(flat, shapes)))
    straight = [ee.Geometry.Polygon(each, None, False) for each in (SQUARE, OTHER)]
    planar = evaluator.value(getattr(straight[0], name)(straight[1], 1))
    assert shape(planar).equals(oracle(*shapes))
    assert planar["geodesic"] is False


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("intersects", [True, True, False]),
        ("disjoint", [False, False, True]),
        ("contains", [True, False, False]),
        ("containedIn", [False, False, False]),
    ],
)
def test_two_areas_are_compared(
    ee: ModuleType, evaluator: Evaluator, name: str, expected: list[bool]
) -> None:
    first = ee.Geometry.Polygon(SQUARE)
    others = [ee.Geometry.Point([1, 1]), ee.Geometry.Polygon(OTHER), ee.Geometry.Point([9, 9])]
    assert [evaluator.value(getattr(first, name)(other, 1)) for other in others] == expected


def test_distances_are_metres_on_the_ground(ee: ModuleType, evaluator: Evaluator) -> None:
    box = ee.Geometry.Rectangle([0, 60, 1, 61], None, False)
    point = ee.Geometry.Point([2, 60.5])
    expected = math.radians(1) * math.cos(math.radians(60.5)) * RADIUS
    assert evaluator.value(box.distance(point)) == pytest.approx(expected, rel=5e-3)
    assert evaluator.value(box.withinDistance(point, expected * 1.01)) is True
    assert evaluator.value(box.withinDistance(point, expected * 0.99)) is False
    far = ee.Geometry.Point([180, 0]).distance(ee.Geometry.Point([0, 0]))
    assert evaluator.value(far) == pytest.approx(math.pi * RADIUS)


def test_the_nearest_points_are_told(ee: ModuleType, evaluator: Evaluator) -> None:
    box = ee.Geometry.Rectangle([0, -1, 1, 1], None, False)
    found = evaluator.value(box.closestPoints(ee.Geometry.Point([2, 0])))
    assert found["left"]["coordinates"] == pytest.approx([1, 0], abs=1e-4)
    assert found["right"]["coordinates"] == pytest.approx([2, 0], abs=1e-6)


def test_a_line_is_simplified_by_metres(ee: ModuleType, evaluator: Evaluator) -> None:
    line = ee.Geometry.LineString([[0, 0], [0.5, 0.0001], [1, 0]])
    assert len(evaluator.value(line.simplify(100))["coordinates"]) == 2
    assert len(evaluator.value(line.simplify(1))["coordinates"]) == 3
    margin = ee.ErrorMargin(1, "projected")
    assert len(evaluator.value(line.simplify(margin))["coordinates"]) == 2
    assert evaluator.value(margin) == {"type": "ErrorMargin", "unit": "projected", "value": 1}


def test_parts_are_dissolved_and_hulled(ee: ModuleType, evaluator: Evaluator) -> None:
    both = ee.Geometry.MultiPolygon([SQUARE, OTHER])
    parts = [shape({"type": "Polygon", "coordinates": c}) for c in (SQUARE, OTHER)]
    assert is_like(evaluator.value(both.dissolve()), shapely.union_all(list(map(flat, parts))))
    hull = shape(evaluator.value(both.convexHull()))
    assert hull.equals(
        shapely.MultiPoint([c for ring in (SQUARE, OTHER) for c in ring[0]]).convex_hull
    )


def test_a_centroid_lies_in_the_middle(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(ee.Geometry.Polygon(SQUARE).centroid(1))
    assert found["type"] == "Point"
    assert found["coordinates"] == pytest.approx([1, 1], abs=1e-3)


def test_a_geometry_is_covered_with_the_cells_of_a_grid(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    proj = ee.Projection("EPSG:32612")
    box = ee.Geometry.Rectangle([300050, 4000050, 300250, 4000150], proj, False)
    found = evaluator.value(box.coveringGrid(proj, 100))
    assert found["type"] == "FeatureCollection"
    assert len(found["features"]) == 3 * 2
    cells = shapely.union_all([shape(each["geometry"]) for each in found["features"]])
    assert cells.bounds == (300000, 4000000, 300300, 4000200)
    with pytest.raises(InvalidRequest, match="The grid is too fine"):
        evaluator.value(box.coveringGrid(proj, 0.001))


@pytest.mark.slow
def test_a_fine_grid_is_covered_with_looks_at_the_deadline(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    looks = 0

    class Looked(Budget):
        def check_time(self) -> None:
            nonlocal looks
            looks += 1

    corners = ee.Geometry.MultiPoint([[-112, 40], [-111.9, 40.1]])
    grid = corners.coveringGrid(ee.Projection("EPSG:3857"), 20)
    found = evaluator.computing._value(evaluator.text(grid), Looked(math.inf))
    assert len(found["features"]) == 2
    # Of 400,000 cells, ten thousand at once.
    assert 40 <= looks < 100


def test_edges_are_called_geodesic_where_nothing_is_said(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    line = [[0, 0], [1, 1]]
    projected = ee.Geometry.LineString(line, ee.Projection("EPSG:3857"), False)
    assert evaluator.value(ee.Geometry.LineString(line).geodesic()) is True
    assert evaluator.value(projected.geodesic()) is False
    assert evaluator.value(projected.projection().crs()) == "EPSG:3857"


def test_a_feature_is_changed_like_its_geometry_and_keeps_its_properties(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    square = ee.Feature(ee.Geometry.Polygon(SQUARE), {"name": "a"})
    other = ee.Feature(ee.Geometry.Polygon(OTHER), {"name": "b"})
    found = evaluator.value(square.intersection(other, 1))
    assert found["properties"] == {"name": "a"}
    assert shape(found["geometry"]).bounds == pytest.approx((1, 1, 2, 2), abs=1e-3)
    assert evaluator.value(square.area()) == evaluator.value(square.geometry().area())
    assert evaluator.value(square.intersects(other, 1)) is True
    assert evaluator.value(square.bounds())["type"] == "Feature"


def test_a_geometry_survives_being_told(ee: ModuleType, evaluator: Evaluator) -> None:
    made = mapping(shapely.box(-112, 40, -111, 41))
    coordinates = [[list(xy) for xy in ring] for ring in made["coordinates"]]
    found = evaluator.value(ee.Geometry.Polygon(coordinates))
    assert found["coordinates"] == coordinates


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda ee: ee.Geometry.Point([0, 95]).buffer(1e9), "must be less than 20000000"),
        (lambda ee: ee.ErrorMargin(1, "feet"), "'projected'"),
        (lambda ee: ee.Feature(None).area(), "The feature has no geometry."),
        (
            lambda ee: (
                ee.Geometry.Point([0, 0]).difference(ee.Geometry.Point([0, 0]), 1).centroid(1)
            ),
            "The geometry is empty.",
        ),
        (
            lambda ee: ee.Geometry.Point([0, 95]).transform(ee.Projection("EPSG:3857"), 1),
            "outside the domain of EPSG:3857",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(ee))
