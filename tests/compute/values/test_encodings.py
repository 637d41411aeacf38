"""Values as `getInfo` returns them, beside what public libraries have recorded of the service.

eerepr's tests (`tests/data/data.json` and the files beside it) hold answers of value:compute.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS

from tests.compute.conftest import SERIES, Evaluator
from tileserver.compute.values.to_json import to_json
from tileserver.errors import InvalidRequest

RECORDED: list[tuple[Callable[[ModuleType], Any], Any]] = [
    (
        lambda ee: ee.Filter.equals("foo", "bar"),
        {"type": "Filter.eq", "rightValue": "bar", "leftField": "foo"},
    ),
    (lambda ee: ee.Reducer.max(5), {"type": "Reducer.max", "numInputs": 5}),
    (lambda ee: ee.Clusterer.wekaKMeans(2), {"type": "Clusterer.wekaKMeans", "nClusters": 2}),
    (lambda ee: ee.Classifier.smileKNN(), {"type": "Classifier.smileKNN"}),
    (
        lambda ee: ee.List([ee.ImageCollection([0, 1]).set("n", 42)]),
        [{"type": "ImageCollection", "bands": [], "properties": {"n": 42}}],
    ),
    (
        lambda ee: ee.List([ee.FeatureCollection([ee.Feature(None, {"foo": "bar"})])]),
        [
            {
                "type": "FeatureCollection",
                "columns": {"foo": "String", "system:index": "String"},
            }
        ],
    ),
    # apidocs/ee-list-add
    (lambda ee: ee.ImageCollection([]), {"type": "ImageCollection", "bands": []}),
    # apidocs/ee-errormargin
    (lambda ee: ee.ErrorMargin(-1), {"type": "ErrorMargin", "unit": "meters", "value": 1}),
    (lambda ee: ee.ErrorMargin(1e7), {"type": "ErrorMargin", "unit": "meters", "value": 10**7}),
    (lambda ee: ee.ErrorMargin(1e8), {"type": "ErrorMargin", "unit": "infinite"}),
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


GAUSSIAN = (
    [1.9651916124031917e-5, 2.3940934949727e-4, 0.001072958264978661, 0.0017690091140438226],
    [2.3940934949727e-4, 0.0029166029543864387, 0.013071307583189414, 0.02155094284826827],
    [0.001072958264978661, 0.013071307583189414, 0.05858153633060706, 0.09658462501856419],
    [0.0017690091140438226, 0.02155094284826827, 0.09658462501856419, 0.15924112569070253],
)
"""A quarter of the weights of ee.Kernel.gaussian(3) in eerepr's records, with the focus."""


def test_a_gaussian_is_written_as_the_service_has_been_recorded(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    found = evaluator.value(ee.Kernel.gaussian(3))
    weights = found.pop("weights")
    assert found == {"type": "Kernel.gaussian", "radius": 3, "center": [3, 3]}
    first, *rows = weights.split("\n  ")
    assert (first, len(rows)) == ("", 7)
    assert rows[0].startswith("[1.96519161240")
    assert (rows[0].count("E-5"), rows[0].count("E-4")) == (2, 2)
    numbers = np.array([json.loads(row) for row in rows])
    quarter = np.array(GAUSSIAN)
    assert np.allclose(numbers[:4, :4], quarter, rtol=1e-12, atol=0)
    assert (numbers == numbers[::-1, ::-1]).all()


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (
            lambda ee: ee.Join.saveBest("best", "distance"),
            {"type": "Join.saveBest", "matchKey": "best", "measureKey": "distance"},
        ),
        (lambda ee: ee.Join.inner(), {"type": "Join.inner"}),
        (
            lambda ee: ee.Classifier.smileRandomForest(10).setOutputMode("REGRESSION"),
            {"type": "Classifier.smileRandomForest", "numberOfTrees": 10, "mode": "REGRESSION"},
        ),
        (
            lambda ee: ee.Kernel.circle(30, "meters"),
            {"type": "Kernel.circle", "radius": 30, "units": "meters"},
        ),
    ],
)
def test_a_value_tells_the_arguments_it_was_made_with(
    ee: ModuleType, evaluator: Evaluator, build: Callable[[ModuleType], Any], told: Any
) -> None:
    assert evaluator.value(build(ee)) == told


def test_a_wkt_that_is_one_of_the_database_prints_its_code(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    """As apidocs/ee-projection says; of another CRS crs() is null (apidocs/ee-projection-crs)."""
    wkt = CRS.from_epsg(32633).to_wkt()
    found = ee.Projection(wkt)
    assert evaluator.value(found)["crs"] == evaluator.value(found.crs()) == "EPSG:32633"
    moved = ee.Projection(wkt.replace("500000", "500001"))
    assert evaluator.value(moved)["crs"].startswith("PROJCS")
    assert evaluator.value(moved.crs()) is None


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
