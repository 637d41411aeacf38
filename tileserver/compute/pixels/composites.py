"""Nodes of many images made one: those that meet the grid, one after the other or all at once.

A fold takes one image at a time, so that its memory does not grow with their number; a pile
takes all of them, and the plan cuts the grid until they fit. Either looks first which images
lie on the grid at all: the others cost a comparison of boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.compute.nodes import Apply, Node, Pixels, Step, hidden
from tileserver.compute.values.image import Band, band_grid
from tileserver.contract.pixels import PixelGrid
from tileserver.geo.crs import period
from tileserver.geo.extents import grid_boxes

_MARGIN_PX = 2
"""An interpolated pixel may lie a little outside."""


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """One image's band in a composite, and where it ends."""

    node: Node
    grid: PixelGrid | None
    """Holds all its pixels; None goes on without end."""

    def meets(self, grid: PixelGrid) -> bool:
        """Tell whether it may have pixels on a grid."""
        if self.grid is None:
            return True
        wanted, turn = grid.box, period(grid.crs_code)
        if turn is not None and max(-wanted.west, wanted.east) > turn / 2:
            return True
        return any(box.meets(wanted) for box in grid_boxes(self.grid, grid.crs_code))


def member_of(band: Band) -> Member:
    """Return a band as a member."""
    return Member(band.node, band_grid(band, _MARGIN_PX))


@dataclass(frozen=True, eq=False, slots=True)
class Fold:
    """Images taken in one after the other."""

    members: tuple[Member, ...]
    begin: Callable[[Pixels], Pixels]
    """What the first one is made into."""
    take: Callable[[Pixels, Pixels], Pixels]
    """What is so far, and one more image, made into what is then."""
    end: Callable[[Pixels], Pixels]
    """The result, of what is in the end."""
    dtype: np.dtype[Any]
    """Of the result."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the last link of a chain over the images that meet the grid."""
        near = [part.node for part in self.members if part.meets(grid)]
        if not near:
            return Step((), lambda inputs: hidden(grid, self.dtype))
        chain: Node = Apply(self.begin, (near[0],))
        for node in near[1:]:
            chain = Apply(self.take, (chain, node))
        return Step(((chain, grid),), lambda inputs: self.end(inputs[0]))


@dataclass(frozen=True, eq=False, slots=True)
class Pile:
    """Images taken all at once."""

    members: tuple[Member, ...]
    reduce: Callable[[Sequence[Pixels]], Pixels]
    dtype: np.dtype[Any]
    """Of the result."""
    takes: int = 1
    """How many parts belong to an image; they are kept or left out together."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the images that meet the grid."""
        count = self.takes
        groups = [self.members[i : i + count] for i in range(0, len(self.members), count)]
        near = [part for group in groups if all(p.meets(grid) for p in group) for part in group]
        if not near:
            return Step((), lambda inputs: hidden(grid, self.dtype))
        return Step(tuple((part.node, grid) for part in near), self.reduce)
