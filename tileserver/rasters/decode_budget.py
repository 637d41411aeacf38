"""Limits on decoded bytes of GeoTIFFs: of a block, of a file, and of all reads at once.

A block is decoded whole even for one pixel, and a few bytes may declare one larger than memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tileserver.errors import DeadlineExceeded, UnreadableRaster
from tileserver.rasters.tiff_directories import Directory

MAX_BLOCK_BYTES = 68_000_000
"""Bytes of a block once decoded, all bands that it holds; a mask has a byte a pixel.

A tile of 256 x 256 bytes in 1,024 bands, as many as Earth Engine hands out, holds 67 MB.
"""
MAX_BANDS = 20_000
"""Bands of all levels and masks of a file: GDAL keeps facts about each while it is open."""
MAX_DECODING_BYTES = 160_000_000
"""Bytes of blocks and windows that all threads hold at once.

One block as large as may be at a time, for GDAL's cache holds no two of them, and thousands of
tiles' usual ones.
"""


def check_sizes(
    directories: Sequence[Directory], name: str, max_block_bytes: int = MAX_BLOCK_BYTES
) -> None:
    """Raise UnreadableRaster if blocks of a GeoTIFF are too large, or its bands too many."""
    for directory in directories:
        check_block(directory.block_bytes, name, max_block_bytes)
    bands = sum(directory.samples for directory in directories)
    if bands > MAX_BANDS:
        raise UnreadableRaster(
            f"{name}: the GeoTIFF's levels and masks have {bands} bands in all, at most "
            f"{MAX_BANDS} may be; gdal_translate -b takes some of them."
        )


def decode_bytes(directories: Sequence[Directory]) -> int:
    """Return the memory that decoding the largest block takes.

    GDAL decodes a block of all bands as a whole and keeps each band's part in its cache.
    """
    return 2 * max((each.block_bytes for each in directories), default=0)


def kept_bytes(directories: Sequence[Directory]) -> int:
    """Return the memory that an open dataset keeps at most: blocks to decode the next ones into.

    GDAL keeps one of the level that it reads, and one of the mask of that level.
    """
    images = (each.block_bytes for each in directories if not each.is_mask)
    masks = (each.block_bytes for each in directories if each.is_mask)
    return max(images, default=0) + max(masks, default=0)


def check_block(block_bytes: int, name: str, max_block_bytes: int = MAX_BLOCK_BYTES) -> None:
    """Raise UnreadableRaster if a block is too large."""
    if block_bytes > max_block_bytes:
        raise UnreadableRaster(
            f"{name}: the GeoTIFF's blocks hold {block_bytes / 1e6:.0f} MB each, at most "
            f"{max_block_bytes / 1e6:.0f} MB may be; "
            "gdal_translate -co TILED=YES makes smaller ones."
        )


class DecodeBudget:
    """Bytes that may be decoded at once, shared by all threads.

    Small reads go ahead of a large one that waits: a few bombs do not stop all tiles.
    """

    def __init__(self, max_bytes: int = MAX_DECODING_BYTES) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._freed = threading.Condition()

    @contextmanager
    def hold(self, size_bytes: int, deadline: float, name: str) -> Iterator[None]:
        """Hold bytes while the body runs, once as many are free.

        Args:
            size_bytes: estimated size of the decoded blocks.
            deadline: on time.monotonic().
            name: of the raster, for errors.

        Raises:
            UnreadableRaster: it is more than the whole budget.
            DeadlineExceeded: not enough was free by the deadline.
        """
        if size_bytes > self.max_bytes:
            raise UnreadableRaster(
                f"{name}: to read it takes {size_bytes / 1e6:.0f} MB at once, at most "
                f"{self.max_bytes / 1e6:.0f} MB may be; "
                "gdal_translate -co TILED=YES makes smaller blocks."
            )
        self._take(size_bytes, deadline, name)
        try:
            yield
        finally:
            with self._freed:
                self.held_bytes -= size_bytes
                self._freed.notify_all()

    def _take(self, size_bytes: int, deadline: float, name: str) -> None:
        def fits() -> bool:
            return self.held_bytes + size_bytes <= self.max_bytes

        with self._freed:
            if not self._freed.wait_for(fits, max(deadline - time.monotonic(), 0)):
                raise DeadlineExceeded(
                    f"{name}: reading did not begin in time, others read large blocks; "
                    "gdal_translate -co TILED=YES makes smaller ones."
                )
            self.held_bytes += size_bytes
