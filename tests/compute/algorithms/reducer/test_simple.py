"""Reducers, their names and their tables; NumPy is the oracle, over lists, columns and bands."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import SCENE, SERIES, Evaluator, scene_values
from tileserver.compute.algorithms.reducer.tables import bucketed
from tileserver.compute.reductions.histograms import HistogramOf
from tileserver.compute.values.reducer import column_of
from tileserver.errors import InvalidRequest

ROWS = [
    {"k": "a", "x": 1, "y": 10.5},
    {"k": "b", "x": 4, "y": 3.5},
    {"k": "a", "x": 2, "y": None},
    {"k": "b", "x": 4, "y": 0.5},
    {"k": "a", "x": 7, "y": 1.5},
]


def features(ee: ModuleType) -> Any:
    """Return ROWS as features without a place."""
    known = [{name: value for name, value in row.items() if value is not None} for row in ROWS]
    return ee.FeatureCollection([ee.Feature(None, row) for row in known])


def reduced(ee: ModuleType, evaluator: Evaluator, reducer: Any, *names: str) -> Any:
    """Return what a reducer makes of columns of ROWS."""
    return evaluator.value(features(ee).reduceColumns(reducer, list(names)))


X = [1, 4, 2, 4, 7]
Y = [10.5, 3.5, 0.5, 1.5]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda r: r.mean(), {"mean": np.mean(X)}),
        (lambda r: r.percentile([0, 50, 90]), {"p0": 1, "p50": 4, "p90": np.percentile(X, 90)}),
        (lambda r: r.percentile([50], ["middle"]), {"middle": 4}),
        (lambda r: r.minMax(), {"min": 1, "max": 7}),
        (lambda r: r.mode(), {"mode": 4}),
        (lambda r: r.product(), {"product": np.prod(X)}),
        (lambda r: r.countDistinct(), {"count": 4}),
        (lambda r: r.toList(), {"list": X}),
        (lambda r: r.frequencyHistogram(), {"histogram": {"1": 1, "2": 1, "4": 2, "7": 1}}),
        (
            lambda r: r.fixedHistogram(0, 6, 3),
            {"histogram": [[0, 1], [2, 1], [4, 2]]},
        ),
        (
            lambda r: r.fixedHistogram(0, 6, 3, True),
            {"histogram": [[0, 1], [2, 2], [4, 4]]},
        ),
        (lambda r: r.sum().setOutputs(["all"]), {"all": 18}),
        (lambda r: r.mean().unweighted(), {"mean": np.mean(X)}),
        (
            lambda r: r.max().combine(r.min(), "least_", True),
            {"max": 7, "least_min": 1},
        ),
    ],
)
def test_a_column_is_reduced(
    ee: ModuleType, evaluator: Evaluator, build: Any, expected: dict[str, Any]
) -> None:
    found = reduced(ee, evaluator, build(ee.Reducer), "x")
    assert found == (
        expected
        if any(isinstance(v, list | dict) for v in expected.values())
        else pytest.approx(expected)
    )


def test_null_is_left_out(ee: ModuleType, evaluator: Evaluator) -> None:
    assert reduced(ee, evaluator, ee.Reducer.mean(), "y") == {"mean": pytest.approx(np.mean(Y))}
    assert reduced(ee, evaluator, ee.Reducer.count(), "y") == {"count": 4}
    assert reduced(ee, evaluator, ee.Reducer.toList(2), "x", "y") == {
        "list": [[1, 10.5], [4, 3.5], [4, 0.5], [7, 1.5]]
    }
    told = reduced(ee, evaluator, ee.Reducer.toList(2, 1), "x", "y")
    assert told["list"][2] == [2, None]


def test_columns_of_texts_are_listed_and_counted(ee: ModuleType, evaluator: Evaluator) -> None:
    counted = reduced(ee, evaluator, ee.Reducer.frequencyHistogram(), "k")
    assert counted == {"histogram": {"a": 3, "b": 2}}
    assert reduced(ee, evaluator, ee.Reducer.first(), "k") == {"first": "a"}
    with pytest.raises(InvalidRequest, match="Expected numbers for mean, got 'a'"):
        reduced(ee, evaluator, ee.Reducer.mean(), "k")


def test_a_repeated_reducer_gives_lists(ee: ModuleType, evaluator: Evaluator) -> None:
    found = reduced(ee, evaluator, ee.Reducer.mean().repeat(2), "x", "y")
    assert found == {"mean": pytest.approx([np.mean(X), np.mean(Y)])}


def test_groups_are_reduced_apart(ee: ModuleType, evaluator: Evaluator) -> None:
    reducer = ee.Reducer.sum().group(1, "k")
    assert reduced(ee, evaluator, reducer, "x", "k") == {
        "groups": [{"k": "a", "sum": 10}, {"k": "b", "sum": 8}]
    }


def test_the_greatest_brings_what_is_beside_it(ee: ModuleType, evaluator: Evaluator) -> None:
    assert reduced(ee, evaluator, ee.Reducer.max(2), "x", "k") == {"max": 7, "max1": "a"}
    found = evaluator.pixels(ee.Image(SCENE).select(["B1", "B2"]).reduce(ee.Reducer.min(2)))
    assert found.dtype.names == ("min", "min1")
    assert (found["min1"] == scene_values()[1]).all()


def test_a_line_is_fitted(ee: ModuleType, evaluator: Evaluator) -> None:
    slope, offset = np.polyfit([1, 4, 4, 7], Y, 1)
    found = reduced(ee, evaluator, ee.Reducer.linearFit(), "x", "y")
    assert found == pytest.approx({"scale": slope, "offset": offset})


def test_copies_are_named_after_what_they_are_for(ee: ModuleType, evaluator: Evaluator) -> None:
    reducer = ee.Reducer.minMax().forEach(["x", "y"])
    assert evaluator.value(reducer.getOutputs()) == ["x_min", "x_max", "y_min", "y_max"]
    each = ee.Reducer.mean().forEachBand(ee.Image(SCENE))
    assert evaluator.value(each.getOutputs()) == ["B1", "B2", "B3"]


def test_lists_are_reduced(ee: ModuleType, evaluator: Evaluator) -> None:
    assert evaluator.value(ee.List(X).reduce(ee.Reducer.median())) == 4
    assert evaluator.value(ee.List([[1, 2], [3, 6]]).reduce(ee.Reducer.linearFit())) == (
        pytest.approx({"scale": 2, "offset": 0})
    )


def test_a_histogram_counts_everything_in_buckets_of_a_power_of_two(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    values = scene_values()[0].ravel()
    image = ee.Image(SCENE).select("B1")
    found = evaluator.value(image.reduceRegion(ee.Reducer.histogram(60)))["B1"]
    assert found["bucketWidth"] == 64
    edges = found["bucketMin"] + 64 * np.arange(len(found["histogram"]) + 1)
    assert found["histogram"] == np.histogram(values, edges)[0].tolist()
    assert found["bucketMeans"][0] == pytest.approx(values[values < 64].mean())


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-1e9, 1e9], [1e-9, 2e-9]])
def test_a_histogram_of_anything_is_small(values: list[float]) -> None:
    state = HistogramOf("histogram", 16)()
    for value in values:
        state.add([column_of([value])])
    found = bucketed(state)
    assert found is not None
    assert sum(found["histogram"]) == len(values)
    assert len(found["histogram"]) <= 16


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda r: r.percentile([101]), "numbers from 0 to 100"),
        (lambda r: r.percentile([1, 2], ["a"]), "Expected 2 names"),
        (lambda r: r.mean().combine(r.mean(), None, True), "must not repeat"),
        (lambda r: r.fixedHistogram(3, 3, 2), "min < max"),
        (lambda r: r.mean().repeat(10**9), "at most 5000"),
        (lambda r: r.mean().group(5), "groupField must be 0 to 1"),
    ],
)
def test_a_reducer_that_cannot_be_is_refused(
    ee: ModuleType, evaluator: Evaluator, build: Any, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        reduced(ee, evaluator, build(ee.Reducer), "x")


def test_a_reducer_needs_as_many_inputs_as_there_are(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"Need 2 bands for Reducer\.linearFit, got 3"):
        evaluator.value(ee.Image(SCENE).reduceRegion(ee.Reducer.linearFit()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("count", 5),
        ("count_distinct", 4),
        ("min", 1),
        ("max", 7),
        ("mean", np.mean(X)),
        ("sum", 18),
        ("product", np.prod(X)),
        ("first", 1),
        ("total_sd", np.std(X)),
        ("total_var", np.var(X)),
        ("sample_sd", np.std(X, ddof=1)),
        ("sample_var", np.var(X, ddof=1)),
    ],
)
def test_a_property_is_aggregated(
    ee: ModuleType, evaluator: Evaluator, name: str, expected: float
) -> None:
    found = evaluator.value(getattr(features(ee), f"aggregate_{name}")("x"))
    assert found == pytest.approx(float(expected))


def test_aggregates_of_several_numbers(ee: ModuleType, evaluator: Evaluator) -> None:
    assert evaluator.value(features(ee).aggregate_array("y")) == Y
    assert evaluator.value(features(ee).aggregate_histogram("k")) == {"a": 3, "b": 2}
    stats = evaluator.value(features(ee).aggregate_stats("y"))
    assert (stats["total_count"], stats["valid_count"]) == (5, 4)
    assert stats["sum_sq"] == pytest.approx(np.sum(np.square(Y)))
    assert evaluator.value(features(ee).aggregate_mean("none")) is None


def test_times_of_images_are_aggregated(ee: ModuleType, evaluator: Evaluator) -> None:
    first = evaluator.value(ee.ImageCollection(SERIES).aggregate_min("system:time_start"))
    assert first == 1585737000000


def test_a_collection_lies_where_its_elements_do(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(ee.ImageCollection(SERIES).geometry())
    assert found["type"] in ("Polygon", "MultiPolygon")
    box = ee.FeatureCollection(
        [ee.Feature(ee.Geometry.Point([1, 2])), ee.Feature(ee.Geometry.Point([5, 3]))]
    ).bounds()
    corners = np.array(evaluator.value(box)["coordinates"][0])
    assert (corners.min(axis=0) == [1, 2]).all()
    assert (corners.max(axis=0) == [5, 3]).all()
