"""The results as tables: medians, CPU time, pictures, noise, date and class of machine."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from collections.abc import Mapping, Sequence

from tests.benchmarks.grand_prix.hot import BARE
from tests.benchmarks.grand_prix.page import Table
from tests.benchmarks.grand_prix.results import Result
from tests.benchmarks.grand_prix.servers import CORES

OURS = "tileserver"
_LAST = ("floor", "us / best other", "us / floor", "noise", "others", "client", "run")
_FIGURES = {
    "tiles/s": "Cold tiles a second",
    "answers/s": "Answers a second without pixels to compute",
    "s": "Seconds",
    "MB": "Memory in MB",
}
"""Titles by unit."""
_CPU = {
    "tiles/s": ("CPU time of a cold tile in ms", 1.0),
    "answers/s": ("CPU time of such an answer in µs", 1000.0),
    "s": ("CPU time in those seconds, in ms a tile", 1.0),
}
"""Titles by unit, and how many of its unit make a millisecond."""


def columns(peers: Sequence[str]) -> list[str]:
    """Return the order of columns."""
    return ["what", *peers, BARE, *_LAST]


def tables_of(
    results: Sequence[Result],
    words: Mapping[str, str],
    versions: Mapping[str, str],
    scenes: str,
    at: datetime.datetime,
) -> dict[str, Table]:
    """Return the tables of a run, by title.

    Args:
        results: of the events.
        words: what each event is.
        versions: of the peers by name; of one that is missing, why.
        scenes: how large they are.
        at: when the run began, in UTC.
    """
    run = f"{at:%Y-%m-%d %H:%M}"
    runs = Table("Runs", "run", {run: {"machine": _machine(), "scenes": scenes, **versions}})
    notes = Table("Notes", "event")
    tables = {each.title: each for each in (runs, Table("Events", "event"))}
    for result in results:
        tables["Events"].rows[result.event] = {"what": words[result.event]}
        for title, row in _rows(result, run):
            tables.setdefault(title, Table(title, "event")).rows[result.event] = row
        note = "; ".join(dict.fromkeys(result.notes))
        notes.rows[result.event] = {"note": note} if note else {}
    return {**tables, notes.title: notes}


def _rows(result: Result, run: str) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of an event, with the titles of their tables."""
    rows = [(_FIGURES[result.unit], {**_figures(result), "run": run})]
    if result.efforts and result.unit in _CPU:
        title, factor = _CPU[result.unit]
        cells = {each: number(result.cpu_ms(each) * factor) for each in result.efforts}
        floor = {"floor": number(result.floor_cpu_ms())} if result.floor else {}
        rows.append((title, {**cells, **floor, "run": run}))
    if result.differences:
        rows += [
            (
                "Pictures: mean difference from ours, of 255",
                {each: f"{far:.1f}" for each, far in result.differences.items()},
            ),
            (
                "Pictures: kB a tile",
                {each: number(result.body_kb(each)) for each in result.efforts},
            ),
        ]
    if result.fetched:
        cells = {each: _fetched(rounds) for each, rounds in result.fetched.items()}
        rows.append(("Requests and MB that a screen takes from the file's server", cells))
    return rows


def _figures(result: Result) -> dict[str, str]:
    cells = {each: number(result.median(each)) for each in result.figures}
    if result.floor:
        cells["floor"] = number(statistics.median(result.floor))
    if OURS in result.figures:
        cells |= _of_ours(result)
    if result.efforts and result.client_share():
        cells["others"] = f"{result.others_share():.0%}"
        cells["client"] = f"{result.client_share():.0%}"
    return cells


def _of_ours(result: Result) -> dict[str, str]:
    """Return the ratios that our figures have, and their noise."""
    cells = {}
    whole = len(result.figures[OURS])
    others = [n for n, rounds in result.figures.items() if n != OURS and len(rounds) == whole]
    if others:
        best = (min if result.is_time else max)(others, key=result.median)
        cells["us / best other"] = f"{result.ratio(OURS, best):.2f} ({best})"
    if result.floor:
        cells["us / floor"] = f"{result.of_floor(OURS):.2f}"
    noise = result.noise(OURS)
    if noise is not None:
        cells["noise"] = f"{noise:.0%}"
    return cells


def _fetched(rounds: Sequence[tuple[int, int]]) -> str:
    requests = statistics.median(each for each, _ in rounds)
    return f"{requests:.0f}, {statistics.median(size for _, size in rounds) / 1e6:.1f}"


def number(value: float) -> str:
    """Return a figure with three digits, or all those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _machine() -> str:
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    gigabytes = pages * page / 1e9
    cores = f"{os.cpu_count()} cores, servers on {len(CORES)}"
    return f"{platform.machine()}, {cores}, {gigabytes:.0f} GB"
