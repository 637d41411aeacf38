"""A level of a GeoTIFF read by blocks, from a file that stays the same meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from tileserver.rasters.masking import is_nodata, opacity
from tileserver.rasters.remote.files import RemoteFile
from tileserver.rasters.tiff_directories import ReadAt
from tileserver.rasters.windows import MAX_WINDOW_BYTES, Picks, Span

_WHOLE = (slice(None), slice(None))
_FEW = 9
"""Blocks that are picked from one by one; for more it costs less to put them together first."""
_AT_ONCE_BYTES = 2 * MAX_WINDOW_BYTES
"""Of decoded blocks that a thread fetches at once and holds, unless those of one plane are more."""

Part = tuple[Layout, int]
"""An image, and a plane of it that has blocks of its own."""


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
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        """Read picks, some of which are inside, all at once."""
        self._file.expect(self._parts(indexes), wanted.span)
        samples, arrays = [index - 1 for index in indexes], list(values)
        if self._raster.alpha_index is not None:
            samples.append(self._raster.alpha_index - 1)
            arrays.append(np.zeros(wanted.inside.shape, values.dtype))
        self._fill(self._layout.image, samples, wanted, arrays)
        shared = self._shared_mask(wanted, arrays[-1])
        for found, is_valid in zip(values, valid, strict=True):
            seen = wanted.inside if shared is None else shared
            if self._nodata is not None and self._layout.mask is None:
                seen = seen & ~is_nodata(found, self._nodata)
            np.logical_or(is_valid, seen, out=is_valid)
        if alpha is not None and self._raster.alpha_index is not None:
            np.copyto(alpha, opacity(arrays[-1]), where=wanted.inside)

    def _parts(self, indexes: Sequence[int]) -> list[Part]:
        """Return the parts of the level that hold bands and their mask, in the order of reading."""
        image, mask, alpha = self._layout.image, self._layout.mask, self._raster.alpha_index
        bands = indexes if alpha is None else [*indexes, alpha]
        planes = dict.fromkeys(index - 1 if image.planes > 1 else 0 for index in bands)
        parts = [(image, plane) for plane in planes]
        return parts if mask is None or alpha is not None else [*parts, (mask, 0)]

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
        self._groups: list[list[Part]] = []
        self._held: Mapping[BlockKey, Block] = {}

    def expect(self, parts: Sequence[Part], span: Span) -> None:
        """Have the blocks of parts fetched together, as many as may be held.

        Args:
            parts: will be read one after the other, in this order.
            span: will be read of each.
        """
        self._groups, left = [], 0
        for layout, plane in parts:
            rows, columns = layout.blocks(span)
            size = len(rows) * len(columns) * layout.block_bytes
            if size > left:
                self._groups.append([])
                left = _AT_ONCE_BYTES
            self._groups[-1].append((layout, plane))
            left -= size

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
        keys = self._keys(layout, plane, span)
        blocks = self._blocks((layout, plane), keys, span)
        if len(keys) <= _FEW:
            return [Window(key.column * width, key.row * height, blocks[key]) for key in keys]
        pixels = np.empty((bottom - top, right - left, layout.samples), layout.dtype)
        for key in keys:
            _copy(blocks[key], key.row * height - top, key.column * width - left, pixels)
        return [Window(left, top, pixels)]

    def _keys(self, layout: Layout, plane: int, span: Span) -> list[BlockKey]:
        return [
            BlockKey(self._file, layout.index, plane, row, column)
            for row, column in product(*layout.blocks(span))
        ]

    def _blocks(self, part: Part, keys: Sequence[BlockKey], span: Span) -> Mapping[BlockKey, Block]:
        """Return the blocks of a part, and of those that are expected with it."""
        # Those held are rectangles of blocks, so between two corners there is none missing.
        if keys[0] not in self._held or keys[-1] not in self._held:
            group = next((each for each in self._groups if part in each), [part])
            wanted = [key for each in group for key in self._keys(*each, span)]
            layouts = {layout.index: layout for layout, _ in group}
            self._held = {}
            self._held = self._cache.get(wanted, partial(self._load, layouts), self._deadline)
        return self._held

    def _load(
        self, layouts: Mapping[int, Layout], keys: Sequence[BlockKey]
    ) -> Iterator[Callable[[], Block]]:
        bodies = self._bodies(layouts, keys)
        for key, body in zip(keys, bodies, strict=True):
            layout = layouts[key.directory]
            rows = layout.height_of(key.row)
            yield partial(decode, layout, body, rows) if body else partial(empty_block, layout)

    def _bodies(self, layouts: Mapping[int, Layout], keys: Sequence[BlockKey]) -> list[bytes]:
        if isinstance(self._file, RemoteFile):
            tables = [place for key in keys for place in layouts[key.directory].tables(*key[2:])]
            self._file.hold(list(dict.fromkeys(tables)), self._deadline)
            places = _places(self._file.read_at, layouts, keys)
            return _whole(self._file.fetch_ranges(places, self._deadline), places)
        with _open(self._file, self._name) as read_at:
            places = _places(read_at, layouts, keys)
            return _whole([read_at(offset, size) for offset, size in places], places)


def _places(
    read_at: ReadAt, layouts: Mapping[int, Layout], keys: Sequence[BlockKey]
) -> list[tuple[int, int]]:
    try:
        return [layouts[key.directory].find(read_at, *key[2:]) for key in keys]
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
