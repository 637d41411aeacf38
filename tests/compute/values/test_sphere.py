"""Areas, lengths and edges on the sphere, against GeographicLib's through pyproj."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Geod
from rasterio import Affine
from rasterio.features import rasterize
from shapely.geometry import shape

from tests.compute.conftest import Evaluator
from tests.support.limits import cpu_limit
from tileserver.compute.values.geodesics import densified
from tileserver.compute.values.geometry import make_geometry
from tileserver.compute.values.sphere import EARTH_M
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.errors import InvalidRequest

SPHERE = Geod(a=EARTH_M, b=EARTH_M)
STATED: list[list[float]] = [[-5, 40], [65, 40], [65, 60], [-5, 60]]
"""The polygon of Google's guide on geometries."""
RINGS: dict[str, list[list[float]]] = {
    "stated": STATED,
    "small": [[-122.092, 37.424], [-122.086, 37.418], [-122.079, 37.425], [-122.085, 37.423]],
    "across the antimeridian": [[170, -20], [-160, -25], [-170, 30]],
    "southern": [[10, -80], [60, -85], [100, -70], [50, -60]],
    "around a pole": [[0, 60], [100, 70], [-120, 65], [-60, 80]],
    "wide": [[-80, -50], [80, -50], [70, 60], [-70, 60]],
}


def test_the_area_that_google_states_is_that_of_great_circles(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    # developers.google.com/earth-engine/guides/geometries: 9.92 million square kilometres.
    assert evaluator.value(ee.Geometry.Polygon([STATED]).area()) / 1e12 == pytest.approx(
        9.92, abs=0.005
    )
    planar = ee.Geometry.Polygon([STATED], None, False)
    zone = math.radians(70) * (math.sin(math.radians(60)) - math.sin(math.radians(40)))
    assert evaluator.value(planar.area()) == pytest.approx(zone * EARTH_M**2, rel=1e-9)


@pytest.mark.parametrize("name", RINGS)
def test_areas_and_edges_are_those_of_geographiclib(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    lons, lats = zip(*RINGS[name], strict=True)
    area, perimeter = SPHERE.polygon_area_perimeter(lons, lats)
    made = ee.Geometry.Polygon([RINGS[name]])
    assert evaluator.value(made.area()) == pytest.approx(abs(area), rel=1e-6)
    assert evaluator.value(made.perimeter()) == pytest.approx(perimeter, rel=1e-9)
    line = ee.Geometry.LinearRing(RINGS[name])
    assert evaluator.value(line.length()) == pytest.approx(perimeter, rel=1e-9)


def test_parts_that_overlap_count_twice(ee: ModuleType, evaluator: Evaluator) -> None:
    # "intersecting areas are counted multiple times", apidocs/ee-geometry-area
    twice = ee.Geometry.MultiPolygon([[STATED], [STATED]])
    once = ee.Geometry.Polygon([STATED])
    assert evaluator.value(twice.area()) == 2 * evaluator.value(once.area())


@pytest.mark.parametrize("error_m", [1.0, 1000.0])
@pytest.mark.parametrize("name", RINGS)
def test_great_circles_are_followed_as_closely_as_wanted(name: str, error_m: float) -> None:
    (a, b), (c, d) = RINGS[name][:2]
    if abs(c - a) > 180:
        c += 360
    fine = densified(shapely.LineString([(a, b), (c, d)]), error_m)
    lons, lats = np.array(SPHERE.npts(a, b, c, d, 500)).T
    lons = a + (lons - a + 180) % 360 - 180
    at = shapely.points(lons, lats)
    off = shapely.shortest_line(np.full(len(at), fine, object), at)
    ends = shapely.get_coordinates(off).reshape(-1, 4)
    _, _, metres = SPHERE.inv(*ends.T)
    assert max(metres) <= 1.1 * error_m
    assert len(fine.coords) < 5000


def test_a_middle_is_that_of_many_small_pieces(ee: ModuleType, evaluator: Evaluator) -> None:
    lon, lat = np.meshgrid(np.linspace(-20, 80, 1001), np.linspace(20, 75, 551))
    inside = shapely.contains_xy(
        densified(shapely.Polygon(STATED)), lon.ravel(), lat.ravel()
    ).reshape(lon.shape)
    a, b = np.radians(lon[inside]), np.radians(lat[inside])
    x, y, z = (
        (each * np.cos(b)).sum()
        for each in (np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b))
    )
    expected = [math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))]
    found = evaluator.value(ee.Geometry.Polygon([STATED]).centroid())
    assert found["coordinates"] == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("how", ["clip", "paint"])
def test_pixels_follow_great_circles(ee: ModuleType, evaluator: Evaluator, how: str) -> None:
    area = ee.Geometry.Polygon([STATED])
    image = {
        "clip": lambda: ee.Image(1).clip(area),
        "paint": lambda: ee.Image(0).toByte().paint(ee.FeatureCollection([area]), 1).selfMask(),
    }[how]()
    grid = PixelGrid(180, 60, AffineTransform(0.5, 0, -15, 0, -0.5, 70), "EPSG:4326")
    (band,) = evaluator.masked(image, grid).values()
    ring: list[Any] = []
    for (a, b), (c, d) in zip(STATED, STATED[1:] + STATED[:1], strict=True):
        ring += [(a, b), *SPHERE.npts(a, b, c, d, 400)]
    expected = rasterize(
        [shapely.Polygon(ring)], (60, 180), transform=Affine(0.5, 0, -15, 0, -0.5, 70)
    )
    assert np.array_equal(~np.ma.getmaskarray(band), expected == 1)


