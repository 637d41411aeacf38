"""Tables, shapes of distributions and angles; NumPy and SciPy are the oracles."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.stats

from tests.compute.conftest import SCENE, SERIES, Evaluator, scene_values, series_values
from tileserver.compute.reductions.histograms import HistogramOf, mode, percentile
from tileserver.compute.values.reducer import Column
from tileserver.errors import InvalidRequest

X = [1, 4, 2, 4, 7, 7, 4, 0]
ANGLES = [0.1, 0.4, -0.3, 3.0, 0.2]


@pytest.mark.parametrize(
    ("build", "values", "expected"),
    [
        (lambda r: r.skew(), X, scipy.stats.skew(X)),
        (lambda r: r.kurtosis(), X, scipy.stats.kurtosis(X)),
        (lambda r: r.circularMean(), ANGLES, scipy.stats.circmean(ANGLES, np.pi, -np.pi)),
        (lambda r: r.circularVariance(), ANGLES, scipy.stats.circvar(ANGLES)),
        (lambda r: r.circularStddev(), ANGLES, scipy.stats.circstd(ANGLES)),
        (lambda r: r.countRuns(), X, 7),
        (lambda r: r.countEvery(), [1, None, 3], 3),
        (lambda r: r.bitwiseAnd(), [7, 5, 13], 5),
        (lambda r: r.bitwiseOr(), [1, 4, 8], 13),
        (lambda r: r.intervalMean(0, 50), X, np.mean([0, 1, 2, 4, 4, 4])),
        (lambda r: r.autoHistogram(4), [0, 1, 2, 3], [[0, 1], [1, 1], [2, 1], [3, 1]]),
        (
            lambda r: r.autoHistogram(4, cumulative=True),
            [0, 1, 2, 3],
            [[0, 1], [1, 2], [2, 3], [3, 4]],
        ),
    ],
)
def test_a_list_is_reduced(
    ee: ModuleType, evaluator: Evaluator, build: Any, values: list[Any], expected: Any
) -> None:
    found = evaluator.value(ee.List(values).reduce(build(ee.Reducer)))
    assert np.array(found, float) == pytest.approx(np.array(expected, float))


def test_counts_in_two_directions(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select(["B1", "B2"])
    reducer = ee.Reducer.fixed2DHistogram(0, 4000, 4, 0, 3000, 3)
    found = evaluator.value(image.reduceRegion(reducer))
    values = scene_values()[:2].reshape(2, -1)
    inside: Any = values[:, (values[0] < 4000) & (values[1] < 3000)].astype(float)
    expected, *_ = np.histogram2d(inside[0], inside[1], bins=[4, 3], range=[[0, 4000], [0, 3000]])
    assert np.array(found["histogram"]) == pytest.approx(expected)
    assert found["xAxis"] == [0, 1000, 2000, 3000]
    assert found["yAxis"] == [0, 1000, 2000]


def test_counts_in_two_directions_pixel_by_pixel(ee: ModuleType, evaluator: Evaluator) -> None:
    reducer = ee.Reducer.fixed2DHistogram(0, 200, 4, 50, 200, 3)
    image = ee.ImageCollection(SERIES).reduce(reducer)
    grid = evaluator.masked(image.select("histogram").arrayGet([1, 2]))["histogram"]
    series = series_values()
    wanted = np.zeros(series.shape[2:])
    for first, second in zip(series[:, 0].filled(255), series[:, 1].filled(255), strict=True):
        wanted += (first >= 50) & (first < 100) & (second >= 150) & (second < 200)
    shown = ~np.ma.getmaskarray(series).all(axis=(0, 1))
    np.testing.assert_array_equal(~np.ma.getmaskarray(grid), shown)
    np.testing.assert_array_equal(grid.data[shown], wanted[shown])
    ends = image.select("xAxis").arrayGet([3]).addBands(image.select("yAxis").arrayGet([1]))
    for band, expected in zip(evaluator.masked(ends).values(), (150, 100), strict=True):
        assert (band.compressed() == expected).all()


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("skew", scipy.stats.skew),
        ("kurtosis", scipy.stats.kurtosis),
        ("countRuns", lambda v: 1 + np.count_nonzero(np.diff(v))),
        ("bitwiseOr", np.bitwise_or.reduce),
        ("bitwiseAnd", np.bitwise_and.reduce),
        ("circularVariance", lambda v: scipy.stats.circvar(v.astype(float))),
        ("countEvery", lambda v: 6),
    ],
)
def test_images_are_reduced_pixel_by_pixel(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any
) -> None:
    image = ee.ImageCollection(SERIES).select("B1").reduce(getattr(ee.Reducer, name)())
    (found,) = evaluator.masked(image).values()
    series = series_values()
    for row, column in ((5, 7), (20, 3), (40, 41)):
        values = series[:, 0, row, column].compressed()
        assert found[row, column] == pytest.approx(float(oracle(values)), abs=1e-5)


def test_pixels_have_histograms(ee: ModuleType, evaluator: Evaluator) -> None:
    counts = ee.ImageCollection(SERIES).select("B1").reduce(ee.Reducer.fixedHistogram(0, 256, 4))
    image = counts.arraySlice(1, 1, 2).arrayProject([0]).arrayFlatten([["a", "b", "c", "d"]])
    found = evaluator.masked(image)
    for row, column in ((5, 7), (20, 3), (40, 41)):
        values = series_values()[:, 0, row, column].compressed()
        expected, _ = np.histogram(values, 4, (0, 256))
        assert [found[name][row, column] for name in "abcd"] == expected.tolist()


def test_moments_come_together_piece_by_piece(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tileserver.compute.pixels.regions._PIECE_PX", 300)
    values = scene_values()[0].ravel().astype(float) + 1e6
    image = ee.Image(SCENE).select("B1").add(1e6)
    r = ee.Reducer
    both = r.stdDev().combine(r.skew(), None, True).combine(r.kurtosis(), None, True)
    found = evaluator.value(image.reduceRegion(both))
    assert found["B1_stdDev"] == pytest.approx(values.std())
    assert found["B1_skew"] == pytest.approx(scipy.stats.skew(values), abs=1e-9)
    assert found["B1_kurtosis"] == pytest.approx(scipy.stats.kurtosis(values))


@pytest.mark.parametrize("most_raw", [0, 1000, 10**6])
def test_a_histogram_in_pieces_keeps_its_percentiles(most_raw: int) -> None:
    values = np.random.default_rng(1).normal(50, 20, 20_000)
    state = HistogramOf("median", 65536, 0.0, most_raw)()
    for part in np.array_split(values, 7):
        state.add([Column(part, np.ones(len(part), bool))])
    for percent in (0, 5, 50, 99, 100):
        expected = float(np.percentile(values, percent))
        assert percentile(state, percent) == pytest.approx(expected, abs=0.02)
    whole = HistogramOf("mode", 256, 0.0, most_raw)()
    for part in np.array_split(np.round(values / 10), 7):
        whole.add([Column(part, np.ones(len(part), bool))])
    assert mode(whole) == scipy.stats.mode(np.round(values / 10)).mode


def test_histograms_are_combined(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE)
    parts = [
        image.select(band).reduceRegion(ee.Reducer.histogram(64)).get(band) for band in ("B1", "B2")
    ]
    combiner = ee.ApiFunction.call_("Reducer.histogramCombiner", 64)
    found = evaluator.value(ee.List(parts).reduce(combiner))
    assert sum(found["histogram"]) == pytest.approx(2 * scene_values()[0].size)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda r: r.histogram(10**9), "maxBuckets must be 1 to 65536"),
        (lambda r: r.median(None, -1), "minBucketWidth must be 0 or more"),
        (lambda r: r.intervalMean(60, 50), "0 <= minPercentile <= maxPercentile"),
        (lambda r: r.fixed2DHistogram(0, 1, 65536, 0, 1, 65536), "at most 1048576"),
    ],
)
def test_a_table_that_cannot_be_is_refused(
    ee: ModuleType, evaluator: Evaluator, build: Any, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(build(ee.Reducer).getOutputs())
