from __future__ import annotations

import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tileserver.rest.graphs import Graphs, default_folder


def graph(number: int, size: int = 0) -> dict[str, object]:
    return {"kind": "maps", "body": {"number": number, "filler": "x" * size}}


def test_what_is_put_is_found_by_another_process(tmp_path: Path) -> None:
    graph_id = Graphs(tmp_path / "graphs").put(graph(1))
    other = Graphs(tmp_path / "graphs")
    assert other.known(graph_id, 1000) is None
    assert other.find(graph_id) == graph(1)
    assert other.known(graph_id, 1000) == graph(1)


def test_equal_requests_have_one_id_whatever_the_order_of_members(tmp_path: Path) -> None:
    graphs = Graphs(tmp_path / "graphs")
    assert graphs.put({"a": 1, "b": [2]}) == graphs.put({"b": [2], "a": 1})
    assert len(list(graphs.folder.iterdir())) == 1


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    graphs = Graphs(tmp_path / "state" / "graphs")
    graphs.put(graph(1))
    assert stat.S_IMODE(graphs.folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in graphs.folder.iterdir())


@pytest.mark.parametrize("graph_id", ["", "../x", "A" * 32, "0" * 31, "0" * 32, "0" * 33])
def test_what_was_never_put_is_not_found(tmp_path: Path, graph_id: str) -> None:
    assert Graphs(tmp_path).find(graph_id) is None


def test_a_file_that_is_not_what_its_name_says_is_not_used(tmp_path: Path) -> None:
    graph_id = Graphs(tmp_path).put(graph(1))
    (tmp_path / f"{graph_id}.json").write_text('{"kind": "maps"}')
    assert Graphs(tmp_path).find(graph_id) is None


def test_what_was_unused_for_longest_goes_first(tmp_path: Path) -> None:
    graphs = Graphs(tmp_path, max_graphs=10)
    ids = [graphs.put(graph(number)) for number in range(10)]
    for age, graph_id in enumerate(ids):
        os.utime(tmp_path / f"{graph_id}.json", (age, age))
    assert Graphs(tmp_path).find(ids[0]) == graph(0)
    graphs.put(graph(10))
    left = {each.stem for each in tmp_path.iterdir()}
    assert len(left) <= 10
    assert ids[0] in left
    assert ids[1] not in left


def test_there_are_never_more_bytes_than_may_be(tmp_path: Path) -> None:
    graphs = Graphs(tmp_path, max_bytes=100_000)
    for number in range(30):
        graphs.put(graph(number, 10_000))
        assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 100_000


def test_a_disk_that_cannot_be_written_is_told_once_and_memory_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    graphs = Graphs(blocker / "graphs")
    with caplog.at_level(logging.WARNING):
        ids = [graphs.put(graph(number)) for number in range(3)]
    assert [graphs.find(each) for each in ids] == [graph(number) for number in range(3)]
    assert len(caplog.records) == 1
    assert "[api] graphs" in caplog.text


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
    graphs = Graphs(default_folder({}))
    assert graphs.find(graphs.put(graph(1))) == graph(1)


def test_workers_put_at_once_and_every_request_is_found(tmp_path: Path) -> None:
    workers = [Graphs(tmp_path, max_graphs=50) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda n: workers[n % 4].put(graph(n)), range(40)))
    assert all(workers[0].find(each) == graph(number) for number, each in enumerate(ids))
