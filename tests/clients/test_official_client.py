"""What we send is what the official client, `ee`, sends for the same dictionary.

Two JSON bodies mean the same to Earth Engine when they differ only in what `meaning` takes away:

- members that are null, empty or, in a transform or a range, zero: proto3's defaults;
- numbers written as strings, and `{"value": 1.4}` for a number, as `ee` writes a gamma;
- `evenOdd` and `geodesic` of a region, of which only the bounding box counts;
- letter case of a CRS code.

One difference is meant: where `ee` asks for AUTO_JPEG_PNG, we ask for PNG, so that the content type
of a layer's tiles never changes from one to the next.
"""

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from google.auth.credentials import AnonymousCredentials

from tests.support.loopback import Answer, Asked, Loopback, json_answer
from tileserver.contract.wire import request_from_params
from tileserver.earthengine.client import EarthEngine
from tileserver.earthengine.connections import make_client
from tileserver.errors import UpstreamError

PROJECT = "my-project"
SCENE = "projects/my-project/assets/scene"
S2 = "COPERNICUS/S2/20200401T184919_20200401T185452_T10SFH"
RGB = ["B4", "B3", "B2"]
SIZE = {"width": 256, "height": 256}
TRANSFORM = {"scaleX": 10, "shearX": 0, "translateX": 6e5, "shearY": 0, "scaleY": -10}
TRANSFORM |= {"translateY": 4.2e6}
UTM = {"dimensions": SIZE, "affineTransform": TRANSFORM, "crsCode": "EPSG:32610"}
PIXEL_M = 2 * 20037508.342789244 / (256 * 2**12)
MERCATOR = {
    "dimensions": SIZE,
    "affineTransform": {
        "scaleX": PIXEL_M,
        "translateX": -20037508.342789244 + 655 * 256 * PIXEL_M,
        "scaleY": -PIXEL_M,
        "translateY": 20037508.342789244 - 1583 * 256 * PIXEL_M,
    },
    "crsCode": "EPSG:3857",
}
DEGREES = {
    "dimensions": {"width": 640, "height": 640},
    "affineTransform": {
        "scaleX": 8.983152841195215e-05,
        "shearX": 0,
        "translateX": -121.58626826832939,
        "shearY": 0,
        "scaleY": -8.983152841195215e-05,
        "translateY": 38.059141484827485,
    },
    "crsCode": "EPSG:4326",
}
WKT = 'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]]]'
RING = [[-122, 37], [-121, 37], [-121, 38], [-122, 38], [-122, 37]]
BOX = {"type": "Polygon", "coordinates": [RING]}
STRETCH = {"ranges": [{"min": 0, "max": 3000}]}


def params(**more: Any) -> dict[str, Any]:
    return {"assetId": SCENE, **more}


def raw(file_format: str, **more: Any) -> dict[str, Any]:
    return params(fileFormat=file_format, bandIds=RGB, grid=UTM, **more)


def drawn(**options: Any) -> dict[str, Any]:
    return params(fileFormat="PNG", bandIds=RGB, grid=MERCATOR, visualizationOptions=options)


def gridded(**grid: Any) -> dict[str, Any]:
    return params(fileFormat="NPY", bandIds=["B4"], grid=grid)


def within(region: dict[str, Any], **more: Any) -> dict[str, Any]:
    return params(fileFormat="PNG", region=region, **more)


