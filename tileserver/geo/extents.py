"""Where on Earth an asset lies, in any CRS, antimeridian and poles included."""

from __future__ import annotations

import math
from functools import lru_cache, reduce

import numpy as np

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box, PixelGrid
from tileserver.contract.tiles import HALF_WORLD_M, WEB_MERCATOR
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.geo.crs import WGS84, Coordinates, crs_of, transform_point, transform_points
from tileserver.geo.seams import seams
from tileserver.geo.turns import period

_STEPS = 21
_FINE_STEPS = 201
_SLACK_M = 10_000.0
"""A point that comes back this far off lies past the end of its map."""


def footprint(asset: ImageAsset, crs_code: str) -> tuple[Box, ...]:
    """Return boxes in a CRS that together hold the asset: two if it crosses the antimeridian.

    A little too large rather than too small, so that nothing outside need be looked at.
    """
    if len(asset.grids) == 1:
        return grid_boxes(asset.common_grid, crs_code)
    # Bands may lie in different places.
    boxes = (box for grid in asset.grids for box in grid_boxes(grid, crs_code))
    return tuple(dict.fromkeys(boxes))


@lru_cache(maxsize=8192)
def grid_boxes(grid: PixelGrid, crs_code: str) -> tuple[Box, ...]:
    """Return boxes in a CRS that together hold a grid's pixels, as `footprint` does."""
    box, margin_x, margin_y = _extent(grid, crs_code)
    box = Box(box.west - margin_x, box.south - margin_y, box.east + margin_x, box.north + margin_y)
    turn = period(crs_code)
    return (box,) if turn is None else _wrapped(box, turn)


def footprint_extent(asset: ImageAsset, crs_code: str) -> Box:
    """Return the bounding box of an asset in a CRS; east may lie past a periodic CRS's edge.

    Raises:
        InvalidRequest: no part of the asset lies in the CRS's domain.
    """
    box, _, _ = _extent(asset.common_grid, crs_code)
    if not np.isfinite(box).all():
        raise InvalidRequest(
            f"grid: {asset.name} lies outside the domain of {crs_code[:80]}; "
            "expected a CRS that shows it."
        )
    return within_map(box, crs_code)


def within_map(box: Box, crs_code: str) -> Box:
    """Return the part of a box that lies on the map: Web Mercator has the poles far away."""
    if crs_code != WEB_MERCATOR:
        return box
    south, north = np.clip([box.south, box.north], -HALF_WORLD_M, HALF_WORLD_M)
    return box._replace(south=float(south), north=float(north))


@lru_cache(maxsize=4096)
def lonlat_bounds(asset: ImageAsset) -> Box:
    """Return the asset's bounds in degrees; west > east when it crosses the antimeridian.

    Raises:
        UnreadableRaster: no part of it, or of one of its bands, has a longitude and latitude.
    """
    return reduce(_joined, (_grid_bounds(grid, asset.name) for grid in asset.grids))


def _joined(one: Box, other: Box) -> Box:
    """Return the bounds of two boxes in degrees, around the Earth on the shorter way."""
    if one == other:
        return one
    a, b = one.unrolled(), other.unrolled()
    turned = (b._replace(west=b.west + turn, east=b.east + turn) for turn in (0, -360, 360))
    joined = [(min(a.west, c.west), max(a.east, c.east)) for c in turned]
    west, east = min(joined, key=lambda ends: ends[1] - ends[0])
    south, north = min(a.south, b.south), max(a.north, b.north)
    if east - west >= 360 - 1e-9:
        return Box(-180.0, south, 180.0, north)
    return Box(_longitude(west), south, _longitude(east), north)


def _grid_bounds(grid: PixelGrid, name: str) -> Box:
    box, _, _ = _extent(grid, WGS84)
    south, north = max(box.south, -90.0), min(box.north, 90.0)
    if not np.isfinite(box).all() or south >= north:
        raise UnreadableRaster(
            f"{name}: its grid lies outside the domain of its CRS; expected a place on "
            "Earth. gdal_edit.py writes the right CRS (-a_srs) or corners (-a_ullr)."
        )
    if box.east - box.west >= 360 - 1e-9:
        return Box(-180.0, south, 180.0, north)
    west, east = (_longitude(box.west), _longitude(box.east))
    # An edge on the antimeridian itself belongs to the side the asset lies on.
    west = -180.0 if west == 180.0 else west
    east = 180.0 if east == -180.0 else east
    return Box(west, south, east, north)


def _longitude(degrees: float) -> float:
    return degrees if -180 <= degrees <= 180 else (degrees + 180) % 360 - 180


def _extent(grid: PixelGrid, crs_code: str) -> tuple[Box, float, float]:
    """Return the bounding box of a grid in a CRS, and how far off it may be in x and y.

    Where a CRS is periodic, east may lie past its edge.
    """
    x, y = _sampled(grid, crs_code, _STEPS)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        # What lies on the limb of a disk of the Earth is easily stepped over.
        x, y = _sampled(grid, crs_code, _FINE_STEPS)
    turn = period(crs_code)
    is_around = False
    if turn is not None and grid.crs_code != crs_code:
        x, is_around = _unrolled(x, turn)
    box = _around(x, y)
    if turn is not None:
        if is_around:
            box = box._replace(west=-turn / 2, east=turn / 2)
        box = _with_poles(grid, crs_code, box, turn)
    return box, _largest_step(x), _largest_step(y)


