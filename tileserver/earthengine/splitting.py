"""Requests that are too complex for Earth Engine, split into quarters and stitched.

"User memory limit exceeded" and "Computation timed out" are about the number of pixels, so a
quarter of them may succeed, or a quarter of that. The rules:

- The first quarter goes alone and the other three together once it has succeeded: where no
  size is small enough that costs four requests and not 85.
- The size that was too much is remembered by asset and bands, so the next tile of the layer starts
  with its four quarters at once. It is remembered only when splitting helped, or one bad spot
  would split the whole layer.
- A request whose smallest parts failed too fails at once for a minute.
- Parts of pictures are requested as PNG, so that a JPEG is lossy only once. GeoTIFF and TFRecord
  are not split.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import anyio
import numpy as np
from cachetools import TTLCache
from numpy.typing import NDArray

from tileserver.concurrency.deadline import deadline
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import BandArrays, PixelRequest, PixelSource
from tileserver.earthengine.answers import decoded
from tileserver.earthengine.quota import Clock
from tileserver.earthengine.retries import DEADLINE_S
from tileserver.errors import TooComplex, UpstreamError
from tileserver.rendering.encoders import encode_picture
from tileserver.rendering.npy import read_npy, write_records
from tileserver.rendering.npz import read_npz, write_npz
from tileserver.rendering.png_reader import read_png
from tileserver.rendering.render import Picture

_MAX_DEPTH = 3
_MIN_SIDE = 32
"""Pixels; below it, overhead is all there is."""
_REMEMBERED = 1000
_SIZE_KEPT_S = 600.0
_FAILURE_KEPT_S = 60.0


Piece = tuple[Window, bytes]


class Split:
    """Splits a request that is TooComplex for `source` into quarters, recursively."""

    def __init__(
        self,
        source: PixelSource,
        max_depth: int = _MAX_DEPTH,
        deadline_s: float = DEADLINE_S,
        clock: Clock = time.monotonic,
    ) -> None:
        self.source = source
        self.max_depth = max_depth
        self.deadline_s = deadline_s
        self._too_much: TTLCache[Hashable, int] = TTLCache(_REMEMBERED, _SIZE_KEPT_S, clock)
        self._hopeless: TTLCache[PixelRequest, str] = TTLCache(_REMEMBERED, _FAILURE_KEPT_S, clock)

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            TooComplex: the smallest parts are too much as well, or it cannot be split.
            DeadlineExceeded: the parts do not all come in time.
            UpstreamError: a part has another size or type than requested.
            TileserverError: any other error of `source`.
        """
        grid = request.grid
        if not _can_be_split(request) or not isinstance(grid, PixelGrid):
            return await self.source.get_pixels(request)
        known_failure = self._hopeless.get(request)
        if known_failure is not None:
            raise TooComplex(known_failure)
        async with deadline(self.deadline_s, request.asset_id):
            pieces = await self._pieces(request, grid)
            if len(pieces) == 1:
                return pieces[0][1]
            return await anyio.to_thread.run_sync(stitch, request.file_format, grid, pieces)

    async def _pieces(self, request: PixelRequest, grid: PixelGrid) -> list[Piece]:
        layer = request.asset_id, request.band_ids
        too_much = self._too_much.get(layer)
        quartering = _Quartering(self.source, request, grid, self.max_depth, too_much)
        try:
            pieces = await quartering.ask(grid.whole, 0)
        except TooComplex as exc:
            self._hopeless[request] = str(exc)
            raise
        if quartering.too_much is not None and quartering.too_much != too_much:
            self._too_much[layer] = quartering.too_much
        return pieces


