"""Draws geometries into the pixels of a grid.

A pixel belongs to an area if its centre lies in it, to a point or line if they touch it, unless
these are drawn with a size or width in pixels of the grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.features import rasterize
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from tileserver.compute.pixels.dashes import dashed
from tileserver.compute.values.antimeridian import copies
from tileserver.contract.grids import SNAP_PX, PixelGrid
from tileserver.errors import InvalidRequest
from tileserver.geo.turns import period

MAX_SIZE_PX = 500
"""Of lines' widths and points' sizes."""
_QUARTER_SEGMENTS = 6
"""Of a circle; hardly an eighth of a pixel off at a radius of ten."""


def check_size(size_px: float, name: str) -> float:
    """Return a width or a size.

    Raises:
        InvalidRequest: it is negative, no number, or more than `MAX_SIZE_PX`.
    """
    if not 0 <= size_px <= MAX_SIZE_PX:
        raise InvalidRequest(
            f"{name} must be a number of pixels from 0 to {MAX_SIZE_PX}, got {size_px:g}."
        )
    return size_px


def drawn(shapes: Sequence[BaseGeometry], grid: PixelGrid) -> NDArray[np.int32]:
    """Return the index of the last shape that each pixel shows, -1 for none.

    The shapes are in the CRS of the grid, the result has the shape (height, width).
    """
    size = (grid.height, grid.width)
    placed = [(part, place) for place, each in enumerate(shapes) for part in shown_on(each, grid)]
    # Clipped first, so that a long coast costs no more than its part near the grid.
    cut = shapely.intersection(
        np.array([part for part, _ in placed], object), grid_polygon(grid, 1)
    )
    places = [
        (part, place) for part, (_, place) in zip(cut, placed, strict=True) if not part.is_empty
    ]
    if not places:
        return np.full(size, -1, np.int32)
    found: NDArray[np.int32] = rasterize(
        places, size, fill=-1, transform=rasterio_affine(grid), dtype="int32"
    )
    return found


def past_edges(shape: BaseGeometry, grid: PixelGrid) -> BaseGeometry:
    """Return points or lines moved a hair past the edges of pixels on which they lie.

    A pixel holds its left and upper edge, as `AffineTransform.covering` counts them, whatever
    rounding says.
    """
    t = grid.transform
    return translate(shape, SNAP_PX * (t.scale_x + t.shear_x), SNAP_PX * (t.shear_y + t.scale_y))


def near(parts: Sequence[BaseGeometry], grid: PixelGrid, margin_px: float) -> list[BaseGeometry]:
    """Return the parts that lie on a grid or so many pixels around it."""
    if not parts:
        return []
    parts = _shown(parts, grid, margin_px)
    found = shapely.intersects(np.array(parts, object), grid_polygon(grid, margin_px))
    return [part for part, is_near in zip(parts, found, strict=True) if is_near]


def _shown(parts: Sequence[BaseGeometry], grid: PixelGrid, margin_px: float) -> list[BaseGeometry]:
    """Return parts wherever they may show on a grid, as `shown_on` does for each."""
    turn = period(grid.crs_code)
    if turn is None:
        return list(parts)
    margin = min(margin_px * grid.transform.pixel_side, turn / 2)
    left, _, right, _ = shapely.bounds(np.array(parts, object)).T
    # Of most neither the copy a turn to the east nor that to the west shows.
    once = (left + turn > grid.box.east + margin) & (right - turn < grid.box.west - margin)
    found: list[BaseGeometry] = []
    for part, is_once in zip(parts, once.tolist(), strict=True):
        found += (part,) if is_once else shown_on(part, grid, margin_px)
    return found


def shown_on(shape: BaseGeometry, grid: PixelGrid, margin_px: float = 1.0) -> list[BaseGeometry]:
    """Return a shape wherever it may show on a grid: both may lie past the antimeridian.

    Args:
        shape: in the CRS of the grid.
        grid: where it is drawn.
        margin_px: pixels around the grid, at most half a turn of the Earth.
    """
    turn = period(grid.crs_code)
    if turn is None:
        return [shape]
    margin = min(margin_px * grid.transform.pixel_side, turn / 2)
    return copies(shape, grid.box.west - margin, grid.box.east + margin, turn)


def outline(
    part: BaseGeometry,
    width_px: float,
    grid: PixelGrid,
    dash: tuple[float, float] | None = None,
) -> BaseGeometry:
    """Return the band along a line or an area's edges that is so many pixels wide, near a grid.

    Args:
        part: a point, a line or an area in the grid's CRS.
        width_px: of the band.
        grid: what lies further than the band's width from it is left out.
        dash: lengths of a dash and of a gap in widths; None is a solid line.
    """
    lines = part.boundary if part.geom_type == "Polygon" else part
    reach = grid_polygon(grid, width_px + 1)
    if dash is not None and part.geom_type != "Point":
        # A dash is never shorter than a pixel, or a thin line has millions of them.
        widths = max(width_px, 1.0) * grid.transform.pixel_side
        lines = dashed(lines, dash[0] * widths, dash[1] * widths, reach)
    cut = shapely.intersection(lines, reach)
    # A little more than half: centres of pixels at the very edge are in.
    half = width_px * grid.transform.pixel_side / 2 * (1 + 1e-9)
    cap: Literal["round", "flat"] = "round" if part.geom_type == "Point" else "flat"
    return shapely.buffer(cut, half, quad_segs=_QUARTER_SEGMENTS, cap_style=cap)


def marker(point: BaseGeometry, shape: str, size_px: float, grid: PixelGrid) -> BaseGeometry:
    """Return a point's mark, one of `MARKERS` or a circle, of a radius in pixels."""
    radius = size_px * grid.transform.pixel_side
    if shape == "circle":
        return shapely.buffer(point, radius, quad_segs=_QUARTER_SEGMENTS)
    return shapely.Polygon(shapely.get_coordinates(point) + radius * MARKERS[shape])


