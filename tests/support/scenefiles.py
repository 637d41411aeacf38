"""A scene of a file a band, as Sentinel-2's: types and resolutions differ."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rasterio import Affine

from tests.support.rasterfiles import UTAH, noise, write_raster


class SceneBand(NamedTuple):
    """A band, and how its file is written."""

    id: str
    pixel_m: int
    dtype: str
    nodata: float | None = None


BANDS = (
    SceneBand("B01", 60, "uint16"),
    SceneBand("B02", 10, "uint16", 0),
    SceneBand("B04", 10, "int16"),
    SceneBand("B8A", 20, "float32", -1),
    SceneBand("B11", 20, "uint16"),
    SceneBand("SCL", 20, "uint8"),
)
"""In the order of the asset."""
SIDE_M = 3840


def utah(pixel_m: float) -> Affine:
    """Return the transform of pixels of a size at the place of all of them, in EPSG:32612."""
    return Affine(pixel_m, 0, UTAH.c, 0, -pixel_m, UTAH.f)


def write_scene(folder: Path, prefix: str = "", overviews: tuple[int, ...] = (2, 4)) -> Path:
    """Write a file a band into a folder, each of noise of its own, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, band in enumerate(BANDS):
        px = SIDE_M // band.pixel_m
        write_raster(
            folder / f"{prefix}{band.id}.tif",
            noise(1, px, px, band.dtype, seed),
            transform=utah(band.pixel_m),
            nodata=band.nodata,
            overviews=overviews,
        )
    return folder
