"""The description of the API: valid OpenAPI, and true of every route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.http import openapi
from tileserver.http.openapi import FORMS
from tileserver.http.routes import ROWS
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

PLACE = {"layer": "scene", "z": "12", "x": "772", "y": "1542", "row": "1542", "column": "772"}
EXTENSIONS = {"/legend/{layer}.{ext}": "svg", "/export/{layer}.{ext}": "pmtiles"}
QUERIES = {
    "/point/{layer}": {"lon": "-112.1", "lat": "40.6"},
    "/timeseries/{layer}": {"lon": "-112.1", "lat": "40.6"},
    "/profile/{layer}": {"line": "-112.1,40.6,-112.05,40.55"},
}
"""What the routes need."""
UNLIKE = {
    "integer": ["-1", "1.5", "x"],
    "number": ["x", "nan"],
    "array": [","],
    "enum": ["none-of-these"],
}
"""Values that no parameter of a type takes."""
OF_PLACES = ("/times/{layer}", "/timeseries/{layer}")
"""Routes of mosaics, which the layer here is none of."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("openapi")
    write_raster(folder / "scene.tif", noise(3, 600, 500, "uint8"))
    with (
        serve(create_app(Config(), [Root(str(folder / "scene.tif"))])) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def described(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def address(path: str) -> str:
    """Return the address of an example of a path."""
    known = {**PLACE, "tms": "WebMercatorQuad", "ext": EXTENSIONS.get(path, "png")}
    return re.sub(r"{(\w+)}", lambda found: known[found[1]], path)


def parameters_of(described: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """Return the parameters of the query of a path, looked up."""
    shared = described["components"]["parameters"]
    listed = described["paths"][path]["get"]["parameters"]
    return [shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in listed]


def test_it_is_valid(described: dict[str, Any], client: httpx.Client) -> None:
    OpenAPIV31SpecValidator(described).validate()
    assert described["openapi"].startswith("3.1")
    assert described["servers"] == [{"url": str(client.base_url)}]


def test_it_is_made_once_and_has_the_host_of_each_request(
    client: httpx.Client, described: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def remade(*_: Any) -> dict[str, Any]:
        raise AssertionError("the description is made again")

    monkeypatch.setattr(openapi, "document", remade)
    port = client.base_url.port
    found = client.get("/openapi.json", headers={"host": f"localhost:{port}"}).json()
    assert found["servers"] == [{"url": f"http://localhost:{port}"}]
    assert found | {"servers": described["servers"]} == described


def test_every_route_is_described_and_no_other(described: dict[str, Any]) -> None:
    patterns = {row.path for row in ROWS}
    assert set(FORMS) <= patterns
    shown = {
        form.path or row.path.replace(":path}", "}")
        for row in ROWS
        for form in FORMS.get(row.path, ())
    }
    plain = {row.path for row in ROWS if row.path not in FORMS}
    assert set(described["paths"]) == shown | plain
    posted = {path for path, each in described["paths"].items() if "post" in each}
    assert posted == {"/statistics/{layer}", "/crop/{layer}.tif", "/preview/{layer}.{ext}"}
    every = [
        each[method]
        for each in described["paths"].values()
        for method in ("get", "post")
        if method in each
    ]
    assert [
        each for each in every if each["summary"] == each["operationId"].partition("_")[0]
    ] == []


def test_the_parameters_are_those_that_routes_know(
    described: dict[str, Any], client: httpx.Client
) -> None:
    """A route that takes one more parameter needs it in `FORMS` of http/openapi.py."""
    wrong = {}
    for path, item in described["paths"].items():
        answer = client.get(address(path), params={"zzzz": "1"})
        told = re.search(r"Known here: ([a-z_, 0-9]+)", answer.text)
        if answer.status_code != 400 or told is None:
            # Services of OGC ignore foreign ones; the rest has none.
            assert path.startswith("/wmts") or not item["get"]["parameters"], path
            continue
        known = {*told[1].split(", "), "v"} - {"none"}
        # That of tile matrix sets is another handler's.
        documented = {each["name"] for each in parameters_of(described, path)}
        documented -= {"tms"} if path.startswith("/tiles/") else set()
        if known != documented:
            wrong[path] = known ^ documented
    assert wrong == {}


def test_answers_have_a_documented_status_and_type(
    described: dict[str, Any], client: httpx.Client
) -> None:
    for path, item in described["paths"].items():
        if path in OF_PLACES:
            continue
        answer = client.get(address(path), params=QUERIES.get(path, {}))
        assert answer.status_code == 200, (path, answer.text)
        content = item["get"]["responses"]["200"]["content"]
        kinds = {each.partition(";")[0] for each in content}
        assert answer.headers["content-type"].partition(";")[0] in kinds, path


def examples(parameters: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield names of parameters, and values outside of what their schemas allow."""
    for each in parameters:
        schema = each["schema"]
        kind = "enum" if "enum" in schema else schema["type"]
        values = list(UNLIKE.get(kind, ()))
        values += [
            str(schema[name] + sign)
            for name, sign in (("minimum", -1), ("maximum", 1))
            if name in schema
        ]
        for value in values:
            yield each["name"], value


def test_values_outside_the_schemas_are_refused_by_name(
    described: dict[str, Any], client: httpx.Client
) -> None:
    taken, count = [], 0
    for path in described["paths"]:
        if path.startswith("/wmts") or path in OF_PLACES:
            continue
        for name, value in examples(parameters_of(described, path)):
            if name in ("azimuth", "altitude", "z_factor", "interval", "threshold", "like"):
                # They go with others only, and are refused for that.
                continue
            query = {**QUERIES.get(path, {}), name: value}
            answer = client.get(address(path), params=query)
            count += 1
            if answer.status_code != 400 or name not in answer.text:
                taken.append((path, name, value, answer.status_code, answer.text[:80]))
    assert not taken, taken
    assert count > 150


def test_a_path_outside_the_schemas_is_refused(client: httpx.Client) -> None:
    assert client.get("/tiles/scene/25/0/0.png").status_code == 404
    assert client.get("/tiles/scene/12/-1/0.png").status_code == 404
    assert client.get("/ogc/tileMatrixSets/Mars").status_code == 404