class _Quartering:
    """The splitting of one request."""

    def __init__(
        self,
        source: PixelSource,
        request: PixelRequest,
        grid: PixelGrid,
        max_depth: int,
        too_much: int | None,
    ) -> None:
        self.too_much = too_much
        """The smallest number of pixels known to be too many, or None."""
        self._source = source
        self._request = request
        self._grid = grid
        self._max_depth = max_depth

    async def ask(self, part: Window, depth: int) -> list[Piece]:
        """Return the pieces that make up a part.

        Raises:
            TooComplex: the smallest parts are too much.
        """
        can_be_split = depth < self._max_depth and min(part.width, part.height) >= 2 * _MIN_SIDE
        if can_be_split and self.too_much is not None and part.pixels >= self.too_much:
            return await self._all(part.quarters(), depth + 1)
        try:
            return [(part, await self._source.get_pixels(self._part_request(part)))]
        except TooComplex:
            if not can_be_split:
                raise
        self._note_too_much(part)
        first, *others = part.quarters()
        pieces = await self.ask(first, depth + 1)
        return pieces + await self._all(others, depth + 1)

    async def _all(self, parts: Sequence[Window], depth: int) -> list[Piece]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.ask(part, depth)) for part in parts]
        except ExceptionGroup as failures:
            # The first failed; the others were cancelled for it, or failed alike.
            raise failures.exceptions[0] from None
        return [piece for task in tasks for piece in task.result()]

    def _note_too_much(self, part: Window) -> None:
        # Beside it a part may have got further down already.
        self.too_much = min(part.pixels, self.too_much or part.pixels)

    def _part_request(self, part: Window) -> PixelRequest:
        if part == self._grid.whole:
            return self._request
        file_format = self._request.file_format.of_parts or self._request.file_format
        return replace(self._request, grid=self._grid.window(part), file_format=file_format)


def stitch(file_format: ImageFileFormat, grid: PixelGrid, pieces: Sequence[Piece]) -> bytes:
    """Return the pieces of a grid as one body; blocks.

    Raises:
        UpstreamError: a piece is damaged, or not of the size and type that was asked for.
    """
    if file_format is ImageFileFormat.NPZ:
        return _stitched_npz(grid, pieces)
    if not file_format.is_picture:
        return _stitched_npy(grid, pieces)
    return encode_picture(file_format, _stitched_picture(grid, pieces))


def _stitched_picture(grid: PixelGrid, pieces: Sequence[Piece]) -> Picture:
    rgba = np.empty((grid.height, grid.width, 4), np.uint8)
    for part, body in pieces:
        _fill(rgba[part.slices], decoded(read_png, body, grid.window(part)))
    alpha = rgba[..., 3].copy()
    color = rgba[..., :3].copy()
    color[alpha == 0] = 0
    # Windows may differ: of a grey picture those with nothing in them may come as RGB.
    grey = color[..., 0]
    if (color == grey[..., np.newaxis]).all():
        color = grey.copy()
    return Picture(color, None if (alpha == 255).all() else alpha)


def _fill(rgba: NDArray[np.uint8], samples: NDArray[np.uint8]) -> None:
    """Write samples of shape (height, width, 1 to 4) into those of shape (height, width, 4)."""
    count = samples.shape[2]
    rgba[..., :3] = samples[..., :3] if count >= 3 else samples[..., :1]
    rgba[..., 3] = samples[..., -1] if count in (2, 4) else 255


def _stitched_npy(grid: PixelGrid, pieces: Sequence[Piece]) -> bytes:
    arrays = [decoded(read_npy, body, grid.window(part)) for part, body in pieces]
    whole: NDArray[Any] = np.empty((grid.height, grid.width), arrays[0].dtype)
    for (part, _), array in zip(pieces, arrays, strict=True):
        if array.dtype != whole.dtype:
            raise UpstreamError(f"Expected bands {whole.dtype} everywhere, got {array.dtype}.")
        whole[part.slices] = array
    return write_records(whole)


def _stitched_npz(grid: PixelGrid, pieces: Sequence[Piece]) -> bytes:
    read = [(part, decoded(read_npz, body, grid.window(part))) for part, body in pieces]
    first = read[0][1]
    shape = len(first.ids), grid.height, grid.width
    values, valid = np.empty(shape, first.values.dtype), np.empty(shape, np.bool_)
    alpha = np.full(shape[1:], 255, np.uint8)
    for part, bands in read:
        if (bands.ids, bands.values.dtype) != (first.ids, first.values.dtype):
            raise UpstreamError(f"Expected bands {first.ids} everywhere, got {bands.ids}.")
        place = slice(None), *part.slices
        values[place], valid[place] = bands.values, bands.valid
        # Without alpha what is valid is opaque.
        alpha[part.slices] = bands.alpha if bands.alpha is not None else 255
    has_alpha = any(bands.alpha is not None for _, bands in read)
    return write_npz(BandArrays(first.ids, values, valid, alpha=alpha if has_alpha else None))


def _can_be_split(request: PixelRequest) -> bool:
    """Return whether parts can be put together; with a region they are not those of the grid."""
    return request.file_format.of_parts is not None and request.region is None
