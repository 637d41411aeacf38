"""Tells bands of classes, for which an overview takes the most frequent value, not the mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tileserver.contract.assets import Band
from tileserver.contract.band_kinds import Sample, class_values
from tileserver.contract.band_notes import BandNotes
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.ingest.sources import damaged

_SIDE = 256
_PER_AXIS = 3
"""Windows are sampled in each direction."""
_NO_GRID = PixelGrid(1, 1, AffineTransform(1, 0, -1, 0), "EPSG:4326")


def has_classes(dataset: DatasetReader, index: int, band_id: str, stem: str = "") -> bool:
    """Tell whether a band has classes, from its names and nine windows of its pixels.

    Args:
        dataset: that has the band.
        index: of the band, from 1.
        band_id: its name.
        stem: of the file's name, if the dataset does not have it.

    Raises:
        UnreadableRaster: its pixels cannot be read.
    """
    notes = BandNotes(
        dataset.descriptions[index - 1],
        dataset.units[index - 1] or None,
        dataset.colorinterp[index - 1].name,
    )
    band = Band(band_id, np.dtype(dataset.dtypes[index - 1]), _NO_GRID, notes=notes)
    if band.dtype.kind not in "iu":
        return False
    try:
        samples = list(_samples(dataset, index))
    except (RasterioError, CPLE_BaseError) as exc:
        raise damaged(dataset, exc) from exc
    return bool(class_values(band, stem or PurePath(dataset.name).stem, samples))


def _samples(dataset: DatasetReader, index: int) -> Iterator[Sample]:
    """Yield windows of full resolution, as overviews may have been averaged."""
    for row in _starts(dataset.height):
        for column in _starts(dataset.width):
            window = Window(column, row, _SIDE, _SIDE).intersection(
                Window(0, 0, dataset.width, dataset.height)
            )
            valid = dataset.read_masks(index, window=window) > 0
            yield dataset.read(index, window=window), valid


def _starts(length: int) -> list[int]:
    return sorted({round(at) for at in np.linspace(0, max(length - _SIDE, 0), _PER_AXIS)})
