"""Kept responses over real sockets: what is repeated, to which requests, and for how long."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.config.config import AccessSettings, Config
from tileserver.http.keys import Keys
from tileserver.http.response_cache import Mark, ResponseCache
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

TILE = "/tiles/scene/12/772/1541.png?bands=b1&min=0&max=65535"
OUTSIDE = "/tiles/scene/2/3/3.png?bands=b1&min=0&max=65535"
SECRET = "sesame-sesame-sesame"  # pragma: allowlist secret


class Counting:
    """An application, and the paths of the requests that reached it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.paths.append(scope["path"])
        await self.app(scope, receive, send)


@contextmanager
def scene_server(
    folder: Path, keys: tuple[tuple[str, str], ...] = ()
) -> Iterator[tuple[httpx.Client, Counting]]:
    write_raster(folder / "scene.tif", noise(1, 300, 300))
    config = Config(access=AccessSettings(keys=keys))
    app = Counting(create_app(config, [Root(str(folder / "scene.tif"))]))
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client, app


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[httpx.Client, Counting]]:
    with scene_server(tmp_path) as found:
        yield found


def kept(client: httpx.Client, app: Counting, path: str, **more: object) -> httpx.Response:
    """Return a response that did not reach the application, once one does not."""
    found: list[httpx.Response] = []

    def is_kept() -> bool:
        before = len(app.paths)
        found.append(client.get(path, **more))  # type: ignore[arg-type]
        return len(app.paths) == before

    until(is_kept)
    return found[-1]


@pytest.mark.parametrize("path", [TILE, OUTSIDE, "/healthz"])
def test_a_repeated_response_equals_the_handled_one_but_for_its_id(
    server: tuple[httpx.Client, Counting], path: str
) -> None:
    client, app = server
    client.get(path)
    handled = client.get(path)
    repeated = kept(client, app, path)
    own = {"date", "x-request-id", "server-timing"}
    assert (repeated.status_code, repeated.content) == (200, handled.content)
    assert {k: v for k, v in repeated.headers.items() if k not in own} == {
        k: v for k, v in handled.headers.items() if k not in own
    }
    assert [name for name, _ in repeated.headers.raw].count(b"x-request-id") == 1
    assert kept(client, app, path).headers["x-request-id"] != repeated.headers["x-request-id"]
    named = kept(client, app, path, headers={"X-Request-Id": "mine-7"})
    assert named.headers["x-request-id"] == "mine-7"


def test_a_first_response_is_not_repeated_as_a_miss(server: tuple[httpx.Client, Counting]) -> None:
    client, app = server
    assert "fwd=miss" in client.get(TILE).headers["cache-status"]
    assert kept(client, app, TILE).headers["cache-status"] == "tileserver; hit"


def test_an_unchanged_tile_is_answered_with_304_for_as_long_as_it_is_asked_for(
    server: tuple[httpx.Client, Counting],
) -> None:
    client, app = server
    etag = client.get(TILE).headers["etag"]
    kept(client, app, TILE)
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        found = kept(client, app, TILE, headers={"If-None-Match": given})
        assert (found.status_code, found.content) == (304, b"")
        assert found.headers["etag"] == etag
        assert "content-type" not in found.headers
    assert kept(client, app, TILE, headers={"If-None-Match": '"other"'}).status_code == 200
    handled = len(app.paths)

    def is_checked_again() -> bool:
        assert client.get(TILE, headers={"If-None-Match": etag}).status_code == 304
        return len(app.paths) > handled

    # The file is looked at again from time to time; then 304 is repeated once more.
    until(is_checked_again)
    assert kept(client, app, TILE, headers={"If-None-Match": etag}).status_code == 304


def test_a_replaced_file_shows_its_new_pixels(
    server: tuple[httpx.Client, Counting], tmp_path: Path
) -> None:
    client, app = server
    client.get(TILE)
    old = kept(client, app, TILE)
    write_raster(tmp_path / "new.tif", noise(1, 300, 300, seed=1))
    (tmp_path / "new.tif").rename(tmp_path / "scene.tif")
    until(lambda: client.get(TILE).headers["etag"] != old.headers["etag"])
    assert kept(client, app, TILE).content != old.content


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
    ids=["host", "origin", "fetch metadata"],
)
def test_a_request_that_the_rules_refuse_gets_no_kept_response(
    server: tuple[httpx.Client, Counting], headers: dict[str, str]
) -> None:
    client, app = server
    asset = "/tiles/projects/localhost/assets/scene/12/772/1541.png"
    client.get(asset)
    kept(client, app, asset)
    refused = client.get(asset, headers=headers)
    assert refused.status_code == 403
    assert client.get(asset, headers=headers).status_code == 403


