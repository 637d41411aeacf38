"""`Image.cumulativeCost`: the least cost of ways from sources.

Source: the reference page. Decided: a step to one of eight neighbours costs its length in metres
times the mean cost of its two pixels. Ways are at most maxDistance long, and 256 pixels. They
are found in blocks of 256 pixels, fixed to the lattice of the projection, with a margin of
maxDistance that is read, so the tile does not matter; a way that leaves the block and its margin is
not found. Geodetic lengths are those on WGS 84. A negative cost counts as zero. Pixels that
are not reached are masked.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tileserver.compute.context import check_length
from tileserver.compute.nodes import Pixels
from tileserver.compute.pixels.grid_blocks import InGridBlocks, field
from tileserver.compute.pixels.ground import pixel_sides
from tileserver.compute.pixels.least_cost import least_costs
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Image
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import Coordinates, nominal_scale_m

_BLOCK_PX = 256
_MOST_PX = 256
_MAX_BANDS = 20
_WORK = 500


@algorithm(
    "Image.cumulativeCost(cost: Image, source: Image, maxDistance: Float,"
    " geodeticDistance: Boolean = true) -> Image"
)
def cumulative_cost(cost: Image, source: Image, most_m: float, is_geodetic: bool) -> Image:
    """Return the cost of the cheapest way from a source to each pixel, for each band of costs.

    The first band decides the way; masked pixels cannot be crossed.
    """
    if not 0 < most_m < math.inf:
        raise InvalidRequest(f"maxDistance must be a number of metres above 0, got {most_m:g}.")
    if len(source.bands) != 1:
        raise InvalidRequest(f"source must have one band, got {len(source.bands)}.")
    if not cost.bands:
        raise InvalidRequest("An image without bands has no costs.")
    check_length(len(cost.bands), _MAX_BANDS, "bands")
    names = [f"c{place}" for place in range(len(cost.bands))]
    dtype = np.dtype([(name, "f8") for name in names])

    def compute(grid: PixelGrid, start: Pixels, *costs: Pixels) -> Pixels:
        open_ = np.logical_and.reduce([(c.mask > 0) & np.isfinite(c.values) for c in costs])
        sources = (start.mask > 0) & (np.nan_to_num(start.values) != 0)
        across, down = _lengths(grid, is_geodetic)
        open_ &= np.isfinite(across) & np.isfinite(down)
        prices = [np.where(open_, np.maximum(c.values, 0), 0).astype(np.float64) for c in costs]
        sides = (np.nan_to_num(across), np.nan_to_num(down))
        ways = least_costs(prices, open_, sources, *sides, most_m)
        found = np.zeros(open_.shape, dtype)
        reached = np.isfinite(ways[0])
        for name, way in zip(names, ways, strict=True):
            found[name] = np.where(reached, way, 0)
        return Pixels(found, reached.astype(np.float32))

    inputs = (source.bands[0].node, *(band.node for band in cost.bands))
    core = InGridBlocks(
        inputs, _BLOCK_PX, lambda grid: _margin(grid, most_m), compute, dtype, _WORK
    )
    return cost.derived(
        replace(band, type=DOUBLE, node=field(core, name))
        for band, name in zip(cost.bands, names, strict=True)
    )


def _margin(grid: PixelGrid, most_m: float) -> int:
    """Return the pixels of a distance.

    Raises:
        InvalidRequest: they are too many.
    """
    # Degrees and EPSG:3857 shrink towards the poles: no more than by half is looked at.
    count = math.ceil(most_m / nominal_scale_m(grid.crs_code, grid.transform.pixel_side))
    if count > _MOST_PX:
        raise InvalidRequest(
            f"maxDistance is {count} pixels, at most {_MOST_PX} are allowed; expected a smaller "
            "distance or a coarser scale."
        )
    return max(1, count)


def _lengths(grid: PixelGrid, is_geodetic: bool) -> tuple[Coordinates, Coordinates]:
    """Return the metres of a step along rows and along columns, at each pixel of a grid."""
    if not is_geodetic:
        side = nominal_scale_m(grid.crs_code, grid.transform.pixel_side)
        shape = (grid.height, grid.width)
        return np.full(shape, side), np.full(shape, side)
    sides = pixel_sides(grid)
    across = np.hypot(sides.across_east_m, sides.across_north_m)
    return across, np.hypot(sides.down_east_m, sides.down_north_m)
