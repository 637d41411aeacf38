"""Reducers that fit lines by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tileserver.compute.reductions.comoments import Comoments
from tileserver.compute.registry import algorithm
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.compute.values.reducer import (
    Named,
    Output,
    Reduced,
    Reducer,
    Stack,
    Valid,
    Weights,
    accumulated,
)


@algorithm("Reducer.linearFit() -> Reducer")
def linear_fit() -> Reducer:
    """Return the reducer of x and y that gives the slope and offset of their weighted line."""
    return Reducer("linearFit", (_line("scale", 0), _line("offset", 1)), 2)


def _line(name: str, place: int) -> Output:
    def reduce_stacks(stacks: Sequence[Stack], weights: Valid | Weights) -> Reduced:
        found = _fit(stacks, weights)
        return found[place], found[2]

    def finish(state: Comoments) -> float | None:
        if not state.weight or not state.products[0, 0] > 0:
            return None
        slope = float(state.products[0, 1] / state.products[0, 0])
        return slope if name == "scale" else float(state.means[1] - slope * state.means[0])

    return accumulated(
        name,
        Named(Comoments, "linearFit"),
        finish,
        (0, 1),
        reduce_stacks=reduce_stacks,
        reduce_weighted=reduce_stacks,
        type_of=lambda t: DOUBLE,
        weighting="weighted",
    )


def _fit(stacks: Sequence[Stack], weights: Valid | Weights) -> tuple[Any, Any, Any]:
    """Return the slope, the offset and where there are any."""
    count = weights.sum(axis=0)
    x, y = (np.where(weights > 0, s, 0).astype(np.float64) for s in stacks)
    mean_x, mean_y = ((v * weights).sum(axis=0) / np.where(count > 0, count, 1) for v in (x, y))
    off_x, off_y = x - mean_x, y - mean_y
    across = (off_x**2 * weights).sum(axis=0)
    slope = (off_x * off_y * weights).sum(axis=0) / np.where(across == 0, 1, across)
    return slope, mean_y - slope * mean_x, across > 0
