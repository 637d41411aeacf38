"""Correlations, regressions and covariances; NumPy, SciPy and scikit-learn are the oracles."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.stats

from tests.compute.conftest import SCENE, SERIES, Evaluator, scene_values, series_values
from tileserver.errors import InvalidRequest

CHANCE = np.random.default_rng(3)
X1 = np.round(CHANCE.normal(5, 2, 40), 1)
X2 = CHANCE.integers(0, 9, 40).astype(float)
Y1 = np.round(2 + 1.5 * X1 - 0.7 * X2 + CHANCE.normal(0, 0.5, 40), 1)
Y2 = np.round(1 - 0.5 * X1 + CHANCE.normal(0, 0.5, 40), 2)


def reduced(ee: ModuleType, evaluator: Evaluator, reducer: Any, *columns: Any) -> Any:
    """Return the value of a reducer over columns of a list."""
    rows = np.column_stack(columns).tolist()
    return evaluator.value(ee.List(rows).reduce(reducer))


def test_two_columns_correlate_as_scipy_says(ee: ModuleType, evaluator: Evaluator) -> None:
    r = ee.Reducer
    pearson = scipy.stats.pearsonr(X1, Y1)
    found = reduced(ee, evaluator, r.pearsonsCorrelation(), X1, Y1)
    assert found == pytest.approx({"correlation": pearson.statistic, "p-value": pearson.pvalue})
    spearman = scipy.stats.spearmanr(X2, Y1).statistic
    assert reduced(ee, evaluator, r.spearmansCorrelation(), X2, Y1) == pytest.approx(spearman)
    kendall = scipy.stats.kendalltau(X2, Y1, method="asymptotic")
    found = reduced(ee, evaluator, r.kendallsCorrelation(2), X2, Y1)
    assert found == pytest.approx({"tau": kendall.statistic, "p-value": kendall.pvalue})
    sequence = scipy.stats.kendalltau(np.arange(40), Y1, method="asymptotic")
    found = evaluator.value(ee.List(Y1.tolist()).reduce(r.kendallsCorrelation()))
    assert found == pytest.approx({"tau": sequence.statistic, "p-value": sequence.pvalue})
    sen = scipy.stats.theilslopes(Y1, X1)
    found = reduced(ee, evaluator, r.sensSlope(), X1, Y1)
    assert found == pytest.approx({"slope": sen.slope, "offset": sen.intercept})


def test_a_constant_correlates_with_nothing(ee: ModuleType, evaluator: Evaluator) -> None:
    for reducer, name in (
        (ee.Reducer.pearsonsCorrelation(), "correlation"),
        (ee.Reducer.kendallsCorrelation(2), "tau"),
    ):
        assert reduced(ee, evaluator, reducer, np.ones(5), np.arange(5))[name] is None


def test_bands_correlate_in_regions(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select(["B1", "B2"])
    b1, b2 = (scene_values()[i].ravel() for i in (0, 1))
    found = evaluator.value(image.reduceRegion(ee.Reducer.pearsonsCorrelation()))
    assert found["correlation"] == pytest.approx(scipy.stats.pearsonr(b1, b2).statistic)
    found = evaluator.value(image.reduceRegion(ee.Reducer.kendallsCorrelation(2)))
    expected = scipy.stats.kendalltau(b1, b2, method="asymptotic")
    assert found == pytest.approx({"tau": expected.statistic, "p-value": expected.pvalue})


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("pearsonsCorrelation", lambda x, y: {"correlation": scipy.stats.pearsonr(x, y).statistic}),
        (
            "spearmansCorrelation",
            lambda x, y: {"correlation": scipy.stats.spearmanr(x, y).statistic},
        ),
        (
            "kendallsCorrelation",
            lambda x, y: {
                "tau": scipy.stats.kendalltau(
                    x, y, method="exact" if len(x) < 3 else "auto"
                ).statistic,
            },
        ),
        ("sensSlope", lambda x, y: {"slope": scipy.stats.theilslopes(y, x).slope}),
    ],
)
def test_images_correlate_pixel_by_pixel(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any
) -> None:
    arguments = [2] if name == "kendallsCorrelation" else []
    reducer = getattr(ee.Reducer, name)(*arguments)
    found = evaluator.masked(ee.ImageCollection(SERIES).select(["B1", "B2"]).reduce(reducer))
    series = series_values()
    for row, column in ((5, 7), (20, 3), (40, 41), (63, 63)):
        keep = ~np.ma.getmaskarray(series)[:, 0, row, column]
        x, y = (series.data[keep, band, row, column].astype(float) for band in (0, 1))
        for key, expected in oracle(x, y).items():
            assert found[key][row, column] == pytest.approx(expected)


def test_several_columns_are_fitted(ee: ModuleType, evaluator: Evaluator) -> None:
    table = (np.ones(40), X1, X2, Y1, Y2)
    found = reduced(ee, evaluator, ee.Reducer.linearRegression(3, 2), *table)
    x, y = np.column_stack(table[:3]), np.column_stack(table[3:])
    expected, *_ = np.linalg.lstsq(x, y, rcond=None)
    assert np.array(found["coefficients"]) == pytest.approx(expected)
    residuals = np.sqrt(((y - x @ expected) ** 2).mean(axis=0))
    assert found["residuals"] == pytest.approx(residuals)


def test_images_are_fitted_pixel_by_pixel(ee: ModuleType, evaluator: Evaluator) -> None:
    series = series_values()
    images = ee.ImageCollection(SERIES).map(
        lambda image: ee.Image(1).addBands(image.select(["B1", "B2"])).float()
    )
    for build in (ee.Reducer.linearRegression, ee.Reducer.ridgeRegression):
        is_ridge = build == ee.Reducer.ridgeRegression
        chosen = images.select(["B1", "B2"]) if is_ridge else images
        reducer = build(1, 1, 0) if is_ridge else build(2)
        names = [["slope", "offset"] if is_ridge else ["offset", "slope"], ["y"]]
        image = chosen.reduce(reducer).select("coefficients").arrayFlatten(names)
        found = evaluator.masked(image)
        for row, column in ((5, 7), (20, 3), (40, 41)):
            keep = ~np.ma.getmaskarray(series)[:, 0, row, column]
            x, y = (series.data[keep, band, row, column].astype(float) for band in (0, 1))
            if len(x) > 2:
                slope, offset = np.polyfit(x, y, 1)
                assert found["slope_y"][row, column] == pytest.approx(slope)
                assert found["offset_y"][row, column] == pytest.approx(offset)


def test_bands_vary_together_in_regions(ee: ModuleType, evaluator: Evaluator) -> None:
    arrays = ee.Image(SCENE).toArray()
    found = evaluator.value(arrays.reduceRegion(ee.Reducer.covariance()))
    table = scene_values().reshape(3, -1).astype(float)
    assert np.array(found["array"]) == pytest.approx(np.cov(table, bias=True))


def test_the_guides_line_is_exact(ee: ModuleType, evaluator: Evaluator) -> None:
    # guides/reducers_regression: y is a copy of x, so the offset is 0 and the slope 1.
    n = np.arange(1, 6)
    assert reduced(ee, evaluator, ee.Reducer.linearFit(), n, n) == pytest.approx(
        {"scale": 1, "offset": 0}
    )
    for build in (ee.Reducer.linearRegression, ee.Reducer.robustLinearRegression):
        found = reduced(ee, evaluator, build(2), np.ones(5), n, n)
        assert np.array(found["coefficients"]) == pytest.approx(np.array([[0], [1]]), abs=1e-9)
        assert found["residuals"] == pytest.approx([0], abs=1e-9)


def test_too_few_rows_give_nothing(ee: ModuleType, evaluator: Evaluator) -> None:
    found = reduced(ee, evaluator, ee.Reducer.linearRegression(2), [1, 1], [1, 2], [3, 4])
    assert found == {"coefficients": None, "residuals": None}


def test_outliers_take_no_part_in_a_robust_fit(ee: ModuleType, evaluator: Evaluator) -> None:
    spoilt = Y1.copy()
    spoilt[:6] += 100
    table = np.column_stack([np.ones(40), X1, X2])
    expected, *_ = np.linalg.lstsq(table[6:], Y1[6:], rcond=None)
    build = ee.Reducer.robustLinearRegression
    for reducer, most_off in ((build(3, beta=20), 1e-6), (build(3), 0.3)):
        found = reduced(ee, evaluator, reducer, np.ones(40), X1, X2, spoilt)
        assert np.ravel(found["coefficients"]) == pytest.approx(expected, abs=most_off)


def test_a_penalty_shrinks_slopes_but_no_intercept(ee: ModuleType, evaluator: Evaluator) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    table = np.column_stack([X1, X2])
    oracle = linear_model.Ridge(alpha=3.0).fit(table, Y1)
    found = reduced(ee, evaluator, ee.Reducer.ridgeRegression(2, 1, 3.0), X1, X2, Y1)
    assert np.ravel(found["coefficients"]) == pytest.approx([*oracle.coef_, oracle.intercept_])
    off = Y1 - oracle.predict(table)
    assert found["residuals"] == pytest.approx([np.sqrt((off**2).mean())])
    plain = reduced(ee, evaluator, ee.Reducer.ridgeRegression(1, 1, 0), X1, Y1)
    assert plain["pValue"] == pytest.approx([scipy.stats.linregress(X1, Y1).pvalue])


def test_arrays_vary_together(ee: ModuleType, evaluator: Evaluator) -> None:
    rows = np.column_stack([X1, X2, Y1])
    centred = rows - rows.mean(axis=0)
    for table, reducer in (
        (rows, ee.Reducer.covariance()),
        (centred, ee.Reducer.centeredCovariance()),
    ):
        arrays = ee.List([ee.Array(row) for row in table.tolist()])
        found = evaluator.value(arrays.reduce(reducer))
        assert np.array(found) == pytest.approx(np.cov(rows.T, bias=True))
    with pytest.raises(InvalidRequest, match="1-D arrays of the same length"):
        evaluator.value(ee.List([1, 2]).reduce(ee.Reducer.covariance()))


def test_the_geometric_median_has_the_least_distances(ee: ModuleType, evaluator: Evaluator) -> None:
    from scipy.optimize import minimize

    points = np.column_stack([X1, X2])

    def distances(place: Any) -> float:
        return float(np.hypot(*(points - place).T).sum())

    oracle = minimize(distances, points.mean(axis=0), tol=1e-10)
    found = reduced(ee, evaluator, ee.Reducer.geometricMedian(2, 1e-5), X1, X2)
    assert list(found.values()) == pytest.approx(oracle.x.tolist(), abs=1e-3)
    image = ee.ImageCollection(SERIES).select(["B1", "B2"]).reduce(ee.Reducer.geometricMedian(2))
    assert len(evaluator.masked(image)) == 2


def test_aggregates_are_taken_apart(ee: ModuleType, evaluator: Evaluator) -> None:
    arrays = ee.List([ee.Array([[1, 2], [3, 4]]), [5, 6], {"a": 7}, 8])
    assert evaluator.value(arrays.reduce(ee.Reducer.sum().disaggregate())) == 36
    rows = ee.List([ee.Array([[1, 2], [3, 4]])]).reduce(ee.Reducer.toList().disaggregate(1))
    assert evaluator.value(rows) == [[1, 3], [2, 4]]


def test_each_position_of_arrays_is_reduced(ee: ModuleType, evaluator: Evaluator) -> None:
    stack = np.arange(20).reshape(5, 2, 2)
    arrays = ee.List([ee.Array(each.tolist()) for each in stack])
    found = evaluator.value(arrays.reduce(ee.Reducer.sum().forEachElement()))
    assert found == stack.sum(axis=0).tolist()
    both = ee.List([ee.Array([1]), ee.Array([1, 2])])
    with pytest.raises(InvalidRequest, match="arrays of equal shapes"):
        evaluator.value(both.reduce(ee.Reducer.sum().forEachElement()))


def test_inputs_become_features(ee: ModuleType, evaluator: Evaluator) -> None:
    rows = ee.List([[1, "a"], [None, "b"], [3, None]])
    found = evaluator.value(rows.reduce(ee.Reducer.toCollection(["n", "t"], 1)))
    told = [each["properties"] for each in found["features"]]
    assert [each.get("n") for each in told] == [1, 3]
    assert [each.get("t") for each in told] == ["a", None]


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda r: r.linearRegression(0), "numX and numY of 1 or more"),
        (lambda r: r.linearRegression(10**6), "at most 500"),
        (lambda r: r.kendallsCorrelation(3), "numInputs must be 1 or 2"),
        (lambda r: r.ridgeRegression(1, 1, -1), "lambda must be 0 or more"),
        (lambda r: r.geometricMedian(10**9), "numX must be 1 to 500"),
        (lambda r: r.toCollection([]), "1 to 1000 propertyNames"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(
    ee: ModuleType, evaluator: Evaluator, build: Any, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(build(ee.Reducer).getOutputs())
