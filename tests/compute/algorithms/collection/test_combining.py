"""Collections combined, linked, cast and united; points at random."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely

from tests.compute.conftest import GRID, SERIES, Evaluator, series_values
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

SMALL = GRID.window(Window(4, 4, 5, 4))


def pair(ee: ModuleType) -> tuple[Any, Any]:
    first = [ee.Image([i, i + 1]).rename("a", "b").set("system:index", f"x{i}") for i in range(3)]
    second = [ee.Image(10 * i).rename("b").set("system:index", f"x{i}") for i in (2, 1, 7)]
    return ee.ImageCollection(first), ee.ImageCollection(second)


def test_images_of_the_same_index_are_combined(ee: ModuleType, evaluator: Evaluator) -> None:
    one, two = pair(ee)
    both = one.combine(two)
    assert evaluator.value(both.aggregate_array("system:index")) == ["x1", "x2"]
    assert evaluator.value(both.first().bandNames()) == ["a", "b", "b_1"]
    found = evaluator.pixels(both.first(), SMALL)
    assert [found[name][0, 0] for name in ("a", "b", "b_1")] == [1, 2, 10]
    replaced = one.combine(two, True).first()
    assert evaluator.value(replaced.bandNames()) == ["a", "b"]
    assert evaluator.pixels(replaced, SMALL)["b"][0, 0] == 10
    assert evaluator.value(one.combine(one.filter("none == 1")).size()) == 0


def test_an_image_is_linked_with_its_like(ee: ModuleType, evaluator: Evaluator) -> None:
    one, two = pair(ee)
    two = two.map(lambda image: image.set("p", image.getString("system:index")))
    linked = ee.ImageCollection(one).map(lambda i: i.linkCollection(two, ["b"], ["p"]))
    assert evaluator.value(linked.aggregate_array("p")) == ["x1", "x2"]
    told = evaluator.value(linked)["features"]
    assert [[band["id"] for band in each["bands"]] for each in told] == [["a", "b"]] * 3
    images = [ee.Image(linked.toList(3).get(i)) for i in range(3)]
    bands = [evaluator.masked(image, SMALL)["b"] for image in images]
    assert bands[0].mask.all()
    assert [bands[1][0, 0], bands[2][0, 0]] == [10, 20]
    other = (
        ee.Image(1)
        .set("k", 5)
        .linkCollection(
            ee.ImageCollection([ee.Image(3).rename("c").set("key", 5)]), "c", matchPropertyName="k"
        )
    )
    assert evaluator.masked(other, SMALL)["c"].mask.all()


def test_images_are_cast_to_the_same_bands(ee: ModuleType, evaluator: Evaluator) -> None:
    mixed = ee.ImageCollection([ee.Image([1, 2]).rename("a", "b"), ee.Image(300.7).rename("b")])
    cast = mixed.cast({"a": "float", "b": "uint8"}, ["b", "a"])
    told = evaluator.value(cast)["features"]
    for each in told:
        assert [band["id"] for band in each["bands"]] == ["b", "a"]
        types = [band["data_type"]["precision"] for band in each["bands"]]
        assert types == ["int", "float"]
    found = evaluator.masked(ee.Image(cast.toList(2).get(1)), SMALL)
    assert (found["b"] == 255).all()
    assert found["a"].mask.all()
    with pytest.raises(InvalidRequest, match="bandTypes has no type for the band 'b'"):
        evaluator.value(mixed.cast({"a": "float"}, ["a"]))
    with pytest.raises(InvalidRequest, match="bandOrder must match the keys of bandTypes"):
        evaluator.value(mixed.cast({"a": "float", "b": "byte"}, ["a"]))


def test_geometries_are_united_in_one_feature(ee: ModuleType, evaluator: Evaluator) -> None:
    boxes = [ee.Geometry.Rectangle([x, 0, x + 2, 1], None, False) for x in (0, 1)]
    told = evaluator.value(ee.FeatureCollection(boxes).union())["features"]
    assert [each["id"] for each in told] == ["union_result"]
    assert told[0]["properties"] == {}
    assert shapely.geometry.shape(told[0]["geometry"]).area == pytest.approx(3)


def test_features_are_made_of_columns(ee: ModuleType, evaluator: Evaluator) -> None:
    make = ee.ApiFunction.lookup("Collection.fromColumns")
    found = evaluator.value(make.call([[1, 2], ["a", "b"]], ["n", "t"]))["features"]
    assert [each["properties"] for each in found] == [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}]
    with pytest.raises(InvalidRequest, match="The columns must be of the same length"):
        evaluator.value(make.call([[1], ["a", "b"]], ["n", "t"]))


def test_properties_are_put_in_an_array(ee: ModuleType, evaluator: Evaluator) -> None:
    rows = [{"a": 1, "b": 2.5}, {"a": 3}, {"a": "x", "b": 1}, {"a": 4, "b": 5}]
    features = ee.FeatureCollection([ee.Feature(None, row) for row in rows])
    found = evaluator.value(features.makeArray(["b", "a"]))["features"]
    assert [each["id"] for each in found] == ["0", "3"]
    assert [each["properties"]["array"] for each in found] == [[2.5, 1], [5, 4]]


def test_ranges_of_dates_follow_one_another(ee: ModuleType, evaluator: Evaluator) -> None:
    make = ee.ApiFunction.lookup("DateRangeCollection")
    start, end = (
        int(np.datetime64(each, "ms").astype(int)) for each in ("2019-12-30", "2020-01-09")
    )
    found = evaluator.value(make.call(start, end, 4))["features"]
    ends = [each["properties"]["date_range"]["dates"] for each in found]
    assert [(b - a) / 86_400_000 for a, b in ends] == [4, 4, 4]
    assert [each["id"] for each in found] == ["20191230", "20200103", "20200107"]
    reset = evaluator.value(make.call(start, end, 4, "days", True))["features"]
    assert [each["id"] for each in reset] == ["20191230", "20200101", "20200105"]


POLYGON = [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], [[1, 1], [3, 1], [3, 3], [1, 3], [1, 1]]]


def points_in(evaluator: Evaluator, collection: Any) -> Any:
    told = evaluator.value(collection)["features"]
    assert [each["id"] for each in told] == [str(i) for i in range(len(told))]
    assert all(each["properties"] == {} for each in told)
    return np.array([each["geometry"]["coordinates"] for each in told])


def test_points_are_random_in_a_polygon(ee: ModuleType, evaluator: Evaluator) -> None:
    region = ee.Geometry.Polygon(POLYGON, None, False)
    found = points_in(evaluator, ee.FeatureCollection.randomPoints(region, 1000, 3))
    assert len(found) == 1000
    shape = shapely.Polygon(POLYGON[0], POLYGON[1:])
    assert shapely.contains_xy(shape, found[:, 0], found[:, 1]).all()
    assert (found[:, 0] < 2).mean() == pytest.approx(0.5, abs=0.06)
    again = points_in(evaluator, ee.FeatureCollection.randomPoints(region, 1000, 3))
    np.testing.assert_array_equal(found, again)
    other = points_in(evaluator, ee.FeatureCollection.randomPoints(region, 1000, 4))
    assert (found != other).any()


def test_points_are_uniform_on_the_sphere(ee: ModuleType, evaluator: Evaluator) -> None:
    region = ee.Geometry.Rectangle([0, 0, 90, 90], None, False)
    found = points_in(evaluator, ee.FeatureCollection.randomPoints(region, 2000, 1))
    # Half of a hemisphere lies south of 30 degrees.
    assert (found[:, 1] < 30).mean() == pytest.approx(0.5, abs=0.05)


def test_points_are_random_along_lines_and_among_points(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    line = ee.Geometry.LineString([[0, 0], [1, 0], [1, 3]], None, False)
    found = points_in(evaluator, ee.FeatureCollection.randomPoints(line, 400, 1))
    on_first = found[:, 1] == 0
    assert on_first.mean() == pytest.approx(0.25, abs=0.08)
    assert (found[~on_first, 0] == 1).all()
    spots = ee.Geometry.MultiPoint([[1, 2], [3, 4]])
    chosen = points_in(evaluator, ee.FeatureCollection.randomPoints(spots, 50, 1))
    assert {tuple(each) for each in chosen.tolist()} == {(1, 2), (3, 4)}


def test_too_many_points_are_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    region = ee.Geometry.Polygon(POLYGON, None, False)
    with pytest.raises(InvalidRequest, match="There are 100001 points, at most 100000"):
        evaluator.value(ee.FeatureCollection.randomPoints(region, 100_001).size())


def test_series_are_combined_pixel_by_pixel(ee: ModuleType, evaluator: Evaluator) -> None:
    series = ee.ImageCollection(SERIES)
    sums = series.map(lambda i: i.reduce(ee.Reducer.sum()).rename("sum"))
    found = evaluator.masked(series.combine(sums).first(), GRID)
    values = series_values()[0]
    np.testing.assert_array_equal(
        found["sum"].filled(-1), values.astype(float).sum(axis=0).filled(-1)
    )