PIXELS = [
    # The example on the reference page of ee.data.getPixels.
    {
        "assetId": S2,
        "fileFormat": "PNG",
        "bandIds": RGB,
        "grid": DEGREES,
        "visualizationOptions": STRETCH,
    },
    params(),
    params(fileFormat=None),
    params(bandIds=[]),
    params(bandIds=None, grid=None, region=None, visualizationOptions=None),
    {"assetId": "USGS/SRTMGL1_003", "fileFormat": "NPY"},
    {"assetId": "users/someone/scene", "fileFormat": "NPY"},
    {"assetId": "projects/demo/assets/scene", "fileFormat": "NPY"},
    {"assetId": "projects/earthengine-public/assets/USGS/SRTMGL1_003", "fileFormat": "NPY"},
    {"assetId": "projects/example.org:my-project/assets/deep/scene", "fileFormat": "NPY"},
    raw("PNG"),
    raw("png"),
    raw("JPEG"),
    raw("jpg"),
    raw("NPY"),
    raw("numpy"),
    raw("NUMPY_NDARRAY"),
    raw("GEO_TIFF"),
    raw("GeoTIFF"),
    raw("ZIPPED_GEO_TIFF"),
    raw("ZIPPED_GEO_TIFF_PER_BAND"),
    raw("TFRecord"),
    raw("auto"),
    raw("NPY", workloadTag="delta-2020"),
    raw("NPY", workloadTag=""),
    drawn(**STRETCH),
    drawn(ranges=[{"min": -1, "max": 1}]),
    drawn(ranges=[{"max": 1}]),
    drawn(ranges=[{"min": 0.05, "max": 0.4}, {"min": 0, "max": 0.3}, {"min": 0, "max": 0.2}]),
    drawn(**STRETCH, gamma=1.4),
    drawn(**STRETCH, gamma={"value": 1.4}),
    drawn(**STRETCH, opacity=0.5),
    drawn(**STRETCH, paletteColors=["000000", "#00ff00", "white"]),
    drawn(gamma=2),
    drawn(),
    gridded(dimensions=SIZE),
    gridded(dimensions={"width": "640", "height": "480"}),
    gridded(affineTransform=TRANSFORM),
    gridded(affineTransform={**TRANSFORM, "shearX": 0.25, "shearY": -0.5}),
    gridded(affineTransform={**TRANSFORM, "scaleY": 10}),
    gridded(affineTransform={"scaleX": "1e-3", "scaleY": "-0.001"}),
    gridded(crsCode="EPSG:4326"),
    gridded(crsCode="epsg:4326"),
    gridded(crsCode="SR-ORG:6974", dimensions=SIZE),
    gridded(crsWkt=WKT, dimensions=SIZE, affineTransform=TRANSFORM),
    gridded(dimensions=SIZE, affineTransform=TRANSFORM),
    within(BOX),
    within(BOX, grid={"dimensions": SIZE}),
    within({**BOX, "evenOdd": True, "geodesic": False}),
    within({"type": "Point", "coordinates": [-121.5, 38.05]}, bandIds=["B4"]),
    within({"type": "MultiPoint", "coordinates": [[-121.5, 38], [-121, 38.5]]}),
    within({"type": "LineString", "coordinates": [[-121.5, 38.0], [-121.0, 38.5]]}),
    within({"type": "MultiPolygon", "coordinates": [[RING], [RING]]}),
    within({"type": "GeometryCollection", "geometries": [BOX, BOX]}),
]


class Recorder(Loopback):
    """Lets `ee` begin, and keeps what is asked of it."""

    async def honest(self, asked: Asked) -> Answer:
        if asked.path.endswith("/$discovery/rest"):
            return json_answer(discovery())
        if asked.path.endswith("/algorithms"):
            listed = resources.files("ee").joinpath("tests/algorithms.json").read_bytes()
            return Answer(listed, 200, {"content-type": "application/json"})
        array = io.BytesIO()
        np.save(array, np.zeros((1, 1), [("other", "<u2")]))
        return Answer(array.getvalue(), 200, {"content-type": "application/octet-stream"})

    def last(self) -> tuple[str, Any]:
        """Return path and body of the last request."""
        asked = self.seen[-1]
        return urlsplit(asked.target).path, asked.json()


def discovery() -> dict[str, Any]:
    """Return the least that `ee` must know of the API."""
    shape, there = {"$ref": "Any"}, {"type": "string", "location": "path", "required": True}

    def method(verb: str, path: str, name: str) -> dict[str, Any]:
        body = {"request": shape} if verb == "POST" else {}
        more = {"parameters": {name: there}, "parameterOrder": [name], "response": shape}
        return {"id": path, "httpMethod": verb, "path": f"v1/{path}", **more, **body}

    def resource(**methods: Any) -> dict[str, Any]:
        return {"methods": methods}

    return {
        "name": "earthengine",
        "version": "v1",
        "rootUrl": "http://127.0.0.1/",
        "servicePath": "",
        "parameters": {"prettyPrint": {"type": "boolean", "location": "query"}},
        "schemas": {"Any": {"id": "Any", "type": "object"}},
        "resources": {
            "projects": {
                "resources": {
                    "algorithms": resource(list=method("GET", "{+parent}/algorithms", "parent")),
                    "assets": resource(getPixels=method("POST", "{+name}:getPixels", "name")),
                    "image": resource(
                        computePixels=method("POST", "{+project}/image:computePixels", "project")
                    ),
                }
            }
        },
    }


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        yield server


@pytest.fixture(scope="module")
def ee(recorder: Recorder) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as environment:
        # It also looks for a list of deprecated assets elsewhere, and goes on without.
        environment.setenv("https_proxy", "http://127.0.0.1:1")
        import ee as client

        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client.Initialize(anonymous, url=recorder.url, project=PROJECT)
        yield client
        client.Reset()


def send_ours(recorder: Recorder, given: dict[str, Any], expression: Any = None) -> None:
    async def send() -> None:
        async with make_client(None, 1) as client:
            source = EarthEngine(client, PROJECT, recorder.url)
            request = request_from_params(given)
            # The recorder's one answer is not what most of the requests ask for.
            with suppress(UpstreamError):
                if expression is None:
                    await source.get_pixels(request)
                else:
                    await source.compute_pixels(expression, request)

    recorder.forget()
    asyncio.run(send())