def parts_of(shape: BaseGeometry) -> list[BaseGeometry]:
    """Return the points, lines and polygons that a geometry is made of."""
    found: list[BaseGeometry] = []
    left = [shape]
    while left:
        parts = shapely.get_parts(left.pop())
        for part in parts:
            (left if hasattr(part, "geoms") else found).append(part)
    return [each for each in found if not each.is_empty]


def _star(points: int, inner: float, turn: float = 0.0) -> NDArray[np.float64]:
    """Return the corners of a star around 0, the first at the top; inner 1 is a regular polygon."""
    angles = math.pi / 2 + turn + np.arange(2 * points) * math.pi / points
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])


def _regular(corners: int, turn: float = 0.0) -> NDArray[np.float64]:
    return _star(corners, math.cos(math.pi / corners), turn)


_ARM = 0.2
_QUARTER = np.array([(1, _ARM), (_ARM, _ARM), (_ARM, 1)])
_PLUS = np.concatenate([_QUARTER, _QUARTER[::-1] * (-1, 1), -_QUARTER, _QUARTER[::-1] * (1, -1)])
_HALF_TURN = math.sqrt(0.5)
MARKERS: Mapping[str, NDArray[np.float64]] = {
    "square": _regular(4, math.pi / 4),
    "diamond": _regular(4),
    "plus": _PLUS,
    "cross": _PLUS @ np.array([[_HALF_TURN, _HALF_TURN], [-_HALF_TURN, _HALF_TURN]]),
    "triangle": _regular(3),
    "triangle_up": _regular(3),
    "triangle_down": _regular(3, math.pi),
    "triangle_left": _regular(3, math.pi / 2),
    "triangle_right": _regular(3, -math.pi / 2),
    "pentagon": _regular(5),
    "hexagon": _regular(6),
    "star5": _star(5, 0.382),
    "star6": _star(6, 0.577),
    "pentagram": _star(5, 0.382),
    "hexagram": _star(6, 0.577),
}
"""Corners of marks around 0, of radius 1, y to the north."""


@lru_cache(maxsize=32)
def grid_polygon(grid: PixelGrid, margin_px: float) -> BaseGeometry:
    """Return the outline of a grid in its CRS, widened by so many pixels, prepared for queries."""
    margin = margin_px * grid.transform.pixel_side
    reach: BaseGeometry = shapely.buffer(shapely.Polygon(grid.corners), margin, join_style="mitre")
    shapely.prepare(reach)
    return reach


def rasterio_affine(grid: PixelGrid) -> Affine:
    """Return the transform of a grid as rasterio's type."""
    return Affine(*grid.transform.members)
