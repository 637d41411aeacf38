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
