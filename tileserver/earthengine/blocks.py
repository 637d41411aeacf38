"""Blocks of tiles: their layout, their size, and their pixels decoded and encoded as tiles."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tileserver.contract.pixels import ImageFileFormat, PixelGrid, check_limits
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.errors import RequestTooLarge, UpstreamError
from tileserver.rendering.encoders import empty, write_jpeg, write_webp
from tileserver.rendering.png import write_png
from tileserver.rendering.png_reader import read_plain_png
from tileserver.rendering.render import Picture

_MAX_NPY_HEADER = 1 << 16
_BROKEN_PNG = (OSError, SyntaxError, ValueError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of tiles of one zoom."""

    first: Tile
    """The north-western one."""
    columns: int
    rows: int
    size: int
    """Pixels on one side of a tile."""

    @property
    def grid(self) -> PixelGrid:
        """The pixels of all its tiles."""
        corner = tile_grid(self.first, self.size)
        return replace(corner, width=self.columns * self.size, height=self.rows * self.size)

    @property
    def is_one_tile(self) -> bool:
        """True for a block of a single tile, which needs no decoding."""
        return self.columns == self.rows == 1

    def places(self) -> Iterator[tuple[Tile, tuple[slice, slice]]]:
        """Yield each tile and its (rows, columns) in the arrays of the block."""
        x, y, z = self.first
        for row in range(self.rows):
            down = slice(row * self.size, (row + 1) * self.size)
            for column in range(self.columns):
                across = slice(column * self.size, (column + 1) * self.size)
                yield Tile(x + column, y + row, z), (down, across)


def fitting(side: int, size: int, sample_bytes: tuple[int, ...]) -> int:
    """Return the side of a block, halved until it is within the limits of getPixels.

    >>> fitting(8, 256, (2, 2, 2)), fitting(8, 256, (8, 8, 8)), fitting(4, 512, (4, 4, 4))
    (8, 4, 2)
    """
    while side > 1:
        try:
            check_limits(side * size, side * size, sample_bytes)
        except RequestTooLarge:
            side //= 2
        else:
            break
    return side


def block_of(tile: Tile, size: int, side: int, covers: Callable[[PixelGrid], bool]) -> Block:
    """Return the block of a tile: the smallest rectangle around its covered tiles."""
    x, y, z = tile
    if side == 1:
        return Block(tile, 1, 1, size)
    left, top, end = x - x % side, y - y % side, 2**z
    held = [
        (column, row)
        for row in range(top, min(top + side, end))
        for column in range(left, min(left + side, end))
        if (column, row) == (x, y) or covers(tile_grid(Tile(column, row, z), size))
    ]
    columns, rows = zip(*held, strict=True)
    first = Tile(min(columns), min(rows), z)
    return Block(first, max(columns) - first.x + 1, max(rows) - first.y + 1, size)


def smaller(
    side: int, block: Block, tile: Tile, covers: Callable[[PixelGrid], bool]
) -> tuple[int, Block]:
    """Return the next smaller block around a tile, and its side; one tile is the last."""
    found = block
    while found == block and side > 1:
        side //= 2
        found = block_of(tile, block.size, side, covers)
    return side, found


class DecodedBlock:
    """The pixels of a block, from which its tiles are encoded."""

    def __init__(self, pixels: NDArray[Any], block: Block, file_format: ImageFileFormat) -> None:
        self.block = block
        self.file_format = file_format
        self._pixels = pixels
        self._places = dict(block.places())

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return self._pixels.nbytes

    def encode_tile(self, tile: Tile) -> bytes:
        """Return one of the tiles, encoded without loss unless it is a JPEG; blocks."""
        pixels = self._pixels[self._places[tile]]
        is_raw = self.file_format is ImageFileFormat.NPY
        return _npy(pixels) if is_raw else _picture(self.file_format, pixels)


