"""A server on loopback answers to its own names, and to no page of another origin."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.http.test_keys import POSTS, ROUTES, at
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import AccessSettings, ApiSettings, Config, RasterFolder, Server
from tileserver.server.app import create_app

ASSET = "projects/localhost/assets/a"
LAYER_ROUTES = [
    "/tiles/{}/0/0/0.png",
    "/tilejson/{}.json",
    "/info/{}",
    "/point/{}?lon=-111&lat=40",
    "/point/{}",
    "/statistics/{}",
    "/preview/{}.png",
    "/preview/{}",
    "/legend/{}.svg",
    "/tiles/{}/0/0/9.png",
]
OWN = [
    "localhost",
    "LOCALHOST:8080",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.9.8.7:65535",
    "[::1]",
    "[::1]:8080",
    "[::ffff:127.0.0.1]",
    "tiles.example.org",
    "Tiles.Example.Org.:443",
]
FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "evil.example.",
    "EVIL.EXAMPLE",
    "localhost.evil.example",
    "evil-localhost",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "tiles.example.org.evil.example",
    "x.tiles.example.org",
    "0.0.0.0",
    "0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "192.168.0.1",
    "[::]",
    "[::2]",
    "[fe80::1]",
]
NO_NAMES = [
    "",
    "localhost@evil.example",
    "evil.example@localhost",
    "user:secret@localhost",
    "localhost/evil",
    "localhost evil",
    "localhost,evil.example",
    "localhost:port",
    "localhost:999999",
    "[::1",
    "[localhost]",
    "http://localhost",
    "lo\xe7alhost",
]
PUBLIC = "https://tiles.example.org/eo"


def config_of(folder: Path, **more: Any) -> Config:
    graphs = ApiSettings(graphs=str(folder / "graphs"))
    return Config(rasters=(RasterFolder(str(folder / "a.tif")),), api=graphs, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hosts")
    write_raster(folder / "a.tif", noise(1, 50, 60), overviews=())
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """Ask a server for this machine alone."""
    with (
        serve(create_app(config_of(folder))) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def proxied(folder: Path) -> Iterator[httpx.Client]:
    """Ask a server behind a proxy that is known."""
    config = config_of(folder, server=Server(public_url=PUBLIC))
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def status_of(url: str, request: str) -> int:
    """Return the status of the answer to a request as it is written."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 0), 5) as connection:
        connection.sendall(request.encode("latin-1"))
        return int(connection.recv(4096).split(b" ", 2)[1])


@pytest.mark.parametrize("host", OWN)
def test_every_route_answers_to_its_own_names(proxied: httpx.Client, host: str) -> None:
    for route in (*ROUTES, "/healthz"):
        answer = proxied.get(at(proxied, route), headers={"host": host})
        expected = 404 if "nothing" in route or "0123" in route else 200
        assert (route, answer.status_code) == (route, expected)


EVERYTHING = (*ROUTES, "/healthz", "/readyz", "/main.js", "/icon.svg")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "DELETE"])
def test_no_method_answers_to_another_name(client: httpx.Client, method: str) -> None:
    for route in EVERYTHING:
        answer = client.request(method, at(client, route), headers={"host": FOREIGN[0]})
        assert (route, answer.status_code) == (route, 403)
        assert "etag" not in answer.headers


@pytest.mark.parametrize("host", [*FOREIGN, "tiles.example.org"])
def test_no_route_answers_to_another_name(client: httpx.Client, host: str) -> None:
    for route in EVERYTHING:
        answer = client.get(at(client, route), headers={"host": host})
        assert (route, answer.status_code) == (route, 403)
        assert "etag" not in answer.headers
    answer = client.get("/layers", headers={"host": host})
    assert "localhost" in answer.json()["error"]["message"]
    assert "public_url" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", NO_NAMES)
def test_a_host_that_is_no_name_is_refused_on_every_route(client: httpx.Client, host: str) -> None:
    for route in (*ROUTES, "/healthz"):
        request = f"GET {route} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        assert (route, status_of(str(client.base_url), request)) == (route, 400)


