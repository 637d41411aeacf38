"""Nodes that combine many images into one band.

`Fold` takes one image at a time, so its memory does not grow with their number. `StackReduction`
takes all of them at once, and the plan cuts the grid into pieces until they fit. Both skip images
whose box does not meet the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.compute.nodes import Apply, Node, Pixels, Step, masked_pixels
from tileserver.compute.values.image import Band, band_grid
from tileserver.contract.grids import PixelGrid
from tileserver.geo.extents import grid_boxes
from tileserver.geo.turns import period

_MARGIN_PX = 2
"""Interpolation reads a little beyond an image's edge."""


@dataclass(frozen=True, eq=False, slots=True)
class CompositeInput:
    """A band of one image in a composite, and its bounds."""

    node: Node
    grid: PixelGrid | None
    """Holds all its pixels; None is unbounded."""

    def meets(self, grid: PixelGrid) -> bool:
        """Tell whether it may have pixels on a grid."""
        if self.grid is None:
            return True
        wanted, turn = grid.box, period(grid.crs_code)
        if turn is not None and max(-wanted.west, wanted.east) > turn / 2:
            return True
        return any(box.meets(wanted) for box in grid_boxes(self.grid, grid.crs_code))


def composite_input(band: Band) -> CompositeInput:
    """Return a band as an input of a composite."""
    return CompositeInput(band.node, band_grid(band, _MARGIN_PX))


@dataclass(frozen=True, eq=False, slots=True)
class Fold:
    """A running result over images, from the first to the last."""

    inputs: tuple[CompositeInput, ...]
    begin: Callable[[Pixels], Pixels]
    """Returns the initial state for the first image."""
    take: Callable[[Pixels, Pixels], Pixels]
    """Returns the next state, from the state so far and one more image."""
    end: Callable[[Pixels], Pixels]
    """Returns the result for the last state."""
    dtype: np.dtype[Any]
    """Of the result."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the last link of a chain over the images that meet the grid."""
        near = [each.node for each in self.inputs if each.meets(grid)]
        if not near:
            return Step((), lambda inputs: masked_pixels(grid, self.dtype))
        chain: Node = Apply(self.begin, (near[0],))
        for node in near[1:]:
            chain = Apply(self.take, (chain, node))
        return Step(((chain, grid),), lambda inputs: self.end(inputs[0]))


@dataclass(frozen=True, eq=False, slots=True)
class StackReduction:
    """A reduction of all images at once."""

    inputs: tuple[CompositeInput, ...]
    reduce: Callable[[Sequence[Pixels]], Pixels]
    """Gets the pixels of the inputs that meet the grid, in order."""
    dtype: np.dtype[Any]
    """Of the result."""
    takes: int = 1
    """Inputs that belong to one image; they are kept or left out together."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the images that meet the grid."""
        count = self.takes
        groups = [self.inputs[i : i + count] for i in range(0, len(self.inputs), count)]
        near = [each for group in groups if all(p.meets(grid) for p in group) for each in group]
        if not near:
            return Step((), lambda inputs: masked_pixels(grid, self.dtype))
        return Step(tuple((each.node, grid) for each in near), self.reduce)
