"""Nodes of several inputs, computed in blocks whose places do not depend on the request.

As `blocks`, for functions that also need the grid of a block. The result may be a structured array
of several bands, of which `fields` makes nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.compute.nodes import Apply, Node, Pixels, Step
from tileserver.compute.pixels.blocks import lattice_place
from tileserver.compute.pixels.neighbourhoods import widened
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid, Window


@dataclass(frozen=True, eq=False, slots=True)
class InGridBlocks:
    """A function of square blocks of nodes' pixels, each with a margin around it."""

    inputs: tuple[Node, ...]
    side: int
    margin: Callable[[PixelGrid], int]
    """Returns the margin's pixels for a grid, of which only the size of pixels may matter."""
    function: Callable[..., Pixels]
    """Called with the grid of a block and its margin, and the pixels there; returns as many."""
    dtype: np.dtype[Any]
    work: int
    """Steps that a pixel costs."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the blocks that a grid touches, and their margin."""
        margin = self.margin(grid)
        column, row = lattice_place(grid)
        left, top = column % self.side, row % self.side
        right, bottom = -(left + grid.width) % self.side, -(top + grid.height) % self.side
        wide = widened(grid, (left + margin, top + margin, right + margin, bottom + margin))

        def compute(found: Sequence[Pixels]) -> Pixels:
            whole = self._computed(wide, margin, found)
            part = (slice(top, top + grid.height), slice(left, left + grid.width))
            return Pixels(whole.values[part], whole.mask[part])

        work = self.work * wide.width * wide.height
        return Step(tuple((node, wide) for node in self.inputs), compute, work)

    def _computed(self, wide: PixelGrid, margin: int, pixels: Sequence[Pixels]) -> Pixels:
        height, width = wide.height - 2 * margin, wide.width - 2 * margin
        values = np.zeros((height, width), self.dtype)
        mask = np.zeros((height, width), np.float32)
        reach = self.side + 2 * margin
        for top in range(0, height, self.side):
            for left in range(0, width, self.side):
                check_time()
                window = Window(left, top, reach, reach)
                parts = [Pixels(p.values[window.slices], p.mask[window.slices]) for p in pixels]
                found = self.function(wide.window(window), *parts)
                inner = (slice(margin, margin + self.side),) * 2
                place = (slice(top, top + self.side), slice(left, left + self.side))
                values[place], mask[place] = found.values[inner], found.mask[inner]
        return Pixels(values, mask)


def field(node: Node, name: str) -> Apply:
    """Return a node of one band of a structured result."""
    return Apply(lambda p: Pixels(np.ascontiguousarray(p.values[name]), p.mask), (node,))
