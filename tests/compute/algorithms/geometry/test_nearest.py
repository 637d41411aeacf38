"""Nearest points and distances of wide areas and across the antimeridian, against the sphere."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import shapely

from tests.compute.conftest import Evaluator

RADIUS_M = 6371010.0


def sphere_distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the least distance between the edges of two boxes, on a sphere, from many points."""
    points = []
    for west, south, east, north in (one, other):
        ring = shapely.segmentize(shapely.box(west, south, east, north).exterior, 0.5)
        lon, lat = np.radians(shapely.get_coordinates(ring)).T
        points.append(
            np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        )
    cosines = points[0] @ points[1].T
    return float(np.arccos(np.clip(cosines.max(), -1, 1)) * RADIUS_M)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((-170, -20, -10, 20), (10, -20, 170, 20)),
        ((-170, 10, 170, 20), (-170, -20, 170, -5)),
        ((-175, -60, 0, 60), (20, -60, 175, 60)),
        ((-100, 0, 100, 10), (-100, 30, 100, 40)),
        ((0, 0, 1, 1), (3, 0, 4, 1)),
    ],
)
def test_wide_areas_that_do_not_touch_have_a_distance(
    ee: ModuleType, evaluator: Evaluator, one: tuple[float, ...], other: tuple[float, ...]
) -> None:
    a, b = (ee.Geometry.Rectangle(list(box), None, False) for box in (one, other))
    found = evaluator.value(a.distance(b))
    expected = sphere_distance(one, other)
    assert found > 0
    assert found == pytest.approx(expected, rel=0.1)
    assert evaluator.value(b.distance(a)) == pytest.approx(found, rel=0.01)


@pytest.mark.parametrize("projection", [None, "EPSG:4326", "EPSG:3857", "EPSG:3395"])
def test_nearest_points_lie_within_the_map(
    ee: ModuleType, evaluator: Evaluator, projection: str | None
) -> None:
    crossing = ee.Geometry.BBox(178, 0, -178, 5)
    half = 180.0 if projection in (None, "EPSG:4326") else 20_037_508.4
    for west, east in ((-177, -176), (176, 177), (-179.5, -179), (-175, 170)):
        other = ee.Geometry.BBox(west, 10, east, 12)
        for a, b in ((crossing, other), (other, crossing)):
            found = evaluator.value(a.closestPoints(b, 1, projection))
            for side in ("left", "right"):
                assert abs(found[side]["coordinates"][0]) <= half
