"""Tables the official client computes: features page by page, and as data frames."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rasterio.warp import transform as warp

from tests.clients.rasters import COUNT, SCENE, SERIES, scene
from tests.clients.values import NORTH, UTM, WEST, box

NIR = scene()[3]
BOXES = ((0, 0, 8, 8), (8, 8, 16, 32), (40, 50, 100, 60))


def means(ee: ModuleType) -> Any:
    features = [ee.Feature(box(ee, *each), {"n": n}) for n, each in enumerate(BOXES)]
    image = ee.Image(SCENE).select("B8")
    return image.reduceRegions(ee.FeatureCollection(features), ee.Reducer.mean(), 30)


def wanted() -> list[float]:
    return [float(NIR[top:low, left:right].mean()) for left, top, right, low in BOXES]


def test_features_are_told_in_degrees(ee: ModuleType) -> None:
    told = ee.data.computeFeatures({"expression": means(ee)})
    assert told["type"] == "FeatureCollection"
    assert [each["properties"]["n"] for each in told["features"]] == [0, 1, 2]
    assert [each["properties"]["mean"] for each in told["features"]] == pytest.approx(wanted())
    (ring,) = told["features"][0]["geometry"]["coordinates"]
    corners = [[WEST, WEST, WEST + 240, WEST + 240], [NORTH - 240, NORTH, NORTH, NORTH - 240]]
    lons, lats = warp(UTM, "EPSG:4326", *corners)
    for lon, lat in zip(lons, lats, strict=True):
        off = np.hypot(*(np.array(ring) - (lon, lat)).T)
        assert off.min() < 1e-9


def test_a_data_frame_is_made_of_all_pages(ee: ModuleType) -> None:
    pytest.importorskip("pandas", exc_type=ImportError)
    asked = {"expression": means(ee), "pageSize": 1, "fileFormat": "PANDAS_DATAFRAME"}
    frame = ee.data.computeFeatures(asked)
    assert list(frame["mean"]) == pytest.approx(wanted())
    assert set(frame["geo"].map(lambda geometry: geometry["type"])) == {"Polygon"}


def test_a_table_of_a_time_series(ee: ModuleType) -> None:
    def tell(image: Any) -> Any:
        found = image.select("B4").reduceRegion(ee.Reducer.max(), box(ee, 0, 0, 8, 8), 30)
        return ee.Feature(None, found).set("name", image.get("NAME"))

    features = ee.FeatureCollection(ee.ImageCollection(SERIES).map(tell))
    told = ee.data.computeFeatures({"expression": features})["features"]
    assert [each["properties"]["name"] for each in told] == [f"t{i}" for i in range(COUNT)]
    assert {each["geometry"] for each in told} == {None}
