"""Clusterers, trained and applied: `Clusterer.*`, `Image.cluster`, `FeatureCollection.cluster`.

Source: the reference pages, and Weka's papers that these name. The service runs Weka; its numbers
of chance cannot be repeated, so clusters may have other numbers here, and where the data leave a
choice other members. The same seed gives the same clusters always. Decided: inputs are scaled to
the range of the training, as Weka does; a model is made by `train`, once, and a row belongs to
the nearest centre. canopies, fast, useKD and preserveOrder change nothing but the speed there.
wekaCobweb's clusters are the leaves of its hierarchy. wekaLVQ moves centres once an epoch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.compute.algorithms.classifier.classification import feature_rows, with_outputs
from tileserver.compute.algorithms.image.bands import select
from tileserver.compute.context import Context
from tileserver.compute.learning.clusters import (
    DISTANCES,
    MAX_CLUSTERS,
    MAX_ITERATIONS,
    Clusters,
    Distance,
    cascaded,
    euclidean,
    grown,
    k_means,
    quantized,
    scaling,
    started,
)
from tileserver.compute.learning.cobweb import MAX_ROWS, cobweb_centres
from tileserver.compute.learning.grown_trees import check_count
from tileserver.compute.learning.training import Matrix, Training, read_training
from tileserver.compute.nodes import Apply
from tileserver.compute.pixels.predicted import predicted
from tileserver.compute.registry import algorithm
from tileserver.compute.values.clusterer import Clusterer
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import Image
from tileserver.compute.values.pixel_type import CASTS
from tileserver.errors import InvalidRequest, shown

_CASCADE_SEED = 10


def _distance(name: str, known: tuple[str, ...] = ("Euclidean", "Manhattan")) -> Distance:
    if name not in known:
        raise InvalidRequest(
            f"distanceFunction must be one of {', '.join(known)}, got {shown(name)}."
        )
    return DISTANCES[name]


def _check_iterations(count: int | None) -> None:
    if count is not None:
        check_count(count, MAX_ITERATIONS, "maxIterations")


def _scaled(training: Training, is_scaled: bool = True) -> tuple[Matrix, Matrix, Matrix]:
    low, span = scaling(training.inputs, is_scaled)
    return (training.inputs - low) / span, low, span


@algorithm(
    "Clusterer.wekaKMeans(nClusters: Integer, init: Integer = 0, canopies: Boolean = false,"
    " maxCandidates: Integer = 100, periodicPruning: Integer = 10000, minDensity: Integer = 2,"
    ' t1: Float = -1.5, t2: Float = -1, distanceFunction: String = "Euclidean",'
    " maxIterations: Integer = null, preserveOrder: Boolean = false, fast: Boolean = false,"
    " seed: Integer = 10) -> Clusterer"
)
def weka_k_means(
    count: int,
    init: int,
    canopies: bool,
    candidates: int,
    pruning: int,
    density: int,
    t1: float,
    t2: float,
    distance_name: str,
    iterations: int | None,
    preserves: bool,
    fast: bool,
    seed: int,
) -> Clusterer:
    """Return a k-means clusterer; with Manhattan distances a centre is a median."""
    check_count(count, MAX_CLUSTERS, "nClusters")
    if init not in (0, 1, 2, 3):
        raise InvalidRequest(f"init must be 0, 1, 2 or 3, got {init}.")
    distance = _distance(distance_name)
    _check_iterations(iterations)

    def fit(training: Training) -> Clusters:
        rows, low, span = _scaled(training)
        start = started(rows, count, init, distance, np.random.default_rng(abs(seed)))
        centres, _ = k_means(rows, start, distance, iterations)
        return Clusters(centres, distance, low, span)

    return Clusterer("wekaKMeans", fit)


@algorithm(
    "Clusterer.wekaCascadeKMeans(minClusters: Integer = 2, maxClusters: Integer = 10,"
    " restarts: Integer = 10, manual: Boolean = false, init: Boolean = false,"
    ' distanceFunction: String = "Euclidean", maxIterations: Integer = null) -> Clusterer'
)
def weka_cascade_k_means(
    least: int,
    most: int,
    restarts: int,
    manual: bool,
    init: bool,
    distance_name: str,
    iterations: int | None,
) -> Clusterer:
    """Return a k-means clusterer that chooses k by the Calinski-Harabasz ratio."""
    check_count(least, MAX_CLUSTERS, "minClusters")
    check_count(most - least + 1, MAX_CLUSTERS, "maxClusters less minClusters, plus one,")
    check_count(restarts, 1000, "restarts")
    distance = _distance(distance_name)
    _check_iterations(iterations)

    def fit(training: Training) -> Clusters:
        rows, low, span = _scaled(training)
        chance = np.random.default_rng(_CASCADE_SEED)
        counts = range(least, most + 1)
        centres = cascaded(rows, counts, restarts, int(init), distance, iterations, chance)
        return Clusters(centres, distance, low, span)

    return Clusterer("wekaCascadeKMeans", fit)


@algorithm(
    "Clusterer.wekaXMeans(minClusters: Integer = 2, maxClusters: Integer = 8,"
    " maxIterations: Integer = 3, maxKMeans: Integer = 1000, maxForChildren: Integer = 1000,"
    ' useKD: Boolean = false, cutoffFactor: Float = 0, distanceFunction: String = "Euclidean",'
    " seed: Integer = 10) -> Clusterer"
)
def weka_x_means(
    least: int,
    most: int,
    rounds: int,
    iterations: int,
    child_iterations: int,
    uses_tree: bool,
    cutoff: float,
    distance_name: str,
    seed: int,
) -> Clusterer:
    """Return an X-means clusterer, which splits clusters while their BIC gains."""
    check_count(least, MAX_CLUSTERS, "minClusters")
    check_count(most - least + 1, MAX_CLUSTERS, "maxClusters less minClusters, plus one,")
    for name, count in (
        ("maxIterations", rounds),
        ("maxKMeans", iterations),
        ("maxForChildren", child_iterations),
    ):
        check_count(count, MAX_ITERATIONS, name)
    distance = _distance(distance_name, ("Chebyshev", "Euclidean", "Manhattan"))
    if not 0 <= cutoff <= 1:
        raise InvalidRequest(f"cutoffFactor must be from 0 to 1, got {cutoff:g}.")

    def fit(training: Training) -> Clusters:
        rows, low, span = _scaled(training)
        chance = np.random.default_rng(abs(seed))
        both = (iterations, child_iterations)
        centres = grown(rows, least, most, rounds, both, cutoff, distance, chance)
        return Clusters(centres, distance, low, span)

    return Clusterer("wekaXMeans", fit)


@algorithm(
    "Clusterer.wekaLVQ(numClusters: Integer = 7, learningRate: Float = 1, epochs: Integer = 1000,"
    " normalizeInput: Boolean = false) -> Clusterer"
)
def weka_lvq(count: int, rate: float, epochs: int, skips_scaling: bool) -> Clusterer:
    """Return a clusterer by learning vector quantization; normalizeInput skips the scaling."""
    check_count(count, MAX_CLUSTERS, "numClusters")
    check_count(epochs, MAX_ITERATIONS, "epochs")
    if not 0 < rate <= 1:
        raise InvalidRequest(f"learningRate must be above 0 and at most 1, got {rate:g}.")

    def fit(training: Training) -> Clusters:
        rows, low, span = _scaled(training, not skips_scaling)
        return Clusters(quantized(rows, count, rate, epochs), euclidean, low, span)

    return Clusterer("wekaLVQ", fit)


@algorithm(
    "Clusterer.wekaCobweb(acuity: Float = 1, cutoff: Float = 0.002, seed: Integer = 42)"
    " -> Clusterer"
)
def weka_cobweb(acuity: float, cutoff: float, seed: int) -> Clusterer:
    """Return a Cobweb clusterer: the leaves of a hierarchy of concepts, of unscaled inputs."""
    if not (0 < acuity < math.inf and math.isfinite(cutoff)):
        raise InvalidRequest(f"acuity must be above 0, got {acuity:g}.")

    def fit(training: Training) -> Clusters:
        rows, low, span = _scaled(training, False)
        check_count(len(rows), MAX_ROWS, "The number of training rows of wekaCobweb")
        order = np.random.default_rng(abs(seed)).permutation(len(rows)).tolist()
        return Clusters(cobweb_centres(rows, acuity, cutoff, order), euclidean, low, span)

    return Clusterer("wekaCobweb", fit)


@algorithm(
    "Clusterer.train(clusterer: Clusterer, features: FeatureCollection,"
    " inputProperties: List = null, subsampling: Float = 1, subsamplingSeed: Integer = 0)"
    " -> Clusterer"
)
def train(
    context: Context,
    clusterer: Clusterer,
    features: Collection,
    names: list[Any] | None,
    share: float,
    seed: int,
) -> Clusterer:
    """Return a clusterer that was trained on numbers of features by property."""
    training = read_training(context, features, None, names, share, seed)
    return replace(clusterer, model=clusterer.fit(training), schema=training.names)


@algorithm("Clusterer.schema(clusterer: Clusterer) -> List")
def schema(clusterer: Clusterer) -> list[str] | None:
    """Return the names of the inputs, or null without training data."""
    return None if clusterer.schema is None else list(clusterer.schema)


def _trained(clusterer: Clusterer) -> tuple[Clusters, tuple[str, ...]]:
    if clusterer.model is None or clusterer.schema is None:
        raise InvalidRequest(f"The clusterer {clusterer.name} has not been trained.")
    return clusterer.model, clusterer.schema


@algorithm(
    'Image.cluster(image: Image, clusterer: Clusterer, outputName: String = "cluster") -> Image'
)
def cluster_image(image: Image, clusterer: Clusterer, output_name: str) -> Image:
    """Return an image of the cluster of each pixel, from 0 on, of type int32."""
    model, names = _trained(clusterer)
    bands = select(image, list(names), None).bands
    type_ = CASTS["int32"]
    node = Apply(
        lambda *pixels: predicted(pixels, model.labels, type_.dtype, model.rows_at_once),
        tuple(band.node for band in bands),
    )
    return image.derived([replace(bands[0], id=output_name, type=type_, node=node)])


@algorithm(
    "FeatureCollection.cluster(features: FeatureCollection, clusterer: Clusterer,"
    ' outputName: String = "cluster") -> FeatureCollection'
)
def cluster_features(
    context: Context, features: Collection, clusterer: Clusterer, output_name: str
) -> Collection:
    """Return features with the number of their cluster; null where an input is null."""
    model, names = _trained(clusterer)
    rows, known = feature_rows(context, features, names)
    values: list[Any] = [None] * len(known)
    labels = model.labels(rows[known]).tolist() if known.any() else []
    for place, label in zip(np.flatnonzero(known), labels, strict=True):
        values[place] = label
    return with_outputs(features, (output_name,), values)
