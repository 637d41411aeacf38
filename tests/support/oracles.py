"""What getPixels must answer, worked out the slow way by rasterio alone."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.warp import transform

from tests.support.rasterfiles import affine, apply
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays

WORLD_M = 2 * 20037508.342789244
SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
_ON_EDGE_PX = 1e-5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What each pixel of a grid shows."""

    values: NDArray[Any]
    """Shape (bands, height, width), zero where nothing is valid."""
    valid: NDArray[np.bool_]
    on_edge: NDArray[np.bool_]
    """Shape (height, width): the centre lies so near an edge that rounding decides."""

    def differences(self, bands: BandArrays) -> tuple[int, int]:
        """Return how many of its pixels other bands miss: those on an edge, and all others."""
        differs = (bands.masked_to_zero() != self.values) | (bands.valid != self.valid)
        missed = differs.any(axis=0)
        return int((missed & self.on_edge).sum()), int((missed & ~self.on_edge).sum())


def pixels_of(path: Path | str, grid: PixelGrid, overview: int | None = None) -> Answer:
    """Return the pixel of a level in which each pixel centre of a grid lies.

    PROJ is asked for every centre, and the whole level is in memory.
    """
    options = {} if overview is None else {"overview_level": overview}
    with rasterio.Env(GDAL_PAM_ENABLED=False), rasterio.open(path, **options) as dataset:
        bands = [i for i in dataset.indexes if dataset.colorinterp[i - 1] != ColorInterp.alpha]
        columns, rows = _places(dataset, grid)
        inside = (columns >= 0) & (rows >= 0)
        inside &= (columns < dataset.width) & (rows < dataset.height)
        row, column = (np.where(inside, np.floor(at), 0).astype(int) for at in (rows, columns))
        values = dataset.read(bands)[:, row, column]
        valid = (_masks(dataset, bands)[:, row, column] != 0) & inside
    return Answer(
        np.where(valid, values, values.dtype.type(0)), valid, _on_edge(columns) | _on_edge(rows)
    )


def _masks(dataset: Any, bands: list[int]) -> NDArray[Any]:
    # GDAL takes an alpha band for a mask behind one band and three, here it always is.
    if ColorInterp.alpha in dataset.colorinterp:
        alpha = dataset.read(dataset.colorinterp.index(ColorInterp.alpha) + 1)
        return np.broadcast_to(alpha, (len(bands), *alpha.shape))
    masks: NDArray[Any] = dataset.read_masks(bands)
    return masks


def _places(dataset: Any, grid: PixelGrid) -> tuple[Floats, Floats]:
    """Return the (columns, rows) of a dataset at which a grid's centres lie, -1 for nowhere."""
    across, down = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = apply(affine(grid.transform), across, down)
    source = CRS.from_string(SINUSOIDAL if "SR-ORG" in grid.crs_code else grid.crs_code)
    xs, ys = (each.reshape(x.shape) for each in points_in(source, dataset.crs, x, y))
    known = np.isfinite(xs) & np.isfinite(ys)
    xs, ys = np.where(known, xs, 0), np.where(known, ys, 0)
    columns, rows = apply(~dataset.transform, xs, ys)
    turn = _turn(dataset.crs)
    for k in (-2, -1, 1, 2) if turn else ():
        other, other_rows = apply(~dataset.transform, xs + k * (turn or 0), ys)
        fits = (other >= 0) & (other < dataset.width)
        fits &= ~((columns >= 0) & (columns < dataset.width))
        columns, rows = np.where(fits, other, columns), np.where(fits, other_rows, rows)
    return np.where(known, columns, -1), np.where(known, rows, -1)


def points_in(source: CRS, target: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return points in another CRS, flat; infinite for those without a place there."""
    x, y = x.ravel(), y.ravel()
    if source == target:
        return x, y
    try:
        xs, ys = transform(source, target, x, y)
    except CPLE_BaseError:
        # rasterio gives up on all of them for the sake of one.
        if x.size == 1:
            return np.full(1, np.inf), np.full(1, np.inf)
        halves = (slice(x.size // 2), slice(x.size // 2, None))
        (x1, y1), (x2, y2) = (points_in(source, target, x[half], y[half]) for half in halves)
        return np.concatenate([x1, x2]), np.concatenate([y1, y2])
    return np.asarray(xs), np.asarray(ys)


@cache
def _turn(crs: CRS) -> float | None:
    if crs.is_geographic:
        return 360.0
    return WORLD_M if crs.to_epsg() == 3857 else None


def _on_edge(places: Floats) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.abs(places - np.round(places)) < _ON_EDGE_PX
    return near
