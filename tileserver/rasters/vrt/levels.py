"""A VRT as a level that resampling reads: its files are drawn first, so that none has a seam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid
from tileserver.rasters.windows import Picks

ReadGrid = Callable[[PixelGrid], tuple[NDArray[Any], NDArray[np.bool_]]]
"""Returns values and validity of all bands wanted on a grid, of shape (bands, height, width)."""
_BLOCK_SHAPE = 256, 256


class VrtLevel:
    """A `LevelReader` over what a VRT shows on a grid of its own place."""

    def __init__(self, grid: PixelGrid, itemsize: int, read_grid: ReadGrid) -> None:
        """Read a level.

        Args:
            grid: of the level.
            itemsize: bytes of a sample.
            read_grid: draws the files on a grid.
        """
        self.width, self.height = grid.width, grid.height
        self.block_shape = _BLOCK_SHAPE
        self.itemsize = itemsize
        self._grid = grid
        self._read_grid = read_grid

    def read(
        self,
        indexes: Sequence[int],
        wanted: Picks,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        """Read picks that lie evenly, as those of resampling do, of all bands."""
        found, seen = self._read_grid(self._grid_of(wanted))
        np.copyto(values, found, where=wanted.inside)
        np.logical_or(valid, seen & wanted.inside, out=valid)

    def _grid_of(self, wanted: Picks) -> PixelGrid:
        """Return the grid whose pixel centres are those of the picks."""
        columns, rows = wanted.columns.ravel(), wanted.rows.ravel()
        across, down = _step(columns), _step(rows)
        left, top = columns[0] + 0.5 - across / 2, rows[0] + 0.5 - down / 2
        x, y = self._grid.transform.apply(float(left), float(top))
        a = self._grid.transform.scaled(across, down)
        moved = type(a)(a.scale_x, a.shear_x, x, a.shear_y, a.scale_y, y)
        return PixelGrid(columns.size, rows.size, moved, self._grid.crs_code)


def _step(places: NDArray[np.int64]) -> int:
    # The last one may be moved to the edge of the level.
    return max(int(places[1] - places[0]), 1) if places.size > 1 else 1
