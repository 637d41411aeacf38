"""A store in a folder that the workers of one server share.

A claim is a lock on one byte of the file `claims`, which the kernel releases when a worker dies.
A body is a file, written under a temporary name and then renamed.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from tileserver import metrics
from tileserver.caching.envelope import unwrap, wrap
from tileserver.caching.shared import MAX_BODY_BYTES, StoreError
from tileserver.concurrency.threads import Threads
from tileserver.errors import Overloaded

try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None  # type: ignore[assignment]

_BODY, _PART, _CLAIMS = ".body", ".part", "claims"
_MAX_FILE_BYTES = MAX_BODY_BYTES + 1000
_FORGOTTEN_S = 60.0
"""Age after which a temporary file has no writer any more."""
_THREADS = 4

T = TypeVar("T")


class FolderStore:
    """Bodies in a private folder; a `Store`."""

    name = "disk"
    budget_s = 1.0

    def __init__(self, folder: Path, max_bytes: int, ttl_s: float, workers: int) -> None:
        """Use an existing folder.

        Args:
            folder: the same for all workers of one server.
            max_bytes: of all bodies; the oldest are deleted first.
            ttl_s: age at which a body expires.
            workers: number of processes that share it.
        """
        self.folder = folder
        self.max_bytes = max_bytes
        self.ttl_s = ttl_s
        # All workers together write at most a quarter of it between two scans of the folder.
        self._scan_after_bytes = max_bytes // (4 * max(workers, 1))
        self._written = 0
        self._claimed: set[str] = set()
        self._claims: int | None = None
        self._threads = Threads(_THREADS, "shared bodies", math.inf, math.inf)

    async def get(self, key: str) -> bytes | None:
        """Return a body that is complete and fresh, or None."""
        return await self._in_thread(lambda: self._read(key))

    async def put(self, key: str, body: bytes) -> None:
        """Keep a body; deletes the oldest ones beyond `max_bytes`."""
        await self._in_thread(lambda: self._write(key, body))

    async def claim(self, key: str) -> bool:
        """Claim a missing body; return False while another live worker holds the claim."""
        if fcntl is None:
            raise StoreError("this system has no locks on files")
        if key in self._claimed:
            return False
        try:
            if self._claims is None:
                self._claims = os.open(self.folder / _CLAIMS, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except (BlockingIOError, PermissionError) as exc:
            if self._claims is None:
                raise _failure(exc) from exc
            return False
        except OSError as exc:
            raise _failure(exc) from exc
        self._claimed.add(key)
        return True

    async def release(self, key: str) -> None:
        """Release a claim."""
        if key not in self._claimed or self._claims is None:
            return
        self._claimed.discard(key)
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _place(key))
        except OSError as exc:
            raise _failure(exc) from exc

    async def close(self) -> None:
        """Release all claims; leaves the folder in place."""
        if self._claims is not None:
            os.close(self._claims)
            self._claims = None

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await self._threads.run(call)
        except OSError as exc:
            raise _failure(exc) from exc
        except Overloaded as exc:
            raise StoreError("the disk hangs") from exc

    def _read(self, key: str) -> bytes | None:
        path = self.folder / (key + _BODY)
        try:
            with path.open("rb") as file:
                value = file.read(_MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            # Raises if the folder is gone, which must count as a failure, not a miss.
            os.stat(self.folder)
            return None
        body = unwrap(key, value)
        if body is None:
            metrics.SHARED.labels(self.name, "corrupt").inc()
        # The monotonic clock is the same for all processes of a machine.
        elif 0 <= time.monotonic() - body.put_s < self.ttl_s:
            return body.pixels
        path.unlink(missing_ok=True)
        return None

    def _write(self, key: str, body: bytes) -> None:
        part = self.folder / f"{key}.{os.getpid()}{_PART}"
        try:
            part.write_bytes(wrap(key, body, time.monotonic()))
            part.replace(self.folder / (key + _BODY))
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        self._written += len(body)
        if self._written > self._scan_after_bytes:
            self._written = 0
            tidy(self.folder, self.max_bytes * 3 // 4)


class _File(NamedTuple):
    """A file of the folder; sorts by age, the newest last."""

    written_s: float
    size: int
    path: str


def tidy(folder: Path, max_bytes: int) -> None:
    """Delete the oldest bodies until the others have at most `max_bytes`.

    Temporary files whose writer was killed are deleted too.
    """
    bodies: list[_File] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = _File(entry.stat().st_mtime, entry.stat().st_size, entry.path)
                if entry.name.endswith(_BODY):
                    bodies.append(found)
                elif entry.name.endswith(_PART) and _is_forgotten(found):
                    os.unlink(entry.path)
    held = sum(each.size for each in bodies)
    for each in sorted(bodies):
        if held <= max_bytes:
            return
        with suppress(FileNotFoundError):
            os.unlink(each.path)
        held -= each.size


def _is_forgotten(part: _File) -> bool:
    return abs(time.time() - part.written_s) > _FORGOTTEN_S


def _place(key: str) -> int:
    """Return the offset of a key's lock in the file of claims."""
    return int(key[:15], 16)


def _failure(exc: OSError) -> StoreError:
    return StoreError(exc.strerror or type(exc).__name__)
