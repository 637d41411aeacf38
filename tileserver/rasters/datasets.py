"""Opens GeoTIFFs, with GDAL locked down.

The only opener of datasets. GDAL may use its GeoTIFF driver and nothing else: VRT and its
like can name any file or host (reference of the attack: developmentseed/titiler#1180). The
directories of a file are read before GDAL sees it, so that it opens no other file on its behalf.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import rasterio
from rasterio._env import set_gdal_config
from rasterio._err import CPLE_BaseError  # raised by rasterio's properties
from rasterio.enums import Interleaving
from rasterio.errors import NotGeoreferencedWarning, RasterioError, TransformWarning
from rasterio.io import DatasetReader

from tileserver.concurrency.allocator import reuse_memory
from tileserver.errors import UnreadableRaster
from tileserver.rasters.decode_budget import (
    MAX_BLOCK_BYTES,
    check_block,
    check_sizes,
)
from tileserver.rasters.geokeys import check_citation
from tileserver.rasters.remote.files import RemoteFile
from tileserver.rasters.remote.opener import open_remote, remote_errors
from tileserver.rasters.tiff_directories import Directory, ReadAt, read_directories
from tileserver.rasters.tiff_views import check_view, path_with, replacements

# Rasters without a place on Earth are shown, and points off a sensor's model are masked.
for _category in (NotGeoreferencedWarning, TransformWarning):
    warnings.filterwarnings("ignore", category=_category)

GDAL_OPTIONS = {
    # No look at neighbouring files, so no .aux.xml, .ovr or .msk from outside the catalogue.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    # No world file, .tab or .xml beside it either.
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    # The only name that GDAL's HTTP clients may request: URLs within a file are never fetched.
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "/none",
    "GDAL_NUM_THREADS": "1",
}
"""Configuration of GDAL while anything is opened or read."""

Location = str | RemoteFile
"""Where a GeoTIFF is: an absolute path, or a remote file of one version."""

_BLOCK_CACHE_BYTES = 100_000_000
"""Holds a block of the largest allowed size, and the windows of a screen of tiles."""
_MASK_SIDE = 512
"""Side of the sample of a mask, in pixels."""
_ITEM_BYTES = {"complex_int16": 8}
_CONTENT_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors of rasterio, NumPy and our own code on malformed contents."""
_MAX_MESSAGE = 200


def gdal_environment() -> rasterio.Env:
    """Return the context in which GDAL is used; its options hold for one thread."""
    _limit_block_cache()
    return rasterio.Env(**GDAL_OPTIONS)


def quiet_libraries() -> None:
    """Keep rasterio and GDAL from writing beside our own messages, which say the same clearly."""
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


@lru_cache(maxsize=1)
def _limit_block_cache() -> None:
    # Once: it is one cache for all threads, and the end of an Env would set the default again.
    set_gdal_config("GDAL_CACHEMAX", _BLOCK_CACHE_BYTES)
    reuse_memory()


def open_raster(
    location: Location,
    name: str,
    level: int | None = None,
    directories: Sequence[Directory] | None = None,
    max_block_bytes: int = MAX_BLOCK_BYTES,
) -> DatasetReader:
    """Open a GeoTIFF for reading, once its directories have been found harmless.

    Args:
        location: an absolute path or a remote file.
        name: of the asset, for errors.
        level: index of the overview to open as if it were the image; None is full size.
        directories: those of the file, if they were read before.
        max_block_bytes: the largest block, once decoded.

    Raises:
        UnreadableRaster: it is not a GeoTIFF, is damaged, cannot be reached, its blocks are too
            large, or other files define its CRS.
    """
    if directories is None:
        directories = directories_of(location, name, max_block_bytes)
    try:
        with remote_errors():
            dataset = _open(location, level, directories)
    except (RasterioError, OSError, UnicodeDecodeError) as exc:
        raise UnreadableRaster(f"{name}: not a readable GeoTIFF.") from exc
    with ExitStack() as stack:
        stack.callback(dataset.close)
        check_block(block_bytes(dataset), name, max_block_bytes)
        stack.pop_all()
    return dataset


def _open(location: Location, level: int | None, directories: Sequence[Directory]) -> DatasetReader:
    options = {"driver": "GTiff", "sharing": False}
    if level is not None:
        options["overview_level"] = level
    texts = replacements(directories)
    if isinstance(location, RemoteFile):
        return open_remote(location, texts, **options)
    with path_with(_gdal_path(location), texts) as path:
        return rasterio.open(path, **options)


