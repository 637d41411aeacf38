"""Edges: NumPy, and scikit-image's Canny and Hough."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import canny
from skimage.transform import hough_line

from tests.compute.conftest import (
    GRID,
    HOLES,
    HOME,
    SCENE,
    SIDE,
    Evaluator,
    hole_values,
    scene_values,
    world_of,
)
from tests.support.rasterfiles import write_raster
from tileserver.compute.pixels import plan
from tileserver.compute.pixels.blocks import lattice_place
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

FIRST = scene_values()[0].astype(float)
INNER = (slice(1, -1), slice(1, -1))


def test_a_gradient_is_a_rise_a_metre(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Image(SCENE).select("B1").gradient())
    assert list(found) == ["x", "y"]
    x = (FIRST[1:-1, 2:] - FIRST[1:-1, :-2]) / 60
    y = (FIRST[:-2, 1:-1] - FIRST[2:, 1:-1]) / 60
    # The grid's north is a degree off, its metres are 0.9996 to 1.0 long.
    reach = np.abs(FIRST).max() / 30 * 0.015
    assert np.abs(found["x"][INNER] - x).max() < reach
    assert np.abs(found["y"][INNER] - y).max() < reach
    for band in found.values():
        outer = np.ones((SIDE, SIDE), bool)
        outer[INNER] = False
        assert (np.ma.getmaskarray(band) == outer).all()


def test_a_derivative_is_a_difference_a_pixel(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1", "B2")
    found = evaluator.masked(image.derivative())
    assert list(found) == ["B1_x", "B1_y", "B2_x", "B2_y"]
    assert (found["B1_x"][:, 1:-1] == (FIRST[:, 2:] - FIRST[:, :-2]) / 2).all()
    assert (found["B1_y"][1:-1] == (FIRST[2:] - FIRST[:-2]) / 2).all()
    assert np.ma.getmaskarray(found["B1_x"])[:, [0, -1]].all()


def test_signs_that_change_are_crossings_of_zero(ee: ModuleType, evaluator: Evaluator) -> None:
    built = ee.Image(HOLES).subtract(500).zeroCrossing()
    found = evaluator.masked(built)["b1"]
    sign = np.sign(hole_values().astype(int) - 500)
    shown = hole_values() != -9999
    here = sign[:-1, :-1]
    expected = (here * sign[:-1, 1:] < 0) | (here * sign[1:, :-1] < 0) | (here * sign[1:, 1:] < 0)
    known = shown[:-1, :-1] & shown[:-1, 1:] & shown[1:, :-1] & shown[1:, 1:]
    assert (~np.ma.getmaskarray(found)[:-1, :-1] == known).all()
    assert (found[:-1, :-1][known] == expected[known]).all()


@pytest.mark.parametrize("sigma", [0, 1.5])
def test_edges_are_those_of_scikit_image(
    ee: ModuleType, evaluator: Evaluator, sigma: float
) -> None:
    threshold = 400.0
    built = ee.Algorithms.CannyEdgeDetector(ee.Image(SCENE).select("B1"), threshold, sigma)
    found = evaluator.masked(built)["B1"]
    expected = canny(  # type: ignore[no-untyped-call]
        FIRST, sigma, low_threshold=threshold, high_threshold=threshold
    )
    inner = (slice(9, -9), slice(9, -9))
    assert ((found[inner] > 0) == expected[inner]).all()
    assert 50 < expected[inner].sum() < expected[inner].size / 2
    smooth = ndimage.gaussian_filter(FIRST, sigma) if sigma else FIRST
    magnitude = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))
    np.testing.assert_allclose(
        found[inner][expected[inner]].filled(0), magnitude[inner][expected[inner]], rtol=1e-9
    )


def test_masked_pixels_hide_the_edges_beside_them(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Algorithms.CannyEdgeDetector(ee.Image(HOLES), 10))["b1"]
    shown = ndimage.binary_erosion(hole_values() != -9999, np.ones((3, 3), bool))
    assert (~np.ma.getmaskarray(found) == shown).all()


@pytest.mark.parametrize("is_smooth", [False, True])
def test_lines_are_where_many_pixels_lie_on_one(
    ee: ModuleType, tmp_path: Path, is_smooth: bool
) -> None:
    picture = np.zeros((SIDE, SIDE), np.uint8)
    at = np.arange(40)
    picture[10 + at // 2, 12 + at] = 255
    picture[20:60, 50] = 255
    picture[3, 5] = 255
    write_raster(tmp_path / "lines.tif", picture[None])
    evaluator = Evaluator(world_of(tmp_path))
    image = ee.Image(f"{HOME}/lines").unmask(0, False)
    built = ee.Algorithms.HoughTransform(image, 64, 64, 20, is_smooth)
    # A block that begins where the raster does not.
    column, row = 12, 20
    grid = GRID.window(Window(-column, -row, SIDE + column, SIDE + row))
    found = evaluator.pixels(built, grid)["b1_lines"]
    left, top = (-place % 64 for place in lattice_place(grid))
    block = evaluator.pixels(image, grid)["b1"][top : top + 64, left : left + 64]
    turns = np.radians(np.arange(-90.0, 90.0))
    votes, _, away = hough_line(block, turns)  # type: ignore[no-untyped-call]
    if is_smooth:
        votes = ndimage.uniform_filter(votes.astype(float), 3, mode="constant")
    expected = np.zeros(block.shape, bool)
    y, x = np.mgrid[: block.shape[0], : block.shape[1]]
    for place, turn in np.argwhere(votes >= 20):
        distance = np.rint(x * np.cos(turns[turn]) + y * np.sin(turns[turn]))
        expected |= distance == away[place]
    assert (found[top : top + 64, left : left + 64] == expected).all()
    assert expected.any() or is_smooth


@pytest.mark.parametrize(
    "make",
    [
        lambda ee, image: image.gradient(),
        lambda ee, image: image.derivative(),
        lambda ee, image: image.subtract(500).zeroCrossing(),
        lambda ee, image: ee.Algorithms.CannyEdgeDetector(image, 300, 1),
        lambda ee, image: ee.Algorithms.HoughTransform(image, 24, 700, 15),
    ],
    ids=["gradient", "derivative", "zeroCrossing", "canny", "hough"],
)
def test_sixteen_tiles_are_one_picture(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    built = make(ee, ee.Image(HOLES))
    whole = evaluator.masked(built)
    side = SIDE // 4
    for place in range(16):
        window = Window(place % 4 * side, place // 4 * side, side, side)
        for band, found in evaluator.masked(built, GRID.window(window)).items():
            expected = whole[band][window.slices]
            assert (np.ma.getmaskarray(found) == np.ma.getmaskarray(expected)).all()
            np.testing.assert_allclose(found.filled(0), expected.filled(0), rtol=1e-6)
    monkeypatch.setattr(plan, "PIECE_PX", 700)
    for band, found in evaluator.masked(built).items():
        np.testing.assert_allclose(found.filled(0), whole[band].filled(0), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda ee, i: ee.Algorithms.CannyEdgeDetector(i, 1, -1), "sigma must be from 0 to 50"),
        (lambda ee, i: ee.Algorithms.CannyEdgeDetector(i, 1, 1e9), "sigma must be from 0 to 50"),
        (lambda ee, i: ee.Algorithms.HoughTransform(i, 0), "gridSize must be from 1 to 512"),
        (lambda ee, i: ee.Algorithms.HoughTransform(i, 10**9), "gridSize must be from 1 to 512"),
    ],
)
def test_edges_that_cannot_be_are_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        evaluator.pixels(make(ee, ee.Image(HOLES)))
