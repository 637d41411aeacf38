"""Confusion matrices, and the measures of accuracy taken from them.

Source: the reference pages. These say that the rows of a matrix are the actual classes, and the
columns the predicted ones; so a producer's accuracy is correct / total of a row, as a column
vector, and a consumer's one correct / total of a column, as a row vector. Decided: the accuracy of
a class without members is 0, and so is an F-score without precision and recall.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import Array, array, array_of
from tileserver.compute.values.confusion_matrix import ConfusionMatrix, counted
from tileserver.compute.values.feature import Collection
from tileserver.errors import InvalidRequest, shown


@algorithm("ConfusionMatrix(array: Object, order: List = null) -> ConfusionMatrix")
def confusion_matrix(given: Any, order: list[Any] | None) -> ConfusionMatrix:
    """Return the confusion matrix of a square array: actual classes by predicted ones."""
    found = array_of(given)
    if found is None or found.values.ndim != 2 or len(set(found.values.shape)) != 1:
        raise InvalidRequest(f"Expected a square, two-dimensional array, got {shown(given)}.")
    counts = found.values
    classes = range(len(counts)) if order is None else _classes(order)
    if len(classes) != len(counts):
        raise InvalidRequest(
            f"order must have {len(counts)} classes as the matrix, got {len(classes)}."
        )
    return ConfusionMatrix(counts, tuple(classes))


def _classes(order: list[Any]) -> list[int]:
    numbers = [each for each in order if isinstance(each, int | float) and abs(each) < 2**53]
    if len(numbers) < len(order):
        raise InvalidRequest(f"order must be whole numbers, got {shown(order)}.")
    return [int(each) for each in numbers]


@algorithm(
    "Collection.errorMatrix(collection: FeatureCollection, actual: String, predicted: String,"
    " order: List = null) -> ConfusionMatrix"
)
def error_matrix(
    collection: Collection, actual: str, predicted: str, order: list[Any] | None
) -> ConfusionMatrix:
    """Return the confusion matrix of two properties: actual classes by predicted ones.

    Features that lack one of them are left out.
    """
    pairs = [
        (each.properties.get(actual), each.properties.get(predicted))
        for each in collection.elements
    ]
    known = [pair for pair in pairs if None not in pair]
    first, second = (
        _column([pair[place] for pair in known], name)
        for place, name in ((0, actual), (1, predicted))
    )
    return counted(first, second, None if order is None else _classes(order))


def _column(values: list[Any], name: str) -> NDArray[np.int64]:
    for value in values:
        if not isinstance(value, int | float) or not abs(value) < 2**53:
            raise InvalidRequest(f"Property '{name[:80]}' must be a number, got {shown(value)}.")
    return np.array(values, np.float64).astype(np.int64)


@algorithm("ConfusionMatrix.array(confusionMatrix: ConfusionMatrix) -> Array")
def matrix_array(matrix: ConfusionMatrix) -> Array:
    """Return the counts as an array."""
    return array(matrix.counts)


@algorithm("ConfusionMatrix.order(confusionMatrix: ConfusionMatrix) -> List")
def matrix_order(matrix: ConfusionMatrix) -> list[int]:
    """Return the class of each row and column."""
    return list(matrix.order)


@algorithm("ConfusionMatrix.accuracy(confusionMatrix: ConfusionMatrix) -> Float")
def accuracy(matrix: ConfusionMatrix) -> float:
    """Return the overall accuracy, correct / total."""
    return float(_ratio(np.trace(matrix.counts), matrix.counts.sum()))


@algorithm("ConfusionMatrix.producersAccuracy(confusionMatrix: ConfusionMatrix) -> Array")
def producers_accuracy(matrix: ConfusionMatrix) -> Array:
    """Return correct / total of each actual class, an array of one column."""
    return array(_recall(matrix)[:, np.newaxis])


@algorithm("ConfusionMatrix.consumersAccuracy(confusionMatrix: ConfusionMatrix) -> Array")
def consumers_accuracy(matrix: ConfusionMatrix) -> Array:
    """Return correct / total of each predicted class, an array of one row."""
    return array(_precision(matrix)[np.newaxis])


def _recall(matrix: ConfusionMatrix) -> NDArray[np.float64]:
    return _ratio(np.diagonal(matrix.counts), matrix.counts.sum(axis=1))


def _precision(matrix: ConfusionMatrix) -> NDArray[np.float64]:
    return _ratio(np.diagonal(matrix.counts), matrix.counts.sum(axis=0))


def _ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    found: NDArray[np.float64] = np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
    return found


@algorithm("ConfusionMatrix.fscore(confusionMatrix: ConfusionMatrix, beta: Float = 1) -> Array")
def f_score(matrix: ConfusionMatrix, beta: float) -> Array:
    """Return the F-score of each class, an array of one dimension."""
    recall, precision = _recall(matrix), _precision(matrix)
    weight = beta * beta
    return array(_ratio((1 + weight) * precision * recall, weight * precision + recall))


@algorithm("ConfusionMatrix.kappa(confusionMatrix: ConfusionMatrix) -> Float")
def kappa(matrix: ConfusionMatrix) -> float:
    """Return Cohen's kappa: the agreement beyond that of chance."""
    counts = matrix.counts.astype(np.float64)
    total = counts.sum()
    if not total:
        return 0.0
    agreed = np.trace(counts) / total
    by_chance = float((counts.sum(axis=0) * counts.sum(axis=1)).sum()) / total**2
    return float(_ratio(agreed - by_chance, 1 - by_chance))
