"""Tells which files of a folder are still being written, and so are not shown yet.

A file is settled when no program has it open for writing and it holds the blocks that its
directories name. Linux tells of programs on the same machine, if the file is on a local disk and
belongs to the server's user or the server runs as root; elsewhere a file settles by not
changing for a while. One renamed into its place by the program that wrote it is settled at once.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.raster_formats import GEOTIFF, driver_of
from tileserver.errors import BeingWritten, UnreadableRaster
from tileserver.rasters.files import OpenFile, Place, file_errors, find_file, open_beneath
from tileserver.rasters.tiff_directories import ReadAt, Table, read_directories

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

_FRESH_S = 60.0
"""A file that last changed earlier is settled: many programs keep files open that they only read,
and a damaged file is to be reported."""
_QUIET_S = 2.0
"""The same, where the system does not tell whether a program writes."""
_ENDED_S = 5.0
"""A file that no program writes and that lacks a part may be one that a program adds to bit by
bit; after this time it is damaged."""
_MAX_BLOCKS = 2_000_000
_MAX_KNOWN = 100_000
_F_SETSIG = 10
"""`fcntl`'s number of it on Linux; Python 3.11 has no name for it."""


class Settling:
    """Tells which files are still being written; asks once for each state of a file."""

    def __init__(self) -> None:
        self._settled: set[tuple[int, ...]] = set()
        self._lock = threading.Lock()

    def pending(self, places: Mapping[str, Place], is_start: bool) -> set[str]:
        """Return the keys of those places whose files are still being written.

        Args:
            places: of files in folders.
            is_start: whether nothing is known of them yet; then those alone are that a program
                is known to be writing, since a server may be started just after its files came.
        """
        now_s = time.time()
        return {key for key, place in places.items() if self._waits(place, now_s, is_start)}

    def check(self, place: Place, name: str, is_start: bool) -> None:
        """Raise BeingWritten if the file at a place is still being written.

        Args:
            place: of the file.
            name: of the asset, for errors.
            is_start: whether it was never read, as in `pending`.
        """
        with file_errors(name):
            if self._waits(place, time.time(), is_start):
                raise BeingWritten(name)

    def _waits(self, place: Place, now_s: float, is_start: bool) -> bool:
        try:
            found = os.stat(place.path)
        except OSError:
            return False
        age_s = now_s - max(found.st_mtime, found.st_ctime)
        # A clock that is far ahead, of another machine perhaps, says nothing.
        if abs(age_s) >= _FRESH_S or not stat.S_ISREG(found.st_mode):
            return False
        state = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        if state in self._settled:
            return False
        # A write sets both times; a rename, or a copy that sets the old time at its end, one.
        was_written = found.st_mtime_ns >= found.st_ctime_ns
        waits = _is_unfinished(place, age_s if was_written else _QUIET_S, is_start)
        if not waits:
            with self._lock:
                if len(self._settled) >= _MAX_KNOWN:
                    self._settled.clear()
                self._settled.add(state)
        return waits


def _is_unfinished(place: Place, age_s: float, is_start: bool) -> bool:
    try:
        found = find_file(place)
        file = open_beneath(found.place) if found else None
    except OSError:
        return False
    if file is None:
        return False
    with file:
        writes = has_writer(file.descriptor)
        if writes or is_start:
            return bool(writes)
        if writes is None and age_s < _QUIET_S:
            return True
        if driver_of(file.place.below) != GEOTIFF:
            return False
        may_grow = writes is None or age_s < _ENDED_S
        return may_grow and not is_whole(file)


def has_writer(descriptor: int) -> bool | None:
    """Tell whether a program has a file open for writing; None if the system does not tell.

    Args:
        descriptor: of the file, open for reading.
    """
    if fcntl is None or not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        # A writer that comes within these microseconds waits for them, and the signal that the
        # system sends us then is one that is ignored.
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def is_whole(file: OpenFile) -> bool:
    """Tell whether a TIFF has its directories, and all blocks that they name lie in the file."""
    size_bytes = os.fstat(file.descriptor).st_size
    try:
        blocks = list(_blocks(file))
        return bool(blocks) and all((at + size).max(initial=0) <= size_bytes for at, size in blocks)
    except (UnreadableRaster, OSError, ValueError):
        return False


def ends_early(file: OpenFile) -> bool:
    """Tell whether a TIFF ends before a block that its directories name begins.

    Of a block that begins in the file and is said to go on past its end GDAL may read all there is.
    """
    size_bytes = os.fstat(file.descriptor).st_size
    try:
        return any(bool(((at >= size_bytes) & (size > 0)).any()) for at, size in _blocks(file))
    except (UnreadableRaster, OSError, ValueError):
        return True


def _blocks(file: OpenFile) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield offsets and sizes of the blocks of each directory, nothing of enormous ones.

    Raises:
        UnreadableRaster: it is no TIFF.
        ValueError: the file ends before its tables do.
    """

    def read_at(offset: int, size: int) -> bytes:
        return os.pread(file.descriptor, size, offset) if offset < 2**63 - size else b""

    for each in read_directories(read_at, ""):
        offsets, counts = each.storage.offsets, each.storage.byte_counts
        if offsets and counts and offsets.count == counts.count <= _MAX_BLOCKS:
            yield _numbers(read_at, offsets), _numbers(read_at, counts)
        else:
            yield np.empty(0), np.empty(0)


def _numbers(read_at: ReadAt, table: Table) -> NDArray[np.float64]:
    dtype = np.dtype(table.form)
    content = read_at(table.offset, dtype.itemsize * table.count)
    return np.frombuffer(content, dtype, table.count).astype(np.float64)
