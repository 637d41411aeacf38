"""Tables between the marks of a Markdown page: read, merged with new rows, written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, END = "<!-- grand prix -->", "<!-- end of grand prix -->"


@dataclass
class Table:
    """Cells by row and column; the first column has the names of the rows."""

    title: str
    first: str
    """Title of the first column."""
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    """An empty row is none, and takes the place of an older one."""

    def columns(self, order: Sequence[str]) -> list[str]:
        """Return the titles of the other columns, those of `order` first."""
        found = dict.fromkeys(name for row in self.rows.values() for name in row)
        return sorted(found, key=lambda name: _rank(name, order))

    def markdown(self, order: Sequence[str]) -> str:
        """Return it with its title."""
        columns = self.columns(order)
        lines = [_line([self.first, *columns]), _line(["---"] * (1 + len(columns)))]
        lines += [
            _line([name, *(row.get(column, "") for column in columns)])
            for name, row in self.rows.items()
            if row
        ]
        return "\n".join([f"### {self.title}", "", *lines, ""])


def parsed(text: str) -> dict[str, Table]:
    """Return the tables of a Markdown text by title, as `Table.markdown` wrote them."""
    tables: dict[str, Table] = {}
    title, head = "", [""]
    for line in text.splitlines():
        if line.startswith("### "):
            title, head = line.removeprefix("### "), []
        if not title or not line.startswith("| "):
            continue
        name, *cells = (each.strip() for each in line.strip().strip("|").split("|"))
        if not head:
            head = [name, *cells]
            tables[title] = Table(title, name)
        elif name != "---":
            pairs = zip(head[1:], cells, strict=True)
            tables[title].rows[name] = {column: cell for column, cell in pairs if cell}
    return tables


def merged(old: Mapping[str, Table], new: Mapping[str, Table], order: Sequence[str]) -> list[Table]:
    """Return all tables, with the new rows in place of the old ones of the same name.

    Of runs, whose table has "run" as its first column, those are kept that a row names.

    Args:
        old: tables of the page, by title.
        new: tables of a run.
        order: names of rows; others come after them.
    """
    tables = []
    for title in dict.fromkeys([*new, *old]):
        one = new.get(title) or old[title]
        rows = {**(old[title].rows if title in old else {}), **one.rows}
        kept = sorted((n for n, row in rows.items() if row), key=lambda n: _rank(n, order))
        tables.append(Table(title, one.first, {name: rows[name] for name in kept}))
    named = {row.get("run") for each in tables for row in each.rows.values()}
    for each in tables:
        if each.first == "run":
            each.rows = {name: row for name, row in each.rows.items() if name in named}
    return tables


def rendered(tables: Iterable[Table], columns: Sequence[str]) -> str:
    """Return the tables that have rows, as Markdown."""
    return "\n".join(each.markdown(columns) for each in tables if any(each.rows.values()))


def between_marks(page: Path) -> str:
    """Return what lies between the marks of a page, nothing if it has none."""
    return page.read_text().partition(BEGIN)[2].partition(END)[0]


def write(page: Path, text: str) -> None:
    """Put a text between the marks of a page, or at its end."""
    before, found, rest = page.read_text().partition(BEGIN)
    tail = rest.partition(END)[2].strip() if found else ""
    parts = [before.rstrip(), BEGIN, text.strip(), END, tail]
    page.write_text("\n\n".join(part for part in parts if part) + "\n")


def _rank(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(each.replace("|", "/").split()) for each in cells) + " |"
