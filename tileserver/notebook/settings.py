"""How a map in a notebook is made, whichever library draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tileserver.contract.grids import Box
from tileserver.errors import InvalidRequest, shown
from tileserver.notebook.connection import Connection
from tileserver.notebook.views import MAX_ZOOM, centre_of, zoom_of

_LOWEST_PX, _HIGHEST_PX = 100, 4000


@dataclass(frozen=True)
class MapSettings:
    """The arguments of `show` that are about the map as a whole."""

    center: tuple[float, float]
    """Latitude and longitude."""
    zoom: int
    height: int
    """Pixels."""
    basemap: Any
    connection: Connection
    fit: Box | None
    """What is shown at first, in degrees; None if the user chose centre or zoom."""


def settings_of(
    box: Box,
    maxzoom: int,
    center: Sequence[float] | None,
    zoom: int | None,
    height: int,
    basemap: Any,
    connection: Connection,
) -> MapSettings:
    """Return the settings of a map around a box; `maxzoom` is the highest zoom to begin with.

    Raises:
        InvalidRequest: a number is out of range.
    """
    if isinstance(height, bool) or not isinstance(height, int):
        raise InvalidRequest(f"height: expected pixels as a whole number, got {shown(height)}")
    if not _LOWEST_PX <= height <= _HIGHEST_PX:
        raise InvalidRequest(f"height: expected {_LOWEST_PX} to {_HIGHEST_PX} pixels, got {height}")
    if zoom is not None and not 0 <= zoom <= MAX_ZOOM:
        raise InvalidRequest(f"zoom: expected a number from 0 to {MAX_ZOOM}, got {shown(zoom)}")
    fit = box if center is None and zoom is None else None
    return MapSettings(
        center=centre_of(box) if center is None else _place(center),
        zoom=zoom_of(box, height, maxzoom) if zoom is None else int(zoom),
        height=height,
        basemap=basemap,
        connection=connection,
        fit=fit,
    )


def _place(center: Sequence[float]) -> tuple[float, float]:
    try:
        latitude, longitude = map(float, center)
    except (TypeError, ValueError) as exc:
        raise InvalidRequest(
            f"center: expected (latitude, longitude), got {shown(center)}"
        ) from exc
    if not (-90 <= latitude <= 90 and -360 <= longitude <= 360):
        raise InvalidRequest(f"center: expected (latitude, longitude), got {shown(center)}")
    return latitude, longitude
