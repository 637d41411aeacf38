"""Kernels: weights of the pixels around a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.text.numbers import double_text
from tileserver.compute.values.made import Made
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import nominal_scale_m

MAX_RADIUS_PX = 512
"""Radius of the largest kernel, in pixels."""
MAX_PARTS = 64
"""Kernels that one kernel is put together from."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Weights:
    """A kernel in pixels."""

    values: Numbers
    """Shape (rows, columns), the northern row first."""
    x: int
    """Column of the pixel that the kernel lies around."""
    y: int
    """Row of that pixel."""

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """Pixels that it needs on the left, above, on the right and below; none is negative."""
        height, width = self.values.shape
        sides = (self.x, self.y, width - 1 - self.x, height - 1 - self.y)
        left, top, right, bottom = (max(0, side) for side in sides)
        return left, top, right, bottom

    def presence(self) -> Weights:
        """Return 1 for each weight that is not zero."""
        return Weights((self.values != 0) * 1.0, self.x, self.y)

    def offsets(self) -> list[tuple[int, int, float]]:
        """Return column, row and weight of each pixel whose weight is not zero, from its pixel."""
        rows, columns = np.nonzero(self.values)
        found = self.values[rows, columns].tolist()
        pairs = zip(columns.tolist(), rows.tolist(), found, strict=True)
        return [(column - self.x, row - self.y, weight) for column, row, weight in pairs]


@dataclass(frozen=True, eq=False, slots=True)
class Kernel:
    """Weights that may depend on the size of a pixel."""

    name: str
    """As in `ee.Kernel.circle`."""
    make: Callable[[float], Weights]
    """Returns the weights for pixels of so many metres a side."""
    in_metres: bool = False
    parts: int = 1
    """Kernels that it is put together from."""
    made: Made | None = None

    def at(self, pixel_m: float) -> Weights:
        """Return its weights for pixels of a size in metres.

        Raises:
            InvalidRequest: they are too many.
        """
        return _made(self, pixel_m if self.in_metres else 1.0)

    def on(self, grid: PixelGrid) -> Weights:
        """Return its weights on a grid; degrees count as along the equator.

        Raises:
            InvalidRequest: they are too many.
        """
        return self.at(nominal_scale_m(grid.crs_code, grid.transform.pixel_side))

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON; in metres the weights depend on the scale and are left out."""
        found = self.made.to_json() if self.made else {"type": f"Kernel.{self.name}"}
        if self.in_metres:
            return found
        weights = self.at(1.0)
        rows = [f"[{', '.join(map(double_text, row))}]" for row in weights.values.tolist()]
        center = [weights.x, weights.y]
        return found | {"center": center, "weights": "\n  " + "\n  ".join(rows)}


# Few, as a kernel of the greatest radius takes 8 MB.
@lru_cache(maxsize=8)
def _made(kernel: Kernel, pixel_m: float) -> Weights:
    return kernel.make(pixel_m)


def check_radius(radius: float, unit: str = "pixels") -> float:
    """Return a radius; raise InvalidRequest if it is negative, not a number or too large."""
    if not 0 <= radius < math.inf:
        raise InvalidRequest(f"The radius of a kernel must be 0 or more, got {radius:g}.")
    if unit == "pixels" and radius >= MAX_RADIUS_PX + 1:
        side = 2 * min(int(radius), 10**9) + 1
        raise InvalidRequest(
            f"Kernel is too large ({side}x{side}); "
            f"expected a radius of {MAX_RADIUS_PX} pixels at most."
        )
    return radius


def normalized(values: Numbers, magnitude: float = 1.0, is_normalized: bool = True) -> Numbers:
    """Return weights scaled to a sum of 1, then by a magnitude.

    Weights of which some are negative get a sum of zero: the positive ones are scaled to 1, the
    negative ones to -1. Weights that are all zero stay so.
    """
    if not is_normalized:
        return values * magnitude
    found = values.copy()
    for part in (values > 0, values < 0):
        total = abs(values[part].sum())
        if 0 < total < math.inf:
            found[part] /= total
    return found * magnitude
