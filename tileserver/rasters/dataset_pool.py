"""Datasets kept open for the next tile. A dataset serves one thread at a time, as GDAL wants it."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from rasterio.io import DatasetReader

from tileserver.contract.raster_formats import GEOTIFF, driver_of
from tileserver.errors import AssetChanged, UnreadableRaster
from tileserver.rasters.datasets import (
    Location,
    block_bytes,
    content_errors,
    directories_of,
    open_raster,
)
from tileserver.rasters.decode_budget import kept_bytes
from tileserver.rasters.files import OpenFile, SeenFile, file_errors, file_state, open_beneath
from tileserver.rasters.other_formats import open_file

_SWEEP_S = 2.0
_BAND_BYTES = 700
"""Memory that GDAL takes for each band of an open dataset."""
_MAX_IDLE_BYTES = 48_000_000
"""Memory that idle datasets keep: a few large ones do not crowd the others out."""


@dataclass(eq=False)
class _Held:
    dataset: DatasetReader
    file: OpenFile | None
    """The open file that the dataset reads, if it is a local one."""
    seen: SeenFile | None
    size_bytes: int
    """Memory that it keeps while it is open, apart from the block cache."""

    def check_unchanged(self, name: str) -> None:
        """Raise AssetChanged unless the open file is in the state in which it was seen."""
        if self.file and self.seen and not self.file.is_still(self.seen.state):
            raise AssetChanged(name)

    def is_current(self) -> bool:
        """Tell whether its name still leads to the file, unchanged; looks at the disk."""
        try:
            return self.seen is None or file_state(self.seen.place) == self.seen.state
        except OSError:
            return False

    def close(self) -> None:
        self.dataset.close()
        if self.file:
            self.file.close()


_Key = tuple[Location, str, int | None]
"""Location, version, level."""


class DatasetPool:
    """Datasets kept open between requests, limited in number and memory.

    Those of files that were replaced, changed or removed are closed soon, which frees the disk
    space of a removed file.
    """

    def __init__(
        self,
        max_idle: int = 64,
        sweep_s: float = _SWEEP_S,
        max_idle_bytes: int = _MAX_IDLE_BYTES,
    ) -> None:
        self.max_idle = max_idle
        self.max_idle_bytes = max_idle_bytes
        self.sweep_s = sweep_s
        self._idle: OrderedDict[tuple[_Key, int], _Held] = OrderedDict()
        # At the end of the interpreter too: GDAL calls Python to close a remote file, and a dataset
        # that was opened in another thread and is freed open would crash the process there.
        weakref.finalize(self, _close_all, self._idle)
        self._lock = threading.Lock()
        self._sweeper: threading.Timer | None = None

    @contextmanager
    def borrow(
        self,
        location: Location,
        version: str,
        name: str,
        level: int | None,
        seen: SeenFile | None = None,
    ) -> Iterator[DatasetReader]:
        """Lend a dataset to this thread; after an error it is closed instead of kept.

        Args:
            location: an absolute path or a remote file.
            version: of the file at the location.
            name: of the asset, for errors.
            level: index of an overview, None for the image itself.
            seen: the file to read, and its state; all pixels read while the dataset is lent belong
                to that state. Without it the location is opened as it is.

        Raises:
            UnreadableRaster: it cannot be opened, or GDAL fails while it is lent.
            AssetChanged: the file is not, or not any more, in the state in which it was seen.
        """
        key = location, version, level
        held = self._take(key) or _open(location, name, level, seen)
        try:
            held.check_unchanged(name)
            with content_errors(name, str(location)):
                yield held.dataset
            held.check_unchanged(name)
        except BaseException as exc:
            with closing(held):
                if isinstance(exc, UnreadableRaster):
                    # A file that is written just now is broken for a moment.
                    held.check_unchanged(name)
            raise
        self._give_back(key, held)

    @property
    def idle_bytes(self) -> int:
        """Memory that idle datasets keep, apart from the block cache."""
        return sum(held.size_bytes for held in list(self._idle.values()))

    def close(self) -> None:
        """Close the idle datasets."""
        with self._lock:
            idle = self._idle.copy()
            self._idle.clear()
            if self._sweeper is not None:
                self._sweeper.cancel()
            self._sweeper = None
        _close_all(idle)

    def sweep(self) -> None:
        """Close idle datasets whose files have been changed or removed."""
        with self._lock:
            idle = list(self._idle.items())
        gone = [key for key, held in idle if not held.is_current()]
        with self._lock:
            taken = [self._idle.pop(key) for key in gone if key in self._idle]
        for held in taken:
            held.close()

    def _take(self, key: _Key) -> _Held | None:
        with self._lock:
            for each in reversed(self._idle):
                if each[0] == key:
                    return self._idle.pop(each)
        return None

    def _give_back(self, key: _Key, held: _Held) -> None:
        with self._lock:
            self._idle[key, id(held)] = held
            surplus = list(self._surplus())
            if self._sweeper is None:
                self._sweep_later()
        for each in surplus:
            each.close()

    def _surplus(self) -> Iterator[_Held]:
        """Remove and yield the oldest until so many are left, then the largest."""
        while len(self._idle) > self.max_idle:
            yield self._idle.popitem(last=False)[1]
        total = self.idle_bytes
        while total > self.max_idle_bytes:
            largest = max(self._idle, key=lambda key: self._idle[key].size_bytes)
            total -= self._idle[largest].size_bytes
            yield self._idle.pop(largest)

    def _sweep_later(self) -> None:
        # The timer must not keep an unused pool alive.
        self._sweeper = threading.Timer(self.sweep_s, _sweep_now, (weakref.ref(self),))
        self._sweeper.daemon = True
        self._sweeper.start()

    def _sweep_and_repeat(self) -> None:
        self.sweep()
        with self._lock:
            if self._sweeper is not None:
                self._sweeper = None
                if self._idle:
                    self._sweep_later()


def _close_all(idle: OrderedDict[tuple[_Key, int], _Held]) -> None:
    while idle:
        idle.popitem()[1].close()


def _sweep_now(reference: weakref.ref[DatasetPool]) -> None:
    pool = reference()
    if pool is not None:
        pool._sweep_and_repeat()


def _open(location: Location, name: str, level: int | None, seen: SeenFile | None) -> _Held:
    if seen is None:
        return _opened(location, name, level, None, None)
    with file_errors(name):
        file = open_beneath(seen.place)
    if file is None:
        raise AssetChanged(name)
    try:
        return _open_seen(file, name, level, seen)
    except BaseException:
        file.close()
        raise


def _open_seen(file: OpenFile, name: str, level: int | None, seen: SeenFile) -> _Held:
    # GDAL opens the descriptor's path, so it reads this very file even if its name was reused.
    if not file.is_still(seen.state):
        raise AssetChanged(name)
    try:
        return _opened(file.location, name, level, file, seen)
    except UnreadableRaster:
        if not file.is_still(seen.state):
            raise AssetChanged(name) from None
        raise


def _opened(
    location: Location, name: str, level: int | None, file: OpenFile | None, seen: SeenFile | None
) -> _Held:
    if file is not None and driver_of(file.place.below) != GEOTIFF:
        dataset = open_file(file, name, level)
        size_bytes = block_bytes(dataset) + dataset.count * _BAND_BYTES
        return _Held(dataset, file, seen, size_bytes)
    directories = directories_of(location, name)
    dataset = open_raster(location, name, level, directories)
    size_bytes = kept_bytes(directories) + dataset.count * _BAND_BYTES
    return _Held(dataset, file, seen, size_bytes)
