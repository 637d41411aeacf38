"""GeoTIFFs opened, with GDAL locked down, and kept open for the next tile.

The only opener of datasets. GDAL may use its GeoTIFF driver and nothing else: VRT and its
like can name any file or host (reference of the attack: developmentseed/titiler#1180). A
dataset serves one thread at a time, as GDAL wants it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import rasterio
from rasterio._env import set_gdal_config
from rasterio._err import CPLE_BaseError  # what rasterio's properties let through
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tileserver.errors import UnreadableRaster
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


class DatasetPool:
    """Datasets kept open between requests, at most `max_idle` of them."""

    def __init__(self, max_idle: int = 64) -> None:
        self.max_idle = max_idle
        self._idle: OrderedDict[tuple[Location, str, int | None, int], DatasetReader] = (
            OrderedDict()
        )
        self._lock = threading.Lock()

    @contextmanager
    def borrow(
        self, location: Location, version: str, name: str, level: int | None
    ) -> Iterator[DatasetReader]:
        """Lend a dataset to this thread; it comes back unless an error shows it is broken.

        Raises:
            UnreadableRaster: it cannot be opened, or GDAL fails while it is lent.
        """
        dataset = self._take(location, version, level) or open_raster(location, name, level)
        try:
            with content_errors(name, str(location)):
                yield dataset
        except BaseException:
            dataset.close()
            raise
        self._give_back(location, version, level, dataset)

    def close(self) -> None:
        """Close all that is idle."""
        with self._lock:
            idle, self._idle = self._idle, OrderedDict()
        for dataset in idle.values():
            dataset.close()

    def _take(self, location: Location, version: str, level: int | None) -> DatasetReader | None:
        with self._lock:
            for key in reversed(self._idle):
                if key[:3] == (location, version, level):
                    return self._idle.pop(key)
        return None

    def _give_back(
        self, location: Location, version: str, level: int | None, dataset: DatasetReader
    ) -> None:
        with self._lock:
            self._idle[location, version, level, id(dataset)] = dataset
            oldest = self._idle.popitem(last=False)[1] if len(self._idle) > self.max_idle else None
        if oldest is not None:
            oldest.close()
