"""NPY version 1.0, written and read: structured arrays of one field a band.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. The header is always
version 1.0 and C order: GDAL reads no other. NumPy itself asks for `max_header_size` when there
are more than some 400 bands.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest
from tileserver.rendering.damaged import DamagedFile

_MAGIC = b"\x93NUMPY\x01\x00"
_ALIGNMENT = 64
_MAX_HEADER = 65535
_Fields = Sequence[tuple[str, np.dtype[Any]]]


def write_npy(bands: BandArrays) -> bytes:
    """Return an array of shape (height, width), one little-endian field a band; masked is 0.

    Raises:
        InvalidRequest: the band ids do not fit such a header.
    """
    values = bands.masked_to_zero()
    dtypes = [dtype.newbyteorder("<") for dtype in bands.dtypes or (values.dtype,) * len(bands.ids)]
    fields = list(zip(bands.ids, dtypes, strict=True))
    header = _header(fields, values.shape[1:])
    if len(set(dtypes)) == 1:
        # A record of equal fields lies in memory like the last axis of a plain array.
        return header + np.ascontiguousarray(np.moveaxis(values, 0, -1), dtypes[0]).tobytes()
    records = np.empty(values.shape[1:], fields)
    for band_id, each in zip(bands.ids, values, strict=True):
        records[band_id] = each
    return header + records.tobytes()


def write_records(records: NDArray[Any]) -> bytes:
    """Return a structured array of shape (height, width), as `read_npy` returns it."""
    fields = [(name, records.dtype[name]) for name in records.dtype.names or ()]
    return _header(fields, records.shape) + records.tobytes()


def _header(fields: _Fields, shape: tuple[int, ...]) -> bytes:
    descr = [(name, dtype.str) for name, dtype in fields]
    text = repr({"descr": descr, "fortran_order": False, "shape": shape})
    try:
        content = text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise InvalidRequest("NPY has only Latin-1 characters in band ids.") from exc
    preamble = len(_MAGIC) + 2
    padded = -(-(preamble + len(content) + 1) // _ALIGNMENT) * _ALIGNMENT - preamble
    if padded > _MAX_HEADER:
        raise InvalidRequest(
            f"The ids of {len(fields)} bands do not fit an NPY header of {_MAX_HEADER} bytes, "
            "ask for fewer bands."
        )
    return _MAGIC + struct.pack("<H", padded) + content.ljust(padded - 1) + b"\n"


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """The header of an NPY."""

    dtype: np.dtype[Any]
    """Structured, a field a band."""
    height: int
    width: int
    start: int
    """Bytes before the pixels."""


def read_npy_header(body: bytes) -> NpyHeader:
    """Return the header of a whole NPY of fields; its pixels are not read.

    Raises:
        DamagedFile: it is not an NPY of this kind, or has another length than its header says.
    """
    if not body.startswith(_MAGIC):
        raise DamagedFile("no NPY of version 1")
    start = 10 + int.from_bytes(body[8:10], "little")
    try:
        header = ast.literal_eval(body[10:start].decode("latin-1").strip())
        dtype, shape = np.dtype(header["descr"]), header["shape"]
        if dtype.names is None:
            raise DamagedFile("no fields")
        if dtype.hasobject or header["fortran_order"] is not False:
            raise DamagedFile("another order or type")
        if not isinstance(shape, tuple) or len(shape) != 2:
            raise DamagedFile("another number of dimensions")
        found = NpyHeader(dtype, int(shape[0]), int(shape[1]), start)
    except DamagedFile:
        raise
    except (LookupError, ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as exc:
        raise DamagedFile("broken or missing bytes") from exc
    missing = start + found.height * found.width * dtype.itemsize - len(body)
    if missing:
        raise DamagedFile(f"{missing} bytes too few")
    return found


def read_npy(body: bytes, width: int, height: int) -> NDArray[Any]:
    """Return the records of an NPY of a size in pixels, shape (height, width).

    Raises:
        DamagedFile: as `read_npy_header`, or it is of another size.
    """
    header = read_npy_header(body)
    if (header.width, header.height) != (width, height):
        raise DamagedFile(f"an NPY of {header.width}x{header.height}")
    return np.frombuffer(body, header.dtype, offset=header.start).reshape(height, width)
