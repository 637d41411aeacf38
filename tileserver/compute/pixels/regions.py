"""The pixels of a region: its grid, and their values, piece by piece.

As Earth Engine's guide has it ("Pixels in the region", guides/reducers_reduce_region), a weighted
reducer takes the pixels of which the region covers 1/256 or more, each with the smaller of that
share and its mask; an unweighted one takes those whose centre lies in the region. A point or line
covers the pixels that it touches.

Pieces are computed, reduced and dropped one after the other, so the memory does not grow with the
region.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.budget import OutOfMemory, out_of_memory, timed_out
from tileserver.compute.context import Context
from tileserver.compute.nodes import Mask
from tileserver.compute.pixels.plan import compute, pieces
from tileserver.compute.values.antimeridian import beside
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import Band, Projection, north_up
from tileserver.compute.values.reducer import Column, Output, Reduction, result_bytes
from tileserver.contract.grids import PixelGrid, Window
from tileserver.errors import InvalidRequest
from tileserver.geo.turns import period

_PIECE_PX = 512 * 512
_SIDE_PX = 2**31
Inside = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Region:
    """The pixels of a projection that a geometry covers."""

    grid: PixelGrid
    """Holds them all."""
    covers: Callable[[PixelGrid], Inside]
    """Tells which pixels of a grid have their centre inside, shape (height, width)."""
    shares: Callable[[PixelGrid], NDArray[np.float64]]
    """Tells how much of each pixel of a grid lies inside, 0 to 1, shape (height, width)."""
    count_px: int
    """Estimated number of pixels, by area."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pixels of a region within one piece, arrays of shape (count,)."""

    grid: PixelGrid
    inside: Inside
    """Which pixels of the grid they are, shape (height, width)."""
    columns: list[Column]
    """One a band."""


def region_of(
    geometry: Geometry,
    projection: Projection,
    covers: Callable[[PixelGrid], Inside],
    shares: Callable[[PixelGrid], NDArray[np.float64]],
    image: PixelGrid | None = None,
) -> Region:
    """Return the region of a geometry in a projection's pixels.

    Args:
        geometry: the region.
        projection: whose pixels are counted.
        covers: tells which pixels of a grid have their centre in the region.
        shares: tells how much of each pixel of a grid lies in the region.
        image: what is read there. If it has the CRS of the projection and goes on past the
            antimeridian, so does the region, on the same pixels.

    Raises:
        InvalidRequest: it is empty, too large, or reaches outside the CRS's domain.
    """
    projection = north_up(projection)
    shape = geometry.in_projection(projection).shape
    if shape.is_empty:
        raise InvalidRequest("The geometry is empty.")
    shape = _where_image_is(shape, projection, image)
    west, north, east, south = shape.bounds
    window = Window.around((west, east), (north, south))
    if max(window.width, window.height) > _SIDE_PX:
        raise out_of_memory()
    grid = projection.transform.grid(window, projection.crs_code)
    area = shape.area or max(window.width, window.height)
    return Region(grid, covers, shares, min(window.pixels, max(1, round(area))))


def _where_image_is(
    shape: BaseGeometry, projection: Projection, image: PixelGrid | None
) -> BaseGeometry:
    turn = period(projection.crs_code)
    scale_x = abs(projection.transform.scale_x)
    if turn is None or not scale_x or image is None or image.crs_code != projection.crs_code:
        return shape
    inverse = projection.transform.inverse()
    corners = shapely.MultiPoint([inverse.apply(*corner) for corner in image.box.corners])
    return beside(corners.envelope, shape, turn / scale_x)


def reduced(
    context: Context,
    bands: Sequence[Band],
    region: Region,
    outputs: Sequence[Output],
    tile_scale: float = 1.0,
) -> dict[str, Any]:
    """Return the results of outputs over the pixels of bands in a region, by name; blocks.

    Args:
        context: of the evaluation; its budget is spent.
        bands: one for each input of the outputs.
        region: the pixels.
        outputs: of a reducer, `spread` over the bands.
        tile_scale: how many times as many pieces there are.

    Raises:
        InvalidRequest: it takes too much time or memory, in Earth Engine's words.
    """
    reduction = Reduction(outputs)
    has_weights = any(output.weighting != "unweighted" for output in outputs)
    reduction.add([Column(np.zeros(0, band.type.dtype), np.zeros(0, bool)) for band in bands])
    for chunk in chunks(context, bands, region, has_weights, tile_scale):
        reduction.add(chunk.columns)
    results = {}
    for place, output in enumerate(outputs):
        context.budget.check_time()
        results[output.name] = reduction.result(place)
        context.count_bytes(result_bytes(results[output.name]))
    return results


def chunks(
    context: Context,
    bands: Sequence[Band],
    region: Region,
    has_weights: bool,
    tile_scale: float = 1.0,
) -> Iterator[Chunk]:
    """Yield the pixels of bands in a region; blocks, and raises as `compute`.

    Without `has_weights` they are those whose centre lies in the region, without weights.
    """
    nodes = [band.node for band in bands]
    dtypes = [band.type.dtype for band in bands]
    if region.grid.width * region.grid.height > context.budget.work_px:
        # Refused now rather than at the deadline.
        raise timed_out()
    has_arrays = any(band.type.dimensions for band in bands)
    for piece, _ in pieces(region.grid, _piece_px(tile_scale)):
        waiting = [piece]
        while waiting:
            grid = waiting.pop()
            context.budget.check_time()
            context.budget.spend(grid.width * grid.height)
            share = region.shares(grid) if has_weights else None
            centred = _centred(region, grid, share)
            inside = centred if share is None else centred | (share > 0)
            if not inside.any():
                continue
            try:
                found = compute(nodes, dtypes, grid, context.world.read, context.budget)
            except OutOfMemory:
                if not has_arrays or inside.size == 1:
                    raise
                # Arrays take as much memory as they are long: fewer pixels may fit.
                waiting += [part for part, _ in pieces(grid, max(1, inside.size // 4))][::-1]
                continue
            columns = [_column(*each, inside, centred, share) for each in zip(*found, strict=True)]
            yield Chunk(grid, inside, columns)


def _piece_px(tile_scale: float) -> int:
    if not 0.1 <= tile_scale <= 16:
        raise InvalidRequest(f"tileScale must be between 0.1 and 16, got {tile_scale:g}.")
    return max(1, int(_PIECE_PX / max(tile_scale, 1) ** 2))


def _centred(region: Region, grid: PixelGrid, share: NDArray[np.float64] | None) -> Inside:
    if share is not None and share.min() == 1:
        return np.ones(share.shape, bool)
    return region.covers(grid)


def _column(
    values: NDArray[Any],
    mask: Mask,
    inside: Inside,
    centred: Inside,
    share: NDArray[np.float64] | None,
) -> Column:
    """Return the pixels of one band within a piece."""
    rows: Any = slice(None) if inside.all() else inside.ravel()
    mask = mask.ravel()[rows]
    valid = mask > 0
    found = Column(values.ravel()[rows], valid)
    if share is None:
        return found
    weights = np.minimum(mask, share.ravel()[rows])
    has_all = bool(((weights == 1) | ~valid).all())
    at_centre = centred.ravel()[rows]
    return Column(
        found.values,
        valid,
        None if has_all else weights,
        None if at_centre.all() else at_centre,
    )