@pytest.mark.parametrize(
    "request_text",
    [
        "GET {} HTTP/1.0\r\n\r\n",
        "GET {} HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET {} HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET {} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET {} HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n",
    ],
)
def test_a_missing_or_second_host_is_refused(client: httpx.Client, request_text: str) -> None:
    for route in ROUTES:
        assert (route, status_of(str(client.base_url), request_text.format(route))) == (route, 400)


def test_a_target_with_a_host_of_its_own_does_not_stand_for_the_header(
    client: httpx.Client,
) -> None:
    for route in ROUTES:
        request = f"GET http://localhost{route} HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        assert (route, status_of(str(client.base_url), request)) == (route, 403)


def test_a_probe_without_a_name_is_answered(client: httpx.Client) -> None:
    for route in ("/healthz", "/readyz"):
        assert status_of(str(client.base_url), f"GET {route} HTTP/1.0\r\n\r\n") == 200


def test_a_server_that_others_reach_answers_to_every_name(folder: Path) -> None:
    config = config_of(folder, server=Server(host="0.0.0.0"))
    with serve(create_app(config)) as url:
        answer = httpx.get(f"{url}/info/a", headers={"host": "maps.example.org"}, timeout=60)
    assert answer.status_code == 200


CLOSED = [
    *(route.format(ASSET) for route in LAYER_ROUTES),
    *(route.format("nothing") for route in LAYER_ROUTES),
    *(route for route in ROUTES if "/v1" in route or "$" in route),
    "/v1/nothing",
    "/metrics",
]
SHOWN_BY_URL = re.compile(r"/maps/.*/tiles/|/thumbnails/")
"""What notebooks show from wherever they are."""


@pytest.mark.parametrize("route", CLOSED)
def test_no_page_of_another_origin_reads_assets_the_api_or_figures(
    client: httpx.Client, proxied: httpx.Client, route: str
) -> None:
    for each in (client, proxied):
        url = at(each, route)
        first = each.get(url)
        held = {"if-none-match": first.headers.get("etag", '"x"')}
        answers = [first, each.head(url), each.get(url, headers=held), each.options(url)]
        for origin in ("http://evil.example", "http://localhost:1", "null"):
            asked = {"origin": origin, "access-control-request-method": "GET"}
            answers += [each.options(url, headers=asked), each.get(url, headers=asked)]
        for answer in answers:
            names = [name for name in answer.headers if name.startswith("access-control-")]
            assert names == []
            assert "timing-allow-origin" not in answer.headers


@pytest.mark.parametrize("route", [*(each.format("a") for each in LAYER_ROUTES), "/layers"])
def test_layers_that_are_configured_are_there_for_every_page(
    client: httpx.Client, route: str
) -> None:
    elsewhere = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    first = client.get(route, headers=elsewhere)
    again = client.get(route, headers={**elsewhere, "if-none-match": first.headers.get("etag", "")})
    for answer in (first, again, client.options(route, headers=elsewhere)):
        assert answer.status_code in (200, 204, 304, 400, 404)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("route", [each for each in CLOSED if not SHOWN_BY_URL.search(each)])
def test_a_page_of_another_origin_does_not_even_load_them(
    client: httpx.Client, route: str, site: str
) -> None:
    asked = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    answer = client.get(at(client, route), headers=asked)
    assert answer.status_code == 403
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    opened = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
    assert client.get(at(client, route), headers=opened).status_code != 403
    for own in ("same-origin", "none"):
        assert client.get(at(client, route), headers={"sec-fetch-site": own}).status_code != 403


