"""The tables of the grand prix: what a run changes on a page, and what the figures say."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tests.benchmarks.grand_prix.page import (
    BEGIN,
    END,
    Table,
    between_marks,
    merged,
    parsed,
    rendered,
    write,
)
from tests.benchmarks.grand_prix.results import Effort, Result
from tests.benchmarks.grand_prix.table import tables_of

_ORDER = ["utm-1", "utm-8"]
_COLUMNS = ["tileserver", "MapServer", "run"]


def _run(event: str, tiles_per_s: float, note: str = "", day: int = 1) -> dict[str, Table]:
    result = Result(event, "tiles/s", notes=[note] if note else [])
    for factor in (1.0, 1.2, 1.1):
        for name, per_s in (("tileserver", tiles_per_s), ("MapServer", 100.0)):
            result.add(name, per_s * factor, Effort(40, 40 / per_s, 0.2, client_share=0.1))
        result.add_floor(1000.0, 0.02, 40)
    at = datetime.datetime(2026, 1, day, 12, 30, tzinfo=datetime.UTC)
    versions = {"tileserver": "this checkout", "MapServer": "8"}
    return tables_of([result], {event: "some scene"}, versions, "small", at)


def test_a_written_page_keeps_the_rows_of_events_that_were_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\nbefore\n\n{BEGIN}\n\n{END}\n\nafter\n")
    for tables in (_run("utm-8", 300), _run("utm-1", 200), _run("utm-8", 400, day=2)):
        old = parsed(between_marks(page))
        write(page, rendered(merged(old, tables, _ORDER), _COLUMNS))
    rows = parsed(between_marks(page))["Cold tiles a second"].rows
    assert list(rows) == _ORDER
    assert rows["utm-1"]["tileserver"] == "220"
    assert rows["utm-8"]["tileserver"] == "440"
    assert rows["utm-1"]["run"] == "2026-01-01 12:30"
    assert rows["utm-8"]["run"] == "2026-01-02 12:30"
    text = page.read_text()
    assert text.startswith("# Page\n\nbefore\n\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert text.count(BEGIN) == text.count(END) == 1


def test_tables_that_are_written_and_read_are_the_same() -> None:
    tables = _run("utm-8", 300, note="MapServer: statuses {'500': 1}")
    again = parsed(rendered(tables.values(), _COLUMNS))
    assert again == tables


def test_a_note_of_an_earlier_run_goes_with_the_row_of_that_run() -> None:
    old = parsed(rendered(_run("utm-8", 300, note="no answer | at\nall").values(), _COLUMNS))
    assert old["Notes"].rows == {"utm-8": {"note": "no answer / at all"}}
    tables = {each.title: each for each in merged(old, _run("utm-8", 300), _ORDER)}
    assert not tables["Notes"].rows
    assert "Notes" not in rendered(tables.values(), _COLUMNS)


def test_a_run_that_no_row_stems_from_is_forgotten() -> None:
    old = parsed(rendered(_run("utm-8", 300).values(), _COLUMNS))
    tables = {each.title: each for each in merged(old, _run("utm-8", 300, day=2), _ORDER)}
    assert list(tables["Runs"].rows) == ["2026-01-02 12:30"]


def test_a_page_without_marks_gets_the_tables_at_its_end(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    write(page, "| a |")
    write(page, "| b |")
    assert page.read_text() == f"# Page\n\n{BEGIN}\n\n| b |\n\n{END}\n"


def test_the_cells_of_an_event_are_its_medians_and_shares() -> None:
    row = _run("utm-8", 50)["Cold tiles a second"].rows["utm-8"]
    cpu = _run("utm-8", 50)["CPU time of a cold tile in ms"].rows["utm-8"]
    assert (cpu["tileserver"], cpu["floor"]) == ("5", "0.5")
    assert row == {
        "tileserver": "55",
        "MapServer": "110",
        "floor": "1,000",
        "us / best other": "0.50 (MapServer)",
        "us / floor": "0.05",
        "noise": "18%",
        "others": "0%",
        "client": "10%",
        "run": "2026-01-01 12:30",
    }


@pytest.mark.parametrize("is_time", [False, True])
def test_the_share_of_the_floor_is_one_of_times(is_time: bool) -> None:
    figures = [2.0, 6.0] if is_time else [1 / 2, 1 / 6]
    result = Result("e", "s", {"tileserver": figures}, is_time=is_time)
    result.floor = [1.0, 1.0]
    assert result.of_floor("tileserver") == pytest.approx(2 / 8)


def test_the_client_share_is_that_against_the_server_that_kept_it_busiest() -> None:
    result = Result("e", "tiles/s")
    result.add("slow", 1.0, Effort(1, 10.0, 1.0, client_share=0.01))
    result.add("fast", 1.0, Effort(1, 0.1, 0.1, client_share=0.9))
    assert result.client_share() == pytest.approx(0.9)


def test_a_server_whose_round_takes_long_is_out_with_a_note_and_has_no_ratio() -> None:
    result = Result("e", "tiles/s")
    result.add("tileserver", 40.0, Effort(40, 1.0, 1.0))
    result.add("tileserver", 40.0, Effort(40, 1.0, 1.0))
    result.add("slow", 2.0, Effort(40, 20.0, 20.0))
    for name in ("tileserver", "slow"):
        result.limit(name)
    assert result.out == {"slow"}
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    tables = tables_of([result], {"e": "some scene"}, {}, "small", at)
    assert tables["Notes"].rows["e"] == {"note": "slow: no more rounds, one took 20 s"}
    row = tables["Cold tiles a second"].rows["e"]
    assert row["slow"] == "2"
    assert "us / best other" not in row
