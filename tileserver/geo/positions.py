"""Which source pixel each pixel of a grid shows: level, position, nearest neighbour.

The source's coordinates are smooth in the grid's, so PROJ is asked at 9x9 Chebyshev points and a
polynomial through them gives all the others, to a millionth of a pixel; this is checked. Where it
does not hold 17x17 points are tried, then the grid is quartered, until PROJ is asked for each
pixel. Where x depends on x alone and y on y alone, one row and one column of points are enough
and exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box, PixelGrid, Window
from tileserver.geo.crs import Coordinates, are_aligned, transform_points
from tileserver.geo.extents import footprint
from tileserver.geo.local_scale import around
from tileserver.geo.turns import period

_NODES = 9, 17
"""Control points along a side, in the order in which they are tried."""
_MAX_ERROR_PX = 1e-6
_FEW_PX = 1024
_BLAS_THREADED_FROM = 262_144
"""Multiplications: GEMM_MULTITHREAD_THRESHOLD * 65,536 in OpenBLAS' interface/gemm.c."""
_LARGEST_INDEX = 2.0**31
_ON_MAP = 1e-12
_ON_EDGE = 1e-6
"""A pixel centre this close before an edge counts as past it, whatever rounding says."""


@dataclass(frozen=True)
class Positions:
    """Where the centres of a grid's pixels fall, in native source pixels.

    Both arrays broadcast to (height, width): aligned grids have columns of shape (1, width)
    and rows of shape (height, 1). Infinite where there is no such place.
    """

    columns: Coordinates
    rows: Coordinates
    held: dict[object, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What was worked out of them and may be needed again: bands in several files share it."""


def parts(asset: ImageAsset, grid: PixelGrid) -> list[Window]:
    """Return the windows of a grid outside of which there is nothing of the asset."""
    return parts_within(footprint(asset, grid.crs_code), grid)


def parts_within(boxes: Iterable[Box], grid: PixelGrid) -> list[Window]:
    """Return the windows of a grid outside of which there is nothing of boxes in its CRS."""
    if _leaves_the_map(grid):
        return [grid.whole]
    found = (_part(box, grid) for box in boxes)
    return [part for part in found if part is not None]


def _leaves_the_map(grid: PixelGrid) -> bool:
    """Tell whether a grid goes on past the antimeridian, where footprints begin anew."""
    turn = period(grid.crs_code)
    if turn is None:
        return False
    return not all(abs(x) <= turn / 2 * (1 + _ON_MAP) for x, _ in grid.corners)


def _part(box: Box, grid: PixelGrid) -> Window | None:
    inverse = grid.transform.inverse()
    # Four numbers are faster than an array of four. 0 * inf, of a box without end, is no number.
    columns, rows = zip(*(inverse.apply(float(x), float(y)) for x, y in box.corners), strict=True)
    left, right = _clipped(columns, grid.width)
    top, bottom = _clipped(rows, grid.height)
    return Window.between(left, top, right, bottom)


def _clipped(values: Sequence[float], size: int) -> tuple[int, int]:
    if not all(map(math.isfinite, values)):
        return 0, size
    low, high = math.floor(min(values)), math.ceil(max(values))
    return min(max(low, 0), size), min(max(high, 0), size)


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a raster's pyramid."""

    overview: int | None
    """GDAL's index of the overview; None is the image itself."""
    factor: int
    """Side of a pixel in native pixels, as a whole number."""
    is_beside: bool = False
    """Whether another file has it; `overview` is then that file's."""


def choose_level(levels: tuple[Level, ...], native: PixelGrid, grid: PixelGrid) -> Level:
    """Return the level whose pixels are closest to a grid's in size, and not coarser.

    The sizes are compared at the middle of the native grid, not of the other: so all tiles of a
    zoom read the same level and meet without a seam, and a large request equals the small ones
    that it covers.

    Args:
        levels: finest first; the first is the image itself.
        native: the grid of the image.
        grid: the grid whose pixels are wanted.
    """
    if len(levels) == 1:
        return levels[0]
    t = grid.transform
    return _level(levels, native, grid.crs_code, t.scale_x, t.shear_x, t.shear_y, t.scale_y)


@lru_cache(maxsize=4096)
def _level(levels: tuple[Level, ...], native: PixelGrid, crs_code: str, *linear: float) -> Level:
    factor = _wanted_factor(native, crs_code, *linear)
    fitting = [level for level in levels if level.factor <= factor * (1 + _ON_EDGE)]
    return fitting[-1] if fitting else levels[0]


def _wanted_factor(
    native: PixelGrid,
    crs_code: str,
    scale_x: float,
    shear_x: float,
    shear_y: float,
    scale_y: float,
) -> float:
    """Return the shorter side of a grid's pixel, in native pixels, at the asset's middle."""
    across = np.array([-scale_x, scale_x, -shear_x, shear_x]) / 2
    down = np.array([-shear_y, shear_y, -scale_y, scale_y]) / 2
    for columns, rows, share in around(native, crs_code, across, down):
        sides = np.hypot(np.diff(columns)[[0, 2]], np.diff(rows)[[0, 2]]) / share
        if np.isfinite(sides).all():
            return float(sides.min())
    return 1.0


def positions(grid: PixelGrid, source: PixelGrid) -> Positions:
    """Return where a grid's pixel centres fall in a source's pixels."""
    shears = (grid.transform.shear_x, grid.transform.shear_y)
    source_shears = (source.transform.shear_x, source.transform.shear_y)
    is_straight = not any(shears) and not any(source_shears)
    if is_straight and are_aligned(grid.crs_code, source.crs_code):
        return _aligned_positions(grid, source)
    return _surveyed(grid, source)


def _surveyed(grid: PixelGrid, source: PixelGrid) -> Positions:
    """Return positions interpolated where that is exact, else quarter by quarter."""
    if grid.width * grid.height > _FEW_PX:
        tried = (_interpolated_positions(grid, source, count) for count in _NODES)
        return next(filter(None, tried), None) or _in_quarters(grid, source)
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    found = _exact(grid, source, columns.ravel(), rows.ravel())
    return Positions(*(values.reshape(columns.shape) for values in found))


def _in_quarters(grid: PixelGrid, source: PixelGrid) -> Positions:
    found = Positions(*np.empty((2, grid.height, grid.width)))
    for part in grid.whole.quarters():
        # Of one column or row, two quarters have none.
        if part.pixels:
            at = _surveyed(grid.window(part), source)
            found.columns[part.slices], found.rows[part.slices] = at.columns, at.rows
    return found


def _aligned_positions(grid: PixelGrid, source: PixelGrid) -> Positions:
    middle_column, middle_row = grid.width / 2, grid.height / 2
    across = np.arange(grid.width, dtype=np.float64) + 0.5
    down = np.arange(grid.height, dtype=np.float64) + 0.5
    columns, _ = _exact(grid, source, across, np.full(across.shape, middle_row))
    _, rows = _exact(grid, source, np.full(down.shape, middle_column), down)
    return Positions(columns[np.newaxis, :], rows[:, np.newaxis])


def _exact(
    grid: PixelGrid, source: PixelGrid, columns: Coordinates, rows: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """Return source (columns, rows) of grid (columns, rows), all of shape (n,)."""
    x, y = grid.transform.apply(columns, rows)
    return located(source, grid.crs_code, x, y)


def located(
    source: PixelGrid, crs_code: str, x: Coordinates, y: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """Return the columns and rows of a source at which coordinates of a CRS lie, all shape (n,)."""
    x, y = transform_points(crs_code, source.crs_code, x, y)
    turn = period(source.crs_code)
    if turn is not None:
        x = _turned(x, source, turn)
    with np.errstate(invalid="ignore", over="ignore"):
        found: tuple[Coordinates, Coordinates] = source.transform.inverse().apply(x, y)
    return found


def _turned(x: Coordinates, source: PixelGrid, turn: float) -> Coordinates:
    """Shift x by whole turns of the Earth to where the source has it."""
    # A hair of tolerance, or a point on the western edge could land past the eastern one.
    slack = abs(source.transform.scale_x) * _ON_EDGE
    west = source.box.west
    with np.errstate(invalid="ignore"):
        return np.asarray(x - turn * np.floor((x - west + slack) / turn))


def _interpolated_positions(grid: PixelGrid, source: PixelGrid, count: int) -> Positions | None:
    """Return positions from a polynomial through control points, or None if it is not exact.

    Args:
        grid: whose pixel centres are placed.
        source: in whose pixels.
        count: control points along each side.
    """
    across, across_weights = _chebyshev(grid.width, count)
    down, down_weights = _chebyshev(grid.height, count)
    node_columns, node_rows = np.meshgrid(across, down)
    check_columns, check_rows = _check_points(grid.width, grid.height)
    columns, rows = _exact(
        grid,
        source,
        np.concatenate([node_columns.ravel(), check_columns + 0.5]),
        np.concatenate([node_rows.ravel(), check_rows + 0.5]),
    )
    if not (np.isfinite(columns).all() and np.isfinite(rows).all()):
        return None
    found = []
    for values in (columns, rows):
        nodes = values[: count * count].reshape(count, count)
        surface = _product(down_weights, nodes @ across_weights.T)
        error = np.abs(surface[check_rows, check_columns] - values[count * count :])
        if error.max() > _MAX_ERROR_PX:
            return None
        found.append(surface)
    return Positions(*found)


def _product(left: Coordinates, right: Coordinates) -> Coordinates:
    """Return left @ right, in pieces that OpenBLAS computes in the calling thread.

    Beyond `_BLAS_THREADED_FROM` multiplications it divides the work among threads of its own,
    which wait for one another while all cores have tiles to draw.
    """
    product = np.empty((len(left), right.shape[1]))
    step = max(_BLAS_THREADED_FROM // right.size, 1)
    for start in range(0, len(left), step):
        np.matmul(left[start : start + step], right, out=product[start : start + step])
    return product


# Of 32768 pixels, as strangers may ask for, they take 4 MB.
@lru_cache(maxsize=32)
def _chebyshev(size: int, count: int) -> tuple[Coordinates, NDArray[np.float64]]:
    """Return the control points along a side, and each pixel centre's weights for them.

    Shapes (count,) and (size, count). Barycentric Lagrange interpolation at Chebyshev points of the
    first kind (Berrut and Trefethen 2004, https://doi.org/10.1137/S0036144502417715).
    """
    angles = (np.arange(count) + 0.5) * np.pi / count
    nodes = size / 2 - size / 2 * np.cos(angles)
    factors = (-1.0) ** np.arange(count) * np.sin(angles)
    distance = (np.arange(size) + 0.5)[:, np.newaxis] - nodes[np.newaxis, :]
    on_node = np.abs(distance) < 1e-12 * size
    distance[on_node] = 1.0
    terms = factors / distance
    weights = terms / terms.sum(axis=1, keepdims=True)
    rows_on_node = on_node.any(axis=1)
    weights[rows_on_node] = on_node[rows_on_node]
    return nodes, weights


@lru_cache(maxsize=256)
def _check_points(width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (columns, rows) of the pixels at which the polynomial is checked."""
    at = (0.0, 0.11, 0.29, 0.5, 0.68, 0.87, 1.0)
    columns, rows = np.meshgrid(
        [round(a * (width - 1)) for a in at], [round(a * (height - 1)) for a in at]
    )
    return columns.ravel(), rows.ravel()


def nearest(
    values: Coordinates, limit: float = _LARGEST_INDEX, nowhere: int = -1
) -> NDArray[np.int64]:
    """Return the index of the pixel that holds each position.

    Args:
        values: positions, in pixels.
        limit: an index is less than it, whatever its sign.
        nowhere: stands where there is no index.
    """
    low, high = values.min(initial=0.0), values.max(initial=0.0)
    # Of NaN neither holds.
    if not (-limit < low and high < limit):
        with np.errstate(invalid="ignore"):
            is_index = np.abs(values) < limit
        values = np.where(is_index, values, float(nowhere))
        low = -limit
    shifted = values + _ON_EDGE
    # Without the sign, to cut off is to round down.
    whole = shifted if low >= 0 else np.floor(shifted, out=shifted)
    return whole.astype(np.int64)
