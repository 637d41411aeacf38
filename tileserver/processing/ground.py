"""The sides of a grid's pixels on the ground, row by row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid
from tileserver.contract.tiles import WEB_MERCATOR
from tileserver.geo.crs import EARTH_RADIUS_M, WGS84, nominal_scale_m

Rows = NDArray[np.float64]


def sides_m(grid: PixelGrid) -> tuple[Rows, Rows]:
    """Return width and height of pixels in metres, both of shape (height, 1).

    On the sphere of Web Mercator, where a metre of the map is the cosine of the latitude of one on
    the ground; degrees of longitude shrink by the same. Other CRSs are taken to be true to scale.
    """
    t = grid.transform
    width, height = math.hypot(t.scale_x, t.shear_y), math.hypot(t.shear_x, t.scale_y)
    rows = np.arange(grid.height)[:, np.newaxis] + 0.5
    _, y = t.apply(np.full_like(rows, grid.width / 2), rows)
    if grid.crs_code == WEB_MERCATOR:
        shrunk = 1 / np.cosh(np.clip(y / EARTH_RADIUS_M, -20, 20))
        return width * shrunk, height * shrunk
    unit = nominal_scale_m(grid.crs_code, 1.0)
    if grid.crs_code == WGS84:
        shrunk = np.cos(np.radians(np.clip(y, -89.999, 89.999)))
        return width * unit * shrunk, np.full_like(rows, height * unit)
    return np.full_like(rows, width * unit), np.full_like(rows, height * unit)
