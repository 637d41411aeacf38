"""Trees that are grown from training data: CART, random forests and gradient boosting.

scikit-learn grows them; a tree of its own equals none of the service's, which SMILE grows. One
tree after the other, so that there is a look at the clock between them, and the memory of all is
counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.learning.ensembles import votes
from tileserver.compute.learning.models import Model, Predict, Probabilistic
from tileserver.compute.learning.training import Matrix, Training
from tileserver.compute.learning.tree_text import text_of_tree
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

MAX_TREES = 5000
LOSSES = {
    "LeastSquares": "squared_error",
    "LeastAbsoluteDeviation": "absolute_error",
    "Huber": "huber",
}
"""scikit-learn's names of losses by Earth Engine's."""
_MAX_BYTES = 100_000_000
"""Memory of the nodes of one model."""
_NODE_BYTES = 80
_LEVEL_STEPS = 1.0
_MAX_STEP_LEAVES = 100_000
"""Leaves of all trees of one step of boosting, which cannot be interrupted."""
_MAX_TEXT_NODES = 200_000


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees grow."""

    max_leaves: int | None = None
    least_population: int = 1
    variables: int | None = None
    """Inputs tried at each split; None tries all."""


def check_count(count: int, most: int, name: str) -> None:
    """Raise InvalidRequest unless a parameter is from 1 to `most`."""
    if not 1 <= count <= most:
        raise InvalidRequest(f"{name} must be from 1 to {most}, got {count}.")


def checked_growth(growth: Growth) -> Growth:
    """Return it, or raise InvalidRequest for parameters that grow no tree."""
    if growth.max_leaves is not None:
        check_count(growth.max_leaves - 1, 10**7, "maxNodes less one")
    check_count(growth.least_population, 10**7, "minLeafPopulation")
    return growth


