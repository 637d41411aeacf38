"""Shapes across the seams of maps are those of their controls, for many maps."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import shapely
from pyproj import Geod

from tests.compute.conftest import Evaluator
from tileserver.compute.values.geometry import Geometry, make_geometry, rectangle
from tileserver.compute.values.image import Projection

SAME_ANYWHERE = (
    *("EPSG:3857", "EPSG:3395", "EPSG:3832", "EPSG:3994", "EPSG:5641", "EPSG:32662", "EPSG:4087"),
    *("EPSG:6933", "EPSG:8857", "EPSG:8859", "EPSG:5070", "EPSG:3034", "EPSG:3347"),
    *("ESRI:54009", "ESRI:54030", "ESRI:54052", "ESRI:54003", "ESRI:54018"),
)
"""Maps on which a shape has the same area at all longitudes."""
EQUAL_AREA = ["EPSG:6933", "EPSG:8857", "EPSG:8859", "ESRI:54034", "ESRI:54009", "EPSG:5070"]
SEAMS = (180.0, -30.0, 137.0, 84.0, -170.0, -40.0, -20.0, -80.0)


@pytest.mark.parametrize("crs", SAME_ANYWHERE)
@pytest.mark.parametrize("south", [7.5, -31.0])
def test_areas_and_lines_are_as_large_at_seams_as_elsewhere(crs: str, south: float) -> None:
    control = rectangle(10, south, 12.4, south + 2.4).in_crs(crs)
    for seam in SEAMS:
        found = rectangle(seam - 1.1, south, seam + 1.3, south + 2.4).in_crs(crs)
        assert found.area == pytest.approx(control.area, rel=2e-3)
        line = make_geometry("LineString", [[seam - 1, south], [seam + 1, south + 1]])
        assert line.in_crs(crs).length < 5 * np.sqrt(control.area)


@pytest.mark.parametrize("crs", EQUAL_AREA)
@pytest.mark.parametrize("west", [178.8, -31.0, 83.0, 10.0])
def test_on_maps_of_equal_area_it_is_that_of_the_ground(crs: str, west: float) -> None:
    corners = [(west, 20.0), (west + 2.4, 20.0), (west + 2.4, 21.0), (west, 21.0)]
    ring = shapely.segmentize(shapely.Polygon(corners), 0.01)
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(ring)
    found = make_geometry("Polygon", [[list(corner) for corner in corners]]).in_crs(crs)
    # A map on a sphere is off by the flattening.
    assert found.area == pytest.approx(area, rel=1e-2)


@pytest.mark.parametrize("crs", ["EPSG:3395", "EPSG:3832", "ESRI:54009", "EPSG:8859"])
def test_a_shape_of_another_map_is_cut_as_well(crs: str) -> None:
    utm = rectangle(300_000, 800_000, 800_000, 1_000_000, Projection("EPSG:32660"))
    there = utm.in_crs(crs)
    assert np.sqrt(there.area) < 500_000
    back = Geometry(there, Projection(crs)).in_crs("EPSG:32660")
    assert back.area == pytest.approx(utm.shape.area, rel=0.01)


def test_points_and_kinds_stay() -> None:
    for kind, coordinates in (
        ("Point", [180, 5]),
        ("MultiPoint", [[180, 5], [-179, 5]]),
        ("MultiLineString", [[[1, 1], [2, 2]], [[3, 3], [4, 4]]]),
    ):
        found = make_geometry(kind, coordinates).in_crs("ESRI:54009")
        assert found.geom_type == kind
        assert np.isfinite(shapely.get_coordinates(found)).all()


MAPS = ("EPSG:3395", "EPSG:3832", "EPSG:4087", "EPSG:6933", "EPSG:5641", "ESRI:54009", "EPSG:8859")


@pytest.mark.parametrize("crs", MAPS)
def test_regions_on_these_maps_have_the_pixels_of_their_controls(
    ee: ModuleType, evaluator: Evaluator, crs: str
) -> None:
    counts: dict[str, list[float]] = {"reduceRegion": [], "clip": [], "buffer": [], "contains": []}
    for middle in (20.0, 180.0, -30.0, 137.0):
        east = (middle + 1.2 + 180) % 360 - 180
        region = ee.Geometry.BBox(middle - 1.2, 7.5, east, 9.9)
        image = ee.Image.pixelLonLat().select("latitude")
        counts["reduceRegion"].append(_count(ee, evaluator, image, region, crs))
        around = ee.Geometry.BBox(middle - 2, 7, (middle + 2 + 180) % 360 - 180, 10)
        counts["clip"].append(_count(ee, evaluator, image.clip(region), around, crs))
        point = ee.Geometry.Point([middle - 0.1, 8.5])
        counts["buffer"].append(_count(ee, evaluator, image, point.buffer(100_000), crs))
        counts["contains"].append(float(evaluator.value(region.contains(point, 1, crs))))
    for name, (control, *others) in counts.items():
        assert control > 0, name
        assert others == pytest.approx([control] * len(others), rel=0.03), name


def _count(ee: ModuleType, evaluator: Evaluator, image: object, region: object, crs: str) -> float:
    answer = image.reduceRegion(ee.Reducer.count(), region, 5000, crs)  # type: ignore[attr-defined]
    return float(evaluator.value(answer)["latitude"])


@pytest.mark.parametrize("crs", ["EPSG:3395", "EPSG:3832", "EPSG:4087", "EPSG:6933"])
def test_bounds_on_maps_that_come_round_are_those_of_the_control(
    ee: ModuleType, evaluator: Evaluator, crs: str
) -> None:
    areas = [
        evaluator.value(ee.Geometry.BBox(west, 7.5, east, 9.9).bounds(1, crs).area(1))
        for west, east in ((18.8, 21.2), (178.8, -178.8), (-31.2, -28.8))
    ]
    assert areas[1:] == pytest.approx([areas[0]] * 2, rel=1e-3)
