from __future__ import annotations

import itertools
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.commands import ROOT, Serving, serving
from tests.support.rasterfiles import write_raster
from tileserver.errors import RequestTooLarge, StoreFull
from tileserver.rest.expression_store import ExpressionStore, default_folder

DAY_S = 86400.0
HOUR_S = 3600.0


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1e9

    def __call__(self) -> float:
        return self.now_s


def graph(number: int, size: int = 0) -> dict[str, object]:
    return {"kind": "maps", "body": {"number": number, "filler": "x" * size}}


def fill(
    graphs: ExpressionStore, times: int, size: int, client: str, is_found: bool = False
) -> list[str]:
    """Put so many of one client, and return their ids, until one is refused."""
    ids = []
    for number in range(times):
        try:
            ids.append(graphs.put(graph(number, size), client))
        except StoreFull:
            break
        if is_found:
            graphs.find(ids[-1])
    return ids


def count(graphs: ExpressionStore) -> int:
    with sqlite3.connect(graphs.folder / "graphs.sqlite3") as db:
        found: int = db.execute("SELECT count(*) FROM texts").fetchone()[0]
    db.close()
    return found


def test_what_is_put_is_found_by_another_process(tmp_path: Path) -> None:
    graph_id = ExpressionStore(tmp_path / "graphs").put(graph(1))
    other = ExpressionStore(tmp_path / "graphs")
    assert other.known(graph_id, 1000) is None
    assert other.find(graph_id) == graph(1)
    assert other.known(graph_id, 1000) == graph(1)


def test_equal_requests_have_one_id_whatever_the_order_of_members(tmp_path: Path) -> None:
    graphs = ExpressionStore(tmp_path / "graphs")
    assert graphs.put({"a": 1, "b": [2]}) == graphs.put({"b": [2], "a": 1})
    assert count(graphs) == 1


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    graphs = ExpressionStore(tmp_path / "state" / "graphs")
    graphs.put(graph(1))
    assert stat.S_IMODE(graphs.folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in graphs.folder.iterdir())


@pytest.mark.parametrize("graph_id", ["", "../x", "A" * 32, "0" * 31, "0" * 32, "0" * 33])
def test_what_was_never_put_is_not_found(tmp_path: Path, graph_id: str) -> None:
    assert ExpressionStore(tmp_path).find(graph_id) is None
    assert not any(tmp_path.iterdir())


def test_a_text_that_is_not_what_its_id_says_is_not_used(tmp_path: Path) -> None:
    graphs = ExpressionStore(tmp_path)
    graph_id = graphs.put(graph(1))
    with sqlite3.connect(tmp_path / "graphs.sqlite3") as db:
        db.execute("UPDATE texts SET text = ?", ('{"kind": "maps"}',))
    db.close()
    assert graphs.find(graph_id) is None


def test_what_an_earlier_version_has_written_is_found_and_stays(tmp_path: Path) -> None:
    graph_id = ExpressionStore(tmp_path / "other").put(graph(1))
    path = tmp_path / "graphs" / f"{graph_id}.json"
    path.parent.mkdir()
    path.write_text('{"body":{"filler":"","number":1},"kind":"maps"}')
    graphs = ExpressionStore(path.parent, max_count=8)
    assert graphs.find(graph_id) == graph(1)
    for number in range(2, 8):
        graphs.put(graph(number), f"client {number}")
    assert ExpressionStore(path.parent).find(graph_id) == graph(1)
    path.write_text('{"kind": "maps"}')
    assert ExpressionStore(path.parent).find(graph_id) is None


def test_what_was_asked_for_within_a_month_is_kept_and_the_never_used_goes_first(
    tmp_path: Path,
) -> None:
    clock = Clock()
    graphs = ExpressionStore(tmp_path, max_count=10, clock=clock)
    clients = (f"client {number}" for number in itertools.count())
    used, unused = [], []
    for number in range(5):
        used.append(graphs.put(graph(number), next(clients)))
        unused.append(graphs.put(graph(100 + number), next(clients)))
    for each in used:
        assert graphs.find(each) is not None
    clock.now_s += 29 * DAY_S
    new = [graphs.put(graph(200 + number), next(clients)) for number in range(5)]
    left = ExpressionStore(tmp_path, clock=clock)
    assert all(left.find(each) for each in used)
    assert not any(left.find(each) for each in unused)
    assert all(left.find(each) for each in new)
    # Now all are in use: what is new is refused, and nothing goes.
    clock.now_s += 2 * HOUR_S
    with pytest.raises(StoreFull, match="of all clients are in use: asked for within 30 days"):
        graphs.put(graph(300), next(clients))
    assert all(left.find(each) for each in (*used, *new))
    # What nobody has asked for in a month makes room, the longest unused first.
    clock.now_s += 31 * DAY_S
    assert left.find(used[0]) is not None
    graphs.put(graph(301), next(clients))
    assert left.find(used[0]) is not None
    assert count(graphs) == 10


