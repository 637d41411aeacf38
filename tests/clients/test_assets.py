"""Assets are listed and described to the official client."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.clients.conftest import Served
from tests.clients.rasters import COUNT, LOCAL, S2, S2_BEST, S2_IMAGES, SCENE, SERIES, SIDE
from tests.clients.values import NORTH, UTM, WEST


def test_an_asset_tells_of_its_bands(ee: ModuleType, served: Served) -> None:
    told = ee.data.getAsset(SCENE)
    assert (told["type"], told["name"], told["id"]) == ("IMAGE", SCENE, SCENE)
    assert told["properties"] == {"CLOUD_COVER": 3.25, "SENSOR": "made up"}
    assert told["startTime"] == "2020-06-01T18:49:19Z"
    assert told["sizeBytes"] == str(served.file(SCENE).stat().st_size)
    band = told["bands"][2]
    uint16 = {"precision": "INT", "range": {"min": 0, "max": 65535}}
    assert (band["id"], band["dataType"]) == ("B4", uint16)
    assert band["grid"]["crsCode"] == UTM
    assert band["grid"]["dimensions"] == {"width": SIDE, "height": SIDE}
    transform = band["grid"]["affineTransform"]
    assert {name: value for name, value in transform.items() if value} == {
        "scaleX": 30,
        "scaleY": -30,
        "translateX": WEST,
        "translateY": NORTH,
    }


@pytest.mark.filterwarnings("ignore:getInfo:DeprecationWarning")
def test_get_info_is_the_same_or_nothing(ee: ModuleType) -> None:
    assert ee.data.getInfo(SCENE) == ee.data.getAsset(SCENE)
    assert ee.data.getInfo(f"{LOCAL}/none") is None


def test_assets_are_listed(ee: ModuleType) -> None:
    found = {each["id"]: each["type"] for each in ee.data.listAssets(LOCAL)["assets"]}
    images = ("bytes", "heights", "holes", "scene")
    assert found == {
        **{f"{LOCAL}/{name}": "IMAGE" for name in images},
        f"{LOCAL}/folder": "FOLDER",
        SERIES: "IMAGE_COLLECTION",
    }
    inner = ee.data.listAssets(f"{LOCAL}/folder")["assets"]
    assert [each["id"] for each in inner] == [f"{LOCAL}/folder/inner"]


def test_a_public_collection_is_listed_by_its_short_name(ee: ModuleType) -> None:
    found = ee.data.listAssets(S2)["assets"]
    assert sorted(each["id"] for each in found) == sorted(f"{S2}/{each[0]}" for each in S2_IMAGES)
    assert ee.data.getAsset(f"{S2}/{S2_BEST}")["id"] == f"{S2}/{S2_BEST}"
    assert ee.data.getAsset(S2)["type"] == "IMAGE_COLLECTION"


def test_images_are_chosen_by_time_place_and_property(ee: ModuleType) -> None:
    asked = {
        "parent": S2,
        "startTime": "2020-04-01T00:00:00Z",
        "endTime": "2020-09-01T00:00:00Z",
        "region": ee.Geometry.Point(-121.586, 38.059).toGeoJSON(),
        "filter": "properties.CLOUD_COVERAGE_ASSESSMENT < 10",
    }
    found = ee.data.listImages(asked)["images"]
    assert sorted(each["id"] for each in found) == [f"{S2}/{S2_IMAGES[i][0]}" for i in (1, 2)]


def test_pages_are_followed(ee: ModuleType) -> None:
    first = ee.data.listImages({"parent": SERIES, "pageSize": 4})
    rest = ee.data.listImages({"parent": SERIES, "pageToken": first["nextPageToken"]})
    assert (len(first["images"]), len(rest["images"])) == (4, COUNT - 4)
