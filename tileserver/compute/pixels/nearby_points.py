"""Pixels and points on the sphere: which points lie near a pixel, and how far away.

Points are kept as unit vectors in a tree. Distances are along great circles, so that they depend on
no projection, and a pixel's result on no tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.sphere import EARTH_M
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.geo.crs import transform_points

Numbers = NDArray[np.float64]
_CHUNK_PX = 2048
"""Pixels whose neighbours are looked for at once."""


def unit_vectors(lon: Numbers, lat: Numbers) -> Numbers:
    """Return points in degrees as unit vectors, shape (count, 3)."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def pixel_vectors(grid: PixelGrid) -> Numbers:
    """Return the centres of a grid's pixels, row by row; NaN where one is not on Earth."""
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = grid.transform.apply(columns.ravel(), rows.ravel())
    lon, lat = transform_points(grid.crs_code, "EPSG:4326", x, y)
    is_there = np.isfinite(lon) & np.isfinite(lat)
    found = unit_vectors(np.where(is_there, lon, 0.0), np.where(is_there, lat, 0.0))
    found[~is_there] = np.nan
    return found


def metres_of(chords: Numbers) -> Numbers:
    """Return the length of great circles, of their chords on the unit sphere."""
    return 2 * EARTH_M * np.arcsin(np.clip(chords / 2, 0, 1))


def chord_of(metres: float) -> float:
    """Return the chord of a great circle on the unit sphere; no longer than its diameter."""
    return 2 * math.sin(min(max(metres, 0.0) / EARTH_M, math.pi) / 2)


@dataclass(frozen=True, eq=False)
class Points:
    """Points on the sphere that pixels look for."""

    vectors: Numbers
    """Shape (count, 3)."""
    tree: Any = field(init=False)
    """SciPy's tree of the vectors."""

    def __post_init__(self) -> None:
        """Grow the tree."""
        from scipy.spatial import cKDTree

        object.__setattr__(self, "tree", cKDTree(self.vectors))

    def near(
        self, grid: PixelGrid, most: int, reach_m: float
    ) -> Iterator[tuple[slice, Numbers, NDArray[np.intp], Numbers]]:
        """Yield pixels, their vectors, the nearest points and the metres to them, in chunks.

        Numbers of points and metres have the shape (pixels, most); where there are fewer points
        within reach, the number is that of no point and the distance infinite.
        """
        pixels = pixel_vectors(grid)
        count = min(most, len(self.vectors))
        reach = chord_of(reach_m) * (1 + 1e-12)
        for start in range(0, len(pixels), _CHUNK_PX):
            check_time()
            part = slice(start, start + _CHUNK_PX)
            centres = pixels[part]
            known = np.nan_to_num(centres, nan=10.0)
            chords, numbers = self.tree.query(known, k=count, distance_upper_bound=reach)
            chords, numbers = (each.reshape(len(known), count) for each in (chords, numbers))
            metres = np.where(
                np.isfinite(chords), metres_of(np.where(chords > 2, 0, chords)), np.inf
            )
            yield part, centres, numbers, metres
