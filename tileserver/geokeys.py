"""The citation of a GeoTIFF, checked before GDAL reads a CRS out of it.

Where the GeoKeys name no model of a CRS, GDAL takes what follows "ESRI PE String = " in the
citation for WKT, while it opens the file; WKT may name files for PROJ to open.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from typing import BinaryIO

from tileserver.crs_texts.refusals import RefusedCrs
from tileserver.crs_texts.wkt import rewritten_wkt
from tileserver.errors import UnreadableRaster

_MARKER = b"ESRI PE String = "
_KEY_DIRECTORY, _ASCII_PARAMS = 34735, 34737
_CITATION_OF_PROJECTION = 3073
_MAX_ENTRIES = 4096
_MAX_BYTES = 1_000_000
_SHORT_BYTES = 2
_TAGS = (_KEY_DIRECTORY, _ASCII_PARAMS)


def check_citation(path: str, name: str) -> None:
    """Refuse a local file whose citation has WKT that PROJ may not see.

    What is no TIFF, or a damaged one, is left for GDAL to refuse.

    Args:
        path: where the file is.
        name: what to call it in an error.

    Raises:
        UnreadableRaster: as said, or it is not a regular file.
    """
    try:
        # A FIFO is not waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableRaster(f"{name}: not a readable GeoTIFF.")
            tags = list(_geo_tags(file))
    except OSError as exc:
        raise UnreadableRaster(f"{name}: not a readable GeoTIFF.") from exc
    except struct.error:
        return
    found = dict(tags)
    if len(found) < len(tags):
        raise UnreadableRaster(f"{name}: the GeoTIFF has its GeoKeys twice.")
    if len(found) == len(_TAGS):
        for citation in _citations(found[_KEY_DIRECTORY], found[_ASCII_PARAMS][1]):
            _check(citation, name)


def _check(citation: bytes, name: str) -> None:
    if _MARKER not in citation:
        return
    try:
        if not citation.startswith(_MARKER):
            raise RefusedCrs("does not begin with the WKT that it has")
        rewritten_wkt(citation[len(_MARKER) :].decode("utf-8", "replace"))
    except RefusedCrs as exc:
        raise UnreadableRaster(f"{name}: the GeoTIFF's citation of its CRS {exc}.") from exc


def _citations(keys: tuple[str, bytes], texts: bytes) -> Iterator[bytes]:
    """Yield the citations of a projection, of which there should be one."""
    order, directory = keys
    count = len(directory) // _SHORT_BYTES
    numbers = struct.unpack(f"{order}{count}H", directory[: count * _SHORT_BYTES])
    for place in range(4, count - 3, 4):
        key, _, length, offset = numbers[place : place + 4]
        if key == _CITATION_OF_PROJECTION:
            yield texts[offset : offset + length]


def _geo_tags(file: BinaryIO) -> Iterator[tuple[int, tuple[str, bytes]]]:
    """Yield the tags of GeoKeys in the first directory: number, byte order, bytes."""
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    version = struct.unpack_from(f"{order}H", start, 2)[0] if order else 0
    if order is None or version not in (42, 43):
        return
    is_big = version == 43
    entry = struct.Struct(f"{order}HHQ8s" if is_big else f"{order}HHI4s")
    number, count_format = (f"{order}Q", f"{order}Q") if is_big else (f"{order}I", f"{order}H")
    file.seek(struct.unpack_from(number, start, 8 if is_big else 4)[0])
    (entries,) = struct.unpack(count_format, file.read(struct.calcsize(count_format)))
    table = file.read(min(entries, _MAX_ENTRIES) * entry.size)
    for place in range(0, len(table) - entry.size + 1, entry.size):
        tag, _, count, value = entry.unpack_from(table, place)
        if tag in _TAGS:
            size = min(count * (_SHORT_BYTES if tag == _KEY_DIRECTORY else 1), _MAX_BYTES)
            if size > len(value):
                file.seek(struct.unpack(number, value)[0])
                value = file.read(size)
            yield tag, (order, value[:size])