def test_what_was_put_within_an_hour_is_not_pushed_out_before_its_url_is_handed_on(
    tmp_path: Path,
) -> None:
    clock = Clock()
    graphs = ExpressionStore(tmp_path, max_count=10, clock=clock)
    mine = graphs.put(graph(0), "me")
    refused = 0
    for number in range(1, 100):
        try:
            graphs.put(graph(number), f"client {number}")
        except StoreFull:
            refused += 1
    assert refused == 90
    assert graphs.find(mine) == graph(0)


@pytest.mark.parametrize("is_found", [False, True])
def test_one_client_cannot_take_all_the_room(tmp_path: Path, is_found: bool) -> None:
    clock = Clock()
    graphs = ExpressionStore(tmp_path, max_bytes=1_000_000, clock=clock)
    put = fill(graphs, 100, 10_000, "greedy", is_found)
    assert len(put) == 24
    said = r"may make 2500, or 0\.25 MB of expressions, within 24"
    with pytest.raises(StoreFull, match=said) as refusal:
        graphs.put(graph(999, 10_000), "greedy")
    assert refusal.value.retry_after_s == DAY_S
    assert graphs.put(graph(1000, 10_000), "another")
    # A day later there is room for the day, and so on up to half of all.
    refused = None
    for number in range(100, 300):
        clock.now_s += HOUR_S
        try:
            put.append(graphs.put(graph(number, 10_000), "greedy"))
            if is_found:
                graphs.find(put[-1])
        except StoreFull as exc:
            refused = exc
    held = sum(graphs.find(each) is not None for each in put)
    assert held < 50
    assert ("of one client are in use" in str(refused)) == is_found


def test_the_number_of_one_client_s_is_bounded_too(tmp_path: Path) -> None:
    graphs = ExpressionStore(tmp_path, max_count=40)
    fill(graphs, 10, 0, "greedy")
    with pytest.raises(StoreFull, match="may make 10, or 64 MB"):
        graphs.put(graph(10), "greedy")
    assert count(graphs) == 10


def test_the_addresses_of_one_ipv6_network_are_one_client(tmp_path: Path) -> None:
    graphs = ExpressionStore(tmp_path, max_count=40)
    for number in range(10):
        graphs.put(graph(number), f"2001:db8::{number:x}")
    with pytest.raises(StoreFull):
        graphs.put(graph(10), "2001:db8::ffff:1")
    assert graphs.put(graph(20), "2001:db8:0:1::1")
    assert graphs.put(graph(21), "fe80::1%eth0")


def test_the_same_expression_of_many_clients_is_kept_and_counted_once(tmp_path: Path) -> None:
    graphs = ExpressionStore(tmp_path, max_bytes=200_000, max_count=8)
    ids = {graphs.put(graph(1, 20_000), f"client {number}") for number in range(100)}
    assert len(ids) == 1
    assert count(graphs) == 1
    assert graphs.put(graph(2, 20_000), "client 1")
    assert count(graphs) == 2


def test_a_request_that_is_too_long_is_refused(tmp_path: Path) -> None:
    # Ten megabytes that JSON in ASCII makes six times as long.
    long = {"kind": "maps", "body": {"filler": "é" * 5_000_000}}
    with pytest.raises(RequestTooLarge, match="exceeds the limit: 10485760 bytes"):
        ExpressionStore(tmp_path).put(long)


def test_there_are_never_more_bytes_than_may_be(tmp_path: Path) -> None:
    clock = Clock()
    graphs = ExpressionStore(tmp_path, max_bytes=200_000, clock=clock)
    for number in range(60):
        graphs.put(graph(number, 10_000), f"client {number}")
        clock.now_s += HOUR_S
        size = sum(each.stat().st_size for each in tmp_path.iterdir())
        assert size <= 300_000
    assert count(graphs) == 19


@pytest.mark.parametrize("broken", ["a file in the way", "no database", "a folder"])
def test_a_disk_that_cannot_be_used_is_told_once_and_memory_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    folder = tmp_path / "graphs"
    if broken == "a file in the way":
        folder.write_text("")
    elif broken == "no database":
        folder.mkdir()
        (folder / "graphs.sqlite3").write_text("something else" * 100)
    else:
        (folder / "graphs.sqlite3").mkdir(parents=True)
    graphs = ExpressionStore(folder, max_count=10)
    with caplog.at_level(logging.WARNING):
        ids = [graphs.put(graph(number), f"client {number}") for number in range(10)]
        # What is in use is not dropped here either.
        with pytest.raises(StoreFull):
            graphs.put(graph(10), "another")
    assert [graphs.find(each) for each in ids] == [graph(number) for number in range(10)]
    assert len(caplog.records) == 1
    assert "[api] graphs" in caplog.text


