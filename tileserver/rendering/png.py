"""A PNG writer for tiles: one filter, ISA-L's deflate, nothing else.

At least seven times as fast as Pillow at level 1, for files a few percent larger. The format is
https://www.w3.org/TR/png-3/. Compression and checksums release the GIL, so other threads go on.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from tileserver.rendering.render import PalettePicture, Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Samples a pixel to PNG's number for grey, grey + alpha, RGB and RGBA."""
_INDEXED = 3
_SUB = 1
_FASTEST = 1
_MOST_COLORS = 256


def write_png(picture: Picture) -> bytes:
    """Return the picture as a PNG: grey or RGB, with alpha only where something shows through."""
    height, width = picture.color.shape[:2]
    alpha = picture.alpha
    if alpha is not None and not alpha.any():
        return transparent_png(width, height)
    if alpha is not None and (alpha == 255).all():
        alpha = None
    samples = _samples(picture.color, alpha)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[samples.shape[2]], 0, 0, 0)
    data = isal_zlib.compress(_filtered(samples), _FASTEST)
    return _png((b"IHDR", header), (b"IDAT", data))


def write_palette_png(picture: PalettePicture) -> bytes:
    """Return the picture as a PNG with a palette if 256 colours are enough, else as `write_png`."""
    used = np.flatnonzero(np.bincount(picture.index.ravel(), minlength=len(picture.colors)))
    if len(used) > _MOST_COLORS:
        return write_png(picture.picture())
    height, width = picture.index.shape
    if used.tolist() == [0] or picture.alpha == 0:
        return transparent_png(width, height)
    places = np.zeros(len(picture.colors), np.uint8)
    places[used] = np.arange(len(used))
    samples = places.take(picture.index)[..., np.newaxis]
    header = struct.pack(">IIBBBBB", width, height, 8, _INDEXED, 0, 0, 0)
    alphas = np.where(used == 0, 0, picture.alpha).astype(np.uint8)
    palette = [(b"PLTE", picture.colors[used].tobytes())]
    if alphas.min() < 255:
        palette.append((b"tRNS", alphas.tobytes()))
    data = isal_zlib.compress(_filtered(samples), _FASTEST)
    return _png((b"IHDR", header), *palette, (b"IDAT", data))


@lru_cache(maxsize=64)
def transparent_png(width: int, height: int) -> bytes:
    """Return a picture of nothing, about 120 bytes for a tile.

    One bit a pixel into a palette of one transparent black: a few bytes more than grey with a
    transparent value, but every decoder knows it.
    """
    header = struct.pack(">IIBBBBB", width, height, 1, _INDEXED, 0, 0, 0)
    row_bytes = 1 + (width + 7) // 8
    data = zlib.compress(bytes(row_bytes * height), 9)
    return _png((b"IHDR", header), (b"PLTE", bytes(3)), (b"tRNS", bytes(1)), (b"IDAT", data))


def _samples(color: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return color and alpha side by side, shape (height, width, 1 to 4)."""
    channels = color if color.ndim == 3 else color[..., np.newaxis]
    if alpha is None:
        return channels
    count = channels.shape[2]
    samples = np.empty((*alpha.shape, count + 1), np.uint8)
    # Channel by channel: one assignment of three at a time takes twice as long.
    for channel in range(count):
        samples[..., channel] = channels[..., channel]
    samples[..., count] = alpha
    return samples


def _filtered(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the rows, each after its filter byte, as differences from the pixel to the left."""
    height, width, count = samples.shape
    rows = samples.reshape(height, width * count)
    filtered = np.empty((height, 1 + width * count), np.uint8)
    filtered[:, 0] = _SUB
    filtered[:, 1 : 1 + count] = rows[:, :count]
    np.subtract(rows[:, count:], rows[:, :-count], out=filtered[:, 1 + count :])
    return filtered


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"".join((SIGNATURE, *(_chunk(*each) for each in chunks), _chunk(b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)))
