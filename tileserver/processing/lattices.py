"""Neighbours of pixels for resampling, read from engines that have no pyramid of their own.

The pixels are those of the native grid, or of one 2, 4, 8 … times as coarse, whichever is the
closest to the requested grid and not coarser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import MAX_BYTES, BandArrays
from tileserver.contract.processing import Processing, Resampling
from tileserver.errors import RequestTooLarge
from tileserver.geo.resampling import power_below, resample
from tileserver.geo.spreads import Spread, spread

_MARGIN = 4


@dataclass(frozen=True)
class Lattice:
    """The pixels to be read, and how a grid is made of them."""

    grid: PixelGrid
    method: Resampling
    at: Spread
    """Where the requested pixels lie in `grid`."""

    reading: Processing

    def resampled(self, bands: BandArrays) -> BandArrays:
        """Return bands on the requested grid, made of those on `grid`."""
        dtype = self.reading.read_as(bands.values.dtype)
        made = [
            resample(self.method, values.astype(dtype, copy=False), valid, self.at)
            for values, valid in zip(bands.values, bands.valid, strict=True)
        ]
        values, valid = (np.stack(each) for each in zip(*made, strict=True))
        dtypes = () if self.reading.keeps_fractions else bands.dtypes
        return BandArrays(bands.ids, values, valid, dtypes)


def lattice_of(
    grid: PixelGrid, asset: ImageAsset, band_ids: tuple[str, ...], reading: Processing
) -> Lattice | None:
    """Return the pixels to be read for a grid; None if the grid's own are.

    Raises:
        RequestTooLarge: they are more than a request may have.
    """
    if reading.resampling is None:
        return None
    native = asset.grid_of(band_ids)
    at = spread(grid, native)
    across, down = power_below(at.factor_x), power_below(at.factor_y)
    coarse = PixelGrid(
        math.ceil(native.width / across),
        math.ceil(native.height / down),
        native.transform.scaled(across, down),
        native.crs_code,
    )
    at = at.scaled(across, down)
    window = _around(at).intersection(coarse.whole)
    if window is None:
        return None
    samples = sum(band.dtype.itemsize + 1 for band in asset.select(band_ids))
    if window.pixels * samples > MAX_BYTES:
        raise RequestTooLarge(
            f"resampling: {window.pixels} pixels would be read, more than a request may have; "
            "expected resampling=nearest or a higher zoom"
        )
    moved = at.moved(window.column, window.row)
    return Lattice(coarse.window(window), reading.resampling, moved, reading)


def _around(at: Spread) -> Window:
    ends = []
    for places in (at.corner_columns, at.corner_rows):
        known = places[np.abs(places) < 2.0**40]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, -9.0)
        ends.append((math.floor(low) - _MARGIN, math.ceil(high) + _MARGIN))
    (left, right), (top, bottom) = ends
    return Window(left, top, max(right - left, 0), max(bottom - top, 0))