def test_filters_and_relations_follow_great_circles(ee: ModuleType, evaluator: Evaluator) -> None:
    area = ee.Geometry.Polygon([STATED])
    planar = ee.Geometry.Polygon([STATED], None, False)
    north, south = ee.Geometry.Point([30, 62]), ee.Geometry.Point([30, 41])
    points = ee.FeatureCollection([ee.Feature(north), ee.Feature(south)])
    assert evaluator.value(points.filterBounds(area).first())["geometry"]["coordinates"] == [30, 62]
    assert evaluator.value(points.filterBounds(planar).first())["geometry"]["coordinates"] == [
        30,
        41,
    ]
    assert evaluator.value(area.contains(north)) is True
    assert evaluator.value(planar.contains(north)) is False
    assert evaluator.value(area.distance(south)) > 10_000
    assert evaluator.value(planar.distance(south)) == 0


KEPT: dict[str, tuple[str, Any]] = {
    "crossing": ("Polygon", [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]),
    "on a line": ("Polygon", [[[0, 0], [1, 0], [2, 0], [0, 0]]]),
    "at one place": ("Polygon", [[[1, 1], [1, 1], [1, 1], [1, 1]]]),
    "overlapping": ("MultiPolygon", [[[[0, 0], [2, 0], [2, 2], [0, 0]]]] * 2),
    "repeated points": ("LineString", [[0, 0], [0, 0], [1, 1], [1, 1]]),
    "past the antimeridian": ("Polygon", [[[170, 0], [-170, 0], [-170, 5], [170, 0]]]),
    "no points": ("MultiPoint", []),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_given_is_kept(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    kind, coordinates = KEPT[name]
    geojson = {"type": kind, "coordinates": coordinates}
    call = ee.ApiFunction.lookup(f"GeometryConstructors.{kind}").call(coordinates)
    for made in (ee.Geometry(geojson), ee.Geometry(call), ee.Feature(ee.Geometry(call)).geometry()):
        found = evaluator.value(made)
        assert (found["type"], found["coordinates"]) == (kind, coordinates)
        assert evaluator.value(made.type()) == kind
        assert evaluator.value(made.coordinates()) == coordinates
    both = ee.Algorithms.GeometryConstructors.MultiGeometry([ee.Geometry(call), call])
    assert evaluator.value(both.geometries().size()) == 2 * len(shapely.get_parts(shape(geojson)))


def test_operations_repair_what_they_get(ee: ModuleType, evaluator: Evaluator) -> None:
    bow = ee.Geometry.Polygon(KEPT["crossing"][1])
    triangles = [[(0, 0), (1, 1), (0, 2)], [(2, 0), (2, 2), (1, 1)]]
    area = sum(SPHERE.geometry_area_perimeter(shapely.Polygon(each))[0] for each in triangles)
    assert evaluator.value(bow.area()) == pytest.approx(area, rel=1e-3)
    assert evaluator.value(bow.intersection(bow, 1))["type"] == "MultiPolygon"
    assert evaluator.value(bow.buffer(1000).contains(ee.Geometry.Point([0.5, 1]))) is True
    assert evaluator.value(ee.Geometry.Polygon(KEPT["on a line"][1]).area()) == 0


def test_no_edge_gets_points_without_end() -> None:
    chance = np.random.default_rng(1)
    points = np.column_stack([np.tile([-85.0, 85.0], 50), chance.uniform(-89, 89, 100)])
    line = make_geometry("LineString", points.tolist())
    with cpu_limit(10):
        points = shapely.get_coordinates(line.in_degrees(1e-300))
        assert 50_000 < len(points) <= 150_100


def tangle(count: int) -> list[list[float]]:
    """Return corners in disorder, whose edges nearly all cross each other."""
    found: list[list[float]] = np.random.default_rng(2).uniform(-60, 60, (count, 2)).tolist()
    return found


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda g: g.Polygon([tangle(400)]).area(), "cross too often"),
        (lambda g: g.Polygon([tangle(400)]).buffer(1000), "cross too often"),
        (lambda g: g.LineString(tangle(3000)).buffer(1e5), "points to buffer|cross too often"),
        (
            lambda g: g.LineString(tangle(4000)).distance(g.MultiPoint(tangle(5000))),
            "Computation timed out.",
        ),
    ],
)
def test_tangles_are_refused_in_time(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with cpu_limit(15), pytest.raises(InvalidRequest, match=said):
        evaluator.value(make(ee.Geometry))


def test_the_world_is_changed_in_degrees(ee: ModuleType, evaluator: Evaluator) -> None:
    world = ee.Geometry.BBox(-180, -90, 180, 90)
    assert evaluator.value(world.centroid())["coordinates"] == [0, 0]
    assert shape(evaluator.value(world.buffer(1000))).bounds == (-180, -90, 180, 90)
    assert shape(evaluator.value(world.simplify(10))).bounds == (-180, -90, 180, 90)
    less = shape(evaluator.value(world.buffer(-111_195)))
    assert less.bounds == pytest.approx((-179, -89, 179, 89), abs=1e-3)
