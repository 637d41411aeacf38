"""Images moved and displaced: NumPy's slices and SciPy's map_coordinates are the oracle."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from tests.compute.algorithms.image.test_random_pixels import tiled
from tests.compute.conftest import GRID, HEIGHTS, SCENE, SIDE, Evaluator, scene_values
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.errors import InvalidRequest

B1 = scene_values()[0]


def shifted(down: int, right: int) -> Any:
    """Return B1 moved by whole pixels, with 0 where nothing comes."""
    found = np.zeros_like(B1)
    found[max(down, 0) : SIDE + min(down, 0), max(right, 0) : SIDE + min(right, 0)] = B1[
        max(-down, 0) : SIDE - max(down, 0), max(-right, 0) : SIDE - max(right, 0)
    ]
    return found


@pytest.mark.parametrize(
    ("x", "y", "units", "down", "right"),
    [(60, 90, "meters", -3, 2), (-30, 0, "meters", 0, -1), (2, 3, "pixels", 3, 2)],
)
def test_an_image_is_translated(
    ee: ModuleType, evaluator: Evaluator, x: int, y: int, units: str, down: int, right: int
) -> None:
    image = ee.Image(SCENE).select("B1").translate(x, y, units)
    assert (evaluator.pixels(image)["B1"] == shifted(down, right)).all()
    transform = evaluator.value(image)["bands"][0]["crs_transform"]
    assert transform[2] - GRID.transform.translate_x == 30 * right
    assert transform[5] - GRID.transform.translate_y == -30 * down
    # Without a grid the whole image comes, and nothing else.
    assert (evaluator.pixels(image, None)["B1"] == B1).all()


def test_a_translated_image_in_another_projection(ee: ModuleType, evaluator: Evaluator) -> None:
    degrees = PixelGrid(40, 40, AffineTransform(4e-4, 0, -112.18, 0, -3e-4, 40.644), "EPSG:4326")
    moved = ee.Image.pixelCoordinates("EPSG:32612").translate(600, -900, "meters", "EPSG:32612")
    plain = evaluator.pixels(ee.Image.pixelCoordinates("EPSG:32612"), degrees)
    found = evaluator.pixels(moved, degrees)
    # Read at whole metres, the pixels of the projection.
    np.testing.assert_allclose(found["x"], plain["x"] - 600, atol=0.51)
    np.testing.assert_allclose(found["y"], plain["y"] + 900, atol=0.51)


def test_pixels_change_their_projection(ee: ModuleType, evaluator: Evaluator) -> None:
    source = ee.Projection("EPSG:32612", [30, 0, 400000, 0, -30, 4500000])
    target = ee.Projection("EPSG:3857", [10, 0, 1000, 0, -10, 2000])
    image = ee.Image(SCENE).select("B1").changeProj(source, target)
    grid = PixelGrid(SIDE, SIDE, AffineTransform(10, 0, 1000, 0, -10, 2000), "EPSG:3857")
    assert (evaluator.pixels(image, grid)["B1"] == B1).all()
    assert evaluator.value(image)["bands"][0]["crs"] == "EPSG:3857"


def test_units_are_metres_or_pixels(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"Image.translate: units must be meters or pixels"):
        evaluator.value(ee.Image(SCENE).translate(1, 1, "feet"))


@pytest.mark.parametrize(("mode", "order"), [("nearest_neighbor", 0), ("bilinear", 1)])
def test_an_image_is_displaced(ee: ModuleType, evaluator: Evaluator, mode: str, order: int) -> None:
    heights = ee.Image(SCENE).select("B1")
    dx = ee.Image(SCENE).select("B2").mod(31).subtract(15)
    dy = ee.Image(SCENE).select("B3").mod(31).subtract(15)
    image = heights.displace(dx.addBands(dy), mode, 20)
    found = evaluator.pixels(image)["B1"]
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    columns += (scene_values()[1].astype(float) % 31 - 15) / 30
    rows -= (scene_values()[2].astype(float) % 31 - 15) / 30
    # Half a pixel on the way belongs to the pixel that begins there.
    nudge = 1e-9 if order == 0 else 0.0
    places: Any = np.stack([rows + nudge, columns + nudge])
    values: Any = B1.astype(float)
    oracle: Any = map_coordinates
    expected = oracle(values, places, order=order, mode="nearest")
    inner = slice(2, -2)
    np.testing.assert_allclose(found[inner, inner], expected[inner, inner], atol=1e-3)
    assert (tiled(evaluator, image, GRID, "B1") == found).all()


def test_a_displacement_by_whole_pixels_is_a_translation(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    by = ee.Image.constant([60, -90]).reproject("EPSG:32612", None, 30)
    image = ee.Image(SCENE).select("B1").displace(by)
    found = evaluator.pixels(image)["B1"]
    np.testing.assert_allclose(found, shifted(-3, -2), atol=1e-3)


def test_pixels_displaced_past_the_offset_are_masked(ee: ModuleType, evaluator: Evaluator) -> None:
    by = ee.Image.constant([60, 0]).reproject("EPSG:32612", None, 30)
    found = evaluator.masked(ee.Image(SCENE).select("B1").displace(by, "bicubic", 50))["B1"]
    assert np.ma.getmaskarray(found).all()


@pytest.mark.parametrize(
    ("mode", "bands", "message"),
    [("cubic", 2, "mode must be one of nearest_neighbor"), ("bicubic", 1, "must have two bands")],
)
def test_what_is_no_displacement_is_refused(
    ee: ModuleType, evaluator: Evaluator, mode: str, bands: int, message: str
) -> None:
    by = ee.Image.constant([1] * bands)
    with pytest.raises(InvalidRequest, match=f"Image.displace: .*{message}"):
        evaluator.value(ee.Image(HEIGHTS).displace(by, mode))
