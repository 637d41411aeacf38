"""GeoTIFFs made from NumPy arrays, with a place on Earth that the test knows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.enums import ColorInterp, Resampling

from tileserver.contract.grids import AffineTransform, PixelGrid

UTAH = Affine(30.0, 0.0, 400_000.0, 0.0, -30.0, 4_500_000.0)
"""Near Great Salt Lake, in EPSG:32612."""


def write_raster(
    path: Path,
    values: NDArray[Any],
    crs: str = "EPSG:32612",
    transform: Affine = UTAH,
    nodata: float | None = None,
    mask: NDArray[np.bool_] | None = None,
    alpha: bool = False,
    overviews: Sequence[int] = (2, 4),
    resampling: str = "average",
    tiled: bool = True,
    descriptions: Sequence[str] | None = None,
    **profile: Any,
) -> Path:
    """Write a GeoTIFF and return its path.

    Args:
        path: where to.
        values: shape (bands, height, width); its dtype is the file's.
        crs: anything rasterio takes.
        transform: pixel corner to CRS.
        nodata: the value that means masked.
        mask: shape (height, width), True where valid; written inside the file.
        alpha: write the mask as one more band in place of a mask.
        overviews: factors of the levels to build inside the file.
        resampling: how they are built, by rasterio's name.
        tiled: blocks of 256 (or profile's), else strips.
        descriptions: one a band.
        profile: creation options, which win over the ones made here.
    """
    count, height, width = values.shape
    options: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": values.dtype.name,
        "count": count + alpha,
        "height": height,
        "width": width,
        "crs": crs,
        "transform": transform,
        "nodata": nodata,
        "compress": "deflate",
        "zlevel": 1,
    }
    if tiled:
        options |= {"tiled": True, "blockxsize": 256, "blockysize": 256}
    if alpha:
        options["alpha"] = "unspecified"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_PAM_ENABLED=False):
        with rasterio.open(path, "w", **(options | profile)) as dataset:
            dataset.write(values, list(range(1, count + 1)))
            if descriptions:
                dataset.descriptions = (*descriptions, *["alpha"] * alpha)
            if alpha:
                _write_alpha(dataset, count + 1, values, mask)
            elif mask is not None:
                dataset.write_mask(mask)
        if overviews:
            with rasterio.open(path, "r+") as dataset:
                dataset.build_overviews(list(overviews), Resampling[resampling])
    return path


def _write_alpha(
    dataset: Any, index: int, values: NDArray[Any], mask: NDArray[np.bool_] | None
) -> None:
    dataset.colorinterp = [*dataset.colorinterp[: index - 1], ColorInterp.alpha]
    shown = np.ones(values.shape[1:], bool) if mask is None else mask
    opaque = 255 if values.dtype == np.uint8 else 1
    dataset.write((shown * opaque).astype(values.dtype), index)


def affine(transform: AffineTransform) -> Affine:
    """Return a transform as rasterio has it."""
    t = transform
    return Affine(t.scale_x, t.shear_x, t.translate_x, t.shear_y, t.scale_y, t.translate_y)


def grid_of(width: int, height: int, transform: Affine, crs_code: str) -> PixelGrid:
    """Return the grid that rasterio would give a width, height, transform and CRS."""
    return PixelGrid(width, height, AffineTransform(*tuple(transform)[:6]), crs_code)


def noise(
    count: int, height: int, width: int, dtype: str = "uint16", seed: int = 0
) -> NDArray[Any]:
    """Return values that differ from pixel to pixel, over the whole range of a dtype."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 1000, (count, height, width)).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, (count, height, width), kind, endpoint=True)


def ramp(height: int, width: int, per_column: float = 1.0, per_row: float = 0.0) -> NDArray[Any]:
    """Return one float32 band that rises evenly, shape (1, height, width)."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return (columns * per_column + rows * per_row).astype(np.float32)[np.newaxis]


def apply(transform: Affine, columns: Any, rows: Any) -> tuple[Any, Any]:
    """Return transform * (columns, rows), which affine 2 and 3 spell differently."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * columns + b * rows + c, d * columns + e * rows + f
