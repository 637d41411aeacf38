"""What an image's pixels are made of: a graph whose nodes yield one band on any grid.

A node holds no pixels. Asked for a grid it answers with a `Step`: the nodes, and the grids, whose
pixels it needs first, and a plain function that makes its own of theirs. `plan` walks them.
Almost every node asks its inputs for the very grid it is asked for: as in Earth Engine, an
expression is computed in the projection of the output, and inputs are read there by nearest
neighbour from the level of the pyramid that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.pixels import PixelGrid

Mask = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pixels:
    """One band on a grid. Arrays may be broadcast views: never written to."""

    values: NDArray[Any]
    """Shape (height, width)."""
    mask: Mask
    """Shape (height, width): 0 hidden, 1 there, in between translucent, as Earth Engine has it."""


@dataclass(frozen=True, slots=True)
class Step:
    """How a node's pixels on a grid come about."""

    needs: tuple[tuple[Node, PixelGrid], ...]
    compute: Callable[[Sequence[Pixels]], Pixels]
    """Gets the pixels of `needs`, in that order."""


class Node(Protocol):
    """One band that is not computed yet."""

    def step(self, grid: PixelGrid) -> Step:
        """Return how its pixels on a grid come about; reads and computes nothing."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Read:
    """A band of a stored image; the plan reads it, with the others of that image at once."""

    asset: ImageAsset
    band_id: str

    def step(self, grid: PixelGrid) -> Step:
        """Need nothing: what is stored comes from the reader."""
        return Step((), lambda inputs: inputs[0])


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """The same value everywhere."""

    value: float
    dtype: np.dtype[Any]

    def step(self, grid: PixelGrid) -> Step:
        """Need nothing."""
        return Step((), lambda inputs: self._pixels(grid))

    def _pixels(self, grid: PixelGrid) -> Pixels:
        shape = (grid.height, grid.width)
        values = np.broadcast_to(np.asarray(self.value).astype(self.dtype), shape)
        return Pixels(values, opaque(grid))


@dataclass(frozen=True, eq=False, slots=True)
class Apply:
    """A function of the pixels of other nodes on the same grid, pixel by pixel."""

    function: Callable[..., Pixels]
    """Called with the pixels of each input."""
    inputs: tuple[Node, ...]

    def step(self, grid: PixelGrid) -> Step:
        """Need the inputs on the same grid."""
        return Step(
            tuple((node, grid) for node in self.inputs), lambda found: self.function(*found)
        )


@dataclass(frozen=True, eq=False, slots=True)
class ApplyOnGrid:
    """A function of the grid, and of other nodes' pixels on it."""

    function: Callable[..., Pixels]
    """Called with the grid and the pixels of each input."""
    inputs: tuple[Node, ...] = field(default=())

    def step(self, grid: PixelGrid) -> Step:
        """Need the inputs on the same grid."""
        return Step(
            tuple((node, grid) for node in self.inputs),
            lambda found: self.function(grid, *found),
        )


def opaque(grid: PixelGrid) -> Mask:
    """Return the mask of a grid that hides nothing."""
    return np.broadcast_to(np.float32(1), (grid.height, grid.width))


def hidden(grid: PixelGrid, dtype: np.dtype[Any]) -> Pixels:
    """Return a grid of nothing."""
    shape = (grid.height, grid.width)
    return Pixels(np.broadcast_to(dtype.type(0), shape), np.broadcast_to(np.float32(0), shape))
