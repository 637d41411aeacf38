"""Reads the pixels of a dataset that a grid shows, window by window, in whole blocks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tileserver.contract.pixels import PixelGrid
from tileserver.errors import DeadlineExceeded
from tileserver.geo.positions import Positions, nearest
from tileserver.rasters.geotiffs import GeoTiff

MAX_WINDOW_BYTES = 8_000_000
_WHOLE = (slice(None), slice(None), slice(None))
_NO_INDEX = np.iinfo(np.int64).max

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Picks:
    """Which pixel of a dataset each pixel of a grid shows.

    columns and rows broadcast to the shape of inside, (height, width).
    """

    columns: Index
    rows: Index
    inside: NDArray[np.bool_]
    """False where the dataset has no pixel."""


def picks(at: Positions, native: PixelGrid, dataset: DatasetReader) -> Picks:
    """Return the pixels of a dataset, one level of a raster, at positions on its native grid."""
    columns = nearest(at.columns * (dataset.width / native.width))
    rows = nearest(at.rows * (dataset.height / native.height))
    inside_x = (columns >= 0) & (columns < dataset.width)
    return Picks(columns, rows, inside_x & (rows >= 0) & (rows < dataset.height))


def read_picks(
    dataset: DatasetReader,
    raster: GeoTiff,
    indexes: Sequence[int],
    wanted: Picks,
    values: NDArray[Any],
    valid: NDArray[np.bool_],
    deadline: float,
    max_window_bytes: int = MAX_WINDOW_BYTES,
) -> None:
    """Read picked pixels into values and valid, both of shape (bands, height, width).

    Args:
        dataset: the level to read.
        raster: the raster that it is a level of.
        indexes: GDAL's index of each band.
        wanted: the pixels to read; elsewhere the arrays are left as they are.
        values: gets the stored values.
        valid: set to True where they are not masked.
        deadline: on time.monotonic(); checked between windows.
        max_window_bytes: largest window read at once.

    Raises:
        DeadlineExceeded: not all could be read in time.
    """
    windows = list(_windows(dataset, wanted, len(indexes), max_window_bytes))
    for window in windows:
        if time.monotonic() > deadline:
            raise read_timed_out(raster.asset.name)
        held = [(wanted, _WHOLE)] if len(windows) == 1 else _held_by(window, wanted)
        for part, place in held:
            _read_window(dataset, raster, indexes, part, values[place], valid[place])


def read_timed_out(name: str) -> DeadlineExceeded:
    """Return the error for pixels that took too long."""
    return DeadlineExceeded(
        f"{name}: reading took too long. Without overviews a GeoTIFF is slow to show from afar; "
        "`tileserver ingest` makes a copy that has them."
    )


def _windows(
    dataset: DatasetReader, wanted: Picks, band_count: int, max_bytes: int
) -> Iterator[Window]:
    """Yield windows of whole blocks that hold the picks, none so large that it fills the memory.

    A block too large for a window is read by rows, each of which finds it in GDAL's cache.
    """
    if not wanted.inside.any():
        return
    left, right = _span(wanted.columns, wanted.inside)
    top, bottom = _span(wanted.rows, wanted.inside)
    pixels = max_bytes // (band_count * np.dtype(dataset.dtypes[0]).itemsize)
    block_height, block_width = dataset.block_shapes[0]
    height = max(pixels // (right - left) // block_height, 1) * block_height
    width = max(pixels // height // block_width, 1) * block_width
    if height * width > pixels:
        height = max(pixels // min(width, right - left), 1)
    for first_row, last_row in _stretches(top, bottom, height):
        for first, last in _stretches(left, right, width):
            yield Window(first, first_row, last - first, last_row - first_row)


def _stretches(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a range no longer than a step, cut at multiples of it."""
    if stop - start <= step:
        return iter([(start, stop)])
    return pairwise([start, *range(start - start % step + step, stop, step), stop])


def _held_by(window: Window, wanted: Picks) -> Iterator[tuple[Picks, tuple[slice, slice, slice]]]:
    """Yield the picks that a window holds, if any, and their place in (bands, height, width)."""
    inside = wanted.inside & (wanted.rows >= window.row_off)
    inside &= wanted.rows < window.row_off + window.height
    inside &= wanted.columns >= window.col_off
    inside &= wanted.columns < window.col_off + window.width
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


def _read_window(
    dataset: DatasetReader,
    raster: GeoTiff,
    indexes: Sequence[int],
    wanted: Picks,
    values: NDArray[Any],
    valid: NDArray[np.bool_],
) -> None:
    left, right = _span(wanted.columns, wanted.inside)
    top, bottom = _span(wanted.rows, wanted.inside)
    window = Window(left, top, right - left, bottom - top)
    index = (wanted.rows - top) * (right - left) + (wanted.columns - left)
    block = dataset.read(indexes, window=window)
    np.copyto(values, _pick(block, index), where=wanted.inside)
    del block
    if not raster.has_mask:
        np.logical_or(valid, wanted.inside, out=valid)
        return
    masks = _read_masks(dataset, raster, indexes, window)
    np.logical_or(valid, wanted.inside & (_pick(masks, index) != 0), out=valid)


def _read_masks(
    dataset: DatasetReader, raster: GeoTiff, indexes: Sequence[int], window: Window
) -> NDArray[Any]:
    """Return zero where pixels are masked; one mask for all bands where they share it."""
    if raster.alpha_index is not None:
        masks: NDArray[Any] = dataset.read([raster.alpha_index], window=window)
    else:
        masks = dataset.read_masks(indexes[:1] if raster.shares_mask else indexes, window=window)
    return masks


def _pick(block: NDArray[Any], index: Index) -> NDArray[Any]:
    """Return block[:, index], flat indexes; those outside fall on some pixel or other."""
    picked: NDArray[Any] = block.reshape(len(block), -1).take(index, axis=1, mode="clip")
    return picked