def _sampled(grid: PixelGrid, crs_code: str, steps: int) -> tuple[Coordinates, Coordinates]:
    """Return evenly spaced points of a grid in a CRS, both of shape (steps, steps)."""
    columns, rows = np.meshgrid(
        np.linspace(0, grid.width, steps), np.linspace(0, grid.height, steps)
    )
    x, y = grid.transform.apply(columns.ravel(), rows.ravel())
    found = transform_points(grid.crs_code, crs_code, x, y)
    if grid.crs_code != crs_code and seams(grid.crs_code):
        found = _on_map(grid.crs_code, crs_code, (x, y), found)
    return found[0].reshape(columns.shape), found[1].reshape(rows.shape)


def _on_map(
    source: str,
    target: str,
    points: tuple[Coordinates, Coordinates],
    found: tuple[Coordinates, Coordinates],
) -> tuple[Coordinates, Coordinates]:
    """Return found points, infinite where those of the source lie past a seam of their map.

    PROJ takes such a point for one on the other side of the map, far away from the pixel.
    """
    back = transform_points(target, source, *found)
    slack = _SLACK_M / crs_of(source).linear_units_factor[1]
    with np.errstate(invalid="ignore"):
        off = np.hypot(back[0] - points[0], back[1] - points[1])
    # Where there is no way back, as from a pole in Web Mercator, nothing is known.
    is_off = np.isfinite(off) & (off > slack)
    x, y = (np.where(is_off, np.inf, each) for each in found)
    return x, y


def _around(x: Coordinates, y: Coordinates) -> Box:
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return Box(-np.inf, -np.inf, np.inf, np.inf)
    x, y = x[known], y[known]
    return Box(float(x.min()), float(y.min()), float(x.max()), float(y.max()))


def _unrolled(x: Coordinates, turn: float) -> tuple[Coordinates, bool]:
    """Undo the jump at the antimeridian, and tell whether x goes all the way around.

    x is put behind the widest gap that it leaves open on the circle. A gap no wider than the
    steps between neighbours is none.
    """
    steps = _steps(x)
    if not (steps > turn / 2).any():
        return x, False
    circle = np.sort(x[np.isfinite(x)] % turn)
    gaps = np.diff(circle, append=circle[0] + turn)
    west = circle[(gaps.argmax() + 1) % circle.size]
    with np.errstate(invalid="ignore"):
        unrolled = west + (x - west) % turn
    return unrolled, bool(gaps.max() <= np.minimum(steps, turn - steps).max())


def _with_poles(grid: PixelGrid, crs_code: str, box: Box, turn: float) -> Box:
    """Stretch a box around the Earth and to the pole, if the grid holds one."""
    inverse = grid.transform.inverse()
    for latitude in (90.0, -90.0):
        column, row = inverse.apply(*transform_point(WGS84, grid.crs_code, 0.0, latitude))
        is_far = grid.crs_code in (WGS84, WEB_MERCATOR) or period(grid.crs_code) is not None
        if not is_far and 0 <= column <= grid.width and 0 <= row <= grid.height:
            end = _pole(crs_code, latitude, turn)
            south, north = min(box.south, end), max(box.north, end)
            box = Box(-turn / 2, float(south), turn / 2, float(north))
    return box


def _pole(crs_code: str, latitude: float, turn: float) -> float:
    """Return y at a pole; where that is nowhere, as on Mercator's maps, the end of a square."""
    _, y = transform_point(WGS84, crs_code, 0.0, latitude)
    return y if abs(y) < turn / 2 else math.copysign(turn / 2, latitude)


def _largest_step(values: Coordinates) -> float:
    return float(_steps(values).max(initial=0.0))


def _steps(values: Coordinates) -> Coordinates:
    """Return the distances between neighbours, where both are known."""
    with np.errstate(invalid="ignore"):
        steps = np.concatenate([np.diff(values, axis=axis).ravel() for axis in (0, 1)])
    known: Coordinates = np.abs(steps[np.isfinite(steps)])
    return known


def _wrapped(box: Box, turn: float) -> tuple[Box, ...]:
    """Return the parts of a box that lie within one turn around x = 0."""
    half = turn / 2
    if box.east - box.west >= turn:
        return (Box(-half, box.south, half, box.north),)
    shifted = (
        Box(box.west + k * turn, box.south, box.east + k * turn, box.north) for k in (-1, 0, 1)
    )
    return tuple(
        Box(max(b.west, -half), b.south, min(b.east, half), b.north)
        for b in shifted
        if b.west < half and b.east > -half
    )


def projected_box(grid: PixelGrid, crs_code: str) -> Box | None:
    """Return the bounding box of a grid in a CRS, a margin included; None if it has no end there.

    Where a CRS is periodic, east may lie past its edge.
    """
    if grid.crs_code == crs_code:
        return grid.box
    box, _, _ = _extent(grid, crs_code)
    return box if np.isfinite(box).all() else None
