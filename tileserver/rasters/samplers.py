"""How the pixels of a grid are made of those of a level: by nearest neighbour, or of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.processing import Processing
from tileserver.geo.positions import Positions, parts
from tileserver.geo.spreads import Spread, spread
from tileserver.rasters.band_files import PositionsOf
from tileserver.rasters.cubes.images import CubeImage
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.masking import mask_value
from tileserver.rasters.resampled import Resampler, pieces
from tileserver.rasters.warps import Warp
from tileserver.rasters.windows import LevelReader, picks, read_picks


class Sampler(Protocol):
    """Reads a level at the pixels of a part of a grid."""

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
        """Fill values and valid; as `read_picks`."""
        ...


@dataclass(frozen=True)
class Nearest:
    """Reads the pixel of a level that holds each position."""

    at: Positions
    native: PixelGrid
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
        """Fill values and valid; as `read_picks`."""
        wanted = picks(self.at, self.native, reader)
        read_picks(reader, name, indexes, wanted, values, valid, deadline, alpha=alpha)
        if self.nodata is not None:
            mask_value(values, valid, self.nodata)


def samplers(
    processing: Processing | None,
    raster: GeoTiff | CubeImage,
    grid: PixelGrid,
    positions_of: PositionsOf,
) -> Iterator[tuple[Window, Sampler]]:
    """Yield a reader of each part of a grid that shows something of a raster."""
    warp, nodata = raster.warp, processing.nodata if processing else None
    native = warp.source if warp else raster.grid
    for part in parts(raster.asset, grid):
        if processing is None or processing.resampling is None:
            at = positions_of(grid.window(part), raster.grid)
            yield part, Nearest(warp.positions(at) if warp else at, native, nodata)
            continue
        for piece in pieces(part):
            lies = spread(grid.window(piece), raster.grid)
            lies = _warped(lies, warp) if warp else lies
            yield piece, Resampler(processing.resampling, lies, native, raster.dtype, nodata)


def _warped(at: Spread, warp: Warp) -> Spread:
    """Return where pixels lie in a file, for where they lie on its grid.

    The grid's pixels are as large as the file's, so how many of them one covers stays.
    """
    centres = warp.positions(Positions(at.columns, at.rows))
    corners = warp.positions(Positions(at.corner_columns, at.corner_rows))
    return replace(
        at,
        columns=centres.columns,
        rows=centres.rows,
        corner_columns=corners.columns,
        corner_rows=corners.rows,
        turn=0.0,
    )
