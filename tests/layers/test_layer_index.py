from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tileserver.contract.grids import Box
from tileserver.layers.layer_index import IndexEntry, LayerIndex
from tileserver.layers.styles import Style

ENTRY = IndexEntry(
    "scene", "state", Box(170, -20, -170, 10), 12, Style(("b1",), (0.5,), (9.0,)), "abc"
)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE notes (text)")
    database.close()


def other_version(path: Path) -> None:
    LayerIndex(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()


def truncated(path: Path) -> None:
    index = LayerIndex(path)
    index.put([replace(ENTRY, name=f"scene{i}") for i in range(500)])
    index.close()
    path.write_bytes(path.read_bytes()[:5000])


REBUILT: dict[str, Callable[[Path], object]] = {
    "not sqlite": lambda path: path.write_bytes(
        b"no database at all, but longer than a header" * 9
    ),
    "of another program": foreign,
    "of another version": other_version,
}


def test_an_index_returns_the_entries_that_were_put_also_to_another_worker(tmp_path: Path) -> None:
    one, other = LayerIndex(tmp_path / "index"), LayerIndex(tmp_path / "index")
    one.put([ENTRY])
    assert other.get(["scene", "none"]) == {"scene": ENTRY}
    other.put([replace(ENTRY, state="newer")])
    assert one.get(["scene"])["scene"].state == "newer"
    assert one.places() == {"scene": ENTRY.bounds}
    one.close()
    other.close()


def test_an_index_keeps_that_a_layer_has_times(tmp_path: Path) -> None:
    entries = [replace(ENTRY, has_times=True), replace(ENTRY, name="other")]
    with closing(LayerIndex(tmp_path / "index")) as index:
        index.put(entries)
    with closing(LayerIndex(tmp_path / "index")) as other:
        assert other.get(["scene", "other"]) == {entry.name: entry for entry in entries}


def test_an_index_keeps_the_classes_of_a_style() -> None:
    style = Style(("b1",), (1.0,), (2.0,), ("ff0000", "0000ff"), classes=((1, "land"), (2, "sea")))
    index = LayerIndex()
    index.put([replace(ENTRY, style=style)])
    assert index.get(["scene"])["scene"].style == style
    index.close()


@pytest.mark.parametrize("kind", REBUILT)
def test_a_foreign_file_is_replaced_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    path = tmp_path / "index"
    REBUILT[kind](path)
    with caplog.at_level(logging.WARNING, "tileserver"):
        index = LayerIndex(path)
        index.put([ENTRY])
    again = LayerIndex(path)
    assert again.get(["scene"]) == {"scene": ENTRY}
    assert ["made anew" in text for text in caplog.messages] == [True]
    index.close()
    again.close()


def test_a_file_that_cannot_be_used_gives_way_to_memory_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tileserver"):
        index = LayerIndex(tmp_path)
        index.put([ENTRY])
        assert index.get(["scene"]) == {"scene": ENTRY}
    assert ["in memory" in text for text in caplog.messages] == [True]
    index.close()


def test_a_file_locked_by_another_process_gives_way_to_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "index"
    index = LayerIndex(path)
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.WARNING, "tileserver"):
        index.put([ENTRY])
        index.put([ENTRY])
        assert index.get(["scene"]) == {"scene": ENTRY}
    assert (len(caplog.messages), index.resets) == (1, 1)
    index.close()
    holder.close()


def test_a_truncated_file_is_replaced_or_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "index"
    truncated(path)
    with caplog.at_level(logging.WARNING, "tileserver"):
        index = LayerIndex(path)
        assert index.get([f"scene{i}" for i in range(500)]) == {}
        index.put([ENTRY])
        assert index.get(["scene"]) == {"scene": ENTRY}
    assert len(caplog.messages) == 1
    index.close()


def test_a_full_disk_gives_way_to_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = LayerIndex(tmp_path / "index")
    # SQLite reports a file that has reached this size as it reports a full disk.
    index._database.execute("PRAGMA max_page_count = 1")
    entries = [replace(ENTRY, name=f"scene{i}") for i in range(500)]
    with caplog.at_level(logging.WARNING, "tileserver"):
        index.put(entries)
        index.put(entries)
    assert len(index.get([each.name for each in entries])) == 500
    assert ["full" in text for text in caplog.messages] == [True]
    index.close()


@pytest.mark.parametrize(
    "change",
    [
        "rest = 'no json'",
        "rest = '[]'",
        "rest = '{}'",
        "rest = replace(rest, '12', '-1')",
        "rest = replace(rest, '0.5', 'NaN')",
        "rest = NULL",
        "west = 'far'",
        "west = 9e999",
        "north = -80",
        "state = x'00'",
    ],
)
def test_an_entry_that_says_what_none_can_is_left_out(tmp_path: Path, change: str) -> None:
    path = tmp_path / "index"
    index = LayerIndex(path)
    index.put([ENTRY])
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE layers SET {change}")
    database.close()
    assert index.get(["scene"]) == {}
    index.close()
