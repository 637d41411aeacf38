"""GeoTIFF, in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import Affine, Env
from rasterio.errors import CRSError
from rasterio.io import DatasetWriter, MemoryFile

from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import crs_of

_TILE = 256
_STRIPS_UP_TO = 512
"""Pixels on a side; what is larger is tiled."""


@dataclass(frozen=True, slots=True)
class Extras:
    """The metadata of a GeoTIFF, beside its values."""

    nodata: float | None = None
    """Masked pixels have it; without one floats are NaN, and integers get a mask of their own."""
    colors: Sequence[str] = ()
    """Hex colours of the values 0, 1, 2 … of one band of bytes."""
    scales: Sequence[tuple[float | None, float | None]] = ()
    """Scale and offset of each band."""


def write_geotiff(bands: BandArrays, grid: PixelGrid, extras: Extras | None = None) -> bytes:
    """Return a classic TIFF, deflated, with the grid's CRS and transform.

    Masked pixels have a nodata value as in Earth Engine's files, unless extras say otherwise: 0 of
    an unsigned type, the least of a signed one, -inf of floats. The file names it only if a pixel
    is masked, so that valid zeros of a whole image stay valid; beside masked pixels they are lost.
    Band ids become band descriptions. float16, which TIFF has no reader for, becomes float32;
    64-bit integers become float64, as Earth Engine writes them, unless there are extras.

    Raises:
        InvalidRequest: the grid's CRS is not known, or a GeoTIFF cannot tell it.
    """
    if extras is None and bands.values.dtype.name in ("int64", "uint64"):
        bands = replace(bands, values=bands.values.astype(np.float64))
    nodata = earth_engine_nodata(bands) if extras is None else _nodata(bands, extras)
    values = bands.masked_to_zero() if nodata is None else _filled(bands, nodata)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    with Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        try:
            dataset = memory.open(**_profile(values, grid), nodata=nodata)
        except CRSError as exc:
            raise InvalidRequest(
                f"{grid.crs_code[:40]!r} cannot be told in a GeoTIFF; expected another CRS."
            ) from exc
        with dataset:
            dataset.write(values)
            dataset.descriptions = bands.ids
            if extras is not None:
                _tell(dataset, bands, extras, nodata)
        return bytes(memory.getbuffer())


def earth_engine_nodata(bands: BandArrays) -> float | None:
    """Return the value that Earth Engine gives masked pixels of a type; None if none is masked.

    geedim 2 lists them (`geedim/image.py`, `_nodata_vals`), as found in the service's files.
    """
    if bands.valid.all():
        return None
    dtype = bands.values.dtype
    return -math.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _nodata(bands: BandArrays, extras: Extras) -> float | None:
    """Return the value of masked pixels; None if there is none that the type can hold."""
    dtype = bands.values.dtype
    if dtype.kind == "f":
        is_whole = extras.nodata is None and bool(bands.valid.all())
        return None if is_whole else (math.nan if extras.nodata is None else extras.nodata)
    if extras.nodata is None or not math.isfinite(extras.nodata):
        return None
    limits = np.iinfo(dtype)
    fits = limits.min <= extras.nodata <= limits.max and extras.nodata == int(extras.nodata)
    return extras.nodata if fits else None


def _filled(bands: BandArrays, nodata: float) -> NDArray[Any]:
    value = int(nodata) if bands.values.dtype.kind in "iu" else nodata
    return np.where(bands.valid, bands.values, bands.values.dtype.type(value))


def _tell(dataset: DatasetWriter, bands: BandArrays, extras: Extras, nodata: float | None) -> None:
    if extras.scales and any(scale != (None, None) for scale in extras.scales):
        dataset.scales = [1.0 if scale is None else scale for scale, _ in extras.scales]
        dataset.offsets = [offset or 0.0 for _, offset in extras.scales]
    if extras.colors and bands.values.dtype == np.uint8:
        table = {i: (*bytes.fromhex(color), 255) for i, color in enumerate(extras.colors)}
        dataset.write_colormap(1, table)
    if nodata is None and not bands.valid.all():
        dataset.write_mask(bands.valid.all(axis=0))


def _profile(values: np.ndarray[Any, Any], grid: PixelGrid) -> dict[str, Any]:
    count, height, width = values.shape
    is_rgb = count == 3 and values.dtype == np.uint8
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": values.dtype.name,
        "count": count,
        "height": height,
        "width": width,
        "crs": crs_of(grid.crs_code),
        "transform": rasterio_transform(grid),
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 3 if values.dtype.kind == "f" else 2,
        "interleave": "pixel",
        # Left to itself GDAL takes the fourth of four byte bands for alpha.
        "photometric": "rgb" if is_rgb else "minisblack",
        "alpha": "no",
        "bigtiff": "no",
    }
    if max(height, width) > _STRIPS_UP_TO:
        profile |= {"tiled": True, "blockxsize": _TILE, "blockysize": _TILE}
    return profile


def rasterio_transform(grid: PixelGrid) -> Affine:
    """Return the transform of a grid as GDAL keeps it in a file."""
    members = list(grid.transform.members)
    if [abs(member) for member in members] == [1, 0, 0, 0, 1, 0]:
        # GDAL takes this for no georeferencing at all and leaves it out; one denormal off is not.
        members[2] = math.ulp(0.0)
    return Affine(*members)
