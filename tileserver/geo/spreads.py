"""Where the pixels of a grid, their corners too, lie in the pixels of a source, and how large."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.geo.crs import Coordinates
from tileserver.geo.local_scale import around
from tileserver.geo.positions import Positions, positions
from tileserver.geo.turns import period


@dataclass(frozen=True)
class Spread:
    """Where the pixels of a grid lie in an array of a level's pixels.

    Columns and rows broadcast to (height, width) of the grid; not finite where there is no place.
    """

    columns: Coordinates
    """Of the centres; 0 is the left edge of the array."""
    rows: Coordinates
    corner_columns: Coordinates
    """Of the corners, one more each way than there are pixels."""
    corner_rows: Coordinates
    factor_x: float
    """Columns of the level for one pixel of the grid."""
    factor_y: float
    turn: float = 0.0
    """Columns once around the Earth, of a source in degrees or Mercator; else 0."""

    @property
    def is_aligned(self) -> bool:
        """Whether columns depend on columns alone, and rows on rows."""
        return bool(self.columns.shape[0] == 1 and self.rows.shape[1] == 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width) of the grid."""
        return np.broadcast_shapes(self.columns.shape, self.rows.shape)

    def scaled(self, across: float, down: float) -> Spread:
        """Return the same in pixels `across` times as wide and `down` times as high."""
        return Spread(
            self.columns / across,
            self.rows / down,
            self.corner_columns / across,
            self.corner_rows / down,
            self.factor_x / across,
            self.factor_y / down,
            self.turn / across,
        )

    def moved(self, column: int, row: int) -> Spread:
        """Return the same in an array that begins at a column and a row."""
        return replace(
            self,
            columns=self.columns - column,
            rows=self.rows - row,
            corner_columns=self.corner_columns - column,
            corner_rows=self.corner_rows - row,
        )


def spread(grid: PixelGrid, source: PixelGrid) -> Spread:
    """Return where a grid's pixels lie in a source's."""
    centres, corners = positions(grid, source), _corners(grid, source)
    t = grid.transform
    factors = _factors(source, grid.crs_code, t.scale_x, t.shear_x, t.shear_y, t.scale_y)
    turn = _turn(source)
    columns = near(centres.columns, np.array(source.width / 2), turn)
    return Spread(columns, centres.rows, corners.columns, corners.rows, *factors, turn)


def _turn(source: PixelGrid) -> float:
    side = abs(source.transform.scale_x)
    return (period(source.crs_code) or 0.0) / side if side else 0.0


def near(places: Coordinates, others: Coordinates, turn: float) -> Coordinates:
    """Return columns shifted by whole turns of the Earth to the nearest of others."""
    if not turn:
        return places
    with np.errstate(invalid="ignore"):
        return np.asarray(places - turn * np.round((places - others) / turn))


def _corners(grid: PixelGrid, source: PixelGrid) -> Positions:
    """Return where the corners lie: the centres of a grid half a pixel away."""
    t = grid.transform
    x, y = t.apply(-0.5, -0.5)
    moved = AffineTransform(t.scale_x, t.shear_x, x, t.shear_y, t.scale_y, y)
    return positions(PixelGrid(grid.width + 1, grid.height + 1, moved, grid.crs_code), source)


@lru_cache(maxsize=1024)
def _factors(
    source: PixelGrid,
    crs_code: str,
    scale_x: float,
    shear_x: float,
    shear_y: float,
    scale_y: float,
) -> tuple[float, float]:
    """Return columns and rows of a source for one pixel of a grid, at the source's middle.

    Not at the grid's: so tiles of one zoom are made with one kernel, and meet without a seam.
    """
    across = np.array([-scale_x, scale_x, -shear_x, shear_x]) / 2
    down = np.array([-shear_y, shear_y, -scale_y, scale_y]) / 2
    for columns, rows, share in around(source, crs_code, across, down):
        x, y = (float(np.hypot(*np.diff(each)[[0, 2]])) / share for each in (columns, rows))
        if np.isfinite([x, y]).all() and x > 0 and y > 0:
            return x, y
    return 1.0, 1.0
