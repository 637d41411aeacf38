"""Areas on the left of their rings, boxes around parts, and planar shapes among geodesic ones."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import Evaluator
from tileserver.compute.values.sphere import EARTH_M

CLOCKWISE = [[[-35, -10], [-35, 10], [35, 10], [35, -10], [-35, -10]]]
COUNTER_CLOCKWISE = [CLOCKWISE[0][::-1]]
OVER_180 = [[[170, -10], [170, 10], [-170, 10], [-170, -10], [170, -10]]]
WIDE = [[[-80, -40], [80, -40], [80, 40], [-80, 40]]]


@pytest.mark.parametrize(
    ("ring", "even_odd", "point", "holds"),
    [
        # guides/geometric_operations: the ring that runs clockwise does not hold (1.5, 1.5).
        (CLOCKWISE, False, [1.5, 1.5], False),
        (CLOCKWISE, True, [1.5, 1.5], True),
        (CLOCKWISE, False, [100, 40], True),
        (COUNTER_CLOCKWISE, False, [1.5, 1.5], True),
        (COUNTER_CLOCKWISE, False, [100, 40], False),
        (OVER_180, False, [179, 0], False),
        (OVER_180, False, [-179, 0], False),
        (OVER_180, False, [0, 0], True),
    ],
)
def test_without_even_odd_an_area_is_on_the_left_of_its_ring(
    ee: ModuleType, evaluator: Evaluator, ring: Any, even_odd: bool, point: Any, holds: bool
) -> None:
    made = ee.Geometry.Polygon(coords=ring, evenOdd=even_odd)
    assert evaluator.value(made.contains(ee.Geometry.Point(point))) is holds
    several = ee.Geometry.MultiPolygon(coords=[ring], evenOdd=even_odd)
    assert evaluator.value(several.contains(ee.Geometry.Point(point))) is holds


def test_both_sides_of_a_ring_are_the_earth(ee: ModuleType, evaluator: Evaluator) -> None:
    sides = [
        ee.Geometry.Polygon(coords=ring, evenOdd=False) for ring in (CLOCKWISE, COUNTER_CLOCKWISE)
    ]
    found = evaluator.value(ee.List([side.area() for side in sides]))
    assert sum(found) == pytest.approx(4 * math.pi * EARTH_M**2, rel=1e-9)


@pytest.mark.parametrize("shift", [-122.0, 0.0, 122.0])
def test_bounds_of_parts_stay_on_the_map(
    ee: ModuleType, evaluator: Evaluator, shift: float
) -> None:
    # The widths of these differ by rounding from those of the same parts a turn further east.
    points = [[shift - 0.082, 37.42], [shift - 0.081, 37.426], [shift - 0.0805, 37.421]]
    for count in (2, 3):
        made = ee.Geometry.MultiPoint(points[:count]).bounds().coordinates()
        (ring,) = evaluator.value(made)
        assert min(x for x, _ in ring) == points[0][0]
        assert max(x for x, _ in ring) == points[count - 1][0]


@pytest.mark.parametrize(
    ("box", "ring", "relation", "expected"),
    [
        ([-40, 10, 60, 20], WIDE, "intersection", "box"),
        ([-40, 10, 60, 20], WIDE, "union", "ring"),
        # More than half a turn wide, within a polygon that is wider.
        (
            [-40, 10, 160, 20],
            [[[-170, -60], [0, -60], [170, -60], [170, 60], [0, 60], [-170, 60]]],
            "intersection",
            "box",
        ),
    ],
)
def test_planar_edges_are_kept_among_great_circles(
    ee: ModuleType, evaluator: Evaluator, box: list[float], ring: Any, relation: str, expected: str
) -> None:
    # The great circles between the corners of the box would enclose a quarter more.
    planar, geodesic = ee.Geometry.BBox(*box), ee.Geometry.Polygon(ring)
    made = getattr(planar, relation)(geodesic, 1).area()
    whole = (planar if expected == "box" else geodesic).area()
    found, area = evaluator.value(ee.List([made, whole]))
    assert found == pytest.approx(area, rel=1e-5)


@pytest.mark.parametrize(
    ("distance_m", "margin_m", "relative"),
    [(1e6, 1, 3e-6), (1e6, 1000, 3e-3), (5000, 1, 5e-4), (30, None, 0.02)],
)
def test_a_buffer_is_as_round_as_its_margin_says(
    ee: ModuleType, evaluator: Evaluator, distance_m: float, margin_m: float | None, relative: float
) -> None:
    # Its reference page: the error in approximating the circle, by default 1% of the distance.
    found = evaluator.value(ee.Geometry.Point([-50, 30]).buffer(distance_m, margin_m).area())
    cap = 2 * math.pi * EARTH_M**2 * (1 - math.cos(distance_m / EARTH_M))
    assert found == pytest.approx(cap, rel=relative)
