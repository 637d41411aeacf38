"""Requests that URLs of maps, thumbnails and tables stand for, under the hash of their text.

Such a URL works in any browser, from any worker, after any restart; `expression_database` says
which are deleted when there are too many. If the disk cannot be written, URLs last as long as the
process.
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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from tileserver.errors import RequestTooLarge
from tileserver.rest.expression_database import Capacity, ExpressionDatabase

MAX_EXPRESSIONS = 10_000
MAX_BYTES = 256_000_000
"""On disk."""
MAX_EXPRESSION_BYTES = 10_485_760
"""For one request."""
_MEMORY_BYTES = 64_000_000
"""For requests that could not be written."""
_HELD_BYTES = 32_000_000
_TOUCH_S = 600.0
"""Age after which a request in memory is read again, so that its use is noted on disk."""
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
        self._held: LRUCache[str, tuple[str, float]] = LRUCache(
            _HELD_BYTES, getsizeof=lambda entry: len(entry[0])
        )
        self._has_warned = False
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
            self._warn(exc)
            self._memory.put(graph_id, text, _account(client))
        return graph_id

    def known(self, graph_id: str, max_characters: int) -> dict[str, Any] | None:
        """Return a short request that was used a moment ago, or None; never reads the disk."""
        with self._lock:
            held = self._held.get(graph_id)
            if held is None or time.monotonic() - held[1] >= _TOUCH_S:
                return None
            if len(held[0]) > max_characters:
                return None
        graph: dict[str, Any] = json.loads(held[0])
        return graph

    def find(self, graph_id: str) -> dict[str, Any] | None:
        """Return a request, or None if there is none of that id; from now on it is in use."""
        if not _ID.fullmatch(graph_id):
            return None
        text = self._on_disk(graph_id) or self._memory.find(graph_id) or self._in_file(graph_id)
        # A text that is cut short or of another id is not returned.
        if text is None or _id(text) != graph_id:
            return None
        with self._lock:
            self._held[graph_id] = text, time.monotonic()
        graph: dict[str, Any] = json.loads(text)
        return graph

    def _on_disk(self, graph_id: str) -> str | None:
        try:
            return self._disk.find(graph_id)
        except (OSError, sqlite3.Error) as exc:
            self._warn(exc)
            return None

    def _in_file(self, graph_id: str) -> str | None:
        """Return a request from the files of earlier versions, which are never deleted."""
        try:
            return (self.folder / f"{graph_id}.json").read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _warn(self, exc: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "[api] graphs: cannot be used (%s); URLs of maps and thumbnails made now last "
                "until the server ends",
                exc.strerror if isinstance(exc, OSError) else exc,
            )


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _account(client: str) -> str:
    """Return the hash of a client's address; of IPv6, that of its /64 network."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        pass
    else:
        if isinstance(address, ipaddress.IPv6Address):
            mapped = address.ipv4_mapped
            client = str(mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return hashlib.sha256(client.encode("utf-8", "replace")).hexdigest()[:16] if client else ""
