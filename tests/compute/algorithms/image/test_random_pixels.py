"""Random numbers and colours: SciPy's tests of distributions are the oracle."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.compute.conftest import GRID, SCENE, Evaluator, scene_values
from tileserver.contract.grids import PixelGrid, Window
from tileserver.errors import InvalidRequest

WIDE = PixelGrid(256, 256, GRID.transform, GRID.crs_code)


def tiled(evaluator: Evaluator, image: Any, grid: PixelGrid, band: str) -> Any:
    """Return a band computed in sixteen requests, put together."""
    side = grid.width // 4
    rows = [
        [
            evaluator.pixels(image, grid.window(Window(x * side, y * side, side, side)))[band]
            for x in range(4)
        ]
        for y in range(4)
    ]
    return np.block(rows)


@pytest.mark.parametrize(
    ("distribution", "cdf"), [("uniform", stats.uniform.cdf), ("normal", stats.norm.cdf)]
)
def test_numbers_have_their_distribution(
    ee: ModuleType, evaluator: Evaluator, distribution: str, cdf: Any
) -> None:
    found = evaluator.pixels(ee.Image.random(7, distribution), WIDE)["random"]
    assert stats.kstest(found.ravel(), cdf).pvalue > 0.01
    for shift in ((0, 1), (1, 0), (1, 1)):
        beside = np.roll(found, shift, (0, 1))
        assert abs(np.corrcoef(found.ravel(), beside.ravel())[0, 1]) < 0.02


def test_numbers_depend_on_the_seed_and_not_on_the_tile(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = ee.Image.random(3)
    found = evaluator.pixels(image, WIDE)["random"]
    assert len(np.unique(found)) == found.size
    assert found.min() >= 0
    assert found.max() < 1
    assert (found == evaluator.pixels(image, WIDE)["random"]).all()
    assert (found == tiled(evaluator, image, WIDE, "random")).all()
    other = evaluator.pixels(ee.Image.random(4), WIDE)["random"]
    assert abs(np.corrcoef(found.ravel(), other.ravel())[0, 1]) < 0.02
    assert evaluator.value(image)["bands"][0]["data_type"] == {
        "type": "PixelType",
        "precision": "double",
        "min": 0,
        "max": 1,
    }


def test_an_unknown_distribution_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"Image.random: distribution must be uniform or norm"):
        evaluator.value(ee.Image.random(0, "poisson"))


def test_each_value_has_a_colour_of_its_own(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1").mod(50).randomVisualizer()
    assert evaluator.value(image.bandNames()) == ["viz-red", "viz-green", "viz-blue", "B1"]
    found = evaluator.pixels(image)
    colors: dict[int, set[Any]] = {}
    for red, green, blue, value in found.ravel().tolist():
        colors.setdefault(value, set()).add((red, green, blue))
    assert len(colors) == len(np.unique(scene_values()[0] % 50))
    assert all(len(each) == 1 for each in colors.values())
    assert len(set.union(*colors.values())) == len(colors)
    assert found["viz-red"].dtype == np.uint8
