"""Classifiers by distance and by counts: nearest neighbours, class means, naive Bayes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.learning.models import Model, Predict, Probabilistic
from tileserver.compute.learning.training import Matrix, Training
from tileserver.concurrency.time_limit import check_time

NEIGHBOR_METRICS = {
    "EUCLIDEAN": "euclidean",
    "MAHALANOBIS": "mahalanobis",
    "MANHATTAN": "cityblock",
    "BRAYCURTIS": "braycurtis",
}
MEAN_METRICS = ("euclidean", "cosine", "mahalanobis", "manhattan")
_TREE_STEPS = 200.0
_FEW = 10
"""Inputs that a tree is of use for."""
_HELD_NUMBERS = 4_000_000
"""Distances held at once."""


class Neighbors(Probabilistic):
    """The k nearest rows of the training; of several as frequent classes the least."""

    def __init__(self, training: Training, k: int, metric: str) -> None:
        """Index the training: by a tree where the metric and the number of inputs allow."""
        from scipy.spatial import KDTree

        rows, columns = training.inputs.shape
        self.classes = training.classes
        self._count = min(k, rows)
        self._training = training
        self._places = np.searchsorted(self.classes, training.labels)
        self._power = {"EUCLIDEAN": 2.0, "MANHATTAN": 1.0}.get(metric)
        self._tree: Any = None
        self._options: dict[str, Any] = {"metric": NEIGHBOR_METRICS[metric]}
        if metric == "MAHALANOBIS":
            self._options["VI"] = _precision(training.inputs)
        if self._power is not None and columns < _FEW:
            self._tree = KDTree(training.inputs)
        of_tree = _TREE_STEPS + 10.0 * self._count
        self.row_steps = of_tree if self._tree else 0.3 * rows * max(columns, 3)

    def probabilities(self, rows: Matrix) -> Matrix:
        """Return the share of each class among the neighbours."""
        near = self._places[self._neighbors(rows)]
        found = np.zeros((len(rows), len(self.classes)))
        for each in range(self._count):
            found[np.arange(len(rows)), near[:, each]] += 1
        return np.asarray(found / self._count)

    def _neighbors(self, rows: Matrix) -> NDArray[np.int64]:
        """Return the places of the neighbours of each row, shape (rows, count)."""
        if self._tree is not None:
            _, found = self._tree.query(rows, self._count, p=self._power)
            return np.asarray(found).reshape(len(rows), self._count)
        at_once = max(1, _HELD_NUMBERS // len(self._training.inputs))
        parts = range(0, len(rows), at_once)
        return np.concatenate([self._compared(rows[at : at + at_once]) for at in parts])

    def _compared(self, rows: Matrix) -> NDArray[np.int64]:
        from scipy.spatial.distance import cdist

        check_time()
        distances: Any = cdist(rows, self._training.inputs, **self._options)
        if self._count < distances.shape[1]:
            return np.asarray(np.argpartition(distances, self._count, axis=1)[:, : self._count])
        return np.asarray(np.argsort(distances, axis=1, kind="stable"))

    def predictions(self, mode: str) -> Predict | None:
        """Return classes and probabilities, or for regression the mean of the neighbours."""
        if mode == "REGRESSION":
            return lambda rows: self._training.targets[self._neighbors(rows)].mean(axis=1)
        return super().predictions(mode)


def _precision(rows: Matrix) -> Matrix:
    """Return the inverse of the covariance; of a singular one its pseudo-inverse."""
    covariance = (
        np.atleast_2d(np.cov(rows, rowvar=False)) if len(rows) > 1 else np.eye(rows.shape[1])
    )
    return np.asarray(np.linalg.pinv(covariance, hermitian=True), np.float64)


class MinimumDistance(Model):
    """The distance to the mean of each class."""

    def __init__(self, training: Training, metric: str, k: int) -> None:
        """Take the means; of fewer than two rows of a class its covariance is that of all."""
        self.classes = training.classes
        self.metric = metric
        self._nearest = min(k, len(self.classes))
        parts = [training.inputs[training.labels == each] for each in self.classes]
        self._means = np.stack([part.mean(axis=0) for part in parts])
        self._precisions = []
        if metric == "mahalanobis":
            whole = training.inputs
            self._precisions = [_precision(part if len(part) > 1 else whole) for part in parts]
        columns = training.inputs.shape[1]
        cost = columns * columns if self._precisions else columns
        self.row_steps = 1.0 + 0.5 * len(self.classes) * cost

    def distances(self, rows: Matrix) -> Matrix:
        """Return the distance to each class, shape (rows, classes)."""
        found = np.empty((len(rows), len(self.classes)))
        for place, mean in enumerate(self._means):
            check_time()
            found[:, place] = self._distance(rows, mean, place)
        return found

    def _distance(self, rows: Matrix, mean: Matrix, place: int) -> Matrix:
        off = rows - mean
        if self.metric == "manhattan":
            total: Matrix = np.abs(off).sum(axis=1)
            return total
        if self.metric == "cosine":
            lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(mean)
            cosine = np.divide(rows @ mean, lengths, out=np.zeros(len(rows)), where=lengths > 0)
            return np.asarray(np.arccos(np.clip(cosine, -1, 1)))
        weighed = off @ self._precisions[place] if self._precisions else off
        return np.asarray(np.sqrt(np.maximum((weighed * off).sum(axis=1), 0)))

    def array_outputs(self, mode: str) -> bool:
        """Return True for all distances, and for more than one neighbour."""
        return mode == "RAW" or self._nearest > 1

    def predictions(self, mode: str) -> Predict | None:
        """Return the nearest classes, the distances to them, or all distances."""
        if mode == "RAW":
            return self.distances
        if mode not in ("CLASSIFICATION", "REGRESSION"):
            return None

        def nearest(rows: Matrix) -> Matrix:
            distances = self.distances(rows)
            order = distances.argsort(axis=1, kind="stable")[:, : self._nearest]
            if mode == "CLASSIFICATION":
                found = self.classes[order].astype(np.float64)
            else:
                found = np.take_along_axis(distances, order, axis=1)
            return found if self._nearest > 1 else found[:, 0]

        return nearest

    def explained(self) -> dict[str, Any]:
        """Return the classes and their means."""
        return {"classes": self.classes.tolist(), "means": self._means.tolist()}


class NaiveBayes(Probabilistic):
    """Multinomial naive Bayes, for inputs that are counts; rows with a negative one are left out.

    The probability of an input in a class is (count + lambda) / (total + lambda * inputs).
    """

    def __init__(self, training: Training, smoothing: float) -> None:
        """Count."""
        kept = (training.inputs >= 0).all(axis=1)
        inputs, labels = training.inputs[kept], training.labels[kept]
        self.classes = np.unique(labels) if kept.any() else training.classes
        counts = np.stack([inputs[labels == each].sum(axis=0) for each in self.classes])
        sizes = np.array([np.count_nonzero(labels == each) for each in self.classes], float)
        smoothed = counts + smoothing
        self._logs = np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True))
        self._prior = np.log(np.maximum(sizes, 1) / max(1, len(labels)))
        self.row_steps = 5.0 + 0.3 * self._logs.size

    def probabilities(self, rows: Matrix) -> Matrix:
        """Return the probability of each class; negative inputs count as zero."""
        joint = np.maximum(rows, 0) @ self._logs.T + self._prior
        return softmax(joint)


class GaussianBayes(Probabilistic):
    """Naive Bayes with normal distributions, for inputs that are continuous."""

    def __init__(self, training: Training, smoothing: float) -> None:
        """Take means and variances, these with a share of the largest one added."""
        self.classes = training.classes
        parts = [training.inputs[training.labels == each] for each in self.classes]
        extra = max(smoothing, 1e-12) * max(float(training.inputs.var(axis=0).max()), 1e-12)
        self._means = np.stack([part.mean(axis=0) for part in parts])
        self._variances = np.stack([part.var(axis=0) for part in parts]) + extra
        self._prior = np.log(np.array([len(part) for part in parts]) / len(training.labels))
        self.row_steps = 5.0 + self._means.size

    def probabilities(self, rows: Matrix) -> Matrix:
        """Return the probability of each class."""
        joint = np.stack(
            [
                prior - 0.5 * (np.log(2 * np.pi * var) + (rows - mean) ** 2 / var).sum(axis=1)
                for prior, mean, var in zip(self._prior, self._means, self._variances, strict=True)
            ],
            axis=1,
        )
        return softmax(joint)


def softmax(logs: Matrix) -> Matrix:
    """Return probabilities in proportion to the exponentials of numbers, along the last axis."""
    found = np.exp(logs - logs.max(axis=1, keepdims=True))
    total: Matrix = found / found.sum(axis=1, keepdims=True)
    return total
