"""Overlapping files on one lattice, and how a mosaic of them is asked for."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import Affine

from tests.support.rasterfiles import UTAH, write_raster
from tests.support.waiting import until
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.mosaics.engine import Mosaics

NAME = "projects/localhost/assets/scenes"
PLACES = {"a": (0, 0), "b": (40, 20), "c": (20, 50), "d": (70, 70)}
"""Columns and rows at which the files of `write_overlapping` begin."""
SIDE = 64


def shifted(columns: int, rows: int) -> Affine:
    """Return the transform `UTAH` of a window that begins at a column and row."""
    return Affine(30.0, 0.0, UTAH.c + 30 * columns, 0.0, -30.0, UTAH.f - 30 * rows)


def write_overlapping(folder: Path, dtype: str = "int16", nodata: float = -1) -> list[Path]:
    """Write four files on one lattice, which overlap and have holes; return them by name."""
    rng = np.random.default_rng(8)
    paths = []
    for name, (column, row) in PLACES.items():
        values = rng.integers(0, 100, (2, SIDE, SIDE)).astype(dtype)
        values[rng.random(values.shape) < 0.3] = nodata
        transform = shifted(column, row)
        path = folder / f"{name}.tif"
        paths.append(write_raster(path, values, transform=transform, nodata=nodata, overviews=()))
    return paths


def whole(mosaics: Mosaics) -> Mosaics:
    """Return mosaics once all their files are known."""
    for index in mosaics.indexes.values():
        index.start()

        def is_known(index: Any = index) -> bool:
            snapshot = index.known()
            return bool(snapshot and snapshot.asset.mosaic.is_complete)

        until(is_known)
    return mosaics


def read(
    mosaics: Mosaics,
    grid: PixelGrid | None = None,
    bands: tuple[str, ...] = (),
    version: str = "",
) -> BandArrays:
    """Return the pixels of the mosaic "scenes" on a grid, or on its native one."""
    request = PixelRequest(NAME, ImageFileFormat.NPY, grid, band_ids=bands, asset_version=version)
    return mosaics.bands(request)


def masked(bands: BandArrays) -> NDArray[Any]:
    """Return values as floats, NaN where they are masked."""
    return np.where(bands.valid, bands.values.astype(np.float64), np.nan)
