"""What Google's guides to arrays do, end to end, beside NumPy pixel by pixel.

guides/arrays_transformations solves a time series by least squares in three ways,
guides/arrays_sorting takes the greenest pixels, guides/arrays_eigen_analysis the principal
components, guides/reducers_regression the regression of a collection.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.compute.conftest import (
    SCENE,
    SERIES,
    Evaluator,
    scene_values,
    series_values,
    start_of,
)

NAMES = ["constant", "t", "x"]
LEAST = 4
"""Images that a pixel needs here."""


def variables(ee: ModuleType) -> Any:
    """Return the collection of predictors, constant, t in years and x, and the response y."""

    def predict(image: Any) -> Any:
        years = ee.Image(image.date().difference(ee.Date("2020-01-01"), "year")).float()
        x = image.select("B1").divide(100.0)
        y = image.select("B2").divide(50.0)
        names = [*NAMES, "y"]
        return ee.Image(1).addBands(years).addBands(x).addBands(y).rename(names).toDouble()

    return ee.ImageCollection(SERIES).map(predict)


def fits(
    stack: np.ma.MaskedArray[Any, Any],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return coefficients, shape (3, height, width), and where there are enough images."""
    there = ~np.ma.getmaskarray(stack)[:, 0]
    years = np.array([(start_of(i) - start_of(0)).total_seconds() for i in range(len(stack))])
    years = (years + (start_of(0).timestamp() - 1577836800)) / (365.25 * 86400)
    enough = there.sum(axis=0) >= LEAST
    found = np.zeros((3, *enough.shape))
    for row, column in zip(*np.nonzero(enough), strict=True):
        rows = there[:, row, column]
        x = stack.data[rows, 0, row, column] / 100.0
        table = np.stack([np.ones(rows.sum()), years[rows], x], axis=1)
        y = stack.data[rows, 1, row, column] / 50.0
        found[:, row, column] = np.linalg.lstsq(table, y, rcond=None)[0]
    return found, enough


def test_least_squares_in_three_ways(ee: ModuleType, evaluator: Evaluator) -> None:
    array = variables(ee).toArray()
    array = array.updateMask(array.arrayLength(0).gte(LEAST))
    x, y = array.arraySlice(1, 0, 3), array.arraySlice(1, 3, 4)
    transposed = x.arrayTranspose()
    solutions = [
        transposed.matrixMultiply(x).matrixInverse().matrixMultiply(transposed).matrixMultiply(y),
        x.matrixPseudoInverse().matrixMultiply(y),
        x.matrixSolve(y),
    ]
    expected, enough = fits(series_values())
    for solution in solutions:
        flat = solution.arrayProject([0]).arrayFlatten([NAMES])
        found = evaluator.masked(flat)
        for place, name in enumerate(NAMES):
            shown = ~np.ma.getmaskarray(found[name])
            assert np.array_equal(shown, enough)
            assert np.allclose(
                found[name].data[shown], expected[place][shown], rtol=1e-4, atol=1e-4
            )


def test_a_collection_is_regressed_to_bands_of_arrays(ee: ModuleType, evaluator: Evaluator) -> None:
    image = variables(ee).reduce(ee.Reducer.linearRegression(3, 1))
    about = {band["id"]: band["data_type"] for band in evaluator.value(image)["bands"]}
    assert about["coefficients"]["dimensions"] == 2
    assert about["residuals"]["dimensions"] == 1
    flat = image.select("coefficients").arrayProject([0]).arrayFlatten([NAMES])
    found = evaluator.masked(flat)["x"]
    expected, enough = fits(series_values())
    shown = enough & ~np.ma.getmaskarray(found)
    assert shown.any()
    assert np.allclose(found.data[shown], expected[2][shown], rtol=1e-4, atol=1e-4)


def test_the_greenest_pixels_are_averaged(ee: ModuleType, evaluator: Evaluator) -> None:
    array = ee.ImageCollection(SERIES).toArray()
    by_key = array.arraySort(array.arraySlice(1, 1, 2).multiply(-1))
    half = array.arrayLength(0).multiply(0.5).ceil()
    best = by_key.arraySlice(0, 0, half)
    image = best.arrayReduce(ee.Reducer.mean(), [0]).arrayProject([1]).arrayFlatten([["B1", "B2"]])
    found = evaluator.masked(image)["B1"]
    stack = series_values()
    for row, column in ((5, 9), (20, 40), (63, 63), (33, 1)):
        there = ~np.ma.getmaskarray(stack)[:, 0, row, column]
        if not there.any():
            assert np.ma.getmaskarray(found)[row, column]
            continue
        first, key = stack.data[there, :, row, column].astype(float).T
        order = np.argsort(-key, kind="stable")[: int(np.ceil(there.sum() / 2))]
        assert np.isclose(float(found[row, column]), first[order].mean())


def test_principal_components_are_not_correlated(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).toDouble()
    region = ee.Image(SCENE).geometry()
    grid = {"scale": 30, "crs": "EPSG:32612"}
    means = image.reduceRegion(reducer=ee.Reducer.mean(), geometry=region, **grid)
    centred = image.subtract(ee.Image.constant(means.values(image.bandNames())))
    arrays = centred.toArray()
    covariance = ee.Array(
        arrays.reduceRegion(reducer=ee.Reducer.centeredCovariance(), geometry=region, **grid).get(
            "array"
        )
    )
    eigen = covariance.eigen()
    values, vectors = eigen.slice(1, 0, 1), eigen.slice(1, 1)
    components = ee.Image(vectors).matrixMultiply(arrays.toArray(1))
    deviations = ee.Image(values.sqrt()).arrayProject([0]).arrayFlatten([["sd1", "sd2", "sd3"]])
    flat = components.arrayProject([0]).arrayFlatten([["pc1", "pc2", "pc3"]]).divide(deviations)
    expected = np.cov(scene_values().reshape(3, -1))
    assert np.allclose(evaluator.value(covariance), expected, rtol=1e-2, atol=1e-3 * expected.max())
    found = np.stack([band.data.ravel() for band in evaluator.masked(flat).values()])
    assert np.allclose(np.cov(found), np.eye(3), atol=0.02)
    assert np.allclose(
        evaluator.value(values.project([0])), np.linalg.eigvalsh(expected)[::-1], rtol=0.02
    )
