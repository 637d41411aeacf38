"""Assets, lists and pixels of local rasters over HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from tests.rest.conftest import LOCAL, PUBLIC, Served
from tests.rest.test_router import check_error
from tests.support.rasterfiles import UTAH, noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import CacheSettings, Config, RasterFolder
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.contract.wire import grid_to_json
from tileserver.server.app import create_app

SCENE = f"{LOCAL}/scene"
BYTES = f"{LOCAL}/bytes"
HEIGHTS = f"{LOCAL}/heights"
SERIES = f"{LOCAL}/series"
SMALL = {"dimensions": {"width": 5, "height": 4}}
NATIVE = {
    "dimensions": {"width": 5, "height": 4},
    "affineTransform": {
        "scaleX": 30,
        "translateX": UTAH.c + 300,
        "scaleY": -30,
        "translateY": UTAH.f - 600,
    },
}
PLACE = [-112.1, 40.6]


def pixels(client: httpx.Client, name: str, **body: Any) -> httpx.Response:
    return client.post(f"/v1/{name}:getPixels", json=body)


def array(answer: httpx.Response) -> NDArray[Any]:
    assert answer.status_code == 200, answer.text
    return np.asarray(np.load(io.BytesIO(answer.content), allow_pickle=False))


def source(served: Served, name: str) -> NDArray[Any]:
    with rasterio.open(served.folder / f"local/{name}.tif") as dataset:
        return np.asarray(dataset.read())


def listed(client: httpx.Client, parent: str, kind: str = "Assets", **query: Any) -> list[str]:
    page = client.get(f"/v1/{parent}:list{kind}", params=query).json()
    assert set(page) <= {kind.lower(), "nextPageToken"}
    return [each["id"].rpartition("/")[2] for each in page.get(kind.lower(), [])]


def test_an_image_tells_all_that_clients_read(client: httpx.Client, served: Served) -> None:
    asset = client.get(f"/v1/{SCENE}").json()
    assert (asset["type"], asset["name"], asset["id"]) == ("IMAGE", SCENE, SCENE)
    assert asset["properties"] == {"CLOUD_COVER": 3.25}
    assert asset["startTime"] == "2020-06-01T18:49:19Z"
    assert asset["sizeBytes"] == str((served.folder / "local/scene.tif").stat().st_size)
    assert asset["updateTime"].endswith("Z")
    assert asset["geometry"]["type"] == "Polygon"
    assert [band["id"] for band in asset["bands"]] == ["B2", "B3", "B4"]
    assert asset["bands"][0] == {
        "id": "B2",
        "dataType": {"precision": "INT", "range": {"min": 0, "max": 65535}},
        "grid": {
            "crsCode": "EPSG:32612",
            "dimensions": {"width": 700, "height": 600},
            "affineTransform": {
                "scaleX": 30.0,
                "translateX": UTAH.c,
                "scaleY": -30.0,
                "translateY": UTAH.f,
            },
        },
        "pyramidingPolicy": "MEAN",
    }
    (heights,) = client.get(f"/v1/{HEIGHTS}").json()["bands"]
    assert heights["dataType"] == {"precision": "FLOAT"}
    assert client.get(f"/v1/{BYTES}").json()["bands"][0]["missingData"] == {"values": [0.0]}


def test_a_public_name_has_a_short_id_and_both_find_it(client: httpx.Client) -> None:
    short = "COPERNICUS/S2/20200401T184919_x"
    for name in (f"{PUBLIC}/{short}", short):
        asset = client.get(f"/v1/{name}").json()
        assert (asset["name"], asset["id"]) == (f"{PUBLIC}/{short}", short)
        assert pixels(client, name, fileFormat="NPY", grid=SMALL).status_code == 200


def test_a_name_that_the_official_client_rewrote_is_found(client: httpx.Client) -> None:
    name = "projects/demo/assets/landsat"
    put_before = f"projects/earthengine-legacy/assets/{name}"
    assert client.get(f"/v1/{put_before}").json()["name"] == name
    assert pixels(client, put_before, fileFormat="NPY", grid=SMALL).status_code == 200
    root = "projects/earthengine-legacy/assets/projects/demo/assets"
    assert listed(client, root) == listed(client, "projects/demo") == ["landsat"]


def test_a_root_a_folder_and_a_collection_are_listed(client: httpx.Client) -> None:
    everything = ["bytes", "empty", "folder", "heights", "scene", "series"]
    for root in ("projects/localhost", LOCAL, f"{LOCAL}/"):
        assert listed(client, root) == everything
    assert listed(client, f"{LOCAL}/folder") == ["inner"]
    assert listed(client, f"{LOCAL}/empty") == []
    assert listed(client, SERIES) == ["m1", "m2", "m3", "m4"]
    assert listed(client, f"{PUBLIC}/COPERNICUS") == ["S2"]
    assert len(listed(client, "COPERNICUS/S2")) == 2


def test_a_project_that_nobody_configured_is_empty(client: httpx.Client) -> None:
    assert client.get("/v1/projects/somebody-else:listAssets").json() == {}
    check_error(client.get("/v1/projects/somebody-else/assets/x:listAssets"), 404, "NOT_FOUND")


def test_an_image_has_no_list(client: httpx.Client) -> None:
    check_error(client.get(f"/v1/{SCENE}:listAssets"), 400, "INVALID_ARGUMENT", "IMAGE")


def test_views_differ_in_what_they_tell(client: httpx.Client) -> None:
    full = client.get(f"/v1/{LOCAL}:listAssets").json()["assets"]
    basic = client.get(f"/v1/{LOCAL}:listAssets?view=BASIC").json()["assets"]
    assert all(set(each) == {"type", "name", "id"} for each in basic)
    assert [each["id"] for each in full] == [each["id"] for each in basic]
    by_id = {each["id"]: each for each in full}
    assert by_id[SCENE] == client.get(f"/v1/{SCENE}").json()
    assert by_id[SERIES]["properties"] == {"title": "Months"}
    assert set(by_id[f"{LOCAL}/folder"]) == {"type", "name", "id"}


def test_pages_follow_each_other_to_the_end(client: httpx.Client) -> None:
    found: list[str] = []
    query: dict[str, Any] = {"pageSize": 2}
    pages = 0
    while True:
        pages += 1
        page = client.get(f"/v1/{LOCAL}:listAssets", params=query).json()
        found += [each["id"] for each in page["assets"]]
        assert len(page["assets"]) == 2
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert pages == 3
    assert found == [each["id"] for each in client.get(f"/v1/{LOCAL}:listAssets").json()["assets"]]
    assert (
        client.get(f"/v1/{SERIES}:listImages?pageSize=1").json()["images"][0]["id"].endswith("m1")
    )


@pytest.mark.parametrize(
    "query",
    [
        {"pageSize": "-1"},
        {"pageSize": "many"},
        {"pageToken": "ü"},
        {"pageToken": "*"},
        {"view": "SOME"},
        {"filter": "CLOUD <"},
        {"filter": "intersects(1)"},
    ],
)
def test_a_malformed_query_is_refused(client: httpx.Client, query: dict[str, str]) -> None:
    check_error(client.get(f"/v1/{SERIES}:listAssets", params=query), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("properties.CLOUD < 25", ["m1", "m2"]),
        ('properties.SENSOR = "B" AND properties.CLOUD != 40', ["m3"]),
        ('startTime >= "2020-02-01T00:00:00Z" AND endTime < "2020-04-01T00:00:00Z"', ["m2", "m3"]),
        ("NOT (properties.CLOUD = 10 OR properties.CLOUD = 20)", ["m3", "m4"]),
        ("properties.NONE = 1", []),
        (f"intersects(\"{{'type': 'Point', 'coordinates': {PLACE}}}\")", []),
        ("intersects(\"{'type': 'Point', 'coordinates': [-112.17, 40.63]}\")", ["m1", "m2", "m3"]),
    ],
)
def test_a_filter_leaves_what_it_describes(
    client: httpx.Client, text: str, found: list[str]
) -> None:
    assert listed(client, SERIES, filter=text)[:3] == found


def test_list_images_has_parameters_of_its_own(client: httpx.Client) -> None:
    region = json.dumps({"type": "Point", "coordinates": [-112.17, 40.63]})
    everywhere = listed(client, SERIES, "Images", region=region)
    assert everywhere == ["m1", "m2", "m3", "m4"]
    times = {"startTime": "2020-02-01T00:00:00Z", "endTime": "2020-03-15T00:00:00Z"}
    assert listed(client, SERIES, "Images", **times) == ["m2", "m3"]
    assert listed(client, SERIES, "Images", filter='(CLOUD < 35 AND SENSOR = "B")') == ["m3"]
    nowhere = json.dumps({"type": "Point", "coordinates": [0, 0]})
    assert listed(client, SERIES, "Images", region=nowhere) == []
    assert listed(client, LOCAL, "Images") == ["bytes", "heights", "scene"]


def test_pixels_are_those_of_the_file(client: httpx.Client, served: Served) -> None:
    answer = pixels(client, SCENE, fileFormat="NPY", bandIds=["B4", "B2"], grid=NATIVE)
    assert answer.content[6:8] == b"\x01\x00"
    read = array(answer)
    assert read.dtype == np.dtype([("B4", "<u2"), ("B2", "<u2")])
    window = source(served, "scene")[:, 20:24, 10:15]
    np.testing.assert_array_equal(read["B4"], window[2])
    np.testing.assert_array_equal(read["B2"], window[0])


def test_masked_and_outside_are_zero(client: httpx.Client, served: Served) -> None:
    read = array(pixels(client, HEIGHTS, fileFormat="NPY"))["b1"]
    assert read[0, 0] == 0
    assert read[150, 150] == source(served, "heights")[0, 150, 150]
    away = {**NATIVE, "affineTransform": {**NATIVE["affineTransform"], "translateX": 0}}
    assert not array(pixels(client, HEIGHTS, fileFormat="NPY", grid=away))["b1"].any()


@pytest.mark.parametrize(
    ("file_format", "media_type", "begins"),
    [
        ("PNG", "image/png", b"\x89PNG"),
        ("JPEG", "image/jpeg", b"\xff\xd8\xff"),
        ("NPY", "application/octet-stream", b"\x93NUMPY\x01\x00"),
        ("GEO_TIFF", "image/tiff", b"II*\0"),
        ("ZIPPED_GEO_TIFF", "application/zip", b"PK"),
        ("ZIPPED_GEO_TIFF_PER_BAND", "application/zip", b"PK"),
        ("TF_RECORD_IMAGE", "application/octet-stream", b""),
    ],
)
def test_each_format_has_its_content_type(
    client: httpx.Client, file_format: str, media_type: str, begins: bytes
) -> None:
    answer = pixels(client, BYTES, fileFormat=file_format, grid=SMALL)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert answer.content.startswith(begins)


def test_no_format_is_jpeg_or_png_by_transparency(client: httpx.Client) -> None:
    away = {**NATIVE, "affineTransform": {**NATIVE["affineTransform"], "translateX": 0}}
    stretch = {"ranges": [{"min": 0, "max": 65535}]}
    for body in ({}, {"fileFormat": None}, {"fileFormat": "IMAGE_FILE_FORMAT_UNSPECIFIED"}):
        inside = pixels(client, SCENE, grid=NATIVE, visualizationOptions=stretch, **body)
        assert inside.headers["content-type"] == "image/jpeg"
        outside = pixels(client, SCENE, grid=away, visualizationOptions=stretch, **body)
        assert outside.headers["content-type"] == "image/png"


def test_a_geotiff_lies_where_it_was_asked_for(client: httpx.Client) -> None:
    answer = pixels(client, SCENE, fileFormat="GEO_TIFF", grid=NATIVE)
    with rasterio.MemoryFile(answer.content) as file, file.open() as dataset:
        assert dataset.crs.to_epsg() == 32612
        assert (dataset.count, dataset.width, dataset.height) == (3, 5, 4)
        assert (dataset.transform.c, dataset.transform.f) == (UTAH.c + 300, UTAH.f - 600)


def test_a_zip_per_band_has_a_file_each(client: httpx.Client) -> None:
    answer = pixels(client, SCENE, fileFormat="ZIPPED_GEO_TIFF_PER_BAND", grid=SMALL)
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["B2.tif", "B3.tif", "B4.tif"]


def test_a_point_alone_is_one_pixel(client: httpx.Client) -> None:
    point = {"type": "Point", "coordinates": PLACE}
    assert array(pixels(client, SCENE, fileFormat="NPY", region=point)).shape == (1, 1)


def test_a_region_is_rescaled_to_the_dimensions(client: httpx.Client) -> None:
    ring = [[-112.15, 40.55], [-112.0, 40.55], [-112.0, 40.6], [-112.15, 40.6]]
    region = {"type": "Polygon", "coordinates": [ring], "evenOdd": True}
    whole = array(pixels(client, SCENE, fileFormat="NPY", region=region))
    assert whole.shape[1] > 400
    asked = pixels(client, SCENE, fileFormat="NPY", region=region, grid=SMALL)
    assert array(asked).shape == (4, 5)


def test_empty_members_mean_what_missing_ones_do(client: httpx.Client) -> None:
    plain = pixels(client, BYTES, fileFormat="PNG", grid=SMALL)
    empty = pixels(
        client,
        BYTES,
        fileFormat="PNG",
        grid=SMALL,
        bandIds=[],
        region=None,
        visualizationOptions={},
        workloadTag="",
    )
    assert plain.content == empty.content
    wrapped = {"ranges": [{"max": 255}], "gamma": {"value": 1.4}}
    number = {"ranges": [{"min": 0, "max": "255"}], "gamma": 1.4}
    drawn = [
        pixels(client, BYTES, fileFormat="PNG", grid=SMALL, visualizationOptions=options).content
        for options in (wrapped, number)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"fileFormat": "NPY", "grid": {"dimensions": {"width": 4096, "height": 4096}}},
            "Total request size (150994944 bytes) must be less than or equal to 50331648 bytes.",
        ),
        (
            {"fileFormat": "NPY", "grid": {"dimensions": {"width": 40818, "height": 1}}},
            "Pixel grid dimensions (40818x1) must be less than or equal to 32768.",
        ),
        ({"fileFormat": "PNG", "bandIds": ["B2", "B3"]}, "band"),
        ({"grid": {"crsCode": "EPSG:999999"}}, "EPSG:999999"),
        ({"grid": {"dimensions": {"width": 0, "height": 1}}}, "greater than or equal to 1"),
        ({"expression": {}}, 'Unknown name "expression"'),
    ],
)
def test_what_can_never_be_answered_is_a_400(
    client: httpx.Client, body: dict[str, Any], said: str
) -> None:
    check_error(pixels(client, SCENE, **body), 400, "INVALID_ARGUMENT", said)


def test_a_folder_and_a_collection_have_no_pixels(client: httpx.Client) -> None:
    for name, kind in ((SERIES, "IMAGE_COLLECTION"), (f"{LOCAL}/folder", "FOLDER")):
        check_error(pixels(client, name, grid=SMALL), 400, "INVALID_ARGUMENT", kind)


def test_a_tile_and_the_same_pixels_are_equal_and_kept_once(client: httpx.Client) -> None:
    tile = Tile(771, 1539, 12)
    path = f"/tiles/{SCENE}/{tile.z}/{tile.x}/{tile.y}.png?bands=B4,B3,B2&min=0&max=65535"
    drawn = client.get(path)
    stretch = {"ranges": [{"min": 0, "max": 65535}]}
    asked = pixels(
        client,
        SCENE,
        fileFormat="PNG",
        bandIds=["B4", "B3", "B2"],
        grid=grid_to_json(tile_grid(tile)),
        visualizationOptions=stretch,
    )
    assert asked.content == drawn.content
    assert Image.open(io.BytesIO(asked.content)).size == (256, 256)


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """Return the path of a raster alone in its folder."""
    return write_raster(tmp_path / "one.tif", noise(1, 100, 100), overviews=())


def test_a_file_that_was_replaced_never_gives_old_pixels(alone: Path) -> None:
    config = Config(rasters=(RasterFolder(str(alone.parent)),))
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as client:
        before = array(pixels(client, f"{LOCAL}/one", fileFormat="NPY"))["b1"]
        for seed in range(1, 4):
            other = noise(1, 100, 100, seed=seed)
            write_raster(alone.with_name("new"), other, overviews=()).replace(alone)
            after = array(pixels(client, f"{LOCAL}/one", fileFormat="NPY"))["b1"]
            assert (before != after).any()
            np.testing.assert_array_equal(after, other[0])


def test_a_broken_file_is_a_400_and_left_out_of_lists(alone: Path) -> None:
    (alone.parent / "broken.tif").write_bytes(b"II*\0nothing")
    config = Config(rasters=(RasterFolder(str(alone.parent)),), cache=CacheSettings(10**6))
    with serve(create_app(config, ())) as url, httpx.Client(base_url=url, timeout=60) as client:
        broken = f"{LOCAL}/broken"
        check_error(client.get(f"/v1/{broken}"), 400, "FAILED_PRECONDITION", broken)
        check_error(pixels(client, broken), 400, "FAILED_PRECONDITION", broken)
        assert listed(client, LOCAL) == ["one"]
        assert listed(client, LOCAL, view="BASIC") == ["broken", "one"]
