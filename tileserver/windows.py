"""Pixels picked from a dataset: the window that holds them read once, by whole blocks if large."""

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

from tileserver.assets import ImageAsset
from tileserver.errors import DeadlineExceeded
from tileserver.sampling import Positions, nearest

_MAX_WINDOW_BYTES = 64_000_000
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


def picks(at: Positions, asset: ImageAsset, dataset: DatasetReader) -> Picks:
    """Return the pixels of a dataset, one level of the asset, at native positions."""
    columns = nearest(at.columns * (dataset.width / asset.grid.width))
    rows = nearest(at.rows * (dataset.height / asset.grid.height))
    inside_x = (columns >= 0) & (columns < dataset.width)
    return Picks(columns, rows, inside_x & (rows >= 0) & (rows < dataset.height))


def read_picks(
    dataset: DatasetReader,
    asset: ImageAsset,
    indexes: Sequence[int],
    wanted: Picks,
    values: NDArray[Any],
    valid: NDArray[np.bool_],
    deadline: float,
) -> None:
    """Read picked pixels into values and valid, both of shape (bands, height, width).

    Args:
        dataset: the level to read.
        asset: what it is a level of.
        indexes: GDAL's index of each band.
        wanted: what to read; elsewhere the arrays are left as they are.
        values: filled with what is stored.
        valid: set where that is not masked.
        deadline: on time.monotonic(); looked at between windows.

    Raises:
        DeadlineExceeded: not all could be read in time.
    """
    for part in _strips(dataset, wanted, len(indexes)):
        if time.monotonic() > deadline:
            raise too_late(asset.name)
        _read_window(dataset, asset, indexes, part, values, valid)


def too_late(name: str) -> DeadlineExceeded:
    """Return the error for pixels that took too long."""
    return DeadlineExceeded(
        f"{name}: reading took too long. Without overviews a GeoTIFF is slow to show from afar; "
        "`tileserver ingest` makes a copy that has them."
    )


def _strips(dataset: DatasetReader, wanted: Picks, band_count: int) -> Iterator[Picks]:
    """Yield the picks in strips of whole blocks, none so large that it fills the memory."""
    if not wanted.inside.any():
        return
    left, right = _span(wanted.columns, wanted.inside)
    top, bottom = _span(wanted.rows, wanted.inside)
    row_bytes = (right - left) * band_count * np.dtype(dataset.dtypes[0]).itemsize
    block_height = dataset.block_shapes[0][0]
    step = max(_MAX_WINDOW_BYTES // row_bytes // block_height, 1) * block_height
    if bottom - top <= step:
        yield wanted
        return
    for first, last in pairwise([top, *range(top - top % step + step, bottom, step), bottom]):
        inside = wanted.inside & (wanted.rows >= first) & (wanted.rows < last)
        if inside.any():
            yield Picks(wanted.columns, wanted.rows, inside)


def _span(places: Index, inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first place used and the one after the last."""
    axes = tuple(axis for axis in (0, 1) if places.shape[axis] < inside.shape[axis])
    used = inside.any(axis=axes, keepdims=True)
    low = places.min(where=used, initial=_NO_INDEX)
    return int(low), int(places.max(where=used, initial=-1)) + 1


def _read_window(
    dataset: DatasetReader,
    asset: ImageAsset,
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
    if not asset.has_mask:
        np.logical_or(valid, wanted.inside, out=valid)
        return
    masks = dataset.read_masks(indexes[:1] if asset.shares_mask else indexes, window=window)
    np.logical_or(valid, wanted.inside & (_pick(masks, index) != 0), out=valid)


def _pick(block: NDArray[Any], index: Index) -> NDArray[Any]:
    """Return block[:, index], flat indexes; those outside fall on some pixel or other."""
    picked: NDArray[Any] = block.reshape(len(block), -1).take(index, axis=1, mode="clip")
    return picked
