"""Maximum entropy models of species distributions (Phillips, Anderson and Schapire 2006).

The distribution over the background is in proportion to exp(weights · features), as near to
uniform as the means of features at the presences allow: each within its regularization, of the
automatic values of Maxent 3.4 (Phillips et al. 2017). Features are linear, quadratic, product,
hinge and threshold ones of inputs scaled to the background's range, and an indicator for each
value of a categorical input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.learning.models import Model, Predict
from tileserver.compute.learning.training import Matrix, Training
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

OUTPUT_FORMATS = ("cloglog", "logistic", "raw", "cumulative")
_KNOTS = 10
"""Hinges and thresholds of an input."""
_MAX_NUMBERS = 20_000_000
"""Background rows times features."""
_ITERATIONS = 500
_CONVERGED = 1e-6
_TABLES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "linear": ((10, 30, 100), (1.0, 0.2, 0.05)),
    "quadratic": ((0, 10, 17, 30, 100), (1.3, 0.8, 0.5, 0.25, 0.05)),
    "product": ((0, 10, 17, 30, 100), (2.6, 1.6, 0.9, 0.55, 0.05)),
    "hinge": ((0, 1), (0.5, 0.5)),
    "threshold": ((0, 100), (2.0, 1.0)),
    "categorical": ((0, 10, 17), (0.65, 0.5, 0.25)),
}
"""Regularization of each class of features by the number of presences."""

Feature = Callable[[Matrix], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Entropy:
    """The parameters of a model."""

    categorical: tuple[str, ...] = ()
    output_format: str = "cloglog"
    is_automatic: bool = True
    classes: tuple[str, ...] = ("linear", "quadratic", "product", "hinge")
    """Classes of features, if they are not chosen automatically."""
    least: tuple[tuple[str, int], ...] = ()
    """Presences from which on a class is chosen automatically."""
    adds_samples: bool = True
    adds_all_samples: bool = False
    multiplier: float = 1.0
    betas: tuple[tuple[str, float], ...] = ()
    """Regularization of classes of features in place of the automatic one."""
    extrapolates: bool = True
    clamps: bool = True
    writes_clamps: bool = True
    test_percentage: int = 0
    seed: int = 0

    def chosen(self, presences: int) -> set[str]:
        """Return the classes of features for so many presences."""
        if not self.is_automatic:
            return set(self.classes) | {"categorical"}
        found = {name for name, least in self.least if presences >= least}
        return found | {"linear", "categorical"}

    def beta(self, kind: str, presences: int) -> float:
        """Return the regularization of a class of features."""
        given = dict(self.betas).get(kind, -1.0)
        if given >= 0:
            return given * self.multiplier
        return float(np.interp(presences, *_TABLES[kind])) * self.multiplier


class MaximumEntropy(Model):
    """A fitted model; its outputs are probability, and clamp if that is written."""

    def __init__(self, training: Training, entropy: Entropy) -> None:
        """Fit it to presences, the rows of class 1, and the background, those of class 0."""
        self.entropy = entropy
        labels = training.labels
        if not ((labels == 1).any() and np.isin(labels, (0, 1)).all()):
            raise InvalidRequest("Expected classes 0, the background, and 1, the presences.")
        present = training.inputs[labels == 1]
        if entropy.test_percentage > 0:
            chance = np.random.default_rng(abs(entropy.seed))
            kept = max(1, round(len(present) * (100 - entropy.test_percentage) / 100))
            present = present[np.sort(chance.permutation(len(present))[:kept])]
        background = _background(training.inputs[labels == 0], present, entropy)
        self._is_category = np.array([name in entropy.categorical for name in training.names])
        self._low, self._high = background.min(axis=0), background.max(axis=0)
        span = self._high - self._low
        self._span = np.where(span > 0, span, 1.0)
        scaled, at = self._scaled(background), self._scaled(present)
        kinds, self._features = _features(
            scaled, self._is_category, entropy.chosen(len(present)), self._category_values(scaled)
        )
        if len(self._features) * len(background) > _MAX_NUMBERS:
            raise out_of_memory()
        self._fit(self._matrix(scaled), self._matrix(at), kinds)
        self.row_steps = 20.0 + 8.0 * len(self._features)
        self.outputs = ("probability", "clamp") if entropy.writes_clamps else ("probability",)

    def _category_values(self, scaled: Matrix) -> dict[int, NDArray[np.float64]]:
        return {int(c): np.unique(scaled[:, c]) for c in np.flatnonzero(self._is_category)}

    def _scaled(self, rows: Matrix) -> Matrix:
        """Return continuous inputs scaled to the background's range, categories as they are."""
        found: Matrix = np.where(self._is_category, rows, (rows - self._low) / self._span)
        return found

    def _matrix(self, scaled: Matrix) -> Matrix:
        return np.stack([feature(scaled) for feature in self._features], axis=1)

    def _fit(self, background: Matrix, present: Matrix, kinds: list[str]) -> None:
        count = len(present)
        deviation = present.std(axis=0)
        # As in Maxent, a feature that does not vary at the presences is not certain.
        least = np.maximum(deviation, 0.001 if count > 1 else 0.5)
        betas = np.array([self.entropy.beta(kind, count) for kind in kinds])
        penalties = betas * least / np.sqrt(count)
        self.weights = fitted_weights(background, present.mean(axis=0), penalties)
        logs = background @ self.weights
        self._top = float(logs.max())
        shares = np.exp(logs - self._top)
        self._total = float(shares.sum())
        probabilities = shares / self._total
        self._order = np.sort(probabilities)
        known = probabilities[probabilities > 0]
        self._entropy = float(-(known * np.log(known)).sum())

    def probability(self, rows: Matrix, clamps: bool | None = None) -> Matrix:
        """Return the output for rows, in the format of the model."""
        scaled = self._scaled(rows)
        inside = np.where(self._is_category, scaled, np.clip(scaled, 0, 1))
        clamps = self.entropy.clamps if clamps is None else clamps
        logs = self._matrix(inside if clamps else scaled) @ self.weights
        raw = np.exp(np.clip(logs - self._top, -700, 700)) / self._total
        found = self._formatted(raw)
        if not self.entropy.extrapolates:
            outside = (np.abs(inside - scaled) > 0).any(axis=1)
            found = np.where(outside, 0.0, found)
        return found

    def _formatted(self, raw: Matrix) -> Matrix:
        match self.entropy.output_format:
            case "raw":
                return raw
            case "cumulative":
                sums = np.concatenate([[0], np.cumsum(self._order)])
                found: Matrix = 100 * sums[np.searchsorted(self._order, raw, "right")]
                return found
            case "logistic":
                scaled = raw * np.exp(self._entropy)
                return np.asarray(scaled / (1 + scaled))
        return np.asarray(1 - np.exp(-raw * np.exp(self._entropy)))

    def array_outputs(self, mode: str) -> bool:
        """Return False: its outputs are bands of their own."""
        return False

    def predictions(self, mode: str) -> Predict | None:
        """Return the outputs, in any mode, shape (rows, outputs)."""

        def both(rows: Matrix) -> Matrix:
            found = self.probability(rows)
            if len(self.outputs) == 1:
                return found[:, np.newaxis]
            clamped, free = self.probability(rows, True), self.probability(rows, False)
            return np.stack([found, np.abs(clamped - free)], axis=1)

        return both

    def explained(self) -> dict[str, Any]:
        """Return the number of features, their weights, and the entropy."""
        return {
            "numberOfFeatures": len(self._features),
            "weights": self.weights.tolist(),
            "entropy": self._entropy,
        }


