"""Samples of pixels: spread by chance, by class, as a rectangle; NumPy is the oracle."""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.algorithms.reducer.test_reduce_region import LEFT, TOP, inside, triangle
from tests.compute.conftest import HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.compute.pixels.sampling import chances
from tileserver.errors import InvalidRequest


def classes(ee: ModuleType) -> Any:
    """Return SCENE's first band by its last decimal digit, four or less, and itself."""
    band = ee.Image(SCENE).select("B1")
    return band.mod(10).int().min(4).rename("class").addBands(band)


CLASSES = np.minimum(scene_values()[0] % 10, 4)


def of_class(evaluator: Evaluator, sample: Any) -> Counter[int]:
    """Return how many pixels of each class a sample has."""
    return Counter(evaluator.value(sample.aggregate_array("class")))


def test_chances_are_spread_evenly() -> None:
    columns, rows = (each.ravel().astype(float) for each in np.mgrid[:64, :64])
    found = chances(7, columns, rows)
    assert len(np.unique(found)) == len(found)
    counts, _ = np.histogram(found, 16, (0, 1))
    assert counts.min() > 180
    assert counts.max() < 340
    assert abs(np.corrcoef(found, chances(8, columns, rows))[0, 1]) < 0.05


def test_a_sample_does_not_depend_on_the_pieces(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ee.Image(SCENE).select("B1").sample(triangle(ee), numPixels=40, seed=3)
    whole = evaluator.value(asked.aggregate_array("B1"))
    monkeypatch.setattr("tileserver.compute.pixels.regions._PIECE_PX", 200)
    assert evaluator.value(asked.aggregate_array("B1")) == whole
    assert len(whole) == 40
    assert set(whole) <= set(scene_values()[0][inside()].tolist())


def test_so_many_pixels_of_each_class(ee: ModuleType, evaluator: Evaluator) -> None:
    found = of_class(evaluator, classes(ee).stratifiedSample(7, "class"))
    assert found == dict.fromkeys(range(5), 7)
    found = of_class(
        evaluator,
        classes(ee).stratifiedSample(7, classValues=[1, 3], classPoints=[0, 100_000]),
    )
    expected = dict.fromkeys((0, 2, 4), 7) | {3: int((CLASSES == 3).sum())}
    assert found == expected


def test_strata_are_the_same_again_and_another_with_another_seed(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    def values(seed: int) -> Any:
        sample = classes(ee).stratifiedSample(5, "class", triangle(ee), seed=seed)
        return evaluator.value(sample.aggregate_array("B1"))

    assert values(1) == values(1) != values(2)
    told = evaluator.value(classes(ee).stratifiedSample(2, "class", geometries=True))
    # Tables of samples that the service exported: {"geodesic":false,"type":"Point", ...}.
    assert all(
        list(each["geometry"].items())[:2] == [("geodesic", False), ("type", "Point")]
        for each in told["features"]
    )
    assert all(
        min(p["B1"] % 10, 4) == p["class"] for p in (f["properties"] for f in told["features"])
    )


def test_masked_pixels_are_in_no_class(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(HOLES).gt(500).rename("class").addBands(ee.Image(HOLES))
    found = of_class(evaluator, image.stratifiedSample(100_000, "class"))
    values = hole_values()[hole_values() != -9999]
    assert found == {0: int((values <= 500).sum()), 1: int((values > 500).sum())}


def test_a_rectangle_is_an_array_of_its_pixels(ee: ModuleType, evaluator: Evaluator) -> None:
    corners = [LEFT + 65, TOP - 155, LEFT + 205, TOP - 95]
    region = ee.Geometry.Rectangle(corners, "EPSG:32612", False)
    told = evaluator.value(ee.Image(SCENE).sampleRectangle(region))
    assert told["properties"].pop("SENSOR") == "made up"
    for place, band in enumerate(("B1", "B2", "B3")):
        assert told["properties"][band] == scene_values()[place, 3:6, 2:7].tolist()
    whole = evaluator.value(ee.Image(HOLES).sampleRectangle(None, [], -1))["properties"]
    assert whole == {"b1": np.where(hole_values() == -9999, -1, hole_values()).tolist()}


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda ee: classes(ee).stratifiedSample(1, "none"), "no band 'none' for the classes"),
        (lambda ee: ee.Image(0.5).stratifiedSample(1), "has no end"),
        (
            lambda ee: ee.Image(SCENE).toFloat().stratifiedSample(1),
            "'B1' must hold whole numbers",
        ),
        (
            lambda ee: classes(ee).stratifiedSample(1, classValues=[1]),
            "must be of the same size, got 1 and 0",
        ),
        (lambda ee: classes(ee).stratifiedSample(-1), "numPoints must be 0 or more"),
        (lambda ee: ee.Image(HOLES).sampleRectangle(), "'b1' is masked in part of the region"),
        (
            lambda ee: ee.Image(1).sampleRectangle(ee.Geometry.Rectangle([0, 0, 170, 80])),
            None,
        ),
        (
            lambda ee: (
                ee.Image(1)
                .setDefaultProjection("EPSG:4326", None, 100)
                .sampleRectangle(ee.Geometry.Rectangle([0, 0, 17, 8]))
            ),
            "Too many pixels in sample; must be <= 262144",
        ),
    ],
)
def test_what_cannot_be_sampled_is_refused(
    ee: ModuleType, evaluator: Evaluator, build: Any, sentence: str | None
) -> None:
    if sentence is None:
        assert evaluator.value(build(ee))["type"] == "Feature"
        return
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(build(ee))
