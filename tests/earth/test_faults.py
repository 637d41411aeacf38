"""Every fault between the server and Earth Engine ends as documented.

A right image or the documented status; within the deadline; nothing wrong in the cache; and no
token or key in anything that is answered, logged or printed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.earth.asking import LAYERS, OTHER, TILE, Serve, get_all, pixels, serve_locally, view
from tests.earth.conftest import Google
from tests.support.standin import (
    FAULTS,
    UNRESOLVABLE,
    StandIn,
    TlsFlaw,
    TokenServer,
    make_authority,
    refusing,
    tls_context,
    unroutable,
)
from tests.support.waiting import until
from tileserver.config.config import Config
from tileserver.earthengine.tuning import Tuning

pytestmark = pytest.mark.usefixtures("no_secret_told")

QUICK = Tuning(try_s=1.0, deadline_s=1.5)
"""For what is never answered: the shorter, the sooner the 504."""
PATIENT = Tuning()
SLACK_S = 15.0
"""On a machine that does much else besides; httpx gives up a long time after that."""


@dataclass(frozen=True)
class Row:
    """A fault of pixels and how it ends."""

    fault: str
    status: int
    asked: tuple[int, ...]
    """How many requests upstream may come of it."""
    times: int | None = None
    """How many requests it befalls; None is all."""
    says: str = ""
    tuning: Tuning = PATIENT
    is_final: bool = False
    """Earth Engine refused for good: it is not asked again for a while."""

    def __str__(self) -> str:
        return f"{self.fault}-{self.times or 'always'}"


TABLE = [
    Row("rate_limited_2s", 200, (2,), 1),
    Row("rate_limited", 200, (2,), 1),
    Row("rate_limited", 503, (1, 2, 3)),
    Row("rate_limited_hour", 503, (1,)),
    Row("rate_limited_date", 503, (1,)),
    Row("rate_limited_garbage", 200, (2,), 1),
    Row("rate_limited_negative", 200, (2,), 1),
    *(Row(f"status_{status}", 200, (2,), 1) for status in (500, 502, 503, 504)),
    *(Row(f"status_{status}", 502, (2, 3)) for status in (500, 502, 503, 504)),
    Row("bad_band", 400, (1,), says="did not match any bands", is_final=True),
    # A block refused for its size is asked for in two smaller ones; the tile itself is the last.
    Row("too_many_pixels", 400, (3,), says="Total request size", is_final=True),
    Row("out_of_memory", 200, (5,), 1),
    # Each of the three sizes, and a quarter of each.
    Row("out_of_memory", 502, (6,), says="memory limit", is_final=True),
    Row("computation_timed_out", 200, (5,), 1),
    Row("unauthenticated", 200, (2,), 1),
    Row("unauthenticated", 502, (2,), says="credentials"),
    Row("permission_denied", 404, (1,), is_final=True),
    Row("billing_disabled", 404, (1,), is_final=True),
    Row("service_disabled", 404, (1,), is_final=True),
    Row("wrong_project", 404, (1,), is_final=True),
    Row("rate_limited_403", 200, (2,), 1),
    Row("not_found", 404, (1,), is_final=True),
    *(Row(fault, 200, (2,), 1) for fault in ("reset_mid_body", "eof_before_length", "chunked_cut")),
    *(Row(fault, 502, (2, 3)) for fault in ("reset_mid_body", "eof_before_length", "chunked_cut")),
    *(
        Row(fault, 504, (1, 2), tuning=QUICK)
        for fault in ("slow_body", "endless_headers", "silence")
    ),
    *(
        Row(fault, 502, (1, 2, 3))
        for fault in (
            *("truncated_png", "bad_crc", "wrong_size", "jpeg_as_png", "empty_body"),
            *("huge_body", "gzip_bomb", "html", "error_as_200", "no_content_type"),
        )
    ),
    Row("closes_after_answer", 200, (1,)),
    Row("closes_unanswered", 200, (2,), 1),
]
ELSEWHERE = {"daily_quota", "flapping", "invalid_grant"}
"""Faults that have tests of their own below."""


def test_the_table_has_every_fault_there_is() -> None:
    assert {row.fault for row in TABLE} | ELSEWHERE == {
        name for name, fault in FAULTS.items() if fault.row
    }


@pytest.fixture(scope="module")
def right(folder: Path) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Return the right pictures of two tiles."""
    with serve_locally(folder) as local:
        yield {path: pixels(local.get(path)) for path in (TILE, OTHER)}


