"""The file of a pyramid: a BigTIFF whose directories come first, filled tile by tile.

The image is the level of half the size, its overviews are the others. All directories are written
first, with tables of tiles that say that none was written; then each tile is appended and its
place put into the table. So after a kill the file tells itself which tiles are missing.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import AffineTransform
from tileserver.geo.positions import Level
from tileserver.rasters.blocks.codecs import decode, empty_block
from tileserver.rasters.blocks.layouts import Layout, LevelLayout, layouts_of
from tileserver.rasters.tiff_directories import Directory, ReadAt, read_directories

TILE = 256
_MOST_IN_ONE_TILE = 4
"""Samples of a pixel that share tiles; of more each has tiles of its own, as few are shown."""
_ZLIB_LEVEL = 4
_TOP_SIDE = 256
_SHORT, _LONG, _DOUBLE, _LONG8, _ASCII = 3, 4, 12, 16, 2
_FORMS = {_SHORT: "H", _LONG: "I", _DOUBLE: "d", _LONG8: "Q", _ASCII: "B"}
_KINDS = {"u": 1, "i": 2, "f": 3}
_HEAD_BYTES = 16

Samples = NDArray[Any]
"""Of a level, of shape (rows, columns, samples)."""
Entry = tuple[int, int, Sequence[Any]]
"""Tag, type and values."""


@dataclass(frozen=True)
class Plan:
    """The raster and the levels of a pyramid."""

    width: int
    """Of the image itself."""
    height: int
    samples: int
    """Bands, those of opacity included."""
    dtype: np.dtype[Any]
    nodata: float | None
    alpha_index: int | None
    """Of the band of opacity, from 1."""
    has_mask: bool
    """Whether a mask tells which pixels are valid, in all bands."""
    transform: AffineTransform
    """Of the image itself."""

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Return (width, height) of the levels, the half size first."""
        found, width, height = [], self.width, self.height
        while max(width, height) > _TOP_SIDE:
            width, height = (width + 1) // 2, (height + 1) // 2
            found.append((width, height))
        return found

    @property
    def planes(self) -> int:
        """How many samples have tiles of their own; 1 if they share them."""
        return self.samples if self.samples > _MOST_IN_ONE_TILE else 1

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels, as a raster counts them."""
        numbers = range(len(self.sizes))
        return tuple(Level(i - 1 if i else None, 2 ** (i + 1), is_beside=True) for i in numbers)

    def fits(self, directories: Sequence[Directory]) -> bool:
        """Tell whether the directories of a file are those of this pyramid."""
        images = [each for each in directories if not each.is_mask]
        same_sizes = [(each.width, each.height) for each in images] == self.sizes
        masks = len(directories) - len(images)
        return same_sizes and masks == (len(images) if self.has_mask else 0)

    def layouts(self, directories: Sequence[Directory]) -> tuple[LevelLayout, ...]:
        """Return how the levels are read; nothing if the file is not of this pyramid."""
        if not self.fits(directories):
            return ()
        width = self.sizes[0][0]
        numbers = range(len(self.sizes))
        own = [Level(i - 1 if i else None, round(width / self.sizes[i][0])) for i in numbers]
        return layouts_of(directories, own, self.dtype, self.nodata, self.has_mask)


def head(plan: Plan) -> bytes:
    """Return the beginning of a pyramid's file: all directories, and tables without tiles."""
    bodies = [_image(plan, level) for level in range(len(plan.sizes))]
    if plan.has_mask:
        bodies += [_mask(plan, level) for level in range(len(plan.sizes))]
    out = struct.pack("<2sHHHQ", b"II", 43, 8, 0, _HEAD_BYTES)
    for number, entries in enumerate(bodies):
        out += _directory(entries, len(out), is_last=number == len(bodies) - 1)
    return out


