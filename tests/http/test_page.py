from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.support.serving import serve
from tileserver.http.page import CONTENT_SECURITY_POLICY, page_folder
from tileserver.server.app import create_app
from tileserver.server.get_pixels import find_config


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    app = create_app(find_config(None, {}, {}))
    with serve(app) as url, httpx.Client(base_url=url) as client:
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
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["cache-control"] == "no-cache"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


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
