"""Limits of HTTP itself, tried byte by byte against a server in a process of its own."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import tileserver
from tests.support.commands import Serving, log_of, serving
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.server.app import create_app
from tileserver.server.get_pixels import find_config

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = (
    b"POST /v1/projects/p/value:compute HTTP/1.1\r\nHost: localhost\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
PATIENCE_S = 60.0
FLOOD_BYTES = 60_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving("--port", "0", cwd=tmp_path_factory.mktemp("demo")) as found:
        settle(found)
        yield found


def settle(server: Serving) -> None:
    """Wait until a server that just started takes no more memory by itself."""
    held_bytes = [0] * 5

    def is_still() -> bool:
        held_bytes.append(memory_bytes(server))
        time.sleep(0.1)
        return max(held_bytes[-5:]) - min(held_bytes[-5:]) < 500_000

    until(is_still)


def connected(server: Serving | str) -> socket.socket:
    parts = urlsplit(server if isinstance(server, str) else server.url)
    return socket.create_connection((parts.hostname, parts.port or 80), PATIENCE_S)


def is_established(local_port: int, remote_port: int) -> bool:
    """Tell whether the process at the local port holds a connection of IPv4 open."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    states = {(local[-4:], remote[-4:]): state for _, local, remote, state, *_ in lines}
    return states.get((f"{local_port:04X}", f"{remote_port:04X}")) == "01"


def flood(server: Serving, first: bytes, more: bytes, most_bytes: int) -> tuple[int, bytes]:
    """Send `first` and then `more` again and again; return how much was sent, and the answer."""
    sent, received = 0, b""
    with connected(server) as connection:
        try:
            connection.sendall(first)
            while sent < most_bytes:
                connection.sendall(more)
                sent += len(more)
        except (ConnectionError, TimeoutError):
            pass
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return sent, received


def memory_bytes(server: Serving) -> int:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize(
    ("first", "more", "status"),
    [
        (b"GET /", b"a" * 65_536, 414),
        (b"GET /healthz?", b"a" * 65_536, 414),
        (HEAD + b"X-A: ", b"a" * 65_536, 431),
        (HEAD, b"a" * 65_536, 431),
        (HEAD, b"X-A: 1\r\n" * 8192, 431),
        (HEAD, (b"X-A: " + b"1" * 7000 + b"\r\n") * 9, 431),
        (HEAD, b"X-A: 1\r\n 2", 400),
        (b"", b"\r\n" * 32_768, 431),
        (CHUNKED + b"1;a=", b"a" * 65_536, 431),
        (CHUNKED + b"0\r\nX-A: ", b"a" * 65_536, 431),
        (CHUNKED + b"0\r\n", b"X-A: 1\r\n" * 8192, 431),
    ],
    ids=[
        "path", "query", "header value", "header name", "many headers", "long headers", "folded",
        "empty lines", "extension of a chunk", "trailer", "many trailers",
    ],
)  # fmt: skip
def test_a_head_without_end_is_refused_before_it_is_read(
    server: Serving, first: bytes, more: bytes, status: int
) -> None:
    before_bytes = memory_bytes(server)
    sent, received = flood(server, first, more, FLOOD_BYTES)
    assert sent < FLOOD_BYTES / 2
    # A client that never looks may lose the answer; the connection is closed all the same.
    assert not received or received.startswith(b"HTTP/1.1 %d " % status)
    # What a server holds by itself changes too: one that keeps a head would hold all of it.
    assert memory_bytes(server) - before_bytes < FLOOD_BYTES / 3
    assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 17_000), 414),
        (HEAD + b"X-A: %s\r\n\r\n" % (b"a" * 8192), 431),
        (HEAD + b"X-A: 1\r\n" * 200 + b"\r\n", 431),
        (HEAD + (b"X-A: %s\r\n" % (b"a" * 8000)) * 9 + b"\r\n", 431),
        (HEAD + b"X A: 1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_a_refused_head_is_answered_and_the_connection_closed(
    server: Serving, request_bytes: bytes, status: int
) -> None:
    with connected(server) as connection:
        connection.sendall(request_bytes)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in head
    assert b"nosniff" in head
    assert json.loads(body)["error"]["status"] == status


def test_what_is_refused_below_v1_has_earth_engines_shape(server: Serving) -> None:
    answer = httpx.get(
        f"{server.url}/v1/projects/p/algorithms", headers={"x-a": "a" * 9000}, timeout=60
    )
    assert answer.status_code == 431
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (431, "INVALID_ARGUMENT")
    assert "8192" in error["message"]


@pytest.mark.parametrize(
    "path", ["/v1/projects/p/algorithms", "/metrics", "/tiles/USGS/SRTMGL1_003/0/0/0.png", "/"]
)
def test_what_is_refused_before_any_route_is_for_no_page_of_another_origin(
    server: Serving, path: str
) -> None:
    headers = {"origin": "http://elsewhere.example"}
    long_url, long_header = f"{path}?{'a' * 17_000}", headers | {"x-a": "a" * 9000}
    for answer in (
        httpx.get(server.url + long_url, headers=headers, timeout=60),
        httpx.get(server.url + path, headers=long_header, timeout=60),
    ):
        assert answer.status_code in (414, 431)
        assert "access-control-allow-origin" not in answer.headers
        assert "sandbox" in answer.headers["content-security-policy"]