def decode_block(body: bytes, block: Block, file_format: ImageFileFormat) -> DecodedBlock:
    """Return the pixels of a block whose tiles are to have a format; blocks.

    Raises:
        UpstreamError: the body is not a whole PNG or NPY of the block's size.
    """
    read = read_npy if file_format is ImageFileFormat.NPY else read_png
    return DecodedBlock(read(body, block.grid), block, file_format)


def read_png(body: bytes, grid: PixelGrid) -> NDArray[np.uint8]:
    """Return the samples of a PNG of a grid's size, shape (height, width, 1 to 4).

    Raises:
        UpstreamError: it is no PNG, is damaged, or is of another size or depth.
    """
    plain = read_plain_png(body, grid.width, grid.height)
    if plain is not None:
        return plain
    try:
        with Image.open(io.BytesIO(body), formats=("PNG",)) as image:
            # Before a pixel is decoded, so that no bomb goes off.
            if image.size != (grid.width, grid.height):
                raise _unexpected(grid, f"a PNG of {image.width}x{image.height}")
            samples: NDArray[np.uint8] = np.asarray(_eight_bits(image))
    except (*_BROKEN_PNG, Image.DecompressionBombError) as exc:
        raise _unexpected(grid, "no whole PNG") from exc
    return samples if samples.ndim == 3 else samples[..., np.newaxis]


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a picture with its palette and transparent colour spelled out."""
    if "transparency" in image.info:
        return image.convert("RGBA")
    match image.mode:
        case "L" | "LA" | "RGB" | "RGBA":
            return image
        case "1":
            return image.convert("L")
        case "P":
            return image.convert("RGB")
    raise ValueError(f"a picture of mode {image.mode}")


def _picture(file_format: ImageFileFormat, samples: NDArray[np.uint8]) -> bytes:
    count = samples.shape[2]
    alpha = samples[..., -1] if count in (2, 4) else None
    color = samples[..., :3] if count >= 3 else samples[..., 0]
    picture = Picture(color, alpha)
    match file_format:
        case ImageFileFormat.WEBP:
            return write_webp(_opaque(picture))
        case ImageFileFormat.JPEG:
            return write_jpeg(picture)
        case _:
            return write_png(picture)


def _opaque(picture: Picture) -> Picture:
    """Return a picture without the alpha it does not need."""
    alpha = picture.alpha
    return Picture(picture.color, None) if alpha is not None and alpha.min() == 255 else picture


def read_npy(body: bytes, grid: PixelGrid) -> NDArray[Any]:
    """Return the records of an NPY of a grid's size, shape (height, width).

    Raises:
        UpstreamError: it is no NPY of version 1.0, or is of another size.
    """
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(
            file, max_header_size=_MAX_NPY_HEADER
        )
        if version != (1, 0) or is_fortran or dtype.hasobject:
            raise ValueError(f"NPY version {version}, {dtype}")
        records: NDArray[Any] = np.frombuffer(body, dtype, offset=file.tell()).reshape(shape)
    except (ValueError, SyntaxError, EOFError) as exc:
        raise _unexpected(grid, "no whole NPY") from exc
    if shape != (grid.height, grid.width):
        raise _unexpected(grid, f"an NPY of shape {shape}")
    return records


def _npy(records: NDArray[Any]) -> bytes:
    body = io.BytesIO()
    np.lib.format.write_array(body, np.ascontiguousarray(records), (1, 0), allow_pickle=False)
    return body.getvalue()


def _unexpected(grid: PixelGrid, came: str) -> UpstreamError:
    return UpstreamError(
        f"expected {grid.width}x{grid.height} pixels from Earth Engine, got {came}"
    )


@lru_cache(maxsize=256)
def transparent_tile(
    file_format: ImageFileFormat, size: int, pixel_type: np.dtype[Any] | None
) -> bytes | None:
    """Return a tile without data: transparent, or zeros in NPY; None if its type is unknown."""
    if file_format.is_picture:
        return empty(file_format, size, size, ("empty",), "uint8")
    return None if pixel_type is None else _npy(np.zeros((size, size), pixel_type))