def _image(plan: Plan, level: int) -> list[Entry]:
    width, height = plan.sizes[level]
    size, others = plan.dtype.itemsize, plan.samples - 1
    extra = [0] * others
    if plan.alpha_index is not None and others:
        extra[plan.alpha_index - 2] = 2
    entries = _common(width, height, plan.planes, is_reduced=level > 0, is_mask=False)
    entries += [
        (258, _SHORT, [size * 8] * plan.samples),
        (262, _SHORT, [1]),
        (277, _SHORT, [plan.samples]),
        (284, _SHORT, [1 if plan.planes == 1 else 2]),
        (317, _SHORT, [2]),
        (339, _SHORT, [_KINDS[plan.dtype.kind]] * plan.samples),
        (34264, _DOUBLE, _matrix(plan, width, height)),
    ]
    if others:
        entries.append((338, _SHORT, extra))
    if plan.nodata is not None:
        entries.append((42113, _ASCII, f"{_number(plan)}\0".encode()))
    return entries


def _number(plan: Plan) -> str:
    assert plan.nodata is not None, "asked for a plan that has one only"
    return repr(float(plan.nodata)) if plan.dtype.kind == "f" else str(int(plan.nodata))


def _matrix(plan: Plan, width: int, height: int) -> list[float]:
    """Return the affine transform of a level; rasterio warns of files without any."""
    t, x, y = plan.transform, plan.width / width, plan.height / height
    first = [t.scale_x * x, t.shear_x * y, 0.0, t.translate_x]
    second = [t.shear_y * x, t.scale_y * y, 0.0, t.translate_y]
    return [*first, *second, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def _mask(plan: Plan, level: int) -> list[Entry]:
    entries = _common(*plan.sizes[level], 1, is_reduced=level > 0, is_mask=True)
    return [*entries, (258, _SHORT, [1]), (262, _SHORT, [4]), (277, _SHORT, [1])]


def _common(width: int, height: int, planes: int, is_reduced: bool, is_mask: bool) -> list[Entry]:
    tiles = -(-width // TILE) * -(-height // TILE) * planes
    return [
        (254, _LONG, [is_reduced + 4 * is_mask]),
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (259, _SHORT, [8]),
        (322, _LONG, [TILE]),
        (323, _LONG, [TILE]),
        (324, _LONG8, [0] * tiles),
        (325, _LONG, [0] * tiles),
    ]


def _directory(entries: Sequence[Entry], at: int, is_last: bool) -> bytes:
    """Return a directory that lies at an offset, its values after it."""
    ordered = sorted(entries)
    after = at + 8 + 20 * len(ordered) + 8
    body, values = struct.pack("<Q", len(ordered)), b""
    for tag, kind, numbers in ordered:
        packed = struct.pack(f"<{len(numbers)}{_FORMS[kind]}", *numbers)
        place = packed.ljust(8, b"\0")
        if len(packed) > 8:
            place = struct.pack("<Q", after + len(values))
            values += packed.ljust(-(-len(packed) // 8) * 8, b"\0")
        body += struct.pack("<HHQ", tag, kind, len(numbers)) + place
    following = 0 if is_last else after + len(values)
    return body + struct.pack("<Q", following) + values


class PyramidFile:
    """The file of a pyramid that is being filled."""

    def __init__(self, path: str, plan: Plan) -> None:
        """Open a file, anew if it is not of this plan.

        Raises:
            OSError: it cannot be written.
        """
        self.plan = plan
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            begin = head(plan)
            if os.pread(self._descriptor, 256, 0) != begin[:256] or not self._take_over(begin):
                os.ftruncate(self._descriptor, 0)
                self._write(begin, 0)
                self.layouts = plan.layouts(self._directories())
            assert self.layouts, "a file that was just made is of its plan"
            self._end = os.fstat(self._descriptor).st_size
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def size_bytes(self) -> int:
        """Bytes that were written."""
        return self._end

    def _take_over(self, begin: bytes) -> bool:
        try:
            self.layouts = self.plan.layouts(self._directories())
        except Exception:  # a damaged file is begun again
            return False
        return bool(self.layouts) and os.fstat(self._descriptor).st_size >= len(begin)

    def _directories(self) -> tuple[Directory, ...]:
        return read_directories(self._read_at, "a pyramid")

    def _read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def has(self, level: int, row: int, column: int) -> bool:
        """Tell whether all tiles of a place were written."""
        return all(
            layout.find(self._read_at, *at)[0] for layout, at in self._at(level, row, column)
        )

    def _at(
        self, level: int, row: int, column: int
    ) -> Iterator[tuple[Layout, tuple[int, int, int]]]:
        layout = self.layouts[level]
        for plane in range(layout.image.planes):
            yield layout.image, (plane, row, column)
        if layout.mask is not None:
            yield layout.mask, (0, row, column)

    def read(self, level: int, row: int, column: int) -> tuple[Samples, NDArray[np.bool_] | None]:
        """Return the samples of a tile and its mask, if there are masks."""
        blocks = [self._block(layout, at) for layout, at in self._at(level, row, column)]
        mask = blocks.pop()[:, :, 0] if self.plan.has_mask else None
        return np.concatenate(blocks, axis=2), mask

    def _block(self, layout: Layout, at: tuple[int, int, int]) -> Samples:
        offset, size = layout.find(self._read_at, *at)
        body = self._read_at(offset, size) if offset else b""
        return decode(layout, body, TILE) if body else empty_block(layout)

    def write(
        self, level: int, row: int, column: int, samples: Samples, mask: NDArray[np.bool_] | None
    ) -> None:
        """Write a tile; at the right and lower edge it may be smaller than tiles are."""
        height, width, _ = samples.shape
        edge = (0, TILE - height), (0, TILE - width)
        whole = np.pad(samples, (*edge, (0, 0)), mode="edge")
        planes = [whole] if self.plan.planes == 1 else np.split(whole, self.plan.samples, axis=2)
        bodies = [_compressed(plane) for plane in planes]
        if mask is not None:
            bodies.append(zlib.compress(np.packbits(np.pad(mask, edge), axis=1).tobytes()))
        for (layout, at), body in zip(self._at(level, row, column), bodies, strict=True):
            self._append(layout, at, body)

    def _append(self, layout: Layout, at: tuple[int, int, int], body: bytes) -> None:
        offset, self._end = self._end, self._end + len(body)
        self._write(body, offset)
        plane, row, column = at
        index = (plane * layout.rows + row) * layout.columns + column
        for table, value in ((layout.byte_counts, len(body)), (layout.offsets, offset)):
            size = struct.calcsize(table.form)
            self._write(struct.pack(table.form, value), table.offset + index * size)

    def _write(self, body: bytes, offset: int) -> None:
        view = memoryview(body)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def sync(self) -> None:
        """Flush a file to the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _compressed(tile: Samples) -> bytes:
    """Return a tile as differences of each row's neighbours, of their bits, deflated."""
    order = tile.dtype.newbyteorder("<")
    bits = np.ascontiguousarray(tile, order).view(f"<u{tile.dtype.itemsize}").copy()
    bits[:, 1:] -= bits[:, :-1].copy()
    return zlib.compress(bits.tobytes(), _ZLIB_LEVEL)


def share_done(read_at: ReadAt) -> float:
    """Return which share of its tiles a pyramid's file has, from 0 to 1.

    Raises:
        UnreadableRaster: it is none.
        OSError: it cannot be read.
    """
    done = total = 0
    for each in read_directories(read_at, "a pyramid"):
        table = each.storage.offsets
        if table is not None:
            content = read_at(table.offset, table.count * struct.calcsize(table.form))
            offsets = np.frombuffer(content, table.form)
            done, total = done + int(np.count_nonzero(offsets)), total + table.count
    return done / total if total else 1.0
