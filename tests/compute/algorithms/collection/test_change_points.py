"""Changes of series: series made of known lines are the oracle."""

from __future__ import annotations

from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import GRID, SCENE, Evaluator, scene_values
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

SMALL = GRID.window(Window(0, 0, 4, 3))
AMOUNT = scene_values()[0][:3, :4] / 4000 + 0.5
YEARS = np.arange(2000, 2015)
CORNERS = ([2000, 2006, 2007, 2014], [0.8, 0.8, 0.2, 0.6])
DAYS = np.array([(datetime(y, 7, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days for y in YEARS])  # fmt: skip  # noqa: E501
AT = np.searchsorted(YEARS, CORNERS[0])
SHAPE = np.interp(DAYS, DAYS[AT], CORNERS[1])
"""Straight between its corners, in days."""


def series(ee: ModuleType, shape: Any = SHAPE) -> Any:
    images = []
    for day, share in zip(DAYS.tolist(), np.asarray(shape).tolist(), strict=True):
        image = ee.Image(SCENE).select("B1").divide(4000).add(0.5).multiply(share).rename("v")
        images.append(image.set("system:time_start", day * 86_400_000))
    return ee.ImageCollection(images)


def changes(evaluator: Evaluator, image: Any, name: str, count: int) -> Any:
    flat = image.select(f"v_{name}").arrayFlatten([[str(i) for i in range(count)]])
    return np.ma.stack(list(evaluator.masked(flat, SMALL).values()), axis=-1)


def c2c(ee: ModuleType, collection: Any, **given: Any) -> Any:
    return ee.Algorithms.TemporalSegmentation.C2c(collection, **{"maxError": 0.01, **given})


def test_the_corners_of_a_series_are_its_changes(ee: ModuleType, evaluator: Evaluator) -> None:
    image = c2c(ee, series(ee))
    heights = AMOUNT[:, :, np.newaxis] * np.array(CORNERS[1])
    found = {name: changes(evaluator, image, name, 4) for name in ("changeDate", "value")}
    assert (found["changeDate"] == DAYS[AT] + 719_529).all()
    np.testing.assert_allclose(found["value"], heights, rtol=1e-6)
    spans = np.diff(DAYS[AT])
    for name, expected in (
        ("magnitude", np.diff(heights)),
        ("duration", np.broadcast_to(spans, (3, 4, 3))),
        ("rate", np.diff(heights) / spans),
    ):
        each = changes(evaluator, image, name, 4)
        np.testing.assert_allclose(each[..., 1:], expected, rtol=1e-6, atol=1e-12)
    post = changes(evaluator, image, "postMagnitude", 4)
    np.testing.assert_allclose(post[..., :-1], np.abs(np.diff(heights)), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("kind", "expected"), [(1, 1970 + DAYS / 365.25), (2, DAYS * 86_400_000)])
def test_dates_have_the_format_asked_for(
    ee: ModuleType, evaluator: Evaluator, kind: int, expected: Any
) -> None:
    image = c2c(ee, series(ee), dateFormat=kind, includePostMetrics=False)
    assert len(evaluator.value(image.bandNames())) == 5
    found = changes(evaluator, image, "changeDate", 4)
    np.testing.assert_allclose(found, np.broadcast_to(expected[AT], found.shape), rtol=1e-12)


def test_segments_spikes_gaps_and_falls(ee: ModuleType, evaluator: Evaluator) -> None:
    one = c2c(ee, series(ee), maxSegments=1)
    assert (changes(evaluator, one, "changeDate", 2) == DAYS[[0, -1]] + 719_529).all()
    falls = c2c(ee, series(ee), negativeMagnitudeOnly=True)
    assert (changes(evaluator, falls, "changeDate", 1) == DAYS[AT[2]] + 719_529).all()
    flat = np.full(len(YEARS), 0.5)
    flat[4], flat[9] = 0.0, 0.9
    kept = changes(evaluator, c2c(ee, series(ee, flat)), "value", 2)
    np.testing.assert_allclose(kept, 0.5 * AMOUNT[:, :, np.newaxis] * np.ones(2), rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"includeRegrowth": True}, "includeRegrowth is not supported"),
        ({"maxSegments": 1000}, "maxSegments must be 1 to 100"),
        ({"dateFormat": 7}, "dateFormat must be 0, 1 or 2, got 7"),
        ({"maxErrorList": [1, 2]}, "Expected a number for each of 1 bands, got 2"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    ee: ModuleType, evaluator: Evaluator, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(c2c(ee, series(ee), **given))
