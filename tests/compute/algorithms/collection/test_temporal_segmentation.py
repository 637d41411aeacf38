"""Series cut into segments: series made of known lines and waves are the oracle."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.compute.conftest import GRID, SCENE, Evaluator, scene_values
from tileserver.compute.algorithms.collection.temporal_segmentation import blocks
from tileserver.compute.series.trajectories import despiked
from tileserver.concurrency.time_limit import checked
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

SMALL = GRID.window(Window(0, 0, 5, 4))
AMOUNT = scene_values()[0][:4, :5].astype(np.float64)
YEARS = np.arange(1990, 2010)
CORNERS = ([1990, 1997, 1998, 2009], [0.0, 0.1, 0.9, 0.3])
"""Slowly worse, then a disturbance, then recovery."""
SHAPE = np.interp(YEARS, *CORNERS)


def yearly(ee: ModuleType, shape: Any = SHAPE, extra: bool = False) -> Any:
    """Return images whose pixels follow a shape, as high as B1 is."""
    images = []
    for year, share in zip(YEARS.tolist(), np.asarray(shape).tolist(), strict=True):
        image = ee.Image(SCENE).select("B1").add(1).multiply(share).rename("index")
        if extra:
            image = image.addBands(image.multiply(2).add(5).rename("other"))
        images.append(image.set("system:time_start", ee.Date.fromYMD(year, 7, 1).millis()))
    return ee.ImageCollection(images)


def land_trendr(ee: ModuleType, series: Any, **given: Any) -> Any:
    return ee.Algorithms.TemporalSegmentation.LandTrendr(series, **{"maxSegments": 4, **given})


def rows_of(evaluator: Evaluator, image: Any, row: int, count: int = len(YEARS)) -> Any:
    """Return one row of the matrices of all pixels, shape (rows, columns, years)."""
    flat = image.select("LandTrendr").arraySlice(0, row, row + 1).arrayProject([1])
    bands = evaluator.masked(flat.arrayFlatten([[str(i) for i in range(count)]]), SMALL)
    return np.ma.stack(list(bands.values()), axis=-1)


def test_the_corners_of_a_trajectory_are_its_vertices(ee: ModuleType, evaluator: Evaluator) -> None:
    image = land_trendr(ee, yearly(ee))
    assert evaluator.value(image.bandNames()) == ["LandTrendr", "rmse"]
    assert (rows_of(evaluator, image, 0) == YEARS).all()
    expected = (AMOUNT[:, :, np.newaxis] + 1) * SHAPE
    np.testing.assert_allclose(rows_of(evaluator, image, 1), expected, rtol=1e-6)
    np.testing.assert_allclose(rows_of(evaluator, image, 2), expected, atol=1e-3)
    assert (rows_of(evaluator, image, 3) == np.isin(YEARS, CORNERS[0])).all()
    assert (evaluator.pixels(image.select("rmse"), SMALL)["rmse"] < 1e-3).all()


def test_other_bands_are_fitted_to_the_vertices(ee: ModuleType, evaluator: Evaluator) -> None:
    image = land_trendr(ee, yearly(ee, extra=True))
    assert evaluator.value(image.bandNames()) == ["LandTrendr", "rmse", "other_fit"]
    flat = image.select("other_fit").arrayFlatten([[str(year) for year in YEARS]])
    found = np.stack(list(evaluator.masked(flat, SMALL).values()), axis=-1)
    expected = (AMOUNT[:, :, np.newaxis] + 1) * SHAPE * 2 + 5
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_a_spike_is_dampened(ee: ModuleType, evaluator: Evaluator) -> None:
    spiked = np.linspace(0.2, 0.4, len(YEARS))
    spiked[9] = 0.9
    found = rows_of(evaluator, land_trendr(ee, yearly(ee, spiked), spikeThreshold=0.5), 2)
    line = (AMOUNT[:, :, np.newaxis] + 1) * np.linspace(0.2, 0.4, len(YEARS))
    assert (np.abs(found - line) <= 0.1 * line).all()


def test_segments_are_no_more_than_allowed(ee: ModuleType, evaluator: Evaluator) -> None:
    found = rows_of(evaluator, land_trendr(ee, yearly(ee), maxSegments=2), 3)
    assert (found.sum(axis=-1) <= 3).all()
    waves = np.sin(YEARS * 1.7) + 2
    many = rows_of(evaluator, land_trendr(ee, yearly(ee, waves), maxSegments=5), 3)
    assert (many.sum(axis=-1) <= 6).all()


def test_years_that_are_masked_are_left_out(ee: ModuleType, evaluator: Evaluator) -> None:
    gaps = yearly(ee).map(
        lambda i: i.updateMask(i.date().get("year").neq(1993).And(i.date().get("year").neq(2001)))
    )
    kept = YEARS[~np.isin(YEARS, [1993, 2001])]
    image = land_trendr(ee, gaps)
    assert (rows_of(evaluator, image, 0, len(kept)) == kept).all()
    assert (rows_of(evaluator, image, 3, len(kept)) == np.isin(kept, CORNERS[0])).all()
    few = yearly(ee).map(lambda i: i.updateMask(i.date().get("year").lt(1994)))
    found = evaluator.masked(land_trendr(ee, few).select("rmse"), SMALL)["rmse"]
    assert found.mask.all()


def test_a_tile_has_the_trajectories_of_the_whole(ee: ModuleType, evaluator: Evaluator) -> None:
    rmse = land_trendr(ee, yearly(ee, np.sin(YEARS * 1.3) + 2)).select("rmse")
    whole = evaluator.pixels(rmse, SMALL)["rmse"]
    for column, row in ((0, 0), (3, 2)):
        window = Window(column, row, 2, 2)
        part = evaluator.pixels(rmse, SMALL.window(window))["rmse"]
        np.testing.assert_allclose(part, whole[window.slices], rtol=1e-9)


def test_a_series_is_fitted_to_given_vertices(ee: ModuleType, evaluator: Evaluator) -> None:
    vertices = ee.Image.constant(CORNERS[0]).toArray()
    fitted = ee.Algorithms.TemporalSegmentation.LandTrendrFit(yearly(ee), vertices, 1)
    flat = fitted.arrayFlatten([[str(year) for year in YEARS]])
    found = np.stack(list(evaluator.masked(flat, SMALL).values()), axis=-1)
    np.testing.assert_allclose(found, (AMOUNT[:, :, np.newaxis] + 1) * SHAPE, rtol=1e-6)


def dated(ee: ModuleType, drop: float) -> tuple[Any, Any, Any]:
    """Return images every 16 days for four years, of a wave that drops in the third year."""
    days = np.arange(0, 4 * 365, 16)
    turn = 2 * np.pi * (days % 365 + 1) / 365.25
    values = 0.6 + 0.1 * np.sin(turn) - 0.05 * np.cos(turn) + 0.01 * np.sin(days * 1.1)
    values[days >= 2 * 365 + 180] -= drop
    images = [
        ee.Image(value).rename("v").set("system:time_start", 1_546_300_800_000 + day * 86_400_000)
        for day, value in zip(days.tolist(), values.tolist(), strict=True)
    ]
    return ee.ImageCollection(images), days, values


def chart(ee: ModuleType, evaluator: Evaluator, drop: float) -> tuple[Any, Any, Any, Any]:
    collection, days, values = dated(ee, drop)
    image = ee.Algorithms.TemporalSegmentation.Ewmacd(collection, 0, 2019, 2021, 1)
    names = [str(i) for i in range(len(days))]
    scores = evaluator.pixels(image.select("ewma").arrayFlatten([names]), SMALL)
    return image, days, values, np.array([scores[name][0, 0] for name in names])


def test_a_drop_is_charted(ee: ModuleType, evaluator: Evaluator) -> None:
    image, days, values, scores = chart(ee, evaluator, 0.08)
    names = ["ewma", "harmonicCoefficients", "rmse", "rSquared", "residuals"]
    assert evaluator.value(image.bandNames()) == names
    dropped = days >= 2 * 365 + 180
    assert (scores[~dropped] == 0).all()
    assert (scores[dropped][4:] < -3).all()
    waves = image.select("harmonicCoefficients").arrayFlatten([["a", "sin", "cos"]])
    found = evaluator.pixels(waves, SMALL)
    np.testing.assert_allclose(
        [found[name][0, 0] for name in ("a", "sin", "cos")], [0.6, 0.1, -0.05], atol=0.01
    )
    assert 0.9 < evaluator.pixels(image.select("rSquared"), SMALL)["rSquared"][0, 0] <= 1
    assert values[0] == pytest.approx(0.55, abs=0.02)


def test_nothing_is_charted_where_nothing_changes(ee: ModuleType, evaluator: Evaluator) -> None:
    assert (chart(ee, evaluator, 0.0)[3] == 0).all()


def test_slopes_are_those_of_the_least_total_variation(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    rough = SHAPE + np.random.default_rng(2).normal(0, 0.02, len(YEARS))
    images = [
        ee.Image(value).rename("v").set("system:time_start", ee.Date.fromYMD(year, 7, 1).millis())
        for year, value in zip(YEARS.tolist(), rough.tolist(), strict=True)
    ]
    image = ee.Algorithms.TemporalSegmentation.Verdet(ee.ImageCollection(images), 1e-7, 0.02, 500)
    flat = evaluator.pixels(image.arrayFlatten([[str(year) for year in YEARS]]), SMALL)
    found = np.array([flat[str(year)][0, 0] for year in YEARS])
    assert found[0] == found[1]

    def cost(slopes: Any) -> Any:
        off = np.concatenate([[0], np.cumsum(slopes)]) - (rough - rough[0])
        return (off**2).sum() / 2 + 0.02 * np.sqrt(np.diff(slopes) ** 2 + 1e-8).sum()

    least = minimize(cost, np.diff(rough), method="BFGS", options={"gtol": 1e-9, "maxiter": 5000})
    assert cost(found[1:]) <= least.fun * (1 + 1e-4)
    np.testing.assert_allclose(found[1:], least.x, atol=5e-3)
    assert found[YEARS == 1998] > 0.5
    assert (found[YEARS > 1999] < 0).all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda ee: land_trendr(ee, yearly(ee), maxSegments=99), "maxSegments must be 1 to 30"),
        (lambda ee: land_trendr(ee, yearly(ee).sort("system:time_start", False)), "one image a ye"),
        (lambda ee: ee.Algorithms.TemporalSegmentation.LandTrendrFit(yearly(ee), ee.Image(1)),
         "vertices must be an image of one band of 1-D arrays"),
        (lambda ee: ee.Algorithms.TemporalSegmentation.Ewmacd(yearly(ee), 0, 1990, 1995, 99),
         "harmonicCount must be 0 to 10"),
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(make(ee))


def test_the_time_is_looked_at_before_each_block_and_each_round_of_spikes() -> None:
    looks: list[int] = []
    with checked(lambda: looks.append(1)):
        found = list(blocks(np.ones((5, 2)), 1_000_000))
        assert [each.tolist() for each in found] == [[0, 1], [2, 3], [4]]
        assert len(looks) == 3
        despiked(np.array([[0.0, 9.0, 0.0]]), 0.5)
    assert len(looks) > 3
