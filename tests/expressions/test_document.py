"""Layers that are computed: their expressions, what is known of them, and their tiles."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
from google.auth.credentials import AnonymousCredentials
from rasterio import Affine

from tests.clients.test_official_client import PROJECT, Recorder
from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tests.support.standin import StandIn
from tests.support.standin_tokens import TokenServer
from tileserver.config.config import Config, EarthEngineSettings, LayerSettings, load_config
from tileserver.contract.grids import Box
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.earthengine.assets import EarthAssets
from tileserver.earthengine.masks import masked_request
from tileserver.errors import ConfigError, InvalidRequest, UpstreamError
from tileserver.expressions.description import computed_asset
from tileserver.expressions.document import (
    MAX_BYTES,
    REDUCERS,
    Composite,
    Computed,
    call,
    cloud_property,
    constant,
    extended,
    loaded,
    read_expression,
    reference,
    to_text,
)
from tileserver.geo.extents import lonlat_bounds
from tileserver.layers.layers import Layer, LayerDefinition
from tileserver.layers.styles import Style
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app
from tileserver.server.definitions import definitions_of

S2 = "COPERNICUS/S2_SR_HARMONIZED"
PREFIX = f"projects/earthengine-public/assets/{S2}"
DELTA = Box(-122.0, 37.0, -121.5, 38.0)
FIJI = Box(177.0, -20.0, 182.0, -15.0)


@pytest.fixture(scope="module")
def ee() -> Iterator[ModuleType]:
    with Recorder() as recorder, pytest.MonkeyPatch.context() as environment:
        # It also looks for a list of deprecated assets elsewhere, and goes on without.
        environment.setenv("https_proxy", "http://127.0.0.1:1")
        import ee as client

        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client.Initialize(anonymous, url=recorder.url, project=PROJECT)
        yield client
        client.Reset()


def resolved(expression: Any) -> Any:
    """Return an expression as one node, without names."""

    def of(node: Any) -> Any:
        if isinstance(node, list):
            return [of(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "valueReference" in node:
            return of(expression["values"][node["valueReference"]])
        return {key: of(value) for key, value in node.items()}

    return of(expression["values"][expression["result"]])


COMPOSITES = [
    *(Composite(S2, "2020-04-01", "2020-09-01", DELTA, name, 20.0) for name in REDUCERS),
    Composite(S2),
    Composite("projects/my-project/assets/scenes", reducer="median"),
    Composite(S2, "2020-04-01", "2020-09-01"),
    Composite(S2, bounds=FIJI, reducer="first"),
    Composite("LANDSAT/LC09/C02/T1_L2", max_cloud=12.5, reducer="mean"),
]


def official(ee: ModuleType, made: Composite) -> Any:
    images = ee.ImageCollection(made.collection)
    if made.start:
        images = images.filterDate(made.start, made.end)
    if made.bounds:
        images = images.filterBounds(ee.Geometry.Rectangle(list(made.bounds)))
    if made.max_cloud:
        clouds = "CLOUD_COVER" if "LANDSAT" in made.collection else "CLOUDY_PIXEL_PERCENTAGE"
        images = images.filter(ee.Filter.lt(clouds, made.max_cloud))
    return ee.serializer.encode(getattr(images, made.reducer)(), for_cloud_api=True)


@pytest.mark.parametrize("made", COMPOSITES, ids=range(len(COMPOSITES)))
def test_a_composite_is_what_the_official_client_builds(ee: ModuleType, made: Composite) -> None:
    assert resolved(made.expression()) == resolved(official(ee, made))


def test_all_reducers_are_known() -> None:
    nine = {"mosaic", "median", "mean", "min", "max", "first", "mode", "sum", "count"}
    assert set(REDUCERS) == nine


WRITTEN: list[Callable[[ModuleType], Any]] = [
    lambda ee: ee.Image(f"{S2}/x").normalizedDifference(["B8", "B4"]),
    lambda ee: ee.ImageCollection(S2).map(lambda image: image.divide(10000)).median(),
    lambda ee: ee.Image(1).updateMask(ee.Image(2).gt(1)).visualize(palette=["red"]),
    lambda ee: ee.Image.cat([ee.Image(1), ee.Image(2)]).set({"a": ee.Number(2), "b": [ee.Date(0)]}),
    lambda ee: (lambda image: image.subtract(image.focal_mean(3)))(ee.Image(f"{S2}/x")),
]


@pytest.mark.parametrize("make", WRITTEN, ids=range(len(WRITTEN)))
def test_what_the_official_client_writes_is_read(
    ee: ModuleType, make: Callable[[ModuleType], Any]
) -> None:
    text = make(ee).serialize()
    assert read_expression(text.encode()) == json.loads(text)


def test_text_within_json_is_read_too() -> None:
    text = to_text(loaded("a"))
    assert read_expression(json.dumps(text).encode()) == loaded("a")


def document(**values: Any) -> bytes:
    return json.dumps({"result": "0", "values": values}).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected JSON"),
        (b"ee.Image(1)", "expected JSON"),
        (b"\xff", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b" " * (MAX_BYTES + 1), "expected at most 10000000 bytes"),
        (b"[]", "expected an expression"),
        (b'"a"', "expected JSON"),
        (b"{}", "expected an expression"),
        (b'{"type": "CompoundValue", "scope": [], "value": {}}', "form of an old client"),
        (b'{"result": "1", "values": {"0": {"constantValue": 1}}}', "its result one of the values"),
        (b'{"result": 0, "values": {"0": {"constantValue": 1}}}', "its result one of the values"),
        (b'{"result": "0", "values": []}', "its result one of the values"),
        (document(**{"0": 1}), "expected nodes"),
        (document(**{"0": {}}), "expected nodes"),
        (document(**{"0": {"constant": 1}}), "expected nodes"),
        (document(**{"0": {"valueReference": ["0"]}}), "expected nodes"),
        (document(**{"0": {"arrayValue": {"values": [7]}}}), "expected nodes"),
        (document(**{"0": {"functionInvocationValue": {"arguments": {}}}}), "expected nodes"),
        (document(**{"0": {"valueReference": "1"}}), "no value is named '1'"),
        (document(**{"0": {"valueReference": "0"}}), "value '0' depends on itself"),
    ],
)
def test_what_is_no_expression_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        read_expression(content)


@pytest.mark.parametrize(
    ("collection", "name"),
    [
        ("COPERNICUS/S2", "CLOUDY_PIXEL_PERCENTAGE"),
        (PREFIX, "CLOUDY_PIXEL_PERCENTAGE"),
        ("LANDSAT/LC08/C02/T1_TOA", "CLOUD_COVER"),
    ],
)
def test_clouds_are_told_by_a_property_of_the_collection(collection: str, name: str) -> None:
    assert cloud_property(collection) == name


def test_an_expression_is_extended_without_touching_its_own_names() -> None:
    image = {"result": "_bands", "values": {"_bands": constant(1), "__": reference("_bands")}}
    more = {"bands": call("f", of=reference("image")), "end": call("g", of=reference("bands"))}
    found = extended(image, more, "end")
    assert resolved(found) == call("g", of=call("f", of=constant(1)))
    assert resolved({**found, "result": "__"}) == constant(1)


def test_the_version_is_that_of_the_expression() -> None:
    versions = {
        Computed(to_text(each.expression())).version
        for each in (Composite(S2), Composite(S2), replace(COMPOSITES[0], max_cloud=21.0))
    }
    assert len(versions) == 2
    turned = {"values": loaded("a")["values"], "result": "0"}
    assert to_text(turned) == to_text(loaded("a"))


def described(**more: Any) -> dict[str, Any]:
    data_type = {"type": "PixelType", "precision": "int", "min": 0, "max": 65535}
    place = {"crs": "EPSG:4326", "crs_transform": [1, 0, 0, 0, 1, 0]}
    return {"type": "Image", "bands": [{"id": "B4", "data_type": data_type, **place, **more}]}


UTM: dict[str, Any] = {
    "dimensions": [700, 600],
    "crs": "EPSG:32610",
    "crs_transform": [30, 0, 500_000, 0, -30, 4_200_000],
}


def test_an_image_with_dimensions_has_its_own_grid() -> None:
    asset = computed_asset("x", Computed("{}"), described(**UTM))
    assert (asset.common_grid.width, asset.common_grid.height, asset.common_grid.crs_code) == (
        700,
        600,
        "EPSG:32610",
    )
    assert asset.common_grid.transform.translate_x == 500_000
    assert [band.dtype for band in asset.bands] == [np.dtype("uint16")]


def test_an_image_begins_at_its_origin() -> None:
    asset = computed_asset("x", Computed("{}"), described(**UTM, origin=[10, 20]))
    t = asset.common_grid.transform
    assert (t.translate_x, t.translate_y) == (500_300, 4_199_400)
    assert (asset.common_grid.width, asset.common_grid.height) == (700, 600)


def test_bounds_cut_an_image_to_pixels_of_its_own() -> None:
    whole = computed_asset("x", Computed("{}"), described(**UTM))
    bounds = Box(-122.98, 37.9, -122.9, 37.92)
    asset = computed_asset("x", Computed("{}", bounds), described(**UTM))
    assert asset.common_grid.width < 300
    assert asset.common_grid.height < 100
    t, native = asset.common_grid.transform, whole.common_grid.transform
    assert (t.translate_x - native.translate_x) % 30 == 0
    west, south, east, north = lonlat_bounds(asset)
    assert west <= bounds[0]
    assert south <= bounds[1]
    assert east >= bounds[2]
    assert north >= bounds[3]


@pytest.mark.parametrize("bounds", [Box(0.0, 0.0, 1.0, 1.0), Box(-100.0, 37.0, -99.0, 38.0)])
def test_bounds_that_miss_the_image_are_an_error(bounds: Box) -> None:
    with pytest.raises(UpstreamError, match="nothing of the image lies within its bounds"):
        computed_asset("x", Computed("{}", bounds), described(**UTM))


@pytest.mark.parametrize("bounds", [DELTA, Box(-180.0, -60.0, 180.0, 60.0), FIJI])
def test_a_composite_lies_within_its_bounds(bounds: Box) -> None:
    asset = computed_asset("x", Computed("{}", bounds), described())
    west, south, east, north = bounds
    wrapped = (west, south, east - 360 if east > 180 else east, north)
    assert lonlat_bounds(asset) == pytest.approx(wrapped, abs=1e-4)


def test_a_composite_without_bounds_lies_everywhere() -> None:
    asset = computed_asset("x", Computed("{}"), described())
    layer = Layer(LayerDefinition("x", "x"), asset, Style())
    assert layer.bounds == pytest.approx((-180, -85.05113, 180, 85.05113), abs=1e-4)
    assert layer.maxzoom == 14
    assert layer.shows(tile_grid(Tile(0, 0, 0)))
    assert layer.shows(tile_grid(Tile(4095, 4095, 12)))


@pytest.mark.parametrize("zoom", [0, 5, 11, 24])
def test_the_full_zoom_of_a_composite_is_as_set(zoom: int) -> None:
    asset = computed_asset("x", Computed("{}", DELTA, zoom), described())
    assert Layer(LayerDefinition("x", "x"), asset, Style()).maxzoom == zoom


@pytest.mark.parametrize(
    ("description", "came"),
    [
        (None, "got nothing"),
        (7, "got nothing"),
        ({"type": "ImageCollection", "bands": []}, "got ImageCollection"),
        ({"type": "Image", "bands": []}, "got one without; does the collection hold any"),
        (described(data_type={}), "got one without"),
        (described(dimensions=[0, 0]), "got one without"),
    ],
)
def test_what_is_described_as_no_image_is_refused(description: Any, came: str) -> None:
    with pytest.raises(UpstreamError, match=f"expected an image with bands, {came}"):
        computed_asset("x", Computed("{}"), description)


def test_an_image_is_described_once_however_old_that_is() -> None:
    class Source:
        asked = 0

        async def get_asset(self, name: str) -> Any:
            raise AssertionError(name)

        async def compute_value(self, expression: Any, name: str) -> Any:
            self.asked += 1
            assert (expression, name) == (loaded("a"), "x")
            return described(**UTM)

    async def scenario() -> int:
        now_s, source = [0.0], Source()
        computed = Computed(to_text(loaded("a")))
        assets = EarthAssets(source, 60, lambda: now_s[0], {"x": computed})
        assert (await assets.get_asset("x")).version == computed.version
        now_s[0] = 1e6
        await assets.get_asset("x")
        # A refresh would begin behind the back of the request.
        await asyncio.sleep(0.01)
        return source.asked

    assert asyncio.run(scenario()) == 1


def test_masks_are_asked_of_the_expression_itself() -> None:
    asset = computed_asset("x", Computed("{}"), described())
    image = to_text(COMPOSITES[0].expression())
    asked = masked_request(PixelRequest("x", expression=image), asset.common_grid, ["B4"])
    found = resolved(json.loads(asked.expression or ""))["functionInvocationValue"]
    bands = found["arguments"]["dstImg"]["functionInvocationValue"]["arguments"]
    assert bands["input"] == resolved(COMPOSITES[0].expression())


FILES = [
    ("", "cannot be read: No such file or directory"),
    ("{", "expected JSON, as ee.Image.serialize() writes it"),
    ("[1]", 'expected an expression, {"result": …, "values": {…}}'),
    (" " * (MAX_BYTES + 1), "expected at most 10000000 bytes, it has more"),
]


@pytest.mark.parametrize(("content", "reason"), FILES, ids=range(len(FILES)))
def test_a_wrong_file_is_named_with_its_layer(tmp_path: Path, content: str, reason: str) -> None:
    if content:
        (tmp_path / "ndvi.json").write_text(content)
    config = tmp_path / "tileserver.toml"
    config.write_text(
        '[earth_engine]\nproject = "my-project"\n[layers.ndvi]\nexpression = "ndvi.json"\n'
    )
    with pytest.raises(ConfigError) as caught:
        definitions_of(load_config(config, {}, {}), Catalogue([]))
    path = tmp_path / "ndvi.json"
    assert str(caught.value).startswith(f"[layers.ndvi] expression: {path}: {reason}")


# The layers themselves, from a stand-in for Earth Engine.

PLACE = Affine(0.001, 0, -122.0, 0, -0.001, 38.0)
SIDE = 200
CENTRE = "lon=-121.9&lat=37.9"
SCENES = {"a": ("2020-04-05", 5), "b": ("2020-04-20", 10), "c": ("2020-05-05", 15)}
"""Names of scenes with their day and clouds, which go into one composite; three more do not."""
OTHERS = {"cloudy": ("2020-04-06", 80), "far": ("2020-04-07", 1), "late": ("2020-09-01", 1)}
BOX = Box(-122.0, 37.8, -121.8, 38.0)


def scene_values(name: str) -> Any:
    rng = np.random.default_rng(sum(name.encode()))
    return rng.integers(1, 5000, (2, SIDE, SIDE)).astype("uint16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes")
    for name, (day, clouds) in {**SCENES, **OTHERS}.items():
        mask = np.ones((SIDE, SIDE), bool)
        # Nothing is valid in the north-western corner, and one scene less south of it.
        mask[:20, :20] = False
        mask[20:60] = name != "a"
        west = -112.0 if name == "far" else PLACE.c
        place = Affine(PLACE.a, 0, west, 0, PLACE.e, PLACE.f)
        values = scene_values(name)
        write_raster(path / f"{name}.tif", values, "EPSG:4326", place, mask=mask, overviews=())
        facts = {
            "bands": [{"id": "B4"}, {"id": "B8"}],
            "startTime": f"{day}T18:00:00Z",
            "properties": {"CLOUDY_PIXEL_PERCENTAGE": clouds},
        }
        (path / f"{name}.json").write_text(json.dumps(facts))
    return path


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    with TokenServer() as server, pytest.MonkeyPatch.context() as environment:
        key = server.write_service_account(tmp_path_factory.mktemp("keys") / "key.json")
        environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        yield server


@pytest.fixture
def engine(folder: Path, tokens: TokenServer) -> Iterator[StandIn]:
    with StandIn(Root(str(folder), PREFIX), accepts=tokens.accepts) as server:
        yield server


MEDIAN = LayerSettings(
    "median",
    collection=S2,
    start="2020-04-01",
    end="2020-09-01",
    bounds=BOX,
    reduce="median",
    max_cloud=50,
    bands=("B8",),
    min=(0,),
    max=(5000,),
)


@pytest.fixture
def client(engine: StandIn, tmp_path: Path) -> Iterator[httpx.Client]:
    bands = constant(["B8", "B4"])
    index = call("Image.normalizedDifference", input=reference("image"), bandNames=bands)
    image = extended(loaded(f"{S2}/b"), {"index": index}, "index")
    (tmp_path / "ndvi.json").write_text(to_text(image))
    (tmp_path / "gone.json").write_text(to_text(loaded(f"{S2}/gone")))
    layers = (
        MEDIAN,
        LayerSettings("ndvi", expression=str(tmp_path / "ndvi.json")),
        LayerSettings("none", collection=S2, start="1999-01-01", end="1999-01-02"),
        LayerSettings("gone", expression=str(tmp_path / "gone.json")),
        *(
            replace(MEDIAN, name=name, reduce=name)
            for name in ("mosaic", "mean", "min", "max", "first", "sum", "count")
        ),
    )
    settings = EarthEngineSettings("my-project", engine.url)
    with (
        serve(create_app(Config(earth_engine=settings, layers=layers))) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client


def within(tile: Tile) -> tuple[Any, Any]:
    """Return columns and rows of the scenes that a tile's pixels show."""
    grid = tile_grid(tile)
    x = grid.transform.translate_x + (np.arange(256) + 0.5) * grid.transform.scale_x
    y = grid.transform.translate_y + (np.arange(256) + 0.5) * grid.transform.scale_y
    lons = np.degrees(x / 6378137)
    lats = np.degrees(np.arctan(np.sinh(y / 6378137)))
    columns = np.floor((lons - PLACE.c) / PLACE.a).astype(int)
    rows = np.floor((lats - PLACE.f) / PLACE.e).astype(int)
    return np.meshgrid(columns, rows)


