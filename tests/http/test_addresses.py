"""Absolute addresses: those of the public URL, or of a trusted proxy, and of nobody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.requests import Request

from tests.support.nginx import nginx_before
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config, RasterFolder, Server
from tileserver.errors import InvalidRequest
from tileserver.http.addresses import TRUSTED_PROXY, base_url
from tileserver.server.app import create_app

DOCUMENTS = ("/layers", "/tilejson/a.json", "/$discovery/rest")
SPOOFED = {
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "https",
    "x-forwarded-port": "666",
    "x-forwarded-prefix": "/evil",
    "x-script-name": "/evil",
    "x-forwarded-context": "/evil",
    "forwarded": 'for=1.2.3.4;proto=https;host="evil.example"',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("addresses")
    write_raster(folder / "a.tif", noise(1, 50, 60), overviews=())
    return folder


def served(folder: Path, **more: Any) -> Config:
    return Config(server=Server(**more), rasters=(RasterFolder(str(folder / "a.tif")),))


@pytest.fixture(scope="module")
def trusting(folder: Path) -> Iterator[httpx.Client]:
    """Ask a server that trusts proxies on its machine."""
    config = served(folder, trusted_proxies=("127.0.0.1",))
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def found(headers: Mapping[str, str], public_url: str | None = None, trusted: bool = True) -> str:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    state = {TRUSTED_PROXY: True} if trusted else {}
    scope = {"type": "http", "scheme": "http", "headers": pairs, "state": state}
    return base_url(Request({**scope, "path": "/layers"}), public_url)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"x-forwarded-proto": "https"}, "https://127.0.0.1:8080"),
        ({"x-forwarded-proto": "wss"}, "https://127.0.0.1:8080"),
        ({"x-forwarded-host": "maps.org"}, "http://maps.org"),
        ({"x-forwarded-host": "evil.org, maps.org"}, "http://maps.org"),
        ({"x-forwarded-host": "maps.org:81", "x-forwarded-port": "82"}, "http://maps.org:81"),
        ({"x-forwarded-host": "maps.org", "x-forwarded-port": "82"}, "http://maps.org:82"),
        ({"x-forwarded-host": "[::1]", "x-forwarded-port": "82"}, "http://[::1]:82"),
        (
            {
                "x-forwarded-host": "maps.org",
                "x-forwarded-port": "443",
                "x-forwarded-proto": "https",
            },
            "https://maps.org",
        ),
        ({"x-forwarded-prefix": "/eo/"}, "http://127.0.0.1:8080/eo"),
        ({"x-forwarded-prefix": "/"}, "http://127.0.0.1:8080"),
        ({"x-script-name": "/a/b~c"}, "http://127.0.0.1:8080/a/b~c"),
        (
            {"x-forwarded-context": "/user/me/proxy/8080"},
            "http://127.0.0.1:8080/user/me/proxy/8080",
        ),
        (
            {"forwarded": 'host=evil.org, for="[::2]:5"; Proto=HTTPS;Host="maps.org:81"'},
            "https://maps.org:81",
        ),
        (
            {"forwarded": "host=other.org;proto=http", "x-forwarded-host": "maps.org"},
            "http://maps.org",
        ),
    ],
)
def test_a_trusted_proxy_says_how_clients_reach_the_server(
    headers: dict[str, str], expected: str
) -> None:
    request = {"host": "127.0.0.1:8080", **headers}
    assert found(request) == expected
    assert found(request, trusted=False) == "http://127.0.0.1:8080"
    assert found(request, "https://tiles.org/x") == "https://tiles.org/x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-Host", "evil.org/path"),
        ("X-Forwarded-Host", 'a"><script>'),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Port", "80/evil"),
        ("X-Forwarded-Prefix", "eo"),
        ("X-Forwarded-Prefix", "//evil.org"),
        ("X-Forwarded-Prefix", "/a/../b"),
        ("X-Forwarded-Prefix", "/a?b"),
        ("X-Forwarded-Prefix", "/" + 200 * "a"),
        ("X-Script-Name", "/<script>"),
        ("Forwarded", "nonsense"),
    ],
)
def test_a_malformed_header_of_a_trusted_proxy_is_refused_by_its_name(
    name: str, value: str
) -> None:
    host = {"x-forwarded-host": "maps.org"} if name == "X-Forwarded-Port" else {}
    with pytest.raises(InvalidRequest, match=f"^{name}: expected"):
        found({"host": "localhost", **host, name.lower(): value})
    assert found({"host": "localhost", name.lower(): value}, trusted=False) == "http://localhost"


def test_every_document_has_the_address_of_the_proxy(trusting: httpx.Client) -> None:
    headers = {"x-forwarded-host": "maps.org", "x-forwarded-proto": "https"}
    for route in DOCUMENTS:
        answer = trusting.get(route, headers={**headers, "x-forwarded-prefix": "/eo"})
        is_closed = answer.status_code == 403 and "$" in route
        assert is_closed or "https://maps.org/eo/" in answer.text, route
        assert str(trusting.base_url.netloc.decode()) not in answer.text
        if "$" not in route:
            # It repeats headers of the request, so no shared cache may keep it.
            assert answer.headers["cache-control"].startswith("private")


@pytest.mark.parametrize("trusted", [(), ("10.9.8.7", "10.1.0.0/16")])
def test_the_headers_of_others_never_show(folder: Path, trusted: tuple[str, ...]) -> None:
    with serve(create_app(served(folder, trusted_proxies=trusted))) as url:
        # Without a setting the scheme is that of a proxy on this machine.
        here = url if trusted else url.replace("http:", "https:")
        for route in DOCUMENTS:
            answer = httpx.get(f"{url}{route}", headers=SPOOFED, timeout=60)
            assert "evil" not in answer.text
            assert answer.status_code == 403 or f"{here}/" in answer.text, route


def test_with_a_public_url_documents_may_be_cached_by_all(folder: Path) -> None:
    config = served(folder, public_url="https://tiles.org/eo")
    with serve(create_app(config)) as url:
        for route in DOCUMENTS[:2]:
            answer = httpx.get(f"{url}{route}", headers=SPOOFED, timeout=60)
            assert "https://tiles.org/eo/tiles/a/" in answer.text
            assert "evil" not in answer.text
            assert answer.headers["cache-control"].startswith("public")


def test_a_page_behind_a_proxy_posts_areas_and_a_foreign_page_does_not(
    trusting: httpx.Client,
) -> None:
    ring = [[-1, -1], [1, -1], [1, 1], [-1, -1]]
    area = {"type": "Polygon", "coordinates": [ring]}
    headers = {"origin": "https://maps.org", "x-forwarded-proto": "https"}
    statuses = [
        trusting.post(
            "/statistics/a", json=area, headers={**headers, "x-forwarded-host": host}
        ).status_code
        for host in ("maps.org", "tiles.org")
    ]
    assert statuses[0] != 403
    assert statuses[1] == 403


def test_behind_nginx_as_documented_links_have_its_address_and_lead_to_tiles(
    folder: Path, tmp_path: Path
) -> None:
    with (
        serve(create_app(served(folder, trusted_proxies=("127.0.0.1",)))) as url,
        nginx_before(url, tmp_path) as (address, trust),
        httpx.Client(verify=trust, timeout=60) as client,
    ):
        # Clients may send what they like: nginx replaces it.
        for headers in ({}, SPOOFED):
            tilejson = client.get(f"{address}/tilejson/a.json", headers=headers).json()
            listed = client.get(f"{address}/layers?limit=1", headers=headers).json()
            for template in (tilejson["tiles"][0], listed["layers"][0]["tiles"]):
                assert template.startswith(f"{address}/tiles/a/")
                tile = client.get(template.format(z=0, x=0, y=0))
                assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
        page = client.get(f"{address}/")
        assert page.status_code == 200
        assert urlsplit(str(page.url)).path == "/eo/"
