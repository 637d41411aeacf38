"""getInfo: what the official client asks is what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from tests.clients.basics import EXACT, NEAR
from tests.clients.conftest import Served
from tests.clients.rasters import COUNT, SCENE, SERIES, SIDE, millis, start_of
from tests.clients.values import COLLECTIONS, IMAGES, NORTH, REGIONS, UTM, WEST, Value

ALL = (*IMAGES, *COLLECTIONS, *REGIONS, *EXACT)


def named(values: tuple[Value, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("value", values, ids=[value.name for value in values])


def check(found: Any, expected: Any, where: str = "") -> None:
    """Compare values; numbers may differ by rounding."""
    if isinstance(expected, Mapping):
        assert isinstance(found, Mapping), where
        assert sorted(found) == sorted(expected), where
        for name in expected:
            check(found[name], expected[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert isinstance(found, list), where
        assert len(found) == len(expected), where
        for index, pair in enumerate(zip(found, expected, strict=True)):
            check(*pair, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6), where
    else:
        assert found == expected, where


@named(ALL)
def test_a_value_is_what_it_is(ee: ModuleType, value: Value) -> None:
    check(value.build(ee).getInfo(), value.expected)


@named(NEAR)
def test_a_measure_is_near_that_of_a_sphere(ee: ModuleType, value: Value) -> None:
    assert value.build(ee).getInfo() == pytest.approx(value.expected, rel=0.01)


def test_an_image_tells_of_its_bands(ee: ModuleType, served: Served) -> None:
    told = ee.Image(SCENE).getInfo()
    assert (told["type"], told["id"]) == ("Image", SCENE)
    assert [band["id"] for band in told["bands"]] == ["B2", "B3", "B4", "B8"]
    for band in told["bands"]:
        assert band["data_type"] == {
            "type": "PixelType",
            "precision": "int",
            "min": 0,
            "max": 65535,
        }
        assert (band["dimensions"], band["crs"]) == ([SIDE, SIDE], UTM)
        assert band["crs_transform"] == [30, 0, WEST, 0, -30, NORTH]
    properties = told["properties"]
    assert properties["system:index"] == "scene"
    assert properties["system:footprint"]["type"] == "LinearRing"
    assert properties["system:asset_size"] == served.file(SCENE).stat().st_size
    assert properties["CLOUD_COVER"] == 3.25


def test_a_collection_tells_of_its_images(ee: ModuleType) -> None:
    told = ee.ImageCollection(SERIES).getInfo()
    assert (told["type"], told["id"]) == ("ImageCollection", SERIES)
    assert told["properties"]["title"] == "A series"
    assert [image["id"] for image in told["features"]] == [f"{SERIES}/t{i}" for i in range(COUNT)]
    times = [image["properties"]["system:time_start"] for image in told["features"]]
    assert times == [millis(start_of(i)) for i in range(COUNT)]


def test_a_feature_collection_tells_of_its_features(ee: ModuleType) -> None:
    point = ee.Geometry.Point(1, 2)
    told = ee.FeatureCollection([ee.Feature(point, {"a": 1})]).getInfo()
    (feature,) = told["features"]
    assert (told["type"], feature["type"]) == ("FeatureCollection", "Feature")
    assert feature["geometry"]["coordinates"] == [1, 2]
    assert feature["properties"] == {"a": 1}
