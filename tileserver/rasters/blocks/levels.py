"""A level of a GeoTIFF read by blocks, from a file that stays the same meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import AssetChanged
from tileserver.rasters.blocks.cache import Block, BlockCache
from tileserver.rasters.blocks.codecs import DamagedBlock, decode, empty_block
from tileserver.rasters.blocks.layouts import Layout, LevelLayout
from tileserver.rasters.files import SeenFile, file_errors, file_state, open_beneath
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.remote.files import RemoteFile
from tileserver.rasters.tiff_directories import ReadAt
from tileserver.rasters.windows import Picks, Span

_EPSILON = float(np.finfo(np.float32).eps)
_WHOLE = (slice(None), slice(None))
_FEW = 9
"""Blocks that are picked from one by one; for more it costs less to put them together first."""


class BlockKey(NamedTuple):
    """Names a block among those of all files."""

    file: object
    """A file in one state, or a remote file of one version."""
    directory: int
    plane: int
    row: int
    column: int


class Window(NamedTuple):
    """Samples of a rectangle of a level, of shape (rows, columns, samples)."""

    left: int
    top: int
    samples: Block

    @property
    def span(self) -> Span:
        """Its columns and rows."""
        height, width, _ = self.samples.shape
        return Span(self.left, self.top, self.left + width, self.top + height)


class BlockLevel:
    """A `LevelReader` over the blocks of a file."""

    def __init__(self, file: FileBlocks, layout: LevelLayout, raster: GeoTiff) -> None:
        """Read a level of an asset."""
        self.width = layout.image.width
        self.height = layout.image.height
        self.block_shape = layout.image.block_height, layout.image.block_width
        self.itemsize = layout.image.dtype.itemsize
        self._file = file
        self._layout = layout
        self._raster = raster
        self._nodata = raster.asset.bands[0].nodata

    def read(
        self,
        indexes: Sequence[int],
        wanted: Picks,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
    ) -> None:
        """Read picks, some of which are inside, all at once."""
        samples, arrays = [index - 1 for index in indexes], list(values)
        if self._raster.alpha_index is not None:
            samples.append(self._raster.alpha_index - 1)
            arrays.append(np.zeros(wanted.inside.shape, values.dtype))
        self._fill(self._layout.image, samples, wanted, arrays)
        shared = self._shared_mask(wanted, arrays[-1])
        for found, is_valid in zip(values, valid, strict=True):
            seen = wanted.inside if shared is None else shared
            if shared is None and self._raster.has_mask:
                assert self._nodata is not None
                seen = wanted.inside & ~is_nodata(found, self._nodata)
            np.logical_or(is_valid, seen, out=is_valid)

    def _shared_mask(self, wanted: Picks, alpha: Block) -> NDArray[np.bool_] | None:
        """Return where pixels are valid in all bands, or None if no mask is shared by them."""
        if self._raster.alpha_index is None and self._layout.mask is None:
            return None
        mask = alpha
        if self._raster.alpha_index is None and self._layout.mask is not None:
            mask = np.zeros(wanted.inside.shape, self._layout.mask.dtype)
            self._fill(self._layout.mask, [0], wanted, [mask])
        seen: NDArray[np.bool_] = wanted.inside & (mask != 0)
        return seen

    def _fill(
        self, layout: Layout, samples: Sequence[int], wanted: Picks, arrays: Sequence[Block]
    ) -> None:
        """Write samples at picks into arrays of shape (height, width), one each."""
        if layout.planes == 1:
            _pick(self._file.windows(layout, 0, wanted.span), samples, wanted, arrays)
            return
        for plane, array in zip(samples, arrays, strict=True):
            _pick(self._file.windows(layout, plane, wanted.span), [0], wanted, [array])


def _pick(
    windows: Sequence[Window], samples: Sequence[int], wanted: Picks, arrays: Sequence[Block]
) -> None:
    """Write samples of windows, all of one width, at the picks that they hold."""
    _, width, depth = windows[0].samples.shape
    index = wanted.rows * (width * depth) + wanted.columns * depth
    for window in windows:
        flat = window.samples.reshape(-1)
        corner = (window.top * width + window.left) * depth
        held = [(wanted, _WHOLE)] if len(windows) == 1 else wanted.within(window.span)
        for part, place in held:
            here = index[place]
            for sample, array in zip(samples, arrays, strict=True):
                _take(flat, here + (sample - corner), part, array[place])


def _take(flat: Block, index: NDArray[np.int64], part: Picks, array: NDArray[Any]) -> None:
    """Write the samples at an index where picks are inside; elsewhere it may be any number."""
    if part.are_all_inside and array.flags.c_contiguous and array.dtype == flat.dtype:
        # With a mode np.take needs no array between.
        flat.take(index, out=array, mode="clip")
    else:
        np.copyto(array, flat.take(index, mode="clip"), where=part.inside)


def is_nodata(values: Block, nodata: float) -> NDArray[np.bool_]:
    """Return where values are nodata, as GDAL compares them: floats need not be quite equal.

    https://github.com/OSGeo/gdal/blob/master/gcore/gdal_priv_templates.hpp, ARE_REAL_EQUAL, which
    takes the precision of float32 for both types.
    """
    exact = values.dtype.type(nodata)
    equal: NDArray[np.bool_] = np.equal(values, exact)
    if values.dtype.kind != "f":
        return equal
    if np.isnan(exact):
        return np.isnan(values)
    with np.errstate(invalid="ignore", over="ignore"):
        slack = values.dtype.type(2 * _EPSILON) * np.abs(values + exact)
        close: NDArray[np.bool_] = np.abs(values - exact) < slack
    return equal | close


def check_current(file: SeenFile | RemoteFile, name: str) -> None:
    """Check that a local file's name still leads to it, unchanged: blocks may outlive it.

    Raises:
        AssetChanged: it does not.
        UnreadableRaster: the system refuses to tell.
    """
    if isinstance(file, SeenFile):
        with file_errors(name):
            if file_state(file.place) != file.state:
                raise AssetChanged(name)


class FileBlocks:
    """Blocks of one file in one state."""

    def __init__(
        self, cache: BlockCache[BlockKey], file: SeenFile | RemoteFile, name: str, deadline: float
    ) -> None:
        """Read a file.

        Args:
            cache: keeps what is decoded.
            file: a local file in the state in which it must be, or a remote one.
            name: what to call it in an error.
            deadline: on time.monotonic().
        """
        self._cache = cache
        self._file = file
        self._name = name
        self._deadline = deadline

    def windows(self, layout: Layout, plane: int, span: Span) -> Sequence[Window]:
        """Return the blocks that hold a span, or one rectangle of the span if they are many.

        Raises:
            DamagedBlock: a block is not as the file's directories say.
            AssetChanged: the file is in another state by now.
            UnreadableRaster: the file cannot be read.
            DeadlineExceeded: it takes too long.
        """
        left, top, right, bottom = span
        height, width = layout.block_height, layout.block_width
        rows = range(top // height, (bottom - 1) // height + 1)
        columns = range(left // width, (right - 1) // width + 1)
        keys = [
            BlockKey(self._file, layout.index, plane, row, column)
            for row, column in product(rows, columns)
        ]
        blocks = self._cache.get(keys, partial(self._load, layout), self._deadline)
        if len(keys) <= _FEW:
            return [Window(key.column * width, key.row * height, blocks[key]) for key in keys]
        pixels = np.empty((bottom - top, right - left, layout.samples), layout.dtype)
        for key in keys:
            _copy(blocks[key], key.row * height - top, key.column * width - left, pixels)
        return [Window(left, top, pixels)]

    def _load(self, layout: Layout, keys: Sequence[BlockKey]) -> Iterator[Callable[[], Block]]:
        bodies = list(self._bodies(layout, keys))
        for key, body in zip(keys, bodies, strict=True):
            rows = layout.height_of(key.row)
            yield partial(decode, layout, body, rows) if body else partial(empty_block, layout)

    def _bodies(self, layout: Layout, keys: Sequence[BlockKey]) -> list[bytes]:
        if isinstance(self._file, RemoteFile):
            places = _places(self._file.read_at, layout, keys)
            return _whole(self._file.read_ranges(places, self._deadline), places)
        with _open(self._file, self._name) as read_at:
            places = _places(read_at, layout, keys)
            return _whole([read_at(offset, size) for offset, size in places], places)


def _places(read_at: ReadAt, layout: Layout, keys: Sequence[BlockKey]) -> list[tuple[int, int]]:
    try:
        return [layout.find(read_at, key.plane, key.row, key.column) for key in keys]
    except ValueError as exc:
        raise DamagedBlock(str(exc)) from exc


def _whole(bodies: list[bytes], places: Sequence[tuple[int, int]]) -> list[bytes]:
    if any(len(body) != size for body, (_, size) in zip(bodies, places, strict=True)):
        raise DamagedBlock("the file ends within a block")
    return bodies


@contextmanager
def _open(seen: SeenFile, name: str) -> Iterator[ReadAt]:
    """Lend a function that reads a file, which is in one state all the while.

    Raises:
        AssetChanged: it is not.
        UnreadableRaster: the system refuses to open or read it.
    """
    with file_errors(name):
        file = open_beneath(seen.place)
        if file is None:
            raise AssetChanged(name)
        with file:
            if not file.is_still(seen.state):
                raise AssetChanged(name)
            # Past what the system counts as an offset there is nothing.
            yield lambda at, size: os.pread(file.descriptor, size, at) if at < 2**63 - size else b""
            if not file.is_still(seen.state):
                raise AssetChanged(name)


def _copy(block: Block, top: int, left: int, pixels: NDArray[Any]) -> None:
    """Copy the part of a block that lies on pixels, given where its corner lies on them."""
    height, width, _ = pixels.shape
    down = slice(max(top, 0), min(top + block.shape[0], height))
    across = slice(max(left, 0), min(left + block.shape[1], width))
    part = block[down.start - top : down.stop - top, across.start - left : across.stop - left]
    pixels[down, across] = part
