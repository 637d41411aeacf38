"""Spectral distances: SciPy's of vectors, and NumPy's under a kernel."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import distance
from scipy.stats import entropy

from tests.compute.conftest import GRID, HOLES, SCENE, SIDE, Evaluator, hole_values, scene_values
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

SPECTRA = scene_values().astype(float) + 1
HIDDEN = hole_values() == -9999
ROWS = [3, 20, 40]


def between(metric: str, a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the distance of two spectra."""
    if metric == "sam":
        return float(np.arccos(min(1.0, 1 - distance.cosine(a, b))))
    if metric == "sid":
        return float(entropy(a, b) + entropy(b, a))
    if metric == "sed":
        return float(distance.sqeuclidean(a, b))
    return float(np.abs(np.cumsum(a - b)).sum())


@pytest.mark.parametrize("metric", ["sam", "sid", "sed", "emd"])
def test_the_distance_of_two_images(ee: ModuleType, evaluator: Evaluator, metric: str) -> None:
    image = ee.Image(SCENE).add(1)
    other = image.select("B3", "B1", "B2").rename("B1", "B2", "B3")
    found = evaluator.masked(image.spectralDistance(other, metric))
    assert list(found) == ["distance"]
    for row in ROWS:
        a = SPECTRA[:, row, row + 5]
        expected = between(metric, a, a[[2, 0, 1]])
        assert found["distance"][row, row + 5] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("metric", ["sam", "sed"])
@pytest.mark.parametrize("is_from_mean", [False, True])
def test_erosion_and_dilation_are_the_closest_and_the_most_distant(
    ee: ModuleType, evaluator: Evaluator, metric: str, is_from_mean: bool
) -> None:
    image = ee.Image(SCENE).add(1).updateMask(ee.Image(HOLES).mask())
    kernel = ee.Kernel.plus(1)
    found = {
        kind: evaluator.masked(getattr(image, f"spectral{kind}")(metric, kernel, is_from_mean))
        for kind in ("Erosion", "Dilation", "Gradient")
    }
    assert (np.ma.getmaskarray(found["Dilation"]["B2"]) == HIDDEN).all()
    assert [list(bands) for bands in found.values()] == [["B1", "B2", "B3"]] * 2 + [["distance"]]
    for row, column in ((3, 9), (20, 25), (40, 45)):
        around = [(0, -1), (-1, 0), (0, 0), (1, 0), (0, 1)]
        near = [
            SPECTRA[:, row + y, column + x]
            for y, x in around
            if not HIDDEN[row + y, column + x] and (is_from_mean or (y, x) != (0, 0))
        ]
        center = np.mean(near, axis=0) if is_from_mean else SPECTRA[:, row, column]
        each = [between(metric, one, center) for one in near]
        closest, farthest = near[int(np.argmin(each))], near[int(np.argmax(each))]
        for kind, expected in (("Erosion", closest), ("Dilation", farthest)):
            assert [band[row, column] for band in found[kind].values()] == expected.tolist()
        spread = between(metric, farthest, closest)
        assert found["Gradient"]["distance"][row, column] == pytest.approx(spread, abs=1e-7)


def test_a_pixel_alone_stays(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).add(1)
    alone = image.spectralErosion("sam", ee.Kernel.square(0))
    assert (evaluator.pixels(alone) == evaluator.pixels(image)).all()
    assert evaluator.value(alone)["bands"] == evaluator.value(image)["bands"]


def test_arrays_are_spectra_too(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).add(1).updateMask(ee.Image(HOLES).mask())
    other = image.select("B2", "B3", "B1")
    pairs = [
        (image.toArray().spectralDistance(other.toArray()), image.spectralDistance(other)),
        (image.toArray().spectralGradient("sid"), image.spectralGradient("sid")),
        (
            image.toArray().spectralDilation().arrayGet([1]).rename("distance"),
            image.spectralDilation().select(["B2"], ["distance"]),
        ),
    ]
    for built, expected in pairs:
        found, plain = (evaluator.masked(each)["distance"] for each in (built, expected))
        assert (np.ma.getmaskarray(found) == HIDDEN).all()
        np.testing.assert_allclose(found.filled(0), plain.filled(0), atol=1e-12)


def test_sixteen_tiles_are_one_picture(ee: ModuleType, evaluator: Evaluator) -> None:
    built = ee.Image(SCENE).add(1).spectralGradient("emd", ee.Kernel.square(2), True)
    whole = evaluator.masked(built)["distance"]
    side = SIDE // 4
    for place in range(16):
        window = Window(place % 4 * side, place // 4 * side, side, side)
        found = evaluator.masked(built, GRID.window(window))["distance"]
        np.testing.assert_allclose(found.filled(0), whole[window.slices].filled(0), rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda ee, i: i.spectralDistance(i, "l1"), "metric must be one of sam, sid, sed, emd"),
        (lambda ee, i: i.spectralDistance(i.select(0)), "Found 3 and 1"),
        (lambda ee, i: i.toArray().toArray(1).spectralErosion(), "arrays of 1 dimension, got 2"),
        (lambda ee, i: i.spectralErosion("sam", ee.Kernel.square(500)), "timed out"),
    ],
)
def test_distances_that_cannot_be_are_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        evaluator.pixels(make(ee, ee.Image(SCENE)))
