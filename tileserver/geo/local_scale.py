"""How large the pixels of a grid are in another CRS, judged at a place that both CRSs show well.

The middle of a grid may be a pole, where Web Mercator has no end and longitudes meet, and a pixel
may lie across the antimeridian, where x begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np

from tileserver.contract.grids import PixelGrid
from tileserver.geo.crs import WGS84, Coordinates, transform_points
from tileserver.geo.turns import period

SHARES = (1.0, 1e-3, 1e-6)
"""How much of a pixel is compared: less where a whole one does not fit on the map."""
_PLACES = (0.5, 0.25, 0.75, 0.1, 0.9)
"""Where on the diagonal of a grid, in the order in which they are tried."""
_MAP_LATITUDE = 85.06
"""Degrees; beyond it Web Mercator has no tiles."""
_JUMP = 2.0
"""A side that changes by this factor with the share of a pixel is no side: x jumps within it."""


@lru_cache(maxsize=4096)
def places(native: PixelGrid, crs_code: str) -> tuple[tuple[float, float], ...]:
    """Return points of a grid, in its CRS, that have a place in another CRS; the best come first.

    Those beyond 85.06 degrees of latitude come last.
    """
    at = np.array(_PLACES)
    x, y = native.transform.apply(at * native.width, at * native.height)
    xs, ys = transform_points(native.crs_code, crs_code, x, y)
    _, latitude = transform_points(native.crs_code, WGS84, x, y)
    is_known = np.isfinite(xs) & np.isfinite(ys)
    with np.errstate(invalid="ignore"):
        is_far = np.abs(latitude) > _MAP_LATITUDE
    order = np.argsort(is_far, kind="stable")
    return tuple((float(x[i]), float(y[i])) for i in order if is_known[i])


def unrolled(x: Coordinates, near: float, crs_code: str) -> Coordinates:
    """Shift x by whole turns of the Earth to within half a turn of another x."""
    turn = period(crs_code)
    if turn is None:
        return x
    with np.errstate(invalid="ignore"):
        return np.asarray(near + (x - near + turn / 2) % turn - turn / 2)


def pixel_side(native: PixelGrid, crs_code: str) -> float | None:
    """Return the side of a square of the area of a grid's pixel in another CRS, in its units.

    None if no place of the grid is known there.
    """
    for (x, y), share in product(places(native, crs_code), SHARES):
        side = _side(native, crs_code, x, y, share)
        closely = _side(native, crs_code, x, y, share * SHARES[1])
        if 0 < side < math.inf and 1 / _JUMP < closely / side < _JUMP:
            return side
    return None


def _side(native: PixelGrid, crs_code: str, x: float, y: float, share: float) -> float:
    """Return `pixel_side` at one place, from a share of a pixel; it may be no number."""
    t = native.transform
    xs = x + share * np.array([0.0, t.scale_x, t.shear_x])
    ys = y + share * np.array([0.0, t.shear_y, t.scale_y])
    xs, ys = transform_points(native.crs_code, crs_code, xs, ys)
    xs = unrolled(xs, float(xs[0]), crs_code)
    with np.errstate(invalid="ignore", over="ignore"):
        area = (xs[1] - xs[0]) * (ys[2] - ys[0]) - (xs[2] - xs[0]) * (ys[1] - ys[0])
    return math.sqrt(abs(area)) / share


def around(
    native: PixelGrid, crs_code: str, across: Coordinates, down: Coordinates
) -> Iterator[tuple[Coordinates, Coordinates, float]]:
    """Yield native (columns, rows) of points beside a place, NaN where there are none.

    One pair for each place and share of the way, with the share.

    Args:
        native: the grid whose places are taken.
        crs_code: the CRS of the way.
        across: the way to each point, along x.
        down: the same along y.
    """
    for (x, y), share in product(places(native, crs_code), SHARES):
        x0, y0 = transform_points(native.crs_code, crs_code, np.array([x]), np.array([y]))
        with np.errstate(invalid="ignore"):
            xs, ys = transform_points(
                crs_code, native.crs_code, x0 + across * share, y0 + down * share
            )
            xs = unrolled(xs, x, native.crs_code)
            found = native.transform.inverse().apply(xs, ys)
            # The difference of two infinities is not a number, and says no more than they do.
            columns, rows = (np.where(np.isfinite(f), f, np.nan) for f in found)
        yield columns, rows, share
