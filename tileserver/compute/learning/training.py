"""Training data: numbers of features as a matrix, within bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.context import Context
from tileserver.compute.values.feature import Collection
from tileserver.errors import InvalidRequest, shown

MAX_NUMBERS = 2_000_000
"""Rows times columns of a training."""
_LOOK_EVERY = 1000

Matrix = NDArray[np.float64]
"""Rows of inputs, shape (rows, columns); or predictions, shape (rows,) or (rows, outputs)."""


@dataclass(frozen=True, eq=False)
class Training:
    """Inputs and targets, and the models made of them."""

    inputs: Matrix
    """Shape (rows, columns)."""
    targets: NDArray[np.float64]
    """Shape (rows,); empty for clusterers."""
    names: tuple[str, ...]
    """Of the columns."""
    models: dict[str, Any] = field(default_factory=dict)
    """Each model that was made of it, by a name."""
    lock: Any = field(default_factory=Lock)

    @property
    def classes(self) -> NDArray[np.int64]:
        """The classes among the targets, ascending."""
        return np.unique(self.labels)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The targets as whole numbers."""
        return self.targets.astype(np.int64)


def read_training(
    context: Context,
    features: Collection,
    target: str | None,
    names: Sequence[Any] | None,
    share: float,
    seed: int,
) -> Training:
    """Return the training data of features.

    Args:
        context: of the evaluation.
        features: each has all properties, as numbers.
        target: property of the class; None for clusterers.
        names: properties of the inputs. None takes those that the collection names as
            `band_order`, else all numbers of the first feature but the target.
        share: of the features, drawn by chance.
        seed: of that.

    Raises:
        InvalidRequest: a property is missing or no number, or there is too much.
    """
    if not 0 < share <= 1:
        raise InvalidRequest(f"subsampling must be above 0 and at most 1, got {share:g}.")
    elements = features.elements
    columns = _names(features, target) if names is None else _checked(names)
    wanted = columns if target is None else [*columns, target]
    if len(elements) * max(1, len(wanted)) > MAX_NUMBERS:
        raise out_of_memory()
    context.count_bytes(8 * len(elements) * len(wanted))
    rows = np.empty((len(elements), len(wanted)))
    for place, element in enumerate(elements):
        if place % _LOOK_EVERY == 0:
            context.budget.check_time()
        rows[place] = _row(element.properties, wanted, element, place)
    if share < 1:
        rows = rows[np.random.default_rng(abs(seed)).random(len(rows)) < share]
    if not len(rows) or not columns:
        raise InvalidRequest("No valid training data were found.")
    targets = rows[:, -1] if target is not None else np.zeros(0)
    return Training(np.ascontiguousarray(rows[:, : len(columns)]), targets, tuple(columns))


def _names(features: Collection, target: str | None) -> list[str]:
    order = features.properties.get("band_order")
    if isinstance(order, list | tuple):
        return [str(each) for each in order if each != target]
    if not features.elements:
        return []
    first = features.elements[0].properties
    found = [
        name
        for name, value in first.items()
        if isinstance(value, int | float) and not name.startswith("system:") and name != target
    ]
    if not found:
        raise InvalidRequest("inputProperties is required, as the features name none.")
    return found


def _checked(names: Sequence[Any]) -> list[str]:
    if wrong := [each for each in names if not isinstance(each, str)]:
        raise InvalidRequest(f"inputProperties must be names, got {shown(wrong[0])}.")
    if len(set(names)) < len(names):
        raise InvalidRequest("inputProperties must not repeat.")
    return list(names)


def _row(
    properties: Mapping[str, Any], names: Sequence[str], element: Any, place: int
) -> list[float]:
    """Return the numbers of a feature by name."""
    try:
        row = [float(properties[name]) for name in names]
    except (KeyError, TypeError, ValueError, OverflowError):
        row = []
    if len(row) < len(names) or not all(map(math.isfinite, row)):
        index = properties.get("system:index", element.id or place)
        for name in names:
            value = properties.get(name)
            if value is None:
                raise InvalidRequest(f"Property '{name[:80]}' of feature '{index}' is missing.")
            if isinstance(value, str) or not _is_finite(value):
                raise InvalidRequest(
                    f"Property '{name[:80]}' of feature '{index}' is no finite number but "
                    f"{shown(value)}."
                )
    return row


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False
