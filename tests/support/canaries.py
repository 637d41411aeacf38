"""A file and a port that nobody may touch, and that tell when somebody does."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_IN_ACCESS, _IN_OPEN = 0x1, 0x20
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Canary:
    """A readable file and a URL on loopback."""

    path: str
    url: str
    _watch: int
    _calls: list[str]

    def touched(self) -> list[str]:
        """Return what was done to the two since this was called last."""
        found = list(self._calls)
        self._calls.clear()
        with suppress(BlockingIOError):
            if os.read(self._watch, 65536):
                found.append("opened")
        return found


@contextmanager
def canary(folder: Path) -> Iterator[Canary]:
    """Lay out a file in a folder and listen on a port, and watch both.

    The file holds what PROJ's init files do, so that whoever reads it goes on as if all was well;
    the port hangs up on everybody.
    """
    path = folder / "canary"
    path.write_text("<key> +proj=longlat +ellps=WGS84 <>\n")
    watch = _libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0
    assert _libc.inotify_add_watch(watch, os.fsencode(path), _IN_OPEN | _IN_ACCESS) >= 0
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_hang_up, args=(server, calls), daemon=True)
        thread.start()
        yield Canary(str(path), f"http://127.0.0.1:{server.getsockname()[1]}/crs", watch, calls)
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    os.close(watch)


def _hang_up(server: socket.socket, calls: list[str]) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            calls.append("connected")
            connection.close()
