"""Texts that URLs stand for, in one SQLite file that all workers share.

A text is in use if it was found within the last 30 days or put within the last hour, and is then
never deleted. Of the others, those never found are deleted first, then the least recently found.
When all are in use, new ones are refused. No client can fill the file alone: each may take a part
of it, and a smaller part each day.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from tileserver.errors import StoreFull

KEPT_S = 30 * 86400.0
"""After it was found last."""
_FRESH_S = 3600.0
"""After it was put: time to hand its URL on."""
_DAY_S = 86400.0
_OF_CLIENT = 1 / 2
_OF_DAY = 1 / 4
"""Parts of the room for one client: in all, and for what it puts within a day."""
_PATIENCE_S = 10.0
"""For another worker that writes."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS graphs (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    size INTEGER NOT NULL,
    made_s REAL NOT NULL,
    kept_until_s REAL NOT NULL,
    is_used INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (id TEXT PRIMARY KEY, text TEXT NOT NULL);
"""
_HELP = "Expressions that load assets instead of spelling out their geometries and lists are short."


@dataclass(frozen=True, slots=True)
class Capacity:
    """Limits of a store."""

    graphs: int
    size_bytes: int

    def part(self, share: float) -> Capacity:
        """Return a share of it, with one text at least."""
        return Capacity(max(1, int(self.graphs * share)), int(self.size_bytes * share))


class ExpressionDatabase:
    """Texts under their ids, in a file, or in memory without one. Its methods block.

    They raise OSError or `sqlite3.Error` when the file cannot be used.
    """

    def __init__(
        self, path: Path | None, room: Capacity, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self.room = room
        self.clock = clock
        self._lock = threading.Lock()
        self._memory: sqlite3.Connection | None = None
        if path is None:
            self._memory = sqlite3.connect(":memory:", check_same_thread=False)
            self._memory.executescript(_SCHEMA)
            weakref.finalize(self, self._memory.close)

    def put(self, graph_id: str, text: str, client: str) -> None:
        """Store a text; one that is stored already takes no capacity.

        Args:
            graph_id: that no other text has.
            text: of which only ASCII is expected, so that its length is its size.
            client: whose room it takes.

        Raises:
            StoreFull: there is no room, and nothing may be deleted.
        """
        now_s = self.clock()
        with self._transaction() as db:
            again = "UPDATE graphs SET kept_until_s = max(kept_until_s, ?) WHERE id = ?"
            if db.execute(again, (now_s + _FRESH_S, graph_id)).rowcount:
                return
            self._check_day(db, client, len(text), now_s)
            self._make_room(db, client, len(text), now_s)
            self._make_room(db, None, len(text), now_s)
            row = (graph_id, client, len(text), now_s, now_s + _FRESH_S)
            db.execute("INSERT INTO graphs VALUES (?, ?, ?, ?, ?, 0)", row)
            db.execute("INSERT INTO texts VALUES (?, ?)", (graph_id, text))

    def find(self, graph_id: str) -> str | None:
        """Return a text, or None; from now on it is in use."""
        if self.path is not None and not self.path.exists():
            return None
        now_s = self.clock()
        with self._connected() as db:
            asked = "SELECT text, kept_until_s FROM texts NATURAL JOIN graphs WHERE id = ?"
            found: tuple[str, float] | None = db.execute(asked, (graph_id,)).fetchone()
        if found is None:
            return None
        if found[1] < now_s + KEPT_S - _DAY_S:
            # On a full disk the use cannot be noted, but the text is returned.
            with suppress(OSError, sqlite3.Error), self._transaction() as db:
                mark = "UPDATE graphs SET is_used = 1, kept_until_s = ? WHERE id = ?"
                db.execute(mark, (now_s + KEPT_S, graph_id))
        return found[0]

    def _check_day(self, db: sqlite3.Connection, client: str, size: int, now_s: float) -> None:
        room = self.room.part(_OF_DAY)
        since_s = now_s - _DAY_S
        asked = (
            "SELECT count(*), total(size), min(made_s) FROM graphs WHERE client = ? AND made_s > ?"
        )
        count, held, first_s = db.execute(asked, (client, since_s)).fetchone()
        if count >= room.graphs or held + size > room.size_bytes:
            raise StoreFull(
                f"Quota exceeded: of maps, thumbnails and tables a client may make "
                f"{room.graphs}, or {_mb(room.size_bytes)} MB of expressions, within 24 hours. "
                f"{_HELP} What was made already goes on working.",
                (first_s or now_s) - since_s,
            )

    def _make_room(
        self, db: sqlite3.Connection, client: str | None, size: int, now_s: float
    ) -> None:
        """Delete unused texts until there is room for one more.

        Args:
            db: within a transaction.
            client: whose room it is; None for that of all.
            size: of the text.
            now_s: the time.
        """
        room = self.room if client is None else self.room.part(_OF_CLIENT)
        whose, of = ("1", ()) if client is None else ("client = ?", (client,))
        asked = f"SELECT count(*), total(size) FROM graphs WHERE {whose}"
        count, held = db.execute(asked, of).fetchone()
        over, over_bytes = count + 1 - room.graphs, held + size - room.size_bytes
        if over <= 0 and over_bytes <= 0:
            return
        unused = (
            f"SELECT id, size FROM graphs WHERE {whose} AND kept_until_s < ?"
            " ORDER BY is_used, kept_until_s"
        )
        dropped = []
        for each, its_size in db.execute(unused, (*of, now_s)):
            if over <= 0 and over_bytes <= 0:
                break
            dropped.append((each,))
            over, over_bytes = over - 1, over_bytes - its_size
        if over > 0 or over_bytes > 0:
            raise _full(room, client)
        for table in ("graphs", "texts"):
            db.executemany(f"DELETE FROM {table} WHERE id = ?", dropped)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all, or nothing if an exception is raised."""
        with self._connected() as db:
            db.execute("BEGIN IMMEDIATE")
            with db:
                yield db

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        if self._memory is not None:
            with self._lock, nullcontext(self._memory) as db:
                yield db
            return
        assert self.path is not None
        is_new = not self.path.exists()
        if is_new:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(self.path, _PATIENCE_S, isolation_level=None)) as db:
            db.executescript(_SCHEMA)
            yield db


def _full(room: Capacity, client: str | None) -> StoreFull:
    whose = "all clients" if client is None else "one client"
    return StoreFull(
        f"Quota exceeded: the {room.graphs} maps, thumbnails and tables, or {_mb(room.size_bytes)} "
        f"MB of expressions, that there is room for of {whose} are in use: asked for within "
        f"{KEPT_S / _DAY_S:.0f} days. {_HELP}",
        _DAY_S,
    )


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.4g}"
