"""GeoTIFFs opened, with GDAL locked down, and kept open for the next tile.

The only opener of datasets. GDAL may use its GeoTIFF driver and nothing else: VRT and its
like can name any file or host (reference of the attack: developmentseed/titiler#1180). A
dataset serves one thread at a time, as GDAL wants it.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import rasterio
from rasterio._env import set_gdal_config
from rasterio._err import CPLE_BaseError  # what rasterio's properties let through
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tileserver.errors import AssetChanged, UnreadableRaster
from tileserver.files import OpenFile, SeenFile, file_errors, look, open_beneath
from tileserver.geokeys import check_citation
from tileserver.remote.files import RemoteFile
from tileserver.remote.opener import open_remote, remote_errors

GDAL_OPTIONS = {
    # No look at neighbouring files, so no .aux.xml, .ovr or .msk from outside the catalogue.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    # The one file that GDAL's own HTTP clients may ask for: what a file names is never fetched.
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "/none",
    "GDAL_NUM_THREADS": "1",
}
"""Configuration of GDAL while anything is opened or read."""

Location = str | RemoteFile
"""Where a GeoTIFF is: an absolute path, or a remote file of one version."""

_BLOCK_CACHE_BYTES = 256_000_000
_SWEEP_S = 2.0
_MASK_SIDE = 512
"""Pixels on a side of a mask that are looked at."""
_OF_CONTENTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What odd contents make rasterio, NumPy and what is made of their answers raise."""
_MAX_SAID = 200


def gdal_environment() -> rasterio.Env:
    """Return the context in which GDAL is used; its options hold for one thread."""
    _limit_block_cache()
    return rasterio.Env(**GDAL_OPTIONS)


@lru_cache(maxsize=1)
def _limit_block_cache() -> None:
    # Once: it is one cache for all threads, and the end of an Env would set the default again.
    set_gdal_config("GDAL_CACHEMAX", _BLOCK_CACHE_BYTES)


def open_raster(location: Location, name: str, level: int | None = None) -> DatasetReader:
    """Open a GeoTIFF for reading.

    Args:
        location: an absolute path or a remote file.
        name: what to call it in an error.
        level: index of the overview to open as if it were the image; None is full size.

    Raises:
        UnreadableRaster: it is not a GeoTIFF, is damaged, or cannot be reached.
    """
    if not isinstance(location, RemoteFile):
        check_citation(location, name)
    options = {"driver": "GTiff", "sharing": False}
    if level is not None:
        options["overview_level"] = level
    try:
        with remote_errors():
            if isinstance(location, RemoteFile):
                return open_remote(location, **options)
            return rasterio.open(location, **options)
    except (RasterioError, OSError) as exc:
        raise UnreadableRaster(f"{name}: not a readable GeoTIFF.") from exc


def shows_mask(dataset: DatasetReader, location: Location, name: str, level: int) -> bool:
    """Tell whether an overview hides what the mask of the image hides.

    GDAL takes every pixel of an overview for valid when only the image itself has a mask.

    Args:
        dataset: the image; all its bands have one mask.
        location: where it was opened from.
        name: what to call it in an error.
        level: index of the overview.

    Raises:
        UnreadableRaster: the mask cannot be read.
    """
    with gdal_errors(name):
        with open_raster(location, name, level) as overview:
            shape = min(overview.height, _MASK_SIDE), min(overview.width, _MASK_SIDE)
            if not overview.read_masks(1, out_shape=shape).all():
                return True
        return bool(dataset.read_masks(1, out_shape=shape).all())


@contextmanager
def gdal_errors(name: str) -> Iterator[None]:
    """Raise UnreadableRaster in place of what GDAL and rasterio raise, naming the asset."""
    try:
        with remote_errors():
            yield
    except (RasterioError, CPLE_BaseError, OSError) as exc:
        raise UnreadableRaster(f"{name}: the GeoTIFF is damaged or out of reach.") from exc


