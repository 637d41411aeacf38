from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.serving import serve
from tileserver.config.page import OPENSTREETMAP, BaseMap
from tileserver.http.page import PageLinks, page_folder
from tileserver.server.app import create_app
from tileserver.server.get_pixels import find_config

POLICY = PageLinks((OPENSTREETMAP,)).policy
"""Without a configuration."""


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    app = create_app(find_config(None, {}, {}))
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def test_the_page_and_all_that_it_names_are_served(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert len(named) >= 2
    for path in named:
        assert "://" not in path
        assert (path, client.get(f"/{path.removeprefix('./')}").status_code) == (path, 200)
    assert client.get("/vendor/leaflet/leaflet.js").status_code == 200


def test_the_page_is_asked_for_anew_and_may_load_nothing_from_elsewhere(
    client: httpx.Client,
) -> None:
    for path in ("/", "/css/base.css", "/main.js"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["cache-control"] == "no-cache"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert POLICY.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src")
    assert "unsafe" not in POLICY


def test_only_the_hosts_of_base_maps_and_the_geocoder_are_open_to_the_page() -> None:
    """As the user of the page has to choose them, the page asks them nothing by itself."""
    topo = BaseMap(
        name="topo",
        url="https://a.example.org/{z}/{x}/{y}.png?token=1",
        dark_url="http://B:81/{z}/{x}/{y}",
    )
    links = PageLinks((OPENSTREETMAP, topo), "https://places.example.org/nominatim")
    policy = dict(each.split(" ", 1) for each in links.policy.split("; "))
    assert policy["img-src"].split() == [
        "'self'",
        "data:",
        "blob:",
        "https://tile.openstreetmap.org",
        "https://a.example.org",
        "http://b:81",
    ]
    assert policy["connect-src"].split() == ["'self'", "https://places.example.org"]
    assert PageLinks().policy.count("http") == 0


def test_the_page_is_told_what_the_configuration_offers(tmp_path: Path) -> None:
    config = tmp_path / "tileserver.toml"
    config.write_text("""
        [page]
        openstreetmap = false
        geocoder = "https://places.example.org/"
        [base_maps.topo]
        url = "https://tiles.example.org/{z}/{x}/{y}.png"
        attribution = "Somebody"
    """)
    app = create_app(find_config(config, {}, {}))
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        told = client.get("/page.json").json()
        policy = client.get("/").headers["content-security-policy"]
    assert told | {"world": None} == {
        "world": None,
        "geocoder": "https://places.example.org",
        "local": None,
        "base_maps": [
            {
                "name": "topo",
                "title": "topo",
                "url": "https://tiles.example.org/{z}/{x}/{y}.png",
                "dark_url": None,
                "attribution": "Somebody",
                "max_zoom": 19,
            }
        ],
    }
    assert "openstreetmap" not in policy
    assert "https://tiles.example.org" in policy


@pytest.mark.parametrize(
    "path",
    [
        "/package.json",
        "/package-lock.json",
        "/node_modules/leaflet/package.json",
        "/.gitignore",
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "/vendor",
        "/index.htm",
    ],
)
def test_nothing_beside_the_page_is_served(client: httpx.Client, path: str) -> None:
    response = client.get(path, follow_redirects=True)
    assert response.status_code == 404
    assert response.headers["cache-control"] == "no-store"


def test_the_page_is_found_where_it_was_built() -> None:
    assert (page_folder() / "index.html").is_file()
