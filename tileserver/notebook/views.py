"""Where a map begins: its centre and zoom, in Web Mercator."""

from __future__ import annotations

import math

from tileserver.contract.grids import Box
from tileserver.contract.tiles import MAX_LATITUDE

TILE_PX = 256
MAX_ZOOM = 24
_WIDTH_PX = 800
"""Assumed of a notebook's output; a map with the bridge fits itself to its real width."""


def centre_of(box: Box) -> tuple[float, float]:
    """Return the latitude and longitude in the middle of a box on the map.

    >>> centre_of(Box(10, -20, 20, 20))
    (0.0, 15.0)
    """
    middle = (_mercator(box.south) + _mercator(box.north)) / 2
    latitude = math.degrees(math.atan(math.sinh(2 * math.pi * middle)))
    return latitude, (box.west + box.east) / 2


def zoom_of(box: Box, height_px: int, maxzoom: int) -> int:
    """Return the highest whole zoom at which a box is seen whole.

    >>> zoom_of(Box(-180, -85, 180, 85), 512, 20)
    1
    """
    shares = (
        (box.east - box.west) / 360 * TILE_PX / _WIDTH_PX,
        (_mercator(box.north) - _mercator(box.south)) * TILE_PX / height_px,
    )
    share = max(*shares, 2.0**-MAX_ZOOM)
    return max(0, min(math.floor(-math.log2(share)), maxzoom))


def _mercator(latitude: float) -> float:
    """Return how far north a latitude is, as a share of the map's height."""
    clamped = max(-MAX_LATITUDE, min(latitude, MAX_LATITUDE))
    return math.asinh(math.tan(math.radians(clamped))) / (2 * math.pi)