def _background(background: Matrix, present: Matrix, entropy: Entropy) -> Matrix:
    """Return the background, with the presences that are not yet in it, or with all."""
    if entropy.adds_all_samples or not len(background):
        return np.concatenate([background, present])
    if not entropy.adds_samples:
        return background
    known = {row.tobytes() for row in background}
    new = [row for row in np.unique(present, axis=0) if row.tobytes() not in known]
    return np.concatenate([background, new]) if new else background


def _features(
    scaled: Matrix,
    is_category: NDArray[np.bool_],
    chosen: set[str],
    categories: dict[int, NDArray[np.float64]],
) -> tuple[list[str], list[Feature]]:
    """Return the class and the function of each feature."""
    kinds: list[str] = []
    features: list[Feature] = []
    for kind, feature in _each_feature(is_category, chosen, categories):
        kinds.append(kind)
        features.append(feature)
        if len(features) * len(scaled) > _MAX_NUMBERS:
            raise out_of_memory()
    return kinds, features


def _each_feature(
    is_category: NDArray[np.bool_], chosen: set[str], categories: dict[int, NDArray[np.float64]]
) -> Iterator[tuple[str, Feature]]:
    columns = [int(c) for c in np.flatnonzero(~is_category)]
    knots = np.linspace(0, 1, _KNOTS + 1)
    for c in columns:
        if "linear" in chosen:
            yield "linear", lambda rows, c=c: rows[:, c]  # type: ignore[misc]
        if "quadratic" in chosen:
            yield "quadratic", lambda rows, c=c: rows[:, c] ** 2  # type: ignore[misc]
        if "hinge" in chosen:
            for knot in knots[:-1]:
                yield "hinge", _hinge(c, float(knot), 1.0)
            for knot in knots[1:]:
                yield "hinge", _hinge(c, float(knot), -1.0)
        if "threshold" in chosen:
            for knot in knots[1:-1]:
                yield "threshold", _threshold(c, float(knot))
    if "product" in chosen:
        for a, b in combinations(columns, 2):
            yield "product", lambda rows, a=a, b=b: rows[:, a] * rows[:, b]  # type: ignore[misc]
    for c, values in categories.items():
        for value in values:
            yield "categorical", _indicator(c, float(value))