def meaning(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without what makes no difference, see above."""
    known = {name: value for name, value in body.items() if value not in (None, [], {}, "")}
    if known["fileFormat"] == "AUTO_JPEG_PNG":
        known["fileFormat"] = "PNG"
    if "grid" in known:
        known["grid"] = _grid_meaning(known["grid"])
    if "region" in known:
        known["region"] = {
            name: value
            for name, value in known["region"].items()
            if name not in ("evenOdd", "geodesic")
        }
    if "visualizationOptions" in known:
        known["visualizationOptions"] = _drawn_meaning(known["visualizationOptions"])
    return known


def _grid_meaning(grid: dict[str, Any]) -> dict[str, Any]:
    found = dict(grid)
    for member in ("dimensions", "affineTransform"):
        if member in found:
            numbers = {name: float(value) for name, value in found[member].items()}
            found[member] = {name: value for name, value in numbers.items() if value}
    if "crsCode" in found:
        found["crsCode"] = found["crsCode"].upper()
    return found


def _drawn_meaning(options: dict[str, Any]) -> dict[str, Any]:
    found = dict(options)
    if "ranges" in found:
        ranges = found["ranges"]
        found["ranges"] = [{name: v for name, v in each.items() if v} for each in ranges]
    if isinstance(found.get("gamma"), dict):
        found["gamma"] = found["gamma"]["value"]
    return found


def test_the_table_is_long_enough_and_repeats_nothing() -> None:
    assert len({json.dumps(each) for each in PIXELS}) == len(PIXELS) >= 40


@pytest.mark.parametrize("given", PIXELS, ids=range(len(PIXELS)))
def test_get_pixels_sends_what_the_official_client_sends(
    ee: ModuleType, recorder: Recorder, given: dict[str, Any]
) -> None:
    ee.data.getPixels(given)
    path, body = recorder.last()
    send_ours(recorder, given)
    our_path, our_body = recorder.last()
    assert our_path == path
    assert meaning(our_body) == meaning(body)
    assert our_body["fileFormat"] != "AUTO_JPEG_PNG"


def test_a_rectangle_of_the_official_client_is_sent_alike(
    ee: ModuleType, recorder: Recorder
) -> None:
    given = within(ee.Geometry.Rectangle([-122, 37, -121, 38]).toGeoJSON())
    ee.data.getPixels(given)
    _, body = recorder.last()
    send_ours(recorder, given)
    assert meaning(recorder.last()[1]) == meaning(body)


EXPRESSIONS = {
    "an image": lambda ee: ee.Image("USGS/SRTMGL1_003"),
    "a vegetation index": lambda ee: ee.Image(S2).normalizedDifference(["B8", "B4"]),
    "a picture": lambda ee: ee.Image(S2).visualize(bands=RGB, min=0, max=3000, gamma=1.2),
    "a median": lambda ee: (
        ee.ImageCollection("COPERNICUS/S2")
        .filterDate("2020-04-01", "2020-09-01")
        .filterBounds(ee.Geometry.Point(-121.6, 38.1))
        .filter(ee.Filter.lt("CLOUDY_PIXEL_PERCENTAGE", 20))
        .median()
    ),
    "the least cloudy": lambda ee: (
        ee.ImageCollection("COPERNICUS/S2").sort("CLOUDY_PIXEL_PERCENTAGE").mosaic()
    ),
    "arithmetic": lambda ee: ee.Image(1).add(ee.Image("USGS/SRTMGL1_003").multiply(0.5)).toFloat(),
    "what is used twice": lambda ee: (
        lambda image: image.subtract(image.focal_mean(3)).updateMask(image.gt(0))
    )(ee.Image("USGS/SRTMGL1_003")),
}
COMPUTED = [
    {"fileFormat": "PNG", "grid": MERCATOR},
    {"fileFormat": "NPY", "grid": UTM, "bandIds": ["B4"], "workloadTag": "ndvi"},
    {"grid": DEGREES, "visualizationOptions": {**STRETCH, "gamma": 1.2}},
]


@pytest.mark.parametrize("given", COMPUTED, ids=range(len(COMPUTED)))
@pytest.mark.parametrize("named", EXPRESSIONS)
def test_compute_pixels_sends_what_the_official_client_sends(
    ee: ModuleType, recorder: Recorder, named: str, given: dict[str, Any]
) -> None:
    image = EXPRESSIONS[named](ee)
    ee.data.computePixels({"expression": image, **given})
    path, body = recorder.last()
    send_ours(recorder, {"assetId": "layers/computed", **given}, json.loads(image.serialize()))
    our_path, our_body = recorder.last()
    assert our_path == path == f"/v1/projects/{PROJECT}/image:computePixels"
    assert our_body["expression"] == body["expression"]
    assert meaning(our_body) == meaning(body)
