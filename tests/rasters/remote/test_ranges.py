"""Answers of servers that are broken, slow or hostile: refused in time, and at no cost."""

from __future__ import annotations

import gzip
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.rasters.remote.origin import Answer, Origin, Stored, asked, send, serve
from tests.support.limits import SOON_S
from tileserver.errors import DeadlineExceeded, RasterUnreachable, TileserverError, UnreadableRaster
from tileserver.rasters.remote.objects import find_object
from tileserver.rasters.remote.ranges import Part, Ranges

BODY = bytes(range(256)) * 2000
TOTAL_S = 1.0


@pytest.fixture
def ranges() -> Iterator[Ranges]:
    made = Ranges(total_s=SOON_S)
    yield made
    made.close()


@pytest.fixture
def hurried() -> Iterator[Ranges]:
    """Give ranges a short deadline, for tests in which it passes."""
    made = Ranges(total_s=TOTAL_S)
    yield made
    made.close()


def fetch(ranges: Ranges, origin: Origin, first: int = 1000, last: int = 1999) -> Part | None:
    return ranges.fetch(find_object(origin.url), first, last, {}, tries=1)


def test_a_range_comes_with_its_validators(ranges: Ranges) -> None:
    with serve(Stored(BODY)) as origin:
        part = fetch(ranges, origin)
        end = fetch(ranges, origin, len(BODY) - 10, len(BODY) + 1_000)
    assert part is not None
    assert part.body == BODY[1000:2000]
    assert part.validators.size == len(BODY)
    assert part.validators.etag == b'"1"'
    assert end is not None
    assert end.body == BODY[-10:]


def test_a_connection_serves_many_requests(ranges: Ranges) -> None:
    peers = set()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        peers.add(handler.client_address)
        Stored(BODY)(handler)

    with serve(answer) as origin:
        for _ in range(5):
            fetch(ranges, origin)
    assert len(peers) == 1


def test_a_whole_file_no_longer_than_the_range_will_do(ranges: Ranges) -> None:
    with serve(lambda handler: send(handler, 200, {}, b"small")) as origin:
        part = fetch(ranges, origin, 0, 999)
    assert part is not None
    assert part.body == b"small"


def test_what_may_pass_is_tried_again(ranges: Ranges) -> None:
    statuses = iter([503, 0])

    def answer(handler: BaseHTTPRequestHandler) -> None:
        Stored(BODY, status=next(statuses))(handler)

    with serve(answer) as origin:
        assert ranges.fetch(find_object(origin.url), 0, 9, {}) is not None
        assert len(origin.requests) == 2


def with_headers(status: int = 206, **headers: str) -> Answer:
    """Answer the range that was asked for, with headers of which some are wrong."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        first, last = asked(handler)
        body = BODY[first : last + 1]
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        place = {"Content-Range": f"bytes {first}-{last}/{len(BODY)}"}
        send(handler, status, place | given, body)

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Answer 200 with gigabytes, as a server does that knows no ranges."""
    send(handler, 200, {"Content-Length": str(50 * 10**9)})
    while True:
        handler.wfile.write(bytes(1_000_000))


def endless_chunks(handler: BaseHTTPRequestHandler) -> None:
    head = b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n"
    handler.wfile.write(head + b"Content-Range: bytes 1000-1999/512000\r\n\r\n")
    while True:
        handler.wfile.write(b"100000\r\n" + bytes(0x100000) + b"\r\n")