def test_only_health_itself_passes_by_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tileserver.server.protocol.MAX_REQUESTS", 0)
    with serve(create_app(find_config(None, {}, {}))) as url:
        for path in ("/healthz", "/healthz?a=1"):
            assert httpx.get(url + path, timeout=60).status_code == 200
        for path in ("/healthzz", "/healthz/", "/healthz%20", "/health", "/"):
            assert httpx.get(url + path, timeout=60).status_code == 503


def test_clients_that_hang_up_in_a_body_leave_no_trace_in_the_log(tmp_path: Path) -> None:
    config = tmp_path / "tileserver.toml"
    key = "s3same-0pen-s3same"
    demo = Path(tileserver.__file__).parent / "demo"
    config.write_text(f'[[rasters]]\npath = "{demo}"\n[access]\nkeys = {{ one = "{key}" }}\n')
    for arguments, headers in (
        ((), b""),
        (("--config", str(config)), b"X-API-Key: %s\r\n" % key.encode()),
        (("--config", str(config)), b"X-HTTP-Method-Override: GET\r\n"),
    ):
        with serving("--port", "0", *arguments, cwd=tmp_path) as server:
            head = b"POST /v1/projects/p/value:compute HTTP/1.1\r\nHost: localhost\r\n" + headers
            for more in (b"Content-Length: 99\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n"):
                with connected(server) as connection:
                    connection.sendall(head + more)
                    time.sleep(0.2)
            assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
            assert log_of(server) == ""


def test_clients_that_hang_up_amid_pipelined_requests_leave_no_trace_in_the_log(
    tmp_path: Path,
) -> None:
    with serving("--port", "0", cwd=tmp_path) as server:
        for path in (b"/healthz", b"/layers", b"/tiles/blue-marble/0/0/0.png") * 3:
            one = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path
            # What it has not read when it closes makes the kernel reset the connection.
            flood(server, one * 15, one * 100, 3_000_000)
        assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
        assert log_of(server) == ""


def test_long_heads_that_clients_send_are_answered(server: Serving) -> None:
    headers = {f"x-{number}": "a" * 500 for number in range(90)}
    url = f"{server.url}/healthz?{'a' * 16_000}"
    assert httpx.get(url, headers=headers, timeout=60).status_code == 200


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the demo from this process, with a second in place of ten for whatever stalls."""
    for name in ("_HEAD_S", "_STALLED_S"):
        monkeypatch.setattr(f"tileserver.server.protocol.{name}", 1.0)
    with serve(create_app(find_config(None, {}, {}))) as url:
        yield url


def test_a_head_that_never_ends_is_given_up(impatient: str) -> None:
    with connected(impatient) as dripping, connected(impatient) as silent:
        dripping.sendall(HEAD)
        dripping.settimeout(0.1)
        received = None
        ends_s = time.monotonic() + PATIENCE_S
        while received is None:
            assert time.monotonic() < ends_s
            try:
                dripping.sendall(b"X-A: 1\r\n")
                received = dripping.recv(65536)
            except TimeoutError:
                continue
        assert received.startswith(b"HTTP/1.1 408 ")
        assert silent.recv(1) == b""


def test_a_flood_of_pipelined_requests_is_cut_off(server: Serving) -> None:
    before_bytes = memory_bytes(server)
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(connected(server))
            connection.settimeout(0.2)
            try:
                for _ in range(4):
                    connection.sendall((HEAD + b"\r\n") * 7000)
            except (ConnectionError, TimeoutError):
                pass
        assert memory_bytes(server) - before_bytes < 40_000_000
        assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200


def test_bodies_of_many_clients_take_a_bounded_memory(server: Serving) -> None:
    before_bytes = memory_bytes(server)
    head = (
        b"POST /v1/projects/p/value:compute HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 10000000\r\n\r\n"
    )
    part, refused = b"a" * 1_000_000, 0
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(server)) for _ in range(40)]
        for connection in connections:
            connection.settimeout(0.5)
            try:
                connection.sendall(head)
                for _ in range(9):
                    connection.sendall(part)
            except (ConnectionError, TimeoutError):
                pass
        assert memory_bytes(server) - before_bytes < 120_000_000
        small = {"expression": {"result": "0", "values": {"0": {"constantValue": 3}}}}
        answer = httpx.post(f"{server.url}/v1/projects/p/value:compute", json=small, timeout=60)
        assert answer.json() == {"result": 3}
        for connection in connections:
            connection.settimeout(10)
            try:
                received = connection.recv(65536)
            except (ConnectionError, TimeoutError):
                continue
            refused += received.startswith(b"HTTP/1.1 503 ") and b"UNAVAILABLE" in received
    assert refused >= 10


def test_a_body_that_stalls_is_given_up(server: Serving) -> None:
    with connected(server) as connection:
        connection.sendall(
            b"POST /v1/projects/p/value:compute HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 99\r\n"
            b"Connection: close\r\n\r\n{"
        )
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"too slowly" in received


def test_a_client_that_does_not_take_its_answers_is_hung_up_on(impatient: str) -> None:
    path = "/preview/blue-marble.npy?width=1500&height=1500"
    assert len(httpx.get(impatient + path, timeout=60).content) > 5_000_000
    with connected(impatient) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        assert connection.recv(10)
        # The client itself hears of it only after all that was sent before.
        ends = connection.getpeername()[1], connection.getsockname()[1]
        assert is_established(*ends)
        until(lambda: not is_established(*ends))
