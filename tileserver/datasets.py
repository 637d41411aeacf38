"""GeoTIFFs opened, with GDAL locked down, and kept open for the next tile.

The only opener of datasets. GDAL may use its GeoTIFF driver and nothing else: VRT and its
like can name any file or host (reference of the attack: developmentseed/titiler#1180). A
dataset serves one thread at a time, as GDAL wants it.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import rasterio
from rasterio._env import set_gdal_config
from rasterio._err import CPLE_BaseError  # what rasterio's properties let through
from rasterio.enums import Interleaving
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tileserver.decoding import MAX_BLOCK_BYTES, check_block, check_sizes, return_freed_memory
from tileserver.errors import UnreadableRaster
from tileserver.tiff_directories import Directory, read_directories
from tileserver.tiff_views import check_crs_text, path_with, replacements

GDAL_OPTIONS = {
    # No look at neighbouring files, so no .aux.xml, .ovr or .msk from outside the catalogue.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    # No world file, .tab or .xml beside it either.
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff,.TIF,.TIFF",
    "GDAL_HTTP_CONNECTTIMEOUT": "5",
    "GDAL_HTTP_TIMEOUT": "20",
    "GDAL_HTTP_MAX_RETRY": "2",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_NUM_THREADS": "1",
}
"""Configuration of GDAL while anything is opened or read."""

REMOTE_SCHEMES = {
    "s3://": "/vsis3/",
    "gs://": "/vsigs/",
    "https://": "/vsicurl/https://",
    "http://": "/vsicurl/http://",
}
"""How a location's scheme is spelled for GDAL, whose own clients find the credentials."""


_BLOCK_CACHE_BYTES = 144_000_000
_MASK_SIDE = 512
"""Pixels on a side of a mask that are looked at."""
_ITEM_BYTES = {"complex_int16": 8}
_BAND_BYTES = 700
"""Memory that GDAL takes for each band of an open dataset."""
_MAX_IDLE_BYTES = 48_000_000
"""Memory that datasets keep which nobody reads: a few large ones do not crowd the others out."""


def is_remote(location: str) -> bool:
    """Tell whether a location is a URL of a GeoTIFF in object storage."""
    return location.lower().startswith(tuple(REMOTE_SCHEMES))


def gdal_environment() -> rasterio.Env:
    """Return the context in which GDAL is used; its options hold for one thread."""
    _limit_block_cache()
    return rasterio.Env(**GDAL_OPTIONS)


@lru_cache(maxsize=1)
def _limit_block_cache() -> None:
    # Once: it is one cache for all threads, and the end of an Env would set the default again.
    set_gdal_config("GDAL_CACHEMAX", _BLOCK_CACHE_BYTES)
    return_freed_memory()


def open_raster(
    location: str,
    name: str,
    level: int | None = None,
    directories: Sequence[Directory] | None = None,
    max_block_bytes: int = MAX_BLOCK_BYTES,
) -> DatasetReader:
    """Open a GeoTIFF for reading, once its directories have been found harmless.

    Args:
        location: an absolute path or a URL.
        name: what to call it in an error.
        level: index of the overview to open as if it were the image; None is full size.
        directories: those of the file, if they were read a moment ago.
        max_block_bytes: the largest block, once decoded.

    Raises:
        UnreadableRaster: it is not a GeoTIFF, is damaged, cannot be reached, its blocks are too
            large, or other files define its CRS.
    """
    options = {} if level is None else {"overview_level": level}
    if directories is None:
        directories = directories_of(location, name, max_block_bytes)
    try:
        with _harmless_path(location, directories) as path:
            dataset = rasterio.open(path, driver="GTiff", sharing=False, **options)
    except (RasterioError, OSError, UnicodeDecodeError) as exc:
        raise UnreadableRaster(f"{name}: not a readable GeoTIFF.") from exc
    try:
        check_block(block_bytes(dataset), name, max_block_bytes)
    except BaseException:
        dataset.close()
        raise
    return dataset


def directories_of(
    location: str, name: str, max_block_bytes: int = MAX_BLOCK_BYTES
) -> tuple[Directory, ...]:
    """Return the directories of a GeoTIFF that may be opened; of a remote one, none.

    Raises:
        UnreadableRaster: it is not a GeoTIFF, is damaged, its blocks are too large, or other
            files define its CRS.
    """
    if is_remote(location):
        return ()
    try:
        with open(location, "rb", buffering=0) as file:
            at = os.fstat(file.fileno())
            state = at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns
            directories = _directories(_LocalFile(state, file.fileno(), name))
    except OSError as exc:
        raise UnreadableRaster(f"{name}: not a readable GeoTIFF.") from exc
    check_sizes(directories, name, max_block_bytes)
    check_crs_text(directories, name)
    return directories


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """An open file. Two are equal when nothing was written to one file in between."""

    state: tuple[int, ...]
    descriptor: int = field(compare=False)
    name: str = field(compare=False)

    def read_at(self, offset: int, size: int) -> bytes:
        # Past what the system counts as an offset there is nothing.
        return os.pread(self.descriptor, size, offset) if offset < 2**63 - size else b""