def composed(name: str, columns: Any, rows: Any) -> Any:
    """Return what a reducer makes of B8 of the scenes that pass, by NumPy."""
    stack = np.stack([scene_values(each)[1][rows, columns] for each in SCENES]).astype(float)
    match name:
        case "mosaic":
            return stack[-1]
        case "first":
            return stack[0]
        case "count":
            return np.full_like(stack[0], len(SCENES))
        case "mode":
            # Of three in order: the two that are the same, or else the smallest.
            low, middle, high = np.sort(stack, axis=0)
            return np.where(middle == high, middle, low)
    return getattr(np, name)(stack, axis=0)


TILE = Tile(1321, 3163, 13)
"""Wholly within the scenes, where all but one are valid."""


def read(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return np.load(io.BytesIO(response.content))


def address(layer: str, tile: Tile, ending: str = "npy") -> str:
    return f"/tiles/{layer}/{tile.z}/{tile.x}/{tile.y}.{ending}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mosaic", "median", "mean", "min", "max", "first", "sum", "count"]
)
def test_a_composite_is_made_of_the_scenes_that_pass(client: httpx.Client, name: str) -> None:
    columns, rows = within(TILE)
    assert columns.min() >= 0
    assert rows.min() >= 60
    assert max(columns.max(), rows.max()) < SIDE
    found = read(client.get(address(name, TILE)))
    assert found.dtype.names == ("B4", "B8")
    np.testing.assert_allclose(found["B8"], composed(name, columns, rows))


