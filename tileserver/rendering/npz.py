"""NPZ of values and their masks, written and read: what a browser needs to draw a tile itself.

An NPZ is a ZIP of NPY files, each deflated by itself: NumPy reads it in a line, and a browser
with `DecompressionStream` (https://numpy.org/doc/stable/reference/generated/numpy.savez.html):

    bands.npy   the band ids, shape (bands,)
    values.npy  shape (bands, height, width), little-endian; zero where nothing is valid
    valid.npy   the same shape, true where there is data
    alpha.npy   shape (height, width), 255 is opaque; only if some pixel is partly transparent

Every member's size stands in front of it, and dates are constant: equal pixels are equal bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.lib import format as npy
from numpy.typing import NDArray

from tileserver.contract.pixels import MAX_BYTES, BandArrays
from tileserver.rendering.damaged_file import DamagedFile

_FASTEST = 1
_RAW_DEFLATE = -15
_DEFLATED = 8
_VERSION = 20
_FIRST_DAY = 0x21
"""1980-01-01, where the dates of ZIP begin."""
_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_MAX_MEMBER_BYTES = MAX_BYTES + 65536


def write_npz(bands: BandArrays) -> bytes:
    """Return bands with their masks as NPZ."""
    members = {
        "bands": np.array(bands.ids, np.str_),
        "values": bands.masked_to_zero(),
        "valid": bands.valid,
    }
    if bands.alpha is not None:
        members["alpha"] = bands.alpha
    return _zipped([(f"{name}.npy".encode(), _npy(array)) for name, array in members.items()])


def _npy(array: NDArray[Any]) -> bytes:
    body = io.BytesIO()
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    npy.write_array(body, np.ascontiguousarray(little), version=(1, 0), allow_pickle=False)
    return body.getvalue()


def _zipped(members: list[tuple[bytes, bytes]]) -> bytes:
    """Return a ZIP; unlike `zipfile` it deflates with ISA-L, in a fraction of the time."""
    parts: list[bytes] = []
    directory: list[bytes] = []
    start = 0
    for name, data in members:
        deflated = isal_zlib.compress(data, _FASTEST, _RAW_DEFLATE)
        checksum, sizes = isal_zlib.crc32(data), (len(deflated), len(data))
        facts = struct.pack("<HHHHH", _VERSION, 0, _DEFLATED, 0, _FIRST_DAY)
        facts += struct.pack("<IIIHH", checksum, *sizes, len(name), 0)
        parts += _LOCAL, facts, name, deflated
        more = struct.pack("<HHHII", 0, 0, 0, 0, start)
        directory += _CENTRAL, struct.pack("<H", _VERSION), facts, more, name
        start += len(_LOCAL) + len(facts) + len(name) + len(deflated)
    listed = b"".join(directory)
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(listed), start, 0)
    return b"".join((*parts, listed, _END, end))


def read_npz(body: bytes, width: int, height: int) -> BandArrays:
    """Return the bands of an NPZ of a size in pixels, as `write_npz` has them.

    Raises:
        DamagedFile: it is not such an NPZ, or of another size.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            found = {each.filename: _array(archive, each) for each in archive.infolist()[:4]}
        ids = tuple(found["bands.npy"].tolist())
        values, valid = found["values.npy"], found["valid.npy"]
        alpha = found.get("alpha.npy")
    except DamagedFile:
        raise
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error) as exc:
        raise DamagedFile("broken or missing bytes") from exc
    shape = len(ids), height, width
    shapes = values.shape, valid.shape, shape[1:] if alpha is None else alpha.shape
    if shapes != (shape, shape, shape[1:]) or valid.dtype != np.bool_:
        raise DamagedFile(f"an NPZ of {shapes[0]} pixels")
    return BandArrays(ids, values, valid, alpha=alpha)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.file_size > _MAX_MEMBER_BYTES:
        raise DamagedFile("an NPZ that is too large")
    found: NDArray[Any] = npy.read_array(io.BytesIO(archive.read(member)), allow_pickle=False)
    return found