@lru_cache(maxsize=16)
def _directories(file: _LocalFile) -> tuple[Directory, ...]:
    return read_directories(file.read_at, file.name)


@contextmanager
def _harmless_path(location: str, directories: Sequence[Directory]) -> Iterator[str]:
    """Lend the path to open for GDAL."""
    path = _gdal_path(location)
    if texts := replacements(directories):
        with path_with(path, texts) as view:
            yield view
    else:
        yield path


def block_bytes(dataset: DatasetReader) -> int:
    """Return the bytes of one decoded block of a dataset, all bands that it holds."""
    height, width = dataset.block_shapes[0]
    bands = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    # complex_int16 is GDAL's alone, and as large as the complex64 it is read as.
    sizes = [_ITEM_BYTES.get(dtype) or np.dtype(dtype).itemsize for dtype in set(dataset.dtypes)]
    return int(height * width * bands * max(sizes))


def shows_mask(dataset: DatasetReader, location: str, name: str, level: int) -> bool:
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


def fetch_directories(location: str, name: str) -> None:
    """Make GDAL fetch all directories of a remote GeoTIFF, overviews and masks included.

    rasterio lets other threads run while it opens a dataset, but not while it looks up a fact
    for which GDAL must fetch a directory first: a slow remote would stop the whole server. What
    is fetched here GDAL keeps for whoever asks next.
    """
    # Without overviews all directories are looked through as well, before it is refused.
    with suppress(UnreadableRaster):
        open_raster(location, name, 0).close()


@contextmanager
def gdal_errors(name: str) -> Iterator[None]:
    """Raise UnreadableRaster in place of what GDAL and rasterio raise, naming the asset."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError, UnicodeDecodeError) as exc:
        raise UnreadableRaster(f"{name}: the GeoTIFF is damaged or out of reach.") from exc


def _gdal_path(location: str) -> str:
    for scheme, prefix in REMOTE_SCHEMES.items():
        if location.lower().startswith(scheme):
            return prefix + location[len(scheme) :]
    # Only an absolute path is surely one: of others, GTIFF_DIR:1:a.tif names a part of a.tif.
    path = os.path.abspath(location)
    if path.startswith("/vsi"):
        raise OSError("a path that GDAL would not look for on the disk")
    return path


class DatasetPool:
    """Datasets kept open between requests, so many and holding so much memory at most."""

    def __init__(self, max_idle: int = 64, max_idle_bytes: int = _MAX_IDLE_BYTES) -> None:
        self.max_idle = max_idle
        self.max_idle_bytes = max_idle_bytes
        self._idle: OrderedDict[tuple[str, str, int | None, int], _Held] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def borrow(
        self, location: str, version: str, name: str, level: int | None
    ) -> Iterator[DatasetReader]:
        """Lend a dataset to this thread; it comes back unless an error shows it is broken.

        Raises:
            UnreadableRaster: it cannot be opened, or GDAL fails while it is lent.
        """
        held = self._take(location, version, level) or _open(location, name, level)
        try:
            with gdal_errors(name):
                yield held.dataset
        except BaseException:
            held.dataset.close()
            raise
        self._give_back(location, version, level, held)

    def close(self) -> None:
        """Close all that is idle."""
        with self._lock:
            idle, self._idle = self._idle, OrderedDict()
        for held in idle.values():
            held.dataset.close()

    def _take(self, location: str, version: str, level: int | None) -> _Held | None:
        with self._lock:
            for key in reversed(self._idle):
                if key[:3] == (location, version, level):
                    return self._idle.pop(key)
        return None

    def _give_back(self, location: str, version: str, level: int | None, held: _Held) -> None:
        with self._lock:
            self._idle[location, version, level, id(held.dataset)] = held
            surplus = list(self._surplus())
        for each in surplus:
            each.dataset.close()

    def _surplus(self) -> Iterator[_Held]:
        """Remove and yield the oldest until so many are left, then the largest."""
        while len(self._idle) > self.max_idle:
            yield self._idle.popitem(last=False)[1]
        total = sum(held.size_bytes for held in self._idle.values())
        while total > self.max_idle_bytes:
            largest = max(self._idle, key=lambda key: self._idle[key].size_bytes)
            total -= self._idle[largest].size_bytes
            yield self._idle.pop(largest)


@dataclass(frozen=True, slots=True)
class _Held:
    dataset: DatasetReader
    size_bytes: int
    """Memory that it keeps while it is open, apart from the block cache."""


def _open(location: str, name: str, level: int | None) -> _Held:
    dataset = open_raster(location, name, level)
    # GDAL keeps a block to decode the next one into.
    return _Held(dataset, block_bytes(dataset) + dataset.count * _BAND_BYTES)