def test_a_view_of_a_composite_is_one_description_and_one_block(
    client: httpx.Client, engine: StandIn
) -> None:
    x, y, z = TILE
    tiles = [Tile(x - x % 4 + i, y - y % 4 + j, z) for i in range(4) for j in range(4)]
    answers = [client.get(address("median", tile, "png")) for tile in tiles]
    assert {answer.status_code for answer in answers} == {200}
    assert engine.count("compute") == 1
    assert engine.count("computePixels") == 1
    assert engine.count("getAsset") == engine.count("getPixels") == 0
    sent = [asked.json()["expression"] for asked in engine.seen if asked.kind]
    wanted = resolved(Composite(S2, "2020-04-01", "2020-09-01", BOX, "median", 50).expression())
    assert [resolved(each) for each in sent] == [wanted] * 2


def test_nothing_outside_the_bounds_is_asked(client: httpx.Client, engine: StandIn) -> None:
    layers = {each["name"]: each for each in client.get("/layers").json()["layers"]}
    assert layers["median"]["bounds"] == pytest.approx(BOX, abs=1e-3)
    assert layers["median"]["maxzoom"] == 14
    asked = engine.pixel_requests
    found = client.get(address("median", Tile(0, 0, 5), "png"))
    assert found.status_code == 200
    assert engine.pixel_requests == asked


