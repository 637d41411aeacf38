"""Set-up: a raster with a known place, and no server left from another test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine

from tests.support.rasterfiles import write_raster
from tileserver.notebook import close

WEST, NORTH, PIXEL_DEG = 10.0, 50.0, 0.01


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Return a raster of three bands of 200 x 200 pixels, red in the west and blue in the east."""
    values = np.zeros((3, 200, 200), "uint8")
    values[0, :, :100] = 255
    values[2, :, 100:] = 255
    place = Affine(PIXEL_DEG, 0, WEST, 0, -PIXEL_DEG, NORTH)
    return write_raster(tmp_path / "scene.tif", values, "EPSG:4326", place)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close()
