"""Least costs: scikit-image's minimum cost paths are the oracle."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from skimage.graph import MCP_Geometric

from tests.compute.algorithms.image.test_distances import POINTS, points
from tests.compute.algorithms.image.test_random_pixels import tiled
from tests.compute.conftest import GRID, HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.errors import InvalidRequest

PRICES = 1.0 + scene_values()[1] % 50


def prices(ee: ModuleType) -> Any:
    return ee.Image(SCENE).select("B2").mod(50).add(1)


def oracle(prices: Any) -> Any:
    """Return least costs in pixels, infinite where there is no way."""
    made: Any = MCP_Geometric
    found, _ = made(prices, fully_connected=True).find_costs(np.argwhere(POINTS & (prices > 0)))
    return found


@pytest.mark.parametrize(("is_geodetic", "tolerance"), [(False, 1e-9), (True, 2e-3)])
def test_costs_from_the_nearest_source(
    ee: ModuleType, evaluator: Evaluator, is_geodetic: bool, tolerance: float
) -> None:
    image = prices(ee).cumulativeCost(points(ee), 600, is_geodetic)
    found = evaluator.masked(image)["B2"]
    # Metres on the ground are within a few thousandths of those of UTM.
    np.testing.assert_allclose(found, 30 * oracle(PRICES), rtol=tolerance, atol=1e-6)
    if not is_geodetic:
        assert (tiled(evaluator, image, GRID, "B2") == found.filled(0)).all()


def test_masked_pixels_are_gone_around(ee: ModuleType, evaluator: Evaluator) -> None:
    open_ = hole_values() != -9999
    image = prices(ee).updateMask(ee.Image(HOLES).mask()).cumulativeCost(points(ee), 1500, False)
    found = evaluator.masked(image)["B2"]
    expected = oracle(np.where(open_, PRICES, -1))
    shown = ~np.ma.getmaskarray(found)
    assert (shown == np.isfinite(expected)).all()
    np.testing.assert_allclose(found[shown], 30 * expected[shown])


def test_ways_end_at_the_greatest_distance(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Image(2).cumulativeCost(points(ee), 100, False))["constant"]
    lengths = 30 * oracle(np.ones(POINTS.shape))
    shown = ~np.ma.getmaskarray(found)
    assert (shown == (lengths <= 100)).all()
    np.testing.assert_allclose(found[shown], 2 * lengths[shown])


def test_other_bands_are_summed_along_the_way(ee: ModuleType, evaluator: Evaluator) -> None:
    both = prices(ee).addBands(prices(ee).multiply(3).rename("thrice"))
    found = evaluator.masked(both.cumulativeCost(points(ee), 600, False))
    np.testing.assert_allclose(found["thrice"], 3 * found["B2"])


@pytest.mark.parametrize(("metres", "message"), [(0, "above 0"), (1e7, "at most 256 are allowed")])
def test_what_is_too_far_is_refused(
    ee: ModuleType, evaluator: Evaluator, metres: float, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluator.pixels(prices(ee).cumulativeCost(points(ee), metres))
