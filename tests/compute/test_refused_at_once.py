"""What asks for far too much is refused by what it says, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import GRID, HEIGHTS, HOLES, SCENE, Evaluator
from tests.rest import memory
from tests.support.limits import cpu_limit
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

CORNER = GRID.window(Window(20, 20, 8, 8))
MOST_MB = 300
Bomb = Callable[[ModuleType, Any], Any]


def again(value: Any, change: Callable[[Any], Any], count: int) -> Any:
    for _ in range(count):
        value = change(value)
    return value


def series(ee: ModuleType, image: Any, count: int) -> Any:
    return ee.ImageCollection.fromImages(ee.List.repeat(image, count))


def places(ee: ModuleType, count: int) -> Any:
    made = ee.FeatureCollection.randomPoints(ee.Geometry.Rectangle([0, 0, 1, 1]), count)
    return made.map(lambda each: each.set({"b1": 1, "c": 10**9, "d": 10**9}))


def rows(ee: ModuleType, length: float) -> Any:
    return ee.List.repeat(ee.List.repeat(1, length), length)


def entities(count: int) -> str:
    declared = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(count))
    return (
        f'<!DOCTYPE l [<!ENTITY a0 "aa">{declared}]><RasterSymbolizer>&a{count};</RasterSymbolizer>'
    )


TOO_LARGE = "Kernel is too large"
MEMORY = "User memory limit exceeded"
IMAGES: dict[str, tuple[Bomb, str]] = {
    "a radius": (lambda ee, i: i.focalMax(1e9), TOO_LARGE),
    "a radius in metres": (lambda ee, i: i.focalMean(1e300, "square", "meters"), TOO_LARGE),
    "a negative radius": (lambda ee, i: i.focalMin(-5), "must be 0 or more, got -5"),
    "iterations": (lambda ee, i: i.focalMax(1, iterations=2**31 - 1), "at most 1000 are allowed"),
    "weights": (lambda ee, i: i.convolve(ee.Kernel.fixed(9999, 9999, rows(ee, 9999))), TOO_LARGE),
    "kernels": (
        lambda ee, i: i.convolve(again(ee.Kernel.circle(50), lambda k: k.add(k), 60)),
        "more than 64 others",
    ),
    "texture": (lambda ee, i: i.glcmTexture(10**9), "size must be from 1 to"),
    "offsets": (lambda ee, i: i.glcmTexture(4, ee.Kernel.square(20), False), "offsets of pixels"),
    "neighbours as bands": (lambda ee, i: i.neighborhoodToBands(ee.Kernel.square(99)), "bands"),
    "objects": (lambda ee, i: i.connectedComponents(ee.Kernel.plus(1), 10**9), "maxSize must be"),
    "pixels of objects": (lambda ee, i: i.connectedPixelCount(10**9), "maxSize must be"),
    "cost": (lambda ee, i: i.cumulativeCost(i, 1e12), "maxDistance is .* pixels"),
    "shadows": (
        lambda ee, i: ee.Algorithms.HillShadow(ee.Image(HEIGHTS), 1, 89, 10**9),
        "pixels of a neighborhood",
    ),
    "offsets of images": (lambda ee, i: i.displacement(i, 1e9, None, 1e9, 1), "Offsets must be"),
    "pixels of a pixel": (
        lambda ee, i: i.reduceResolution("mean", False, 10**9).reproject("EPSG:3857", None, 1e5),
        "maxPixels must be 1 to 65536",
    ),
    "superpixels": (
        lambda ee, i: ee.Algorithms.Image.Segmentation.SNIC(i, 5, 1, 8, 10**9),
        "neighborhoodSize must be",
    ),
    "clusters of pixels": (
        lambda ee, i: ee.Algorithms.Image.Segmentation.KMeans(i, 10**6, 10**6),
        "numClusters must be",
    ),
    "trees": (
        lambda ee, i: i.classify(
            ee.Classifier.smileRandomForest(10**6).train(places(ee, 3), "c", ["b1"])
        ),
        "numberOfTrees must be",
    ),
    "trees as texts": (
        lambda ee, i: i.classify(
            ee.Classifier.decisionTreeEnsemble(ee.List.repeat("1) root 9 9 9 *", 10_001))
        ),
        "decision trees, at most",
    ),
    "a deep tree": (
        lambda ee, i: i.classify(ee.Classifier.decisionTree("9" * 4000 + ") root 9 9 9")),
        "too deep",
    ),
    "neighbours": (
        lambda ee, i: i.classify(ee.Classifier.smileKNN(10**9).train(places(ee, 3), "c", ["b1"])),
        "k must be",
    ),
    "clusters": (
        lambda ee, i: i.cluster(ee.Clusterer.wekaKMeans(10**6).train(places(ee, 3), ["b1"])),
        "nClusters must be",
    ),
    "entities": (lambda ee, i: i.sldStyle(entities(12)), "not allowed"),
    "another's document type": (
        lambda ee, i: i.sldStyle('<!DOCTYPE l SYSTEM "file:///etc/passwd"><RasterSymbolizer/>'),
        "not allowed",
    ),
    "deep styles": (lambda ee, i: i.sldStyle("<a>" * 200_000), "longer than"),
    "images": (lambda ee, i: series(ee, i, 99_999).toBands(), "over 5000 elements"),
    "axes as bands": (
        lambda ee, i: i.toArray().arrayFlatten([[str(n) for n in range(2000)]]),
        "at most 1024",
    ),
    "segments": (
        lambda ee, i: ee.Algorithms.TemporalSegmentation.LandTrendr(
            timeSeries=series(ee, i, 3), maxSegments=5000
        ),
        "maxSegments must be",
    ),
}
VALUES: dict[str, tuple[Bomb, str]] = {
    "copies": (lambda ee, i: ee.Array([1]).repeat(0, 10**9), MEMORY),
    "copies of copies": (
        lambda ee, i: again(ee.Array([1.0]), lambda a: ee.Array.cat([a, a]), 40).length(),
        MEMORY,
    ),
    "padding": (lambda ee, i: ee.Array([[[[[[1]]]]]]).pad([1000] * 6), MEMORY),
    "axes": (lambda ee, i: ee.Array([1]).reshape([1] * 200), "at most 10 dimensions"),
    "an identity": (lambda ee, i: ee.Array.identity(10**5).length(), MEMORY),
    "a product": (
        lambda ee, i: (
            ee.Array([[1.0]])
            .repeat(0, 99_999)
            .matrixMultiply(ee.Array([[1.0]]).repeat(1, 99_999))
            .length()
        ),
        MEMORY,
    ),
    "a table of errors": (lambda ee, i: places(ee, 2).errorMatrix("c", "d"), MEMORY),
    "points": (
        lambda ee, i: ee.FeatureCollection.randomPoints(
            ee.Geometry.Rectangle([0, 0, 1, 1]), 10**9
        ).size(),
        "at most 100000",
    ),
    "buckets": (
        lambda ee, i: i.reduceRegion(ee.Reducer.fixedHistogram(0, 1, 10**9), i.geometry(), 30),
        "65536 steps",
    ),
    "inputs": (
        lambda ee, i: i.reduceRegion(ee.Reducer.mean().repeat(10**9), i.geometry(), 30),
        "at most 5000",
    ),
    "samples": (
        lambda ee, i: i.addBands(ee.Image(SCENE)).neighborhoodToArray(ee.Kernel.square(9999)),
        TOO_LARGE,
    ),
}


@pytest.mark.parametrize("name", [*IMAGES, *VALUES])
def test_what_asks_for_far_too_much_is_refused_at_once(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    build, message = (IMAGES | VALUES)[name]
    built = build(ee, ee.Image(HOLES))
    ask = evaluator.value if name in VALUES else lambda image: evaluator.pixels(image, CORNER)
    if memory.is_told():
        memory.forget()
        before_mb = memory.now_mb()
    with cpu_limit(4), pytest.raises(InvalidRequest, match=message):
        ask(built)
    if memory.is_told():
        assert memory.most_mb() - before_mb < MOST_MB
