"""File formats of rasters: GDAL's drivers by name, and the suffixes of their files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

GEOTIFF = "GTiff"
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    GEOTIFF: (".tif", ".tiff"),
    "JP2OpenJPEG": (".jp2", ".j2k"),
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "HFA": (".img",),
    "AAIGrid": (".asc",),
    "SRTMHGT": (".hgt",),
}
"""Of all formats that can be turned on; a file is opened with the driver of its suffix alone."""
CUBES: Mapping[str, tuple[str, ...]] = {"netCDF": (".nc", ".nc4"), "Zarr": (".zarr",)}
"""Of formats of variables with a dimension of time, which are not GDAL's to read."""
_DRIVERS = {suffix: driver for driver, suffixes in SUFFIXES.items() for suffix in suffixes}


def driver_of(path: str) -> str:
    """Return the driver that may open a file, by its suffix; that of GeoTIFF for any other.

    >>> driver_of("N45E006.hgt"), driver_of("scene.TIF"), driver_of("scene")
    ('SRTMHGT', 'GTiff', 'GTiff')
    """
    return _DRIVERS.get(os.path.splitext(path)[1].lower(), GEOTIFF)


def suffixes_of(drivers: Sequence[str]) -> tuple[str, ...]:
    """Return the suffixes of the files of some drivers, in lower case."""
    return tuple(suffix for driver in drivers for suffix in {**SUFFIXES, **CUBES}[driver])


def is_vrt(path: str) -> bool:
    """Tell whether a file is named as a virtual raster, which is read without GDAL."""
    name = os.path.basename(path)
    return name.lower().endswith(".vrt") and not name.startswith(".")
