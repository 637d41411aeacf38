"""The results as Markdown: medians, ratios within one run, noise, date and class of machine."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.grand_prix.cold import Result
from tests.benchmarks.grand_prix.servers import CORES

BEGIN, END = "<!-- grand prix -->", "<!-- end of grand prix -->"


def markdown(results: Sequence[Result], versions: Mapping[str, str], ours: str) -> str:
    """Return the table of results.

    Args:
        results: of the events.
        versions: of the peers by name; of one that is missing, why.
        ours: name of the server whose ratios are shown.
    """
    names = list(dict.fromkeys(name for each in results for name in each.figures))
    others = [name for name in names if name != ours]
    ratios = [f"us / {name}" for name in others]
    head = ["event", "unit", *names, *ratios, "us / floor", "bytes", "noise"]
    lines = [_line(head), _line(["---"] * len(head))]
    lines += [_line(_cells(each, names, others, ours)) for each in results]
    notes = [f"- {each.event}: {note}" for each in results for note in dict.fromkeys(each.notes)]
    missing = [f"- {name}: {text}" for name, text in versions.items()]
    return "\n".join([_machine(), "", *lines, "", *missing, *notes, ""])


def _cells(result: Result, names: Sequence[str], others: Sequence[str], ours: str) -> list[str]:
    figures = [_number(result.median(each)) if each in result.figures else "" for each in names]
    has_ours = ours in result.figures
    ratios = [
        f"{result.ratio(ours, each):.2f}" if has_ours and each in result.figures else ""
        for each in others
    ]
    floor = ""
    if result.floor and has_ours:
        floor = f"{result.of_floor(ours):.2f}"
    return [
        result.event,
        result.unit,
        *figures,
        *ratios,
        floor,
        _bytes(result, names),
        _noise(result, ours),
    ]


def _bytes(result: Result, names: Sequence[str]) -> str:
    return " / ".join(f"{result.bytes[each] / 1000:.0f}" for each in names if each in result.bytes)


def _noise(result: Result, ours: str) -> str:
    """Return the spread of our rounds, in per cent of their median."""
    rounds = result.figures.get(ours, [])
    if len(rounds) < 3:
        return ""
    low, _, high = statistics.quantiles(rounds, n=4)
    return f"{(high - low) / statistics.median(rounds):.0%}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _machine() -> str:
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return (
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {platform.machine()}, "
        f"{os.cpu_count()} cores, {pages * page / 1e9:.0f} GB; servers on {len(CORES)} cores. "
        "Medians of interleaved rounds; bytes in kB a tile, in the order of the servers; noise is "
        "the distance of the quartiles of our rounds."
    )


def write(page: Path, table: str) -> None:
    """Put a table between the marks of a page, or at its end."""
    text = page.read_text()
    head, found, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2] if found else ""
    page.write_text(f"{head.rstrip()}\n\n{BEGIN}\n\n{table}\n{END}\n{tail.lstrip()}")