PUTTING = """
import sys
from pathlib import Path
from tileserver.rest.expression_store import ExpressionStore

graphs = ExpressionStore(Path(sys.argv[1]))
for number in range(1000):
    body = {"number": number, "filler": "x" * 300_000}
    print(graphs.put({"kind": "maps", "body": body}, str(number)), flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_half(tmp_path: Path) -> None:
    ids: list[str] = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", PUTTING, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(10)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        ids += told
    graphs = ExpressionStore(tmp_path)
    assert all(graphs.find(each) is not None for each in ids)
    assert graphs.find(graphs.put(graph(-1))) == graph(-1)
    with sqlite3.connect(tmp_path / "graphs.sqlite3") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        unlike = "SELECT count(*) FROM graphs LEFT JOIN texts USING (id) WHERE size <> length(text)"
        assert db.execute(unlike).fetchone() == (0,)
    db.close()


def test_workers_put_at_once_and_every_request_is_found(tmp_path: Path) -> None:
    workers = [ExpressionStore(tmp_path, max_count=100) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        puts = threads.map(lambda n: workers[n % 4].put(graph(n), f"client {n % 10}"), range(60))
        ids = list(puts)
        finds = list(threads.map(lambda n: workers[n % 3].find(ids[n]), range(60)))
    assert finds == [graph(number) for number in range(60)]


def test_the_folder_is_the_user_s_own_where_nothing_else_is_said() -> None:
    assert default_folder({"XDG_STATE_HOME": "/state"}) == Path("/state/tileserver/graphs")
    fallback = Path.home() / ".local/state/tileserver/graphs"
    assert default_folder({}) == fallback
    assert default_folder({"XDG_STATE_HOME": "relative"}) == fallback


def test_a_user_without_a_home_has_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    # What Path.home does for a user id that no file of users knows.
    monkeypatch.setattr(Path, "home", homeless)
    graphs = ExpressionStore(default_folder({}))
    assert graphs.find(graphs.put(graph(1))) == graph(1)


def published(client: httpx.Client, filler: str) -> tuple[int, Any]:
    """Make a map of a constant image whose expression is as long as its filler."""
    one = {"functionName": "Image.constant", "arguments": {"value": {"constantValue": 7}}}
    values = {"0": {"functionInvocationValue": one}, "1": {"constantValue": filler}}
    body = {"expression": {"result": "0", "values": values}, "fileFormat": "PNG"}
    answer = client.post("/v1/projects/p/maps", json=body)
    return answer.status_code, answer.json()


def posts_of_ten_megabytes(server: Serving, address: str) -> list[tuple[int, Any]]:
    """Make seven maps from an address, each over a connection of its own."""
    answers = []
    for number in range(7):
        with peer(server, address) as stranger:
            answers.append(published(stranger, f"{address} {number}" + "x" * 9_900_000))
    return answers


def peer(server: Serving, address: str) -> httpx.Client:
    """Return a client with an address of its own."""
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=server.url, transport=transport, timeout=60)


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="needs more than one address of this machine")
def test_many_posts_of_ten_megabytes_do_not_push_out_a_published_map(tmp_path: Path) -> None:
    (tmp_path / "rasters").mkdir()
    write_raster(tmp_path / "rasters" / "one.tif", np.ones((1, 64, 64), np.uint8))
    command = (tmp_path / "rasters", "--port", "0", "--workers", "2")
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with (
        serving(*command, cwd=tmp_path, environ=state) as server,
        peer(server, "127.0.0.1") as mine,
    ):
        status, told = published(mine, "mine")
        assert status == 200
        tile = f"/v1/{told['name']}/tiles/0/0/0"
        expected = mine.get(tile).content
        answers = posts_of_ten_megabytes(server, "127.0.0.2")
        assert mine.get(tile).content == expected
    with serving(*command, cwd=tmp_path, environ=state) as server:
        answers += posts_of_ten_megabytes(server, "127.0.0.3")
        for _ in range(4):
            # A new connection each time, so that both workers answer.
            with peer(server, "127.0.0.9") as anyone:
                answer = anyone.get(tile)
                assert (answer.status_code, answer.content) == (200, expected)
    # Six are what a client may make within a day.
    assert [status for status, _ in answers] == ([200] * 6 + [429]) * 2
    refused = [told["error"] for status, told in answers if status == 429]
    assert {each["status"] for each in refused} == {"RESOURCE_EXHAUSTED"}
    assert all(each["message"].startswith("Quota exceeded: ") for each in refused)
