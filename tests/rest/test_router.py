"""Every answer below /v1 is in Earth Engine's shape, whatever is asked and however."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import httpx
import pytest

from tests.rest.conftest import LOCAL, PUBLIC, Served, config_of
from tests.support.serving import serve
from tileserver.config.config import AccessSettings, ApiSettings, Config, Server
from tileserver.rest import asset_methods
from tileserver.rest.call import Call
from tileserver.rest.requests import MAX_BYTES
from tileserver.server.app import create_app

SCENE = f"{LOCAL}/scene"
GRID = {"dimensions": {"width": 4, "height": 3}}
NPY = {"fileFormat": "NPY", "grid": GRID}


def check_error(answer: httpx.Response, code: int, status: str, *said: str) -> None:
    assert answer.status_code == code, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (code, status)
    assert answer.headers["content-type"] == "application/json"
    for each in said:
        assert each in error["message"]


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
@pytest.mark.parametrize("slashes", ["/", "//"])
def test_all_versions_are_one_api_with_any_slashes_before(
    served: Served, version: str, slashes: str
) -> None:
    url = served.url + slashes
    assert httpx.get(f"{url}{version}/{SCENE}", timeout=60).json()["id"] == SCENE
    document = httpx.get(
        f"{url}$discovery/rest?version={version}&prettyPrint=false", timeout=60
    ).json()
    assert (document["version"], document["rootUrl"]) == (version, f"{served.url}/")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("GET", "/v1/projects/p/operations/x"),
        ("POST", "/v1/projects/p/operations/x:cancel"),
        ("GET", "/v1/projects/p/map:export"),
        ("DELETE", "/v1/projects/p/operations/x"),
        ("GET", "/v1/projects/p/assets/../../x"),
        ("GET", "/$discovery"),
        ("GET", "/$discovery/rest?version=v2"),
        ("GET", f"/v1/{LOCAL}/none"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/COPERNICUS/S2/none"),
        ("GET", "/v1alpha/projects/other/assets/none:listImages"),
        ("GET", "/v1/projects/p/maps/0/tiles/0/0/0"),
        ("GET", "/v1/projects/p/thumbnails/0:getPixels"),
    ],
)
def test_what_is_not_there_is_a_404(client: httpx.Client, method: str, path: str) -> None:
    check_error(client.request(method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"/v1/{SCENE}", "GET"),
        ("GET", f"/v1/{SCENE}:getPixels", "POST"),
        ("GET", "/v1/projects/p/maps", "POST"),
        ("POST", f"/v1/{LOCAL}:listAssets", "GET"),
        ("POST", "/$discovery/rest", "GET"),
    ],
)
def test_another_http_method_is_refused_and_nothing_is_written(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    check_error(answer, 405, "UNIMPLEMENTED", allowed)
    assert answer.headers["allow"] == allowed


def test_names_with_percent_encoded_slashes_are_the_same(client: httpx.Client) -> None:
    name = quote(SCENE, safe="")
    assert client.get(f"/v1/{name}").json()["id"] == SCENE
    answer = client.post(f"/v1/{name}:getPixels", json=NPY)
    assert answer.content.startswith(b"\x93NUMPY\x01\x00")


def test_noise_in_the_query_means_nothing(client: httpx.Client) -> None:
    noise = "alt=json&prettyPrint=false&fields=name&key=x&workloadTag=y&%24.xgafv=2&"
    assert client.get(f"/v1/{SCENE}?{noise}").json()["type"] == "IMAGE"
    assert client.get(f"/v1/{SCENE}?").json()["type"] == "IMAGE"
    assert client.post(f"/v1/{SCENE}:getPixels?{noise}", json=NPY).status_code == 200


def test_json_without_a_content_type_is_read(client: httpx.Client) -> None:
    answer = client.post(f"/v1beta/{SCENE}:getPixels", content=json.dumps(NPY).encode())
    assert "content-type" not in answer.request.headers
    assert answer.status_code == 200


def test_a_post_may_stand_for_a_get_with_its_query_in_the_body(client: httpx.Client) -> None:
    headers = {
        "x-http-method-override": "GET",
        "content-type": "application/x-www-form-urlencoded",
    }
    long = " OR ".join(["properties.CLOUD = 10", *["properties.CLOUD = 99"] * 200])
    body = httpx.QueryParams({"filter": long, "view": "BASIC"})
    answer = client.post(f"/v1/{LOCAL}/series:listAssets", content=str(body), headers=headers)
    assert [each["id"] for each in answer.json()["assets"]] == [f"{LOCAL}/series/m1"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Invalid JSON payload received."),
        (b"[]", "expected a JSON object"),
        (b"[" * 100_000, "nested"),
        (b'{"grid": {"affineTransform": {"scaleX": NaN}}}', "NaN"),
        (b'{"fileFormat": "NPY", "fileFormat": "PNG"}', "given twice"),
        (b'{"grid": {"origin": 1}}', "Unknown name \"origin\" at 'grid': Cannot find field."),
        (b'{"fileFormat": "NUMPY_NDARRAY"}', "Invalid value at 'file_format'"),
        (b'{"bandIds": ["B9"]}', "did not match any bands"),
        (b'{"bandIds": ["\\ud800"]}', "Invalid JSON"),
    ],
)
def test_a_bad_body_is_a_400_that_says_why(client: httpx.Client, body: bytes, said: str) -> None:
    answer = client.post(f"/v1/{SCENE}:getPixels", content=body)
    check_error(answer, 400, "INVALID_ARGUMENT", said)


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 3 * MAX_BYTES])
def test_a_body_that_is_too_long_is_refused_in_earth_engine_s_words(
    client: httpx.Client, size: int
) -> None:
    said = f"Request payload size exceeds the limit: {MAX_BYTES} bytes."
    answer = client.post(f"/v1/{SCENE}:getPixels", content=b" " * size)
    check_error(answer, 400, "INVALID_ARGUMENT", said)
    chunked = client.post(f"/v1/{SCENE}:getPixels", content=(b" " * 65536 for _ in range(170)))
    check_error(chunked, 400, "INVALID_ARGUMENT", said)


def test_the_longest_body_is_read(client: httpx.Client) -> None:
    body = json.dumps(NPY).encode().ljust(MAX_BYTES)
    assert client.post(f"/v1/{SCENE}:getPixels", content=body).status_code == 200


def test_a_request_without_a_host_gets_a_document_where_every_name_will_do() -> None:
    config = Config(server=Server(host="0.0.0.0"), access=AccessSettings(open=True))
    with serve(create_app(config)) as url:
        place = urlsplit(url)
        received = _without_a_host(place)
    assert json.loads(received.partition(b"\r\n\r\n")[2])["rootUrl"] == "/"


def _without_a_host(place: SplitResult) -> bytes:
    with socket.create_connection((place.hostname or "", place.port or 0), 5) as connection:
        connection.sendall(b"GET //$discovery/rest HTTP/1.0\r\n\r\n")
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize("path", ["/v1/projects/p/maps", f"//v1/{SCENE}:getPixels"])
def test_no_page_of_another_origin_is_let_in(client: httpx.Client, path: str) -> None:
    answer = client.request("OPTIONS", f"{client.base_url}".rstrip("/") + path)
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")
    for headers in (answer.headers, client.get("/v1/x").headers):
        assert not [name for name in headers if name.startswith("access-control-")]


def test_head_is_a_get_without_a_body(client: httpx.Client) -> None:
    answer = client.head(f"/v1/{SCENE}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 100


def test_a_crash_of_ours_is_in_shape_and_tells_nothing(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(call: Call) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(asset_methods, "get_asset", broken)
    with serve(create_app(config_of(served.folder, tmp_path))) as url:
        answer = httpx.get(f"{url}/v1/{SCENE}", headers={"x-request-id": "find-me"}, timeout=60)
    check_error(answer, 500, "INTERNAL", "find-me")
    assert "secret" not in answer.text


def test_the_api_can_be_turned_off(served: Served) -> None:
    with serve(create_app(Config(api=ApiSettings(enabled=False)))) as url:
        for path in ("/v1/projects/p/algorithms", "/$discovery/rest"):
            answer = httpx.get(url + path, timeout=60)
            assert answer.status_code == 404
            assert "no such page" in answer.text


def test_only_what_may_be_read_is_there(served: Served, tmp_path: Path) -> None:
    allowed = AccessSettings((f"{LOCAL}/series/m1", "COPERNICUS/S2/**"))
    config = replace(config_of(served.folder, tmp_path), access=allowed)
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as client:
        for name in (SCENE, f"{LOCAL}/series/m2", f"{LOCAL}/folder", f"{LOCAL}/none"):
            check_error(client.get(f"/v1/{name}"), 404, "NOT_FOUND", f"Asset '{name}' not found.")
            check_error(client.post(f"/v1/{name}:getPixels", json=NPY), 404, "NOT_FOUND")
        assert client.get(f"/v1/{LOCAL}/series").json()["type"] == "IMAGE_COLLECTION"
        page = client.get(f"/v1/{LOCAL}/series:listAssets").json()
        assert [each["id"] for each in page["assets"]] == [f"{LOCAL}/series/m1"]
        roots = client.get("/v1/projects/localhost:listAssets").json()["assets"]
        assert [each["id"] for each in roots] == [f"{LOCAL}/series"]
        public = client.get(f"/v1/{PUBLIC}/COPERNICUS/S2:listAssets").json()["assets"]
        assert len(public) == 2
        check_error(client.get(f"/v1/{LOCAL}/folder:listAssets"), 404, "NOT_FOUND")
