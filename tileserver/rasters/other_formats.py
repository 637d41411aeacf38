"""Opens rasters that are no GeoTIFFs, each with the one driver that its suffix names.

GDAL sees a folder with a single file in it, which it reads by calling Python: whatever a file names
beside itself (a file of an ERDAS image's pixels, a sidecar) is not there, nor any path outside.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import ExitStack
from contextvars import copy_context
from typing import Any
from uuid import uuid4

import rasterio
from rasterio.abc import FileContainer
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tileserver.contract.raster_formats import GEOTIFF, driver_of
from tileserver.errors import ConfigError, UnreadableRaster
from tileserver.rasters.datasets import block_bytes, open_raster
from tileserver.rasters.decode_budget import MAX_BANDS, check_block
from tileserver.rasters.files import OpenFile

_MAX_PIXELS = 4_000_000_000
_TILE_NAME = re.compile(r"[NS]\d{2}[EW]\d{3}", re.ASCII)


def check_driver(driver: str) -> None:
    """Raise ConfigError if the GDAL of this machine does not have a driver."""
    with rasterio.Env() as env:
        if driver in env.drivers():
            return
    raise ConfigError(
        f"[[rasters]] formats: the GDAL of this machine has no driver {driver}; leave it out, or "
        "install a rasterio that has it"
    )


def open_file(file: OpenFile, name: str, level: int | None = None) -> DatasetReader:
    """Open a local raster of any format, by the suffix of its name.

    Args:
        file: stays open as long as the dataset.
        name: of the asset, for errors.
        level: index of the overview to open as if it were the image; None is full size.

    Raises:
        UnreadableRaster: it is not of that format, is damaged, or its blocks are too large.
    """
    driver = driver_of(file.place.below)
    if driver == GEOTIFF:
        return open_raster(file.location, name, level)
    options = {} if level is None else {"overview_level": level}
    try:
        dataset = _open(file, driver, options)
    except (RasterioError, OSError, UnicodeDecodeError) as exc:
        raise UnreadableRaster(f"{name}: not a readable file of the format {driver}.") from exc
    with ExitStack() as stack:
        stack.callback(dataset.close)
        check_block(block_bytes(dataset), name)
        if dataset.width * dataset.height > _MAX_PIXELS or dataset.count > MAX_BANDS:
            raise UnreadableRaster(
                f"{name}: {dataset.width} x {dataset.height} pixels in {dataset.count} bands are "
                f"too many; `tileserver ingest` makes a GeoTIFF, which may be larger."
            )
        stack.pop_all()
    return dataset


def _open(file: OpenFile, driver: str, options: dict[str, Any]) -> DatasetReader:
    # A file of SRTM is placed by its name; no other name says anything.
    stem, suffix = os.path.splitext(file.place.below.rpartition("/")[2])
    tile = _TILE_NAME.match(stem.upper())
    shown = f"{tile[0] if tile else 'raster'}{suffix.lower()}"
    # rasterio keeps its files in context variables, and the thread that closes is another one.
    context = copy_context()
    path = f"{uuid4()}/{shown}"
    container = _Alone(file, shown)
    dataset = context.run(
        rasterio.open, path, driver=driver, sharing=False, opener=container, **options
    )
    plain_close = dataset.close

    def close() -> None:
        del dataset.close
        context.run(plain_close)

    dataset.close = close
    return dataset


class _Alone(FileContainer):  # type: ignore[misc]
    """A folder with one file in it."""

    def __init__(self, file: OpenFile, name: str) -> None:
        self.file = file
        self.name = name

    def _check(self, path: str) -> None:
        if os.path.basename(path) != self.name:
            raise FileNotFoundError(path)

    def open(self, path: str, mode: str = "r", **kwds: Any) -> _Handle:
        self._check(path)
        if "w" in mode or "a" in mode or "+" in mode:
            raise io.UnsupportedOperation("rasters are read only")
        return _Handle(self.file)

    def isfile(self, path: str) -> bool:
        return os.path.basename(path) == self.name

    def isdir(self, path: str) -> bool:
        return False

    def ls(self, path: str) -> list[str]:
        return []

    def mtime(self, path: str) -> int:
        return 0

    def rm(self, path: str) -> None:
        raise io.UnsupportedOperation("rasters are read only")

    def size(self, path: str) -> int:
        self._check(path)
        return self.file.state().size_bytes


class _Handle(io.RawIOBase):
    """A position in an open file; used by one thread at a time."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = self._file.state().size_bytes
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: end}[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            size = max(self._file.state().size_bytes - self._at, 0)
        if self._at < 0 or self._at >= 2**63 - size:
            return b""
        body = os.pread(self._file.descriptor, size, self._at)
        self._at += len(body)
        return body
