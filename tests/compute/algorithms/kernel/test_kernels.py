"""Kernels: the weights that Google's reference states for each (apidocs/ee-kernel-*)."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import Evaluator
from tileserver.errors import InvalidRequest

Make = Callable[[ModuleType], Any]


def weights_of(value: dict[str, Any]) -> list[list[float]]:
    """Return the weights in a kernel's `getInfo`: a text with a line for each row."""
    rows: list[list[float]] = [json.loads(row) for row in value["weights"].strip().split("\n")]
    return rows


def symmetric(*rows: list[float]) -> list[list[float]]:
    """Return the rows with the upper ones below once more, and the columns alike."""
    whole = [[*row, *row[-2::-1]] for row in rows]
    return [*whole, *whole[-2::-1]]


SHAPES: dict[str, tuple[list[list[float]], float]] = {
    "circle": (symmetric([0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]), 0.034),
    "cross": (symmetric([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]), 0.076),
    "diamond": (symmetric([0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]), 0.04),
    "octagon": (symmetric([0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]), 0.027),
    "plus": (symmetric([0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1]), 0.076),
    "square": (symmetric(*[[1.0, 1, 1, 1]] * 4), 0.02),
}
"""Of radius 3: where the weights are not zero, and what they are, cut off after some digits."""


@pytest.mark.parametrize("name", SHAPES)
def test_the_weights_of_a_shape_are_those_stated(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    found = evaluator.value(getattr(ee.Kernel, name)(3))
    shape, stated = SHAPES[name]
    weights = np.array(weights_of(found))
    assert found["type"] == f"Kernel.{name}"
    assert ((weights > 0) == np.array(shape)).all()
    assert stated <= weights.max() < stated + 0.01
    assert weights.max() == weights[weights > 0].min()
    assert weights.sum() == pytest.approx(1)


STATED: dict[str, tuple[Make, list[list[float]]]] = {
    "rectangle": (lambda ee: ee.Kernel.rectangle(2, 1), [[0.066] * 5] * 3),
    "gaussian": (
        lambda ee: ee.Kernel.gaussian(3),
        # Not the 5 x 5 of the reference page: test_encodings.py has what the service answered.
        symmetric(
            [0, 0, 0.001, 0.001], [0, 0.002, 0.013, 0.021], [0.001, 0.013, 0.058, 0.096],
            [0.001, 0.021, 0.096, 0.159],
        ),
    ),
    "euclidean": (
        lambda ee: ee.Kernel.euclidean(3),
        symmetric(
            [4.242, 3.605, 3.162, 3], [3.605, 2.828, 2.236, 2], [3.162, 2.236, 1.414, 1],
            [3, 2, 1, 0],
        ),
    ),
    "chebyshev": (
        lambda ee: ee.Kernel.chebyshev(3),
        symmetric([3, 3, 3, 3], [3, 2, 2, 2], [3, 2, 1, 1], [3, 2, 1, 0]),
    ),
    "manhattan": (
        lambda ee: ee.Kernel.manhattan(3),
        symmetric([6, 5, 4, 3], [5, 4, 3, 2], [4, 3, 2, 1], [3, 2, 1, 0]),
    ),
    "compass": (lambda ee: ee.Kernel.compass(), [[1, 1, -1], [1, -2, -1], [1, 1, -1]]),
    "kirsch": (lambda ee: ee.Kernel.kirsch(), [[5, -3, -3], [5, 0, -3], [5, -3, -3]]),
    "laplacian4": (lambda ee: ee.Kernel.laplacian4(), [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "laplacian8": (lambda ee: ee.Kernel.laplacian8(), [[1, 1, 1], [1, -8, 1], [1, 1, 1]]),
    "prewitt": (lambda ee: ee.Kernel.prewitt(), [[1, 0, -1]] * 3),
    "roberts": (lambda ee: ee.Kernel.roberts(), [[1, 0], [0, -1]]),
    "sobel": (lambda ee: ee.Kernel.sobel(), [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "fixed": (
        lambda ee: ee.Kernel.fixed(weights=[[4, 3, 2, 1, 2, 3, 4]] * 3),
        [[4, 3, 2, 1, 2, 3, 4]] * 3,
    ),
    "inverse": (
        lambda ee: ee.Kernel.sobel().inverse(),
        [[-1, 0, 1], [-0.5, 0, 0.5], [-1, 0, 1]],
    ),
    "rotated": (lambda ee: ee.Kernel.sobel().rotate(1), [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "turned back": (lambda ee: ee.Kernel.sobel().rotate(-2), [[1, 0, -1], [2, 0, -2], [1, 0, -1]]),
    "sum": (
        lambda ee: ee.Kernel.chebyshev(3).add(ee.Kernel.square(1, "pixels", False, 100)),
        symmetric([3, 3, 3, 3], [3, 2, 2, 2], [3, 2, 101, 101], [3, 2, 101, 100]),
    ),
    # The guide on convolutions: with negative weights the sum of all is zero.
    "to a sum of zero": (
        lambda ee: ee.Kernel.fixed(weights=[[1, 3, -2]], normalize=True),
        [[0.25, 0.75, -1]],
    ),
    "to a magnitude": (lambda ee: ee.Kernel.square(1, "pixels", True, 18), [[2] * 3] * 3),
}  # fmt: skip
"""Stated weights, cut off after three digits."""


@pytest.mark.parametrize("name", STATED)
def test_weights_are_those_stated(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    make, stated = STATED[name]
    found = np.array(weights_of(evaluator.value(make(ee))))
    assert np.abs(np.trunc(found * 1000) / 1000 - np.array(stated)).max() < 1e-9


def test_the_focus_turns_with_the_kernel(ee: ModuleType, evaluator: Evaluator) -> None:
    kernel = ee.Kernel.fixed(weights=[[1, 2, 3], [4, 5, 6]], x=0, y=1)
    assert evaluator.value(kernel)["center"] == [0, 1]
    assert evaluator.value(ee.Kernel.roberts())["center"] == [1, 1]
    turned = evaluator.value(kernel.rotate(1))
    assert weights_of(turned) == [[4, 1], [5, 2], [6, 3]]
    assert turned["center"] == [0, 0]
    assert evaluator.value(kernel.rotate(4))["center"] == [0, 1]
    added = evaluator.value(kernel.add(kernel.rotate(2)))
    assert weights_of(added) == [[0, 0, 1, 2, 3], [6, 5, 8, 5, 6], [3, 2, 1, 0, 0]]
    assert added["center"] == [2, 1]


def test_a_kernel_in_metres_tells_no_weights(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(ee.Kernel.circle(90, "meters"))
    assert "weights" not in found
    assert (found["type"], found["units"], found["radius"]) == ("Kernel.circle", "meters", 90)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda ee: ee.Kernel.circle(-1), "radius of a kernel must be 0 or more"),
        (lambda ee: ee.Kernel.circle(1e300), "Kernel is too large"),
        (lambda ee: ee.Kernel.square(1, "feet"), "units must be 'pixels' or 'meters'"),
        (lambda ee: ee.Kernel.gaussian(2, 0), "sigma must be above zero"),
        (lambda ee: ee.Kernel.fixed(weights=[[1], [1, 2]]), "rows of the same length"),
        (lambda ee: ee.Kernel.fixed(weights=[["a"]]), "Weights must be numbers, got 'a'"),
        (lambda ee: ee.Kernel.fixed(weights=[[1]], x=1), "x must be below 1, got 1"),
        (lambda ee: ee.Kernel.fixed(weights=[[1] * 1026]), r"Kernel is too large \(1026x1\)"),
        (lambda ee: ee.Kernel.fixed(2, 2, [[1, 2]]), "height is 2, but there are 1 weights"),
    ],
)
def test_a_kernel_that_cannot_be_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Make, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        evaluator.value(make(ee))


def test_kernels_of_kernels_have_an_end(ee: ModuleType, evaluator: Evaluator) -> None:
    kernel = ee.Kernel.square(1)
    for _ in range(20):
        kernel = kernel.add(kernel)
    with pytest.raises(InvalidRequest, match="made of more than 64 others"):
        evaluator.value(kernel)
