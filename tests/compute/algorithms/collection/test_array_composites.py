"""Sums and means of images of arrays."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import SERIES, Evaluator, series_values
from tileserver.errors import InvalidRequest


@pytest.mark.parametrize("name", ["sum", "mean"])
@pytest.mark.parametrize("how", ["composite", "reducer"])
def test_arrays_of_a_collection_are_reduced_element_by_element(
    ee: ModuleType, evaluator: Evaluator, name: str, how: str
) -> None:
    arrays = ee.ImageCollection(SERIES).map(lambda image: image.toArray())
    made = (
        getattr(arrays, name)()
        if how == "composite"
        else arrays.reduce(getattr(ee.Reducer, name)())
    )
    kind = evaluator.value(made.bandTypes())
    assert list(kind) == ["array" if how == "composite" else f"array_{name}"]
    assert list(kind.values()) == [{"type": "PixelType", "precision": "double", "dimensions": 1}]
    found = evaluator.masked(made.arrayFlatten([["a", "b"]]))
    expected = getattr(series_values(), name)(axis=0, dtype=float)
    for band, values in zip(found.values(), expected, strict=True):
        np.testing.assert_array_equal(np.ma.getmaskarray(band), np.ma.getmaskarray(values))
        np.testing.assert_allclose(band.compressed(), values.compressed())


def test_bands_of_arrays_are_reduced(ee: ModuleType, evaluator: Evaluator) -> None:
    arrays: Any = ee.Image([1, 2]).toArray().addBands(ee.Image([3, 5]).toArray())
    point = ee.Geometry.Point([10.5, 10.5])
    for name, expected in (("sum", [4, 7]), ("mean", [2, 3.5])):
        made = arrays.reduce(getattr(ee.Reducer, name)())
        assert evaluator.value(made.reduceRegion(ee.Reducer.first(), point, 1000)) == {
            name: expected
        }


def test_arrays_of_other_lengths_are_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    images = [ee.Image([1, 2]).toArray(), ee.Image(1).toArray()]
    with pytest.raises(InvalidRequest, match="Arrays must have the same lengths"):
        evaluator.masked(ee.ImageCollection(images).sum().arrayGet([0]))


def test_an_array_stands_where_another_is_masked_everywhere(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    masked = ee.Image([1, 2]).toArray().updateMask(0)
    point = ee.Geometry.Point([10.5, 10.5])
    made = masked.unmask(ee.Image([7, 8]).toArray())
    assert evaluator.value(made.reduceRegion(ee.Reducer.first(), point, 1000)) == {"array": [7, 8]}
