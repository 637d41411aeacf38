"""Expressions that a URL stands for: kept under the hash of what they are.

The URL of a map or a thumbnail is handed on and asked for by browsers, from any worker, after any
restart; `graphstore` tells what is deleted when there are too many. A disk that cannot be written
only means that URLs last as long as the process.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import os
import re
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tileserver.errors import RequestTooLarge
from tileserver.rest.expression_database import Capacity, ExpressionDatabase

MAX_EXPRESSIONS = 10_000
MAX_BYTES = 256_000_000
"""On disk."""
MAX_EXPRESSION_BYTES = 10_485_760
"""Of one, as of a request."""
_MEMORY_BYTES = 64_000_000
"""Of those that could not be written."""
_HELD_BYTES = 32_000_000
_TOUCH_S = 600.0
"""Age after which what is in memory is looked up again, so that the disk knows of its use."""
_FILE = "graphs.sqlite3"
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)

log = logging.getLogger(__name__)


def default_folder(environ: Mapping[str, str]) -> Path:
    """Return where a user's graphs are kept: https://specifications.freedesktop.org/basedir."""
    state = environ.get("XDG_STATE_HOME", "")
    try:
        home = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    except RuntimeError:
        # A user without a home, as in some containers, has memory alone.
        home = Path(os.devnull)
    return home / "tileserver" / "graphs"


class ExpressionStore:
    """Stored requests. `put` and `find` use the disk: call them from a thread."""

    def __init__(
        self,
        folder: Path,
        max_count: int = MAX_EXPRESSIONS,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self._disk = ExpressionDatabase(folder / _FILE, Capacity(max_count, max_bytes), clock)
        in_memory = Capacity(max_count, min(max_bytes, _MEMORY_BYTES))
        self._memory = ExpressionDatabase(None, in_memory, clock)
        self._held: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._held_bytes = 0
        self._is_told = False
        self._lock = threading.Lock()

    def put(self, graph: Mapping[str, Any], client: str = "") -> str:
        """Keep a request of a client, and return its id: always the same for the same one.

        Raises:
            RequestTooLarge: it has more than `MAX_EXPRESSION_BYTES`.
            StoreFull: there is no room, of this client's or at all; nothing in use was deleted.
        """
        text = json.dumps(graph, separators=(",", ":"), sort_keys=True)
        if len(text) > MAX_EXPRESSION_BYTES:
            raise RequestTooLarge(
                f"Request payload size exceeds the limit: {MAX_EXPRESSION_BYTES} bytes of ASCII, "
                f"got {len(text)}."
            )
        graph_id = _id(text)
        try:
            self._disk.put(graph_id, text, _account(client))
        except (OSError, sqlite3.Error) as exc:
            self._tell(exc)
            self._memory.put(graph_id, text, _account(client))
        return graph_id

    def known(self, graph_id: str, max_characters: int) -> dict[str, Any] | None:
        """Return a short request that was used a moment ago, or None; never touches the disk."""
        with self._lock:
            held = self._held.get(graph_id)
            if held is None or time.monotonic() - held[1] >= _TOUCH_S:
                return None
            if len(held[0]) > max_characters:
                return None
            self._held.move_to_end(graph_id)
        graph: dict[str, Any] = json.loads(held[0])
        return graph

    def find(self, graph_id: str) -> dict[str, Any] | None:
        """Return a request, or None if there is none of that id; from now on it is in use."""
        if not _ID.fullmatch(graph_id):
            return None
        text = self._on_disk(graph_id) or self._memory.find(graph_id) or self._in_file(graph_id)
        # Half a text, or another's, is none.
        if text is None or _id(text) != graph_id:
            return None
        self._hold(graph_id, text)
        graph: dict[str, Any] = json.loads(text)
        return graph

    def _hold(self, graph_id: str, text: str) -> None:
        with self._lock:
            before = self._held.pop(graph_id, ("", 0.0))[0]
            self._held[graph_id] = text, time.monotonic()
            self._held_bytes += len(text) - len(before)
            while self._held_bytes > _HELD_BYTES:
                _, (oldest, _) = self._held.popitem(last=False)
                self._held_bytes -= len(oldest)

    def _on_disk(self, graph_id: str) -> str | None:
        try:
            return self._disk.find(graph_id)
        except (OSError, sqlite3.Error) as exc:
            self._tell(exc)
            return None

    def _in_file(self, graph_id: str) -> str | None:
        """Return what an earlier version has written, a file for each; nothing deletes them."""
        try:
            return (self.folder / f"{graph_id}.json").read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _tell(self, exc: Exception) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning(
                "[api] graphs: cannot be used (%s); URLs of maps and thumbnails made now last "
                "until the server ends",
                exc.strerror if isinstance(exc, OSError) else exc,
            )


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _account(client: str) -> str:
    """Return what stands for a client on disk; of IPv6, a whole /64, which is one client's."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        pass
    else:
        if isinstance(address, ipaddress.IPv6Address):
            mapped = address.ipv4_mapped
            client = str(mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return hashlib.sha256(client.encode("utf-8", "replace")).hexdigest()[:16] if client else ""
