"""An image written as GeoTIFFs, a piece at a time, in memory that does not grow with the image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest
from tileserver.exports.tasks import Progress
from tileserver.geo.crs import crs_of
from tileserver.rendering.geotiff import rasterio_transform

MAX_PIXELS = 100_000_000
_MAX_FILES = 10_000
"""Of one image."""
"""Earth Engine's default of `maxPixels`."""
DEFAULT_TILE = 256
_PIECE_BYTES = 16_000_000
_MAX_PIECE = 2048
_EARTH_ENGINES = {"int64": np.float64, "uint64": np.float64, "float16": np.float32}


@dataclass(frozen=True)
class ImageOptions:
    """How an image is written."""

    max_pixels: int = MAX_PIXELS
    cloud_optimized: bool = False
    nodata: float | None = None
    file_width: int | None = None
    """Of each file; None is one file for all."""
    file_height: int | None = None
    tile: int = DEFAULT_TILE
    """Pixels a side of the blocks of a file."""
    skips_empty: bool = False


class Planned(Protocol):
    """An image whose pixels are computed a piece at a time."""

    @property
    def grid(self) -> PixelGrid:
        """Its whole grid."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its bands."""
        ...

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...]:
        """The types of its bands."""
        ...

    def piece(self, grid: PixelGrid) -> BandArrays:
        """Return the bands on a part of the grid."""
        ...


def check_image(image: Planned, options: ImageOptions) -> None:
    """Raise, in Earth Engine's words, if an image cannot be exported."""
    names = sorted({each.name.capitalize() for each in image.dtypes})
    if len(names) > 1:
        raise InvalidRequest(
            "Exported bands must have compatible data types; found inconsistent types: "
            f"{' and '.join(names)}."
        )
    pixels = image.grid.width * image.grid.height
    if pixels > options.max_pixels:
        raise InvalidRequest(
            f"Export too large: specified {pixels} pixels (max: {options.max_pixels}). Specify "
            "higher maxPixels value if you intend to export a large area."
        )
    width, height = options.file_width or image.grid.width, options.file_height or image.grid.height
    files = math.ceil(image.grid.width / width) * math.ceil(image.grid.height / height)
    if files > _MAX_FILES:
        raise InvalidRequest(
            f"The image takes {files} files of {width} x {height} pixels, at most {_MAX_FILES} are "
            "written; expected larger fileDimensions."
        )


def files_of(grid: PixelGrid, options: ImageOptions) -> Iterator[tuple[str, PixelGrid]]:
    """Yield the ending of the name of each file, without the suffix, and its grid.

    Several are told apart by the row and the column of their corners, as in Earth Engine.
    """
    width, height = options.file_width or grid.width, options.file_height or grid.height
    is_one = width >= grid.width and height >= grid.height
    for row in range(0, grid.height, height):
        for column in range(0, grid.width, width):
            size = min(width, grid.width - column), min(height, grid.height - row)
            ending = "" if is_one else f"-{row:010d}-{column:010d}"
            yield ending, grid.window(Window(column, row, *size))


def write_image(
    image: Planned, grid: PixelGrid, options: ImageOptions, path: str, progress: Progress
) -> None:
    """Write a part of an image to a file.

    Args:
        image: checked by `check_image`.
        grid: of the file.
        options: how it is written.
        path: of the file.
        progress: takes the share that is done.
    """
    dtype = np.dtype(_EARTH_ENGINES.get(image.dtypes[0].name, image.dtypes[0]))
    profile = _profile(grid, len(image.ids), dtype, options)
    done, has_masked = 0, False
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.descriptions = image.ids
        for window in _pieces(grid, options.tile, len(image.ids) * dtype.itemsize):
            arrays = image.piece(grid.window(window))
            nodata = _nodata(arrays, dtype, options)
            is_masked = not arrays.valid.all()
            has_masked |= is_masked
            if not (options.skips_empty and not arrays.valid.any()):
                where = ((window.row, window.bottom), (window.column, window.right))
                dataset.write(_filled(arrays, dtype, nodata), window=where)
            done += window.width * window.height
            progress(done / (grid.width * grid.height))
        if has_masked or options.nodata is not None:
            dataset.nodata = _declared(dtype, options)


def make_cloud_optimized(path: str, target: str) -> None:
    """Write a GeoTIFF again, in the layout of a Cloud-Optimized GeoTIFF with overviews."""
    from rasterio.shutil import copy

    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        copy(path, target, driver="COG", compress="DEFLATE", bigtiff="IF_SAFER", num_threads="1")


def _declared(dtype: np.dtype[Any], options: ImageOptions) -> float:
    if options.nodata is not None:
        return options.nodata
    return -math.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _nodata(arrays: BandArrays, dtype: np.dtype[Any], options: ImageOptions) -> float:
    value = _declared(dtype, options)
    if dtype.kind in "iu" and not (
        np.iinfo(dtype).min <= value <= np.iinfo(dtype).max and value == int(value)
    ):
        raise InvalidRequest(f"noData: {value:g} is no value of {dtype.name}.")
    return value


def _filled(arrays: BandArrays, dtype: np.dtype[Any], nodata: float) -> NDArray[Any]:
    value = int(nodata) if dtype.kind in "iu" else nodata
    values = arrays.values.astype(dtype, copy=False)
    return np.where(arrays.valid, values, dtype.type(value))


def _profile(
    grid: PixelGrid, count: int, dtype: np.dtype[Any], options: ImageOptions
) -> dict[str, Any]:
    is_rgb = count == 3 and dtype == np.uint8
    return {
        "driver": "GTiff",
        "dtype": dtype.name,
        "count": count,
        "height": grid.height,
        "width": grid.width,
        "crs": crs_of(grid.crs_code),
        "transform": rasterio_transform(grid),
        "tiled": True,
        "blockxsize": options.tile,
        "blockysize": options.tile,
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 3 if dtype.kind == "f" else 2,
        "interleave": "pixel",
        "photometric": "rgb" if is_rgb else "minisblack",
        "alpha": "no",
        "bigtiff": "if_safer",
        "sparse_ok": options.skips_empty,
    }


def _pieces(grid: PixelGrid, tile: int, pixel_bytes: int) -> Iterator[Window]:
    """Yield windows made of whole blocks, in the order of the file."""
    side = math.isqrt(_PIECE_BYTES // pixel_bytes) // tile * tile
    side = max(tile, min(side, max(_MAX_PIECE // tile, 1) * tile))
    for row in range(0, grid.height, side):
        for column in range(0, grid.width, side):
            size = min(side, grid.width - column), min(side, grid.height - row)
            yield Window(column, row, *size)
