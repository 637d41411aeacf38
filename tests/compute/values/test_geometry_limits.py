"""Shapes whose edges would cross without end are refused in time; large honest ones are not."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tests.compute.conftest import Evaluator
from tests.support.limits import cpu_limit
from tileserver.errors import InvalidRequest


def comb(teeth: int, is_upright: bool) -> list[list[float]]:
    """Return a ring that goes to and fro across the same square."""
    steps = np.linspace(0, 1, teeth)
    across = np.arange(teeth) % 2
    xy = np.column_stack([across, steps] if is_upright else [steps, across])
    ring: list[list[float]] = np.vstack([xy, [[2, 2]], xy[:1]]).tolist()
    return ring


@pytest.mark.slow
def test_edges_that_cross_without_end_are_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    ring = [*comb(20_000, True)[:-2], *comb(20_000, False)[:-2]]
    told = "The edges of the geometry cross too often"
    with cpu_limit(10), pytest.raises(InvalidRequest, match=told):
        evaluator.value(ee.Geometry.Polygon([ring]).area())
    lines = [ee.Geometry.LineString(comb(20_000, upright)) for upright in (True, False)]
    with cpu_limit(10), pytest.raises(InvalidRequest, match=told):
        evaluator.value(lines[0].union(lines[1], 1).length())


@pytest.mark.slow
def test_a_large_honest_area_is_taken(ee: ModuleType, evaluator: Evaluator) -> None:
    angles = np.linspace(0, 2 * np.pi, 50_000)[:-1]
    radius = 1 + 0.1 * np.sin(angles * 500)
    ring = np.column_stack([radius * np.cos(angles), radius * np.sin(angles)]).tolist()
    circle = ee.Geometry.Polygon([ring])
    half = circle.intersection(ee.Geometry.Rectangle([0, -2, 2, 2], None, False), 1)
    ratio = evaluator.value(half.area()) / evaluator.value(circle.area())
    assert ratio == pytest.approx(0.5, rel=1e-2)


@pytest.mark.slow
def test_a_buffer_of_too_many_parts_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    points = ee.Geometry.MultiPoint([[i / 1000, 0] for i in range(6000)])
    with pytest.raises(InvalidRequest, match="There are 6000 parts to buffer, at most 5000"):
        evaluator.value(points.buffer(10))
