"""Existing code that reads pixels with the official client runs against the server."""

from __future__ import annotations

import io
import time
from types import ModuleType
from typing import Any

import ee as official
import google.oauth2.credentials
import httpx
import numpy as np
import pytest
import rasterio
from google.auth.credentials import AnonymousCredentials
from PIL import Image

from tests.rest.conftest import LOCAL, PUBLIC, Served

SCENE = f"{LOCAL}/scene"
SERIES = f"{LOCAL}/series"
PROMPT_S = 15.0
"""A lookup or a request that the client tries again takes it longer, up to a minute."""


@pytest.mark.parametrize("project", ["localhost", "demo", "any-project"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_initialize_works_with_any_project_and_in_a_moment(
    served: Served, project: str, slash: str
) -> None:
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    started_s = time.perf_counter()
    official.Initialize(credentials, url=served.url + slash, project=project)
    took_s = time.perf_counter() - started_s
    try:
        assert official.data.getAsset(SCENE)["id"] == SCENE
        assert took_s < PROMPT_S
    finally:
        official.Reset()


def test_no_credentials_are_needed(served: Served) -> None:
    official.Initialize(None, url=served.url, project="localhost")
    try:
        assert official.data.getAsset(SCENE)["type"] == "IMAGE"
    finally:
        official.Reset()


def test_a_token_makes_no_difference(served: Served) -> None:
    token = google.oauth2.credentials.Credentials("any-token")  # type: ignore[no-untyped-call]
    official.Initialize(token, url=served.url, project="localhost")
    try:
        assert official.data.getAsset(SCENE)["type"] == "IMAGE"
    finally:
        official.Reset()


@pytest.mark.filterwarnings("ignore:getInfo:DeprecationWarning")
def test_assets_are_found_by_id_and_name(ee: ModuleType) -> None:
    for name in ("COPERNICUS/S2/20200401T184919_x", f"{PUBLIC}/COPERNICUS/S2/20200401T184919_x"):
        assert ee.data.getAsset(name)["id"] == "COPERNICUS/S2/20200401T184919_x"
    assert ee.data.getAsset("projects/demo/assets/landsat")["type"] == "IMAGE"
    assert ee.data.getInfo(f"{LOCAL}/none") is None


def test_lists_follow_all_pages(ee: ModuleType) -> None:
    root = ee.data.listAssets(LOCAL)["assets"]
    assert {each["type"] for each in root} == {"IMAGE", "FOLDER", "IMAGE_COLLECTION"}
    paged = ee.data.listAssets({"parent": SERIES, "pageSize": 1})
    assert [each["id"] for each in paged["assets"]] == [f"{SERIES}/m1"]
    follow = ee.data.listAssets({"parent": SERIES, "pageToken": paged["nextPageToken"]})
    assert len(follow["assets"]) == 3
    assert ee.data.listAssets({"parent": SERIES, "view": "BASIC"})["assets"][0]["name"]
    assert ee.data.listAssets("projects/demo/assets")["assets"][0]["id"].endswith("landsat")
    assert len(ee.data.listAssets("COPERNICUS/S2")["assets"]) == 2
    assert "assets" not in ee.data.listBuckets("projects/somebody-else")


@pytest.mark.filterwarnings("ignore:getList:DeprecationWarning")
def test_images_are_chosen_by_time_place_and_property(ee: ModuleType) -> None:
    found = ee.data.listImages(
        {
            "parent": SERIES,
            "startTime": "2020-01-15T00:00:00Z",
            "endTime": "2020-12-31T00:00:00Z",
            "region": {"type": "Point", "coordinates": [-112.17, 40.63]},
            "filter": "properties.CLOUD<35",
        }
    )
    assert [each["id"][-2:] for each in found["images"]] == ["m2", "m3"]
    assert len(ee.data.getList({"id": SERIES})) == 4


def test_a_filter_too_long_for_a_url_is_sent_another_way(ee: ModuleType) -> None:
    text = " OR ".join(["properties.CLOUD=10", *["properties.CLOUD=99"] * 200])
    found = ee.data.listAssets({"parent": SERIES, "filter": text})["assets"]
    assert [each["id"] for each in found] == [f"{SERIES}/m1"]


def test_pixels_are_those_of_the_file_in_every_form(ee: ModuleType, served: Served) -> None:
    grid = {"dimensions": {"width": 20, "height": 10}}
    asked: dict[str, Any] = {"assetId": SCENE, "bandIds": ["B3", "B2"]}
    whole = ee.data.getPixels({**asked, "fileFormat": "NUMPY_NDARRAY"})
    with rasterio.open(served.folder / "local/scene.tif") as dataset:
        np.testing.assert_array_equal(whole["B3"], dataset.read(2))
        np.testing.assert_array_equal(whole["B2"], dataset.read(1))
    geotiff = ee.data.getPixels({**asked, "fileFormat": "GeoTIFF"})
    with rasterio.MemoryFile(geotiff) as file, file.open() as dataset:
        np.testing.assert_array_equal(dataset.read(1), whole["B3"])
    stretch = {"ranges": [{"min": 0, "max": 65535}]}
    picture = ee.data.getPixels(
        {"assetId": SCENE, "grid": grid, "fileFormat": "png", "visualizationOptions": stretch}
    )
    assert Image.open(io.BytesIO(picture)).size == (20, 10)


def test_the_example_of_the_reference_page_runs(ee: ModuleType) -> None:
    proj = {"crs": "EPSG:4326", "transform": [8.983152841195215e-05, 0, 0, 0, 8.98e-05, 0]}
    request = {
        "assetId": "COPERNICUS/S2/20200401T184919_x",
        "fileFormat": "PNG",
        "bandIds": ["b1", "b2", "b3"],
        "grid": {
            "dimensions": {"width": 640, "height": 640},
            "affineTransform": {
                "scaleX": proj["transform"][0],
                "shearX": 0,
                "translateX": -112.18,
                "shearY": 0,
                "scaleY": -float(proj["transform"][4]),  # type: ignore[arg-type]
                "translateY": 40.64,
            },
            "crsCode": proj["crs"],
        },
        "visualizationOptions": {"ranges": [{"min": 0, "max": 3000}]},
    }
    assert Image.open(io.BytesIO(ee.data.getPixels(request))).size == (640, 640)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"assetId": f"{LOCAL}/none"}, f"Asset '{LOCAL}/none' not found."),
        ({"assetId": SCENE, "fileFormat": "NPY", "bandIds": ["B9"]}, "did not match any bands"),
        (
            {"assetId": SCENE, "grid": {"dimensions": {"width": 9999, "height": 9999}}},
            "Total request size",
        ),
        ({"assetId": SCENE, "fileFormat": "BMP"}, "Invalid value at 'file_format'"),
    ],
)
def test_errors_reach_the_user_at_once_in_words(
    ee: ModuleType, params: dict[str, Any], said: str
) -> None:
    started_s = time.perf_counter()
    with pytest.raises(ee.EEException) as refusal:
        ee.data.getPixels({"fileFormat": "NPY", **params})
    assert said in str(refusal.value)
    assert time.perf_counter() - started_s < PROMPT_S


def test_expressions_maps_and_thumbnails_go_through_the_client(ee: ModuleType) -> None:
    image = ee.Image(f"{LOCAL}/bytes")
    assert [band["id"] for band in image.getInfo()["bands"]] == ["b1", "b2", "b3"]
    array = ee.data.computePixels(
        {
            "expression": image,
            "fileFormat": "NUMPY_NDARRAY",
            "grid": {"dimensions": {"width": 5, "height": 4}},
        }
    )
    assert array.shape == (4, 5)
    tiles = ee.data.getMapId({"image": image})["tile_fetcher"]
    url = tiles.url_format.format(z=0, x=0, y=0)
    assert httpx.get(url, timeout=60).headers["content-type"] == "image/png"
    assert tiles.fetch_tile(0, 0, 0) == httpx.get(url, timeout=60).content
    with pytest.raises(ee.EEException, match=r"Image asset '.*x/none' not found"):
        ee.Image("x/none").getInfo()
