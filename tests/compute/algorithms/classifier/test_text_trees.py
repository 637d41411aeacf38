"""Decision trees as text: R's own output, computed by hand, and scikit-learn are the oracles."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from tests.compute.algorithms.classifier.tables import (
    CLASSES,
    NAMES,
    PIXELS,
    ROWS,
    features,
    trained,
)
from tests.compute.conftest import SCENE, Evaluator
from tileserver.errors import InvalidRequest

KYPHOSIS = """n= 81

node), split, n, loss, yval, (yprob)
      * denotes terminal node

 1) root 81 17 0 (0.79012346 0.20987654)
   2) Start>=8.5 62  6 0 (0.90322581 0.09677419)
     4) Start>=14.5 29  0 0 (1.00000000 0.00000000) *
     5) Start< 14.5 33  6 0 (0.81818182 0.18181818)
      10) Age< 55 12  0 0 (1.00000000 0.00000000) *
      11) Age>=55 21  6 0 (0.71428571 0.28571429)
        22) Age>=111 14  2 0 (0.85714286 0.14285714) *
        23) Age< 111 7  3 1 (0.42857143 0.57142857) *
   3) Start< 8.5 19  8 1 (0.42105263 0.57894737) *
"""
"""The tree of rpart's manual, its classes absent and present as 0 and 1."""


def kyphosis(start: float, age: float) -> tuple[int, float]:
    """Return the class and the probability of class 1, by hand."""
    if start >= 8.5:
        if start >= 14.5 or age < 55:
            return 0, 0.0
        return (0, 0.14285714) if age >= 111 else (1, 0.57142857)
    return 1, 0.57894737


GRID = [[start, age] for start in (1, 8.5, 9, 14.5, 20) for age in (1, 55, 60, 111, 200)]


def test_a_tree_of_r_is_applied_exactly(ee: ModuleType, evaluator: Evaluator) -> None:
    table = features(ee, GRID, names=["Start", "Age"])
    tree = ee.Classifier.decisionTree(KYPHOSIS)
    assert evaluator.value(tree.schema()) == ["Start", "Age"]
    expected = [kyphosis(*each) for each in GRID]
    found = evaluator.value(table.classify(tree, "k").aggregate_array("k"))
    assert found == [each for each, _ in expected]
    shares = table.classify(tree.setOutputMode("PROBABILITY"), "p").aggregate_array("p")
    assert evaluator.value(shares) == pytest.approx([share for _, share in expected])


def test_an_ensemble_votes(ee: ModuleType, evaluator: Evaluator) -> None:
    trees = [
        f"1) root 9999 9999 9999\n2) x<={edge} 9999 9999 {low} *\n3) x>{edge} 9999 9999 {high} *"
        for edge, low, high in ((1, 1, 2), (2, 1, 2), (3, 3, 2))
    ]
    ensemble = ee.Classifier.decisionTreeEnsemble([trees[0] + "\n" + trees[1], trees[2]])
    table = features(ee, [[0.5], [1.5], [2.5], [3.5]], names=["x"])
    # Votes 1 1 3, then 2 1 3, of which the least is taken, then 2 2 3, then 2 2 2.
    found = table.classify(ensemble).aggregate_array("classification")
    assert evaluator.value(found) == [1, 1, 2, 2]
    mean = table.classify(ensemble.setOutputMode("REGRESSION")).aggregate_array("classification")
    assert evaluator.value(mean) == pytest.approx([5 / 3, 2, 7 / 3, 2])
    raw = table.classify(ensemble.setOutputMode("RAW")).aggregate_array("classification")
    assert evaluator.value(raw) == [[1, 1, 3], [2, 1, 3], [2, 2, 3], [2, 2, 2]]


def test_what_a_tree_explains_can_be_read_again(ee: ModuleType, evaluator: Evaluator) -> None:
    grown = trained(ee, ee.Classifier.smileCart())
    text = evaluator.value(grown.explain())["tree"]
    read = ee.Classifier.decisionTree(text)
    oracle = DecisionTreeClassifier(random_state=0).fit(ROWS, CLASSES)
    found = evaluator.pixels(ee.Image(SCENE).classify(read))["classification"]
    assert (found.ravel() == oracle.predict(PIXELS)).mean() > 0.999
    again = evaluator.pixels(ee.Image(SCENE).classify(grown))["classification"]
    assert (found == again).all()
    assert len(np.unique(found)) == 4
    assert set(evaluator.value(read.schema())) <= set(NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no decision tree"),
        ("2) x<1 1 1 1 *", "begins with node 1"),
        ("1) root 1 1 1\n2) x<1 1 1 1 *", "has only one child"),
        ("1) root 1 1 1\n4) x<1 1 1 1 *", "has no parent"),
        ("1) root 1 1 1\n2) x<1 1 1 1 *\n3) y>=1 1 1 2 *", "split on two inputs"),
        ("1) root 1 1 1\n2) x~1 1 1 1 *\n3) x>=1 1 1 2 *", "Malformed line"),
        ("1) root 1 one", "expected numbers of cases"),
        ("1) root 1 1 1\n2) x<1 1 1 1\n2) x<1 1 1 1\n3) x>1 1 1 1", "must not repeat"),
        ("1) root 1 1 1 *\n" * 2, "has 2 decision trees"),
        ("9" * 5000 + ") x<1 1 1 1", "too deep"),
    ],
)
def test_malformed_trees_are_refused(
    ee: ModuleType, evaluator: Evaluator, text: str, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"Classifier.decisionTree: .*{message}"):
        evaluator.value(ee.Classifier.decisionTree(text))
