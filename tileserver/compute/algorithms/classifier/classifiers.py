"""The kinds of classifiers, with their parameters.

Source: the reference pages. The service grows trees with SMILE, and machines with LIBSVM; here
scikit-learn does (the extra `learning`). So a model that learns from data is of the same kind and
has the same parameters, but not the very trees, neighbours or weights: its classes differ here and
there from the service's, most of all near borders between classes. The same seed gives the same
model always. Exact are minimumDistance, spectralRegion, decisionTree and decisionTreeEnsemble.

Decided where the pages are silent: a forest draws each bag without repeats, one of all rows with
repeats; of equally many votes the least class wins; boosting and CART grow without a bound unless
maxNodes is given; decisionProcedure does not change a support vector machine, which always votes.
"""

from __future__ import annotations

import math
from typing import Any

from tileserver.compute.learning.ensembles import TextTrees
from tileserver.compute.learning.grown_trees import (
    LOSSES,
    MAX_TREES,
    Boosted,
    Cart,
    Forest,
    Growth,
    check_count,
    checked_growth,
)
from tileserver.compute.learning.models import Model
from tileserver.compute.learning.neighbors import (
    MEAN_METRICS,
    NEIGHBOR_METRICS,
    MinimumDistance,
    NaiveBayes,
    Neighbors,
)
from tileserver.compute.learning.spectral_region import SpectralRegion
from tileserver.compute.learning.text_trees import parse_trees
from tileserver.compute.learning.training import Training
from tileserver.compute.registry import algorithm
from tileserver.compute.values.classifier import Classifier
from tileserver.errors import InvalidRequest, shown

_MOST_NEIGHBORS = 1000
_SEARCHES = ("AUTO", "LINEAR_SEARCH", "KD_TREE", "COVER_TREE")


@algorithm(
    "Classifier.smileCart(maxNodes: Integer = null, minLeafPopulation: Integer = 1) -> Classifier"
)
def smile_cart(max_nodes: int | None, least: int) -> Classifier:
    """Return a CART classifier: one decision tree, of scikit-learn's growth, not the service's."""
    growth = checked_growth(Growth(max_nodes, least))
    return Classifier("smileCart", lambda data, numbers: Cart(data, numbers, growth))


@algorithm(
    "Classifier.smileRandomForest(numberOfTrees: Integer, variablesPerSplit: Integer = null,"
    " minLeafPopulation: Integer = 1, bagFraction: Float = 0.5, maxNodes: Integer = null,"
    " seed: Integer = 0) -> Classifier"
)
def smile_random_forest(
    count: int,
    variables: int | None,
    least: int,
    bag: float,
    max_nodes: int | None,
    seed: int,
    name: str = "smileRandomForest",
) -> Classifier:
    """Return a random forest, whose trees are grown by scikit-learn: not the service's very trees.

    The same seed always gives the same forest. Without variablesPerSplit each split tries as many
    inputs as the square root of their number.
    """
    check_count(count, MAX_TREES, "numberOfTrees")
    checked_growth(Growth(max_nodes, least))
    if not 0 < bag <= 1:
        raise InvalidRequest(f"bagFraction must be above 0 and at most 1, got {bag:g}.")
    if variables is not None:
        check_count(variables, 10**6, "variablesPerSplit")

    def fit(data: Training, numbers: bool) -> Model:
        tried = variables or max(1, math.isqrt(data.inputs.shape[1]))
        return Forest(data, numbers, Growth(max_nodes, least, tried), count, bag, seed)

    return Classifier(name, fit)


@algorithm(
    "Classifier.smileGradientTreeBoost(numberOfTrees: Integer, shrinkage: Float = 0.005,"
    " samplingRate: Float = 0.7, maxNodes: Integer = null,"
    ' loss: String = "LeastAbsoluteDeviation", seed: Integer = 0) -> Classifier'
)
def smile_gradient_tree_boost(
    count: int, shrinkage: float, share: float, max_nodes: int | None, loss: str, seed: int
) -> Classifier:
    """Return a gradient tree boosting classifier, of scikit-learn's trees, not the service's."""
    check_count(count, MAX_TREES, "numberOfTrees")
    checked_growth(Growth(max_nodes))
    for name, value in (("shrinkage", shrinkage), ("samplingRate", share)):
        if not 0 < value <= 1:
            raise InvalidRequest(f"{name} must be above 0 and at most 1, got {value:g}.")
    if loss not in LOSSES:
        raise InvalidRequest(f"loss must be one of {', '.join(LOSSES)}, got {shown(loss)}.")

    def fit(data: Training, numbers: bool) -> Model:
        return Boosted(data, numbers, count, shrinkage, share, max_nodes, loss, seed)

    return Classifier("smileGradientTreeBoost", fit)


