"""Geometries across the antimeridian give what their controls give, 40 degrees away."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely

from tests.compute.conftest import Evaluator
from tests.support.limits import cpu_limit
from tileserver.compute.pixels.rasterize import shown_on
from tileserver.compute.values.antimeridian import in_one_piece
from tileserver.compute.values.geometry import make_geometry
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.errors import InvalidRequest

SHIFT = 40
"""Degrees from the control's middle, 140, to the antimeridian."""


def lon(control: float, is_control: bool) -> float:
    """Return a longitude of the control, or as far around the Earth from -180 to 180."""
    return control if is_control else (control + SHIFT + 180) % 360 - 180


SHAPES: dict[str, Callable[[ModuleType, bool], Any]] = {
    "box": lambda ee, c: ee.Geometry.BBox(lon(138.8, c), 7.5, lon(141.2, c), 9.9),
    "polygon": lambda ee, c: ee.Geometry.Polygon(
        [[[lon(x, c), y] for x, y in ((138, 5), (142.5, 6), (141, 10), (139, 9))]]
    ),
    "polygon with a hole": lambda ee, c: ee.Geometry.Polygon(
        [
            [[lon(x, c), y] for x, y in ((138, 5), (142, 5), (142, 10), (138, 10))],
            [[lon(x, c), y] for x, y in ((140.5, 7), (140.5, 8), (141, 8), (141, 7))],
        ]
    ),
    "polygons": lambda ee, c: ee.Geometry.MultiPolygon(
        [
            [[[lon(x, c), y] for x, y in ((138, 5), (139, 5), (139, 6))]],
            [[[lon(x, c), y] for x, y in ((139.5, 5), (142, 5), (142, 8))]],
        ]
    ),
    "line": lambda ee, c: ee.Geometry.LineString([[lon(139, c), 5], [lon(141, c), 8]]),
    "points": lambda ee, c: ee.Geometry.MultiPoint([[lon(139, c), 5], [lon(141, c), 8]]),
    "buffer": lambda ee, c: ee.Geometry.Point([lon(140.1, c), 8]).buffer(50_000),
    "buffer of a line": lambda ee, c: ee.Geometry.LineString(
        [[lon(139, c), 5], [lon(141, c), 8]]
    ).buffer(20_000),
}
MEASURES: dict[str, Callable[[Any], Any]] = {
    "area": lambda g: g.area(1),
    "length": lambda g: g.length(1),
    "perimeter": lambda g: g.perimeter(1),
    "area of bounds": lambda g: g.bounds(1).area(1),
    "area of hull": lambda g: g.convexHull(1).area(1),
    "distance": lambda g: g.distance(g.centroid(1).buffer(1000), 1),
    "meets its centroid": lambda g: g.bounds(1).contains(g.centroid(1), 1),
    "area of union": lambda g: g.buffer(1000).union(g.centroid(1).buffer(90_000), 1).area(1),
    "area of common part": lambda g: (
        g.buffer(1000).intersection(g.centroid(1).buffer(90_000), 1).area(1)
    ),
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("shape", SHAPES)
def test_measures_are_those_of_the_control(
    ee: ModuleType, evaluator: Evaluator, shape: str, measure: str
) -> None:
    found, right = (
        evaluator.value(MEASURES[measure](SHAPES[shape](ee, is_control)))
        for is_control in (False, True)
    )
    assert found == pytest.approx(right, rel=1e-3, abs=1e-3)


RELATIONS = ("contains", "containedIn", "intersects", "disjoint")
BOXES = {
    "crossing": (138.8, 141.2),
    "west": (139.0, 139.5),
    "east": (140.5, 141.0),
    "far": (120.0, 121.0),
    "up to the seam": (139.0, 140.0),
    "from the seam on": (140.0, 141.0),
    "wide": (100.0, 150.0),
}


@pytest.mark.parametrize("right", BOXES)
@pytest.mark.parametrize("left", BOXES)
def test_relations_and_joins_are_those_of_the_controls(
    ee: ModuleType, evaluator: Evaluator, left: str, right: str
) -> None:
    answers = []
    for is_control in (False, True):
        a, b = (
            ee.Geometry.BBox(lon(BOXES[name][0], is_control), 7, lon(BOXES[name][1], is_control), 9)
            for name in (left, right)
        )
        relations = [evaluator.value(getattr(a, name)(b, 1)) for name in RELATIONS]
        joins = [
            evaluator.value(getattr(a, name)(b, 1).area(1))
            for name in ("union", "intersection", "difference", "symmetricDifference")
        ]
        answers.append((relations, np.round(np.array(joins) / 1e6)))
    assert answers[0][0] == answers[1][0]
    assert np.allclose(answers[0][1], answers[1][1], rtol=1e-3, atol=2)


def test_filters_see_across_the_antimeridian(ee: ModuleType, evaluator: Evaluator) -> None:
    points = ee.FeatureCollection(
        [ee.Feature(ee.Geometry.Point([x, 8])) for x in (179.5, -179.5, -178, 170, 0)]
    )
    box = ee.Geometry.BBox(178.8, 7.5, -178.8, 9.9)
    assert evaluator.value(points.filterBounds(box).size()) == 2
    near = ee.Filter.withinDistance(
        distance=120_000, leftField=".geo", rightValue=ee.Geometry.Point([179.9, 8])
    )
    assert evaluator.value(points.filter(near).size()) == 2


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326", "EPSG:3832"])
def test_a_region_has_the_pixels_of_its_control(
    ee: ModuleType, evaluator: Evaluator, crs: str
) -> None:
    counts: list[float] = []
    means: list[float] = []
    for is_control in (False, True):
        region = ee.Geometry.BBox(lon(138.8, is_control), 7.5, lon(141.2, is_control), 9.9)
        image = ee.Image.pixelLonLat().select("latitude")
        for reducer, found in ((ee.Reducer.count(), counts), (ee.Reducer.mean(), means)):
            answer = evaluator.value(image.reduceRegion(reducer, region, 1000, crs))
            found.append(answer["latitude"])
    assert counts[0] == pytest.approx(counts[1], rel=0.005)
    assert 60_000 < counts[0] < 90_000
    assert means[0] == pytest.approx(means[1], abs=0.01)


def grid_at(west: float, crs: str = "EPSG:4326") -> PixelGrid:
    return PixelGrid(200, 100, AffineTransform(0.02, 0, west, 0, -0.02, 9.5), crs)


@pytest.mark.parametrize("how", ["clip", "paint", "edges", "style"])
def test_pictures_show_the_geometry_on_both_sides(
    ee: ModuleType, evaluator: Evaluator, how: str
) -> None:
    def shown(is_control: bool, west: float) -> Any:
        area = SHAPES["polygon"](ee, is_control)
        features = ee.FeatureCollection([ee.Feature(area)])
        image = {
            "clip": lambda: ee.Image(1).clip(area),
            "paint": lambda: ee.Image(0).toByte().paint(features, 1).selfMask(),
            "edges": lambda: ee.Image(0).toByte().paint(features, 1, 3).selfMask(),
            "style": lambda: features.style(color="red", width=2).select(0),
        }[how]()
        (band,) = evaluator.masked(image, grid_at(west)).values()
        return ~np.ma.getmaskarray(band)

    control = shown(True, 138)
    assert 500 < control.sum() < control.size
    # Two grids of 4 degrees: before and after the antimeridian, and one that goes past it.
    assert np.array_equal(shown(False, 178), control)
    assert np.array_equal(shown(False, 178 - 360), control)
    assert np.array_equal(shown(False, -180), shown(True, 140))


def test_coordinates_stay_as_given_and_edges_go_the_short_way(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    line = ee.Geometry.LineString([[179, 0], [-179, 1]])
    assert evaluator.value(line)["coordinates"] == [[179, 0], [-179, 1]]
    assert evaluator.value(line.length()) < 300_000
    planar = ee.Geometry.Polygon([[[170, 0], [-170, 0], [-170, 5]]], None, False)
    assert evaluator.value(planar.area(1)) > evaluator.value(
        ee.Geometry.Polygon([[[170, 0], [-170, 0], [-170, 5]]]).area(1)
    )


def test_the_world_stays_the_world(ee: ModuleType, evaluator: Evaluator) -> None:
    ring = [[-180, -90], [180, -90], [180, 90], [-180, 90]]
    for world in (ee.Geometry.Polygon([ring]), ee.Geometry.Rectangle(-180, -90, 180, 90)):
        assert evaluator.value(world.area(1)) == pytest.approx(5.1e14, rel=0.01)
        for name in ("crossing", "west", "far"):
            box = ee.Geometry.BBox(lon(BOXES[name][0], False), 7, lon(BOXES[name][1], False), 9)
            assert evaluator.value(world.contains(box, 1))


@pytest.mark.parametrize("side_px", [50, 64, 128, 180, 256])
@pytest.mark.parametrize("how", ["clip", "paint"])
def test_a_map_of_the_world_shows_both_parts(
    ee: ModuleType, evaluator: Evaluator, how: str, side_px: int
) -> None:
    area = ee.Geometry.BBox(145, -10, -140, 10)
    features = ee.FeatureCollection([ee.Feature(area)])
    image = {
        "clip": lambda: ee.Image(1).clip(area),
        "paint": lambda: ee.Image(0).toByte().paint(features, 1).selfMask(),
    }[how]()
    for crs, half in (("EPSG:4326", 180.0), ("EPSG:3857", 20_037_508.342789244)):
        pixel = 2 * half / side_px
        grid = PixelGrid(side_px, side_px, AffineTransform(pixel, 0, -half, 0, -pixel, half), crs)
        (band,) = evaluator.masked(image, grid).values()
        shown = ~np.ma.getmaskarray(band)
        west, east = shown[:, : side_px // 2].sum(), shown[:, side_px // 2 :].sum()
        assert west > 0
        assert east > 0
        assert west / east == pytest.approx(40 / 35, rel=0.35)


def test_a_tangled_line_is_not_drawn_again_for_each_turn(ee: ModuleType) -> None:
    random = np.random.default_rng(0)
    points = random.uniform([120, 0], [170, 40], (300, 2))
    line = make_geometry("LineString", points.tolist()).in_crs("EPSG:3857")
    half = 20_037_508.342789244
    world = PixelGrid(
        256, 256, AffineTransform(half / 128, 0, -half, 0, -half / 128, half), "EPSG:3857"
    )
    assert len(shown_on(line, world)) == 1


def test_many_parts_at_the_antimeridian_take_no_square_of_their_number() -> None:
    left = [shapely.box(-180, y / 100, -179, (y + 0.5) / 100) for y in range(4000)]
    right = shapely.box(179, 0, 180, 1)
    with cpu_limit(2):
        found = in_one_piece(shapely.MultiPolygon([*left, right]), 360)
    assert found.bounds[2] > 180


def test_filters_and_methods_agree_at_the_antimeridian(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    for x in (-180, 180):
        point = ee.Geometry.Point([x, 8])
        for west, east in ((-180, -179), (179, 180), (179, -179), (-180, 170)):
            box = ee.Geometry.BBox(west, 7, east, 9)
            features = ee.FeatureCollection([ee.Feature(point)])
            assert evaluator.value(features.filterBounds(box).size()) == 1
            assert evaluator.value(box.contains(point, 1))


def test_parts_that_overlap_across_the_antimeridian_dissolve(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    both = ee.Geometry.MultiPolygon(
        [
            [[[179, 5], [-179, 5], [-179, 6], [179, 6]]],
            [[[-180, 5], [-179, 5], [-179, 6], [-180, 6]]],
        ]
    )
    whole = evaluator.value(ee.Geometry.BBox(179, 5, -179, 6).area(1))
    assert evaluator.value(both.dissolve(1).area(1)) == pytest.approx(whole, rel=5e-4)


def test_bounds_and_scale_of_parts_on_both_sides_are_small(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    both = ee.Geometry.MultiPolygon(
        [
            [[[178.5, 5], [179, 5], [179, 6], [178.5, 6]]],
            [[[-179, 5], [-178.5, 5], [-178.5, 6], [-179, 6]]],
        ]
    )
    image = ee.Image.pixelLonLat().clipToBoundsAndScale(geometry=both, scale=10_000)
    band = evaluator.value(image)["bands"][0]
    assert band["dimensions"][0] < 50


@pytest.mark.parametrize("x", [1e300, 1.7e308, -1e200])
def test_coordinates_that_overflow_are_refused(
    ee: ModuleType, evaluator: Evaluator, x: float
) -> None:
    with pytest.raises(InvalidRequest, match="Invalid GeoJSON coordinates"):
        evaluator.value(ee.Geometry.LineString([[x, 0], [-x, 0]]))
