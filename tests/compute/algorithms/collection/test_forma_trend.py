"""Trends of series: SciPy's regression and NumPy's loops are the oracle."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import linregress

from tests.compute.conftest import GRID, SCENE, Evaluator, scene_values
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

SMALL = GRID.window(Window(0, 0, 4, 3))
COUNT = 14
WEIGHTS = np.random.default_rng(6).normal(0, 1, (COUNT, 3)).round(3)
A, B, C = scene_values()[:, :3, :4] / 4000
VALUES = np.stack([a * A + b * B + c * C for a, b, c in WEIGHTS])


def series(ee: ModuleType) -> Any:
    image = ee.Image(SCENE).divide(4000)
    return ee.ImageCollection(
        [image.multiply(row).reduce("sum").rename("v") for row in WEIGHTS.tolist()]
    )


def expected(values: Any, window: int) -> list[float]:
    """Return the four measures of one series."""
    time = np.arange(1, len(values) + 1)
    line = linregress(time, values)
    starts = range(len(values) - window + 1)
    slopes = [np.polyfit(range(window), values[i : i + window], 1)[0] for i in starts]
    rest = values - line.intercept - line.slope * time
    f = np.stack([rest, rest * time, rest**2 - (rest**2).mean()], axis=1)
    inverse = np.linalg.inv(f.T @ f)
    sums = [f[: i + 1].sum(axis=0) for i in range(len(values))]
    hansen = sum(s @ inverse @ s for s in sums) / len(values)
    return [line.slope, min(slopes), line.slope / line.stderr, hansen]


def test_trends_are_those_of_regressions(ee: ModuleType, evaluator: Evaluator) -> None:
    image = series(ee).formaTrend(None, 5)
    names = ["long-trend", "short-trend", "long-tstat", "bruce-hansen"]
    assert evaluator.value(image.bandNames()) == names
    found = evaluator.pixels(image, SMALL)
    for row in range(3):
        for column in range(4):
            each = [float(found[name][row, column]) for name in names]
            assert each == pytest.approx(expected(VALUES[:, row, column], 5), rel=1e-4)


def test_a_series_is_divided_by_its_covariates(ee: ModuleType, evaluator: Evaluator) -> None:
    divisors = ee.ImageCollection([ee.Image(i + 1) for i in range(COUNT)])
    found = evaluator.pixels(series(ee).formaTrend(divisors), SMALL)["long-trend"]
    ratio = VALUES / np.arange(1, COUNT + 1)[:, None, None]
    wanted = linregress(range(COUNT), ratio[:, 1, 2]).slope
    assert float(found[1, 2]) == pytest.approx(wanted, rel=1e-4)


def test_what_has_no_trend_is_refused_or_masked(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="windowSize must be 2 to the number of images"):
        evaluator.value(series(ee).formaTrend(None, 99))
    with pytest.raises(InvalidRequest, match="Expected as many covariates as images"):
        evaluator.value(series(ee).formaTrend(series(ee).limit(3)))
    few = series(ee).limit(3)
    assert evaluator.masked(few.formaTrend(None, 2), SMALL)["long-trend"].mask.all()