def test_an_expression_is_drawn_with_a_stretch_of_its_own(
    client: httpx.Client, engine: StandIn
) -> None:
    columns, rows = within(TILE)
    red, infrared = scene_values("b")[:, rows, columns].astype(float)
    found = read(client.get(address("ndvi", TILE)))
    np.testing.assert_allclose(found["nd"], (infrared - red) / (infrared + red), rtol=1e-6)
    info = client.get("/info/ndvi").json()
    assert info["style"]["bands"] == ["nd"]
    low, high = info["style"]["min"], info["style"]["max"]
    assert -1 < low < -0.8
    assert 0.8 < high < 1
    assert info["bands"][0]["crs"] == "EPSG:4326"
    assert info["asset"] == "projects/my-project/expressions/ndvi"
    assert client.get(address("ndvi", TILE, "png")).headers["content-type"] == "image/png"
    assert engine.count("compute") == 1


def test_a_point_of_an_expression_is_one_pixel_and_null_where_masked(
    client: httpx.Client, engine: StandIn
) -> None:
    client.get("/info/ndvi")
    before = engine.pixel_requests
    values = client.get(f"/point/ndvi?{CENTRE}").json()["values"]
    assert engine.pixel_requests == before + 1
    assert values["nd"] is not None
    assert client.get("/point/ndvi?lon=-121.995&lat=37.995").json()["values"] == {"nd": None}
    assert client.get("/point/median?lon=-121.995&lat=37.995").json()["values"] == {
        "B4": None,
        "B8": None,
    }


