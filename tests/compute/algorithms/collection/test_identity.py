"""Elements carry their identity: system:index and what else Earth Engine keeps of an element.

Expected are the answers that geetools' tests recorded from the service (a constructed collection
has ids 0, 1 … and columns with system:index, which is no property of GeoJSON), and Google's
reference pages of ee.FeatureCollection, Feature.id, ImageCollection.toBands and Image.get.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import COUNT, SCENE, SERIES, Evaluator

INDEX = "system:index"
GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "x",
            "geometry": {"type": "Point", "coordinates": [1, 2]},
            "properties": {},
        }
    ],
}


def features(ee: ModuleType, count: int = 3) -> Any:
    """Return a collection of points whose property n counts down."""
    made = [ee.Feature(ee.Geometry.Point([i, 0]), {"n": count - i}) for i in range(count)]
    return ee.FeatureCollection(made)


def plain(ee: ModuleType, feature: Any) -> Any:
    return ee.Feature(None, {"n": feature.getNumber("n").add(1)})


def pair(ee: ModuleType) -> list[Any]:
    return [ee.Feature(None, {INDEX: "a"}), ee.Feature(None)]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda ee, c: c, ["0", "1", "2"]),
        (lambda ee, c: c.filter(ee.Filter.eq("n", 2)), ["1"]),
        (lambda ee, c: c.filter(ee.Filter.eq(INDEX, "2")), ["2"]),
        (lambda ee, c: c.filter(ee.Filter.inList(INDEX, ["0", "2"])), ["0", "2"]),
        (lambda ee, c: c.sort("n"), ["2", "1", "0"]),
        (lambda ee, c: c.sort(INDEX, False), ["2", "1", "0"]),
        (lambda ee, c: c.limit(1), ["0"]),
        (lambda ee, c: c.limit(1, "n"), ["2"]),
        (lambda ee, c: c.map(lambda f: plain(ee, f)), ["0", "1", "2"]),
        (lambda ee, c: c.map(lambda f: f.set(INDEX, f.getNumber("n").format())), ["3", "2", "1"]),
        (lambda ee, c: c.merge(c.limit(1)), ["1_0", "1_1", "1_2", "2_0"]),
        (lambda ee, c: c.merge(c.limit(1)).merge(c.limit(1)).filter("n == 1"), ["1_1_2"]),
        (lambda ee, c: c.distinct("n"), ["0", "1", "2"]),
        (lambda ee, c: c.distinct(INDEX), ["0", "1", "2"]),
        (lambda ee, c: ee.FeatureCollection(c.toList(2, 1)), ["1", "2"]),
        (lambda ee, c: ee.FeatureCollection([c.limit(1), c]).flatten().limit(2), ["0_0", "1_0"]),
        (lambda ee, c: c.randomColumn().sort("random").sort(INDEX), ["0", "1", "2"]),
        (lambda ee, c: c.remap([3, 1], [7, 8], "n"), ["0", "2"]),
        (lambda ee, c: ee.FeatureCollection(ee.Feature(None)), ["0"]),
        (lambda ee, c: ee.FeatureCollection(ee.Geometry.Point(0, 0)), ["0"]),
        (lambda ee, c: ee.FeatureCollection(pair(ee)), ["a", "1"]),
        (lambda ee, c: ee.FeatureCollection(GEOJSON), ["x"]),
    ],
)  # fmt: skip
def test_elements_have_an_index_from_the_start(
    ee: ModuleType, evaluator: Evaluator, make: Any, expected: list[str]
) -> None:
    found = make(ee, features(ee))
    assert evaluator.value(found.aggregate_array(INDEX)) == expected
    assert [each["id"] for each in evaluator.value(found)["features"]] == expected
    first = ee.Feature(found.first())
    assert evaluator.value(ee.List([first.id(), first.get(INDEX)])) == [expected[0]] * 2


def test_a_constructed_collection_has_columns_a_mapped_one_none(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    made = ee.FeatureCollection(
        [ee.Feature(ee.Geometry.Point([0, 0]), {"foo": "bar", "n": 1, "x": 1.5})]
    )
    assert evaluator.value(made) == {
        "type": "FeatureCollection",
        "columns": {"foo": "String", "n": "Integer", INDEX: "String", "x": "Float"},
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [0, 0]},
                "id": "0",
                "properties": {"foo": "bar", "n": 1, "x": 1.5},
            }
        ],
    }
    kept = evaluator.value(made.filter(ee.Filter.gt("n", 0)).limit(1))
    assert kept["columns"] == evaluator.value(made)["columns"]
    assert evaluator.value(made.map(lambda f: f))["columns"] == {}


def test_a_feature_alone_has_no_id(ee: ModuleType, evaluator: Evaluator) -> None:
    lone = ee.Feature(None, {"a": 1})
    assert evaluator.value(lone.id()) is None
    assert evaluator.value(lone.propertyNames()) == ["a"]
    assert "id" not in evaluator.value(lone)
    first = ee.Feature(features(ee).first())
    assert evaluator.value(first.propertyNames()) == ["n", INDEX]
    assert evaluator.value(first.toDictionary()) == {"n": 3}
    assert evaluator.value(first.toDictionary([INDEX])) == {INDEX: "0"}


def test_properties_of_a_collection_are_shown(ee: ModuleType, evaluator: Evaluator) -> None:
    told = evaluator.value(features(ee).set("a", 1))
    assert told["properties"] == {"a": 1}
    assert told["columns"] == {"n": "Integer", INDEX: "String"}


def test_an_image_has_its_id_version_and_bands_as_properties(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = ee.Image(SCENE)
    told = evaluator.value(image)
    assert evaluator.value(image.get("system:id")) == told["id"]
    assert evaluator.value(image.get("system:version")) == told["version"]
    assert evaluator.value(image.get("system:band_names")) == ["B1", "B2", "B3"]
    assert evaluator.value(image.get("system:bands")).keys() == {"B1", "B2", "B3"}
    names = evaluator.value(image.propertyNames())
    own = {"system:id", "system:version", "system:bands", "system:band_names"}
    assert set(names) == {*told["properties"], *own}
    assert evaluator.value(ee.Image(1).propertyNames()) == ["system:band_names", "system:bands"]


def test_images_are_filtered_by_the_names_of_their_bands(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    images = ee.ImageCollection([ee.Image(1).rename("a"), ee.Image([1, 2]).rename("b", "a")])
    found = images.filter(ee.Filter.listContains("system:band_names", "b"))
    assert evaluator.value(found.aggregate_array(INDEX)) == ["1"]
    series = ee.ImageCollection(SERIES).filter(ee.Filter.eq("system:id", f"{SERIES}/t2"))
    assert evaluator.value(series.aggregate_array(INDEX)) == ["t2"]
    ids = evaluator.value(ee.ImageCollection(SERIES).aggregate_array("system:id"))
    assert ids == [f"{SERIES}/t{i}" for i in range(COUNT)]


def test_an_id_that_is_set_is_the_image_s(ee: ModuleType, evaluator: Evaluator) -> None:
    named = evaluator.value(ee.Image(1).set("system:id", "a/b"))
    assert named["id"] == "a/b"
    assert "properties" not in named


def test_pixels_are_numbered_within_their_region(ee: ModuleType, evaluator: Evaluator) -> None:
    region = ee.Geometry.Rectangle([0, 0, 2, 1], "EPSG:4326", False)
    image = ee.Image(1).byte()
    sampled = image.sample(region, projection="EPSG:4326").limit(2)
    assert evaluator.value(sampled.aggregate_array(INDEX)) == ["0", "1"]
    regions = ee.FeatureCollection(
        [ee.Feature(region, {INDEX: "a"}), ee.Feature(ee.Geometry.Point(0.5, 0.5))]
    )
    degree = ee.Projection("EPSG:4326")
    found = image.sampleRegions(regions, projection=degree)
    assert evaluator.value(found.aggregate_array(INDEX)) == ["a_0", "a_1", "1_0"]
    reduced = image.reduceRegions(regions, "sum", crs=degree)
    assert evaluator.value(reduced.aggregate_array(INDEX)) == ["a", "1"]
