"""Tables the official client computes: features page by page, and as data frames."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import requests
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


def test_a_table_is_downloaded_as_csv(ee: ModuleType, web: requests.Session) -> None:
    url = means(ee).getDownloadURL("csv", ["n", "mean"], "my means")
    answer = web.get(url, timeout=20)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="my_means.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["n"] for row in rows] == ["0", "1", "2"]
    assert [float(row["mean"]) for row in rows] == pytest.approx(wanted())


def test_a_table_is_downloaded_as_geojson(ee: ModuleType, web: requests.Session) -> None:
    answer = web.get(means(ee).getDownloadURL("geojson"), timeout=20)
    told = answer.json()
    assert [each["properties"]["mean"] for each in told["features"]] == pytest.approx(wanted())
    assert told["features"] == ee.data.computeFeatures({"expression": means(ee)})["features"]


def test_a_table_of_another_kind_is_refused(ee: ModuleType) -> None:
    with pytest.raises(ee.EEException, match="Invalid value at 'file_format', 'XLS'"):
        means(ee).getDownloadURL("xls")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_geemap_writes_zonal_statistics(ee: ModuleType, tmp_path: Path) -> None:
    geemap = pytest.importorskip("geemap", exc_type=ImportError)
    path = tmp_path / "zones.csv"
    zones = ee.FeatureCollection([ee.Feature(box(ee, *each), {"zone": 1}) for each in BOXES])
    image = ee.Image(SCENE).select("B8")
    geemap.zonal_stats(image, zones, str(path), "MEAN", scale=30, verbose=False)
    rows = list(csv.DictReader(path.open()))
    assert [float(row["mean"]) for row in rows] == pytest.approx(wanted())
