"""Remote files as GDAL sees them: files that rasterio reads by calling Python.

An error cannot pass through GDAL, which may even take a failed read for the end of a file. So it is
kept for the thread, and `remote_errors` raises it once GDAL has returned.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any
from uuid import uuid4

import rasterio
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.io import DatasetReader

from tileserver.errors import TileserverError
from tileserver.rasters.remote.files import RemoteFile
from tileserver.rasters.tiff_directories import Text
from tileserver.rasters.tiff_views import with_texts

_READING_S = 60.0
"""For all that GDAL reads in one go; each range has its own, shorter deadline."""


class _Thread(threading.local):
    error: TileserverError | None = None
    end_s: float | None = None


_THREAD = _Thread()


@contextmanager
def remote_errors() -> Iterator[None]:
    """Raise the error of a remote read in this thread, in place of GDAL's error or none."""
    before, _THREAD.error = _THREAD.error, None
    is_outermost = _THREAD.end_s is None
    if is_outermost:
        _THREAD.end_s = time.monotonic() + _READING_S
    try:
        yield
    except Exception as exc:
        if _THREAD.error is not None:
            raise _THREAD.error from exc
        raise
    else:
        if _THREAD.error is not None:
            raise _THREAD.error
    finally:
        _THREAD.error = before
        if is_outermost:
            _THREAD.end_s = None


def open_remote(file: RemoteFile, texts: Sequence[Text] = (), **options: Any) -> DatasetReader:
    """Open a remote file as it would be with other texts; options are those of `rasterio.open`."""
    # rasterio keeps its files in context variables, and the thread that closes is another one.
    context = copy_context()
    # A random name, as GDAL puts it into messages.
    path = f"{uuid4()}/remote.tif"
    dataset = context.run(rasterio.open, path, opener=_Container(file, texts), **options)
    plain_close = dataset.close

    def close() -> None:
        del dataset.close
        context.run(plain_close)

    dataset.close = close
    if _THREAD.error is not None:
        # GDAL went on after a failed read, which `remote_errors` is about to raise. A dataset that
        # is dropped open fails wherever it is freed.
        dataset.close()
    return dataset


class _Container(MultiByteRangeResourceContainer):  # type: ignore[misc]
    """A folder with one file in it."""

    def __init__(self, file: RemoteFile, texts: Sequence[Text] = ()) -> None:
        self.file = file
        self.texts = texts

    def open(self, path: str, mode: str = "r", **kwds: Any) -> _Handle:
        return _Handle(self.file, self.texts)

    def isfile(self, path: str) -> bool:
        return True

    def isdir(self, path: str) -> bool:
        return False

    def ls(self, path: str) -> list[str]:
        return []

    def mtime(self, path: str) -> int:
        return 0

    def rm(self, path: str) -> None:
        raise io.UnsupportedOperation("remote files are read only")

    def size(self, path: str) -> int:
        return self.file.size


class _Handle(io.RawIOBase):
    """A remote file with a position; used by one thread at a time."""

    def __init__(self, file: RemoteFile, texts: Sequence[Text] = ()) -> None:
        self.file = file
        self.texts = texts
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.file.size}[whence]
        self._at = begin + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = max(self.file.size - self._at, 0) if size < 0 else size
        body = self._ranges([(self._at, size)])[0]
        self._at += len(body)
        return body

    def get_byte_ranges(self, offsets: list[int], sizes: list[int]) -> list[bytes]:
        """Return several ranges, padded with zeros to the sizes that GDAL expects."""
        wanted = list(zip(offsets, sizes, strict=True))
        found = self._ranges(wanted)
        return [body.ljust(size, b"\0") for body, size in zip(found, sizes, strict=True)]

    def _ranges(self, wanted: list[tuple[int, int]]) -> list[bytes]:
        found = _fetched(self.file, wanted)
        if not self.texts:
            return found
        return [
            with_texts(body, at, self.texts) for body, (at, _) in zip(found, wanted, strict=True)
        ]


def _fetched(file: RemoteFile, wanted: list[tuple[int, int]]) -> list[bytes]:
    if _THREAD.error is None:
        end_s = time.monotonic() + _READING_S if _THREAD.end_s is None else _THREAD.end_s
        try:
            return file.read_ranges(wanted, end_s)
        except TileserverError as exc:
            _THREAD.error = exc
    return [b""] * len(wanted)
