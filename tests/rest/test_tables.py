"""Tables beside rasters, asked for with the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ee as official
import httpx
import numpy as np
import pytest
import shapely
from google.auth.credentials import AnonymousCredentials
from pyproj import Transformer
from rasterio import Affine
from rasterio.features import rasterize

from tests.rest.conftest import LOCAL
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.tables.files import geojson_text, write_features
from tileserver.config.config import ApiSettings, Config, RasterFolder
from tileserver.server.app import create_app

COUNT = 6000
"""More than Earth Engine's client may print."""
PLACES = np.random.default_rng(3).uniform((-170, -80), (170, 80), (COUNT, 2))
POINTS = [shapely.Point(*each) for each in PLACES]
NUMBERS = [i % 97 for i in range(COUNT)]
KINDS = ["odd" if i % 2 else "even" for i in range(COUNT)]
AREAS = [shapely.box(i, 40, i + 0.5, 41) for i in range(8)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of a raster and tables."""
    top = tmp_path_factory.mktemp("tables")
    (top / "vectors").mkdir()
    columns = {"n": NUMBERS, "kind": KINDS}
    write_features(top / "vectors/points.gpkg", POINTS, columns)
    names = {"name": [f"area {i}" for i in range(8)], "height": [i * 1.5 for i in range(8)]}
    (top / "vectors/areas.geojson").write_text(geojson_text(AREAS, names))
    (top / "vectors/broken.geojson").write_text("{")
    write_raster(top / "scene.tif", noise(1, 50, 50), overviews=())
    (top / "scene.csv").write_text("lon,lat,v\n1,2,3\n")
    return top


@pytest.fixture(scope="module")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the folder."""
    config = Config(
        rasters=(RasterFolder(str(folder), LOCAL),),
        api=ApiSettings(graphs=str(tmp_path_factory.mktemp("state") / "graphs")),
    )
    with serve(create_app(config)) as url:
        yield url


@pytest.fixture
def ee(url: str) -> Iterator[ModuleType]:
    """Return the official client, asking the server."""
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    official.Initialize(credentials, url=url, project="localhost")
    yield official
    official.Reset()


@pytest.fixture
def points(ee: ModuleType) -> Any:
    """Return the large table."""
    return ee.FeatureCollection(f"{LOCAL}/vectors/points")


def test_a_table_has_the_metadata_of_the_service(ee: ModuleType, folder: Path) -> None:
    found = ee.data.getAsset(f"{LOCAL}/vectors/points")
    size = (folder / "vectors/points.gpkg").stat().st_size
    expected = {"type": "TABLE", "sizeBytes": str(size), "featureCount": str(COUNT)}
    assert {name: found[name] for name in expected} == expected
    assert found["name"] == f"{LOCAL}/vectors/points"


def test_tables_are_listed_beside_images_and_the_image_keeps_the_name(ee: ModuleType) -> None:
    def listed(parent: str) -> dict[str, str]:
        assets = ee.data.listAssets(parent)["assets"]
        return {each["name"].removeprefix(f"{LOCAL}/"): each["type"] for each in assets}

    assert listed(LOCAL) == {"scene": "IMAGE", "scene.csv": "TABLE", "vectors": "FOLDER"}
    names = ["vectors/areas", "vectors/broken", "vectors/points"]
    assert listed(f"{LOCAL}/vectors") == dict.fromkeys(names, "TABLE")
    one = ee.data.listAssets({"parent": f"{LOCAL}/vectors", "pageSize": 1})
    assert [each["id"] for each in one["assets"]] == [f"{LOCAL}/vectors/areas"]
    assert one["nextPageToken"]


def test_a_broken_table_says_why(ee: ModuleType) -> None:
    with pytest.raises(ee.EEException, match="it is no GeoJSON"):
        ee.data.getAsset(f"{LOCAL}/vectors/broken")
    with pytest.raises(ee.EEException, match="it is no GeoJSON"):
        ee.FeatureCollection(f"{LOCAL}/vectors/broken").size().getInfo()


def test_a_table_that_is_not_there_is_refused_as_the_service_does(ee: ModuleType) -> None:
    with pytest.raises(ee.EEException, match="Collection asset 'x/y' not found"):
        ee.FeatureCollection("x/y").size().getInfo()


def test_a_table_is_a_feature_collection(ee: ModuleType) -> None:
    areas = ee.FeatureCollection(f"{LOCAL}/vectors/areas")
    found = areas.getInfo()
    assert [each["properties"]["height"] for each in found["features"]] == [
        i * 1.5 for i in range(8)
    ]
    assert found["columns"] == {"height": "Float", "name": "String", "system:index": "String"}
    first = found["features"][0]
    assert shapely.from_geojson(json.dumps(first["geometry"])).equals(AREAS[0])
    assert first["id"] == areas.first().get("system:index").getInfo() == "0" * 20
    assert areas.aggregate_sum("height").getInfo() == 42.0


def test_filters_of_a_large_table_are_numpys(points: Any, ee: ModuleType) -> None:
    numbers, kinds = np.array(NUMBERS), np.array(KINDS)
    west, south, east, north = -60, -30, 80, 45
    x, y = PLACES.T
    inside = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    box = ee.Geometry.Rectangle([west, south, east, north], None, False)
    cases = {
        points.size(): COUNT,
        points.filterBounds(box).size(): inside.sum(),
        points.filter(ee.Filter.eq("n", 5)).size(): (numbers == 5).sum(),
        points.filter(ee.Filter.lt("n", 5)).size(): (numbers < 5).sum(),
        points.filter("n >= 9 && kind == 'odd'").size(): ((numbers >= 9) & (kinds == "odd")).sum(),
        points.filter(ee.Filter.Or(ee.Filter.eq("n", 1), ee.Filter.eq("kind", "odd"))).size(): (
            (numbers == 1) | (kinds == "odd")
        ).sum(),
        points.filter(ee.Filter.eq("kind", "odd").Not()).size(): (kinds != "odd").sum(),
        points.filter(ee.Filter.rangeContains("n", 3, 8)).size(): (
            (numbers >= 3) & (numbers <= 8)
        ).sum(),
        points.filter(ee.Filter.eq("missing", 3)).size(): 0,
        points.filterBounds(box).aggregate_sum("n"): numbers[inside].sum(),
        points.aggregate_max("n"): 96,
        points.limit(3, "n", False).aggregate_min("n"): 96,
    }  # fmt: skip
    found = ee.List(list(cases)).getInfo()
    assert found == list(cases.values())


def test_more_than_5000_features_are_not_printed(points: Any, ee: ModuleType) -> None:
    with pytest.raises(ee.EEException, match="accumulating over 5000 elements"):
        points.getInfo()
    assert len(points.limit(20).getInfo()["features"]) == 20


def test_results_follow_the_file(ee: ModuleType, folder: Path) -> None:
    table = ee.FeatureCollection(f"{LOCAL}/vectors/areas").size()
    assert table.getInfo() == 8
    path = folder / "vectors/areas.geojson"
    text = path.read_text()
    try:
        path.write_text(geojson_text(AREAS[:3], {}))
        assert table.getInfo() == 3
    finally:
        path.write_text(text)
    assert table.getInfo() == 8


def test_features_are_listed_in_pages(ee: ModuleType) -> None:
    asset = f"{LOCAL}/vectors/areas"
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        page = ee.data.listFeatures({"assetId": asset, "pageSize": 3, "pageToken": token})
        assert page["type"] == "FeatureCollection"
        found += page["features"]
        token = page.get("nextPageToken")
        if not token:
            break
    assert [each["properties"]["name"] for each in found] == [f"area {i}" for i in range(8)]
    assert shapely.from_geojson(json.dumps(found[5]["geometry"])).equals(AREAS[5])


def test_features_are_listed_by_region_and_properties(ee: ModuleType) -> None:
    region = {"type": "Point", "coordinates": [3.25, 40.5]}
    asset = f"{LOCAL}/vectors/areas"
    found = ee.data.listFeatures({"assetId": asset, "region": json.dumps(region)})
    assert [each["properties"]["name"] for each in found["features"]] == ["area 3"]
    found = ee.data.listFeatures({"assetId": asset, "filter": "height > 3 AND height < 7"})
    assert [each["properties"]["height"] for each in found["features"]] == [4.5, 6.0]
    for wrong in ({"region": "{"}, {"filter": "height >"}, {"pageToken": "x"}):
        with pytest.raises(ee.EEException, match=next(iter(wrong))):
            ee.data.listFeatures({"assetId": asset, **wrong})
    with pytest.raises(ee.EEException, match="is not a TABLE but a IMAGE"):
        ee.data.listFeatures({"assetId": f"{LOCAL}/scene"})


def test_features_are_computed_and_downloaded(ee: ModuleType, points: Any) -> None:
    areas = ee.FeatureCollection(f"{LOCAL}/vectors/areas")
    page = ee.data.computeFeatures({"expression": areas, "pageSize": 5})
    assert len(page["features"]) == 5
    with httpx.Client(trust_env=False, timeout=60) as client:
        text = client.get(areas.getDownloadURL("CSV", ["name", "height"])).text
        document = client.get(points.limit(7).getDownloadURL("GEO_JSON")).json()
    assert text.splitlines()[:2] == ["name,height", "area 0,0"]
    places = [each["geometry"]["coordinates"] for each in document["features"]]
    assert places == pytest.approx(PLACES[:7])


def test_a_table_is_drawn_where_its_areas_are(ee: ModuleType) -> None:
    areas = ee.FeatureCollection(f"{LOCAL}/vectors/areas")
    painted = ee.Image(0).byte().paint(areas, 1)
    grid = {
        "dimensions": {"width": 80, "height": 10},
        "affineTransform": {
            "scaleX": 0.1,
            "scaleY": -0.1,
            "translateX": 0,
            "translateY": 41,
            "shearX": 0,
            "shearY": 0,
        },
        "crsCode": "EPSG:4326",
    }
    request = {"expression": painted, "fileFormat": "NUMPY_NDARRAY", "grid": grid}
    found = ee.data.computePixels(request)["constant"]
    expected = rasterize(
        ((area, 1) for area in AREAS), (10, 80), transform=Affine(0.1, 0, 0, 0, -0.1, 41)
    )
    np.testing.assert_array_equal(found, expected)
    assert areas.getMapId({"color": "ff0000"})["tile_fetcher"].url_format


@pytest.mark.parametrize("side", [1, 4])
def test_a_large_table_is_painted_where_its_points_are(
    ee: ModuleType, points: Any, side: int
) -> None:
    size, world_m = 256, 2 * np.pi * 6378137
    pixel, own = world_m / size, size // side
    image = ee.Image(0).byte().paint(points, 1)
    whole = np.zeros((size, size), np.uint8)
    for row in range(side):
        for column in range(side):
            transform = {
                "scaleX": pixel,
                "scaleY": -pixel,
                "translateX": -world_m / 2 + column * own * pixel,
                "translateY": world_m / 2 - row * own * pixel,
            }
            grid = {
                "dimensions": {"width": own, "height": own},
                "affineTransform": transform,
                "crsCode": "EPSG:3857",
            }
            request = {"expression": image, "fileFormat": "NUMPY_NDARRAY", "grid": grid}
            place = np.s_[row * own : (row + 1) * own, column * own : (column + 1) * own]
            whole[place] = ee.data.computePixels(request)["constant"]
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(*PLACES.T)
    expected = np.zeros((size, size), np.uint8)
    columns = np.floor((x + world_m / 2) / pixel).astype(int)
    rows = np.floor((world_m / 2 - y) / pixel).astype(int)
    expected[rows, columns] = 1
    np.testing.assert_array_equal(whole, expected)
