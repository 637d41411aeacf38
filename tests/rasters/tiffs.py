"""TIFFs put together byte by byte, as no library would write them."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.support.rasterfiles import write_raster

ASCII, SHORT, LONG, DOUBLE, LONG8 = 2, 3, 4, 12, 16
_FORMS = {SHORT: "H", LONG: "I", DOUBLE: "d", LONG8: "Q"}
_SIZES = {ASCII: 1, SHORT: 2, LONG: 4, DOUBLE: 8, LONG8: 8}
SUB_IFDS, METADATA, GEO_ASCII, GEO_KEYS = 330, 42112, 34737, 34735

Value = int | bytes | Sequence[int] | Sequence[float]
Tags = Mapping[int, Value]
UTM_12N: Tags = {
    33550: (30.0, 30.0, 0.0),
    33922: (0.0, 0.0, 0.0, 400_000.0, 4_500_000.0, 0.0),
    GEO_KEYS: (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32612),
}
"""30 m pixels near Great Salt Lake."""


@dataclass(frozen=True)
class Image:
    """One directory and the one block of pixels that all its blocks share."""

    width: int
    height: int
    block: tuple[int, int] = (0, 0)
    """Columns and rows of a tile; none for a single strip."""
    value: int = 10
    samples: int = 1
    tags: Tags = field(default_factory=dict)
    """More tags, or others."""
    has_pixels: bool = True
    """False to leave a byte in the place of the block."""

    def packed(self) -> bytes:
        """Return the block, deflated."""
        if not self.has_pixels:
            return b"?"
        columns, rows = self.block if self.block[0] else (self.width, self.height)
        return zlib.compress(bytes([self.value]) * (columns * rows * self.samples), 9)

    def all_tags(self, block_at: int, block_size: int) -> dict[int, Value]:
        """Return all tags, given where the block lies."""
        tags: dict[int, Value] = {256: self.width, 257: self.height, 259: 8, 262: 1}
        tags |= {258: (8,) * self.samples, 277: self.samples}
        columns, rows = self.block
        if columns:
            count = math.ceil(self.width / columns) * math.ceil(self.height / rows)
            tags |= {322: columns, 323: rows, 324: [block_at] * count, 325: [block_size] * count}
        else:
            tags |= {278: self.height, 273: block_at, 279: block_size}
        return tags | dict(self.tags)


def write_tiff(
    path: Path, *images: Image, below: Sequence[Image] = (), is_big: bool = False, order: str = "<"
) -> Path:
    """Write a chain of images, and others as SubIFDs of the first."""
    path.write_bytes(tiff(*images, below=below, is_big=is_big, order=order))
    return path


def tiff(
    *images: Image, below: Sequence[Image] = (), is_big: bool = False, order: str = "<"
) -> bytes:
    """Return a chain of images, and others as SubIFDs of the first."""
    word = "Q" if is_big else "I"
    mark = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if is_big else 42)
    body = bytearray(mark + (struct.pack(f"{order}HH", 8, 0) if is_big else b""))
    link = len(body)
    body += bytes(struct.calcsize(word))
    places = [_append(body, image, {}, word, order)[0] for image in below]
    for index, image in enumerate(images):
        more: dict[int, Value] = {SUB_IFDS: places} if places and index == 0 else {}
        at, following = _append(body, image, more, word, order)
        struct.pack_into(order + word, body, link, at)
        link = following
    return bytes(body)


def _append(body: bytearray, image: Image, more: Tags, word: str, order: str) -> tuple[int, int]:
    """Append an image; return where its directory is, and the offset of the next one in it."""
    packed = image.packed()
    tags = image.all_tags(len(body), len(packed)) | dict(more)
    body += packed
    slot = struct.calcsize(word)
    entries = []
    for tag, value in sorted(tags.items()):
        kind, content = _content(value, order)
        count = len(content) // _SIZES[kind]
        if len(content) > slot:
            body += bytes(len(body) % 2)
            at = struct.pack(order + word, len(body))
            body += content
            content = at
        entry = struct.pack(f"{order}HH{word}", tag, kind, count)
        entries.append(entry + content.ljust(slot, b"\0"))
    body += bytes(len(body) % 2)
    at_directory = len(body)
    body += struct.pack(order + ("Q" if word == "Q" else "H"), len(entries)) + b"".join(entries)
    body += bytes(slot)
    return at_directory, len(body) - slot


def _content(value: Value, order: str) -> tuple[int, bytes]:
    """Return a TIFF type that holds a value, and the value in it."""
    if isinstance(value, bytes):
        return ASCII, value
    values = [value] if isinstance(value, int) else list(value)
    kind = LONG
    if any(isinstance(each, float) for each in values):
        kind = DOUBLE
    elif len(values) > 1 and max(values) < 65536:
        kind = SHORT
    return kind, struct.pack(f"{order}{len(values)}{_FORMS[kind]}", *values)


def poisoned(path: Path, metadata: str, **more: object) -> Path:
    """Write 512 x 512 pixels, all 10, whose GDAL_METADATA is a text, and no overviews."""
    return write_tiff(
        path,
        Image(512, 512, (256, 256), tags={**UTM_12N, METADATA: metadata.encode() + b"\0"}),
        **more,  # type: ignore[arg-type]
    )


def decoy(path: Path) -> Path:
    """Write a raster of the size of an overview of 512 x 512 pixels, all 77."""
    return write_raster(path, np.full((1, 256, 256), 77, np.uint8), overviews=())
