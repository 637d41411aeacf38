"""GeoTIFF, in memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rasterio import Affine
from rasterio.errors import CRSError
from rasterio.io import MemoryFile

from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import crs_of

_TILE = 256
_STRIPS_UP_TO = 512
"""Pixels on a side; what is larger is tiled."""


def write_geotiff(bands: BandArrays, grid: PixelGrid) -> bytes:
    """Return a classic TIFF, deflated, with the grid's CRS and transform; masked pixels are 0.

    Band ids become band descriptions. float16, which TIFF has no reader for, becomes float32.

    Raises:
        InvalidRequest: the grid's CRS is not known, or a GeoTIFF cannot tell it.
    """
    values = bands.masked_to_zero()
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    with MemoryFile() as memory:
        try:
            dataset = memory.open(**_profile(values, grid))
        except CRSError as exc:
            raise InvalidRequest(
                f"{grid.crs_code[:40]!r} cannot be told in a GeoTIFF; expected another CRS."
            ) from exc
        with dataset:
            dataset.write(values)
            dataset.descriptions = bands.ids
        return bytes(memory.getbuffer())


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
        "transform": _affine(grid),
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


def _affine(grid: PixelGrid) -> Affine:
    members = list(grid.transform.members)
    if [abs(member) for member in members] == [1, 0, 0, 0, 1, 0]:
        # GDAL takes this for no georeferencing at all and leaves it out; one denormal off is not.
        members[2] = math.ulp(0.0)
    return Affine(*members)