def test_statistics_of_a_composite_are_those_of_the_scenes(client: httpx.Client) -> None:
    found = client.get("/statistics/max?bands=B8").json()["B8"]
    stack = np.stack([scene_values(each)[1] for each in SCENES])[:, 60:]
    assert found["mean"] == pytest.approx(stack.max(axis=0).mean(), rel=0.03)


def test_an_expression_can_be_asked_by_the_name_made_up_for_it(client: httpx.Client) -> None:
    name = "projects/my-project/expressions/ndvi"
    by_layer, by_name = (read(client.get(address(each, TILE))) for each in ("ndvi", name))
    np.testing.assert_array_equal(by_layer, by_name)


def test_what_cannot_be_computed_is_no_fault_of_the_client(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    empty = client.get(address("none", TILE, "png"))
    assert empty.status_code == 502
    assert "does the collection hold any" in empty.text
    assert client.get(address("gone", TILE, "png")).status_code == 404
    names = {each["name"] for each in client.get("/layers").json()["layers"]}
    assert {"median", "ndvi"} <= names
    assert not {"none", "gone"} & names
    assert "layer none is left out" in caplog.text


def test_an_unknown_function_is_a_bad_upstream(engine: StandIn, tmp_path: Path) -> None:
    image = extended(
        loaded(f"{S2}/a"), {"odd": call("Image.mystery", input=reference("image"))}, "odd"
    )
    (tmp_path / "odd.json").write_text(to_text(image))
    layers = (LayerSettings("odd", expression=str(tmp_path / "odd.json")),)
    settings = EarthEngineSettings("my-project", engine.url)
    with serve(create_app(Config(earth_engine=settings, layers=layers))) as url:
        found = httpx.get(url + address("odd", TILE, "png"), trust_env=False, timeout=60)
    assert found.status_code == 502
    assert "cannot compute it: Unrecognized function 'Image.mystery'" in found.text
