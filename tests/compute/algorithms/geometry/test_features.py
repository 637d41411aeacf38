"""Features and the properties of elements."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import SCENE, Evaluator
from tileserver.errors import InvalidRequest

POINT = {"type": "Point", "coordinates": [1, 2]}
PROPERTIES = {"name": "a", "size": 3, "system:index": "7"}


def feature(ee: ModuleType) -> Any:
    return ee.Feature(ee.Geometry.Point([1, 2]), PROPERTIES)


def test_a_feature_is_told_as_geojson(ee: ModuleType, evaluator: Evaluator) -> None:
    assert evaluator.value(feature(ee)) == {
        "type": "Feature",
        "geometry": POINT,
        "properties": {"name": "a", "size": 3},
        "id": "7",
    }
    assert evaluator.value(ee.Feature(None))["geometry"] is None


def test_an_image_is_told_with_its_bands(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(ee.Image(SCENE).set("name", "b"))
    assert found["properties"]["name"] == "b"
    assert found["properties"]["SENSOR"] == "made up"
    assert [band["id"] for band in found["bands"]] == ["B1", "B2", "B3"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda f: f.get("name"), "a"),
        (lambda f: f.get("none"), None),
        (lambda f: f.getNumber("size").add(1), 4),
        (lambda f: f.getString("name").length(), 1),
        (lambda f: f.set("name", "b").get("name"), "b"),
        (lambda f: f.set({"x": 1, "y": 2}).getNumber("y"), 2),
        (lambda f: f.set("x", 1, "y", 2).getNumber("x"), 1),
        (lambda f: f.propertyNames(), ["name", "size", "system:index"]),
        (lambda f: f.toDictionary(), {"name": "a", "size": 3}),
        (lambda f: f.toDictionary(["size"]), {"size": 3}),
        (lambda f: f.select(["na.*"]).toDictionary(), {"name": "a"}),
        (lambda f: f.select(["name"], ["n"]).toDictionary(), {"n": "a"}),
        (lambda f: f.geometry(), POINT),
        (lambda f: f.setGeometry(None).toDictionary(), {"name": "a", "size": 3}),
    ],
)
def test_properties_are_got_and_set(
    ee: ModuleType, evaluator: Evaluator, make: Any, expected: Any
) -> None:
    assert evaluator.value(make(feature(ee))) == expected


def test_properties_are_copied(ee: ModuleType, evaluator: Evaluator) -> None:
    bare = ee.Feature(None, {"size": 9})
    copied = bare.copyProperties(feature(ee))
    assert evaluator.value(ee.Feature(copied))["properties"] == {"name": "a", "size": 3}
    some = bare.copyProperties(feature(ee), ["system:index"])
    assert evaluator.value(ee.Feature(some))["properties"] == {"size": 9}
    assert evaluator.value(ee.Feature(some).id()) == "7"
    others = bare.copyProperties(feature(ee), exclude=["size"])
    assert evaluator.value(ee.Feature(others))["properties"] == {"size": 9, "name": "a"}


def test_an_image_gets_properties_of_another(ee: ModuleType, evaluator: Evaluator) -> None:
    made = ee.Image(1).copyProperties(ee.Image(SCENE), ["CLOUD_COVER", "system:time_start"])
    image = ee.Image(made)
    assert evaluator.value(image.get("CLOUD_COVER")) == 3.25
    assert evaluator.value(image.date().get("year")) == 2020


def test_an_image_is_a_feature_of_its_footprint(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE)
    centre = image.geometry().centroid(1)
    assert evaluator.value(image.geometry().contains(centre, 1)) is True
    placed = ee.Feature(ee.ApiFunction.lookup("Feature.centroid").call(image, 1))
    assert evaluator.value(placed)["geometry"] == evaluator.value(centre)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: f.getNumber("name"), "is not a number but 'a'"),
        (lambda f: f.getString("size"), "is not a string but 3"),
        (lambda f: f.toDictionary(["none"]), "has no property 'none'"),
        (lambda f: f.select(["name"], ["a", "b"]), "must match that of the properties"),
        (lambda f: f.copyProperties(f, ["a"], ["b"]), "May not specify both"),
    ],
)
def test_what_cannot_be_done_with_a_feature_is_said(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(feature(ee)))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda ee: ee.PixelType.int16(), {"precision": "int", "min": -32768, "max": 32767}),
        (lambda ee: ee.PixelType("int", 0, 10), {"precision": "int", "min": 0, "max": 10}),
        (lambda ee: ee.PixelType("float"), {"precision": "float"}),
        (lambda ee: ee.PixelType("uint8"), {"precision": "int", "min": 0, "max": 255}),
    ],
)
def test_a_type_of_pixels_is_told(
    ee: ModuleType, evaluator: Evaluator, make: Any, expected: dict[str, Any]
) -> None:
    assert evaluator.value(make(ee)) == {"type": "PixelType", **expected}


def test_a_type_of_pixels_is_that_of_a_band(ee: ModuleType, evaluator: Evaluator) -> None:
    found = ee.PixelType(ee.Image(SCENE).bandTypes().get("B1"))
    asked = [found.precision(), found.minValue(), found.maxValue(), found.dimensions()]
    assert [evaluator.value(each) for each in asked] == ["int", 0, 65535, 0]
    with pytest.raises(InvalidRequest, match=r"Expected 'int' with its least"):
        evaluator.value(ee.PixelType("complex"))
