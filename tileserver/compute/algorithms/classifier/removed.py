"""Classifiers that the service lists, hidden, and has removed or replaced.

Source: the list of algorithms. Those with a successor are that one; the others are the nearest
kind there is: the pegasos ones are support vector machines of their kernel and 1 / lambda as cost,
ikpamir one with the intersection kernel. perceptron and winnow take each pass over the rows as one
step, so that their order does not matter.
"""

from __future__ import annotations

import math

from tileserver.compute.algorithms.classifier.classifiers import (
    smile_naive_bayes,
    smile_random_forest,
)
from tileserver.compute.learning.grown_trees import Cart, Growth, check_count, checked_growth
from tileserver.compute.learning.neighbors import GaussianBayes
from tileserver.compute.learning.vectors import (
    INTERSECTION,
    Linear,
    Logistic,
    Machine,
    Perceptrons,
    SupportVectors,
)
from tileserver.compute.registry import algorithm
from tileserver.compute.values.classifier import Classifier
from tileserver.errors import InvalidRequest, shown

_MOST_EPOCHS = 10_000
_LOSSES = ("HingeSum", "HingeMax", "LogSum", "LogMax")
_COMMON = (
    ' lossFunction: String = "HingeSum", lambda: Float = 0.001, iterations: Integer = 0,'
    " subsetSize: Integer = 1, regularizationNorm: Float = 1, multiGamma: Float = 0.01)"
    " -> Classifier"
)


@algorithm(
    "Classifier.cart(crossvalidationFactor: Integer = 10, maxDepth: Integer = 10,"
    " minLeafPopulation: Integer = 1, minSplitPoplulation: Integer = 1,"
    " minSplitCost: Float = 1e-10, prune: Boolean = false, pruneErrorTolerance: Float = 0.5,"
    " quantizationResolution: Integer = 100, quantizationMargin: Float = 0.1,"
    " randomSeed: Integer = 0) -> Classifier",
    hidden=True,
)
def cart(
    folds: int,
    depth: int,
    least: int,
    least_split: int,
    least_cost: float,
    prunes: bool,
    tolerance: float,
    resolution: int,
    margin: float,
    seed: int,
) -> Classifier:
    """Return a CART classifier, as smileCart does, with at most 2 ** maxDepth leaves."""
    check_count(depth, 1000, "maxDepth")
    growth = checked_growth(Growth(2 ** min(depth, 20), least))
    return Classifier("cart", lambda data, numbers: Cart(data, numbers, growth))


@algorithm(
    "Classifier.randomForest(numberOfTrees: Integer = 1, variablesPerSplit: Integer = 0,"
    " minLeafPopulation: Integer = 1, bagFraction: Float = 0.5, outOfBagMode: Boolean = false,"
    " seed: Integer = 0) -> Classifier",
    hidden=True,
)
def random_forest(
    count: int, variables: int, least: int, bag: float, out_of_bag: bool, seed: int
) -> Classifier:
    """Return a random forest, as smileRandomForest does."""
    return smile_random_forest(count, variables or None, least, bag, None, seed, "randomForest")


@algorithm("Classifier.naiveBayes(lambda: Float = 1e-06) -> Classifier", hidden=True)
def naive_bayes(smoothing: float) -> Classifier:
    """Return a multinomial naive Bayes classifier, as smileNaiveBayes does."""
    return smile_naive_bayes(smoothing, "naiveBayes")


@algorithm("Classifier.continuousNaiveBayes(lambda: Float = 0.001) -> Classifier", hidden=True)
def continuous_naive_bayes(smoothing: float) -> Classifier:
    """Return a naive Bayes classifier with normal distributions.

    To variances lambda times the largest of all inputs is added.
    """
    if not 0 <= smoothing < math.inf:
        raise InvalidRequest(f"lambda must not be negative, got {smoothing:g}.")
    return Classifier("continuousNaiveBayes", lambda data, numbers: GaussianBayes(data, smoothing))


def _check_penalties(l1: float, l2: float, most: int) -> None:
    if not (0 <= l1 < math.inf and 0 <= l2 < math.inf):
        raise InvalidRequest(f"weights must not be negative, got {l1:g} and {l2:g}.")
    check_count(most, 10_000, "maxIterations")


@algorithm(
    "Classifier.gmoMaxEnt(weight1: Float = 0, weight2: Float = 9.999999747378752e-06,"
    " epsilon: Float = 9.999999747378752e-06, minIterations: Integer = 0,"
    " maxIterations: Integer = 100) -> Classifier",
    hidden=True,
)
def gmo_max_ent(l1: float, l2: float, epsilon: float, least: int, most: int) -> Classifier:
    """Return a multinomial logistic regression, which is maximum entropy over linear features."""
    _check_penalties(l1, l2, most)
    return Classifier("gmoMaxEnt", lambda data, numbers: Logistic(data, l1, l2, epsilon, most))


@algorithm(
    "Classifier.gmoLinearRegression(weight1: Float = 0, weight2: Float = 0,"
    " epsilon: Float = 9.999999747378752e-06, maxIterations: Integer = 100,"
    " smooth: Boolean = false) -> Classifier",
    hidden=True,
)
def gmo_linear_regression(
    l1: float, l2: float, epsilon: float, most: int, smooth: bool
) -> Classifier:
    """Return a linear regression by least squares, with penalties on the sizes of weights."""
    _check_penalties(l1, l2, most)
    return Classifier("gmoLinearRegression", lambda data, _: Linear(data, l1, l2, epsilon, most))