@contextmanager
def content_errors(name: str, location: str) -> Iterator[None]:
    """Raise UnreadableRaster in place of what a file's contents make any library raise.

    Goes around what describes a file or reads its pixels, and around nothing else: elsewhere such
    an exception is a mistake of ours, and must be seen as one.

    Args:
        name: what to call the file in an error.
        location: where it lies, which an error does not tell.
    """
    try:
        with gdal_errors(name):
            yield
    except _OF_CONTENTS as exc:
        said = " ".join(str(exc).replace(location, name).split())[:_MAX_SAID]
        raise UnreadableRaster(
            f"{name}: the GeoTIFF holds what cannot be read: {type(exc).__name__}"
            f"{f', {said}' if said.isprintable() and said else ''}."
        ) from exc


@dataclass(eq=False)
class _Held:
    dataset: DatasetReader
    file: OpenFile | None
    """The open file that the dataset reads, if it is a local one."""
    seen: SeenFile | None

    def check_unchanged(self, name: str) -> None:
        """Raise AssetChanged unless the open file is in the state in which it was seen."""
        if self.file and self.seen and not self.file.is_still(self.seen.state):
            raise AssetChanged(name)

    def is_current(self) -> bool:
        """Tell whether its name still leads to the file, unchanged; looks at the disk."""
        try:
            return self.seen is None or look(self.seen.place) == self.seen.state
        except OSError:
            return False

    def close(self) -> None:
        self.dataset.close()
        if self.file:
            self.file.close()


_Key = tuple[Location, str, int | None]
"""Location, version, level."""


class DatasetPool:
    """Datasets kept open between requests, at most `max_idle` of them.

    Those of files that were replaced, changed or removed are closed soon, so that the disk is
    given back the room of a file that is gone.
    """

    def __init__(self, max_idle: int = 64, sweep_s: float = _SWEEP_S) -> None:
        self.max_idle = max_idle
        self.sweep_s = sweep_s
        self._idle: OrderedDict[tuple[_Key, int], _Held] = OrderedDict()
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
        """Lend a dataset to this thread; it comes back unless an error shows it is broken.

        Args:
            location: an absolute path or a remote file.
            version: what tells it from others that were at the location.
            name: what to call it in an error.
            level: index of an overview, None for the image itself.
            seen: the file that is to be read, and its state; all that is read while the dataset
                is lent belongs to that state. Without it the location is opened as it is.

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

    def close(self) -> None:
        """Close all that is idle."""
        with self._lock:
            idle, self._idle = self._idle, OrderedDict()
            if self._sweeper is not None:
                self._sweeper.cancel()
            self._sweeper = None
        for held in idle.values():
            held.close()

    def sweep(self) -> None:
        """Close what is idle of files that are not there any more as they were."""
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
            oldest = self._idle.popitem(last=False)[1] if len(self._idle) > self.max_idle else None
            if self._sweeper is None:
                self._sweep_later()
        if oldest is not None:
            oldest.close()

    def _sweep_later(self) -> None:
        # A pool that nobody has any more is not kept by its timer.
        self._sweeper = threading.Timer(self.sweep_s, _sweep_now, (weakref.ref(self),))
        self._sweeper.daemon = True
        self._sweeper.start()

    def _swept(self) -> None:
        self.sweep()
        with self._lock:
            if self._sweeper is not None:
                self._sweeper = None
                if self._idle:
                    self._sweep_later()


def _sweep_now(reference: weakref.ref[DatasetPool]) -> None:
    pool = reference()
    if pool is not None:
        pool._swept()


def _open(location: Location, name: str, level: int | None, seen: SeenFile | None) -> _Held:
    if seen is None:
        return _Held(open_raster(location, name, level), None, None)
    with file_errors(name):
        file = open_beneath(seen.place)
    if file is None:
        raise AssetChanged(name)
    try:
        return _Held(_open_seen(file, name, level, seen), file, seen)
    except BaseException:
        file.close()
        raise


def _open_seen(file: OpenFile, name: str, level: int | None, seen: SeenFile) -> DatasetReader:
    # A descriptor's path is opened, so GDAL reads this very file, whatever its name leads to.
    if not file.is_still(seen.state):
        raise AssetChanged(name)
    try:
        return open_raster(file.location, name, level)
    except UnreadableRaster:
        if not file.is_still(seen.state):
            raise AssetChanged(name) from None
        raise
