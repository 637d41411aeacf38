"""What all models of classifiers share: output modes, and predictions in pieces.

A model is made of training data once, and holds arrays and scikit-learn's estimators; none is
ever read from a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.learning.training import Matrix
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

CLASSIFICATION, REGRESSION, PROBABILITY = "CLASSIFICATION", "REGRESSION", "PROBABILITY"
MULTIPROBABILITY, RAW, RAW_REGRESSION = "MULTIPROBABILITY", "RAW", "RAW_REGRESSION"
MODES = (CLASSIFICATION, REGRESSION, PROBABILITY, MULTIPROBABILITY, RAW, RAW_REGRESSION)
REGRESSIONS = (REGRESSION, RAW_REGRESSION)
_PIECE_STEPS = 3_000_000
"""Steps of a model between two looks at the clock."""
_LEAST_ROWS, _MOST_ROWS = 64, 32_768

Predict = Callable[[Matrix], Matrix]


class Model(ABC):
    """A function of rows of inputs."""

    row_steps: float = 10.0
    """Estimated cost of one row, in steps of some 30 ns."""
    outputs: tuple[str, ...] = ()
    """Names of its outputs, if it has names of its own."""

    @abstractmethod
    def predictions(self, mode: str) -> Predict | None:
        """Return the function of an output mode, or None if the model has no such output."""

    def explained(self) -> dict[str, Any]:
        """Return what there is to tell of it."""
        return {}

    def array_outputs(self, mode: str) -> bool:
        """Return whether an output is an array."""
        return mode in (MULTIPROBABILITY, RAW, RAW_REGRESSION)


class Probabilistic(Model):
    """A model with a probability of each class."""

    classes: NDArray[np.int64]

    @abstractmethod
    def probabilities(self, rows: Matrix) -> Matrix:
        """Return the probability of each class, shape (rows, classes)."""

    def chosen(self, rows: Matrix) -> Matrix:
        """Return the class of each row; of several as likely ones the first."""
        return np.asarray(self.classes[self.probabilities(rows).argmax(axis=1)], np.float64)

    def predictions(self, mode: str) -> Predict | None:
        """Return classes, or probabilities; that of two classes is the greater one's."""
        match mode:
            case "CLASSIFICATION":
                return self.chosen
            case "PROBABILITY":
                return self._probability
            case "MULTIPROBABILITY":
                return self.probabilities
        return None

    def _probability(self, rows: Matrix) -> Matrix:
        found = self.probabilities(rows)
        if len(self.classes) == 2:
            return found[:, 1]
        most: Matrix = found.max(axis=1)
        return most

    def explained(self) -> dict[str, Any]:
        """Return the classes."""
        return {"classes": self.classes.tolist()}


def predict(model: Model, name: str, mode: str, rows: Matrix) -> Matrix:
    """Return a model's output for rows, computed in pieces.

    Raises:
        InvalidRequest: the model has no such output, or there is no time left.
    """
    function = output_of(model, name, mode)
    if not len(rows):
        return function(np.zeros((1, rows.shape[1])))[:0]
    count = rows_at_once(model)
    found = []
    for start in range(0, len(rows), count):
        check_time()
        found.append(function(rows[start : start + count]))
    return np.concatenate(found)


def rows_at_once(model: Model) -> int:
    """Return how many rows a model takes between two looks at the clock."""
    return int(np.clip(_PIECE_STEPS / model.row_steps, _LEAST_ROWS, _MOST_ROWS))


def output_of(model: Model, name: str, mode: str) -> Predict:
    """Return the function of a model's output, or raise InvalidRequest if it has none."""
    function = model.predictions(mode)
    if function is None:
        raise InvalidRequest(f"The classifier {name} has no output mode {mode}.")
    return function
