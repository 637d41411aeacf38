"""Blocks of TIFFs decoded: from bytes of a file to samples of shape (rows, columns, samples).

https://www.adobe.io/open/standards/TIFF.html and, for predictor 3, Adobe's TIFF Technical Note 3.
The codecs let other threads run meanwhile.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from tileserver.rasters.blocks.layouts import (
    ADOBE_DEFLATE,
    DEFLATE,
    JPEG,
    LZW,
    NONE,
    ZSTD,
    Layout,
)

Bytes = NDArray[np.uint8]
_FLOATING_POINT = 3
_IS_LITTLE = sys.byteorder == "little"


class DamagedBlock(Exception):
    """A block is not as the file's directories say."""


def empty_block(layout: Layout) -> NDArray[Any]:
    """Return a block that was never written; it takes no memory."""
    shape = layout.block_height, layout.block_width, layout.samples
    value = np.array(layout.fill).astype(layout.dtype)
    block: NDArray[Any] = np.broadcast_to(value, shape)
    return block


def decode(layout: Layout, body: bytes, rows: int) -> NDArray[Any]:
    """Return the samples of a block.

    Args:
        layout: what the block is of.
        body: the bytes stored for it.
        rows: how many rows are stored.

    Returns:
        Shape (rows, layout.block_width, layout.samples), C-contiguous.

    Raises:
        DamagedBlock: the bytes are damaged, or fewer than there must be.
    """
    try:
        if layout.compression == JPEG:
            return _jpeg(layout, body, rows)
        return _samples(layout, _decompressed(layout, body, rows * layout.row_bytes), rows)
    except (RuntimeError, ValueError, zlib.error) as exc:
        raise DamagedBlock(f"a block cannot be decoded: {exc}") from exc


def _decompressed(layout: Layout, body: bytes, size: int) -> Bytes:
    """Return so many bytes, in an array of its own unless they are stored uncompressed."""
    if layout.compression == NONE:
        raw = np.frombuffer(body, np.uint8)[:size]
    else:
        raw = _DECOMPRESS[layout.compression](body, out=np.empty(size, np.uint8))
    if raw.size < size:
        raise DamagedBlock(f"a block has {raw.size} of {size} bytes")
    return raw


def _inflate(body: bytes, out: Any) -> Any:
    try:
        return imagecodecs.deflate_decode(body, out=out)
    except RuntimeError:
        # More follows than there must be, as the rows below the image of a whole last strip.
        whole = zlib.decompressobj().decompress(body, out.size)
        return np.frombuffer(bytearray(whole), np.uint8)


_DECOMPRESS: dict[int, Callable[..., Any]] = {
    LZW: imagecodecs.lzw_decode,
    ADOBE_DEFLATE: _inflate,
    DEFLATE: _inflate,
    ZSTD: imagecodecs.zstd_decode,
}
"""Decompress bytes into an array of uint8, and return the part of it that they fill."""


def _samples(layout: Layout, raw: Bytes, rows: int) -> NDArray[Any]:
    """Return the samples that decompressed bytes are, in the same memory where that can be."""
    shape = rows, layout.block_width, layout.samples
    if layout.dtype == np.bool_:
        bits = raw.reshape(rows, -1)
        return np.unpackbits(bits, axis=1, count=layout.block_width).reshape(shape).view(np.bool_)
    if layout.predictor == _FLOATING_POINT:
        return _floating_point(layout, raw, rows)
    order: Any = layout.byte_order
    stored = raw.view(layout.dtype.newbyteorder(order)).reshape(shape)
    native = stored.astype(layout.dtype, copy=False)
    if layout.predictor == 1:
        return native
    if not native.flags.writeable:
        native = native.copy()
    # Differences of floating point numbers are differences of their bits.
    integers = native.view(f"u{layout.dtype.itemsize}")
    imagecodecs.delta_decode(integers, axis=1, out=integers)
    return native


def _floating_point(layout: Layout, raw: Bytes, rows: int) -> NDArray[Any]:
    """Return numbers whose bytes are stored apart: of a row the highest of all, then the next.

    Each byte is the difference from the one of the pixel to the left.
    """
    if not raw.flags.writeable:
        raw = raw.copy()
    differences = raw.reshape(rows, -1, layout.samples)
    imagecodecs.delta_decode(differences, axis=1, out=differences)
    size, in_row = layout.dtype.itemsize, layout.block_width * layout.samples
    planes = raw.reshape(rows, size, in_row)
    numbers = np.empty((rows, in_row, size), np.uint8)
    for place in range(size):
        numbers[:, :, size - 1 - place if _IS_LITTLE else place] = planes[:, place]
    shape = rows, layout.block_width, layout.samples
    return numbers.reshape(rows, -1).view(layout.dtype).reshape(shape)


def _jpeg(layout: Layout, body: bytes, rows: int) -> NDArray[Any]:
    space = "YCBCR" if layout.is_ycbcr else "RGB" if layout.samples == 3 else "GRAYSCALE"
    shape = rows, layout.block_width, layout.samples
    picture: NDArray[Any] = np.empty(shape, np.uint8)
    # Into an array that is there: a header of its own may declare a picture of any size.
    imagecodecs.jpeg8_decode(
        body,
        tables=layout.jpeg_tables or None,
        colorspace=space,
        outcolorspace="GRAYSCALE" if layout.samples == 1 else "RGB",
        out=picture if layout.samples == 3 else picture[:, :, 0],
    )
    return picture
