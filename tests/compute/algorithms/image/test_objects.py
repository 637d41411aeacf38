"""Objects: SciPy's label and scikit-image's regionprops are the oracles."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from tests.compute.algorithms.image.test_random_pixels import tiled
from tests.compute.conftest import GRID, HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.errors import InvalidRequest

VALUES = (ndimage.uniform_filter(scene_values()[0].astype(float), 5) // 400).astype(int)
"""Smooth enough to have objects, as `classes` makes them."""


oracle_of: Any = measure


def classes(ee: ModuleType) -> Any:
    mean = ee.Image(SCENE).select("B1").reduceNeighborhood(ee.Reducer.mean(), ee.Kernel.square(2))
    return mean.divide(400).floor().int().rename("class")


@pytest.fixture(scope="module")
def values(ee: ModuleType, evaluator: Evaluator) -> Any:
    """Return the classes with their neighbourhood, as far as the raster goes."""
    return evaluator.masked(classes(ee))["class"]


def labelled(values: Any, connectivity: int) -> Any:
    """Return scikit-image's labels, 0 where masked."""
    filled = np.where(np.ma.getmaskarray(values), -1, values.filled(0))
    return oracle_of.label(filled, background=-1, connectivity=connectivity)


@pytest.mark.parametrize(("is_eight", "size"), [(True, 100), (False, 100), (True, 7), (False, 1)])
def test_pixels_of_an_object_are_counted(
    ee: ModuleType, evaluator: Evaluator, values: Any, is_eight: bool, size: int
) -> None:
    image = classes(ee).connectedPixelCount(size, is_eight)
    found = evaluator.masked(image)["class"]
    labels = labelled(values, 2 if is_eight else 1)
    expected = np.minimum(np.bincount(labels.ravel())[labels], size)
    assert (found == expected).all()
    assert (np.ma.getmaskarray(found) == np.ma.getmaskarray(values)).all()
    assert found.dtype == np.int32
    assert len(np.unique(expected)) > 3 or size == 1
    assert (tiled(evaluator, image, GRID, "class") == found.filled(0)).all()


def test_masked_pixels_belong_to_no_object(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(HOLES).multiply(0).connectedPixelCount(600, False)
    found = evaluator.masked(image)["b1"]
    labels, _ = ndimage.label(hole_values() != -9999)
    assert (found == np.minimum(np.bincount(labels.ravel())[labels], 600)).all()
    assert (np.ma.getmaskarray(found) == (labels == 0)).all()


@pytest.mark.parametrize(("kernel", "connectivity"), [("plus", 1), ("square", 2)])
@pytest.mark.parametrize("size", [8, 64])
def test_objects_are_labelled_alike_in_all_tiles(
    ee: ModuleType, evaluator: Evaluator, values: Any, kernel: str, connectivity: int, size: int
) -> None:
    image = classes(ee).connectedComponents(getattr(ee.Kernel, kernel)(1), size)
    assert evaluator.value(image.bandNames()) == ["class", "labels"]
    found = evaluator.masked(image)["labels"]
    expected = labelled(values, connectivity)
    for each in oracle_of.regionprops(expected):
        top, left, bottom, right = each.bbox
        own = found[tuple(each.coords.T)]
        if max(bottom - top, right - left) > size:
            assert np.ma.getmaskarray(own).all()
        else:
            assert len(set(own.tolist())) == 1
            assert own[0] is not np.ma.masked
    shown = ~np.ma.getmaskarray(found)
    pairs = {(int(a), int(b)) for a, b in zip(found[shown], expected[shown], strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) > 5
    assert (tiled(evaluator, image, GRID, "labels") == found.filled(0)).all()


@pytest.mark.parametrize(
    ("reducer", "oracle"),
    [("mean", np.mean), ("max", np.max), ("count", np.size), ("median", None)],
)
def test_values_are_reduced_by_object(
    ee: ModuleType, evaluator: Evaluator, values: Any, reducer: str, oracle: Any
) -> None:
    image = classes(ee).addBands(ee.Image(SCENE).select("B2"))
    size = 20
    image = image.reduceConnectedComponents(getattr(ee.Reducer, reducer)(), "class", size)
    found = evaluator.masked(image)["B2"]
    for each in oracle_of.regionprops(labelled(values, 2)):
        top, left, bottom, right = each.bbox
        at = tuple(each.coords.T)
        if max(bottom - top, right - left) > size:
            assert np.ma.getmaskarray(found[at]).all()
        elif oracle is not None:
            expected = oracle(scene_values()[1][at].astype(float))
            np.testing.assert_allclose(found[at].astype(float), expected, rtol=1e-6)
        else:
            ordered = np.sort(scene_values()[1][at])
            assert ordered[0] <= found[at][0] <= ordered[-1]
    assert (tiled(evaluator, image, GRID, "B2") == found.filled(0)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda ee: ee.Image(SCENE).connectedPixelCount(0), "maxSize must be from 1 to 1024"),
        (lambda ee: ee.Image(SCENE).connectedPixelCount(10**9), "maxSize must be from 1 to 1024"),
        (
            lambda ee: ee.Image(SCENE).connectedComponents(ee.Kernel.square(100), 9),
            "User memory limit exceeded",
        ),
        (
            lambda ee: ee.Image(SCENE).reduceConnectedComponents(ee.Reducer.mean(), "no"),
            "has no label band 'no'",
        ),
        (
            lambda ee: ee.Image(SCENE).reduceConnectedComponents(ee.Reducer.toList()),
            "is a list or a table",
        ),
    ],
)
def test_what_has_no_objects_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(make(ee))
