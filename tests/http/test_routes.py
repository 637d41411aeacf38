"""Every route of the application has a row, so access to it is decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.contract.names import Access
from tileserver.errors import NotFound
from tileserver.http.hosts import Sender
from tileserver.http.routes import ROWS, Resource, Row, named_layer, row_of
from tileserver.http.rules import Rules
from tileserver.rasters.roots import Root
from tileserver.rest.router import RestRouter
from tileserver.server.app import create_app

NOWHERE = "/nowhere/{layer:path}/{z}/{x}/{y}.png"
UNKNOWN = "/nowhere/projects/localhost/assets/scene/0/0/0.png"
PROXIED = Sender(hosts=(b"maps.example.org",), is_forwarded=True)
UNDECIDED = "no row of http/routes.py decides the access to"


async def answer(request: Request) -> Response:
    return PlainTextResponse("values of an asset")


def check_routes(routes: list[BaseRoute]) -> None:
    """Check that access is decided at every route, and nothing else but API and page is there."""
    patterns = {row.path for row in ROWS}
    for route in routes:
        if isinstance(route, Route):
            assert route.path in patterns, f"{UNDECIDED} {route.path}"
            example = route.path.replace("{layer:path}", "a/b").replace("{name:path}", "a/b.png")
            row = row_of(example)
            assert row is not None
            has_name = "{" in route.path and row.resource is not Resource.PROBE
            assert (named_layer(example) == "a/b") == has_name, example
        else:
            assert isinstance(route, RestRouter) or (isinstance(route, Mount) and not route.path)


def test_access_is_decided_at_every_route() -> None:
    check_routes(create_app(Config()).routes)


def test_a_route_without_a_row_is_found() -> None:
    routes: list[BaseRoute] = [*create_app(Config()).routes, Route(NOWHERE, answer)]
    with pytest.raises(AssertionError, match=UNDECIDED):
        check_routes(routes)


def test_no_two_rows_start_the_same() -> None:
    assert len({row.start for row in ROWS}) == len(ROWS)


def test_a_document_below_a_pattern_is_not_taken_for_a_layer() -> None:
    document = row_of("/wmts/1.0.0/WMTSCapabilities.xml")
    assert document is not None
    assert document.resource is Resource.LAYER
    assert named_layer("/wmts/1.0.0/WMTSCapabilities.xml") is None
    assert named_layer("/wmts/a/b/1.0.0/WMTSCapabilities.xml") == "a/b"
    assert named_layer("/wmts/a/b") == "a/b"
    assert named_layer("/tiles") == named_layer("/tiles/") == ""


@pytest.mark.parametrize("resource", [None, Resource.LAYER])
def test_a_row_says_where_the_name_in_its_path_is(resource: Resource | None) -> None:
    with pytest.raises(ValueError, match="expected layer_of"):
        Row(path=NOWHERE, endpoint=answer, resource=resource)
    with pytest.raises(ValueError, match="expected layer_of"):
        Row(path="/list", endpoint=answer, layer_of=str)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Serve an application with one route more, which no row has."""
    write_raster(tmp_path / "scene.tif", noise(1, 50, 60), overviews=())
    app = create_app(Config(), [Root(str(tmp_path))])
    app.router.routes.insert(0, Route(NOWHERE, answer))
    with serve(app) as url:
        yield url


def test_a_route_without_a_row_is_closed_to_pages_of_other_origins(url: str) -> None:
    own = httpx.get(f"{url}{UNKNOWN}", timeout=60)
    assert own.text == "values of an asset"
    assert "access-control-allow-origin" not in own.headers
    assert own.headers["cross-origin-resource-policy"] == "same-origin"
    foreign = httpx.get(f"{url}{UNKNOWN}", headers={"origin": "https://evil.example"}, timeout=60)
    assert foreign.status_code == 403
    preflight = httpx.options(f"{url}{UNKNOWN}")
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize("path", [UNKNOWN, "/layers/more", "//tiles/a/0/0/0.png"])
def test_through_a_proxy_a_path_without_a_row_is_refused(path: str) -> None:
    rules = Rules(["scene"], beyond=Access(["projects/localhost/assets/**"]))
    resource = rules.resource(path, None)
    assert resource is Resource.ASSET
    with pytest.raises(NotFound, match="no such page"):
        rules.check_asset(resource, path, PROXIED)
    for page in ("/", "/layers", "/healthz", "/tiles/scene/0/0/0.png"):
        rules.check_asset(rules.resource(page, None), page, PROXIED)
