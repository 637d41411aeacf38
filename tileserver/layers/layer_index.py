"""The index of layers: what a list says of each, in SQLite, so that no list opens 10,000 files.

The workers of one server share the file. It is a cache: a damaged or foreign one is replaced, and
one that cannot be used gives way to an index in memory, with one warning in the log. What it
holds is checked when it is read.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tileserver.contract.grids import Box
from tileserver.layers.styles import Style

FILE = "layers.sqlite"
_VERSION = 1
_MEMORY = ":memory:"
_LOCK_S = 1.0
"""How long a statement waits for another process."""
_CHUNK = 500
_MAX_ZOOM = 60
_MAX_TEXT = 100_000
_TABLE = """CREATE TABLE IF NOT EXISTS layers (
    name TEXT PRIMARY KEY, state TEXT, west REAL, south REAL, east REAL, north REAL, rest TEXT
) WITHOUT ROWID"""
_COLUMNS = "name, state, west, south, east, north, rest"

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What a list says of a layer, in one state of its file."""

    name: str
    """Of the layer."""
    state: str
    """A token of the file's version and of the layer's own style."""
    bounds: Box
    """Degrees; west > east across the antimeridian."""
    full_zoom: int
    style: Style
    """Complete."""
    version: str
    """The version token of its tiles."""
    no_place: str = ""
    """Why its place on Earth is not known; empty if it is."""
    has_times: bool = False
    """Whether there are times to choose from."""


class LayerIndex:
    """Entries of layers by name. Its methods block: call them from a thread."""

    def __init__(self, path: Path | None = None) -> None:
        """`path` is the file that workers share; None keeps the index in memory."""
        self.resets = 0
        """How many times its entries were lost."""
        self._lock = threading.Lock()
        self._database = _connect(_MEMORY) if path is None else self._opened(path)

    def get(self, names: Sequence[str]) -> dict[str, IndexEntry]:
        """Return the entries of those of the names that have one."""
        rows: list[tuple[Any, ...]] = []
        rows = self._run(lambda database: list(_rows(database, names)), rows)
        entries = map(_entry, rows)
        return {entry.name: entry for entry in entries if entry is not None}

    def places(self) -> dict[str, Box]:
        """Return the bounds of all entries, by name."""
        query = "SELECT name, west, south, east, north FROM layers"
        rows: list[tuple[Any, ...]] = []
        rows = self._run(lambda database: database.execute(query).fetchall(), rows)
        return {str(name): Box(*box) for name, *box in rows if _is_box(box)}

    def put(self, entries: Iterable[IndexEntry]) -> None:
        """Add entries, in place of others of the same names."""
        rows = [_row(entry) for entry in entries]

        def write(database: sqlite3.Connection) -> None:
            with database:
                statement = f"INSERT OR REPLACE INTO layers ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)"
                database.executemany(statement, rows)

        self._run(write, None)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _run(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return the result of `work`; if the file fails, go on in memory."""
        with self._lock:
            try:
                return work(self._database)
            except (sqlite3.Error, OverflowError, UnicodeError) as exc:
                log.warning("the index of layers is kept in memory from now on: %s", exc)
                self._database.close()
                self._database = _connect(_MEMORY)
                self.resets += 1
                return otherwise

    def _opened(self, path: Path) -> sqlite3.Connection:
        """Return a file's connection; of a new file if it is no index, or else of memory."""
        try:
            return _connect(str(path))
        except sqlite3.OperationalError as exc:
            reason: Exception = exc
        except sqlite3.DatabaseError as exc:
            reason = exc
            try:
                path.unlink()
                database = _connect(str(path))
            except (OSError, sqlite3.Error) as again:
                reason = again
            else:
                log.warning("the index of layers is made anew: %s", exc)
                return database
        log.warning("the index of layers is kept in memory: %s", reason)
        return _connect(_MEMORY)


def _connect(path: str) -> sqlite3.Connection:
    """Open an index, and make its table if it is new.

    Raises:
        sqlite3.OperationalError: it cannot be opened or written, or is locked.
        sqlite3.DatabaseError: it is none, or of another version.
    """
    database = sqlite3.connect(path, timeout=_LOCK_S, check_same_thread=False)
    try:
        # After a crash of the machine the index is made anew.
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA trusted_schema = OFF")
        with database:
            database.execute("BEGIN IMMEDIATE")
            _check_version(database)
            database.execute(_TABLE)
            database.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _check_version(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (count,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    columns = [row[1] for row in database.execute("PRAGMA table_info(layers)")]
    is_new = (version, count) == (0, 0)
    if not is_new and (version != _VERSION or columns != _COLUMNS.split(", ")):
        raise sqlite3.DatabaseError(f"expected version {_VERSION} of the index, got {version}")


def _rows(database: sqlite3.Connection, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        query = f"SELECT {_COLUMNS} FROM layers WHERE name IN ({marks})"
        with closing(database.execute(query, chunk)) as rows:
            yield from rows


def _row(entry: IndexEntry) -> tuple[object, ...]:
    rest: dict[str, Any] = {"zoom": entry.full_zoom, "version": entry.version}
    rest |= {"no_place": entry.no_place} if entry.no_place else {}
    rest |= {"has_times": True} if entry.has_times else {}
    rest["style"] = dataclasses.asdict(entry.style)
    return entry.name, entry.state, *entry.bounds, json.dumps(rest)


def _entry(row: Sequence[Any]) -> IndexEntry | None:
    """Return the entry of a row, or None if it is not one that `_row` makes."""
    name, state, *box, text = row
    try:
        if not _is_box(box) or not isinstance(state, str) or len(text) > _MAX_TEXT:
            return None
        rest = json.loads(text)
        zoom, version = rest["zoom"], rest["version"]
        if type(zoom) is not int or not 0 <= zoom <= _MAX_ZOOM or not isinstance(version, str):
            return None
        style, no_place = _style(rest["style"]), str(rest.get("no_place", ""))
        has_times = rest.get("has_times") is True
        return IndexEntry(name, state, Box(*box), zoom, style, version, no_place, has_times)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _style(members: dict[str, Any]) -> Style:
    """Return a style; raises ValueError, TypeError or KeyError if it is none."""
    bands, palette = (_texts(members[key]) for key in ("bands", "palette"))
    low, high = (tuple(map(_finite, members[key])) for key in ("min", "max"))
    gamma, opacity = (
        None if members[key] is None else _finite(members[key]) for key in ("gamma", "opacity")
    )
    classes = tuple((int(value), str(name)) for value, name in members["classes"])
    return Style(bands, low, high, palette, gamma, opacity, classes)


def _texts(values: list[str]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("expected texts")
    return tuple(values)


def _finite(value: float) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value!r}")
    return value


def _is_box(values: Sequence[Any]) -> bool:
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return False
    west, south, east, north = values
    return bool(max(abs(west), abs(east)) <= 180 and -90 <= south <= north <= 90)
