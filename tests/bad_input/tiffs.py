"""GeoTIFFs that no library would write: a header that promises what is not there."""

from __future__ import annotations

import struct
from pathlib import Path

_LONG, _DOUBLE, _SHORT = 4, 12, 3
_GEO_KEYS = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)
_WEST, _NORTH, _DEGREES = -112.0, 41.0, 0.0001


def write_header(path: Path, width: int, height: int, **tags: int) -> None:
    """Write the header of a GeoTIFF in EPSG:4326 that declares a size, and no pixels.

    Args:
        path: where to.
        width: columns it declares.
        height: rows it declares.
        tags: more tags, as `t` and the number, or others than `_declared` has.
    """
    numbers = _declared(width, height) | {int(name[1:]): tag for name, tag in tags.items()}
    count = len(numbers) + 3
    data_at = 8 + 2 + 12 * count + 4
    scale = struct.pack("<3d", _DEGREES, _DEGREES, 0)
    tie = struct.pack("<6d", 0, 0, 0, _WEST, _NORTH, 0)
    entries = [(tag, _LONG, 1, value) for tag, value in numbers.items()]
    entries += [
        (33550, _DOUBLE, 3, data_at),
        (33922, _DOUBLE, 6, data_at + len(scale)),
        (34735, _SHORT, len(_GEO_KEYS), data_at + len(scale) + len(tie)),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    keys = struct.pack(f"<{len(_GEO_KEYS)}H", *_GEO_KEYS)
    head = b"II*\0" + struct.pack("<IH", 8, count)
    path.write_bytes(head + directory + bytes(4) + scale + tie + keys)


def _declared(width: int, height: int) -> dict[int, int]:
    """Return width, height, 8 bits, DEFLATE, black is zero, and one strip of all of it."""
    return {
        256: width,
        257: height,
        258: 8,
        259: 8,
        262: 1,
        273: 8,
        277: 1,
        278: height,
        279: 100,
    }


def write_citation(path: Path, citation: str, order: str, is_big: bool) -> None:
    """Write a GeoTIFF of 2 x 2 bytes whose CRS is told by nothing but a citation.

    Args:
        path: where to.
        citation: of the projection; GDAL reads WKT out of it, as the model is user-defined.
        order: "<" for little-endian, ">" for big-endian.
        is_big: BigTIFF.
    """
    text = citation.encode() + b"\0"
    keys = (1, 1, 0, 3, 1024, 0, 1, 32767, 1025, 0, 1, 1, 3073, 34737, len(text), 0)
    blobs = {
        273: (_LONG, 1, bytes((1, 2, 3, 4))),
        33550: (_DOUBLE, 3, struct.pack(f"{order}3d", _DEGREES, _DEGREES, 0)),
        33922: (_DOUBLE, 6, struct.pack(f"{order}6d", 0, 0, 0, _WEST, _NORTH, 0)),
        34735: (_SHORT, len(keys), struct.pack(f"{order}{len(keys)}H", *keys)),
        34737: (2, len(text), text),
    }
    head = 16 if is_big else 8
    data, entries = b"", {}
    for tag, (kind, count, blob) in blobs.items():
        entries[tag] = (kind, count, head + len(data))
        data += blob + bytes(-len(blob) % 8)
    numbers = {256: 2, 257: 2, 258: 8, 259: 1, 262: 1, 277: 1, 278: 2, 279: 4}
    entries |= {tag: (_LONG, 1, number) for tag, number in numbers.items()}
    offset, entry = ("Q", "HHQQ") if is_big else ("I", "HHII")
    start = struct.pack(
        f"{order}HHH" if is_big else f"{order}H", *((43, 8, 0) if is_big else (42,))
    )
    start = (b"II" if order == "<" else b"MM") + start
    directory = struct.pack(f"{order}{'Q' if is_big else 'H'}", len(entries))
    for tag, (kind, count, number) in sorted(entries.items()):
        packed = struct.pack(f"{order}{entry}", tag, kind, count, number)
        if kind == _LONG and is_big:
            packed = packed[:12] + struct.pack(f"{order}I", number) + bytes(4)
        directory += packed
    end = bytes(8 if is_big else 4)
    start += struct.pack(f"{order}{offset}", head + len(data))
    path.write_bytes(start + data + directory + end)
