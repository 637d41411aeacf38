"""Pixels picked from a level: the span that holds them read once, by whole blocks if large."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid
from tileserver.errors import DeadlineExceeded
from tileserver.geo.positions import Positions, nearest

MAX_WINDOW_BYTES = 8_000_000
_WHOLE = (slice(None), slice(None), slice(None))
_NO_INDEX = np.iinfo(np.int64).max

Index = NDArray[np.int64]


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
        span: Span,
        wanted: Picks,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
    ) -> None:
        """Read picks that lie in a span, as `read_picks` does.

        Raises:
            DeadlineExceeded: not all could be read in time.
        """


def picks(at: Positions, native: PixelGrid, level: LevelReader) -> Picks:
    """Return the pixels of a level at positions in native pixels."""
    columns = nearest(at.columns * (level.width / native.width))
    rows = nearest(at.rows * (level.height / native.height))
    inside_x = (columns >= 0) & (columns < level.width)
    return Picks(columns, rows, inside_x & (rows >= 0) & (rows < level.height))


def read_picks(
    level: LevelReader,
    name: str,
    indexes: Sequence[int],
    wanted: Picks,
    values: NDArray[Any],
    valid: NDArray[np.bool_],
    deadline: float,
    max_window_bytes: int = MAX_WINDOW_BYTES,
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

    Raises:
        DeadlineExceeded: not all could be read in time.
    """
    spans = list(_spans(level, wanted, len(indexes), max_window_bytes))
    for span in spans:
        if time.monotonic() > deadline:
            raise read_timed_out(name)
        held = [(wanted, _WHOLE)] if len(spans) == 1 else _held_by(span, wanted)
        for part, place in held:
            level.read(indexes, span_of(part), part, values[place], valid[place])


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
    left, top, right, bottom = span_of(wanted)
    pixels = max_bytes // (band_count * level.itemsize)
    block_height, block_width = level.block_shape
    height = max(pixels // (right - left) // block_height, 1) * block_height
    width = max(pixels // min(height, bottom - top) // block_width, 1) * block_width
    if height * width > pixels:
        height = max(pixels // min(width, right - left), 1)
    for first_row, last_row in _stretches(top, bottom, height):
        for first, last in _stretches(left, right, width):
            yield Span(first, first_row, last, last_row)


def span_of(wanted: Picks) -> Span:
    """Return the span of all picks."""
    left, right = _span(wanted.columns, wanted.inside)
    top, bottom = _span(wanted.rows, wanted.inside)
    return Span(left, top, right, bottom)


def _stretches(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a range no longer than a step, cut at multiples of it."""
    if stop - start <= step:
        return iter([(start, stop)])
    return pairwise([start, *range(start - start % step + step, stop, step), stop])


def _held_by(span: Span, wanted: Picks) -> Iterator[tuple[Picks, tuple[slice, slice, slice]]]:
    """Yield the picks that a span holds, if any, and their place in (bands, height, width)."""
    inside = wanted.inside & (wanted.rows >= span.top) & (wanted.rows < span.bottom)
    inside &= (wanted.columns >= span.left) & (wanted.columns < span.right)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size:
        down, across = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        of_columns, of_rows = (_cut(p, down, across) for p in (wanted.columns, wanted.rows))
        yield Picks(of_columns, of_rows, inside[down, across]), (slice(None), down, across)


def _cut(places: Index, down: slice, across: slice) -> Index:
    """Return a part of an array that broadcasts to (height, width)."""
    whole = slice(None)
    return places[
        whole if places.shape[0] == 1 else down, whole if places.shape[1] == 1 else across
    ]


def _span(places: Index, inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first place used and the one after the last."""
    axes = tuple(axis for axis in (0, 1) if places.shape[axis] < inside.shape[axis])
    used = inside.any(axis=axes, keepdims=True)
    low = places.min(where=used, initial=_NO_INDEX)
    return int(low), int(places.max(where=used, initial=-1)) + 1
