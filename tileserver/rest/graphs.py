"""Expressions that a URL stands for: kept on disk, under the hash of what they are.

The URL of a map or a thumbnail is handed on and asked for by browsers, from any worker, after any
restart. What was not used for longest goes first. A disk that cannot be written only means that
URLs last as long as the process.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_GRAPHS = 10_000
MAX_BYTES = 256_000_000
"""On disk."""
_MEMORY_BYTES = 32_000_000
_TOUCH_S = 600.0
"""Age after which what is in memory is looked up again, so that the disk knows of its use."""
_LEFT_OVER_S = 3600.0
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


class Graphs:
    """Stored requests. `put` and `find` use the disk: call them from a thread."""

    def __init__(
        self, folder: Path, max_graphs: int = MAX_GRAPHS, max_bytes: int = MAX_BYTES
    ) -> None:
        self.folder = folder
        self.max_graphs = max_graphs
        self.max_bytes = max_bytes
        self._held: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._held_bytes = 0
        self._is_told = False
        self._lock = threading.Lock()

    def put(self, graph: Mapping[str, Any]) -> str:
        """Keep a request, and return its id: always the same for the same one."""
        text = json.dumps(graph, separators=(",", ":"), sort_keys=True)
        graph_id = _id(text)
        self._hold(graph_id, text)
        try:
            self._write(graph_id, text)
            self._sweep()
        except OSError as exc:
            self._tell(exc)
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
        """Return a request, or None if there is none of that id."""
        if not _ID.fullmatch(graph_id):
            return None
        text = self._read(graph_id)
        if text is None:
            with self._lock:
                text = self._held.get(graph_id, (None,))[0]
        if text is None:
            return None
        self._hold(graph_id, text)
        graph: dict[str, Any] = json.loads(text)
        return graph

    def _hold(self, graph_id: str, text: str) -> None:
        with self._lock:
            before = self._held.pop(graph_id, ("", 0.0))[0]
            self._held[graph_id] = text, time.monotonic()
            self._held_bytes += len(text) - len(before)
            while len(self._held) > 1 and (
                self._held_bytes > _MEMORY_BYTES or len(self._held) > self.max_graphs
            ):
                _, (oldest, _) = self._held.popitem(last=False)
                self._held_bytes -= len(oldest)

    def _write(self, graph_id: str, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(".new", dir=self.folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, self._path(graph_id))
        except BaseException:
            os.unlink(name)
            raise

    def _read(self, graph_id: str) -> str | None:
        path = self._path(graph_id)
        try:
            text = path.read_text("utf-8")
            os.utime(path)
        except (OSError, UnicodeDecodeError):
            return None
        # Half a file, or another's, is none.
        return text if _id(text) == graph_id else None

    def _sweep(self) -> None:
        """Delete what was not used for longest, until there is room for a tenth more."""
        found = _files(self.folder)
        now_s = time.time()
        for state, path in found:
            if path.endswith(".new") and now_s - state.st_mtime > _LEFT_OVER_S:
                _unlink(path)
        files = sorted(
            ((state.st_mtime_ns, state.st_size, path) for state, path in found if _is_graph(path)),
            reverse=True,
        )
        if len(files) <= self.max_graphs and sum(size for _, size, _ in files) <= self.max_bytes:
            return
        kept_bytes = 0
        for count, (_, size, path) in enumerate(files, 1):
            kept_bytes += size
            if count > self.max_graphs * 0.9 or kept_bytes > self.max_bytes * 0.9:
                _unlink(path)

    def _path(self, graph_id: str) -> Path:
        return self.folder / f"{graph_id}.json"

    def _tell(self, exc: OSError) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning(
                "[api] graphs: cannot be written (%s); URLs of maps and thumbnails last until the "
                "server ends",
                exc.strerror,
            )


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_graph(path: str) -> bool:
    return _ID.fullmatch(os.path.basename(path).removesuffix(".json")) is not None


def _files(folder: Path) -> list[tuple[os.stat_result, str]]:
    found = []
    with os.scandir(folder) as entries:
        for each in entries:
            # Another worker may have deleted it since.
            with suppress(FileNotFoundError):
                if each.is_file(follow_symlinks=False):
                    found.append((each.stat(follow_symlinks=False), each.path))
    return found


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