def check_refusal(answer: httpx.Response, status: int) -> None:
    """Look at what is told to a client that gets no picture."""
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "\n" not in answer.text.strip()
    if status == 503:
        assert 1 <= int(answer.headers["retry-after"]) <= 600


def check_answer(earth: httpx.Client, path: str, right: dict[str, NDArray[np.uint8]]) -> None:
    """Look at a tile once it is answered; a short deadline may be missed on a busy machine."""
    until(lambda: earth.get(path).status_code == 200)
    assert np.array_equal(pixels(earth.get(path)), right[path])


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_fault_of_pixels_ends_as_documented(
    row: Row, serve_earth: Serve, engine: StandIn, right: dict[str, NDArray[np.uint8]]
) -> None:
    with serve_earth(row.tuning) as earth:
        until(lambda: earth.get("/info/scene").status_code == 200)
        engine.inject(row.fault, row.times, "getPixels")
        started = time.monotonic()
        answer = earth.get(TILE)
        assert time.monotonic() - started < row.tuning.deadline_s + SLACK_S
        asked = engine.pixel_requests
        assert asked in row.asked
        if row.status == 200:
            assert np.array_equal(pixels(answer), right[TILE])
        else:
            check_refusal(answer, row.status)
            assert row.says in answer.text
        engine.heal()
        if row.is_final:
            check_refusal(earth.get(TILE), row.status)
            assert engine.pixel_requests == asked
        else:
            check_answer(earth, TILE, right)
        check_answer(earth, OTHER, right)
        until(lambda: engine.in_flight == 0)


@pytest.mark.parametrize(
    ("fault", "times", "status"),
    [
        ("rate_limited", 1, 200),
        ("rate_limited_hour", None, 503),
        ("status_503", 1, 200),
        ("status_500", None, 502),
        ("unauthenticated", 1, 200),
        ("unauthenticated", None, 502),
        ("permission_denied", None, 404),
        ("service_disabled", None, 404),
        ("not_found", None, 404),
        ("eof_before_length", 1, 200),
        ("silence", None, 504),
        ("html", None, 502),
        ("huge_body", None, 502),
        ("daily_quota", None, 503),
    ],
)
def test_a_fault_of_metadata_ends_as_documented(
    fault: str, times: int | None, status: int, serve_earth: Serve, engine: StandIn
) -> None:
    tuning = QUICK if status == 504 else PATIENT
    with serve_earth(tuning) as earth:
        engine.inject(fault, times, "getAsset")
        started = time.monotonic()
        answer = earth.get(TILE)
        assert time.monotonic() - started < tuning.deadline_s + SLACK_S
        assert answer.status_code == status, answer.text
        assert engine.count("getAsset") <= 3
        if status != 200:
            check_refusal(answer, status)
            assert engine.pixel_requests == 0


@pytest.mark.parametrize("gone", ["refused", "unroutable", "unresolvable"])
def test_an_endpoint_that_is_not_there_is_a_502_or_504_in_time(
    gone: str, heard: list[httpx.Response]
) -> None:
    places = {"refused": refusing, "unroutable": unroutable}
    if gone == "unresolvable":
        _ask_nowhere(UNRESOLVABLE, heard)
        return
    with places[gone]() as url:
        _ask_nowhere(url, heard)


def _ask_nowhere(endpoint: str, heard: list[httpx.Response]) -> None:
    with Serve(endpoint, heard)(QUICK) as earth:
        started = time.monotonic()
        answer = earth.get(TILE)
        assert time.monotonic() - started < QUICK.deadline_s + SLACK_S
        assert answer.status_code in (502, 504)
        check_refusal(answer, answer.status_code)
        # What needs no upstream goes on.
        assert earth.get("/healthz").status_code == 200


