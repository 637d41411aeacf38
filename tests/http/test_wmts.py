"""WMTS over HTTP: capabilities, tiles, values and errors, against OGC's schema and OWSLib."""

from __future__ import annotations

import contextlib
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import mercantile
import numpy as np
import pytest
from lxml import etree
from owslib.wmts import WebMapTileService

from tests.mosaics.files import shifted
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.config.config import AccessSettings, Config, RasterFolder
from tileserver.config.layers import LayerSettings
from tileserver.contract.matrix_sets import NAMES, matrix_set
from tileserver.layers import wmts
from tileserver.rasters.roots import Root, mosaic_root
from tileserver.server.app import create_app

SCHEMAS = files("mapproxy") / "test" / "schemas"
"""OGC's schemas, which the distribution of MapProxy holds."""
SPACES = {
    "w": "http://www.opengis.net/wmts/1.0",
    "ows": "http://www.opengis.net/ows/1.1",
    "xlink": "http://www.w3.org/1999/xlink",
}
HREF = "{http://www.w3.org/1999/xlink}href"
SCENE = mercantile.Tile(772, 1542, 12)
KEY = "a-made-up-key-for-tests"  # pragma: allowlist secret
ODD = 'a <b> & "c"'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wmts") / "rasters"
    folder.mkdir()
    bands = ["red", "green", "blue"]
    write_raster(folder / "scene.tif", noise(3, 600, 500, "uint8"), descriptions=bands)
    return folder