class Forest(Model):
    """Trees of one kind, for classes or for numbers."""

    def __init__(
        self,
        training: Training,
        is_regression: bool,
        growth: Growth,
        count: int = 1,
        bag: float | None = None,
        seed: int = 0,
    ) -> None:
        """Grow the trees.

        Args:
            training: the data.
            is_regression: whether its targets are numbers rather than classes.
            growth: of each tree.
            count: of the trees.
            bag: share of the rows that each tree is grown from; None takes them as they are.
            seed: of chance.
        """
        self.training = training
        self.is_regression = is_regression
        self.classes = np.zeros(0, np.int64) if is_regression else training.classes
        check_classes(training, len(self.classes))
        self.trees: list[Any] = []
        self._bytes = 0
        chance = np.random.RandomState(seed % 2**32)
        rows = len(training.inputs)
        self._outside = _OutOfBag(rows, len(self.classes))
        for _ in range(count):
            check_time()
            picked = np.arange(rows) if bag is None else _bagged(chance, rows, bag)
            self._grow(growth, picked, seed if bag is None else int(chance.randint(2**31)))
        self.row_steps = sum(_LEVEL_STEPS * (each.get_depth() + 1) for each in self.trees)

    def _grow(self, growth: Growth, picked: NDArray[np.int64], seed: int) -> None:
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        make: Any = DecisionTreeRegressor if self.is_regression else DecisionTreeClassifier
        columns = self.training.inputs.shape[1]
        tree = make(
            max_leaf_nodes=growth.max_leaves,
            min_samples_leaf=min(growth.least_population, len(picked)),
            max_features=None if growth.variables is None else min(growth.variables, columns),
            random_state=seed,
        )
        tree.fit(self.training.inputs[picked], self._target[picked])
        self.trees.append(tree)
        self._bytes += tree.tree_.node_count * (_NODE_BYTES + 8 * len(self.classes))
        if self._bytes > _MAX_BYTES:
            raise out_of_memory()
        outside = np.ones(len(self.training.inputs), dtype=bool)
        outside[picked] = False
        if outside.any():
            self._outside.add(outside, self._value(tree, self.training.inputs[outside]))

    @property
    def _target(self) -> NDArray[Any]:
        return self.training.targets if self.is_regression else self.training.labels

    def _value(self, tree: Any, rows: Matrix) -> NDArray[Any]:
        """Return a tree's number for rows, or the place of its class among all."""
        found = tree.predict(rows)
        if self.is_regression:
            return np.asarray(found, np.float64)
        return np.asarray(np.searchsorted(self.classes, found))

    def predictions(self, mode: str) -> Predict | None:
        """Return the function of a mode."""
        if self.is_regression:
            return {
                "REGRESSION": lambda rows: self._raw(rows).mean(axis=1),
                "RAW_REGRESSION": self._raw,
            }.get(mode)
        return {
            "CLASSIFICATION": self._chosen,
            "PROBABILITY": self._probability,
            "MULTIPROBABILITY": self._probabilities,
            "RAW": lambda rows: self.classes[self._raw(rows)].astype(np.float64),
        }.get(mode)

    def _raw(self, rows: Matrix) -> NDArray[Any]:
        return np.stack([self._value(tree, rows) for tree in self._in_time()], axis=1)

    def _in_time(self) -> Any:
        for tree in self.trees:
            check_time()
            yield tree

    def _chosen(self, rows: Matrix) -> Matrix:
        return self.classes[votes(self._raw(rows), len(self.classes))].astype(np.float64)

    def _probabilities(self, rows: Matrix) -> Matrix:
        total = np.zeros((len(rows), len(self.classes)))
        for tree in self._in_time():
            total[:, np.searchsorted(self.classes, tree.classes_)] += tree.predict_proba(rows)
        return total / len(self.trees)

    def _probability(self, rows: Matrix) -> Matrix:
        found = self._probabilities(rows)
        most: Matrix = found[:, 1] if len(self.classes) == 2 else found.max(axis=1)
        return most

    def importance(self) -> dict[str, float]:
        """Return the sum of decreases of impurity by each input, over all trees."""
        parts = [tree.tree_.compute_feature_importances(normalize=False) for tree in self.trees]
        total = np.sum(parts, axis=0).tolist()
        return dict(zip(self.training.names, total, strict=True))

    def texts(self) -> list[str]:
        """Return the trees as text."""
        nodes = sum(tree.tree_.node_count for tree in self.trees)
        if nodes > _MAX_TEXT_NODES:
            raise out_of_memory()
        return [text_of_tree(tree, self.training.names, self.classes) for tree in self._in_time()]

    def explained(self) -> dict[str, Any]:
        """Return classes, importance of inputs, trees, and the error out of the bags."""
        found: dict[str, Any] = {} if self.is_regression else {"classes": self.classes.tolist()}
        found |= {
            "importance": self.importance(),
            "numberOfTrees": len(self.trees),
            "trees": self.texts(),
        }
        error = self._outside.error(self._target, self.classes)
        return found if error is None else found | {"outOfBagErrorEstimate": error}


class Cart(Forest):
    """A single tree."""

    def explained(self) -> dict[str, Any]:
        """Return classes, importance of inputs, and the tree."""
        found: dict[str, Any] = {} if self.is_regression else {"classes": self.classes.tolist()}
        return found | {"importance": self.importance(), "tree": self.texts()[0]}


class _OutOfBag:
    """What trees say of rows that they were not grown from."""

    def __init__(self, rows: int, classes: int) -> None:
        self._votes = np.zeros((rows, max(classes, 1)))
        self._counts = np.zeros(rows)

    def add(self, outside: NDArray[np.bool_], values: NDArray[Any]) -> None:
        """Add one tree's values for the rows outside of its bag."""
        self._counts[outside] += 1
        if self._votes.shape[1] == 1:
            self._votes[outside, 0] += values
        else:
            self._votes[np.flatnonzero(outside), values] += 1

    def error(self, target: NDArray[Any], classes: NDArray[np.int64]) -> float | None:
        """Return the share of wrong classes, or the root of the mean square error; or None."""
        known = self._counts > 0
        if not known.any():
            return None
        if len(classes):
            chosen = classes[self._votes[known].argmax(axis=1)]
            return float(np.mean(chosen != target[known]))
        off = self._votes[known, 0] / self._counts[known] - target[known]
        return float(np.sqrt(np.mean(off**2)))


