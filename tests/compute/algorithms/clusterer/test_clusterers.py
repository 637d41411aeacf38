"""Clusterers: scikit-learn and SciPy are the oracles."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2
from sklearn.metrics import adjusted_rand_score, calinski_harabasz_score

from tests.compute.algorithms.classifier.tables import NAMES, PIXELS, features
from tests.compute.algorithms.image.test_random_pixels import tiled
from tests.compute.conftest import GRID, SCENE, Evaluator
from tileserver.compute.learning.clusters import calinski_harabasz, euclidean, k_means, manhattan
from tileserver.errors import InvalidRequest

CHANCE = np.random.default_rng(7)
MIDDLES = np.array([[0, 0, 0], [10, 0, 5], [0, 10, 9], [10, 10, 0]], float)
TRUE = np.repeat(np.arange(4), 30)
BLOBS = MIDDLES[TRUE] + CHANCE.normal(0, 0.6, (120, 3))
"""Four groups, far apart."""


@pytest.mark.parametrize(
    "make",
    [
        lambda c: c.wekaKMeans(4, 1),
        lambda c: c.wekaKMeans(4, 3, distanceFunction="Manhattan"),
        lambda c: c.wekaKMeans(4, 2, seed=3),
        lambda c: c.wekaCascadeKMeans(2, 6, restarts=3, init=True),
        lambda c: c.wekaXMeans(2, 8, 6),
        lambda c: c.wekaXMeans(2, 8, 6, distanceFunction="Chebyshev"),
        lambda c: c.wekaLVQ(4, 0.5, 50),
        lambda c: c.wekaCobweb(1, 0.05),
    ],
)
def test_groups_that_lie_apart_are_found(ee: ModuleType, evaluator: Evaluator, make: Any) -> None:
    table = features(ee, BLOBS)
    clusterer = make(ee.Clusterer).train(table, NAMES)
    found = evaluator.value(table.cluster(clusterer).aggregate_array("cluster"))
    assert adjusted_rand_score(TRUE, found) > 0.99
    assert set(found) == set(range(4))
    assert evaluator.value(clusterer.schema()) == NAMES


def test_k_means_from_given_centres() -> None:
    rows = PIXELS[::40]
    start = rows[:5]
    oracle: Any = kmeans2
    expected, members = oracle(rows, start, iter=200, minit="matrix")
    centres, labels = k_means(rows, start, euclidean)
    np.testing.assert_allclose(centres, expected)
    assert (labels == members).all()
    assert calinski_harabasz(rows, labels) == pytest.approx(calinski_harabasz_score(rows, labels))


def test_centres_along_the_axes_are_medians() -> None:
    rows = np.array([[0.0], [1], [5], [100], [101], [109]])
    centres, labels = k_means(rows, rows[[0, 5]], manhattan)
    assert centres.ravel().tolist() == [1, 101]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_an_image_is_clustered_alike_in_all_tiles(ee: ModuleType, evaluator: Evaluator) -> None:
    clusterer = ee.Clusterer.wekaKMeans(5).train(features(ee, PIXELS[::60]), NAMES)
    image = ee.Image(SCENE).cluster(clusterer, "group")
    found = evaluator.pixels(image)["group"]
    assert found.dtype == np.int32
    assert set(np.unique(found)) == set(range(5))
    assert (tiled(evaluator, image, GRID, "group") == found).all()
    # The same, labelled by the nearest centre in the scaled space.
    low, span = PIXELS[::60].min(axis=0), np.ptp(PIXELS[::60], axis=0)
    scaled = (PIXELS - low) / span
    centres = np.stack([scaled[found.ravel() == each].mean(axis=0) for each in range(5)])
    nearest = ((scaled[:, np.newaxis] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == found.ravel()).mean() > 0.85


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: c.wekaKMeans(0), "nClusters must be from 1 to 1000"),
        (lambda c: c.wekaKMeans(2, 9), "init must be 0, 1, 2 or 3"),
        (lambda c: c.wekaKMeans(2, distanceFunction="Far"), "distanceFunction must be one of"),
        (lambda c: c.wekaCascadeKMeans(5, 2), "maxClusters less minClusters"),
        (lambda c: c.wekaLVQ(2, 3), "learningRate must be above 0"),
        (lambda c: c.wekaCobweb(0), "acuity must be above 0"),
    ],
)
def test_parameters_are_checked(
    ee: ModuleType, evaluator: Evaluator, make: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(make(ee.Clusterer).schema())


def test_an_untrained_clusterer_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="wekaKMeans has not been trained"):
        evaluator.value(ee.Image(SCENE).cluster(ee.Clusterer.wekaKMeans(2)))
