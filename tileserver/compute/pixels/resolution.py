"""Nodes that combine all pixels of a finer lattice under each pixel of the requested grid.

A pixel of the grid is taken as the box around its corners on the finer lattice: exact in the same
CRS, a little too large where lattices are turned against each other. Each pixel of the lattice
has the share of that box that it covers as its weight, times its mask. Where the grid is as fine
as the lattice or finer, it is the nearest pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.nodes import Node, Pixels, Step, masked_pixels
from tileserver.compute.pixels.reprojected import positions_on
from tileserver.compute.values.image import Projection
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import SNAP_PX, AffineTransform, PixelGrid, Window
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import nominal_scale_m

_MOST_WINDOW_PX = 64_000_000
_MOST_UNDER = 65_536
"""Pixels of the lattice under one pixel of the grid."""
_HELD = 4_000_000
"""Numbers of a stack at once."""
Numbers = NDArray[np.float64]
Reduction = Callable[[Sequence[NDArray[Any]], Numbers], Pixels]
"""Gets a stack of each input and one of weights, shape (count, rows, width)."""


@dataclass(frozen=True, eq=False, slots=True)
class FinerPixels:
    """A reduction of the pixels of a lattice under each pixel."""

    inputs: tuple[Node, ...]
    projection: Projection
    """The lattice that the inputs are computed on."""
    reduce: Reduction
    dtype: np.dtype[Any]
    """Of the result."""
    most_px: int
    """Pixels of the lattice under one of the grid."""
    is_best_effort: bool
    """Whether a coarser lattice is taken where there would be more."""

    def step(self, grid: PixelGrid) -> Step:
        """Need the part of the lattice that a grid shows.

        Raises:
            InvalidRequest: there are too many pixels under one.
        """
        lattice = self._lattice(grid)
        boxes = _Boxes.on(grid, lattice)
        window = boxes.window()
        if window is None:
            return Step((), lambda inputs: masked_pixels(grid, self.dtype))
        across, down = boxes.most_across, boxes.most_down
        if window.pixels > _MOST_WINDOW_PX or across * down > _MOST_UNDER:
            raise out_of_memory()
        part = lattice.transform.grid(window, lattice.crs_code)
        needs = tuple((node, part) for node in self.inputs)
        count = len(needs)

        def compute(inputs: Sequence[Pixels]) -> Pixels:
            return self._reduced(_Boxes.on(grid, lattice), window, inputs[:count])

        # Listed as often as there are pixels under one, from which the plan tells what fits.
        return Step(needs * min(across * down, 4096), compute)

    def _lattice(self, grid: PixelGrid) -> Projection:
        """Return the lattice to read, coarser by a power of two if there would be too many."""
        side_m = nominal_scale_m(grid.crs_code, grid.transform.pixel_side)
        under = (side_m / self.projection.nominal_scale_m) ** 2
        if under <= self.most_px * (1 + 1e-3):
            return self.projection
        if not self.is_best_effort:
            raise InvalidRequest(
                f"Too many input pixels per output pixel: found {under:.0f}, but maxPixels allows "
                f"only {self.most_px}."
            )
        factor = 2 ** math.ceil(math.log2(math.sqrt(under / self.most_px)))
        return self.projection.scaled(factor, factor)

    def _reduced(self, boxes: _Boxes, window: Window, inputs: Sequence[Pixels]) -> Pixels:
        height, width = boxes.left.shape
        rows = max(1, _HELD // (boxes.most_across * boxes.most_down * width * len(inputs)))
        found = []
        for top in range(0, height, rows):
            check_time()
            found.append(self._of_rows(boxes.rows(top, top + rows), window, inputs))
        return Pixels(
            np.concatenate([each.values for each in found]),
            np.concatenate([each.mask for each in found]),
        )

    def _of_rows(self, boxes: _Boxes, window: Window, inputs: Sequence[Pixels]) -> Pixels:
        mask = np.minimum.reduce([each.mask for each in inputs])
        stacks: list[list[NDArray[Any]]] = [[] for _ in inputs]
        weights = []
        for row, column, share in boxes.under():
            at = (
                np.clip(row - window.row, 0, window.height - 1),
                np.clip(column - window.column, 0, window.width - 1),
            )
            weights.append(share * mask[at])
            for stack, each in zip(stacks, inputs, strict=True):
                stack.append(each.values[at])
        return self.reduce([np.stack(each) for each in stacks], np.stack(weights))


@dataclass(frozen=True, slots=True)
class _Boxes:
    """The pixels of a grid as boxes on a lattice; NaN where they have no place there."""

    left: Numbers
    top: Numbers
    right: Numbers
    bottom: Numbers
    most_across: int
    most_down: int

    @classmethod
    def on(cls, grid: PixelGrid, lattice: Projection) -> _Boxes:
        corners = PixelGrid(
            grid.width + 1, grid.height + 1, _half_back(grid.transform), grid.crs_code
        )
        x, y = (
            np.where(np.isfinite(each), each, np.nan) for each in positions_on(corners, lattice)
        )
        middle = positions_on(grid, lattice)
        left, right = _ends(x, middle[0])
        top, bottom = _ends(y, middle[1])
        return cls(left, top, right, bottom, _most(left, right), _most(top, bottom))

    def rows(self, first: int, end: int) -> _Boxes:
        part = slice(first, end)
        return replace(
            self,
            left=self.left[part],
            top=self.top[part],
            right=self.right[part],
            bottom=self.bottom[part],
        )

    def window(self) -> Window | None:
        """Return the pixels of the lattice that they cover; None if none has a place there."""
        if np.isnan(self.left + self.top).all():
            return None
        left, top = math.floor(np.nanmin(self.left)), math.floor(np.nanmin(self.top))
        right, bottom = math.ceil(np.nanmax(self.right)), math.ceil(np.nanmax(self.bottom))
        return Window.between(left, top, max(right, left + 1), max(bottom, top + 1))

    def under(self) -> Any:
        """Yield rows, columns and shares of the first pixel under each box, then of the next."""
        is_there = ~np.isnan(self.left + self.top)
        left, top = (np.where(is_there, each, 0) for each in (self.left, self.top))
        right, bottom = (np.where(is_there, each, 1) for each in (self.right, self.bottom))
        area = (right - left) * (bottom - top)
        first_column, first_row = np.floor(left), np.floor(top)
        for down in range(self.most_down):
            check_time()
            row = first_row + down
            high = np.clip(np.minimum(row + 1, bottom) - np.maximum(row, top), 0, 1)
            for along in range(self.most_across):
                column = first_column + along
                wide = np.clip(np.minimum(column + 1, right) - np.maximum(column, left), 0, 1)
                share = np.where(is_there, wide * high / area, 0.0)
                share[share < 1e-9] = 0.0
                yield row.astype(np.int64), column.astype(np.int64), share


def _half_back(transform: AffineTransform) -> AffineTransform:
    x, y = transform.apply(-0.5, -0.5)
    t = transform
    return AffineTransform(t.scale_x, t.shear_x, x, t.shear_y, t.scale_y, y)


def _ends(corners: Numbers, middle: Numbers) -> tuple[Numbers, Numbers]:
    """Return the least and the greatest of each pixel's corners; a whole pixel if it is finer."""
    four = (corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1], corners[1:, 1:])
    low, high = np.minimum.reduce(four), np.maximum.reduce(four)
    low, high = _snapped(low), _snapped(high)
    is_fine = high - low <= 1 + SNAP_PX
    nearest = np.floor(middle + SNAP_PX)
    return np.where(is_fine, nearest, low), np.where(is_fine, nearest + 1, high)


def _snapped(places: Numbers) -> Numbers:
    whole = np.rint(places)
    return np.where(np.abs(places - whole) < SNAP_PX, whole, places)


def _most(low: Numbers, high: Numbers) -> int:
    with np.errstate(all="ignore"):
        found = np.ceil(high) - np.floor(low)
    return int(np.nanmax(found)) if np.isfinite(found).any() else 1