def directories_of(
    location: Location, name: str, max_block_bytes: int = MAX_BLOCK_BYTES
) -> tuple[Directory, ...]:
    """Return the directories of a GeoTIFF that may be opened.

    Raises:
        UnreadableRaster: it is not a GeoTIFF, is damaged, cannot be reached, its blocks are too
            large, or other files define its CRS.
    """
    directories = _declared_directories(location, name)
    check_sizes(directories, name, max_block_bytes)
    for directory in directories:
        check_citation(directory, name)
    return directories


def _declared_directories(location: Location, name: str) -> tuple[Directory, ...]:
    if isinstance(location, RemoteFile):
        return _remote_directories(location)
    return _local_directories(location, name)


@lru_cache(maxsize=64)
def _remote_directories(file: RemoteFile) -> tuple[Directory, ...]:
    return _read(file.read_at, file.name)


def _local_directories(path: str, name: str) -> tuple[Directory, ...]:
    try:
        with open(path, "rb", buffering=0) as file:
            at = os.fstat(file.fileno())
            state = at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns
            return _directories(_LocalFile(state, file.fileno(), name))
    except OSError as exc:
        raise UnreadableRaster(f"{name}: not a readable GeoTIFF.") from exc


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """An open file. Two are equal when nothing was written to one file in between."""

    state: tuple[int, ...]
    descriptor: int = field(compare=False)
    name: str = field(compare=False)

    def read_at(self, offset: int, size: int) -> bytes:
        # The system's offsets end at 2**63; no file has bytes beyond.
        return os.pread(self.descriptor, size, offset) if offset < 2**63 - size else b""


@lru_cache(maxsize=16)
def _directories(file: _LocalFile) -> tuple[Directory, ...]:
    return _read(file.read_at, file.name)


def _read(read_at: ReadAt, name: str) -> tuple[Directory, ...]:
    directories = read_directories(read_at, name)
    check_view(read_at, directories, name)
    return directories


def block_bytes(dataset: DatasetReader) -> int:
    """Return the bytes of one decoded block of a dataset, all bands that it holds."""
    height, width = dataset.block_shapes[0]
    bands = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    # complex_int16 is GDAL's alone, and as large as the complex64 it is read as.
    sizes = [_ITEM_BYTES.get(dtype) or np.dtype(dtype).itemsize for dtype in set(dataset.dtypes)]
    return int(height * width * bands * max(sizes))


def shows_mask(dataset: DatasetReader, location: Location, name: str, level: int) -> bool:
    """Tell whether an overview has the mask of the image.

    GDAL takes every pixel of an overview for valid when only the image itself has a mask.

    Args:
        dataset: the image; all its bands have one mask.
        location: where it was opened from.
        name: of the asset, for errors.
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
    """Raise UnreadableRaster in place of errors of GDAL and rasterio, naming the asset."""
    try:
        with remote_errors():
            yield
    except UnicodeDecodeError as exc:
        raise UnreadableRaster(
            f"{name}: the GeoTIFF has a text that is not UTF-8, in a tag or a description."
        ) from exc
    except (RasterioError, CPLE_BaseError, OSError) as exc:
        raise UnreadableRaster(f"{name}: the GeoTIFF is damaged or out of reach.") from exc


@contextmanager
def content_errors(name: str, location: str) -> Iterator[None]:
    """Raise UnreadableRaster in place of any library's error on a file's contents.

    Use it around code that describes a file or reads its pixels only: elsewhere such an exception
    is a bug, and must not be hidden.

    Errors have the `name` of the asset in place of its `location`.
    """
    try:
        with gdal_errors(name):
            yield
    except _CONTENT_ERRORS as exc:
        message = " ".join(str(exc).replace(location, name).split())[:_MAX_MESSAGE]
        raise UnreadableRaster(
            f"{name}: the GeoTIFF holds what cannot be read: {type(exc).__name__}"
            f"{f', {message}' if message.isprintable() and message else ''}."
        ) from exc


def _gdal_path(location: str) -> str:
    # Only an absolute path is surely one: of others, GTIFF_DIR:1:a.tif names a part of a.tif.
    path = os.path.abspath(location)
    if path.startswith("/vsi"):
        raise OSError("a path that GDAL would not look for on the disk")
    return path
