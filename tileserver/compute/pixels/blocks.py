"""Nodes computed in blocks of pixels whose places do not depend on the request.

What spreads without an end, such as water that fills a hollow, is computed within a block and a
margin around it. Blocks are counted from the origin of the CRS, so that two pieces or tiles of one
lattice have the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.compute.nodes import Node, Pixels, Step
from tileserver.compute.pixels.neighbourhoods import widened
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid

_OFF = 0.3137
"""Added before rounding down: lattices begin at whole pixels, halves and other plain fractions."""


def lattice_place(grid: PixelGrid) -> tuple[int, int]:
    """Return column and row of a grid's first pixel, counted from the origin of the CRS."""
    column, row = grid.transform.inverse().apply(0.0, 0.0)
    return math.floor(_OFF - column), math.floor(_OFF - row)


@dataclass(frozen=True, eq=False, slots=True)
class InBlocks:
    """A function of square blocks of another node's pixels, each with a margin around it."""

    node: Node
    side: int
    margin: int
    function: Callable[[Pixels], Pixels]
    """Called with the pixels of a block and its margin; returns those of the block."""
    dtype: np.dtype[Any]
    work: int
    """Steps that a pixel costs."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the blocks that a grid touches, and their margin."""
        column, row = lattice_place(grid)
        left, top = column % self.side, row % self.side
        right, bottom = -(left + grid.width) % self.side, -(top + grid.height) % self.side
        around = tuple(each + self.margin for each in (left, top, right, bottom))
        wide = widened(grid, (around[0], around[1], around[2], around[3]))

        def compute(found: Sequence[Pixels]) -> Pixels:
            whole = self._computed(found[0])
            part = (slice(top, top + grid.height), slice(left, left + grid.width))
            return Pixels(whole.values[part], whole.mask[part])

        return Step(((self.node, wide),), compute, self.work * wide.width * wide.height)

    def _computed(self, pixels: Pixels) -> Pixels:
        height, width = (each - 2 * self.margin for each in pixels.mask.shape)
        values = np.zeros((height, width), self.dtype)
        mask = np.zeros((height, width), np.float32)
        reach = self.side + 2 * self.margin
        for top in range(0, height, self.side):
            for left in range(0, width, self.side):
                check_time()
                area = (slice(top, top + reach), slice(left, left + reach))
                found = self.function(Pixels(pixels.values[area], pixels.mask[area]))
                place = (slice(top, top + self.side), slice(left, left + self.side))
                values[place], mask[place] = found.values, found.mask
        return Pixels(values, mask)
