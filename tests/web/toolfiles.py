"""Rasters for the tools of the page: heights with a unit, named classes, images of four days."""

import json
from pathlib import Path

import numpy as np
import rasterio
from rasterio.warp import transform

from tests.mosaics.files import shifted
from tests.support.rasterfiles import write_raster

SIDE = 256
DAYS = {"20250105": 40, "20250310": 90, "20250601": 150, "20250701": 220}
"""The days of the images, and the value of all their pixels."""
CLASSES = {1: ("Water", "2060c0"), 2: ("Forest", "207030"), 5: ("Town", "c03030")}


def write_files(folder: Path) -> Path:
    """Write the files below a folder, all of one place."""
    row, column = np.mgrid[0:SIDE, 0:SIDE]
    heights = (1000 + 2 * column + row).astype("float32")
    heights[:40, :40] = -9999
    path = write_raster(folder / "dem.tif", heights[np.newaxis], nodata=-9999)
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ("m",)
    values = np.full((1, SIDE, SIDE), 1, "uint8")
    values[:, 64:, :] = 2
    values[:, 192:, :] = 5
    write_raster(folder / "cover.tif", values, overviews=(2,), resampling="mode")
    more = {f"SCENE_PROPERTY_{number}": number * 11 for number in range(9)}
    properties = more | {
        "b1_class_values": list(CLASSES),
        "b1_class_names": [name for name, _ in CLASSES.values()],
        "b1_class_palette": [color for _, color in CLASSES.values()],
    }
    (folder / "cover.json").write_text(json.dumps({"properties": properties}))
    scenes = folder / "scenes"
    scenes.mkdir()
    for day, value in DAYS.items():
        image = np.full((1, SIDE, SIDE), value, "uint8")
        write_raster(scenes / f"x_{day}.tif", image, transform=shifted(0, 0), overviews=())
    return folder


def place(column: float, row: float) -> tuple[float, float]:
    """Return the latitude and longitude of a position in pixels, to six decimals."""
    x, y = shifted(0, 0) @ (column, row)
    (lon,), (lat,) = transform("EPSG:32612", "EPSG:4326", [x], [y])
    return round(lat, 6), round(lon, 6)


def sample(path: Path, lat: float, lon: float) -> list[float]:
    """Return what rasterio reads of a file at a place, a value a band."""
    with rasterio.open(path) as dataset:
        (x,), (y,) = transform("EPSG:4326", dataset.crs, [lon], [lat])
        return [float(value) for value in next(dataset.sample([(x, y)]))]