@pytest.fixture(scope="module")
def times(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wmts") / "days"
    folder.mkdir()
    for number, day in enumerate(("20250105", "20250107")):
        values = np.full((1, 64, 64), 50 + 100 * number, "uint8")
        write_raster(folder / f"x_{day}.tif", values, transform=shifted(0, 0), overviews=())
    return folder


@pytest.fixture(scope="module")
def client(folder: Path, times: Path) -> Iterator[httpx.Client]:
    roots = [Root(str(folder / "scene.tif")), mosaic_root(str(times))]
    with (
        serve(create_app(Config(), roots)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        until(lambda: client.get("/info/days").json().get("mosaic", {}).get("complete"))
        yield client


def tile(client: httpx.Client, path: str = "/wmts", /, **changes: Any) -> httpx.Response:
    """Ask for a tile; a parameter that is None is left out."""
    wanted = {
        "service": "WMTS",
        "version": "1.0.0",
        "request": "GetTile",
        "layer": "scene",
        "style": "default",
        "format": "image/png",
        "tilematrixset": "WebMercatorQuad",
        "tilematrix": SCENE.z,
        "tilerow": SCENE.y,
        "tilecol": SCENE.x,
        **changes,
    }
    given = {name: text for name, text in wanted.items() if text is not None}
    return client.get(path, params=given)


def schema(path: str) -> Any:
    """Return a schema of OGC; it includes others by their addresses, which are files here too."""

    class Local(etree.Resolver):  # type: ignore[misc]
        def resolve(self, url: str, pubid: str, context: Any) -> Any:
            for start in ("http://schemas.opengis.net/", "http://www.w3.org/2001/"):
                if url.startswith(start):
                    found = SCHEMAS / url.removeprefix(start)
                    return self.resolve_filename(str(found), context)
            return None

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Local())
    document = etree.parse(str(SCHEMAS / path), parser)
    for each in document.iterfind(".//{*}element"):
        # "From 0 to maxTileRow", says the schema itself, and has forgotten it in the type.
        if each.get("name") in ("MinTileRow", "MaxTileRow", "MinTileCol", "MaxTileCol"):
            each.set("type", "nonNegativeInteger")
    return etree.XMLSchema(document)


@pytest.fixture(scope="module")
def wmts_schema() -> Any:
    return schema("wmts/1.0/wmtsGetCapabilities_response.xsd")


def parsed(answer: httpx.Response) -> ET.Element:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/xml"
    return ET.fromstring(answer.content)


@pytest.mark.parametrize(
    "path",
    [
        "/wmts",
        "/wmts?SERVICE=WMTS&REQUEST=GetCapabilities",
        "/wmts?service=wmts&request=getCapabilities&version=1.0.0",
        "/wmts/1.0.0/WMTSCapabilities.xml",
        "/wmts/scene",
        "/wmts/scene/1.0.0/WMTSCapabilities.xml",
        "/wmts/days?service=WMTS&request=GetCapabilities&acceptversions=1.0.0",
        "/wmts?q=nothing-has-this",
    ],
)
def test_capabilities_follow_the_schema(client: httpx.Client, wmts_schema: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    wmts_schema.assertValid(etree.fromstring(answer.content))
    same = client.get(path, headers={"if-none-match": answer.headers["etag"]})
    assert same.status_code == 304
    assert "private" in answer.headers["cache-control"]


def test_owslib_reads_the_service(client: httpx.Client) -> None:
    service = WebMapTileService(f"{client.base_url}/wmts")
    assert set(service.contents) == {"scene", "days"}
    layer = service.contents["scene"]
    bounds = client.get("/info/scene").json()["bounds"]
    assert layer.boundingBoxWGS84 == pytest.approx(bounds)
    assert layer.formats[:3] == ["image/png", "image/jpeg", "image/webp"]
    assert set(layer.styles) == {"default"}
    assert layer.styles["default"]["isDefault"]
    sets = {"WebMercatorQuad", "WorldCRS84Quad"}
    assert set(layer.tilematrixsetlinks) == set(service.tilematrixsets) == sets
    crs = service.tilematrixsets["WebMercatorQuad"].crs
    assert crs == "urn:ogc:def:crs:EPSG::3857"
    got = service.gettile(
        layer="scene",
        tilematrixset="WebMercatorQuad",
        tilematrix=str(SCENE.z),
        row=SCENE.y,
        column=SCENE.x,
        format="image/png",
    )
    plain = client.get(f"/tiles/scene/{SCENE.z}/{SCENE.x}/{SCENE.y}.png")
    assert got.read() == plain.content


def test_limits_are_the_tiles_of_the_layer(client: httpx.Client) -> None:
    service = WebMapTileService(f"{client.base_url}/wmts")
    link = service.contents["scene"].tilematrixsetlinks["WebMercatorQuad"]
    info = client.get("/info/scene").json()
    assert sorted(map(int, link.tilematrixlimits)) == list(range(info["maxzoom"] + 1))
    for zoom, found in link.tilematrixlimits.items():
        tiles = list(mercantile.tiles(*info["bounds"], zooms=int(zoom)))
        columns, rows = {each.x for each in tiles}, {each.y for each in tiles}
        assert 0 <= min(columns) - found.mintilecol <= 1
        assert 0 <= found.maxtilecol - max(columns) <= 1
        assert 0 <= min(rows) - found.mintilerow <= 1
        assert 0 <= found.maxtilerow - max(rows) <= 1


def test_a_layer_of_its_own_has_all_sets_it_lies_in(client: httpx.Client) -> None:
    service = WebMapTileService(f"{client.base_url}/wmts/scene")
    expected = {"WebMercatorQuad", "WorldCRS84Quad", "WGS1984Quad", "WorldMercatorWGS84Quad"}
    expected |= {"CanadianNAD83_LCC"}
    assert set(service.contents["scene"].tilematrixsetlinks) == expected
    chosen = WebMapTileService(f"{client.base_url}/wmts/scene?tms=WGS1984Quad")
    assert set(chosen.tilematrixsets) == {"WGS1984Quad"}
    for each in chosen.tilematrixsets["WGS1984Quad"].tilematrix.values():
        # Latitude first, as EPSG:4326 has it.
        assert each.topleftcorner == (90.0, -180.0)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_addresses_of_tiles_work_as_they_stand(client: httpx.Client, suffix: str) -> None:
    root = parsed(client.get("/wmts/scene", params={"bands": "blue,green,red", "gamma": "1.2"}))
    urls = [each.attrib for each in root.iterfind(".//w:ResourceURL", SPACES)]
    url = next(each["template"] for each in urls if f".{suffix}?" in each["template"])
    query = parse_qs(urlsplit(url).query)
    assert (query["bands"], query["gamma"]) == (["blue,green,red"], ["1.2"])
    assert "v" in query
    for name, value in {
        "TileMatrixSet": "WebMercatorQuad",
        "TileMatrix": SCENE.z,
        "TileCol": SCENE.x,
        "TileRow": SCENE.y,
    }.items():
        url = url.replace(f"{{{name}}}", str(value))
    answer = client.get(url)
    plain = client.get(
        f"/tiles/scene/{SCENE.z}/{SCENE.x}/{SCENE.y}.{suffix}",
        params={"bands": "blue,green,red", "gamma": "1.2"},
    )
    assert answer.content == plain.content
    # QGIS never asks again for what it has, so the address changes with the pixels.
    assert "immutable" in answer.headers["cache-control"]
    by_parameters = tile(
        client, "/wmts/scene", bands="blue,green,red", gamma="1.2", format=f"image/{suffix}"
    )
    if suffix != "jpg":
        assert by_parameters.content == plain.content


def test_the_address_of_tiles_by_parameters_has_a_version(client: httpx.Client) -> None:
    service = WebMapTileService(f"{client.base_url}/wmts/scene?gamma=1.2")
    (url,) = (each["url"] for each in service.getOperationByName("GetTile").methods)
    assert parse_qs(urlsplit(url).query)["gamma"] == ["1.2"]
    path = url.removeprefix(str(client.base_url)).rstrip("&")
    name, _, query = path.partition("?")
    answer = tile(client, name, **dict(pair.split("=") for pair in query.split("&")))
    assert answer.status_code == 200, answer.text
    assert "immutable" in answer.headers["cache-control"]
    plain = tile(client, "/wmts/scene", gamma="1.2")
    assert "max-age=3600" in plain.headers["cache-control"]
    assert plain.content == answer.content


def test_qgis_is_answered_as_it_asks_at_any_address(client: httpx.Client) -> None:
    answer = client.get("/wmts", params={"SERVICE": "WMS", "REQUEST": "GetCapabilities"})
    assert parsed(answer).find(".//w:Layer", SPACES) is not None


def test_legends_and_the_document_itself_are_linked(client: httpx.Client) -> None:
    root = parsed(client.get("/wmts/scene?bands=red"))
    legend = root.find(".//w:LegendURL", SPACES)
    itself = root.find("./w:ServiceMetadataURL", SPACES)
    assert legend is not None
    assert itself is not None
    assert client.get(legend.attrib[HREF]).headers["content-type"].startswith("image/svg")
    assert parsed(client.get(itself.attrib[HREF])).find(".//w:Layer", SPACES) is not None


def test_times_are_a_dimension(client: httpx.Client) -> None:
    root = parsed(client.get("/wmts/days"))
    dimension = root.find(".//w:Dimension", SPACES)
    assert dimension is not None
    assert dimension.findtext("ows:Identifier", "", SPACES) == "time"
    values = [each.text for each in dimension.iterfind("w:Value", SPACES)]
    assert values == ["2025-01-05", "2025-01-06", "2025-01-07"]
    assert dimension.findtext("w:Default", "", SPACES) == "2025-01-05/2025-01-08"
    link = root.find(".//w:ResourceURL", SPACES)
    assert link is not None
    assert "&time={time}" in link.attrib["template"]
    info = client.get("/info/days").json()
    west, south, east, north = info["bounds"]
    at = mercantile.tile((west + east) / 2, (south + north) / 2, info["maxzoom"])
    place: dict[str, Any] = {"tilematrix": at.z, "tilerow": at.y, "tilecol": at.x, "layer": "days"}
    style: dict[str, Any] = {"min": "0", "max": "255"}
    for day in ("2025-01-05", "2025-01-07", "2025-01-05/2025-01-08"):
        ours = tile(client, "/wmts/days", TIME=day, **place, **style)
        plain = client.get(f"/tiles/days/{at.z}/{at.x}/{at.y}.png", params={"time": day, **style})
        assert ours.content == plain.content
    first, second = (
        tile(client, "/wmts/days", time=day, **place, **style).content
        for day in ("2025-01-05", "2025-01-07")
    )
    assert first != second


def test_values_at_a_pixel_are_those_of_point(client: httpx.Client, folder: Path) -> None:
    asked = {"request": "GetFeatureInfo", "i": 100, "j": 50}
    answer = tile(client, **asked, infoformat="application/json")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    box = mercantile.xy_bounds(SCENE)
    side = (box.right - box.left) / 256
    place = mercantile.lnglat(box.left + 100.5 * side, box.top - 50.5 * side)
    assert (found["lon"], found["lat"]) == pytest.approx((place.lng, place.lat), abs=1e-9)
    point = client.get("/point/scene", params={"lon": found["lon"], "lat": found["lat"]}).json()
    assert found["values"] == point["values"]
    assert None not in found["values"].values()
    geojson = tile(client, **asked, infoformat="application/geo+json").json()
    assert geojson["features"][0]["properties"] == found["values"]
    text = tile(client, **asked, infoformat="text/plain").text
    assert text.splitlines()[0] == f"red: {found['values']['red']}"


@pytest.mark.parametrize(
    ("changes", "status", "code", "locator"),
    [
        ({"service": None}, 400, "MissingParameterValue", "service"),
        ({"service": "WMS"}, 400, "InvalidParameterValue", "service"),
        ({"request": None}, 400, "MissingParameterValue", "request"),
        ({"request": "GetMap"}, 501, "OperationNotSupported", "request"),
        ({"version": None}, 400, "MissingParameterValue", "version"),
        ({"version": "2.0.0"}, 400, "InvalidParameterValue", "version"),
        ({"layer": None}, 400, "MissingParameterValue", "layer"),
        ({"layer": "nothing"}, 400, "InvalidParameterValue", "layer"),
        ({"layer": "projects/localhost/assets/scene"}, 400, "InvalidParameterValue", "layer"),
        ({"style": "night"}, 400, "InvalidParameterValue", "style"),
        ({"format": None}, 400, "MissingParameterValue", "format"),
        ({"format": "image/gif"}, 400, "InvalidParameterValue", "format"),
        ({"tilematrixset": "Mars"}, 400, "InvalidParameterValue", "tilematrixset"),
        ({"tilematrix": None}, 400, "MissingParameterValue", "tilematrix"),
        ({"tilematrix": "99"}, 400, "TileOutOfRange", "tilerow"),
        ({"tilematrix": "15"}, 400, "TileOutOfRange", "tilerow"),
        ({"tilerow": "0"}, 400, "TileOutOfRange", "tilerow"),
        ({"tilecol": "-1"}, 400, "TileOutOfRange", "tilerow"),
        ({"tilecol": "1.5"}, 400, "InvalidParameterValue", "tilecol"),
        ({"time": "2025"}, 400, "InvalidParameterValue", "time"),
        ({"tIme": "2025", "time": "2025"}, 400, "InvalidParameterValue", "time"),
        ({"request": "GetFeatureInfo"}, 400, "MissingParameterValue", "infoformat"),
        (
            {"request": "GetFeatureInfo", "infoformat": "text/plain", "i": 256, "j": 0},
            400,
            "PointIJOutOfRange",
            "i",
        ),
    ],
)
def test_errors_are_exception_reports(
    client: httpx.Client, changes: dict[str, Any], status: int, code: str, locator: str
) -> None:
    answer = tile(client, **changes)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/xml"
    assert answer.headers["cache-control"] == "no-store"
    exception = ET.fromstring(answer.content).find("ows:Exception", SPACES)
    assert exception is not None
    assert exception.attrib == {"exceptionCode": code, "locator": locator}
    assert locator in (exception.findtext("ows:ExceptionText", "", SPACES) or "") or locator


def test_reports_follow_their_schema(client: httpx.Client) -> None:
    reports = schema("ows/1.1.0/owsExceptionReport.xsd")
    paths = (
        "/wmts?request=x",
        "/wmts/nothing",
        "/wmts?service=WMTS&request=GetMap",
        "/wmts?limit=0",
    )
    for path in paths:
        answer = client.get(path)
        assert answer.status_code >= 400
        reports.assertValid(etree.fromstring(answer.content))
    refused = client.post("/wmts")
    assert refused.status_code == 405
    assert b"NoApplicableCode" in refused.content


def test_other_versions_cannot_be_agreed_on(client: httpx.Client) -> None:
    query = {"request": "GetCapabilities", "acceptversions": "2.0.0"}
    answer = client.get("/wmts", params={"service": "WMTS", **query})
    assert (answer.status_code, b"VersionNegotiationFailed" in answer.content) == (400, True)


def test_foreign_parameters_are_ignored_and_mistyped_ones_are_not(client: httpx.Client) -> None:
    assert tile(client, token="abc", dpi=96).status_code == 200
    answer = client.get("/wmts/scene", params={"bnads": "red"})
    assert answer.status_code == 400
    assert "did you mean bands" in answer.text


def test_an_asset_by_its_name_has_a_service_of_its_own(client: httpx.Client) -> None:
    name = "projects/localhost/assets/scene"
    service = WebMapTileService(f"{client.base_url}/wmts/{name}")
    assert set(service.contents) == {name}
    foreign = client.get(f"/wmts/{name}", headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert client.get("/wmts", headers={"origin": "https://evil.example"}).status_code == 200


def test_every_set_of_tiles_can_be_asked_for(client: httpx.Client) -> None:
    for name in NAMES:
        first = matrix_set(name).matrices[0].id
        answer = client.get(f"/tiles/scene/{first}/0/0.png", params={"tms": name})
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve 300 layers, one with a title that XML has to escape, to holders of a key."""
    folder = tmp_path_factory.mktemp("many")
    write_raster(folder / "x.tif", noise(1, 64, 64, "uint8"), overviews=())
    asset = "projects/localhost/assets/x"
    layers = [LayerSettings(f"layer{n:03}", asset) for n in range(299)]
    layers.append(LayerSettings("odd", asset, title=f"{ODD}\x0b]]>", description=ODD))
    config = Config(
        rasters=(RasterFolder(str(folder)),),
        layers=tuple(layers),
        access=AccessSettings(keys=(("tests", KEY),)),
    )
    with (
        serve(create_app(config)) as url,
        httpx.Client(base_url=url, timeout=60, params={"key": KEY}) as client,
    ):
        yield client


def names_in(root: ET.Element) -> list[str | None]:
    return [
        each.findtext("ows:Identifier", None, SPACES)
        for each in root.iterfind(".//w:Layer", SPACES)
    ]


def test_many_layers_come_in_pages(many: httpx.Client, wmts_schema: Any) -> None:
    answer = many.get("/wmts")
    wmts_schema.assertValid(etree.fromstring(answer.content))
    first = parsed(answer)
    assert len(names_in(first)) == 250
    abstract = first.findtext(".//ows:Abstract", "", SPACES)
    assert "250 of 300 layers. after=layer249 shows" in abstract
    rest = parsed(many.get("/wmts", params={"after": "layer249"}))
    assert [*names_in(first), *names_in(rest)] == [*(f"layer{n:03}" for n in range(299)), "odd"]
    assert names_in(parsed(many.get("/wmts", params={"q": "r01", "limit": 3}))) == [
        "layer010",
        "layer011",
        "layer012",
    ]
    assert len(names_in(parsed(many.get("/wmts", params={"limit": 1000})))) == 300
    assert many.get("/wmts", params={"limit": 1001}).status_code == 400


def test_no_more_than_two_documents_are_made_at_once(
    many: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    third, met = threading.Barrier(3), []

    def capabilities(*_: Any) -> bytes:
        with contextlib.suppress(threading.BrokenBarrierError):
            third.wait(0.5)
            met.append(True)
        return b"<made/>"

    monkeypatch.setattr(wmts, "capabilities", capabilities)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(many.get, ["/wmts"] * 6))
    assert [each.content for each in answers] == [b"<made/>"] * 6
    assert not met


def test_titles_are_escaped_and_what_no_xml_can_have_is_replaced(
    many: httpx.Client, wmts_schema: Any
) -> None:
    answer = many.get("/wmts/odd")
    wmts_schema.assertValid(etree.fromstring(answer.content))
    layer = parsed(answer).find(".//w:Layer", SPACES)
    assert layer is not None
    assert layer.findtext("ows:Title", "", SPACES) == f"{ODD}\ufffd]]>"
    assert layer.findtext("ows:Abstract", "", SPACES) == ODD


def test_the_key_of_the_query_goes_into_all_addresses(many: httpx.Client) -> None:
    root = parsed(many.get("/wmts/odd"))
    urls = [each.attrib["template"] for each in root.iterfind(".//w:ResourceURL", SPACES)]
    urls += [each.attrib[HREF] for each in root.iter() if HREF in each.attrib]
    assert len(urls) > 7
    assert all(parse_qs(urlsplit(each).query)["key"] == [KEY] for each in urls)
    by_header = httpx.get(f"{many.base_url}/wmts/odd", headers={"x-api-key": KEY}, timeout=60)
    assert KEY not in by_header.text
    refused = httpx.get(f"{many.base_url}/wmts", timeout=60)
    assert refused.status_code == 401
    assert b"NoApplicableCode" in refused.content
