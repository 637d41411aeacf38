"""Decision trees given as text, alone or as an ensemble, and trees that were grown.

Each tree gives every row a class (or a number, for regression) and probabilities. An ensemble's
class is the one that most trees give, of several as often given ones the least; its number and its
probabilities are the trees' means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.learning.models import Model, Predict
from tileserver.compute.learning.text_trees import TextTree
from tileserver.compute.learning.training import Matrix
from tileserver.concurrency.time_limit import check_time

_LEVEL_STEPS = 12.0


class TextTrees(Model):
    """Trees in text form; all output modes."""

    def __init__(self, trees: Sequence[TextTree]) -> None:
        """Take trees."""
        self.trees = tuple(trees)
        names = dict.fromkeys(name for tree in trees for name in tree.names)
        self.names = tuple(names)
        column = {name: place for place, name in enumerate(self.names)}
        self._places = [
            np.array([column[name] for name in tree.names], np.int64) for tree in self.trees
        ]
        values = [tree.values[tree.inputs < 0] for tree in self.trees]
        self.classes = np.unique(np.concatenate(values)) if values else np.zeros(0)
        self._shares = [self._shares_of(tree) for tree in self.trees]
        depth = sum(max(1.0, np.log2(len(tree.values)) * 2) for tree in self.trees)
        self.row_steps = _LEVEL_STEPS * depth

    def _shares_of(self, tree: TextTree) -> Matrix | None:
        """Return probabilities of classes at each node, where each leaf has as many as there are.

        Else None: then a leaf is sure of its value.
        """
        count = len(self.classes)
        leaves = np.flatnonzero(tree.inputs < 0)
        if any(len(tree.shares[leaf]) != count for leaf in leaves):
            return None
        found = np.zeros((len(tree.values), count))
        for leaf in leaves:
            found[leaf] = tree.shares[leaf]
        return found

    def predictions(self, mode: str) -> Predict | None:
        """Return the function of any mode."""
        return {
            "CLASSIFICATION": self._chosen,
            "REGRESSION": lambda rows: self._values(rows).mean(axis=1),
            "PROBABILITY": self._probability,
            "MULTIPROBABILITY": self._probabilities,
            "RAW": self._values,
            "RAW_REGRESSION": self._values,
        }[mode]

    def _leaves(self, rows: Matrix) -> list[NDArray[np.int64]]:
        return [
            tree.leaves(rows, places) for tree, places in zip(self.trees, self._places, strict=True)
        ]

    def _values(self, rows: Matrix) -> Matrix:
        """Return each tree's value, shape (rows, trees)."""
        leaves = self._leaves(rows)
        pairs = zip(self.trees, leaves, strict=True)
        return np.stack([tree.values[at] for tree, at in pairs], axis=1)

    def _chosen(self, rows: Matrix) -> Matrix:
        values = self._values(rows)
        if values.shape[1] == 1:
            return values[:, 0]
        return self.classes[votes(np.searchsorted(self.classes, values), len(self.classes))]

    def _probabilities(self, rows: Matrix) -> Matrix:
        total = np.zeros((len(rows), len(self.classes)))
        for tree, shares, at in zip(self.trees, self._shares, self._leaves(rows), strict=True):
            if shares is None:
                place = np.searchsorted(self.classes, tree.values[at])
                total[np.arange(len(rows)), place] += 1
            else:
                total += shares[at]
        return total / len(self.trees)

    def _probability(self, rows: Matrix) -> Matrix:
        found = self._probabilities(rows)
        most: Matrix = found[:, 1] if len(self.classes) == 2 else found.max(axis=1)
        return most

    def explained(self) -> dict[str, Any]:
        """Return the number of trees."""
        return {"numberOfTrees": len(self.trees)}


def votes(choices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return what most trees choose of `count` classes, from choices of shape (rows, trees)."""
    most = np.full(len(choices), -1, np.int64)
    chosen = np.zeros(len(choices), np.int64)
    for each in range(count):
        check_time()
        found = np.count_nonzero(choices == each, axis=1)
        chosen = np.where(found > most, each, chosen)
        most = np.maximum(found, most)
    return chosen
