"""Structural breaks: all partitions tried with NumPy's least squares are the oracle."""

from __future__ import annotations

from itertools import combinations, pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import GRID, Evaluator
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

SMALL = GRID.window(Window(0, 0, 2, 2))
COUNT = 24
DAYS = np.arange(COUNT) * 40
YEARS = DAYS / 365.25
CHANCE = np.random.default_rng(4)


def values_of(jump: float, wave: float) -> Any:
    noise = CHANCE.normal(0, 0.02, COUNT)
    return 0.3 + 0.1 * YEARS + wave * np.cos(2 * np.pi * YEARS) + noise + jump * (DAYS > 400)


CASES = {"jump": values_of(0.5, 0.0), "calm": values_of(0.0, 0.0), "wave": values_of(-0.4, 0.2)}


def series(ee: ModuleType, values: Any) -> Any:
    images = [
        ee.Image([value, 2 * value + 1]).rename("v", "w").set("system:time_start", day * 86_400_000)
        for day, value in zip(DAYS.tolist(), values.tolist(), strict=True)
    ]
    return ee.ImageCollection(images)


def basis(order: int) -> Any:
    turn = 2 * np.pi * YEARS
    waves = [f(k * turn) for k in range(1, order + 1) for f in (np.cos, np.sin)]
    return np.stack([np.ones(COUNT), YEARS, *waves], axis=1)


def fitted(x: Any, y: Any) -> tuple[Any, float]:
    found = np.linalg.lstsq(x, y, rcond=None)[0]
    return found, float(((y - x @ found) ** 2).sum())


def best(values: Any, order: int, spacing: int, most: int) -> list[int]:
    """Return the starts of the best segments, of all partitions."""
    x = basis(order)
    terms = x.shape[1]
    scores: dict[Any, float] = {}
    for breaks in range(most + 1):
        for starts in combinations(range(1, COUNT), breaks):
            ends = [0, *starts, COUNT]
            if min(np.diff(ends)) < spacing:
                continue
            rest = sum(fitted(x[a:b], values[a:b])[1] for a, b in pairwise(ends))
            score = COUNT * (np.log(rest / COUNT) + 1 + np.log(2 * np.pi))
            scores[(0, *starts)] = score + np.log(COUNT) * (terms + 1) * (breaks + 1)
    return list(min(scores, key=lambda each: scores[each]))


@pytest.mark.parametrize(
    ("case", "order", "breaks"), [("jump", 0, 2), ("calm", 0, 1), ("wave", 1, 2)]
)
def test_breaks_are_those_of_the_best_partition(
    ee: ModuleType, evaluator: Evaluator, case: str, order: int, breaks: int
) -> None:
    values = CASES[case]
    starts = best(values, order, 6, breaks)
    ends = [*starts[1:], COUNT]
    assert len(starts) == (1 if case == "calm" else 2)
    image = ee.Algorithms.TemporalSegmentation.StructuralChangeBreakpoints(
        series(ee, values), "v", order, 6, breaks
    )
    names = ["tStart", "tEnd", "coefs_v", "rmse_v", "coefs_w", "rmse_w"]
    assert evaluator.value(image.bandNames()) == names
    labels = [str(i) for i in range(len(starts))]

    def numbers(name: str) -> Any:
        bands = evaluator.masked(image.select(name).arrayFlatten([labels]), SMALL)
        return np.array([each[0, 0] for each in bands.values()])

    np.testing.assert_allclose(numbers("tStart"), YEARS[starts], rtol=1e-9)
    np.testing.assert_allclose(numbers("tEnd"), YEARS[[end - 1 for end in ends]], rtol=1e-9)
    terms = [str(i) for i in range(2 + 2 * order)]
    for name, scaled in (("v", values), ("w", 2 * values + 1)):
        found = evaluator.masked(image.select(f"coefs_{name}").arrayFlatten([labels, terms]), SMALL)
        rows = np.array([each[0, 0] for each in found.values()]).reshape(len(starts), -1)
        pairs = list(zip(starts, ends, strict=True))
        expected = [fitted(basis(order)[a:b], scaled[a:b]) for a, b in pairs]
        np.testing.assert_allclose(rows, [each[0] for each in expected], rtol=1e-3, atol=1e-4)
        rmse = [np.sqrt(each[1] / (b - a)) for each, (a, b) in zip(expected, pairs, strict=True)]
        np.testing.assert_allclose(numbers(f"rmse_{name}"), rmse, rtol=1e-3)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"seasonalModelOrder": 9, "breakpointBand": "v"}, "seasonalModelOrder must be 0 to 5"),
        ({}, "breakpointBand is needed for images of several bands"),
        ({"breakpointBand": "none"}, "The images have no band 'none'"),
    ],
)
def test_what_has_no_breaks_is_refused(
    ee: ModuleType, evaluator: Evaluator, given: dict[str, Any], sentence: str
) -> None:
    call = ee.Algorithms.TemporalSegmentation.StructuralChangeBreakpoints
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(call(series(ee, CASES["calm"]), **given))
