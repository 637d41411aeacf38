"""The cloud displacement index: windows taken one by one in NumPy are the oracle."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from skimage.morphology import reconstruction

from tests.compute.conftest import GRID, SCENE, Evaluator, scene_values
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest


def test_displaced_bands_have_an_index(ee: ModuleType, evaluator: Evaluator) -> None:
    scene = ee.Image(SCENE).add(100).select([0, 1, 2], ["B7", "B8", "B8A"])
    image = ee.Algorithms.Sentinel2.CDI(scene)
    assert evaluator.value(image.bandNames()) == ["cdi"]
    found = evaluator.pixels(image, GRID)["cdi"]
    seven, eight, narrow = scene_values().astype(float) + 100
    for row, column in ((3, 3), (20, 31), (60, 60)):
        window = (slice(row - 3, row + 4), slice(column - 3, column + 4))
        v7, v8 = (np.var((each / narrow)[window]) for each in (seven, eight))
        assert found[row, column] == pytest.approx((v7 - v8) / (v7 + v8), abs=1e-5)
    for at in (Window(0, 0, 16, 16), Window(16, 32, 16, 16), Window(48, 48, 16, 16)):
        part = evaluator.pixels(image, GRID.window(at))["cdi"]
        np.testing.assert_allclose(part, found[at.slices], rtol=1e-6)


def test_minima_are_filled_to_their_brim(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").add(1).int16()
    found = evaluator.pixels(ee.Algorithms.FMask.fillMinima(image, 0, 40), GRID)["B1"]
    padded = np.pad(scene_values()[0].astype(float) + 1, 1)
    seed = np.where(padded == 0, 0, padded.max())
    filled = reconstruction(seed, padded, method="erosion")  # type: ignore[no-untyped-call]
    np.testing.assert_array_equal(found, filled[1:-1, 1:-1])


def test_a_missing_band_is_named(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="Pattern 'B7' did not match any bands"):
        evaluator.value(ee.Algorithms.Sentinel2.CDI(ee.Image(SCENE)))