@pytest.mark.parametrize(
    "sent",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"origin": "http://127.0.0.1"},
        {"origin": "nonsense"},
        {"origin": "http://[::1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("route", POSTS)
def test_a_page_of_another_origin_starts_nothing(
    client: httpx.Client, proxied: httpx.Client, folder: Path, route: str, sent: dict[str, str]
) -> None:
    for each in (client, proxied):
        headers = {**sent, "content-type": "text/plain"}
        for more in ({}, {"x-http-method-override": "GET"}):
            answer = each.post(route, content="{}", headers={**headers, **more})
            assert answer.status_code == 403
            assert answer.json()["error"]["status"] == "PERMISSION_DENIED"
    assert not (folder / "graphs").exists()


def test_what_a_notebook_shows_by_its_url_is_shown_and_not_read(client: httpx.Client) -> None:
    asked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    for route in ROUTES:
        if SHOWN_BY_URL.search(route):
            answer = client.get(route, headers=asked)
            assert answer.status_code == 404
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_pages_of_the_server_and_programs_may_post(
    client: httpx.Client, proxied: httpx.Client
) -> None:
    own = str(client.base_url).rstrip("/")
    for headers in ({}, {"origin": own, "sec-fetch-site": "same-origin"}):
        assert client.post("/v1/projects/p/maps", json={}, headers=headers).status_code == 400
    public = {"origin": "https://tiles.example.org"}
    assert proxied.post("/v1/projects/p/maps", json={}, headers=public).status_code == 400


FORWARDED = [
    {"x-forwarded-for": "203.0.113.9"},
    {"x-forwarded-proto": "https"},
    {"x-forwarded-host": "tiles.example.org"},
    {"x-forwarded-anything": ""},
    {"forwarded": "for=203.0.113.9"},
    {"x-real-ip": "203.0.113.9"},
    {"via": "1.1 proxy"},
    {"cf-connecting-ip": "203.0.113.9"},
    {"x-cluster-client-ip": "203.0.113.9"},
    {"fastly-client-ip": "203.0.113.9"},
    {"fly-client-ip": "203.0.113.9"},
    {"x-original-forwarded-for": "203.0.113.9"},
    {"x-original-host": "tiles.example.org"},
    {"x-envoy-external-address": "203.0.113.9"},
    {"cdn-loop": "cloudflare"},
    {"x-azure-clientip": "203.0.113.9"},
    {"tailscale-user-login": "somebody@example.org"},
]


@pytest.mark.parametrize("route", [each for each in ROUTES if "/v1" in each or each == "/metrics"])
def test_beyond_this_machine_the_api_and_figures_need_a_key_or_a_word(
    folder: Path, client: httpx.Client, proxied: httpx.Client, route: str
) -> None:
    for through in FORWARDED:
        for each in (client, proxied):
            refused = each.get(at(each, route), headers=through)
            assert (through, refused.status_code) == (through, 403)
            assert "[access] open = true" in refused.json()["error"]["message"]


def test_the_word_opens_them_and_one_who_only_lists_assets_does_not_say_it(folder: Path) -> None:
    far = Server(host="0.0.0.0")
    for access, status in (
        (AccessSettings(), 403),
        (AccessSettings(assets=("**",)), 403),
        (AccessSettings(open=True), 200),
    ):
        with (
            serve(create_app(config_of(folder, server=far, access=access))) as url,
            httpx.Client(trust_env=False, timeout=60) as anyone,
        ):
            for route in ("/v1/projects/p/config", f"/v1/{ASSET}", "/$discovery/rest", "/metrics"):
                assert (access, route, anyone.get(url + route).status_code) == (
                    access,
                    route,
                    status,
                )
            assert anyone.get(f"{url}/tiles/a/0/0/0.png").status_code == 200
    keyed = replace(
        config_of(folder, server=far), access=AccessSettings(keys=(("a", "a-long-api-key"),))
    )
    with (
        serve(create_app(keyed)) as url,
        httpx.Client(trust_env=False, timeout=60) as anyone,
    ):
        for route in ("/v1/projects/p/config", "/metrics"):
            assert anyone.get(url + route).status_code == 401
            assert anyone.get(url + route, params={"key": "a-long-api-key"}).status_code == 200
