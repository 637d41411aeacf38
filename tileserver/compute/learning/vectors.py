"""Support vector machines and linear classifiers.

A fit takes so many iterations at most that it ends within seconds; one that has not converged by
then is refused, as a fit cannot be interrupted.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.compute.budget import out_of_memory, timed_out
from tileserver.compute.learning.models import Model, Predict, Probabilistic
from tileserver.compute.learning.training import Matrix, Training
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

SVM_TYPES = ("C_SVC", "NU_SVC", "ONE_CLASS", "EPSILON_SVR", "NU_SVR")
KERNELS = {"LINEAR": "linear", "POLY": "poly", "RBF": "rbf", "SIGMOID": "sigmoid"}
INTERSECTION = "INTERSECTION"
_MAX_ROWS = 20_000
_FIT_STEPS = 1_000_000_000
_INTERSECTION_NUMBERS = 20_000_000


@dataclass(frozen=True, slots=True)
class Machine:
    """The parameters of a support vector machine."""

    type: str = "C_SVC"
    kernel: str = "LINEAR"
    shrinking: bool = True
    degree: int = 3
    gamma: float | None = None
    """None is one over the number of inputs."""
    coef0: float = 0.0
    cost: float = 1.0
    nu: float = 0.5
    tolerance: float = 1e-3
    epsilon: float = 0.1
    one_class: int = 0


def intersection(first: Matrix, second: Matrix) -> Matrix:
    """Return the histogram intersection kernel: sums of the smaller of two numbers."""
    if len(first) * len(second) > _INTERSECTION_NUMBERS:
        raise out_of_memory()
    found = np.zeros((len(first), len(second)))
    for column in range(first.shape[1]):
        found += np.minimum(first[:, column, np.newaxis], second[np.newaxis, :, column])
    return found


class SupportVectors(Probabilistic):
    """A support vector machine of LIBSVM."""

    def __init__(self, training: Training, machine: Machine) -> None:
        """Fit it."""
        self.machine = machine
        self.training = training
        rows, columns = training.inputs.shape
        if rows > _MAX_ROWS:
            raise out_of_memory()
        self.classes = training.classes
        self._platt: Any = None
        self._is_single = len(self.classes) == 1 and machine.type in ("C_SVC", "NU_SVC")
        if self._is_single:
            return
        self._model = self._made(rows, columns)
        inputs, targets = self._data()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._model.fit(inputs, targets)
        if getattr(self._model, "fit_status_", 0):
            raise timed_out()
        vectors = len(self._model.support_)
        # A pair of classes has a vote each.
        self.row_steps = 5.0 + 0.3 * vectors * (columns + len(self.classes))

    def _data(self) -> tuple[Matrix, Any]:
        inputs, machine = self.training.inputs, self.machine
        if machine.type == "ONE_CLASS":
            inside = inputs[self.training.labels == machine.one_class]
            if not len(inside):
                raise InvalidRequest(f"There is no training data of class {machine.one_class}.")
            return inside, None
        is_number = machine.type in ("EPSILON_SVR", "NU_SVR")
        return inputs, self.training.targets if is_number else self.training.labels

    def _made(self, rows: int, columns: int) -> Any:
        from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

        m = self.machine
        pairs = max(1, len(self.classes) - 1)
        most = max(1000, _FIT_STEPS // (rows * max(columns, 8) * pairs))
        options: dict[str, Any] = {
            "kernel": intersection if m.kernel == INTERSECTION else KERNELS[m.kernel],
            "degree": m.degree,
            "gamma": "auto" if m.gamma is None else m.gamma,
            "coef0": m.coef0,
            "shrinking": m.shrinking,
            "tol": m.tolerance,
            "max_iter": most,
        }
        match m.type:
            case "C_SVC":
                return SVC(C=m.cost, **options)
            case "NU_SVC":
                return NuSVC(nu=m.nu, **options)
            case "ONE_CLASS":
                return OneClassSVM(nu=m.nu, **options)
            case "EPSILON_SVR":
                return SVR(C=m.cost, epsilon=m.epsilon, **options)
        return NuSVR(C=m.cost, nu=m.nu, **options)

    def chosen(self, rows: Matrix) -> Matrix:
        """Return the class of each row."""
        if self._is_single:
            return np.full(len(rows), float(self.classes[0]))
        found = self._model.predict(rows)
        if self.machine.type == "ONE_CLASS":
            inside = self.machine.one_class
            return np.where(found > 0, inside, 1 - inside).astype(np.float64)
        return np.asarray(found, np.float64)

    def probabilities(self, rows: Matrix) -> Matrix:
        """Return probabilities by a logistic function of the distances to the planes."""
        if self._is_single:
            return np.ones((len(rows), 1))
        if self._platt is None:
            from sklearn.linear_model import LogisticRegression

            inputs, targets = self._data()
            self._platt = LogisticRegression(max_iter=1000)
            self._platt.fit(self._distances(inputs), targets)
        found: Matrix = self._platt.predict_proba(self._distances(rows))
        return found

    def _distances(self, rows: Matrix) -> Matrix:
        found = np.asarray(self._model.decision_function(rows))
        return found[:, np.newaxis] if found.ndim == 1 else found

    def predictions(self, mode: str) -> Predict | None:
        """Return numbers from a machine for regression, else classes and probabilities."""
        if self.machine.type in ("EPSILON_SVR", "NU_SVR"):
            return self.chosen if mode in ("REGRESSION", "CLASSIFICATION") else None
        if self.machine.type == "ONE_CLASS":
            return self.chosen if mode == "CLASSIFICATION" else None
        return super().predictions(mode)

    def explained(self) -> dict[str, Any]:
        """Return the classes and the number of support vectors."""
        found: dict[str, Any] = {"svmType": self.machine.type, "kernelType": self.machine.kernel}
        if self.machine.type in ("C_SVC", "NU_SVC"):
            found["classes"] = self.classes.tolist()
        if not self._is_single:
            found["numSupportVectors"] = len(self._model.support_)
        return found


class _Scaled:
    """Inputs with mean zero and deviation one."""

    def __init__(self, rows: Matrix) -> None:
        self.mean = rows.mean(axis=0)
        deviation = rows.std(axis=0)
        self.deviation = np.where(deviation > 0, deviation, 1.0)

    def __call__(self, rows: Matrix) -> Matrix:
        found: Matrix = (rows - self.mean) / self.deviation
        return found


class Logistic(Probabilistic):
    """Multinomial logistic regression, which is maximum entropy over linear features."""

    def __init__(self, training: Training, l1: float, l2: float, epsilon: float, most: int) -> None:
        """Fit it to scaled inputs."""
        from sklearn.linear_model import LogisticRegression

        self.classes = training.classes
        self._scaled = _Scaled(training.inputs)
        self._model: Any = None
        if len(self.classes) > 1:
            total = l1 + l2
            strength = 1 / (total * len(training.inputs)) if total > 0 else 1e6
            options: dict[str, Any] = {"C": min(strength, 1e6), "tol": max(epsilon, 1e-9)}
            if l1 > 0:
                options |= {"solver": "saga", "l1_ratio": l1 / total, "random_state": 0}
            self._model = LogisticRegression(max_iter=most, **options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._model.fit(self._scaled(training.inputs), training.labels)
        self.row_steps = 5.0 + training.inputs.shape[1] * len(self.classes)

    def probabilities(self, rows: Matrix) -> Matrix:
        """Return the probability of each class."""
        if self._model is None:
            return np.ones((len(rows), 1))
        found: Matrix = self._model.predict_proba(self._scaled(rows))
        return found


class Linear(Model):
    """Least squares with penalties on the sizes of weights, of scaled inputs."""

    def __init__(self, training: Training, l1: float, l2: float, epsilon: float, most: int) -> None:
        """Fit it."""
        from sklearn.linear_model import ElasticNet, Ridge

        self._scaled = _Scaled(training.inputs)
        if l1 > 0:
            total = l1 + l2
            self._model: Any = ElasticNet(
                alpha=total, l1_ratio=l1 / total, max_iter=most, tol=max(epsilon, 1e-9)
            )
        else:
            self._model = Ridge(alpha=l2 * len(training.inputs), solver="svd")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._model.fit(self._scaled(training.inputs), training.targets)

    def predictions(self, mode: str) -> Predict | None:
        """Return numbers."""
        if mode not in ("REGRESSION", "CLASSIFICATION"):
            return None
        return lambda rows: np.asarray(self._model.predict(self._scaled(rows)))


class Perceptrons(Model):
    """A linear classifier learned row by row, one plane a class: the perceptron, or Winnow.

    Winnow multiplies weights instead of adding to them (Littlestone 1988), for inputs as shares.
    """

    def __init__(
        self,
        training: Training,
        epochs: int,
        rate: float = 1.0,
        margin: float = 0.0,
        is_averaged: bool = False,
        multiplies: bool = False,
    ) -> None:
        """Learn in passes over the rows, all at once: each pass is a step of its mean."""
        self.classes = training.classes
        self._low = training.inputs.min(axis=0)
        span = np.ptp(training.inputs, axis=0)
        self._span = np.where(span > 0, span, 1.0)
        rows = self._shares(training.inputs)
        signs = np.where(training.labels[:, np.newaxis] == self.classes, 1.0, -1.0)
        weights = np.zeros((rows.shape[1], len(self.classes)))
        mean = np.zeros_like(weights)
        for _ in range(epochs):
            check_time()
            current = np.sinh(weights) if multiplies else weights
            wrong = signs * (rows @ current) <= margin
            weights = weights + rate * (rows.T @ (signs * wrong)) / len(rows)
            weights = np.clip(weights, -30, 30)
            mean += weights / epochs
        chosen = mean if is_averaged else weights
        self._weights = np.sinh(chosen) if multiplies else chosen
        self.row_steps = 5.0 + self._weights.size

    def _shares(self, rows: Matrix) -> Matrix:
        """Return inputs as shares of the training's range, from -1 to 1, and a constant."""
        scaled = np.clip((rows - self._low) / self._span, -10, 10) * 2 - 1
        return np.hstack([scaled, np.ones((len(rows), 1))])

    def predictions(self, mode: str) -> Predict | None:
        """Return the class whose plane a row lies highest above."""
        if mode != "CLASSIFICATION":
            return None

        def chosen(rows: Matrix) -> Matrix:
            found = (self._shares(rows) @ self._weights).argmax(axis=1)
            return np.asarray(self.classes[found], np.float64)

        return chosen

    def explained(self) -> dict[str, Any]:
        """Return the classes."""
        return {"classes": self.classes.tolist()}