def _hinge(column: int, knot: float, sign: float) -> Feature:
    span = 1 - knot if sign > 0 else knot

    def hinge(rows: Matrix) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.maximum(sign * (rows[:, column] - knot), 0) / span
        return found

    return hinge


def _threshold(column: int, knot: float) -> Feature:
    return lambda rows: (rows[:, column] >= knot).astype(np.float64)


def _indicator(column: int, value: float) -> Feature:
    return lambda rows: (rows[:, column] == value).astype(np.float64)


def fitted_weights(background: Matrix, means: Matrix, penalties: Matrix) -> Matrix:
    """Return the weights w that minimize log(mean(exp(B w))) - m w + Σ p |w|.

    By accelerated proximal gradients with steps found by halving (Beck and Teboulle 2009).

    Args:
        background: B, shape (rows, features).
        means: m, the means of features at the presences.
        penalties: p, none negative.
    """
    weights = np.zeros(background.shape[1])
    ahead, momentum, step = weights, 1.0, 1.0
    value, gradient = _loss(background, means, ahead)
    for _ in range(_ITERATIONS):
        check_time()
        while True:
            moved = ahead - step * gradient
            new = np.sign(moved) * np.maximum(np.abs(moved) - step * penalties, 0)
            off = new - ahead
            reached, _ = _loss(background, means, new)
            if reached <= value + gradient @ off + off @ off / (2 * step) + 1e-12 or step < 1e-9:
                break
            step /= 2
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - weights)
        change = np.abs(new - weights).max(initial=0.0)
        weights, momentum = new, following
        if change < _CONVERGED:
            break
        value, gradient = _loss(background, means, ahead)
    return weights


def _loss(background: Matrix, means: Matrix, weights: Matrix) -> tuple[float, Matrix]:
    """Return the smooth part of what is minimized, and its gradient."""
    logs = background @ weights
    top = logs.max()
    shares = np.exp(logs - top)
    total = shares.sum()
    value = float(np.log(total) + top - means @ weights)
    return value, background.T @ (shares / total) - means
