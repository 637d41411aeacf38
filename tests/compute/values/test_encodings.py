"""Values as `getInfo` returns them, beside what public libraries have recorded of the service.

eerepr's tests (`tests/data/data.json` and the files beside it) hold answers of value:compute.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import SERIES, Evaluator
from tileserver.compute.values.to_json import to_json
from tileserver.errors import InvalidRequest

RECORDED: list[tuple[Callable[[ModuleType], Any], Any]] = [
    (
        lambda ee: ee.Filter.equals("foo", "bar"),
        {"type": "Filter.eq", "rightValue": "bar", "leftField": "foo"},
    ),
    (lambda ee: ee.Reducer.max(5), {"type": "Reducer.max", "numInputs": 5}),
    (
        lambda ee: ee.DateRange("2020-01-01T21:01:10", "2022-03-01T14:32:11"),
        {"type": "DateRange", "dates": [1577912470000, 1646145131000]},
    ),
    (lambda ee: ee.Date("2021-03-27T14:01:07"), {"type": "Date", "value": 1616853667000}),
    (
        lambda ee: ee.PixelType.int64(),
        {
            "type": "PixelType",
            "precision": "int",
            "min": -9.223372036854776e18,
            "max": 9.223372036854776e18,
        },
    ),
    (lambda ee: ee.PixelType.float(), {"type": "PixelType", "precision": "float"}),
    (lambda ee: ee.Geometry.Point([1.112312, 2]), {"type": "Point", "coordinates": [1.112312, 2]}),
    (lambda ee: ee.Feature(None), {"type": "Feature", "geometry": None, "properties": {}}),
    (
        lambda ee: ee.Projection("EPSG:5070").atScale(100),
        {"type": "Projection", "crs": "EPSG:5070", "transform": [100, 0, 0, 0, 100, 0]},
    ),
]


@pytest.mark.parametrize(("build", "recorded"), RECORDED)
def test_a_value_is_written_as_the_service_has_been_recorded(
    ee: ModuleType, evaluator: Evaluator, build: Callable[[ModuleType], Any], recorded: Any
) -> None:
    assert evaluator.value(build(ee)) == recorded


STATED: list[tuple[Callable[[ModuleType], Any], str]] = [
    (lambda ee: ee.Number(200).gamma(), "Infinity"),  # ee-number-gamma
    (lambda ee: ee.Number(1).log(), "0"),  # ee-number-log
    (lambda ee: ee.Number(100).sqrt(), "10"),  # ee-number-sqrt
    (lambda ee: ee.Number(-1).sqrt(), "NaN"),
    (lambda ee: ee.Number(0).log(), "-Infinity"),
    (lambda ee: ee.Number(0.5).multiply(0), "0"),
    (lambda ee: ee.Feature(ee.Geometry.Point(3, 0.5)).geometry().coordinates(), "[3, 0.5]"),
    (
        lambda ee: ee.Feature(ee.Geometry.Point(3, 0.5)).geometry(),
        "{'type': 'Point', 'coordinates': [3, 0.5]}",
    ),
    (lambda ee: ee.List([1.0, 2.5, -0.0]).map(lambda x: ee.Number(x).add(0)), "[1, 2.5, 0]"),
]
"""Printed in the reference page of that name, or of the same kind."""


@pytest.mark.parametrize(("build", "printed"), STATED)
def test_a_number_prints_as_in_the_reference(
    ee: ModuleType, evaluator: Evaluator, build: Callable[[ModuleType], Any], printed: str
) -> None:
    assert str(evaluator.value(build(ee))) == printed


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.0, "1"), (-0.0, "0"), (2.5, "2.5"), (999999999999999.0, "999999999999999"),
        (1e15, "1000000000000000.0"), (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992.0"),
        (True, "true"), (float("inf"), '"Infinity"'), ([float("nan"), 3.0], '["NaN", 3]'),
    ],
)  # fmt: skip
def test_numbers_are_those_of_protocol_buffers(value: Any, written: str) -> None:
    assert json.dumps(to_json(value)) == written


def test_filters_within_filters_are_told(ee: ModuleType, evaluator: Evaluator) -> None:
    both = ee.Filter.And(ee.Filter.greaterThanOrEquals("a", 1.0), ee.Filter.eq("b", "x").Not())
    assert evaluator.value(both) == {
        "type": "Filter.and",
        "filters": [
            {"type": "Filter.gte", "leftField": "a", "rightValue": 1},
            {
                "type": "Filter.not",
                "filter": {"type": "Filter.eq", "leftField": "b", "rightValue": "x"},
            },
        ],
    }


def test_a_mapped_function_s_error_names_the_element(ee: ModuleType, evaluator: Evaluator) -> None:
    """As the guide to debugging prints it:
    https://developers.google.com/earth-engine/guides/debugging."""

    def divided(image: Any) -> Any:
        return image.set("x", ee.Number(image.get("missing")).divide(2))

    with pytest.raises(InvalidRequest) as raised:
        evaluator.value(ee.ImageCollection(SERIES).map(divided))
    said = str(raised.value)
    assert said.startswith("Error in map(ID=t0):\nNumber.divide: Parameter 'left' is required")


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda ee: ee.Number(1), "Integer"),
        (lambda ee: ee.Number(1.5), "Float"),
        (lambda ee: ee.Number(-3).int8(), "Long"),
        (lambda ee: ee.Feature(None, {"n": ee.Number(-3).int8()}).get("n"), "Long"),
        (lambda ee: ee.Feature(None, {"n": 42}).get("n"), "Integer"),
        (lambda ee: ee.List([1, "a"]), "List"),
        (lambda ee: ee.String("a"), "String"),
    ],
)
def test_the_type_of_a_value_is_told_as_in_the_reference(
    ee: ModuleType, evaluator: Evaluator, build: Callable[[ModuleType], Any], expected: str
) -> None:
    """https://developers.google.com/earth-engine/apidocs/ee-algorithms-objecttype."""
    assert evaluator.value(ee.Algorithms.ObjectType(build(ee))) == expected
