"""The rasters of these tests, and the arrays they were written from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import Affine

from tests.support.rasterfiles import UTAH, grid_of, noise, write_raster

LOCAL = "projects/localhost/assets"
PUBLIC = "projects/earthengine-public/assets"
SIDE = 128
"""Pixels a side of every local raster; 30 m in EPSG:32612, the corner at UTAH."""
GRID = grid_of(SIDE, SIDE, UTAH, "EPSG:32612")

SCENE = f"{LOCAL}/scene"
"""Four bands of uint16, B2, B3, B4 and B8, 0..4000, everything valid."""
BANDS = ("B2", "B3", "B4", "B8")
HOLES = f"{LOCAL}/holes"
"""One band of int16, b1, nodata -9999 in every seventh pixel."""
HEIGHTS = f"{LOCAL}/heights"
"""One band of float32, elevation, with a mask that hides all but a disc."""
BYTES = f"{LOCAL}/bytes"
"""Three bands of uint8, nodata 0."""
SERIES = f"{LOCAL}/series"
"""Six images, t0 to t5, ten days apart from 2020-04-01: uint16 B4, B8 and QA60, whose bit 10 says
cloud; CLOUD = 50, 40, 30, 20, 10, 0 and NAME = "t0" ..."""
COUNT = 6
CLOUD_BIT = 1 << 10

S2 = "COPERNICUS/S2"
S2_WEST_M, S2_NORTH_M = 622_000.0, 4_214_000.0
"""Corner of its images in EPSG:32610; the point of the example lies in them near the top."""
S2_BEST = "20200613T184921_20200613T185811_T10SFH"
"""The least clouds of those that begin in the time and lie at the place of the example."""
S2_IMAGES = (
    ("20200401T184919_20200401T185452_T10SFH", "2020-04-01T18:58:11Z", 41.5, 0),
    (S2_BEST, "2020-06-13T18:58:11Z", 0.5, 0),
    ("20200718T184921_20200718T185811_T10SFH", "2020-07-18T18:58:11Z", 3.0, 0),
    ("20200315T184921_20200315T185811_T10SFH", "2020-03-15T18:58:11Z", 0.0, 0),
    ("20200901T184921_20200901T185811_T10SFH", "2020-09-01T00:00:00Z", 0.1, 0),
    ("20200620T184921_20200620T185811_T10SGH", "2020-06-20T18:58:11Z", 0.0, 60_000),
)
"""Index, start, CLOUD_COVERAGE_ASSESSMENT, and how far to the east, in metres."""


def scene() -> NDArray[np.uint16]:
    """Return the values of SCENE, shape (4, SIDE, SIDE)."""
    values: NDArray[np.uint16] = noise(4, SIDE, SIDE, "uint16", seed=1) % 4001
    return values


def holes() -> np.ma.MaskedArray[Any, Any]:
    """Return the values of HOLES, shape (SIDE, SIDE)."""
    values = (noise(1, SIDE, SIDE, "int16", seed=2)[0] % 1000).astype(np.int16)
    values.ravel()[::7] = -9999
    return np.ma.masked_equal(values, -9999)


def heights() -> np.ma.MaskedArray[Any, Any]:
    """Return the values of HEIGHTS, shape (SIDE, SIDE)."""
    middle = (SIDE - 1) / 2
    far = np.hypot(*(np.mgrid[0:SIDE, 0:SIDE] - middle)) > SIDE * 0.4
    return np.ma.masked_array(noise(1, SIDE, SIDE, "float32", seed=3)[0], far)


def picture() -> np.ma.MaskedArray[Any, Any]:
    """Return the values of BYTES, shape (3, SIDE, SIDE)."""
    return np.ma.masked_equal(noise(3, SIDE, SIDE, "uint8", seed=4), 0)


def series() -> NDArray[np.uint16]:
    """Return the values of SERIES, shape (COUNT, 3, SIDE, SIDE)."""
    values: NDArray[np.uint16] = noise(COUNT * 3, SIDE, SIDE, "uint16", seed=5) % 5000
    values = values.reshape(COUNT, 3, SIDE, SIDE)
    clouds = noise(COUNT, SIDE, SIDE, "uint8", seed=6) < 90
    # Somewhere it is never clear.
    clouds[:, :5, :5] = True
    values[:, 2] = np.where(clouds, CLOUD_BIT, 0) | (values[:, 2] & 3)
    return values


def start_of(number: int) -> datetime:
    """Return when an image of SERIES begins."""
    return datetime(2020, 4, 1, 10, 30, tzinfo=UTC) + timedelta(days=10 * number)


def millis(time: datetime) -> int:
    """Return a time as Earth Engine has it."""
    return round(time.timestamp() * 1000)


def write_all(top: Path) -> None:
    """Write every raster below a folder, `local` and `public`."""
    for name in ("local/series", "local/folder", f"public/{S2}"):
        (top / name).mkdir(parents=True)
    local = top / "local"
    write_raster(local / "scene.tif", scene(), descriptions=BANDS)
    about: dict[str, Any] = {"properties": {"CLOUD_COVER": 3.25, "SENSOR": "made up"}}
    times = {"startTime": "2020-06-01T18:49:19Z", "endTime": "2020-06-01T18:49:20Z"}
    _describe(local / "scene.tif", about | times)
    write_raster(local / "holes.tif", holes().data[np.newaxis], nodata=-9999)
    high = heights()
    descriptions = ("elevation",)
    write_raster(
        local / "heights.tif",
        high.data[np.newaxis],
        mask=~np.ma.getmaskarray(high),
        descriptions=descriptions,
    )
    write_raster(local / "bytes.tif", picture().data, nodata=0)
    write_raster(local / "folder/inner.tif", holes().data[np.newaxis], nodata=-9999)
    (local / "series/collection.json").write_text('{"properties": {"title": "A series"}}')
    for number, values in enumerate(series()):
        path = write_raster(
            local / f"series/t{number}.tif", values, descriptions=("B4", "B8", "QA60")
        )
        about = {
            "startTime": start_of(number).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "properties": {"CLOUD": 50 - 10 * number, "NAME": f"t{number}"},
        }
        _describe(path, about)
    _write_s2(top / f"public/{S2}")


def _write_s2(folder: Path) -> None:
    # What public collections have, and those who look for images by time ask for.
    years = [millis(datetime(year, 1, 1, tzinfo=UTC)) for year in (2015, 2026)]
    (folder / "collection.json").write_text(json.dumps({"properties": {"date_range": years}}))
    for seed, (index, start, clouds, east_m) in enumerate(S2_IMAGES):
        # The best one ends a little before the grid of the example does.
        height, width = (800, 700) if index == S2_BEST else (100, 300)
        values = noise(4, height, width, "uint16", seed=seed) % 3500
        path = write_raster(
            folder / f"{index}.tif",
            values,
            crs="EPSG:32610",
            transform=Affine(10.0, 0.0, S2_WEST_M + east_m, 0.0, -10.0, S2_NORTH_M),
            nodata=0,
            descriptions=BANDS,
        )
        _describe(path, {"startTime": start, "properties": {"CLOUD_COVERAGE_ASSESSMENT": clouds}})


def _describe(path: Path, about: dict[str, Any]) -> None:
    path.with_suffix(".json").write_text(json.dumps(about))
