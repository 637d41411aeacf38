"""Kernels with a radius: shapes, distances and the Gaussian.

Google states the weights for a radius of 3 (apidocs/ee-kernel-circle and its like). Decided where
it is silent: of a radius with a fraction the whole pixels within it count; an octagon holds the
pixels that are no more than one and a half radii away in columns and rows together; a kernel in
metres that is smaller than a pixel is that pixel. The weights of distances in metres are metres.

Of a Gaussian of radius 3 the reference page shows 5 x 5 weights; the service's own answers, which
eerepr's tests have recorded (`tests/data/test_full_repr.yml`), are 7 x 7, as of all other shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.registry import algorithm
from tileserver.compute.values.kernel import Kernel, Weights, check_radius, normalized
from tileserver.errors import InvalidRequest, shown

Offsets = NDArray[np.float64]
Shape = Callable[[Offsets, Offsets, float], Any]
"""Weights for absolute offsets in columns and rows, and a radius, all in pixels."""

_TINY = 1e-9
"""A radius in metres is seldom an exact number of pixels."""


def _diamond(x: Offsets, y: Offsets, radius: float) -> Any:
    return x + y <= radius


def _square(x: Offsets, y: Offsets, radius: float) -> Any:
    return np.ones(np.broadcast(x, y).shape)


def _octagon(x: Offsets, y: Offsets, radius: float) -> Any:
    return x + y <= 1.5 * radius


def _plus(x: Offsets, y: Offsets, radius: float) -> Any:
    return (x == 0) | (y == 0)


def _cross(x: Offsets, y: Offsets, radius: float) -> Any:
    return x == y


def _circle(x: Offsets, y: Offsets, radius: float) -> Any:
    return x**2 + y**2 <= radius**2


def _chebyshev(x: Offsets, y: Offsets, radius: float) -> Any:
    found: Offsets = np.maximum(x, y)
    return found


def _manhattan(x: Offsets, y: Offsets, radius: float) -> Any:
    return x + y


def _euclidean(x: Offsets, y: Offsets, radius: float) -> Any:
    found: Offsets = np.hypot(x, y)
    return found


SHAPES: dict[str, tuple[Shape, str]] = {
    "circle": (_circle, "circle"),
    "cross": (_cross, "cross of two diagonals"),
    "diamond": (_diamond, "diamond"),
    "octagon": (_octagon, "octagon"),
    "plus": (_plus, "plus: a row and a column"),
    "square": (_square, "square"),
}
"""Shapes whose weights are all the same, by the name that `kernelType` has for them too."""
_DISTANCES: dict[str, tuple[Shape, str]] = {
    "chebyshev": (_chebyshev, "the greater of the columns and rows to each pixel"),
    "euclidean": (_euclidean, "the straight distance to each pixel"),
    "manhattan": (_manhattan, "the columns and rows to each pixel together"),
}


def is_in_metres(units: str) -> bool:
    """Tell whether a text names metres rather than pixels.

    Raises:
        InvalidRequest: it names neither.
    """
    if units not in ("pixels", "meters"):
        raise InvalidRequest(f"units must be 'pixels' or 'meters', got {shown(units)}.")
    return units == "meters"


def _weights(shape: Shape, x_radius: float, y_radius: float) -> Weights:
    """Return the weights of a shape, as far as its radii in pixels reach."""
    width, height = (int(check_radius(radius) + _TINY) for radius in (x_radius, y_radius))
    x = np.abs(np.arange(-width, width + 1.0))[np.newaxis, :]
    y = np.abs(np.arange(-height, height + 1.0))[:, np.newaxis]
    found = np.asarray(shape(x, y, max(x_radius, y_radius) + _TINY), np.float64)
    return Weights(found, width, height)


def shaped(name: str, radius: float, units: str, is_normalized: bool, magnitude: float) -> Kernel:
    """Return the kernel of a shape or distance, by Earth Engine's name.

    Raises:
        InvalidRequest: the radius or the units are not right.
    """
    shape, _ = (SHAPES | _DISTANCES)[name]
    in_metres = is_in_metres(units)
    check_radius(radius, units)

    def make(pixel_m: float) -> Weights:
        found = _weights(shape, radius / pixel_m, radius / pixel_m)
        values = found.values * (pixel_m if name in _DISTANCES else 1)
        return Weights(normalized(values, magnitude, is_normalized), found.x, found.y)

    return Kernel(name, make, in_metres)


def _register(name: str, meaning: str, normalize: str) -> None:
    algorithm(
        f'Kernel.{name}(radius: Float, units: String = "pixels", normalize: Boolean = {normalize},'
        " magnitude: Float = 1.0) -> Kernel",
        meaning,
    )(lambda *arguments: shaped(name, *arguments))


for _name, (_, _meaning) in SHAPES.items():
    _register(_name, f"Return a kernel of equal weights in a {_meaning}.", "true")
for _name, (_, _meaning) in _DISTANCES.items():
    _register(_name, f"Return a kernel whose weights are {_meaning}.", "false")


@algorithm(
    'Kernel.rectangle(xRadius: Float, yRadius: Float, units: String = "pixels",'
    " normalize: Boolean = true, magnitude: Float = 1.0) -> Kernel"
)
def rectangle(
    x_radius: float, y_radius: float, units: str, is_normalized: bool, magnitude: float
) -> Kernel:
    """Return a kernel of equal weights in a rectangle."""
    in_metres = is_in_metres(units)
    check_radius(x_radius, units)
    check_radius(y_radius, units)

    def make(pixel_m: float) -> Weights:
        found = _weights(_square, x_radius / pixel_m, y_radius / pixel_m)
        return Weights(normalized(found.values, magnitude, is_normalized), found.x, found.y)

    return Kernel("rectangle", make, in_metres)


@algorithm(
    'Kernel.gaussian(radius: Float, sigma: Float = 1.0, units: String = "pixels",'
    " normalize: Boolean = true, magnitude: Float = 1.0) -> Kernel"
)
def gaussian(
    radius: float, sigma: float, units: str, is_normalized: bool, magnitude: float
) -> Kernel:
    """Return a kernel of samples of a Gaussian, in a square."""
    in_metres = is_in_metres(units)
    check_radius(radius, units)
    if not 0 < sigma < math.inf:
        raise InvalidRequest(f"sigma must be above zero, got {sigma:g}.")

    def make(pixel_m: float) -> Weights:
        reach = radius / pixel_m
        two_variances = 2 * (sigma / pixel_m) ** 2
        found = _weights(lambda x, y, r: np.exp(-(x**2 + y**2) / two_variances), reach, reach)
        return Weights(normalized(found.values, magnitude, is_normalized), found.x, found.y)

    return Kernel("gaussian", make, in_metres)
