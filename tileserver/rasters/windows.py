"""Pixels picked from a level: the span that holds them read once, by whole blocks if large."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid
from tileserver.errors import DeadlineExceeded
from tileserver.geo.positions import Positions, nearest

MAX_WINDOW_BYTES = 8_000_000
_WHOLE = (slice(None), slice(None))
_NO_INDEX = np.iinfo(np.int64).max

Index = NDArray[np.int64]
Place = tuple[slice, slice]
"""Rows and columns of an array."""


class Span(NamedTuple):
    """Columns and rows of a level, from the first to the one after the last."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Picks:
    """Which pixel of a level each pixel of a grid shows.

    columns and rows broadcast to the shape of inside, (height, width).
    """

    columns: Index
    rows: Index
    inside: NDArray[np.bool_]
    """False where the level has no pixel."""
    _held: dict[Span, list[tuple[Picks, Place]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def are_all_inside(self) -> bool:
        """Whether the level has each pixel."""
        return bool(self.inside.all())

    @cached_property
    def span(self) -> Span:
        """The columns and rows of all picks; some are inside."""
        left, right = self._ends(self.columns)
        top, bottom = self._ends(self.rows)
        return Span(left, top, right, bottom)

    def within(self, span: Span) -> Sequence[tuple[Picks, Place]]:
        """Return the picks that a span holds, if any, and their place in (height, width).

        They are kept: planes of a file, and files of one image, have the same blocks.
        """
        found = self._held.get(span)
        if found is None:
            found = self._held[span] = list(self._within(span))
        return found

    def _within(self, span: Span) -> Iterator[tuple[Picks, Place]]:
        inside = self.inside & _between(self.rows, span.top, span.bottom)
        inside &= _between(self.columns, span.left, span.right)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if rows.size:
            down, across = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            of_columns, of_rows = (_cut(p, down, across) for p in (self.columns, self.rows))
            # A copy, or it would keep the whole array.
            yield Picks(of_columns, of_rows, inside[down, across].copy()), (down, across)

    def _ends(self, places: Index) -> tuple[int, int]:
        """Return the first place used and the one after the last."""
        if self.are_all_inside:
            return int(places.min()), int(places.max()) + 1
        axes = tuple(axis for axis in (0, 1) if places.shape[axis] < self.inside.shape[axis])
        used = self.inside.any(axis=axes, keepdims=True)
        low = places.min(where=used, initial=_NO_INDEX)
        return int(low), int(places.max(where=used, initial=-1)) + 1


class LevelReader(Protocol):
    """One level of an asset, by GDAL or without it."""

    width: int
    height: int
    block_shape: tuple[int, int]
    """(rows, columns) of a block."""
    itemsize: int
    """Bytes of a sample."""

    def read(
        self,
        indexes: Sequence[int],
        wanted: Picks,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        """Read picks, some of which are inside, as `read_picks` does but all at once.

        Raises:
            DeadlineExceeded: not all could be read in time.
        """


def picks(at: Positions, native: PixelGrid, level: LevelReader) -> Picks:
    """Return the pixels of a level at positions in native pixels."""
    key = level.width, level.height, native.width, native.height
    found: Picks | None = at.held.get(key)
    if found is None:
        columns = nearest(at.columns * (level.width / native.width))
        rows = nearest(at.rows * (level.height / native.height))
        inside = _between(columns, 0, level.width) & _between(rows, 0, level.height)
        found = at.held[key] = Picks(columns, rows, inside)
    return found


def read_picks(
    level: LevelReader,
    name: str,
    indexes: Sequence[int],
    wanted: Picks,
    values: NDArray[Any],
    valid: NDArray[np.bool_],
    deadline: float,
    max_window_bytes: int = MAX_WINDOW_BYTES,
    alpha: NDArray[np.uint8] | None = None,
) -> None:
    """Read picked pixels into values and valid, both of shape (bands, height, width).

    Args:
        level: what to read.
        name: what to call the asset in an error.
        indexes: GDAL's index of each band, from 1.
        wanted: the pixels to read; elsewhere the arrays are left as they are.
        values: gets the stored values.
        valid: set to True where they are not masked.
        deadline: on time.monotonic(); checked between spans.
        max_window_bytes: most bytes read at once, unless a single block is larger.
        alpha: shape (height, width); gets the opacity of pixels, of a raster with an alpha band.

    Raises:
        DeadlineExceeded: not all could be read in time.
    """
    spans = list(_spans(level, wanted, len(indexes), max_window_bytes))
    for span in spans:
        if time.monotonic() > deadline:
            raise read_timed_out(name)
        held = [(wanted, _WHOLE)] if len(spans) == 1 else wanted.within(span)
        for part, place in held:
            shown = None if alpha is None else alpha[place]
            level.read(indexes, part, values[:, *place], valid[:, *place], shown)


def read_timed_out(name: str) -> DeadlineExceeded:
    """Return the error for pixels that took too long."""
    return DeadlineExceeded(
        f"{name}: reading took too long. Without overviews a GeoTIFF is slow to show from afar; "
        "`tileserver ingest` makes a copy that has them."
    )


def _spans(level: LevelReader, wanted: Picks, band_count: int, max_bytes: int) -> Iterator[Span]:
    """Yield spans of whole blocks that hold the picks, none so large that it fills the memory.

    A block too large for a span is read by rows, each of which finds it in a cache.
    """
    if not wanted.inside.any():
        return
    left, top, right, bottom = wanted.span
    pixels = max_bytes // (band_count * level.itemsize)
    block_height, block_width = level.block_shape
    height = max(pixels // (right - left) // block_height, 1) * block_height
    width = max(pixels // min(height, bottom - top) // block_width, 1) * block_width
    if height * width > pixels:
        height = max(pixels // min(width, right - left), 1)
    for first_row, last_row in _stretches(top, bottom, height):
        for first, last in _stretches(left, right, width):
            yield Span(first, first_row, last, last_row)


def _stretches(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a range no longer than a step, cut at multiples of it."""
    if stop - start <= step:
        return iter([(start, stop)])
    return pairwise([start, *range(start - start % step + step, stop, step), stop])


def _between(places: Index, start: int, stop: int) -> NDArray[np.bool_]:
    """Return where places are in a range."""
    shifted = places - start if start else places
    # One comparison: what is less than zero is very large without a sign.
    found: NDArray[np.bool_] = shifted.view(np.uint64) < max(stop - start, 0)
    return found


def _cut(places: Index, down: slice, across: slice) -> Index:
    """Return a part of an array that broadcasts to (height, width)."""
    whole = slice(None)
    return places[
        whole if places.shape[0] == 1 else down, whole if places.shape[1] == 1 else across
    ]