@pytest.mark.parametrize("flaw", TlsFlaw)
def test_a_certificate_with_a_flaw_is_never_trusted(
    flaw: TlsFlaw, google: Google, folder: Path, tmp_path: Path, heard: list[httpx.Response]
) -> None:
    import ssl

    authority = make_authority(tmp_path)
    trusted = ssl.create_default_context(cafile=str(authority.file))
    with StandIn(folder, accepts=google.tokens.accepts, tls=tls_context(authority, flaw)) as engine:
        with Serve(engine.url, heard)(Tuning(tls=trusted)) as earth:
            answer = earth.get(TILE)
        if flaw is TlsFlaw.NONE:
            assert answer.status_code == 200
            return
        check_refusal(answer, 502)
        assert "certificate" in answer.text
        assert engine.count() == 0


def test_a_used_up_quota_is_told_at_once_and_not_asked_about_again(
    serve_earth: Serve, engine: StandIn
) -> None:
    with serve_earth() as earth:
        earth.get("/info/scene")
        engine.inject("daily_quota", times=None)
        first = earth.get(TILE)
        check_refusal(first, 503)
        asked = engine.count()
        for answer in get_all(earth, view("scene", 8, 132, 116, 8, 4)):
            check_refusal(answer, 503)
            assert int(answer.headers["retry-after"]) > 60
    assert engine.count() == asked == 2


def test_a_dead_upstream_is_left_alone_and_found_again(serve_earth: Serve, engine: StandIn) -> None:
    with serve_earth() as earth:
        held = earth.get(TILE)
        engine.inject("status_503", times=None)
        others = iter(view("scene", 10, 536, 464, 20, 20))
        until(lambda: earth.get(next(others)).status_code == 503)
        began_s, asked = time.monotonic(), engine.count()
        statuses = [earth.get(next(others)).status_code for _ in range(20)]
        # It is asked again after 5 s at the soonest: a probe, which fails.
        probes = engine.count() - asked
        assert probes <= (time.monotonic() - began_s) / 5
        assert statuses.count(503) >= 20 - probes
        check_refusal(earth.get(next(others)), 503)
        assert earth.get(TILE).content == held.content
        engine.heal()
        asked = engine.count()
        until(lambda: earth.get(OTHER).status_code == 200)
        assert engine.count() == asked + 1


def test_an_upstream_that_fails_every_second_time_still_yields_half(
    serve_earth: Serve, engine: StandIn
) -> None:
    with serve_earth(Tuning(tiles_per_side=1)) as earth:
        earth.get("/info/scene")
        engine.inject("flapping", times=None)
        got = [each.status_code for each in get_all(earth, view("scene", 9, 264, 230, 10, 10))]
        assert set(got) <= {200, 502, 503}
        assert got.count(200) >= 45
        assert engine.pixel_requests <= 100 * 1.1 + 3


def test_idle_connections_that_earth_engine_has_closed_are_not_noticed(
    google: Google, folder: Path, heard: list[httpx.Response]
) -> None:
    with (
        StandIn(folder, accepts=google.tokens.accepts, idle_s=0.5) as engine,
        Serve(engine.url, heard)() as earth,
    ):
        for path in (TILE, OTHER):
            assert earth.get(path).status_code == 200
            time.sleep(0.7)
        assert engine.pixel_requests == 2


def test_what_takes_too_long_is_a_504_and_its_slots_are_free_again(
    serve_earth: Serve, engine: StandIn, right: dict[str, NDArray[np.uint8]]
) -> None:
    with serve_earth(QUICK, concurrency=2) as earth:
        earth.get("/info/scene")
        engine.waits_for = math.inf
        started = time.monotonic()
        for answer in get_all(earth, view("scene", 8, 132, 116, 8, 8)):
            assert answer.status_code in (503, 504)
        assert time.monotonic() - started < QUICK.deadline_s + SLACK_S
        # Who is cancelled is gone for us at once, and for the stand-in a moment later.
        assert engine.max_in_flight <= 4
        engine.waits_for = 0
        check_answer(earth, TILE, right)


