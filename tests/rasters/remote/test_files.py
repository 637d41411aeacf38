"""One version at a time: what is read from a remote file is never of two objects."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from tests.rasters.remote.origin import Origin, Stored, asked, send, serve
from tests.support.limits import SOON_S
from tileserver.errors import AssetChanged, DeadlineExceeded, RasterUnreachable, UnreadableRaster
from tileserver.rasters.remote.blocks import BLOCK_BYTES
from tileserver.rasters.remote.files import RemoteFiles


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def noise(seed: int, blocks: float = 5.5) -> bytes:
    return np.random.default_rng(seed).bytes(int(blocks * BLOCK_BYTES))


@pytest.fixture
def stored() -> Stored:
    return Stored(noise(1))


@pytest.fixture
def origin(stored: Stored) -> Iterator[Origin]:
    with serve(stored) as served:
        yield served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(clock: Clock) -> Iterator[RemoteFiles]:
    made = RemoteFiles(60.0, clock=clock, total_s=SOON_S)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (0, 10),
        (BLOCK_BYTES - 5, 10),
        (BLOCK_BYTES, BLOCK_BYTES),
        (0, 10**9),
        (int(5.5 * BLOCK_BYTES) - 1, 9),
        (10**12, 5),
        (7, 0),
    ],
)
def test_bytes_are_those_of_the_object(
    offset: int, size: int, stored: Stored, origin: Origin, files: RemoteFiles
) -> None:
    file = files.current(origin.url, "a")
    assert file.size == len(stored.body)
    assert file.read_at(offset, size) == stored.body[offset : offset + size]


def test_several_ranges_are_fetched_at_once_and_each_block_once(
    stored: Stored, origin: Origin, files: RemoteFiles
) -> None:
    file = files.current(origin.url, "a")
    wanted = [(0, 9), (2 * BLOCK_BYTES, BLOCK_BYTES + 1), (5 * BLOCK_BYTES, 9)]
    for _ in range(3):
        found = file.read_ranges(wanted)
        assert found == [stored.body[start : start + size] for start, size in wanted]
    assert len(origin.requests) == 3


def far_s() -> float:
    return time.monotonic() + SOON_S


def test_ranges_near_one_another_are_fetched_by_one_request_and_not_kept(
    stored: Stored, origin: Origin, files: RemoteFiles
) -> None:
    file = files.current(origin.url, "a")
    at = 2 * BLOCK_BYTES
    wanted = [(at + 5000, 100), (at + 10, 2990), (at + 200_000, 7), (10**12, 5), (at, 0)]
    for count in (2, 4):
        found = file.fetch_ranges(wanted, far_s())
        assert found == [stored.body[start : start + size] for start, size in wanted]
        assert len(origin.requests) == 1 + count
    sent = {headers["range"] for _, headers in origin.requests[1:]}
    assert sent == {f"bytes={at + 10}-{at + 5099}", f"bytes={at + 200_000}-{at + 200_006}"}


def test_of_a_range_only_what_is_not_held_is_fetched(
    stored: Stored, origin: Origin, files: RemoteFiles
) -> None:
    file = files.current(origin.url, "a")
    file.read_at(BLOCK_BYTES, 9)
    wanted = [(9, 20), (BLOCK_BYTES - 9, 2 * BLOCK_BYTES)]
    found = file.fetch_ranges(wanted, far_s())
    assert found == [stored.body[start : start + size] for start, size in wanted]
    fetched = origin.requests[-1][1]["range"]
    assert fetched == f"bytes={2 * BLOCK_BYTES}-{3 * BLOCK_BYTES - 10}"
    assert len(origin.requests) == 3


def test_a_long_range_is_fetched_in_parts(
    stored: Stored, origin: Origin, files: RemoteFiles
) -> None:
    stored.body = noise(3, 150)
    file = files.current(origin.url, "a")
    wanted = [(BLOCK_BYTES + 7, 9_000_000), (BLOCK_BYTES + 9, 1000)]
    found = file.fetch_ranges(wanted, far_s())
    assert found == [stored.body[start : start + size] for start, size in wanted]
    assert len(origin.requests) == 1 + 3 + 1


def test_a_range_for_a_block_is_of_one_version_and_in_time(
    stored: Stored, origin: Origin, files: RemoteFiles
) -> None:
    file = files.current(origin.url, "a")
    wanted = [(3 * BLOCK_BYTES, 9), (5 * BLOCK_BYTES, 9)]
    with pytest.raises(DeadlineExceeded, match=r"^a: the server sends too slowly"):
        file.fetch_ranges(wanted, time.monotonic() - 1)
    with pytest.raises(UnreadableRaster, match=r"^a: a part of more than 256 MB"):
        file.fetch_ranges([(0, BLOCK_BYTES)] * 5000, far_s())
    assert len(origin.requests) == 1
    stored.etag = '"2"'
    with pytest.raises(AssetChanged, match=r"^Asset 'a' changed while it was read"):
        file.fetch_ranges(wanted, far_s())
    assert files.current(origin.url, "a") is not file


def test_a_version_holds_until_it_is_looked_at_again(
    stored: Stored, origin: Origin, files: RemoteFiles, clock: Clock
) -> None:
    first = files.current(origin.url, "a")
    clock.now_s += 59
    assert files.current(origin.url, "a") is first
    assert len(origin.requests) == 1
    clock.now_s += 2
    assert files.current(origin.url, "a") is first
    assert origin.requests[-1][1]["if-none-match"] == '"1"'
    stored.body, stored.etag = noise(2), '"2"'
    clock.now_s += 61
    second = files.current(origin.url, "a")
    assert second.version != first.version
    assert second.read_at(0, 9) == stored.body[:9]


@pytest.mark.parametrize("etag", [None, "", 'W/"1"', "no quotes", '"' + "a" * 5000 + '"'])
def test_what_a_weak_validator_does_not_tell_the_first_block_does(
    etag: str | None, stored: Stored, origin: Origin, files: RemoteFiles, clock: Clock
) -> None:
    stored.etag, stored.last_modified = etag, None
    first = files.current(origin.url, "a")
    clock.now_s += 61
    assert files.current(origin.url, "a") is first
    stored.body = noise(2)
    clock.now_s += 61
    second = files.current(origin.url, "a")
    assert second.version != first.version
    assert second.read_at(0, 9) == stored.body[:9]


@pytest.mark.parametrize("what", ["etag", "last_modified", "size"])
def test_a_range_of_another_version_is_not_mixed_in(
    what: str, stored: Stored, origin: Origin, files: RemoteFiles
) -> None:
    file = files.current(origin.url, "a")
    if what == "size":
        stored.body += b"more"
    else:
        setattr(stored, what, '"2"' if what == "etag" else "Fri, 27 Nov 2026 09:00:00 GMT")
    with pytest.raises(AssetChanged, match=r"^Asset 'a' changed while it was read"):
        file.read_at(4 * BLOCK_BYTES, 9)
    newer = files.current(origin.url, "a")
    assert newer.version != file.version
    assert newer.read_at(4 * BLOCK_BYTES, 9) == stored.body[4 * BLOCK_BYTES :][:9]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_file_that_is_gone_is_an_error_until_it_is_back(
    status: int, stored: Stored, origin: Origin, files: RemoteFiles, clock: Clock
) -> None:
    files.current(origin.url, "a")
    stored.status = status
    clock.now_s += 61
    for _ in range(2):
        with pytest.raises(UnreadableRaster, match=rf"^a: .*{status}"):
            files.current(origin.url, "a")
    assert len(origin.requests) == 2
    stored.status = 0
    clock.now_s += 61
    assert files.current(origin.url, "a").size == len(stored.body)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_away_for_a_moment_leaves_the_version_in_force(
    status: int,
    stored: Stored,
    origin: Origin,
    files: RemoteFiles,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = files.current(origin.url, "a")
    stored.status = status
    clock.now_s += 61
    assert files.current(origin.url, "a") is first
    assert files.current(origin.url, "a") is first
    assert len(origin.requests) == 2
    assert "The version that is known is used on" in caplog.text
    with pytest.raises(RasterUnreachable, match=r"^a: "):
        first.read_at(3 * BLOCK_BYTES, 9)
    assert first.read_at(0, 9) == stored.body[:9]


def test_a_server_that_is_away_from_the_start_is_asked_now_and_then(
    files: RemoteFiles, clock: Clock
) -> None:
    with serve(lambda handler: send(handler, 503, {})) as origin:
        for _ in range(5):
            with pytest.raises(RasterUnreachable, match=r"^a: "):
                files.current(origin.url, "a")
        asked_first = len(origin.requests)
        assert asked_first <= 3
        clock.now_s += 6
        with pytest.raises(RasterUnreachable):
            files.current(origin.url, "a")
        assert len(origin.requests) > asked_first


def test_no_error_and_no_log_shows_the_secrets_of_a_url(
    files: RemoteFiles, caplog: pytest.LogCaptureFixture, clock: Clock, stored: Stored
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    with serve(stored) as origin:
        url = origin.url.replace("//", "//user:pass-word@") + "?X-Amz-Signature=s1gn"
        file = files.current(url, "a")
        assert origin.requests[0][0] == "/scenes/utah.tif?X-Amz-Signature=s1gn"
        assert origin.requests[0][1]["authorization"] == "Basic dXNlcjpwYXNzLXdvcmQ="
        shown += [repr(file), repr(file.remote), str(vars(file)["name"])]
        for status in (503, 302, 404):
            stored.status = status
            clock.now_s += 100
            with pytest.raises(UnreadableRaster) as caught:
                file.read_at(2 * BLOCK_BYTES, 9)
            shown += [str(caught.value), repr(caught.value.__cause__)]
            try:
                files.current(url, "a")
            except UnreadableRaster as exc:
                shown.append(str(exc))
    logged = [record.getMessage() for record in caplog.records]
    for text in [*shown, *logged]:
        for secret in ("s1gn", "pass-word", "dXNlcjpwYXNzLXdvcmQ"):
            assert secret not in text


def test_a_look_again_at_a_server_that_hangs_is_given_up_and_the_version_stays(
    clock: Clock, stored: Stored
) -> None:
    files = RemoteFiles(60.0, clock=clock, total_s=0.5)
    with serve(stored) as origin:
        first = files.current(origin.url, "a")
        origin.answer = lambda handler: time.sleep(1)
        clock.now_s += 61
        assert files.current(origin.url, "a") is first
        with pytest.raises(DeadlineExceeded, match=r"^a: the server did not answer in time"):
            first.read_at(2 * BLOCK_BYTES, 9)
    files.close()


def test_a_part_that_ends_early_is_no_file(files: RemoteFiles) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        first, _ = asked(handler)
        headers = {"Content-Range": f"bytes {first}-{first + 9}/1000000", "ETag": '"1"'}
        send(handler, 206, headers, bytes(10))

    with serve(answer) as origin, pytest.raises(RasterUnreachable, match="another range"):
        files.current(origin.url, "a")


def test_a_file_cannot_make_a_reader_fetch_gigabytes(files: RemoteFiles) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        first, last = asked(handler)
        headers = {"Content-Range": f"bytes {first}-{last}/{10**15}", "ETag": '"1"'}
        send(handler, 206, headers, bytes(last - first + 1))

    with serve(answer) as origin:
        file = files.current(origin.url, "a")
        with pytest.raises(UnreadableRaster, match=r"^a: a part of more than 256 MB"):
            file.read_at(10**12, 10**10)
        assert len(origin.requests) == 1


def test_a_read_of_many_ranges_has_a_deadline(
    stored: Stored, origin: Origin, files: RemoteFiles
) -> None:
    file = files.current(origin.url, "a")
    with pytest.raises(DeadlineExceeded, match=r"^a: the server sends too slowly"):
        file.read_ranges([(2 * BLOCK_BYTES, 9)], end_s=time.monotonic() - 1)


def test_a_host_that_turns_private_is_refused_with_the_setting_to_change(stored: Stored) -> None:
    found = [["127.0.0.1"]]
    with serve(stored) as origin:
        url = origin.url.replace("127.0.0.1", "tiles.example.org")
        files = RemoteFiles(resolve=lambda host, port: found[0])
        with pytest.raises(
            UnreadableRaster, match=r"^a: .*127\.0\.0\.1.* \[remote\] private_hosts"
        ):
            files.current(url, "a")
        files.close()
        assert origin.requests == []
        allowed = RemoteFiles(private_hosts=["tiles.example.org"], resolve=lambda *_: found[0])
        assert allowed.current(url, "a").size == len(stored.body)
        assert origin.requests[0][1]["host"] == f"tiles.example.org:{origin.port}"
        found[0] = ["169.254.169.254"]
        allowed.close()
        with pytest.raises(UnreadableRaster, match="169"):
            allowed.current(url, "a").read_at(3 * BLOCK_BYTES, 9)
        allowed.close()
