"""Nodes of an image's graph: each yields the pixels of one band on any grid.

A node holds no pixels. For a grid it returns a `Step`: the nodes and grids whose pixels it needs
first, and a function that computes its own pixels from theirs. `plan` runs the steps. Almost
every node needs its inputs on the same grid: as in Earth Engine, an expression is computed in the
projection of the output, where stored images are read by nearest neighbour from the pyramid level
that fits. A node that needs a pixel's neighbours needs its inputs on a larger grid instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid

Mask = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pixels:
    """One band on a grid. Arrays may be broadcast views: never written to."""

    values: NDArray[Any]
    """Shape (height, width)."""
    mask: Mask
    """Shape (height, width): 0 masked, 1 opaque, in between translucent, as in Earth Engine."""


@dataclass(frozen=True, slots=True)
class Step:
    """How to compute a node's pixels on a grid."""

    needs: tuple[tuple[Node, PixelGrid], ...]
    compute: Callable[[Sequence[Pixels]], Pixels]
    """Returns the pixels, from those of `needs` in that order."""
    work_px: int = 0
    """Work besides one step a pixel, in steps times pixels."""


class Node(Protocol):
    """One band that is not computed yet."""

    def step(self, grid: PixelGrid) -> Step:
        """Return how to compute its pixels on a grid; reads and computes nothing."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Read:
    """A band of a stored image; the plan reads it, with the others of that image at once."""

    asset: ImageAsset
    band_id: str

    def step(self, grid: PixelGrid) -> Step:
        """Need nothing: the plan reads the pixels."""
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
        return Pixels(values, full_mask(grid))


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


def full_mask(grid: PixelGrid) -> Mask:
    """Return a mask of ones, a broadcast view of shape (height, width)."""
    return np.broadcast_to(np.float32(1), (grid.height, grid.width))


def masked_pixels(grid: PixelGrid, dtype: np.dtype[Any]) -> Pixels:
    """Return pixels that are all zero and masked, as broadcast views of shape (height, width)."""
    shape = (grid.height, grid.width)
    return Pixels(np.broadcast_to(dtype.type(0), shape), np.broadcast_to(np.float32(0), shape))
