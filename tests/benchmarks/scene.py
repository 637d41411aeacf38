"""A raster to measure on: made once, of noise on a landscape, so that it compresses as one does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine

SIDE = 4096


def write_scene(path: Path) -> Path:
    """Write a 4096x4096 scene of three uint16 bands in UTM, DEFLATE, 512 blocks, overviews."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    relief = np.sin(x / 211) * np.cos(y / 173) * 900 + np.sin((x + y) / 37) * 120 + 1500
    profile = {
        "driver": "GTiff",
        "width": SIDE,
        "height": SIDE,
        "count": 3,
        "dtype": "uint16",
        "crs": "EPSG:32612",
        "transform": Affine(10.0, 0.0, 300_000.0, 0.0, -10.0, 4_600_000.0),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **profile) as dataset:
        for band in (1, 2, 3):
            noise = random.normal(0, 40, (SIDE, SIDE)).astype(np.float32)
            dataset.write((relief * band / 2 + noise).clip(0, 10_000).astype(np.uint16), band)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8, 16], Resampling.average)
    return path
