"""Writes a Cloud-Optimized GeoTIFF with the pyramid that Earth Engine would make.

mosaic ─► level 0 ─► level 1 ─► … ─► level n     temporary GeoTIFFs, a window at a time
             └──────────┴─── VRT ──────┘  ─► COG
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from rasterio import Affine
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from tileserver.ingest.levels_vrt import levels_vrt
from tileserver.ingest.mosaics import Bools, Mosaic, Values, read_window
from tileserver.ingest.notes import Notes
from tileserver.ingest.pyramids import (
    TOP_SIDE,
    PyramidingPolicy,
    level_sizes,
    off_nodata,
    reduce_2x2,
)

CHUNK_BYTES = 24 * 2**20
"""Bytes of samples read at once, unless a window of 512 x 512 holds more."""

_TILED = {"blockxsize": TOP_SIDE, "blockysize": TOP_SIDE, "num_threads": "all_cpus"}


def make_cog(
    mosaic: Mosaic,
    notes: Notes,
    folder: Path,
    progress: Callable[[int, int], None],
    chunk_bytes: int = CHUNK_BYTES,
) -> Path:
    """Return the path of the COG made in an empty folder, beside the levels it was made from.

    Args:
        mosaic: the image.
        notes: what is said of it beside its pixels.
        folder: where to work; it takes twice the room of the image.
        progress: called with pixels done and in total.
        chunk_bytes: samples read at once, see `CHUNK_BYTES`.
    """
    sizes = level_sizes(mosaic.width, mosaic.height)
    total = 2 * sum(width * height for width, height in sizes)
    done = 0
    for level, (width, height) in enumerate(sizes):
        if level == 0:
            windows = _base_windows(mosaic, chunk_bytes)
        else:
            windows = _halved(mosaic, _level(folder, level - 1), chunk_bytes)
        with _create(mosaic, _level(folder, level), width, height) as dataset:
            for window, values, valid in windows:
                dataset.write(values, window=window)
                if mosaic.has_mask:
                    dataset.write_mask(valid[0], window=window)
                done += window.width * window.height
                progress(done, total)
    raster = _lay_out(mosaic, notes, folder, len(sizes))
    _check_end(raster)
    progress(total, total)
    return raster


def _level(folder: Path, level: int) -> Path:
    return folder / f"level-{level}"


def _create(mosaic: Mosaic, path: Path, width: int, height: int) -> DatasetWriter:
    first = mosaic.pieces[0].dataset
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=mosaic.count,
        dtype=mosaic.dtype,
        # Only so that nothing complains of having none; the VRT has the true ones.
        crs=first.crs or "EPSG:4326",
        transform=first.transform if first.crs else Affine.scale(2),
        tiled=True,
        interleave="band",
        compress="deflate",
        zlevel=1,
        bigtiff="yes",
        **_TILED,
    )


def _windows(width: int, height: int, pixel_bytes: int, chunk_bytes: int) -> Iterator[Window]:
    """Cover a level with windows that start at multiples of 512, full rows when they fit."""
    side = 2 * TOP_SIDE
    columns = max(chunk_bytes // (pixel_bytes * side) // side, 1) * side
    for row in range(0, height, side):
        for column in range(0, width, columns):
            yield Window(column, row, min(columns, width - column), min(side, height - row))


Blocks = Iterator[tuple[Window, Values, Bools]]


def _base_windows(mosaic: Mosaic, chunk_bytes: int) -> Blocks:
    pixel_bytes = mosaic.dtype.itemsize * len(mosaic.band_ids)
    for window in _windows(mosaic.width, mosaic.height, pixel_bytes, chunk_bytes):
        yield window, *read_window(mosaic, window)


def _halved(mosaic: Mosaic, path: Path, chunk_bytes: int) -> Blocks:
    pixel_bytes = mosaic.dtype.itemsize * len(mosaic.band_ids)
    with rasterio.open(path, driver="GTiff") as below:
        for window in _windows(below.width, below.height, pixel_bytes, chunk_bytes):
            values, valid = _reduce(mosaic, *_level_pixels(mosaic, below, window))
            height, width = values.shape[1:]
            yield Window(window.col_off // 2, window.row_off // 2, width, height), values, valid


def _level_pixels(mosaic: Mosaic, dataset: DatasetReader, window: Window) -> tuple[Values, Bools]:
    values: Values = dataset.read(window=window)
    if mosaic.has_mask:
        valid = np.broadcast_to(dataset.read_masks(1, window=window) > 0, values.shape)
    elif mosaic.nodata is None:
        valid = np.ones(values.shape, np.bool_)
    else:
        valid = ~np.isnan(values) if math.isnan(mosaic.nodata) else values != mosaic.fill
    if mosaic.has_alpha:
        valid &= values[-1] > 0
        valid[-1] = values[-1] > 0
    return values, valid


def _reduce(mosaic: Mosaic, values: Values, valid: Bools) -> tuple[Values, Bools]:
    policies = (*mosaic.policies, *[PyramidingPolicy.MEAN] * mosaic.has_alpha)
    bands = zip(values, valid, policies, strict=True)
    halves = [reduce_2x2(*band) for band in bands]
    values, valid = np.stack([half for half, _ in halves]), np.stack([kept for _, kept in halves])
    if mosaic.shares_mask:
        # SAMPLE may mask a pixel that MEAN does not; the one mask keeps pixels valid in all bands.
        valid &= valid.all(axis=0)
    if mosaic.nodata is not None:
        colors = slice(len(mosaic.band_ids))
        values[colors] = off_nodata(values[colors], mosaic.fill)
    if values.dtype.kind == "f":
        valid &= ~np.isnan(values)
    return np.where(valid, values, mosaic.fills), valid


def _lay_out(mosaic: Mosaic, notes: Notes, folder: Path, levels: int) -> Path:
    """Copy the levels into one COG, its overviews being exactly those levels."""
    # GDAL takes the overviews of a VRT's bands from the files named there, and the masks of the
    # overviews from the masks inside those same files.
    sources = folder / "levels.vrt"
    sources.write_bytes(ElementTree.tostring(levels_vrt(mosaic, notes, levels)))
    raster = folder / "raster"
    rasterio.shutil.copy(
        sources,
        raster,
        driver="COG",
        overviews="force_use_existing" if levels > 1 else "none",
        blocksize=TOP_SIDE,
        compress="deflate",
        level=6,
        predictor="yes",
        bigtiff="if_safer",
        num_threads="all_cpus",
    )
    return raster


def _check_end(raster: Path) -> None:
    """Read the last block, as GDAL does not report a full disk when it closes a file."""
    with rasterio.open(raster, driver="GTiff") as dataset:
        corner = Window(dataset.width - 1, dataset.height - 1, 1, 1)
        dataset.read(window=corner)
        dataset.read_masks(window=corner)
