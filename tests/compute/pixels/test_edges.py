"""A point on the edge of a pixel has one pixel, whatever rounding says."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from rasterio import Affine

from tests.compute.conftest import HOME, Evaluator, world_of
from tests.support.rasterfiles import noise, write_raster

HALF_M = 20_037_508.342789244
PIXEL_M = 100.0


@pytest.mark.parametrize("shift", [0, 40, 100])
def test_points_on_edges_are_counted_before_and_past_180(
    ee: ModuleType, tmp_path: Path, shift: int
) -> None:
    """The raster goes on past 180 degrees, or lies so many degrees west of it."""
    west = 20_000_000.0 - shift / 180 * HALF_M
    values = noise(1, 50, 1000, "uint16")
    transform = Affine(PIXEL_M, 0, west, 0, -PIXEL_M, 1_000_000)
    write_raster(tmp_path / "a.tif", values, "EPSG:3857", transform, overviews=())
    evaluator = Evaluator(world_of(tmp_path))
    image = ee.Image(f"{HOME}/a")
    y = 1_000_000 - 25 * PIXEL_M
    lat = float(np.degrees(2 * np.arctan(np.exp(y / 6378137)) - np.pi / 2))
    for column in range(376, 1000, 13):
        lon = (west + column * PIXEL_M) / HALF_M * 180
        lon = lon - 360 if lon > 180 else lon
        point = ee.Geometry.Point([lon, lat])
        (found,) = evaluator.value(image.reduceRegion(ee.Reducer.toList(), point, PIXEL_M)).values()
        # The pixel that begins there; GDAL's rounding may have said the one before.
        assert found == [values[0, 25, column]]
