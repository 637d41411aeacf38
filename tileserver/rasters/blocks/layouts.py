"""Which levels of a GeoTIFF are read without GDAL, and where their blocks lie in the file.

A layout that is not understood whole is left to GDAL: there is no `Layout` for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.geo.positions import Level
from tileserver.rasters.tiff_directories import Directory, ReadAt, Table
from tileserver.rasters.windows import Span

NONE, LZW, JPEG, ADOBE_DEFLATE, DEFLATE, ZSTD = 1, 5, 7, 8, 32946, 50000
"""Values of the tag Compression."""
_COMPRESSIONS = frozenset({NONE, LZW, JPEG, ADOBE_DEFLATE, DEFLATE, ZSTD})
_GREY_TO_PALETTE, _YCBCR = range(4), 6
"""Photometric interpretations whose samples are read as they are stored."""
_KINDS = {1: "u", 2: "i", 3: "f"}
_MAX_BLOCK_BYTES = 16_000_000
"""Larger blocks are left to GDAL, which reads some of them line by line."""
_SLACK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Layout:
    """One image of a GeoTIFF, a level or its mask, in blocks of rows and columns."""

    index: int
    """Its place among the file's directories."""
    width: int
    height: int
    block_width: int
    block_height: int
    is_tiled: bool
    samples: int
    """Samples of a pixel in one block: all, or one if each sample has blocks of its own."""
    planes: int
    """How many samples have blocks of their own; 1 if none has."""
    dtype: np.dtype[Any]
    """Of a decoded sample, in native byte order; bool for masks of one bit."""
    byte_order: str
    compression: int
    predictor: int
    is_ycbcr: bool
    jpeg_tables: bytes
    fill: float
    """Value of blocks that were never written."""
    offsets: Table
    byte_counts: Table

    @property
    def columns(self) -> int:
        """Blocks beside one another."""
        return -(-self.width // self.block_width)

    @property
    def rows(self) -> int:
        """Blocks below one another."""
        return -(-self.height // self.block_height)

    @property
    def row_bytes(self) -> int:
        """Bytes of a decoded row of a block."""
        if self.dtype == np.bool_:
            return -(-self.block_width * self.samples // 8)
        return self.block_width * self.samples * self.dtype.itemsize

    @property
    def block_bytes(self) -> int:
        """Bytes of a decoded block."""
        return self.block_height * self.block_width * self.samples * self.dtype.itemsize

    def blocks(self, span: Span) -> tuple[range, range]:
        """Return the (rows, columns) of the blocks that hold a span."""
        left, top, right, bottom = span
        rows = range(top // self.block_height, (bottom - 1) // self.block_height + 1)
        return rows, range(left // self.block_width, (right - 1) // self.block_width + 1)

    def height_of(self, row: int) -> int:
        """Return the rows stored for the blocks of a row; the last strip is often shorter."""
        rows_left = self.height - row * self.block_height
        return self.block_height if self.is_tiled else min(self.block_height, rows_left)

    def tables(self, plane: int, row: int, column: int) -> Iterator[tuple[int, int]]:
        """Yield the (offset, bytes) of what `find` reads, or more."""
        index = self._index(plane, row, column)
        for table in (self.offsets, self.byte_counts):
            yield table.place(index)

    def find(self, read_at: ReadAt, plane: int, row: int, column: int) -> tuple[int, int]:
        """Return the (offset, bytes) of a block in the file; (0, 0) if it was never written.

        Raises:
            ValueError: the file says nothing of it, or more than can be right.
        """
        index = self._index(plane, row, column)
        offset = self.offsets.read(read_at, index)
        count = self.byte_counts.read(read_at, index)
        if offset == 0 or count == 0:
            return 0, 0
        if count > 2 * self.block_bytes + _SLACK_BYTES:
            raise ValueError(f"block {index} is said to take {count} bytes")
        return offset, count

    def _index(self, plane: int, row: int, column: int) -> int:
        return (plane * self.rows + row) * self.columns + column


@dataclass(frozen=True, slots=True)
class LevelLayout:
    """A level of an image and how its masked pixels are told."""

    image: Layout
    mask: Layout | None = None
    """Nonzero where pixels are valid."""


def layouts_of(
    directories: Sequence[Directory],
    levels: Sequence[Level],
    dtype: np.dtype[Any],
    nodata: float | None,
    has_mask_directory: bool,
) -> tuple[LevelLayout, ...]:
    """Return the layout of each level, or none at all if GDAL must read one of them.

    Args:
        directories: those of the file, the image first.
        levels: as GDAL counts them.
        dtype: of the pixels, as GDAL gives them.
        nodata: stored in pixels without a value, as GDAL gives it.
        has_mask_directory: whether a mask in the file tells which pixels are valid.
    """
    images = [i for i, each in enumerate(directories) if i == 0 or each.is_overview]
    found = []
    for each in levels:
        place = 0 if each.overview is None else each.overview + 1
        if place >= len(images) or _factor(directories, images[place]) != each.factor:
            return ()
        level = _level(directories, images[place], dtype, nodata, has_mask_directory)
        if level is None:
            return ()
        found.append(level)
    return tuple(found)


def _factor(directories: Sequence[Directory], index: int) -> int:
    """Return how many times narrower an overview is than the image, as rasterio counts."""
    return round(directories[0].width / max(directories[index].width, 1))


def _level(
    directories: Sequence[Directory],
    index: int,
    dtype: np.dtype[Any],
    nodata: float | None,
    has_mask_directory: bool,
) -> LevelLayout | None:
    image = _layout(directories[index], index, nodata)
    if image is None or image.dtype != dtype or not _has_nodata(directories[index], dtype, nodata):
        return None
    if directories[index].samples != directories[0].samples:
        return None
    if not has_mask_directory:
        return LevelLayout(image)
    size = image.width, image.height
    masks = [i for i, each in enumerate(directories) if each.is_mask]
    fitting = [i for i in masks if (directories[i].width, directories[i].height) == size]
    mask = _layout(directories[fitting[0]], fitting[0], None) if len(fitting) == 1 else None
    if mask is None or mask.samples * mask.planes != 1 or mask.dtype not in (np.bool_, np.uint8):
        return None
    return LevelLayout(image, mask)


def _layout(directory: Directory, index: int, nodata: float | None) -> Layout | None:
    dtype = _dtype(directory)
    storage = directory.storage
    if dtype is None or storage.offsets is None or storage.byte_counts is None:
        return None
    fill = 0.0 if nodata is None else nodata
    if not _is_read(directory, dtype) or (dtype.kind in "iu" and not _fits(fill, dtype)):
        return None
    layout = Layout(
        index=index,
        width=directory.width,
        height=directory.height,
        block_width=directory.block_width,
        block_height=directory.block_height,
        is_tiled=directory.is_tiled,
        samples=1 if directory.is_planar else directory.samples,
        planes=directory.samples if directory.is_planar else 1,
        dtype=dtype,
        byte_order=storage.byte_order,
        compression=directory.compression,
        predictor=_predictor(directory),
        is_ycbcr=directory.photometric == _YCBCR,
        jpeg_tables=storage.jpeg_tables,
        fill=fill,
        offsets=storage.offsets,
        byte_counts=storage.byte_counts,
    )
    blocks = layout.rows * layout.columns * layout.planes
    is_whole = blocks <= min(layout.offsets.count, layout.byte_counts.count)
    return layout if is_whole and layout.block_bytes <= _MAX_BLOCK_BYTES else None


def _dtype(directory: Directory) -> np.dtype[Any] | None:
    """Return the type of the samples, or None if they are not all of one that NumPy has."""
    bits, kinds = set(directory.storage.bits), set(directory.storage.sample_formats)
    if len(bits) != 1 or len(kinds) != 1:
        return None
    (size,), kind = bits, _KINDS.get(kinds.pop())
    if (size, kind) == (1, "u") and directory.is_mask:
        return np.dtype(np.bool_)
    if kind is None or size not in ((32, 64) if kind == "f" else (8, 16, 32, 64)):
        return None
    return np.dtype(f"{kind}{size // 8}")


def _is_read(directory: Directory, dtype: np.dtype[Any]) -> bool:
    storage = directory.storage
    sides = directory.width, directory.height, directory.block_width, directory.block_height
    if min(sides) < 1 or directory.samples < 1 or storage.fill_order != 1:
        return False
    if directory.compression not in _COMPRESSIONS:
        return False
    if not _is_predicted(_predictor(directory), dtype):
        return False
    if directory.compression == JPEG:
        return _is_jpeg_read(directory, dtype)
    return directory.is_mask or directory.photometric in _GREY_TO_PALETTE


def _predictor(directory: Directory) -> int:
    """Return the predictor that holds: libtiff reads the tag for some compressions alone."""
    is_heeded = directory.compression in (LZW, ADOBE_DEFLATE, DEFLATE, ZSTD)
    return directory.storage.predictor if is_heeded else 1


def _is_predicted(predictor: int, dtype: np.dtype[Any]) -> bool:
    if predictor == 1:
        return True
    return dtype.kind in {2: "iuf", 3: "f"}.get(predictor, "")


def _is_jpeg_read(directory: Directory, dtype: np.dtype[Any]) -> bool:
    if dtype != np.uint8 or directory.storage.predictor != 1 or directory.is_mask:
        return False
    if directory.photometric == _YCBCR:
        return directory.samples == 3 and not directory.is_planar
    in_block = 1 if directory.is_planar else directory.samples
    return directory.photometric in (1, 2) and in_block in (1, 3)


def _has_nodata(directory: Directory, dtype: np.dtype[Any], nodata: float | None) -> bool:
    """Tell whether a directory of its own has the nodata value that holds for the image."""
    try:
        own = float(directory.storage.nodata) if directory.storage.nodata else None
    except ValueError:
        return False
    if own is None or nodata is None:
        return own is nodata
    if dtype.kind == "f":
        # GDAL gives a number as the type of the pixels has it.
        own, nodata = (float(dtype.type(each)) for each in (own, nodata))
    return own == nodata or (math.isnan(own) and math.isnan(nodata))


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    # Beyond 2**53 a number that GDAL gives as a double may be another one in the file.
    is_exact = math.isfinite(value) and value == math.floor(value) and abs(value) <= 2**53
    return is_exact and limits.min <= value <= limits.max
