"""Confusion matrices: scikit-learn and fractions by hand are the oracles."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix, fbeta_score

from tests.compute.algorithms.classifier.tables import CLASSES, ROWS, features, trained
from tests.compute.conftest import Evaluator
from tileserver.errors import InvalidRequest

COUNTS = [
    [32, 0, 0, 0, 1, 0],
    [0, 5, 0, 0, 1, 0],
    [0, 0, 1, 3, 0, 0],
    [0, 1, 4, 26, 8, 0],
    [0, 0, 0, 7, 15, 0],
    [0, 0, 0, 1, 0, 5],
]
"""The matrix of the reference pages of ee.ConfusionMatrix."""
ACTUAL = np.repeat(*np.divmod(np.arange(36), 6)[:1], np.ravel(COUNTS))
PREDICTED = np.repeat(np.arange(36) % 6, np.ravel(COUNTS))


@pytest.fixture
def matrix(ee: ModuleType) -> Any:
    return ee.ConfusionMatrix(ee.Array(COUNTS))


def test_measures(ee: ModuleType, evaluator: Evaluator, matrix: Any) -> None:
    assert evaluator.value(matrix) == COUNTS
    assert evaluator.value(matrix.array()) == COUNTS
    assert evaluator.value(matrix.order()) == list(range(6))
    assert evaluator.value(matrix.accuracy()) == pytest.approx(84 / 110)
    producers = [[32 / 33], [5 / 6], [1 / 4], [26 / 39], [15 / 22], [5 / 6]]
    assert evaluator.value(matrix.producersAccuracy()) == [pytest.approx(r) for r in producers]
    consumers = [1, 5 / 6, 1 / 5, 26 / 37, 15 / 25, 1]
    assert evaluator.value(matrix.consumersAccuracy()) == [pytest.approx(consumers)]
    assert evaluator.value(matrix.kappa()) == pytest.approx(cohen_kappa_score(ACTUAL, PREDICTED))
    for beta in (1, 0.5, 2):
        expected = fbeta_score(ACTUAL, PREDICTED, beta=beta, average=None)
        assert evaluator.value(matrix.fscore(beta)) == pytest.approx(expected.tolist())


def test_classes_without_members_have_zero(ee: ModuleType, evaluator: Evaluator) -> None:
    matrix = ee.ConfusionMatrix(ee.Array([[0, 0], [0, 3]]))
    assert evaluator.value(matrix.producersAccuracy()) == [[0], [1]]
    assert evaluator.value(matrix.consumersAccuracy()) == [[0, 1]]
    assert evaluator.value(matrix.fscore()) == [0, 1]
    assert evaluator.value(matrix.accuracy()) == 1


def test_an_order_of_classes(ee: ModuleType, evaluator: Evaluator) -> None:
    order = [11, 22, 42, 52, 71, 81]
    matrix = ee.ConfusionMatrix(ee.Array(COUNTS), order)
    assert evaluator.value(matrix.order()) == order


def test_errors_of_a_collection(ee: ModuleType, evaluator: Evaluator) -> None:
    actual, predicted = CLASSES, np.roll(CLASSES, 1)
    table = features(ee, np.stack([actual, predicted], axis=1), names=["a", "p"])
    plain = table.errorMatrix("a", "p")
    expected = confusion_matrix(actual, predicted, labels=range(5))
    assert evaluator.value(plain) == expected.tolist()
    assert evaluator.value(plain.order()) == [0, 1, 2, 3, 4]
    chosen = table.errorMatrix("a", "p", [3, 1])
    assert evaluator.value(chosen) == expected[np.ix_([3, 1], [3, 1])].tolist()


def test_of_a_classifier_by_its_own_training(ee: ModuleType, evaluator: Evaluator) -> None:
    matrix = trained(ee, ee.Classifier.smileCart()).confusionMatrix()
    assert evaluator.value(matrix) == np.diag(np.bincount(CLASSES)).tolist()
    assert evaluator.value(matrix.accuracy()) == 1
    assert len(ROWS) == len(CLASSES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda ee: ee.ConfusionMatrix(ee.Array([[1, 2]])), "Expected a square, two-dimensional"),
        (lambda ee: ee.ConfusionMatrix(ee.Array([[1]]), [1, 2]), "order must have 1 classes"),
        (lambda ee: features(ee, [[-1, 0]], names=["a", "p"]).errorMatrix("a", "p"), "negative"),
        (lambda ee: features(ee, [[9e6, 0]], names=["a", "p"]).errorMatrix("a", "p"), "memory"),
    ],
)
def test_what_is_no_matrix_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(make(ee))
