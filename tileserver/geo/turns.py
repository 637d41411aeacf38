"""How far along x a CRS comes round to the same place: in degrees, and on maps like Mercator's.

On a cylindrical map whose x is 0 in the middle, x may go on past the end of the map, as longitudes
may past 180. Other maps have seams (`seams`).
"""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
from rasterio.crs import CRS

from tileserver.contract.tiles import HALF_WORLD_M, WEB_MERCATOR
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84, crs_of, transform_point, transform_points, unit_deg

_LONGITUDES = np.arange(-180.0, 181.0, 15.0)
_LATITUDES = np.array([-50.0, 0.0, 50.0])
_SAME = 1e-9
"""Of a turn: x that differ by less are the same."""


@lru_cache(maxsize=256)
def period(crs_code: str) -> float | None:
    """Return the x after which a CRS comes round to the same place, in CRS units, or None.

    The map lies within half of it around x = 0.
    """
    if crs_code == WEB_MERCATOR:
        return 2 * HALF_WORLD_M
    crs = crs_of(crs_code)
    if crs.is_geographic:
        return 360.0 / unit_deg(crs)
    try:
        return _cylindrical_turn(crs, crs_code)
    except InvalidRequest:
        return None


def _cylindrical_turn(crs: CRS, crs_code: str) -> float | None:
    """Return the turn of a projected CRS if x depends on longitude alone, in proportion."""
    members = crs.to_dict(projjson=True)
    members = members.get("source_crs", members)
    if not isinstance(members.get("base_crs"), dict):
        return None
    base = json.dumps({"type": "GeographicCRS", **members["base_crs"]})
    degree = 1 / unit_deg(crs_of(base))
    lons, lats = (each.ravel() for each in np.meshgrid(_LONGITUDES, _LATITUDES))
    x, _ = transform_points(base, crs_code, lons * degree, lats * degree)
    x = x.reshape(len(_LATITUDES), len(_LONGITUDES))
    if not np.isfinite(x).all():
        return None
    steps = np.diff(x[1])
    turn = float(np.median(steps)) * len(steps)
    if turn <= 0 or np.abs(x).max() > turn / 2 * (1 + _SAME):
        return None
    # Where x begins anew, steps and rows are whole turns apart.
    off = np.concatenate([(x - x[1]).ravel(), steps - turn / len(steps)]) / turn
    return turn if np.abs(off - np.round(off)).max() < _SAME else None


@lru_cache(maxsize=256)
def middle_longitude(crs_code: str) -> float:
    """Return the longitude at x = 0 of a CRS with a period, in degrees from Greenwich."""
    return 0.0 if crs_code in (WGS84, WEB_MERCATOR) else transform_point(crs_code, WGS84, 0, 0)[0]