@algorithm(
    "Classifier.ikpamir(numBins: Integer = 10, learningRate: Float = 0.1, epochs: Integer = 5)"
    " -> Classifier",
    hidden=True,
)
def ikpamir(bins: int, rate: float, epochs: int) -> Classifier:
    """Return a support vector machine with the intersection kernel."""
    machine = Machine(kernel=INTERSECTION)
    return Classifier("ikpamir", lambda data, numbers: SupportVectors(data, machine))


@algorithm(
    "Classifier.perceptron(epochs: Integer = 10, averaged: Boolean = true) -> Classifier",
    hidden=True,
)
def perceptron(epochs: int, averaged: bool) -> Classifier:
    """Return a perceptron: one plane a class, learned from the rows that it gets wrong."""
    check_count(epochs, _MOST_EPOCHS, "epochs")
    return Classifier("perceptron", lambda data, _: Perceptrons(data, epochs, is_averaged=averaged))


@algorithm(
    "Classifier.winnow(epochs: Integer = 5, learningRate: Float = 0.1,"
    " biasLearningRate: Float = 0.1, margin: Float = 0.2) -> Classifier",
    hidden=True,
)
def winnow(epochs: int, rate: float, bias_rate: float, margin: float) -> Classifier:
    """Return a Winnow classifier: like a perceptron, with weights that are multiplied."""
    check_count(epochs, _MOST_EPOCHS, "epochs")
    if not (0 < rate < math.inf and 0 <= margin < math.inf):
        raise InvalidRequest("learningRate must be above 0, and margin not negative.")
    return Classifier(
        "winnow", lambda data, _: Perceptrons(data, epochs, rate, margin, multiplies=True)
    )


def _pegasos(name: str, loss: str, penalty: float, machine: Machine) -> Classifier:
    if loss not in _LOSSES:
        raise InvalidRequest(
            f"lossFunction must be one of {', '.join(_LOSSES)}, got {shown(loss)}."
        )
    if not 0 < penalty < math.inf:
        raise InvalidRequest(f"lambda must be above 0, got {penalty:g}.")
    return Classifier(name, lambda data, _: SupportVectors(data, machine))


def _cost(penalty: float) -> float:
    """Return the cost of errors for a penalty on weights."""
    return min(1 / penalty, 1e4) if penalty > 0 else 1.0


@algorithm("Classifier.pegasosLinear(useExponentiated: Boolean = false," + _COMMON, hidden=True)
def pegasos_linear(
    exponentiated: bool,
    loss: str,
    penalty: float,
    iterations: int,
    subset: int,
    norm: float,
    multi_gamma: float,
) -> Classifier:
    """Return a support vector machine with a linear kernel."""
    return _pegasos("pegasosLinear", loss, penalty, Machine(cost=_cost(penalty)))


@algorithm("Classifier.pegasosGaussian(rbfGamma: Float = 1," + _COMMON, hidden=True)
def pegasos_gaussian(
    gamma: float,
    loss: str,
    penalty: float,
    iterations: int,
    subset: int,
    norm: float,
    multi_gamma: float,
) -> Classifier:
    """Return a support vector machine with a Gaussian kernel."""
    if not 0 < gamma < math.inf:
        raise InvalidRequest(f"rbfGamma must be above 0, got {gamma:g}.")
    machine = Machine(kernel="RBF", gamma=gamma, cost=_cost(penalty))
    return _pegasos("pegasosGaussian", loss, penalty, machine)


@algorithm(
    "Classifier.pegasosPolynomial(polyDegree: Integer = 3, polyBias: Float = 1," + _COMMON,
    hidden=True,
)
def pegasos_polynomial(
    degree: int,
    bias: float,
    loss: str,
    penalty: float,
    iterations: int,
    subset: int,
    norm: float,
    multi_gamma: float,
) -> Classifier:
    """Return a support vector machine with a polynomial kernel."""
    check_count(degree, 20, "polyDegree")
    machine = Machine(kernel="POLY", degree=degree, coef0=bias, cost=_cost(penalty))
    return _pegasos("pegasosPolynomial", loss, penalty, machine)


@algorithm(
    "Classifier.pegasos(kernelType: String, lossFunction: String, lambda: Float,"
    " iterations: Integer, subsetSize: Integer, regularizationNorm: Float, multiGamma: Float,"
    " useExponentiated: Boolean = null, polyDegree: Integer = null, polyBias: Float = null,"
    " rbfGamma: Float = null) -> Classifier",
    hidden=True,
)
def pegasos(
    kernel: str,
    loss: str,
    penalty: float,
    iterations: int,
    subset: int,
    norm: float,
    multi_gamma: float,
    exponentiated: bool | None,
    degree: int | None,
    bias: float | None,
    gamma: float | None,
) -> Classifier:
    """Return a support vector machine with a linear, Gaussian or polynomial kernel."""
    rest = (loss, penalty, iterations, subset, norm, multi_gamma)
    match kernel.lower():
        case "linear":
            return pegasos_linear(bool(exponentiated), *rest)
        case "gaussian" | "rbf":
            return pegasos_gaussian(1.0 if gamma is None else gamma, *rest)
        case "polynomial" | "poly":
            return pegasos_polynomial(degree or 3, 1.0 if bias is None else bias, *rest)
    raise InvalidRequest(f"kernelType must be linear, gaussian or polynomial, got {shown(kernel)}.")
