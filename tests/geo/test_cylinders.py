"""Rasters past the end of cylindrical maps are shown on both sides, as their controls are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine

from tests.rasters.engine import asset_of, read
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.geo.asset_extents import extent_of
from tileserver.geo.crs import transform_point
from tileserver.geo.extents import grid_boxes
from tileserver.geo.turns import middle_longitude, period

CYLINDERS = ["EPSG:3395", "EPSG:3832", "EPSG:4087", "EPSG:6933", "EPSG:3857"]


def raster_at(path: Path, crs: str, lon: float) -> Path:
    """Write 2 degrees of a raster from a longitude on, counted on past the end of the map."""
    turn = period(crs)
    assert turn is not None
    side = turn / 360 / 100
    west = (lon - middle_longitude(crs)) / 360 * turn
    _, north = transform_point("EPSG:4326", crs, 10, 12)
    transform = Affine(side, 0, west, 0, -side, north)
    return write_raster(path, noise(1, 150, 200, "uint8"), crs, transform, overviews=())


@pytest.mark.parametrize("crs", CYLINDERS)
def test_both_sides_of_the_end_show_the_pixels_of_the_control(tmp_path: Path, crs: str) -> None:
    end = middle_longitude(crs) + 180
    crossing = raster_at(tmp_path / "a.tif", crs, end - 1)
    control = raster_at(tmp_path / "b.tif", crs, end - 41)
    step = 0.013
    for shift, west in ((-1.2, end - 1.2), (0.0, end - 360), (0.0, end), (-0.5, end - 0.5)):
        grid, other = (
            PixelGrid(90, 90, AffineTransform(step, 0, x, 0, -step, 12), "EPSG:4326")
            for x in (west, end - 40 + shift)
        )
        found, expected = read(crossing, grid), read(control, other)
        assert expected.valid.any()
        assert (found.masked_to_zero() != expected.masked_to_zero()).mean() < 0.002
    assert extent_of(asset_of(crossing)).full_zoom == extent_of(asset_of(control)).full_zoom


@pytest.mark.parametrize("crs", CYLINDERS)
def test_what_crosses_the_end_has_a_box_on_either_side(tmp_path: Path, crs: str) -> None:
    turn = period(crs)
    assert turn is not None
    end = middle_longitude(crs) + 180
    degrees = PixelGrid(
        40, 40, AffineTransform(0.05, 0, (end - 1 + 180) % 360 - 180, 0, -0.05, 12), "EPSG:4326"
    )
    boxes = sorted(grid_boxes(degrees, crs))
    assert len(boxes) == 2
    assert sum(box.east - box.west for box in boxes) == pytest.approx(turn / 180, rel=0.2)
    assert np.isclose(boxes[0].west, -turn / 2)
    assert np.isclose(boxes[1].east, turn / 2)
