"""What Earth Engine takes, though its reference does not say so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import SERIES, Evaluator
from tileserver.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-4-30", datetime(2021, 4, 30)),
        ("1996-001", datetime(1996, 1, 1)),
        ("2020-366", datetime(2020, 12, 31)),
        ("2020-1", datetime(2020, 1, 1)),
        ("2020-1-1T8:00", datetime(2020, 1, 1, 8)),
        ("1996-001T06:30:15.5", datetime(1996, 1, 1, 6, 30, 15, 500_000)),
        ("2020-02-29 23:59:59Z", datetime(2020, 2, 29, 23, 59, 59)),
        ("2020-4-1T10:00+02:00", datetime(2020, 4, 1, 8)),
    ],
)
def test_fields_of_a_date_may_lack_zeros(
    ee: ModuleType, evaluator: Evaluator, text: str, expected: datetime
) -> None:
    millis = evaluator.value(ee.Date(text).millis())
    assert millis == expected.replace(tzinfo=UTC).timestamp() * 1000


@pytest.mark.parametrize(
    "text", ["2021-366", "2020-000", "2020-13", "2020-1-32", "9999-999", "0000-1", "2020-1-1T", "x"]
)
def test_a_date_that_is_none_is_refused(ee: ModuleType, evaluator: Evaluator, text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"Date: Invalid date '.+'; expected one such as"):
        evaluator.value(ee.Date(text))


def test_a_range_serves_as_the_start_of_filter_date(ee: ModuleType, evaluator: Evaluator) -> None:
    span = ee.Date("2020-04-11").getRange("month")
    found = ee.ImageCollection(SERIES).filterDate(span).aggregate_array("NAME")
    assert evaluator.value(found) == ["t0", "t1", "t2"]
    given = ee.ImageCollection(SERIES).filterDate(ee.DateRange("2020-04-11", "2020-05-02"))
    assert evaluator.value(given.aggregate_array("NAME")) == ["t1", "t2", "t3"]


def test_a_margin_stands_for_a_number(ee: ModuleType, evaluator: Evaluator) -> None:
    by_margin = ee.Geometry.Point(0, 0).buffer(ee.ErrorMargin(100)).area(1)
    by_number = ee.Geometry.Point(0, 0).buffer(100).area(1)
    assert evaluator.value(by_margin.subtract(by_number)) == 0


def test_a_range_that_falls_is_drawn_the_other_way_round(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = ee.Image("projects/localhost/assets/scene").select("B1")
    falling = evaluator.pixels(image.visualize(min=4000, max=0))["vis-gray"]
    values = evaluator.pixels(image)["B1"].astype(np.float64)
    expected = np.clip((values - 4000) / (0 - 4000), 0, 1) * 255
    assert np.abs(falling - expected).max() <= 1


def test_a_range_of_one_value_is_a_step(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image("projects/localhost/assets/scene").select("B1")
    values = evaluator.pixels(image)["B1"]
    step = int(np.median(values))
    drawn = evaluator.pixels(image.visualize(min=step, max=step))["vis-gray"]
    np.testing.assert_array_equal(drawn, np.where(values > step, 255, 0))


@pytest.mark.parametrize(
    ("formula", "name", "expected"),
    [
        ("x = b(0) * 2", "x", lambda b: b * 2),
        ("x = b(0) * 2; x + 1", "x", lambda b: b * 2 + 1),
        ("x = b(0) * 2; y = x + 1;", "y", lambda b: b * 2 + 1),
        ("b = b(0) + 1; c = b(0) * b; c - b", "c", lambda b: b * (b + 1) - (b + 1)),
    ],
)
def test_a_formula_assigns_names(
    ee: ModuleType, evaluator: Evaluator, formula: str, name: str, expected: Callable[[Any], Any]
) -> None:
    """The reference of ee.Image.expression names the band of `x = a + b`."""
    found = evaluator.pixels(
        ee.Image("projects/localhost/assets/scene").toDouble().expression(formula)
    )
    assert found.dtype.names == (name,)
    band = evaluator.pixels(ee.Image("projects/localhost/assets/scene").select("B1"))["B1"]
    np.testing.assert_array_equal(found[name], expected(band.astype(np.float64)))


@pytest.mark.parametrize(
    "formula", ["= 1", "x = ", "x = y", "1 = 2", "x == ; 1", ";", "x = 1; ; x"]
)
def test_a_formula_that_assigns_badly_is_refused(
    ee: ModuleType, evaluator: Evaluator, formula: str
) -> None:
    with pytest.raises(InvalidRequest, match=r"Image.parseExpression: (Cannot parse|Unknown)"):
        evaluator.value(ee.Image(1).expression(formula))


def test_many_assignments_are_computed_once_each(ee: ModuleType, evaluator: Evaluator) -> None:
    steps = "; ".join(f"x{i + 1} = x{i} + x{i}" for i in range(40))
    image = ee.Image(1).toDouble().expression(f"x0 = b(0); {steps}")
    assert evaluator.value(image.bandNames()) == ["x40"]


def test_a_mosaic_takes_bands_from_the_images_that_have_them(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    images = [ee.Image(1).rename("a"), ee.Image([2, 3]).rename(["b", "a"])]
    mosaic = ee.ImageCollection(images).mosaic()
    assert evaluator.value(mosaic.bandNames()) == ["a", "b"]
    found = evaluator.pixels(mosaic)
    assert (found["a"] == 3).all()
    assert (found["b"] == 2).all()
