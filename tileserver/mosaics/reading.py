"""Pixels of a mosaic: the files that meet a grid, read in the order of its rule.

Each is read by the engine of local rasters, so its cache of blocks, its limits and its deadline
hold. Where the first valid pixel shows, no file is read for pixels that are there already.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import BandArrays, PixelRequest, check_limits
from tileserver.contract.times import TimeRange
from tileserver.errors import (
    AssetChanged,
    AssetNotFound,
    BeingWritten,
    DeadlineExceeded,
    InvalidRequest,
    RequestTooLarge,
    UnreadableRaster,
)
from tileserver.mosaics import limits
from tileserver.mosaics.compositing import composite_of
from tileserver.mosaics.coverage import covering, windows_of
from tileserver.mosaics.snapshots import Snapshot

_DEADLINE_S = 25.0

_OF_ONE_FILE = (AssetNotFound, UnreadableRaster, AssetChanged, BeingWritten, InvalidRequest)
"""Errors that leave a file out; others are of all."""

log = logging.getLogger(__name__)

ReadBands = Callable[[PixelRequest], BandArrays]


class MosaicReader:
    """Reads mosaics with a function that reads the bands of one file. Its methods block."""

    def __init__(self, read_bands: ReadBands, deadline_s: float = _DEADLINE_S) -> None:
        self._read_bands = read_bands
        self._deadline_s = deadline_s
        self._logged: set[str] = set()

    def read(self, snapshot: Snapshot, request: PixelRequest, grid: PixelGrid) -> BandArrays:
        """Return values and validity on a grid, shape (bands, height, width).

        Raises:
            InvalidRequest: a band is unknown.
            RequestTooLarge: too many pixels, or files that all have to be read.
            DeadlineExceeded: not all could be read in time.
        """
        chosen = snapshot.asset.select(request.band_ids)
        ids = tuple(band.id for band in chosen)
        check_limits(grid.width, grid.height, [band.dtype.itemsize for band in chosen])
        dtype = np.result_type(*(band.dtype for band in chosen))
        composite = composite_of(snapshot.rule, (len(ids), grid.height, grid.width), dtype)
        deadline = time.monotonic() + self._deadline_s
        for number, window in self._planned(snapshot, request, grid, ids):
            wanted = composite.wanted()
            if wanted is None:
                break
            part = window.intersection(wanted)
            if part is None:
                continue
            self._check(deadline, snapshot)
            name = f"{snapshot.asset.name}/{snapshot.members.name(number)}"
            found = self._read_one(name, ids, grid.window(part))
            if found is not None:
                composite.add(part, found)
        dtypes = tuple(band.dtype for band in chosen)
        pixels = composite.result(ids)
        return replace(pixels, dtypes=dtypes) if len(set(dtypes)) > 1 else pixels

    def series(
        self, snapshot: Snapshot, request: PixelRequest, grid: PixelGrid
    ) -> list[tuple[int, BandArrays]]:
        """Return the numbers of the files with a valid pixel on a grid, by time, and their pixels.

        Files without a time are left out.

        Raises:
            InvalidRequest: a band is unknown.
            RequestTooLarge: too many files lie there.
            DeadlineExceeded: not all could be read in time.
        """
        ids = tuple(band.id for band in snapshot.asset.select(request.band_ids))
        numbers = snapshot.meeting(grid, ids, request.times or TimeRange())
        if len(numbers) > limits.MAX_MOMENTS:
            raise RequestTooLarge(
                f"{snapshot.asset.name}: {len(numbers)} files lie here, and a series has at most "
                f"{limits.MAX_MOMENTS}; expected a shorter time."
            )
        starts_s = snapshot.members.starts_s[numbers]
        deadline = time.monotonic() + self._deadline_s
        found = []
        for number in numbers[np.lexsort((numbers, starts_s))].tolist():
            self._check(deadline, snapshot)
            name = f"{snapshot.asset.name}/{snapshot.members.name(number)}"
            pixels = self._read_one(name, ids, grid)
            if pixels is not None and pixels.valid.any():
                found.append((number, pixels))
        return found

    def _check(self, deadline: float, snapshot: Snapshot) -> None:
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"{snapshot.asset.name}: reading its files took too long; overviews make them "
                "quick to show from afar."
            )

    def _planned(
        self, snapshot: Snapshot, request: PixelRequest, grid: PixelGrid, ids: tuple[str, ...]
    ) -> list[tuple[int, Window]]:
        """Return the files to read, in order, each with the window of the grid that holds it."""
        found = snapshot.meeting(grid, ids, request.times)
        found = found[:1] if snapshot.rule.reads_one else found
        windows = windows_of(snapshot.members.boxes[found], grid)
        numbers: NDArray[np.int64] = found
        if windows is None:
            whole = [grid.whole] * len(found)
        else:
            holds_pixels = (windows[:, 2] > 0) & (windows[:, 3] > 0)
            numbers, windows = found[holds_pixels], windows[holds_pixels]
            whole = [Window(*map(int, each)) for each in windows]
        most = limits.SAMPLED_FILES if request.is_sample else limits.MAX_FILES
        if len(numbers) <= most:
            return list(zip(numbers.tolist(), whole, strict=True))
        if request.is_sample:
            kept = np.linspace(0, len(numbers) - 1, most).astype(np.int64).tolist()
            return [(int(numbers[i]), whole[i]) for i in kept]
        if snapshot.rule.is_computed:
            raise RequestTooLarge(
                f"{snapshot.asset.name}: {len(numbers)} files lie here, and {snapshot.rule} is "
                f"made of at most {limits.MAX_FILES}; expected a smaller area, or a time."
            )
        kept = covering(windows, grid, limits.MAX_FILES)
        return [(int(numbers[i]), whole[i]) for i in kept]

    def _read_one(self, name: str, ids: tuple[str, ...], grid: PixelGrid) -> BandArrays | None:
        """Return the pixels of a file; None if it cannot be read, which is logged once."""
        request = PixelRequest(name, ImageFileFormat.NPY, grid, band_ids=ids)
        try:
            return self._read_bands(request)
        except _OF_ONE_FILE as exc:
            if name not in self._logged:
                self._logged.add(name)
                log.warning("left out of a mosaic: %s", exc)
            return None
