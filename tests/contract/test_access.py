"""What `[access] assets` leaves out is not there: by no route, in no list, in no expression."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import AccessSettings, Config, Server, load_config
from tileserver.errors import ConfigError
from tileserver.rasters.roots import Root
from tileserver.server.access import exposure, weak_keys
from tileserver.server.app import create_app
from tileserver.server.cli import checked_assembly
from tileserver.server.definitions import catalogue_of, definitions_of

LOCAL = "projects/localhost/assets"
DENIED = [f"{LOCAL}/secret", f"{LOCAL}/mixed/hidden", f"{LOCAL}/series/m2", f"{LOCAL}/closed/x"]
SHORT = ["secret", "hidden", "m2", "x", "mixed/hidden", "series/m2", "closed/x"]
"""What automatic layers of them are called."""
GETS = [
    "/tiles/{}/0/0/0.png",
    "/tiles/{}/0/0/0@2x.webp",
    "/tiles/{}/0/0/0.npy?bands=b1",
    "/tilejson/{}.json",
    "/info/{}",
    "/point/{}?lon=-111&lat=40",
    "/statistics/{}",
    "/preview/{}.png",
    "/preview/{}.npy?bands=b1",
    "/legend/{}.svg",
]
API_GETS = ["/v1/{}", "/v1beta/{}", "//v1alpha/{}", "/v1/{}:listAssets", "/v1/{}:listImages"]
SPELLINGS = [
    "{}",
    "projects/earthengine-legacy/assets/{}",
    "projects/earthengine-public/assets/{}",
    "%70rojects/localhost%2Fassets/{rest}",
]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"functionInvocationValue": {"functionName": name, "arguments": arguments}}


def loaded(asset: str) -> dict[str, Any]:
    return call("Image.load", id={"constantValue": asset})


def graph(node: dict[str, Any]) -> dict[str, Any]:
    return {"expression": {"result": "0", "values": {"0": node}}}


def computations(asset: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (method, body) of all that computes with an image."""
    picture = {**graph(loaded(asset)), "fileFormat": "PNG"}
    grid = {"dimensions": {"width": 2, "height": 2}, "crsCode": "EPSG:3857"}
    one = {"scaleX": 1, "scaleY": -1, "translateX": 0, "translateY": 0}
    yield "value:compute", graph(loaded(asset))
    yield "value:compute", graph(call("Image.bandNames", image=loaded(asset)))
    yield "image:computePixels", {**picture, "grid": {**grid, "affineTransform": one}}
    yield "maps", picture
    yield "thumbnails", picture
    features = call("Collection", features={"arrayValue": {"values": [loaded(asset)]}})
    yield "table:computeFeatures", graph(features)
    yield "tables", {**graph(features), "fileFormat": "CSV"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("access")
    below = top / "rasters"
    for inner in ("mixed", "series", "closed"):
        (below / inner).mkdir(parents=True)
    for name in ("open", "secret", "mixed/shown", "mixed/hidden", "closed/x"):
        write_raster(below / f"{name}.tif", noise(1, 40, 50), overviews=())
    for name in ("m1", "m2"):
        write_raster(below / f"series/{name}.tif", noise(1, 40, 50), overviews=())
    (below / "series/collection.json").write_text("{}")
    (top / "tileserver.toml").write_text(
        f"""
        [[rasters]]
        path = "rasters"
        [access]
        assets = ["{LOCAL}/open", "{LOCAL}/mixed/shown", "{LOCAL}/series/m1"]
        [api]
        graphs = "graphs"
        """
    )
    return top


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    config = load_config(folder / "tileserver.toml", {}, {})
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def said(client: httpx.Client, route: str, name: str) -> tuple[int, str]:
    """Return status and text of an answer, whatever the asset is called."""
    answer = client.get(str(client.base_url).rstrip("/") + route.format(name))
    return answer.status_code, answer.text.replace(name, "NAME")


@pytest.mark.parametrize("route", [*GETS, *API_GETS])
def test_what_is_left_out_is_the_same_404_as_what_there_is_not(
    client: httpx.Client, route: str
) -> None:
    unknown = said(client, route, f"{LOCAL}/unknown")
    assert unknown[0] == 404
    for name in DENIED:
        assert (name, said(client, route, name)) == (name, unknown)
    if route in GETS:
        for name in SHORT:
            assert (name, said(client, route, name)) == (name, said(client, route, "unknown"))
        assert said(client, route, "open")[0] == 200


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("route", [*GETS, *API_GETS[:3]])
def test_no_other_spelling_leads_there(client: httpx.Client, route: str, spelling: str) -> None:
    for name in DENIED:
        spelled = spelling.format(name, rest=name.removeprefix(f"{LOCAL}/"))
        assert (
            client.get(str(client.base_url).rstrip("/") + route.format(spelled)).status_code == 404
        )


def test_pixels_of_it_are_the_same_404(client: httpx.Client) -> None:
    answers = {
        client.post(f"/v1/{name}:getPixels", json={"fileFormat": "NPY"}).text.replace(name, "NAME")
        for name in (*DENIED, f"{LOCAL}/unknown")
    }
    assert len(answers) == 1
    assert json.loads(answers.pop())["error"]["code"] == 404


def test_an_expression_that_names_it_finds_nothing(client: httpx.Client) -> None:
    for method, body in computations(f"{LOCAL}/open"):
        assert (method, client.post(f"/v1/projects/p/{method}", json=body).status_code) == (
            method,
            200,
        )
    unknown = [
        client.post(f"/v1/projects/p/{method}", json=body).text.replace(f"{LOCAL}/unknown", "NAME")
        for method, body in computations(f"{LOCAL}/unknown")
    ]
    for name in DENIED:
        for (method, body), expected in zip(computations(name), unknown, strict=True):
            answer = client.post(f"/v1/projects/p/{method}", json=body)
            assert (method, answer.status_code) == (method, 400)
            assert answer.text.replace(name, "NAME") == expected


def test_a_collection_has_only_the_images_that_may_be_read(client: httpx.Client) -> None:
    series = call("ImageCollection.load", id={"constantValue": f"{LOCAL}/series"})
    size = call("Collection.size", collection=series)
    answer = client.post("/v1/projects/p/value:compute", json=graph(size))
    assert answer.status_code == 400, "the collection itself is not allowed here"
    listed = client.get(f"/v1/{LOCAL}/series:listAssets").json()["assets"]
    assert [each["name"] for each in listed] == [f"{LOCAL}/series/m1"]


def test_no_list_names_it(client: httpx.Client) -> None:
    layers = client.get("/layers").text
    assert [each["name"] for each in json.loads(layers)["layers"]] == ["shown", "open", "m1"]
    lists = [layers, client.get("/").text]
    for parent in ("projects/localhost", LOCAL, f"{LOCAL}/mixed", f"{LOCAL}/series"):
        for query in ("", "?view=BASIC", "?pageSize=1", "?filter=id!=%22x%22"):
            for verb in ("listAssets", "listImages"):
                lists.append(client.get(f"/v1/{parent}:{verb}{query}").text)
    for name in (*DENIED, f"{LOCAL}/closed"):
        assert not any(f'"{name}"' in each for each in lists)
    assert client.get(f"/v1/{LOCAL}/closed").status_code == 404


def test_the_url_of_a_map_made_before_shows_nothing_after(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    toml = tmp_path / "copy" / "tileserver.toml"
    rules = toml.read_text()
    toml.write_text(rules.replace("[access]", "[access]\n#"))
    toml.write_text(rules.replace(f'"{LOCAL}/open"', f'"{LOCAL}/open", "{LOCAL}/secret"'))
    urls = []
    with serve(create_app(load_config(toml, {}, {}))) as url:
        for method, body in computations(f"{LOCAL}/secret"):
            if method in ("maps", "thumbnails", "tables"):
                name = httpx.post(f"{url}/v1/projects/p/{method}", json=body, timeout=60).json()[
                    "name"
                ]
                end = {"maps": "/tiles/0/0/0", "thumbnails": ":getPixels"}
                urls.append(f"/v1/{name}{end.get(method, ':getFeatures')}")
        assert [httpx.get(url + each, timeout=60).status_code for each in urls] == [200] * 3
    toml.write_text(rules)
    with serve(create_app(load_config(toml, {}, {}))) as url:
        assert [httpx.get(url + each, timeout=60).status_code for each in urls] == [400] * 3


def test_rasters_of_the_command_line_are_no_exception(folder: Path) -> None:
    config = load_config(folder / "tileserver.toml", {}, {})
    shown = [Root(str(folder / "rasters"))]
    names = [each.name for each in definitions_of(config, catalogue_of(config, shown), shown)]
    assert names == ["shown", "open", "m1"]


def test_a_server_with_nothing_that_may_be_read_says_so(folder: Path) -> None:
    config = Config(access=AccessSettings(assets=()))
    with pytest.raises(ConfigError, match=r"with a GeoTIFF that \[access\] assets allows"):
        checked_assembly(config, [Root(str(folder / "rasters"))])


@pytest.mark.parametrize(
    ("server", "access", "is_said"),
    [
        (Server(), AccessSettings(), False),
        (Server(host="::1"), AccessSettings(), False),
        (Server(host="127.0.0.2"), AccessSettings(), False),
        (Server(host="0.0.0.0"), AccessSettings(), True),
        (Server(host="::"), AccessSettings(), True),
        (Server(host="192.0.2.1"), AccessSettings(), True),
        (Server(host="tiles.example.org"), AccessSettings(), True),
        (Server(host="0.0.0.0"), AccessSettings(keys=(("a", "key"),)), False),
        (Server(host="0.0.0.0"), AccessSettings(assets=("**",)), False),
        (Server(host="0.0.0.0"), AccessSettings(open=True), False),
    ],
)
def test_a_server_that_strangers_reach_says_so(
    server: Server, access: AccessSettings, is_said: bool
) -> None:
    warning = exposure(Config(server=server, access=access))
    assert (warning is not None) == is_said
    if warning:
        assert server.host in warning
        assert "\n" not in warning
        assert "[access] open = true" in warning


def test_keys_that_can_be_guessed_are_told_by_name_alone() -> None:
    keys = (("a", "sesame"), ("b", "env:B"), ("c", "c" * 16), ("d", "env:D"))
    config = Config(access=AccessSettings(keys=keys))
    warning = weak_keys(config, {"B": "short-too", "D": "long enough for a key"})
    assert warning is not None
    assert "keys.a, keys.b: expected 16 characters or more" in warning
    assert "keys.c" not in warning
    assert "sesame" not in warning
    assert "short-too" not in warning
    assert weak_keys(Config(), {}) is None
