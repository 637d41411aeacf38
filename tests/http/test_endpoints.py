from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import mercantile
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.contract.tiles import Tile
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app
from tileserver.server.get_pixels import DEMO, find_config

DEMO_ASSET = "projects/localhost/assets/landsat7_great_salt_lake"
ROUTES = [
    "/",
    "/layers",
    "/tiles/sierra-nevada/8/43/99.png",
    "/tiles/sierra-nevada/8/43/99.npy",
    "/tilejson/sierra-nevada.json",
    "/info/sierra-nevada",
    "/point/sierra-nevada?lon=-118.3&lat=36.6",
    "/statistics/sierra-nevada",
    "/preview/sierra-nevada.png?width=64",
    "/legend/sierra-nevada.svg",
    "/colormaps",
    "/healthz",
]
ERRORS = [
    ("/tiles/nothing/0/0/0.png", 404),
    ("/tiles/sierra-nevada/25/0/0.png", 404),
    ("/tiles/sierra-nevada/2/4/0.png", 404),
    ("/tiles/sierra-nevada/2/0/0.gif", 400),
    ("/tiles/sierra-nevada/2/0/0", 400),
    ("/tiles/sierra-nevada/two/0/0.png", 400),
    ("/tiles/sierra-nevada/2/0/0@3x.png", 400),
    ("/tiles/sierra-nevada/8/43/99.png?maximum=3", 400),
    ("/tiles/sierra-nevada/8/43/99.png?bands=B9", 400),
    ("/tilejson/nothing.json", 404),
    ("/info/nothing", 404),
    ("/point/sierra-nevada", 400),
    ("/point/sierra-nevada?lon=500&lat=0", 400),
    ("/statistics/sierra-nevada?bbox=1,2", 400),
    ("/preview/sierra-nevada.png?width=5000", 400),
    ("/preview/sierra-nevada", 400),
    ("/legend/nothing.svg", 404),
    ("/layers?after=nothing", 400),
    ("/nowhere", 404),
]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bands of noise in degrees, west 10, north 50, pixels of 0.01 degrees; some masked."""
    mask = np.random.default_rng(1).random((300, 400)) < 0.8
    path = tmp_path_factory.mktemp("scenes") / "scene.tif"
    place = Affine(0.01, 0.0, 10.0, 0.0, -0.01, 50.0)
    return write_raster(path, noise(2, 300, 400, "int16"), "EPSG:4326", place, mask=mask)


@pytest.fixture(scope="module")
def client(scene: Path) -> Iterator[httpx.Client]:
    """A client of a real server of the demo and the scene, on loopback."""
    app = create_app(find_config(None, {}, {}), [Root(str(scene))])
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def layers(client: httpx.Client) -> dict[str, Any]:
    return {each["name"]: each for each in client.get("/layers").json()["layers"]}


def version(client: httpx.Client, name: str) -> str:
    url: str = layers(client)[name]["tiles"]
    return parse_qs(urlsplit(url).query)["v"][0]


# Headers


@pytest.mark.parametrize("route", ROUTES)
def test_every_answer_has_its_length_a_strong_etag_and_cors(
    client: httpx.Client, route: str
) -> None:
    with client.stream("GET", route) as response:
        sent = b"".join(response.iter_raw())
    assert response.status_code == 200
    headers = response.headers
    assert int(headers["content-length"]) == len(sent) > 0
    assert re.fullmatch(r'"[0-9a-f]+"', headers["etag"])
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"]
    assert headers["x-request-id"]
    # Texts of the page are compressed for those who take that.
    assert headers.get("vary") == ("accept-encoding" if route == "/" else None)
    assert "server" not in headers


@pytest.mark.parametrize("route", ROUTES)
def test_head_is_get_without_a_body(client: httpx.Client, route: str) -> None:
    changing = {"date", "x-request-id", "server-timing", "cache-status"}
    answers = [client.get(route), client.head(route)]
    got, head = ({k: v for k, v in a.headers.items() if k not in changing} for a in answers)
    assert (answers[1].status_code, answers[1].content) == (200, b"")
    assert head == got


@pytest.mark.parametrize("route", ROUTES)
def test_what_a_client_holds_already_is_not_sent_again(client: httpx.Client, route: str) -> None:
    etag = client.get(route).headers["etag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}', f'W/"a",W/{etag} , "b"'):
        response = client.get(route, headers={"if-none-match": held})
        assert (held, response.status_code, response.content) == (held, 304, b"")
        assert response.headers["etag"] == etag
        assert response.headers["cache-control"]
        assert response.headers["access-control-allow-origin"] == "*"
    for held in ('"other"', etag.strip('"'), "nonsense"):
        assert client.get(route, headers={"if-none-match": held}).status_code == 200


def test_any_etag_is_matched_by_a_star(client: httpx.Client) -> None:
    for route in ROUTES[1:]:
        response = client.get(route, headers={"if-none-match": "*"})
        assert (route, response.status_code) == (route, 304)


@pytest.mark.parametrize(("route", "status"), ERRORS)
def test_an_error_is_one_line_that_no_cache_keeps(
    client: httpx.Client, route: str, status: int
) -> None:
    response = client.get(route)
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-store"
    # Any other name or path may be that of an asset, of which other origins learn nothing.
    shared = None if "/nothing" in route or route == "/nowhere" else "*"
    assert response.headers.get("access-control-allow-origin") == shared
    assert "etag" not in response.headers
    if route.startswith(("/tiles/", "/preview/", "/legend/")):
        assert response.headers["content-type"].startswith("text/plain")
        assert response.text.strip()
        assert "\n" not in response.text
    else:
        error = response.json()["error"]
        assert error["status"] == status
        assert error["message"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("route", ["/layers", "/tiles/sierra-nevada/0/0/0.png", "/"])
def test_other_methods_are_refused(client: httpx.Client, method: str, route: str) -> None:
    response = client.request(method, route)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("route", [*ROUTES, "/"])
def test_a_preflight_is_granted_for_layers_and_the_page(client: httpx.Client, route: str) -> None:
    asked = {"origin": "https://dash.example.org", "access-control-request-method": "GET"}
    response = client.options(route, headers=asked)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "GET" in response.headers["access-control-allow-methods"]
    assert "If-None-Match" in response.headers["access-control-allow-headers"]


@pytest.mark.parametrize("route", ["/preview/{}.png", "/statistics/{}", "/crop/{}.tif"])
def test_pages_of_other_origins_may_post_areas(client: httpx.Client, route: str) -> None:
    asked = {
        "origin": "https://dash.example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    headers = client.options(route.format("sierra-nevada"), headers=asked).headers
    assert "POST" in headers["access-control-allow-methods"]
    assert "Content-Type" in headers["access-control-allow-headers"]
    tiles = client.options("/tiles/sierra-nevada/0/0/0.png", headers=asked).headers
    assert "POST" not in tiles["access-control-allow-methods"]


def test_a_request_id_is_repeated_if_it_is_harmless_and_made_if_not(client: httpx.Client) -> None:
    for given in ("abc-1.Z_", "a" * 64):
        headers = client.get("/healthz", headers={"x-request-id": given}).headers
        assert headers["x-request-id"] == given
    made = {client.get("/healthz").headers["x-request-id"] for _ in range(3)}
    for bad in ("a" * 65, "a b", "<script>", "x\ty", "x;y"):
        made.add(client.get("/healthz", headers={"x-request-id": bad}).headers["x-request-id"])
    assert len(made) == 8
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in made)


def test_a_url_with_the_current_version_is_kept_for_ever_and_others_are_not(
    client: httpx.Client,
) -> None:
    current = version(client, "sierra-nevada")
    for route in ("/tiles/sierra-nevada/8/43/99.png", "/legend/sierra-nevada.svg"):
        kept = client.get(route, params={"v": current}).headers["cache-control"]
        assert "immutable" in kept
        assert "max-age=31536000" in kept
        for params in ({}, {"v": "another"}, {"v": current, "max": "1700"}):
            passing = client.get(route, params=params).headers["cache-control"]
            assert "immutable" not in passing
            assert "stale-while-revalidate" in passing
    held = client.get("/tiles/sierra-nevada/8/43/99.png").headers["etag"]
    assert held == client.get(f"/tiles/sierra-nevada/8/43/99.png?v={current}").headers["etag"]


def test_the_cache_status_tells_a_miss_from_a_hit(client: httpx.Client) -> None:
    route = "/tiles/sierra-nevada/8/43/99.png?gamma=1.23"
    first, second = client.get(route), client.get(route)
    assert first.headers["cache-status"] == "tileserver; fwd=miss; stored"
    assert second.headers["cache-status"] == "tileserver; hit"
    assert first.content == second.content
    assert re.fullmatch(r"pixels;dur=\d+\.\d, cache;desc=miss", first.headers["server-timing"])
    assert re.fullmatch(r"pixels;dur=\d+\.\d, cache;desc=hit", second.headers["server-timing"])
    outside = client.get("/tiles/sierra-nevada/8/0/0.png").headers["server-timing"]
    assert outside == "pixels;dur=0.0, cache;desc=outside"


def test_every_url_handed_out_bears_the_version_and_works(client: httpx.Client) -> None:
    for name, layer in layers(client).items():
        told = client.get(f"/tilejson/{quote(name)}.json").json()
        assert told["tiles"] == [layer["tiles"]]
        assert parse_qs(urlsplit(layer["tiles"]).query)["v"]
        url = layer["tiles"].format(z=0, x=0, y=0)
        response = client.get(url)
        assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
        assert "immutable" in response.headers["cache-control"]


def test_urls_name_the_host_the_client_used(client: httpx.Client) -> None:
    host = {"host": "LocalHost:8443"}
    listed = client.get("/layers", headers=host).json()["layers"]
    assert all(each["tiles"].startswith("http://LocalHost:8443/tiles/") for each in listed)
    refused = client.get("/layers", headers={"host": 'evil"><script>'})
    assert refused.status_code == 400


def test_urls_name_the_public_address_when_there_is_one() -> None:
    config = find_config(DEMO, {}, {"server.public_url": "https://maps.example.org/eo"})
    with serve(create_app(config)) as url:
        listed = httpx.get(f"{url}/layers", timeout=60).json()["layers"]
    assert listed
    assert all(each["tiles"].startswith("https://maps.example.org/eo/tiles/") for each in listed)


# Tiles


@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize(
    ("suffix", "media_type", "mode"),
    [
        ("png", "image/png", {"RGB", "RGBA"}),
        ("jpg", "image/jpeg", {"RGB"}),
        ("webp", "image/webp", {"RGB", "RGBA"}),
    ],
)
def test_a_tile_of_the_demo_opens_in_pillow(
    client: httpx.Client, suffix: str, media_type: str, mode: set[str], size: int
) -> None:
    scale = "@2x" if size == 512 else ""
    response = client.get(f"/tiles/great-salt-lake/9/95/192{scale}.{suffix}")
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    with Image.open(io.BytesIO(response.content)) as image:
        image.load()
        assert (image.size, image.mode in mode) == ((size, size), True)
        assert len(image.convert("RGB").getcolors(2**20) or ()) > 1000


@pytest.mark.parametrize("size", [256, 512])
def test_an_npy_tile_has_a_field_a_band_of_values_as_stored(
    client: httpx.Client, size: int
) -> None:
    scale = "@2x" if size == 512 else ""
    route = f"/tiles/great-salt-lake/9/95/192{scale}.npy"
    array = np.load(io.BytesIO(client.get(route).content))
    assert array.shape == (size, size)
    assert array.dtype.names == ("B1", "B2", "B3", "B4", "B5", "B6_VCID_2", "B7")
    styled = np.load(io.BytesIO(client.get(f"{route}?min=3&max=4&gamma=2").content))
    np.testing.assert_array_equal(array, styled)
    few = np.load(io.BytesIO(client.get(f"{route}?bands=B7,B1").content))
    assert few.dtype.names == ("B7", "B1")
    np.testing.assert_array_equal(few["B7"], array["B7"])


def test_an_npy_tile_is_the_raster_at_the_middle_of_each_pixel(
    client: httpx.Client, scene: Path
) -> None:
    array = np.load(io.BytesIO(client.get("/tiles/scene/11/1091/694.npy").content))
    west, _, east, _ = mercantile.bounds(Tile(1091, 694, 11))
    lons = west + (np.arange(256) + 0.5) / 256 * (east - west)
    turned = np.pi * (1 - 2 * (694 + (np.arange(256) + 0.5) / 256) / 2**11)
    lats = np.degrees(np.arctan(np.sinh(turned)))
    with rasterio.open(scene) as dataset:
        places = [(lon, lat) for lat in lats[::8] for lon in lons[::8]]
        samples = np.array([s.filled(0) for s in dataset.sample(places, masked=True)])
    assert samples.any()
    for band, name in enumerate(("b1", "b2")):
        np.testing.assert_array_equal(array[name][::8, ::8].ravel(), samples[:, band])


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg", "npy"])
def test_outside_the_asset_a_tile_is_of_nothing(client: httpx.Client, suffix: str) -> None:
    response = client.get(f"/tiles/sierra-nevada/9/400/100.{suffix}")
    assert response.status_code == 200
    if suffix == "npy":
        array = np.load(io.BytesIO(response.content))
        assert (array.shape, array["elevation"].any()) == ((256, 256), np.False_)
        return
    assert response.headers["cache-status"] == "tileserver; hit; detail=outside"
    with Image.open(io.BytesIO(response.content)) as image:
        pixels = np.array(image.convert("RGBA"))
    assert pixels.shape == (256, 256, 4)
    assert suffix == "jpg" or not pixels[..., 3].any()
    others = [f"/tiles/sierra-nevada/9/401/100.{suffix}", f"/tiles/scene/9/0/0.{suffix}"]
    assert {client.get(other).content for other in others} == {response.content}


def test_style_parameters_change_the_picture(client: httpx.Client) -> None:
    route = "/tiles/sierra-nevada/8/43/99.png"
    queries = ["", "?palette=viridis", "?palette=000,fff", "?max=1000", "?gamma=2", "?opacity=0.5"]
    assert len({client.get(route + query).content for query in queries}) == len(queries)
    black = client.get(f"{route}?min=100000&max=100001&palette=000000,ffffff").content
    with Image.open(io.BytesIO(black)) as image:
        assert not np.array(image.convert("RGB")).any()


def test_an_asset_is_served_under_its_own_name_too(client: httpx.Client) -> None:
    style = "bands=B3,B2,B1&min=20&max=140&gamma=1.3"
    by_name = client.get(f"/tiles/{DEMO_ASSET}/9/95/192.png?{style}")
    by_layer = client.get("/tiles/great-salt-lake/9/95/192.png")
    assert by_name.content == by_layer.content
    assert client.get(f"/info/{DEMO_ASSET}").json()["asset"] == DEMO_ASSET
    assert client.get(f"/tilejson/{DEMO_ASSET}.json").status_code == 200


# Documents and questions


def test_layers_are_paged(client: httpx.Client) -> None:
    names: list[str] = []
    url: str | None = "/layers?limit=4"
    while url is not None:
        page = client.get(url).json()
        assert 0 < len(page["layers"]) <= 4
        names += [each["name"] for each in page["layers"]]
        url = page["next"]
    assert names == list(layers(client))
    assert names[0] == "scene"
    assert len(names) == 9


def test_info_tells_what_rasterio_does(client: httpx.Client, scene: Path) -> None:
    info = client.get("/info/scene").json()
    with rasterio.open(scene) as dataset:
        assert (info["width"], info["height"]) == (dataset.width, dataset.height)
        assert info["bounds"] == pytest.approx(list(dataset.bounds))
        assert [band["data_type"] for band in info["bands"]] == list(dataset.dtypes)
        assert {band["crs"] for band in info["bands"]} == {str(dataset.crs)}
        assert info["overviews"] == dataset.overviews(1)


def test_a_point_is_what_rasterio_samples(client: httpx.Client, scene: Path) -> None:
    rng = np.random.default_rng(5)
    places = list(zip(rng.uniform(10, 14, 25), rng.uniform(47, 50, 25), strict=True))
    with rasterio.open(scene) as dataset:
        samples = list(dataset.sample(places, masked=True))
    for (lon, lat), sample in zip(places, samples, strict=True):
        answer = client.get("/point/scene", params={"lon": lon, "lat": lat}).json()
        values = dict(zip(("b1", "b2"), sample.tolist(), strict=True))
        assert answer == {"lon": lon, "lat": lat, "values": values}
    beside = client.get("/point/scene?lon=-60&lat=0&bands=b2").json()
    assert beside["values"] == {"b2": None}


@pytest.mark.parametrize("bbox", [None, (10.5, 48.0, 12.0, 49.0)])
def test_statistics_are_numpys(
    client: httpx.Client, scene: Path, bbox: tuple[float, ...] | None
) -> None:
    params = {} if bbox is None else {"bbox": ",".join(map(str, bbox))}
    answer = client.get("/statistics/scene", params=params).json()
    with rasterio.open(scene) as dataset:
        window = None if bbox is None else dataset.window(*bbox).round_offsets().round_lengths()
        bands = dataset.read(window=window, masked=True)
    assert list(answer) == ["b1", "b2"]
    for name, band in zip(("b1", "b2"), bands, strict=True):
        values = band.compressed().astype(float)
        figures = answer[name]
        assert (figures["min"], figures["max"]) == (values.min(), values.max())
        assert figures["count"] == values.size
        assert figures["mean"] == pytest.approx(values.mean())
        assert figures["std"] == pytest.approx(values.std())
        assert figures["valid_percent"] == pytest.approx(100 * values.size / band.size, abs=1e-3)
        assert figures["percentile_2"] == pytest.approx(np.percentile(values, 2))
        assert figures["percentile_98"] == pytest.approx(np.percentile(values, 98))
        counts, edges = figures["histogram"]
        expected, _ = np.histogram(values, bins=edges)
        assert counts == expected.tolist()
        assert sum(counts) == values.size


@pytest.mark.parametrize(
    ("query", "longest"),
    [("", 512), ("?width=64", 64), ("?height=64", 64), ("?height=64&width=32", 64)],
)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "npy"])
def test_a_preview_has_the_size_asked_for(
    client: httpx.Client, suffix: str, query: str, longest: int
) -> None:
    response = client.get(f"/preview/great-salt-lake.{suffix}{query}")
    assert response.status_code == 200
    if suffix == "npy":
        height, width = np.load(io.BytesIO(response.content)).shape
    else:
        with Image.open(io.BytesIO(response.content)) as image:
            width, height = image.size
    # The scene is a little higher than wide.
    assert longest == (width if query == "?width=64" else height)
    assert width == pytest.approx(height * 0.89, rel=0.02) or (width, height) == (32, 64)


def test_a_preview_of_a_box_is_the_picture_of_that_place(client: httpx.Client) -> None:
    west, south, east, north = mercantile.bounds(Tile(95, 192, 9))
    box = f"bbox={west},{south},{east},{north}&width=256&height=256"
    preview = client.get(f"/preview/great-salt-lake.png?{box}").content
    tile = client.get("/tiles/great-salt-lake/9/95/192.png").content
    pictures = [np.array(Image.open(io.BytesIO(each)).convert("RGB")) for each in (preview, tile)]
    assert (pictures[0] == pictures[1]).mean() > 0.999


def test_a_legend_is_xml_with_the_bands_of_the_style(client: httpx.Client) -> None:
    response = client.get("/legend/great-salt-lake.svg")
    assert response.headers["content-type"] == "image/svg+xml"
    root = ET.fromstring(response.text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = " ".join(root.itertext())
    assert all(band in text for band in ("B1", "B2", "B3"))
    assert client.get("/legend/sierra-nevada.svg?palette=viridis").content != (
        client.get("/legend/sierra-nevada.svg").content
    )


def test_health_is_not_kept_by_any_cache(client: httpx.Client) -> None:
    response = client.get("/healthz")
    assert response.json() == {"status": "ok"}
    assert response.headers["cache-control"] == "no-store"


def test_a_damaged_raster_is_502_and_tells_no_path(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 600, 600, "uint8"), overviews=())
    path.write_bytes(path.read_bytes()[:50_000])
    with serve(create_app(Config(), [Root(str(path))])) as url:
        for route in ("/preview/scene.png?min=0&max=9", "/info/scene", "/statistics/scene"):
            response = httpx.get(url + route, timeout=60)
            assert (route, response.status_code) == (route, 502)
            assert response.headers["cache-control"] == "no-store"
            assert str(tmp_path) not in response.text


def test_the_colour_maps_are_listed_as_the_tiles_draw_them(client: httpx.Client) -> None:
    listed = {each["name"]: each for each in client.get("/colormaps").json()["colormaps"]}
    assert len(listed) > 140
    assert listed["batlow"]["kind"] == "sequential"
    colors = listed["thermal"]["colors"]
    assert all(re.fullmatch("#[0-9a-f]{6}", each) for each in colors)
    route = "/preview/sierra-nevada.png?width=64&min=0&max=4000"
    by_name = client.get(f"{route}&palette=thermal").content
    spelled = ",".join(each[1:] for each in colors)
    assert by_name == client.get(f"{route}&palette={spelled}").content