def test_with_keys_only_their_holders_get_kept_responses(tmp_path: Path) -> None:
    with scene_server(tmp_path, (("ann", SECRET),)) as (client, app):
        mine = {"X-API-Key": SECRET}
        client.get(TILE, headers=mine)
        found = kept(client, app, TILE, headers=mine)
        assert found.status_code == 200
        assert "private" in found.headers["cache-control"]
        assert kept(client, app, f"{TILE}&key={SECRET}").content == found.content
        for headers in ({}, {"X-API-Key": SECRET[:-1]}, {"Authorization": "Bearer none"}):
            assert client.get(TILE, headers=headers).status_code == 401
        assert client.get(f"{TILE}&key=wrong").status_code == 401


def test_a_key_is_no_part_of_what_is_kept() -> None:
    responses = ResponseCache(Keys({"ann": SECRET}), 1_000_000)
    for url, headers in (
        (b"/a?key=" + SECRET.encode(), []),
        (b"/a", [(b"x-api-key", SECRET.encode())]),
        (b"/a", [(b"authorization", b"Bearer " + SECRET.encode())]),
    ):
        key = responses.key(url, headers)
        assert key is not None
        assert SECRET not in repr(key)


def exchanged(url: str, sent: bytes) -> bytes:
    """Return all that the server sends until it closes the connection."""
    parts = urlsplit(url)
    received = b""
    with socket.create_connection((parts.hostname or "", parts.port or 80), 60) as connection:
        connection.sendall(sent)
        while chunk := connection.recv(65536):
            received += chunk
    return received


def test_kept_and_handled_responses_come_in_the_order_of_pipelined_requests(
    server: tuple[httpx.Client, Counting],
) -> None:
    client, app = server
    client.get(TILE)
    body = kept(client, app, TILE).content
    kept(client, app, "/healthz")
    host = f"Host: {client.base_url.netloc.decode()}\r\n\r\n".encode()
    tile, health = (f"GET {path} HTTP/1.1\r\n".encode() + host for path in (TILE, "/healthz"))
    layers = b"GET /layers HTTP/1.1\r\n" + host
    last = b"GET /readyz HTTP/1.1\r\nConnection: close\r\n" + host
    found = exchanged(str(client.base_url), tile + layers + tile + health + layers + tile + last)
    places = [found.index(b'"layers"'), found.rindex(b'"layers"')]
    assert found.count(b"HTTP/1.1 200 OK") == 7
    assert found.count(body) == 3
    assert found.index(body) < places[0] < found.index(b'"ok"') < places[1] < found.rindex(body)
    assert found.rstrip().endswith(b"}")


@pytest.mark.parametrize(
    ("line", "more", "status"),
    [
        (b"HEAD %s HTTP/1.1", b"Connection: close\r\n", b"HTTP/1.1 200 OK"),
        (b"GET %s HTTP/1.0", b"", b"HTTP/1.1 200 OK"),
        (b"GET %s HTTP/1.1", b"Connection: close\r\n", b"HTTP/1.1 200 OK"),
        (b"POST %s HTTP/1.1", b"Content-Length: 0\r\nConnection: close\r\n", b"HTTP/1.1 405"),
    ],
    ids=["HEAD", "HTTP/1.0", "close", "POST"],
)
def test_other_requests_than_a_plain_get_are_handled(
    server: tuple[httpx.Client, Counting], line: bytes, more: bytes, status: bytes
) -> None:
    client, app = server
    client.get(TILE)
    body = kept(client, app, TILE).content
    before = len(app.paths)
    host = b"Host: %s\r\n" % client.base_url.netloc
    found = exchanged(str(client.base_url), line % TILE.encode() + b"\r\n" + host + more + b"\r\n")
    assert found.startswith(status)
    assert len(app.paths) == before + 1
    assert found.endswith(body) is (line.startswith(b"GET"))


def test_kept_responses_are_counted_as_handled_ones_are(
    server: tuple[httpx.Client, Counting],
) -> None:
    client, app = server

    def counted() -> tuple[float, float]:
        lines = client.get("/metrics").text.splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        route = "/tiles/{layer:path}/{z}/{x}/{name}"
        requests = f'tileserver_requests_total{{route="{route}",status="200"}}'
        hits = 'tileserver_cache_total{result="hit"}'
        return float(values[requests]), float(values[hits])

    client.get(TILE)
    kept(client, app, TILE)
    before = counted()
    for _ in range(10):
        client.get(TILE)
    assert counted() == (before[0] + 10, before[1] + 10)


def test_what_is_kept_stays_within_its_bytes() -> None:
    responses = ResponseCache(Keys({}), 200_000)
    mark = Mark(lambda: True, float("inf"), False)
    headers = [(b"etag", b'"a"'), (b"content-length", b"1000")]
    for number in range(1000):
        key = responses.key(b"/%d" % number, [(b"host", b"h" * 100)])
        assert key is not None
        responses.put(key, mark, "/", headers, bytes(1000))
    found = [responses.find(b"/%d" % n, [(b"host", b"h" * 100)]) for n in range(1000)]
    assert 10 < sum(each is not None for each in found) < 50
    assert found[-1] is not None
    key = responses.key(b"/large", [])
    assert key is not None
    responses.put(key, mark, "/", headers, bytes(100_000))
    assert responses.find(b"/large", []) is None
