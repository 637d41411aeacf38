"""Nodes that show the pixels of another place: moved to another projection, or displaced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tileserver.compute.nodes import Node, Pixels, Step, masked_pixels
from tileserver.compute.pixels.reprojected import Reprojected, blended, lattice_window
from tileserver.compute.values.image import Projection
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.geo.crs import transform_points

MODES = ("nearest_neighbor", "bilinear", "bicubic")
_MARGIN_PX = 3


@dataclass(frozen=True, eq=False, slots=True)
class Moved:
    """A node whose pixels at places of one projection are shown at the same places of another."""

    node: Node
    source: Projection
    target: Projection
    dtype: np.dtype[Any]

    def step(self, grid: PixelGrid) -> Step:
        """Need the same pixels on the grid moved back, if that is one, else on the lattice."""
        if grid.crs_code == self.target.crs_code:
            return Step(((self.node, self._back(grid)),), lambda inputs: inputs[0])
        return Reprojected(self, self.target, self.dtype).step(grid)

    def _back(self, grid: PixelGrid) -> PixelGrid:
        """Return a grid of the target's CRS moved to the source's."""
        within = joined(self.target.transform.inverse(), grid.transform)
        transform = joined(self.source.transform, within)
        return PixelGrid(grid.width, grid.height, transform, self.source.crs_code)


def joined(outer: AffineTransform, inner: AffineTransform) -> AffineTransform:
    """Return the transform that applies `inner` and then `outer`."""
    a, b, c, d, e, f = outer.members
    p, q, r, s, t, u = inner.members
    return AffineTransform(
        *(a * p + b * s, a * q + b * t, a * r + b * u + c),
        *(d * p + e * s, d * q + e * t, d * r + e * u + f),
    )


@dataclass(frozen=True, eq=False, slots=True)
class Displaced:
    """A node read at each pixel's place plus a displacement, in the units of a CRS."""

    node: Node
    projection: Projection | None
    """The lattice to read the node on; None reads it on that of the output."""
    across: Node
    """The displacement in x."""
    down: Node
    """The displacement in y."""
    crs_code: str
    """The CRS of displacements."""
    unit: float
    """Units of the CRS to one of the displacements."""
    reach: float
    """The largest displacement either way; pixels displaced further are masked."""
    mode: str
    dtype: np.dtype[Any]

    def step(self, grid: PixelGrid) -> Step:
        """Need the displacements, and the lattice's part within reach of the grid."""
        lattice = self.projection or Projection(grid.crs_code, grid.transform)
        part = lattice_window(grid, lattice, self._reach_px(grid, lattice) + _MARGIN_PX)
        if part is None:
            return Step((), lambda inputs: masked_pixels(grid, self.dtype))
        left, top, wide = part
        needs = ((self.node, wide), (self.across, grid), (self.down, grid))

        def pick(inputs: Sequence[Pixels]) -> Pixels:
            pixels, across, down = inputs
            columns, rows, mask = self._places(grid, lattice, across, down)
            return self._sampled(pixels, columns - left, rows - top, mask)

        return Step(needs, pick)

    def _reach_px(self, grid: PixelGrid, lattice: Projection) -> int:
        """Return the reach in pixels of the lattice."""
        own = Projection(self.crs_code).nominal_scale_m * self.reach * self.unit
        return math.ceil(own / lattice.nominal_scale_m)

    def _places(
        self, grid: PixelGrid, lattice: Projection, across: Pixels, down: Pixels
    ) -> tuple[Any, Any, Any]:
        """Return the column and row on the lattice of each displaced pixel, and the mask."""
        columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
        x, y = grid.transform.apply(columns.ravel(), rows.ravel())
        x, y = transform_points(grid.crs_code, self.crs_code, x, y)
        dx, dy = across.values.ravel() * self.unit, down.values.ravel() * self.unit
        most = self.reach * self.unit
        near = (np.abs(dx) <= most) & (np.abs(dy) <= most)
        x, y = transform_points(
            self.crs_code, lattice.crs_code, x + np.where(near, dx, 0), y + np.where(near, dy, 0)
        )
        columns, rows = lattice.transform.inverse().apply(x, y)
        known = near & np.isfinite(columns) & np.isfinite(rows)
        mask = np.minimum(across.mask, down.mask) * known.reshape(across.mask.shape)
        shape = (grid.height, grid.width)
        return columns.reshape(shape), rows.reshape(shape), mask

    def _sampled(self, pixels: Pixels, columns: Any, rows: Any, mask: Any) -> Pixels:
        height, width = pixels.values.shape
        low, high_x, high_y = _MARGIN_PX - 1, width - _MARGIN_PX, height - _MARGIN_PX
        with np.errstate(invalid="ignore"):
            known = (columns >= low) & (columns < high_x) & (rows >= low) & (rows < high_y)
        x, y = (np.where(known & (mask > 0), each, float(low)) for each in (columns, rows))
        if self.mode == "nearest_neighbor":
            at = (np.floor(y).astype(np.int64), np.floor(x).astype(np.int64))
            return Pixels(pixels.values[at], pixels.mask[at] * mask * known)
        values, found = blended(pixels, x, y, self.mode == "bicubic")
        return Pixels(values.astype(self.dtype), found * mask * known)


def translated(projection: Projection, x: float, y: float) -> Projection:
    """Return a projection moved by distances in the units of its CRS."""
    shift = AffineTransform(1.0, 0.0, x, 0.0, 1.0, y)
    return Projection(projection.crs_code, joined(shift, projection.transform))