@algorithm(
    'Classifier.smileKNN(k: Integer = 1, searchMethod: String = "AUTO",'
    ' metric: String = "EUCLIDEAN") -> Classifier'
)
def smile_knn(k: int, search: str, metric: str) -> Classifier:
    """Return a classifier by the k nearest rows; all search methods give the same neighbours.

    With AUTO and KD_TREE the metric is used too, which the service ignores for few inputs.
    """
    check_count(k, _MOST_NEIGHBORS, "k")
    if search not in _SEARCHES:
        raise InvalidRequest(
            f"searchMethod must be one of {', '.join(_SEARCHES)}, got {shown(search)}."
        )
    if metric not in NEIGHBOR_METRICS:
        raise InvalidRequest(
            f"metric must be one of {', '.join(NEIGHBOR_METRICS)}, got {shown(metric)}."
        )
    return Classifier("smileKNN", lambda data, numbers: Neighbors(data, k, metric))


@algorithm("Classifier.smileNaiveBayes(lambda: Float = 1e-06) -> Classifier")
def smile_naive_bayes(smoothing: float, name: str = "smileNaiveBayes") -> Classifier:
    """Return a multinomial naive Bayes classifier, for inputs that are positive integers.

    Rows of the training with a negative input are left out.
    """
    if not 0 < smoothing < math.inf:
        raise InvalidRequest(f"lambda must be above 0, got {smoothing:g}.")
    return Classifier(name, lambda data, numbers: NaiveBayes(data, smoothing))


@algorithm(
    'Classifier.minimumDistance(metric: String = "euclidean", kNearest: Integer = 1) -> Classifier'
)
def minimum_distance(metric: str, k: int) -> Classifier:
    """Return a classifier by the distance to the mean of each class.

    The output CLASSIFICATION is the nearest class, REGRESSION the distance to its mean, RAW all
    distances; with kNearest above one the first two are arrays. Mahalanobis takes the covariance
    of each class, of a single row that of all.
    """
    if metric not in MEAN_METRICS:
        raise InvalidRequest(
            f"metric must be one of {', '.join(MEAN_METRICS)}, got {shown(metric)}."
        )
    check_count(k, 10**6, "kNearest")
    return Classifier("minimumDistance", lambda data, numbers: MinimumDistance(data, metric, k))


@algorithm("Classifier.spectralRegion(coordinates: List, schema: List = null) -> Classifier")
def spectral_region(rings: list[Any], schema: list[Any] | None) -> Classifier:
    """Return a classifier that gives 1 where two inputs lie within a polygon, and 0 outside."""
    names = ["u", "v"] if schema is None else schema
    if len(names) != 2 or not all(isinstance(each, str) for each in names):
        raise InvalidRequest(f"schema must be two names, got {shown(names)}.")
    return Classifier("spectralRegion", fixed=SpectralRegion(rings), schema=tuple(names))


@algorithm("Classifier.decisionTree(treeString: String) -> Classifier")
def decision_tree(text: str) -> Classifier:
    """Return a classifier that applies a decision tree in the text format of R, exactly."""
    return _of_texts("decisionTree", [text])


@algorithm("Classifier.decisionTreeEnsemble(treeStrings: List) -> Classifier")
def decision_tree_ensemble(texts: list[Any]) -> Classifier:
    """Return a classifier that applies decision trees in the text format of R, exactly.

    Its class is the one that most trees give; of several the least. For REGRESSION it is their
    mean.
    """
    if wrong := [each for each in texts if not isinstance(each, str)]:
        raise InvalidRequest(f"treeStrings must be strings, got {shown(wrong[0])}.")
    return _of_texts("decisionTreeEnsemble", texts)


def _of_texts(name: str, texts: list[str]) -> Classifier:
    trees = parse_trees(texts)
    if name == "decisionTree" and len(trees) > 1:
        raise InvalidRequest(f"The text has {len(trees)} decision trees, expected one.")
    model = TextTrees(trees)
    return Classifier(name, fixed=model, schema=model.names)
