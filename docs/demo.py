"""Write the mosaic and the time series of the demo from its elevations: `python docs/demo.py`.

- `sierra_nevada_pieces/`: four files that overlap, of three CRSs, three resolutions, two types.
- `sierra_nevada_sunlight/`: twelve days, computed from the elevations and the height of the sun.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject

DEMO = Path(__file__).parents[1] / "tileserver" / "demo"
ELEVATIONS = DEMO / "srtm_sierra_nevada.tif"
YEAR = 2025
_EARTH_M = 111_320.0
"""A degree of latitude."""
_COARSE = 4
"""Pixels of the elevations on a side of one of the series."""


def main() -> None:
    """Write all files."""
    write_pieces(DEMO / "sierra_nevada_pieces")
    write_sunlight(DEMO / "sierra_nevada_sunlight")


def write_pieces(folder: Path) -> None:
    """Write the four files of the mosaic."""
    folder.mkdir(exist_ok=True)
    with rasterio.open(ELEVATIONS) as dataset:
        elevation, lattice = dataset.read(1), dataset.transform
    pieces = [
        ("north_west", slice(0, 560), slice(0, 560), "EPSG:4326", None, "int16"),
        ("north_east", slice(0, 560), slice(480, 1024), "EPSG:32611", 180.0, "int16"),
        ("south_west", slice(480, 1024), slice(0, 560), "EPSG:3857", 240.0, "uint16"),
        ("south_east", slice(480, 1024), slice(480, 1024), "EPSG:32611", 180.0, "uint16"),
    ]
    for name, rows, columns, crs, side_m, dtype in pieces:
        part = elevation[rows, columns]
        at = moved(lattice, columns.start, rows.start)
        if side_m is not None:
            part, at = warped(part, at, crs, side_m)
        write(folder / f"{name}.tif", part.astype(dtype), crs, at, nodata=0, overviews=(2, 4))


def write_sunlight(folder: Path) -> None:
    """Write the twelve files of the series."""
    folder.mkdir(exist_ok=True)
    with rasterio.open(ELEVATIONS) as dataset:
        elevation, lattice = dataset.read(1).astype(np.float64), dataset.transform
    count = elevation.shape[0] // _COARSE
    coarse = elevation.reshape(count, _COARSE, count, _COARSE).mean(axis=(1, 3))
    at = Affine(lattice.a * _COARSE, 0, lattice.c, 0, lattice.e * _COARSE, lattice.f)
    for month in range(1, 13):
        day = datetime(YEAR, month, 21, tzinfo=UTC)
        share = np.rint(100 * sunlight(coarse, at, day)).astype(np.uint8)
        write(folder / f"{day:%Y-%m-%d}.tif", share, "EPSG:4326", at, overviews=(2,))


def sunlight(elevation: NDArray[np.float64], at: Affine, day: datetime) -> NDArray[np.float64]:
    """Return the share of full sunlight that falls on the ground at noon, 0 to 1.

    That is the cosine of the angle between the sun and the ground; other mountains' shadows are
    left out.

    Args:
        elevation: metres, north up, shape (height, width).
        at: of its pixels, in degrees.
        day: the day.
    """
    latitude = at.f + at.e * (np.arange(len(elevation)) + 0.5)
    metres_down = -at.e * _EARTH_M
    metres_across = at.a * _EARTH_M * np.cos(np.radians(latitude))[:, np.newaxis]
    down, across = np.gradient(elevation)
    to_east, to_south = across / metres_across, down / metres_down
    sun = np.radians(90 - latitude + declination(day))[:, np.newaxis]
    # The normal is (-to_east, -to_south, 1), scaled, and at noon the sun is in the south.
    found = (np.sin(sun) - np.cos(sun) * to_south) / np.sqrt(1 + to_east**2 + to_south**2)
    shares: NDArray[np.float64] = np.clip(found, 0, 1)
    return shares


def declination(day: datetime) -> float:
    """Return the latitude above which the sun stands, in degrees."""
    of_year = day.timetuple().tm_yday
    return -23.44 * math.cos(2 * math.pi * (of_year + 10) / 365.24)


def warped(
    values: NDArray[Any], at: Affine, crs: str, side_m: float
) -> tuple[NDArray[Any], Affine]:
    """Return elevations in another CRS, averaged; 0 where there are none."""
    height, width = values.shape
    bounds = (at.c, at.f + at.e * height, at.c + at.a * width, at.f)
    new, columns, rows = calculate_default_transform(
        "EPSG:4326", crs, width, height, *bounds, resolution=side_m
    )
    found = np.zeros((rows, columns), values.dtype)
    reproject(
        values, found, src_transform=at, src_crs="EPSG:4326", dst_transform=new, dst_crs=crs,
        dst_nodata=0, resampling=Resampling.average,
    )  # fmt: skip
    return found, new


def moved(at: Affine, columns: int, rows: int) -> Affine:
    """Return the transform of a window."""
    return Affine(at.a, 0, at.c + at.a * columns, 0, at.e, at.f + at.e * rows)


def write(
    path: Path,
    values: NDArray[Any],
    crs: str,
    at: Affine,
    nodata: float | None = None,
    overviews: tuple[int, ...] = (),
) -> None:
    """Write one band as a small GeoTIFF with overviews."""
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype.name, count=1, width=width, height=height,
        crs=crs, transform=at, nodata=nodata, compress="deflate", zlevel=9, predictor=2, tiled=True,
        blockxsize=256, blockysize=256,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
        dataset.set_band_description(1, "sunlight" if nodata is None else "elevation")
    options = {"COMPRESS_OVERVIEW": "DEFLATE", "PREDICTOR_OVERVIEW": "2", "ZLEVEL_OVERVIEW": "9"}
    with rasterio.Env(**options), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews(overviews, Resampling.average)


if __name__ == "__main__":
    main()
