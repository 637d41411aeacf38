"""A level read with the neighbours of each pixel, and made into the pixels of a grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.processing import Resampling
from tileserver.errors import RequestTooLarge
from tileserver.geo.crs import Coordinates
from tileserver.geo.resampling import block_means, power_below, resample
from tileserver.geo.spreads import Spread
from tileserver.rasters.masking import mask_value
from tileserver.rasters.windows import LevelReader, Picks, read_picks

PIECE_PX = 256
"""Pixels on a side of the part that is made at once."""
_MOST_FACTOR = 4
"""A level's pixels on the side of one of the grid's that are read, up to twice as many: of a raster
without overviews every second or fourth … one is."""
_MOST_PX, _MOST_BYTES = 16_000_000, 200_000_000
"""Read at once: where a map is stretched, a piece covers more than elsewhere."""
_MARGIN = 4
"""Pixels of a kernel beyond the centres: cubic of up to two pixels reaches four."""


@dataclass(frozen=True)
class Resampler:
    """Reads a level for a part of a grid."""

    method: Resampling
    at: Spread
    """Where the pixels of the part lie, in native pixels."""
    native: PixelGrid
    dtype: np.dtype[Any]
    """Of the level."""
    nodata: float | None = None
    """A value that is masked."""

    def read(
        self,
        reader: LevelReader,
        name: str,
        indexes: Sequence[int],
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        alpha: NDArray[np.uint8] | None,
        deadline: float,
    ) -> None:
        """Read a level and fill values and valid as `read_picks` does; raises as it does."""
        at = self.at.scaled(self.native.width / reader.width, self.native.height / reader.height)
        step_x, step_y = (self._step(each) for each in (at.factor_x, at.factor_y))
        at = at.scaled(step_x, step_y)
        mean_x, mean_y = (self._mean(each) for each in (at.factor_x, at.factor_y))
        size = math.ceil(reader.width / step_x), math.ceil(reader.height / step_y)
        window = _window(at, size, (mean_x, mean_y))
        if window is None:
            return
        _check_window(window, len(indexes), self.dtype, name)
        wanted = _every(window, (step_x, step_y), reader)
        shape = (len(indexes), window.height, window.width)
        found, seen = np.zeros(shape, self.dtype), np.zeros(shape, np.bool_)
        shown = None if alpha is None else np.zeros(shape[1:], np.uint8)
        read_picks(reader, name, indexes, wanted, found, seen, deadline, alpha=shown)
        if self.nodata is not None:
            mask_value(found, seen, self.nodata)
        at = at.moved(window.column, window.row).scaled(mean_x, mean_y)
        for source, is_seen, target, is_valid in zip(found, seen, values, valid, strict=True):
            source = source.astype(values.dtype, copy=False)
            made, is_made = self._made(source, is_seen, at, (mean_x, mean_y))
            np.copyto(target, made, where=is_made)
            np.logical_or(is_valid, is_made, out=is_valid)
        if alpha is not None and shown is not None:
            made, is_made = self._made(shown, np.ones(shape[1:], bool), at, (mean_x, mean_y))
            np.copyto(alpha, made, where=is_made)

    def _made(
        self,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        at: Spread,
        means: tuple[int, int],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        if means != (1, 1):
            values, valid = block_means(values, valid, *means)
        return resample(self.method, values, valid, at)

    def _step(self, factor: float) -> int:
        """Return how many pixels of the level one that is read stands for."""
        return power_below(factor / _MOST_FACTOR)

    def _mean(self, factor: float) -> int:
        """Return the side of the blocks that are averaged first, as an overview would be."""
        is_kernel = self.method in (Resampling.BILINEAR, Resampling.CUBIC)
        return power_below(factor) if is_kernel else 1


def pieces(part: Window) -> Iterator[Window]:
    """Yield the pieces of a part of a grid that are made at once."""
    for row in range(part.row, part.bottom, PIECE_PX):
        for column in range(part.column, part.right, PIECE_PX):
            right, bottom = min(column + PIECE_PX, part.right), min(row + PIECE_PX, part.bottom)
            yield Window(column, row, right - column, bottom - row)


def _check_window(window: Window, bands: int, dtype: np.dtype[Any], name: str) -> None:
    samples_bytes = window.pixels * bands * dtype.itemsize
    if window.pixels > _MOST_PX or samples_bytes > _MOST_BYTES:
        raise RequestTooLarge(
            f"{name}: {window.pixels} pixels of {bands} bands would be read at once for a part of "
            "the request; expected fewer bands, a higher zoom or resampling=nearest."
        )


def _window(at: Spread, size: tuple[int, int], blocks: tuple[int, int]) -> Window | None:
    """Return the pixels that kernels at positions touch, in whole blocks; None if there are none.

    Args:
        at: positions and corners, in pixels.
        size: (width, height) of the level in these pixels.
        blocks: (columns, rows) of a block.
    """
    ends = []
    axes = ((at.columns, at.corner_columns), (at.rows, at.corner_rows))
    for places, most, block in zip(axes, size, blocks, strict=True):
        low, high = _ends(places)
        first = max(math.floor(low / block) - _MARGIN, 0) * block
        last = min((math.ceil(high / block) + _MARGIN) * block, most)
        ends.append((first, last))
    (left, right), (top, bottom) = ends
    return Window.between(left, top, right, bottom)


def _ends(places: Sequence[Coordinates]) -> tuple[float, float]:
    found = [each[np.abs(each) < 2.0**40] for each in places]
    lows = [float(each.min()) for each in found if each.size]
    highs = [float(each.max()) for each in found if each.size]
    return (min(lows), max(highs)) if lows else (0.0, -1e12)


def _every(window: Window, steps: tuple[int, int], reader: LevelReader) -> Picks:
    """Return the pixels of a level in the middles of its steps."""
    columns = np.arange(window.column, window.right, dtype=np.int64) * steps[0] + steps[0] // 2
    rows = np.arange(window.row, window.bottom, dtype=np.int64) * steps[1] + steps[1] // 2
    columns, rows = np.minimum(columns, reader.width - 1), np.minimum(rows, reader.height - 1)
    inside = np.ones((window.height, window.width), np.bool_)
    return Picks(columns[np.newaxis, :], rows[:, np.newaxis], inside)
