"""Blocks of tiles: their layout, their size, and their pixels decoded and encoded as tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, check_limits
from tileserver.contract.tiles import Tile, tile_grid, tiles_beside
from tileserver.earthengine.answers import decoded
from tileserver.errors import RequestTooLarge
from tileserver.rendering.encoders import empty, encode_picture
from tileserver.rendering.npy import read_npy, write_records
from tileserver.rendering.npz import read_npz, write_npz
from tileserver.rendering.png_reader import picture_of, read_png


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
    held = [
        each for each in tiles_beside(tile, side) if each == tile or covers(tile_grid(each, size))
    ]
    columns, rows, _ = zip(*held, strict=True)
    first = Tile(min(columns), min(rows), tile.z)
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

    def __init__(
        self, pixels: NDArray[Any] | BandArrays, block: Block, file_format: ImageFileFormat
    ) -> None:
        self.block = block
        self.file_format = file_format
        self._pixels = pixels
        self._places = dict(block.places())

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        if isinstance(self._pixels, BandArrays):
            return self._pixels.values.nbytes + self._pixels.valid.nbytes
        return self._pixels.nbytes

    def encode_tile(self, tile: Tile) -> bytes:
        """Return one of the tiles, encoded without loss unless it is a JPEG; blocks."""
        place = self._places[tile]
        if isinstance(self._pixels, BandArrays):
            return write_npz(_part(self._pixels, place))
        pixels = self._pixels[place]
        if self.file_format.is_picture:
            return encode_picture(self.file_format, picture_of(pixels))
        return write_records(pixels)


def _part(bands: BandArrays, place: tuple[slice, slice]) -> BandArrays:
    values, valid = bands.values[:, *place], bands.valid[:, *place]
    alpha = None if bands.alpha is None else bands.alpha[place]
    return BandArrays(bands.ids, values, valid, alpha=alpha)


def decode_block(body: bytes, block: Block, file_format: ImageFileFormat) -> DecodedBlock:
    """Return the pixels of a block whose tiles are to have a format; blocks.

    Raises:
        UpstreamError: the body is not a whole PNG, NPY or NPZ of the block's size.
    """
    if file_format is ImageFileFormat.NPZ:
        return DecodedBlock(decoded(read_npz, body, block.grid), block, file_format)
    read = read_png if file_format.is_picture else read_npy
    return DecodedBlock(decoded(read, body, block.grid), block, file_format)


def _common(pixel_type: np.dtype[Any]) -> str:
    """Return the type that holds the values of all bands."""
    return np.result_type(*(pixel_type[name] for name in pixel_type.names or ())).name


@lru_cache(maxsize=256)
def transparent_tile(
    file_format: ImageFileFormat, size: int, pixel_type: np.dtype[Any] | None
) -> bytes | None:
    """Return a tile without data: transparent, or zeros in NPY; None if its type is unknown."""
    if file_format.is_picture:
        return empty(file_format, size, size, ("empty",), "uint8")
    if file_format is ImageFileFormat.NPZ and pixel_type is not None:
        ids = pixel_type.names or ()
        return empty(file_format, size, size, ids, _common(pixel_type))
    return None if pixel_type is None else write_records(np.zeros((size, size), pixel_type))
