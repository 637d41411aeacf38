"""Kernels of given weights: those that find edges, fixed ones, and kernels made of others.

Google states the weights of each (apidocs/ee-kernel-sobel and its like). Decided where it is
silent: a focus that is not given, or is negative, is the middle of the kernel, of an even number
of columns the one right of it; a kernel's rows and columns begin in the north-west.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tileserver.compute.context import Context
from tileserver.compute.registry import algorithm
from tileserver.compute.values.kernel import (
    MAX_PARTS,
    MAX_RADIUS_PX,
    Kernel,
    Numbers,
    Weights,
    normalized,
)
from tileserver.errors import InvalidRequest, shown

_MOST_SIDE = 2 * MAX_RADIUS_PX + 1

EDGES: dict[str, tuple[list[list[float]], str]] = {
    "laplacian4": ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], "Laplacian of 4 neighbours"),
    "laplacian8": ([[1, 1, 1], [1, -8, 1], [1, 1, 1]], "Laplacian of 8 neighbours"),
    "sobel": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "kernel of Sobel"),
    "roberts": ([[1, 0], [0, -1]], "kernel of Roberts, whose focus is its last pixel"),
    "prewitt": ([[1, 0, -1], [1, 0, -1], [1, 0, -1]], "kernel of Prewitt"),
    "compass": ([[1, 1, -1], [1, -2, -1], [1, 1, -1]], "compass kernel of Prewitt"),
    "kirsch": ([[5, -3, -3], [5, 0, -3], [5, -3, -3]], "compass kernel of Kirsch"),
}
"""Kernels that find edges: weights, the northern row first, and meaning."""


def _constant(name: str, weights: Weights) -> Kernel:
    return Kernel(name, lambda pixel_m: weights, False)


def _centered(values: Numbers, x: int = -1, y: int = -1) -> Weights:
    height, width = values.shape
    return Weights(values, width // 2 if x < 0 else x, height // 2 if y < 0 else y)


def _edges(name: str, magnitude: float, is_normalized: bool) -> Kernel:
    values = normalized(np.array(EDGES[name][0], np.float64), magnitude, is_normalized)
    return _constant(name, _centered(values))


def _register(name: str, meaning: str) -> None:
    algorithm(
        f"Kernel.{name}(magnitude: Float = 1.0, normalize: Boolean = false) -> Kernel",
        f"Return the {meaning}, which finds edges.",
    )(lambda magnitude, is_normalized: _edges(name, magnitude, is_normalized))


for _name, (_, _meaning) in EDGES.items():
    _register(_name, _meaning)


@algorithm(
    "Kernel.fixed(width: Integer = -1.0, height: Integer = -1.0, weights: List,"
    " x: Integer = -1.0, y: Integer = -1.0, normalize: Boolean = false) -> Kernel"
)
def fixed(
    context: Context,
    width: int,
    height: int,
    weights: list[Any],
    x: int,
    y: int,
    is_normalized: bool,
) -> Kernel:
    """Return a kernel of rows of weights, around a focus."""
    values = _read(weights, width, height)
    context.count_bytes(values.nbytes)
    rows, columns = values.shape
    for given, count, name in ((x, columns, "x"), (y, rows, "y")):
        if given >= count:
            raise InvalidRequest(f"{name} must be below {count}, got {given}.")
    return _constant("fixed", _centered(normalized(values, 1.0, is_normalized), x, y))


def _read(weights: Sequence[Any], width: int, height: int) -> Numbers:
    """Return weights as an array; a flat list is cut into rows if the width is given."""
    rows = list(weights)
    if 0 < width <= len(rows) and not any(isinstance(row, list | tuple) for row in rows):
        rows = [rows[start : start + width] for start in range(0, len(rows), width)]
    lengths = {len(row) if isinstance(row, list | tuple) else 0 for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise InvalidRequest(f"weights must be rows of the same length, got {shown(weights)}.")
    found = (len(rows), lengths.pop())
    if max(found) > _MOST_SIDE:
        raise InvalidRequest(f"Kernel is too large ({found[1]}x{found[0]}).")
    for given, count, name in ((height, found[0], "height"), (width, found[1], "width")):
        if given >= 0 and given != count:
            raise InvalidRequest(f"{name} is {given}, but there are {count} weights in it.")
    return np.array([[_number(each) for each in row] for row in rows], np.float64)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not abs(value) < 1e300:
        raise InvalidRequest(f"Weights must be numbers, got {shown(value)}.")
    return float(value)


def _made_of(name: str, make: Any, *kernels: Kernel) -> Kernel:
    """Return a kernel that is computed from the weights of others.

    Raises:
        InvalidRequest: it would be made of too many.
    """
    parts = sum(kernel.parts for kernel in kernels) + 1
    if parts > MAX_PARTS:
        raise InvalidRequest(f"The kernel is made of more than {MAX_PARTS} others.")

    def made(pixel_m: float) -> Weights:
        found: Weights = make(*(kernel.at(pixel_m) for kernel in kernels))
        if max(found.values.shape) > _MOST_SIDE:
            raise InvalidRequest("Kernel is too large ({1}x{0}).".format(*found.values.shape))
        return found

    return Kernel(name, made, any(kernel.in_metres for kernel in kernels), parts)


@algorithm("Kernel.rotate(kernel: Kernel, rotations: Integer) -> Kernel")
def rotate(kernel: Kernel, rotations: int) -> Kernel:
    """Return a kernel turned by quarters of a turn clockwise, around its focus."""

    def turned(weights: Weights) -> Weights:
        values, x, y = weights.values, weights.x, weights.y
        for _ in range(rotations % 4):
            x, y = values.shape[0] - 1 - y, x
            values = np.rot90(values, -1)
        return Weights(values, x, y)

    return _made_of("rotate", turned, kernel)


@algorithm("Kernel.inverse(kernel: Kernel) -> Kernel")
def inverse(kernel: Kernel) -> Kernel:
    """Return a kernel of one over each weight; zero stays zero."""

    def inverted(weights: Weights) -> Weights:
        values = weights.values
        found = np.divide(1.0, values, out=np.zeros(values.shape), where=values != 0)
        return Weights(found, weights.x, weights.y)

    return _made_of("inverse", inverted, kernel)


@algorithm("Kernel.add(kernel1: Kernel, kernel2: Kernel, normalize: Boolean = false) -> Kernel")
def add(first: Kernel, second: Kernel, is_normalized: bool) -> Kernel:
    """Return the sum of two kernels, their focuses on each other."""

    def added(a: Weights, b: Weights) -> Weights:
        x, y = max(a.x, b.x), max(a.y, b.y)
        width = x + max(each.values.shape[1] - each.x for each in (a, b))
        height = y + max(each.values.shape[0] - each.y for each in (a, b))
        values = np.zeros((height, width))
        for each in (a, b):
            rows, columns = each.values.shape
            top, left = y - each.y, x - each.x
            values[top : top + rows, left : left + columns] += each.values
        return Weights(normalized(values, 1.0, is_normalized), x, y)

    return _made_of("add", added, first, second)
