"""Nodes whose pixels are computed from those around them.

They need their inputs on the grid and a margin around it, in the projection in which they are
computed: that of the output, unless `reproject` fixes another. Pixels of the margin are read, so
that the result does not depend on the piece or tile in which a pixel lies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tileserver.compute.budget import out_of_memory
from tileserver.compute.nodes import Node, Pixels, Step
from tileserver.compute.values.kernel import Kernel, Weights
from tileserver.contract.grids import PixelGrid, Window

MAX_WIDE_PX = 4_000_000
"""Pixels of a piece and its margin."""

Margins = tuple[int, int, int, int]
"""Pixels on the left, above, on the right and below."""


def widened(grid: PixelGrid, margins: Margins) -> PixelGrid:
    """Return a grid with a margin around it.

    Raises:
        InvalidRequest: it is too large, in Earth Engine's words.
    """
    left, top, right, bottom = margins
    width, height = grid.width + left + right, grid.height + top + bottom
    if width * height > MAX_WIDE_PX:
        raise out_of_memory()
    return grid.window(Window(-left, -top, width, height))


@dataclass(frozen=True, eq=False, slots=True)
class Around:
    """A function of the pixels of other nodes on a grid and a margin of fixed width."""

    inputs: tuple[Node, ...]
    margins: Margins
    function: Callable[..., Pixels]
    """Called with the grid, without its margin, and the pixels of each input, with it."""
    work: int = 1
    """Steps that a pixel costs."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the inputs on the grid and its margin."""
        wide = widened(grid, self.margins)
        return Step(
            tuple((node, wide) for node in self.inputs),
            lambda found: self.function(grid, *found),
            self.work * grid.width * grid.height,
        )


@dataclass(frozen=True, eq=False, slots=True)
class UnderKernel:
    """A function of the pixels of other nodes under a kernel, whose size may follow the scale."""

    inputs: tuple[Node, ...]
    kernel: Kernel
    function: Callable[..., Pixels]
    """Called with the weights, and the pixels of each input, with the kernel's margins."""
    work: Callable[[Weights], int]
    """Returns the steps that a pixel costs."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the inputs on the grid and the kernel's margins."""
        weights = self.kernel.on(grid)
        wide = widened(grid, weights.margins)
        work = self.work(weights) * grid.width * grid.height
        # The weights are found anew: a plan of many steps would hold all of them.
        del weights

        def compute(found: Sequence[Pixels]) -> Pixels:
            return self.function(self.kernel.on(grid), *found)

        return Step(tuple((node, wide) for node in self.inputs), compute, work)