def _bagged(chance: np.random.RandomState, rows: int, share: float) -> NDArray[np.int64]:
    """Return rows drawn by chance: a share of them each once, or all with repeats."""
    if share >= 1:
        return chance.randint(rows, size=rows)
    return np.sort(chance.permutation(rows)[: max(1, round(share * rows))])


def check_classes(training: Training, count: int) -> None:
    """Raise InvalidRequest if a tree over so many classes would not fit the memory."""
    if len(training.inputs) * max(count, 1) * 16 > _MAX_BYTES:
        raise out_of_memory()


class Boosted(Probabilistic):
    """Gradient tree boosting."""

    def __init__(
        self,
        training: Training,
        is_regression: bool,
        count: int,
        shrinkage: float,
        share: float,
        max_leaves: int | None,
        loss: str,
        seed: int,
    ) -> None:
        """Grow the trees, each for what those before have left."""
        from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

        self.training = training
        self.is_regression = is_regression
        self.classes = np.zeros(0, np.int64) if is_regression else training.classes
        check_classes(training, len(self.classes))
        leaves = min(len(training.inputs), max_leaves or len(training.inputs))
        if leaves * max(1, len(self.classes)) > _MAX_STEP_LEAVES:
            raise InvalidRequest(
                f"Boosting {len(self.classes)} classes may grow {leaves} leaves in each tree, "
                "which is too much; expected fewer by maxNodes."
            )
        options: dict[str, Any] = {
            "n_estimators": count,
            "learning_rate": shrinkage,
            "subsample": share,
            "max_depth": None,
            "max_leaf_nodes": max_leaves,
            "random_state": seed % 2**32,
        }
        self._model: Any = None
        if is_regression:
            self._model = GradientBoostingRegressor(loss=LOSSES[loss], **options)
            self._model.fit(training.inputs, training.targets, monitor=self._look())
        elif len(self.classes) > 1:
            self._model = GradientBoostingClassifier(**options)
            self._model.fit(training.inputs, training.labels, monitor=self._look())
        trees = [] if self._model is None else self._model.estimators_.ravel()
        self.row_steps = 1.0 + sum(_LEVEL_STEPS * (each.get_depth() + 1) for each in trees)

    def _look(self) -> Callable[..., bool]:
        """Return the function to call after each step: looks at the clock and the memory."""
        nodes = 0

        def look(step: int, model: Any, members: dict[str, Any]) -> bool:
            nonlocal nodes
            check_time()
            nodes += sum(each.tree_.node_count for each in model.estimators_[step])
            if nodes * _NODE_BYTES > _MAX_BYTES:
                raise out_of_memory()
            return False

        return look

    def probabilities(self, rows: Matrix) -> Matrix:
        """Return the probability of each class."""
        if self._model is None:
            return np.ones((len(rows), 1))
        found: Matrix = self._model.predict_proba(rows)
        return found

    def predictions(self, mode: str) -> Predict | None:
        """Return numbers for regression, else classes and probabilities."""
        if self.is_regression:
            return self._model.predict if mode == "REGRESSION" else None
        return super().predictions(mode)

    def explained(self) -> dict[str, Any]:
        """Return classes, importance of inputs and the number of trees."""
        trees = [] if self._model is None else self._model.estimators_.ravel()
        parts = [each.tree_.compute_feature_importances(normalize=False) for each in trees]
        total = np.sum(parts, axis=0).tolist() if parts else [0.0] * len(self.training.names)
        found: dict[str, Any] = {} if self.is_regression else {"classes": self.classes.tolist()}
        return found | {
            "importance": dict(zip(self.training.names, total, strict=True)),
            "numberOfTrees": len(trees),
        }