def header_bomb(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 206 Partial Content\r\n")
    while True:
        handler.wfile.write(b"X-Bomb: " + b"a" * 10_000 + b"\r\n")


def interim_for_ever(handler: BaseHTTPRequestHandler) -> None:
    while True:
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def dripping(begin: bytes, drop: bytes) -> Answer:
    """Answer with a byte or two at a time, so that no single read takes long."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begin)
        for _ in range(400):
            handler.wfile.write(drop)
            time.sleep(0.05)

    return answer


RANGE_HEAD = (
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1000-1999/512000\r\n"
    b"Content-Length: 1000\r\n\r\n"
)


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(RANGE_HEAD + b"abc")
    handler.close_connection = True


def zipped(handler: BaseHTTPRequestHandler) -> None:
    headers = {"Content-Range": f"bytes 1000-1999/{len(BODY)}", "Content-Encoding": "gzip"}
    send(handler, 206, headers, gzip.compress(bytes(10_000_000)))


BROKEN = {
    "a 200 with gigabytes": endless,
    "chunks without end": endless_chunks,
    "headers without end": header_bomb,
    "interim answers without end": interim_for_ever,
    "a body that is cut short": cut_short,
    "a body that is compressed": zipped,
    "no range": with_headers(Content_Range=""),
    "another range": with_headers(Content_Range=f"bytes 0-999/{len(BODY)}"),
    "a longer range": with_headers(Content_Range=f"bytes 1000-4999/{len(BODY)}"),
    "a range that is no range": with_headers(Content_Range="bytes 1999-1000/512000"),
    "a range of no size": with_headers(Content_Range="bytes 1000-1999/*"),
    "a size beyond all numbers": with_headers(Content_Range="bytes 1000-1999/" + "9" * 400),
    "several ranges": with_headers(Content_Range="", Content_Type="multipart/byteranges"),
    "a length that is none": with_headers(Content_Length="ten"),
    "a length that is too small": with_headers(Content_Length="10"),
    "a length below zero": with_headers(Content_Length="-1"),
    "the whole file": with_headers(200, Content_Range=""),
}


def refusal(ask: Callable[[], object]) -> tuple[TileserverError, float]:
    started = time.monotonic()
    with pytest.raises(TileserverError) as caught:
        ask()
    return caught.value, time.monotonic() - started


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_refused_in_time_and_memory(answer: Answer, hurried: Ranges) -> None:
    with serve(answer) as origin:
        tracemalloc.start()
        error, took_s = refusal(lambda: fetch(hurried, origin))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert isinstance(error, RasterUnreachable | DeadlineExceeded)
    assert took_s < SOON_S
    assert peak < 40_000_000


SLOW = {
    "a body by the byte": dripping(RANGE_HEAD, b"a"),
    "a header by the byte": dripping(b"HTTP/1.1 206 Partial Content\r\nX-Slow: ", b"a"),
    "a status line by the byte": dripping(b"HTTP/1.1 206 ", b"a"),
    "chunks by the byte": dripping(
        RANGE_HEAD.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked"), b"1\r\na\r\n"
    ),
    "no answer": dripping(b"", b""),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_a_slow_answer_is_given_up_in_time(answer: Answer, hurried: Ranges) -> None:
    with serve(answer) as origin:
        error, took_s = refusal(lambda: fetch(hurried, origin))
    assert isinstance(error, DeadlineExceeded)
    assert took_s < SOON_S


def test_all_tries_together_have_one_deadline(hurried: Ranges) -> None:
    with serve(Stored(BODY, status=500)) as origin:
        place = find_object(origin.url)
        error, took_s = refusal(lambda: hurried.fetch(place, 0, 9, {}, tries=100))
    assert isinstance(error, RasterUnreachable)
    assert took_s < SOON_S


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254"])
def test_a_redirect_is_not_followed(status: int, host: str, ranges: Ranges) -> None:
    with serve(Stored(BODY)) as canary:
        target = f"http://{host}:{canary.port}/latest/meta-data/x.tif?secret=1"
        moved = {"Location": target}
        with serve(lambda handler: send(handler, status, moved)) as origin:
            error, _ = refusal(lambda: fetch(ranges, origin))
        assert canary.requests == []
    assert isinstance(error, UnreadableRaster)
    assert "redirects are not followed" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 416, 418, 204, 304])
def test_an_answer_that_holds_no_range_is_an_error(status: int, ranges: Ranges) -> None:
    with serve(lambda handler: send(handler, status, {})) as origin:
        error, _ = refusal(lambda: fetch(ranges, origin))
    assert isinstance(error, UnreadableRaster)


def test_threads_have_deadlines_of_their_own(hurried: Ranges) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.6 if "late" in handler.path else 0)
        Stored(BODY)(handler)

    errors: list[Exception] = []

    def ask(name: str) -> None:
        try:
            place = find_object(origin.url.replace("utah", name))
            for _ in range(1 if name == "late" else 8):
                assert hurried.fetch(place, 0, 9, {}, tries=1) is not None
        except Exception as exc:
            errors.append(exc)

    with serve(answer) as origin:
        threads = [threading.Thread(target=ask, args=(name,)) for name in ("late", "a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "all_proxy"])
def test_proxies_of_the_environment_see_nothing(
    variable: str, ranges: Ranges, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(Stored(BODY)) as proxy, serve(Stored(BODY)) as origin:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        assert fetch(ranges, origin) is not None
        assert proxy.requests == []
