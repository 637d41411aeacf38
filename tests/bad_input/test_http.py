"""HTTP that is malformed or merely odd, sent byte by byte.

What the server itself cannot parse it refuses in its own words, before any of ours; what counts
is that it is refused, at once, and that nothing is told.
"""

from __future__ import annotations

import pytest

from tests.bad_input.client import Answer, check_quiet, exchange
from tests.bad_input.server import Server

TILE = "/tiles/styled/0/0/0.png"
END = b"Connection: close\r\n\r\n"
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"


def raw(line: str, *headers: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request; the connection is closed after it."""
    return "\r\n".join([line, *headers, ""]).encode("latin-1") + END + body


def get(target: str, *headers: str) -> bytes:
    """Return the bytes of GET with one Host and more headers."""
    return raw(f"GET {target} HTTP/1.1", "Host: localhost", *headers)


def post(*headers: str, body: bytes = b"") -> bytes:
    """Return the bytes of POST."""
    return raw("POST /layers HTTP/1.1", "Host: localhost", *headers, body=body)


def sent(server: Server, request: bytes) -> list[Answer]:
    """Return the answers to bytes, none of which may tell of the inside."""
    answers = exchange(server.url, request)
    for answer in answers:
        check_quiet(answer, server.folder)
    return answers


MALFORMED = {
    "obs-fold": get("/healthz", "X-A: 1\r\n 2"),
    "space before the colon": get("/healthz", "X-A : 1"),
    "NUL in a header": get("/healthz", "X-A: a\0b"),
    "lone CR in a header": get("/healthz", "X-A: a\rX-B: b"),
    "lone LF ends lines": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "duplicate Content-Length": post("Content-Length: 1", "Content-Length: 2", body=b"ab"),
    "negative Content-Length": post("Content-Length: -1"),
    "endless Content-Length": post("Content-Length: 999999999999999999999"),
    "TE and CL": post("Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "bad chunk": post("Transfer-Encoding: chunked", body=b"zz\r\n"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET /healthz HTTP/9.9\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "space in the target": get("/a b"),
    "raw bytes in the path": get("/tiles/\xff\xfe"),
    "raw bytes in the query": get(f"{TILE}?min=\xff"),
    "no leading slash": get("healthz"),
    "unknown method": raw("FOO /layers HTTP/1.1", "Host: localhost"),
    "method in lower case": raw("get /layers HTTP/1.1", "Host: localhost"),
    "CONNECT": raw("CONNECT evil.example:443 HTTP/1.1", "Host: localhost"),
    "half a WebSocket": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + f"{UPGRADE}\r\n\r\n".encode(),
}
ODD = {
    "HTTP/1.0": raw("GET /healthz HTTP/1.0"),
    "no Host where none is needed": raw("GET /healthz HTTP/1.1"),
    "absolute form": get("http://evil.example/healthz"),
    "body on GET": get("/healthz", "Content-Length: 2") + b"ab",
    "8 kB header": get("/healthz", "X-A: " + "a" * 8000),
    "16 kB of target": get("/healthz?" + "a" * 16_000),
    "a hundred headers": get("/healthz", *(f"X-{i}: 1" for i in range(100))),
    "h2c upgrade": get("/healthz", "Upgrade: h2c", "HTTP2-Settings: AA"),
    "odd Accept": get(TILE, "Accept: text/html;q=x,,;;"),
    "Range of an image": get(TILE, "Range: bytes=0-1,5-9," + ",".join("9-" * 500)),
    "broken If-None-Match": get(TILE, 'If-None-Match: ,,,"\xff'),
    "broken If-Modified-Since": get("/", "If-Modified-Since: Fri, 32 Foo 99999"),
    "thousands of ranges of the page": get("/", "Range: bytes=" + "0-1," * 1900 + "2-3"),
}
HOSTS = [
    [],
    ["Host: "],
    ["Host: a", "Host: b"],
    ["Host: a/b?<script>"],
    ["Host: user:secret@a"],
    ["Host: a:999999"],
    ["Host: \xff"],
    ["Host: " + "a" * 5000],
    ["Host: [::1"],
]
METHODS = ["POST", "PUT", "DELETE", "PATCH", "TRACE"]


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
def test_malformed_http_is_refused(server: Server, request_bytes: bytes) -> None:
    answers = sent(server, request_bytes)
    assert [answer.status for answer in answers] == [400]


@pytest.mark.parametrize("request_bytes", ODD.values(), ids=ODD)
def test_odd_http_is_answered(server: Server, request_bytes: bytes) -> None:
    (answer,) = sent(server, request_bytes)
    assert answer.status == 200
    assert len(answer.body) == int(answer.headers["content-length"])


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: ascii(host)[:40])
@pytest.mark.parametrize("target", ["/layers", "/tilejson/styled.json"])
def test_a_host_that_cannot_be_repeated_is_refused(
    server: Server, target: str, host: list[str]
) -> None:
    (answer,) = sent(server, raw(f"GET {target} HTTP/1.1", *host))
    assert answer.status == 400
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["error"]["message"].startswith("Host: expected a host name, got ")


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: javascript",
        "X-Forwarded-Proto: wss,evil",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-For: \xff,,;evil",
        "Forwarded: host=evil.example;proto=evil",
        "X-Original-URL: /evil",
    ],
)
def test_a_spoofed_header_reaches_no_document(server: Server, header: str) -> None:
    (answer,) = sent(server, get("/layers", header))
    assert answer.status == 200
    assert b"evil" not in answer.body
    assert all(each["tiles"].startswith("http://localhost/") for each in answer.json["layers"])


def test_a_proxy_that_speaks_of_wss_gets_https_addresses(server: Server) -> None:
    (answer,) = sent(server, get("/tilejson/styled.json", "X-Forwarded-Proto: wss"))
    assert answer.json["tiles"][0].startswith("https://localhost/")


def test_a_request_id_that_is_none_is_replaced(server: Server) -> None:
    (answer,) = sent(server, get("/healthz", "X-Request-Id: a b<script>"))
    assert answer.headers["x-request-id"].isalnum()


@pytest.mark.parametrize("target", [TILE, "/layers", "/", "/nothing", "/healthz"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_is_none_is_refused(server: Server, method: str, target: str) -> None:
    request = raw(f"{method} {target} HTTP/1.1", "Host: localhost", "Content-Length: 2", body=b"ab")
    (answer,) = sent(server, request)
    assert answer.status == 405
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert "expected GET or HEAD" in answer.text


@pytest.mark.parametrize("target", [TILE, "/layers", "/", "*", "/nothing"])
def test_options_is_answered_everywhere(server: Server, target: str) -> None:
    (answer,) = sent(server, raw(f"OPTIONS {target} HTTP/1.1", "Host: localhost"))
    assert answer.status == 204
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_get_of_an_asterisk_is_not_found(server: Server) -> None:
    (answer,) = sent(server, get("*"))
    assert answer.status == 404


@pytest.mark.parametrize(("target", "status"), [(TILE, 200), ("/tiles/x/9", 404), ("/layers", 200)])
def test_head_has_no_body(server: Server, target: str, status: int) -> None:
    (answer,) = sent(server, raw(f"HEAD {target} HTTP/1.1", "Host: localhost"))
    assert answer.status == status
    assert answer.body == b""
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("target", ["/", TILE, "/healthz", "/nothing"])
def test_a_websocket_is_refused(server: Server, target: str) -> None:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    lines = [f"GET {target} HTTP/1.1", "Host: localhost", UPGRADE, key, "", ""]
    (answer,) = sent(server, "\r\n".join(lines).encode())
    assert answer.status == 403


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    first, second = (
        f"GET {t} HTTP/1.1\r\nHost: localhost\r\n\r\n" for t in ("/healthz", "/tiles/x/9")
    )
    answers = sent(server, (first + second).encode() + get("/healthz"))
    assert [answer.status for answer in answers] == [200, 404, 200]


def test_a_request_cut_short_does_not_hold_up_the_next(server: Server) -> None:
    whole = get("/healthz")
    for length in (1, 10, len(whole) - 2):
        assert exchange(server.url, whole[:length], hang_up=True) == []
    assert server.ask("/healthz").status == 200
