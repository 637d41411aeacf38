"""Opens the sources to ingest, one by one, and checks each of them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from tileserver.contract.grids import AffineTransform
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.geo.crs import NoMap, code_of_file
from tileserver.rasters.datasets import open_raster
from tileserver.rasters.files import OpenFile, Place
from tileserver.rasters.settling import ends_early

_MAX_WORDS = 200
_MAX_BLOCK_BYTES = 512_000_000
"""Of a source; one source is read at a time, and its blocks become smaller ones."""


def open_source(path: Path) -> DatasetReader:
    """Open a GeoTIFF, and nothing beside it or named in it.

    Raises:
        UnreadableRaster: it is missing, no GeoTIFF, or cut off.
    """
    if not path.is_file():
        raise UnreadableRaster(f"{path}: no such file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = open_raster(str(path.absolute()), str(path), max_block_bytes=_MAX_BLOCK_BYTES)
    with OpenFile(os.open(path, os.O_RDONLY), Place(str(path.parent), path.name)) as file:
        if ends_early(file):
            dataset.close()
            raise UnreadableRaster(
                f"{path}: the file ends before its last pixels; it was not copied or written to "
                "its end"
            )
    return dataset


def damaged(dataset: DatasetReader, exc: Exception) -> UnreadableRaster:
    """Return the error for a source whose pixels cannot be read, with GDAL's own words."""
    words = " ".join(str(exc.__cause__ or exc).split())[:_MAX_WORDS]
    return UnreadableRaster(f"{dataset.name}: damaged, {words}")


def check_source(dataset: DatasetReader) -> None:
    """Check that a source has pixels that can be averaged, and a place on Earth or none at all.

    Raises:
        InvalidRequest: it has not.
        UnreadableRaster: its CRS may not be read.
    """
    has_points = dataset.crs is None and bool(dataset.gcps[0])
    crs = dataset.gcps[1] if has_points else dataset.crs
    if crs is not None:
        _check_crs(crs, dataset.name)
    if crs is not None and not has_points and not is_placed(dataset):
        raise InvalidRequest(f"{dataset.name}: has no affine transform to its CRS")
    if not color_bands(dataset):
        raise InvalidRequest(f"{dataset.name}: has no band but alpha")
    for name in dataset.dtypes:
        if np.dtype(name).kind not in "iuf":
            raise InvalidRequest(f"{dataset.name}: {name} pixels, expected integers or floats")


def _check_crs(crs: CRS, name: str) -> None:
    try:
        code_of_file(crs, name)
    except UnreadableRaster as exc:
        # That of another planet is kept: the raster is served as a picture.
        if not isinstance(exc.__cause__, NoMap):
            raise


def is_placed(dataset: DatasetReader) -> bool:
    """Tell whether a source has a geotransform that can be used."""
    transform = transform_of(dataset)
    return transform != AffineTransform(scale_x=1, scale_y=1) and bool(transform.determinant)


def transform_of(dataset: DatasetReader) -> AffineTransform:
    """Return where the pixels lie, as our own type."""
    a, b, c, d, e, f = dataset.transform[:6]
    return AffineTransform(a, b, c, d, e, f)


def color_bands(dataset: DatasetReader) -> tuple[int, ...]:
    """Return the indexes of the bands but alpha, from 1."""
    colors = zip(dataset.indexes, dataset.colorinterp, strict=True)
    return tuple(index for index, color in colors if color != ColorInterp.alpha)
