"""The seams of maps that do not come round: meridians where neighbours on Earth lie far apart.

Conic and pseudocylindrical maps have one, opposite to their central meridian, interrupted ones
several. They are found by looking: PROJ is asked along parallels, and where x or y jumps, between
which longitudes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tileserver.geo.crs import WGS84, Coordinates, transform_points
from tileserver.geo.turns import period

_PARALLELS = 20.0, 40.0, 60.0
_STEP = 5.0
_MANY_STEPS = 1.5
"""Of the usual step: one so long may hold a jump."""
_ROUNDS, _PARTS = 6, 64
_SAME = 1e-6
"""Degrees: jumps so close to each other on several parallels are on one meridian."""


@dataclass(frozen=True, slots=True)
class Seam:
    """A meridian along which a map is cut, within one hemisphere."""

    longitude: float
    """Degrees, at least -180 and less than 180."""
    is_north: bool


@lru_cache(maxsize=256)
def seams(crs_code: str) -> tuple[Seam, ...]:
    """Return the meridians along which a map is cut; none of a CRS with a period.

    Cuts that follow no meridian, as those of oblique maps, are not found.
    """
    if period(crs_code) is not None:
        return ()
    found: list[Seam] = []
    for is_north in (True, False):
        on_parallels = [
            _jumps(crs_code, latitude if is_north else -latitude) for latitude in _PARALLELS
        ]
        first, *others = [jumps for jumps in on_parallels if jumps is not None] or [[]]
        found += [
            Seam(lon, is_north)
            for lon in first
            if all(any(_apart(lon, each) < _SAME for each in jumps) for jumps in others)
        ]
    return tuple(found)


def _apart(a: float, b: float) -> float:
    return abs((a - b + 180) % 360 - 180)


def _jumps(crs_code: str, latitude: float) -> list[float] | None:
    """Return the longitudes at which a parallel is cut on a map; None if it is not on the map."""
    # Off the round numbers, at which maps are cut.
    lons = np.arange(-180.0, 180.0 + _STEP, _STEP) + 0.37
    steps = _lengths(crs_code, lons[np.newaxis], latitude)[0]
    if not np.isfinite(steps).any():
        return None
    usual = float(np.median(steps[np.isfinite(steps)]))
    with np.errstate(invalid="ignore"):
        is_long = steps > _MANY_STEPS * usual
    west, east, length = lons[:-1][is_long], lons[1:][is_long], steps[is_long]
    last = length
    for _ in range(_ROUNDS if len(west) else 0):
        nodes = west[:, np.newaxis] + (east - west)[:, np.newaxis] * np.linspace(0, 1, _PARTS + 1)
        steps = _lengths(crs_code, nodes, latitude)
        steps[np.isnan(steps)] = -1.0
        at = steps.argmax(axis=1)[:, np.newaxis]
        west, east = (np.take_along_axis(nodes, at + i, axis=1)[:, 0] for i in (0, 1))
        last = np.take_along_axis(steps, at, axis=1)[:, 0]
    # A step that stays long however short it is on Earth.
    cuts = west[last > length / 4] if len(west) else west
    return [float((lon + 180) % 360 - 180) for lon in np.round(cuts, 8)]


def _lengths(crs_code: str, lons: Coordinates, latitude: float) -> Coordinates:
    """Return how far neighbours on a parallel are apart on a map; NaN where one is not on it.

    Args:
        crs_code: of the map.
        lons: shape (lines, points), degrees.
        latitude: of the parallel.
    """
    flat = ((lons + 180) % 360 - 180).ravel()
    points = transform_points(WGS84, crs_code, flat, np.full(flat.shape, latitude))
    with np.errstate(invalid="ignore"):
        found = np.hypot(*(np.diff(each.reshape(lons.shape), axis=1) for each in points))
    return np.where(np.isfinite(found), found, np.nan)
