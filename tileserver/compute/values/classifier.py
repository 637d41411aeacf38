"""Classifiers and clusterers as values: parameters, an output mode, and training data or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tileserver.compute.learning.models import CLASSIFICATION, REGRESSIONS, Model
from tileserver.compute.learning.training import Training
from tileserver.compute.values.made import Made
from tileserver.errors import InvalidRequest

Fit = Callable[[Training, bool], Model]
"""Returns a model of training data; True asks for numbers rather than classes."""


@dataclass(frozen=True, eq=False, slots=True)
class Classifier:
    """A classifier, trained or not."""

    name: str
    fit: Fit | None = None
    """None needs no training."""
    fixed: Model | None = None
    """The model of one that needs no training."""
    schema: tuple[str, ...] | None = None
    """Names of the inputs; None before there is training data."""
    training: Training | None = None
    mode: str = CLASSIFICATION
    made: Made | None = None

    def model(self) -> Model:
        """Return the model, made once for a training and a kind of output.

        Raises:
            InvalidRequest: there is no training data, or a library is missing.
        """
        if self.fixed is not None:
            return self.fixed
        if self.training is None or self.fit is None:
            raise InvalidRequest(f"The classifier {self.name} has not been trained.")
        is_regression = self.mode in REGRESSIONS
        key = f"{self.name} {is_regression}"
        with self.training.lock:
            if key not in self.training.models:
                self.training.models[key] = made(self.name, self.fit, self.training, is_regression)
        found: Model = self.training.models[key]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON; trained, it is that of the classifier before."""
        found = self.made.to_json() if self.made else {"type": f"Classifier.{self.name}"}
        return found if self.mode == CLASSIFICATION else found | {"mode": self.mode}


def made(name: str, fit: Fit, training: Training, is_regression: bool) -> Model:
    """Return the model of a fit, or raise InvalidRequest that names a missing library."""
    try:
        return fit(training, is_regression)
    except ImportError as exc:
        if not (exc.name or "").startswith("sklearn"):
            raise
        raise InvalidRequest(
            f"{name} needs scikit-learn; install it with: pip install 'ee-tileserver[learning]'."
        ) from exc
