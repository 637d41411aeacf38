"""Pixels combined to larger ones; NumPy's means of blocks are the oracle."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import (
    GRID,
    HOLES,
    SCENE,
    SIDE,
    Evaluator,
    hole_values,
    scene_values,
)
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.errors import InvalidRequest

T = GRID.transform


def coarse(factor: float, column: float = 0.0, size: int = 8) -> PixelGrid:
    """Return a grid of larger pixels, from so many pixels east of SCENE's corner."""
    x = T.translate_x + column * T.scale_x
    transform = AffineTransform(T.scale_x * factor, 0.0, x, 0.0, T.scale_y * factor, T.translate_y)
    return PixelGrid(size, size, transform, GRID.crs_code)


def blocks(values: Any, factor: int) -> Any:
    """Return the values of each block of pixels, shape (rows, columns, factor * factor)."""
    side = len(values) // factor
    found = values.reshape(side, factor, side, factor).swapaxes(1, 2)
    return found.reshape(side, side, factor * factor)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("mean", lambda v: v.mean(axis=-1)),
        ("max", lambda v: v.max(axis=-1)),
        ("median", lambda v: np.median(v, axis=-1)),
        ("count", lambda v: np.full(v.shape[:2], v.shape[-1])),
        ("stdDev", lambda v: v.std(axis=-1)),
    ],
)
def test_blocks_are_reduced(ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any) -> None:
    image = ee.Image(SCENE).reduceResolution(getattr(ee.Reducer, name)())
    found = evaluator.masked(image, coarse(8))
    assert list(found) == ["B1", "B2", "B3"]
    expected = oracle(blocks(scene_values()[1].astype(float), 8))
    assert not found["B2"].mask.any()
    assert found["B2"].data == pytest.approx(expected, rel=1e-6)


def test_parts_of_pixels_have_parts_of_the_weight(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").reduceResolution(ee.Reducer.mean())
    (found,) = evaluator.masked(image, coarse(2.5, column=0.5, size=20)).values()
    values = scene_values()[0].astype(float)
    # From column 0.5 to 3, rows 0 to 2.5.
    across, down = np.array([0.5, 1, 1]), np.array([1, 1, 0.5])
    expected = (values[:3, :3] * np.outer(down, across)).sum() / 6.25
    assert found[0, 0] == pytest.approx(expected)


def test_masked_pixels_have_no_weight(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(HOLES).reduceResolution(ee.Reducer.mean())
    (found,) = evaluator.masked(image, coarse(4, size=16)).values()
    values = np.ma.masked_equal(hole_values(), -9999)
    expected = np.ma.mean(blocks(values.filled(0), 4) * 1.0, axis=-1)
    counts = blocks((~np.ma.getmaskarray(values)).astype(float), 4).mean(axis=-1)
    assert found.filled(-1) == pytest.approx(np.asarray(expected) / counts, rel=1e-6)


def test_as_fine_a_grid_shows_the_pixels(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").reduceResolution(ee.Reducer.mean())
    assert (evaluator.masked(image)["B1"].filled(0) == scene_values()[0]).all()
    fine = evaluator.masked(image, coarse(0.5, size=2 * SIDE))["B1"].filled(0)
    assert (fine == scene_values()[0].repeat(2, axis=0).repeat(2, axis=1)).all()


def test_tiles_meet_without_a_seam(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").reduceResolution(ee.Reducer.mean())
    whole = coarse(3, column=0.3, size=16)
    expected = evaluator.masked(image, whole)["B1"].filled(-1)
    for row in range(0, 16, 4):
        for column in range(0, 16, 4):
            part = PixelGrid(4, 4, whole.transform.moved(column, row), whole.crs_code)
            found = evaluator.masked(image, part)["B1"].filled(-1)
            assert found == pytest.approx(expected[row : row + 4, column : column + 4])


def test_several_outputs_are_named_after_the_band(ee: ModuleType, evaluator: Evaluator) -> None:
    reduced = ee.Image(SCENE).select("B1").reduceResolution(ee.Reducer.minMax())
    assert evaluator.value(reduced.bandNames()) == ["B1_min", "B1_max"]


def test_another_projection_gets_means_too(ee: ModuleType, evaluator: Evaluator) -> None:
    reduced = ee.Image(SCENE).select("B1").reduceResolution(ee.Reducer.mean(), maxPixels=1024)
    image = reduced.reproject("EPSG:4326", None, 300)
    found = evaluator.masked(image)["B1"].compressed()
    # Means of about a hundred values each.
    assert abs(found.mean() - scene_values()[0].mean()) < 100
    assert found.std() < 300


def test_too_many_pixels_are_refused_or_read_coarser(ee: ModuleType, evaluator: Evaluator) -> None:
    band = ee.Image(SCENE).select("B1")
    with pytest.raises(InvalidRequest, match="found 256, but maxPixels allows only 64"):
        evaluator.masked(band.reduceResolution(ee.Reducer.mean()), coarse(16, size=4))
    found = evaluator.masked(band.reduceResolution(ee.Reducer.mean(), True), coarse(16, size=4))
    expected = blocks(scene_values()[0].astype(float), 16).mean(axis=-1)
    assert np.abs(found["B1"].filled(-1) - expected).max() < 2
    with pytest.raises(InvalidRequest, match="maxPixels must be 1 to 65536"):
        evaluator.masked(band.reduceResolution(ee.Reducer.mean(), False, 10**9))
    with pytest.raises(InvalidRequest, match="expected a reducer that gives numbers"):
        evaluator.masked(band.reduceResolution(ee.Reducer.toList()))
