"""Pictures of tables: where their features lie, and which of their bands are which colours."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from tileserver.contract.assets import ImageAsset
from tileserver.contract.band_notes import BandNotes
from tileserver.contract.drawn_tables import DrawnTable
from tileserver.contract.grids import Box
from tileserver.contract.true_color import COLORS
from tileserver.errors import UnreadableRaster
from tileserver.expressions.document import Computed

_TURN = 360.0
_LEAST_DEG = 1e-4
"""Sides of the bounds of a single point, about ten metres."""


class Placed(Protocol):
    """A table that knows where it lies."""

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north in degrees; None without any geometry."""
        ...


def placed_table(name: str, computed: Computed, table: Placed) -> Computed:
    """Return a picture with the bounds of its features.

    Raises:
        UnreadableRaster: none of them has a geometry.
    """
    if table.bounds is None:
        raise UnreadableRaster(f"{name}: none of its features has a geometry: nothing to draw.")
    return replace(computed, bounds=_bounds(*table.bounds))


def _bounds(west: float, south: float, east: float, north: float) -> Box:
    """Return bounds on the Earth, west > east if they go across the antimeridian."""
    south, north = (min(max(each, -90.0), 90.0) for each in (south, north))
    grown_x = max(_LEAST_DEG - (east - west), 0.0) / 2
    grown_y = max(_LEAST_DEG - (north - south), 0.0) / 2
    west, east = west - grown_x, east + grown_x
    south, north = max(south - grown_y, -90.0), min(north + grown_y, 90.0)
    if east - west >= _TURN:
        return Box(-180.0, south, 180.0, north)
    if west < -180 or east > 180:
        west, east = ((each + 180) % _TURN - 180 for each in (west, east))
    return Box(west, south, east, north)


def as_picture(asset: ImageAsset, table: DrawnTable | None) -> ImageAsset:
    """Return an image as the picture of a table; itself if it is of none."""
    if table is None:
        return asset
    bands = (
        replace(band, notes=BandNotes(color=color))
        for band, color in zip(asset.bands, COLORS, strict=True)
    )
    return replace(asset, bands=tuple(bands), table=table)
