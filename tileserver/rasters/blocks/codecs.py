"""Blocks of TIFFs decoded: from bytes of a file to samples of shape (rows, columns, samples).

https://www.adobe.io/open/standards/TIFF.html and, for predictor 3, Adobe's TIFF Technical Note 3.
The codecs let other threads run meanwhile.
"""

from __future__ import annotations

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

Bytes = bytes | bytearray
_FLOATING_POINT = 3


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
        size = rows * layout.row_bytes
        raw = _BYTES[layout.compression](body, size)
        if len(raw) < size:
            raise DamagedBlock(f"a block has {len(raw)} of {size} bytes")
        return _samples(layout, memoryview(raw)[:size], rows)
    except (RuntimeError, ValueError, zlib.error) as exc:
        raise DamagedBlock(f"a block cannot be decoded: {exc}") from exc


def _inflate(body: bytes, size: int) -> Bytes:
    try:
        whole: Bytes = imagecodecs.deflate_decode(body, out=size)
        return whole
    except RuntimeError:
        # More follows than there must be, as the rows below the image of a whole last strip.
        return zlib.decompressobj().decompress(body, size)


def _lzw(body: bytes, size: int) -> Bytes:
    decoded: Bytes = imagecodecs.lzw_decode(body, out=size)
    return decoded


def _zstd(body: bytes, size: int) -> Bytes:
    decoded: Bytes = imagecodecs.zstd_decode(body, out=size)
    return decoded


_BYTES: dict[int, Callable[[bytes, int], Bytes]] = {
    NONE: lambda body, _: body,
    LZW: _lzw,
    ADOBE_DEFLATE: _inflate,
    DEFLATE: _inflate,
    ZSTD: _zstd,
}


def _samples(layout: Layout, raw: memoryview, rows: int) -> NDArray[Any]:
    shape = rows, layout.block_width, layout.samples
    if layout.dtype == np.bool_:
        bits = np.frombuffer(raw, np.uint8).reshape(rows, -1)
        return np.unpackbits(bits, axis=1, count=layout.block_width).reshape(shape).view(np.bool_)
    if layout.predictor == _FLOATING_POINT:
        return _floating_point(layout, raw, rows)
    order: Any = layout.byte_order
    stored = np.frombuffer(raw, layout.dtype.newbyteorder(order)).reshape(shape)
    native = stored.astype(layout.dtype, copy=False)
    if layout.predictor == 1:
        return native
    # Differences of floating point numbers are differences of their bits.
    integers = native.view(f"u{layout.dtype.itemsize}")
    summed: NDArray[Any] = imagecodecs.delta_decode(integers, axis=1)
    return summed.view(layout.dtype)


def _floating_point(layout: Layout, raw: memoryview, rows: int) -> NDArray[Any]:
    stored = np.frombuffer(raw, layout.dtype).reshape(rows, layout.block_width, layout.samples)
    decoded: NDArray[Any] = imagecodecs.floatpred_decode(stored, axis=1)
    return np.ascontiguousarray(decoded).astype(layout.dtype, copy=False)


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
