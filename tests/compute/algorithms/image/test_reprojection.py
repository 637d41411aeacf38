"""Images in other projections: rasterio and the local engine are the oracle."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tests.compute.conftest import (
    HEIGHTS,
    HOME,
    SCENE,
    SIDE,
    Evaluator,
    height_values,
    scene_values,
    world_of,
)
from tests.support.rasterfiles import ramp, write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid, Window
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import InvalidRequest
from tileserver.geo.extents import lonlat_bounds

DEGREES = PixelGrid(50, 40, AffineTransform(0.0004, 0, -112.184, 0, -0.0004, 40.6480), "EPSG:4326")
"""Over most of the rasters."""


def test_an_expression_is_computed_in_the_projection_of_the_output(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    found = evaluator.pixels(ee.Image(SCENE).select("B1").add(1), DEGREES)["B1"]
    rasters = evaluator.computing.world.rasters  # type: ignore[attr-defined]
    request = PixelRequest(SCENE, ImageFileFormat.NPY, DEGREES, band_ids=("B1",))
    read = rasters.bands(request)
    assert read.valid.sum() > 1000
    assert (found == np.where(read.valid[0], read.values[0].astype(int) + 1, 0)).all()


def test_a_reprojected_image_shows_its_own_pixels(ee: ModuleType, evaluator: Evaluator) -> None:
    coarse = ee.Image(SCENE).select("B1").reproject("EPSG:32612", [90, 0, 400000, 0, -90, 4500000])
    found = evaluator.pixels(coarse)["B1"]
    rasters = evaluator.computing.world.rasters  # type: ignore[attr-defined]
    at_90_m = PixelGrid(21, 21, AffineTransform(90, 0, 400000, 0, -90, 4500000), "EPSG:32612")
    read = rasters.bands(PixelRequest(SCENE, ImageFileFormat.NPY, at_90_m, band_ids=("B1",)))
    expected = read.values[0].repeat(3, axis=0).repeat(3, axis=1)
    assert (found[:63, :63] == expected).all()
    assert (expected != scene_values()[0][:63, :63]).mean() > 0.8


def test_a_reprojected_image_tells_its_projection(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").reproject("EPSG:32612", None, 60)
    (band,) = evaluator.value(image)["bands"]
    assert band["crs"] == "EPSG:32612"
    assert band["crs_transform"] == [60, 0, 0, 0, 60, 0]
    assert band["dimensions"] == [33, 32]
    assert evaluator.pixels(image, None).shape == (32, 33)


def test_degrees_meet_at_the_meridian_of_greenwich(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image.pixelLonLat().reproject("EPSG:4326", None, 10_000)
    grid = PixelGrid(64, 8, AffineTransform(0.05, 0, -1.6, 0, -0.05, 0.2), "EPSG:4326")
    found = evaluator.pixels(image, grid)["longitude"]
    expected = -1.6 + 0.05 * (np.arange(64) + 0.5)
    assert np.abs(found - expected).max() < 0.05
    assert (np.diff(found, axis=1) >= 0).all()


def test_a_reprojection_that_asks_too_much_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).reproject("EPSG:4326", None, 0.1)
    wide = PixelGrid(256, 256, AffineTransform(0.01, 0, -113, 0, -0.01, 42), "EPSG:4326")
    with pytest.raises(InvalidRequest, match=r"Reprojection output too large \(\d+x\d+ pixels\)"):
        evaluator.pixels(image, wide)


def test_between_pixels_values_are_interpolated(
    ee: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ramp")
    write_raster(folder / "ramp.tif", ramp(SIDE, SIDE, 2.0, 3.0), overviews=())
    evaluator = Evaluator(world_of(folder))
    fine = PixelGrid(60, 60, AffineTransform(10, 0, 400300, 0, -10, 4499700), "EPSG:32612")
    at = 10 + (np.arange(60) + 0.5) / 3 - 0.5
    expected = 2 * at[np.newaxis, :] + 3 * at[:, np.newaxis]
    for mode in ("bilinear", "bicubic"):
        image = ee.Image(f"{HOME}/ramp").resample(mode)
        found = evaluator.pixels(image, fine)["b1"]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    nearest = evaluator.pixels(ee.Image(f"{HOME}/ramp"), fine)["b1"]
    assert np.abs(nearest - expected).max() > 1


def test_what_is_hidden_takes_no_part_in_interpolation(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    heights = ee.Image(HEIGHTS)
    image = heights.updateMask(heights.eq(heights)).resample("bilinear")
    found = evaluator.masked(image)["elevation"]
    assert np.isfinite(found.compressed()).all()
    np.testing.assert_allclose(found[:, 2:], height_values()[:, 2:], rtol=1e-5)


def test_a_default_projection_moves_no_pixel(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1")
    moved = image.setDefaultProjection("EPSG:4326", None, 1000)
    assert (evaluator.pixels(moved) == evaluator.pixels(image)).all()
    assert evaluator.value(moved)["bands"][0]["crs"] == "EPSG:4326"


def test_pixels_know_where_they_are(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.pixels(ee.Image.pixelLonLat())
    box = lonlat_bounds(evaluator.computing.world.find_image(SCENE))
    assert abs(found["longitude"].min() - box.west) < 3e-4
    assert abs(found["latitude"].max() - box.north) < 3e-4
    area = evaluator.pixels(ee.Image.pixelArea())["area"]
    # UTM is true to scale within a thousandth there.
    np.testing.assert_allclose(area, 900, rtol=2e-3)


def test_the_pixels_of_a_large_request_are_those_of_its_parts(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = ee.Image(SCENE).select("B1").resample("bilinear").multiply(ee.Image.pixelLonLat())
    whole = PixelGrid(700, 600, AffineTransform(3, 0, 400000, 0, -3, 4500000), "EPSG:32612")
    found = evaluator.pixels(image, whole)
    part = evaluator.pixels(image, whole.window(Window(411, 333, 101, 77)))
    for name in found.dtype.names or ():
        np.testing.assert_allclose(found[name][333:410, 411:512], part[name], rtol=1e-12)


def test_without_a_grid_what_has_no_end_is_the_world(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.pixels(ee.Image.pixelLonLat(), None)
    assert found.shape == (180, 360)
    assert found["latitude"][0, 0] == 89.5
    assert found["longitude"][0, 0] == -179.5