@pytest.mark.parametrize(
    ("fault", "times", "status"),
    [
        ("status_500", 1, 200),
        ("status_500", None, 504),
        ("silence", None, 504),
        ("invalid_grant", None, 502),
        ("html", None, 502),
    ],
)
def test_a_fault_of_the_token_endpoint_ends_as_documented(
    fault: str, times: int | None, status: int, serve_earth: Serve, engine: StandIn, google: Google
) -> None:
    tuning = QUICK if status == 504 else PATIENT
    with serve_earth(tuning) as earth:
        google.tokens.inject(fault, times)
        started = time.monotonic()
        answer = earth.get(TILE)
        assert time.monotonic() - started < tuning.deadline_s + SLACK_S
        assert answer.status_code == status, answer.text
        assert status == 200 or engine.count() == 0


def test_a_token_that_holds_is_used_while_the_token_endpoint_is_down(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[httpx.Response]
) -> None:
    with TokenServer(lifetime_s=20, valid_s=600) as tokens:
        key = tokens.write_service_account(tmp_path / "key.json")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        with (
            StandIn(folder, accepts=tokens.accepts) as engine,
            Serve(engine.url, heard)() as earth,
        ):
            assert earth.get(TILE).status_code == 200
            tokens.inject("status_500", times=None)
            assert earth.get(OTHER).status_code == 200
            tokens.revoke()
            assert earth.get("/tiles/scene/9/268/236.png").status_code == 502
            tokens.heal()
            until(lambda: earth.get("/tiles/scene/9/268/236.png").status_code == 200)


@pytest.mark.parametrize("skew_s", [-600, 600])
def test_a_clock_that_is_wrong_is_said_so(
    skew_s: float,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    heard: list[httpx.Response],
) -> None:
    with TokenServer(clock_skew_s=skew_s, tolerance_s=10) as tokens:
        key = tokens.write_service_account(tmp_path / "key.json")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        with (
            StandIn(folder, accepts=tokens.accepts) as engine,
            Serve(engine.url, heard)() as earth,
        ):
            answer = earth.get(TILE)
            if skew_s > 0:
                # The assertion is still good for fifty minutes there.
                assert answer.status_code == 200
            else:
                check_refusal(answer, 502)
                assert "Set the clock of this machine right" in answer.text
                tokens.clock_skew_s = 0
                until(lambda: earth.get(TILE).status_code == 200)


def test_a_key_file_that_was_exchanged_is_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[httpx.Response]
) -> None:
    with TokenServer() as tokens:
        path = tokens.write_service_account(tmp_path / "key.json")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        with (
            StandIn(folder, accepts=tokens.accepts) as engine,
            Serve(engine.url, heard)() as earth,
        ):
            assert earth.get(TILE).status_code == 200
            # The old key no longer counts, nor any token that was had for it.
            tokens.revoke()
            tokens.write_service_account(path)
            assert earth.get(OTHER).status_code == 200
            path.unlink()
            tokens.revoke()
            tokens.write_service_account(tmp_path / "elsewhere.json")
            check_refusal(earth.get("/tiles/scene/9/268/236.png"), 502)


def test_a_burst_with_an_expired_token_asks_for_one_new_one(
    serve_earth: Serve, engine: StandIn, google: Google
) -> None:
    with serve_earth(Tuning(tiles_per_side=1)) as earth:
        assert earth.get(TILE).status_code == 200
        google.tokens.revoke()
        for answer in get_all(earth, view("scene", 9, 264, 230, 8, 8)):
            assert answer.status_code == 200
    assert google.tokens.count("token") == 2
    assert engine.max_in_flight <= 40


def test_bodies_that_are_wrong_do_not_fill_the_memory(serve_earth: Serve, engine: StandIn) -> None:
    import resource

    with serve_earth() as earth:
        earth.get("/info/scene")
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for fault in ("huge_body", "gzip_bomb"):
            engine.inject(fault, times=8, only="getPixels")
            get_all(earth, view("scene", 8, 132, 116, 8, 8))
            engine.heal()
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < 150_000


def test_no_layer_is_lost_from_the_list_for_one_that_fails(
    serve_earth: Serve, engine: StandIn
) -> None:
    with serve_earth(config=Config(layers=LAYERS)) as earth:
        engine.inject("not_found", times=1, only="getAsset")
        assert len(earth.get("/layers").json()["layers"]) == len(LAYERS) - 1
