"""A mosaic as it is known at one moment: its files, which of them meet a place, in which order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box, PixelGrid
from tileserver.contract.tiles import HALF_WORLD_M, WEB_MERCATOR
from tileserver.contract.times import TimeRange
from tileserver.geo.box_table import BoxTable
from tileserver.geo.crs import WGS84
from tileserver.geo.extents import grid_boxes
from tileserver.mosaics.members import Members
from tileserver.mosaics.selection import Rule, ranks

_WORLD = Box(-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A mosaic at one moment."""

    members: Members
    asset: ImageAsset
    rule: Rule

    @cached_property
    def places(self) -> BoxTable:
        """Finds files by place."""
        return BoxTable(self.members.boxes)

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """The place of each file in the order of the rule."""
        return ranks(self.rule, self.members)

    def meeting(
        self, grid: PixelGrid, band_ids: tuple[str, ...], times: TimeRange | None = None
    ) -> NDArray[np.int64]:
        """Return the numbers of the files that may show on a grid, in the order of the rule.

        Files without one of the bands are left out, and those not taken in `times`, if given.
        """
        found = self.places.touching(degree_boxes(grid))
        if times is not None:
            starts_s = self.members.starts_s[found]
            # NaN, of a file without a time, is in none.
            found = found[(starts_s >= times.start_s) & (starts_s < times.end_s)]
        found = found[self._have(band_ids, self.members.profile_numbers[found])]
        ordered: NDArray[np.int64] = found[np.argsort(self.ranks[found], kind="stable")]
        return ordered

    def _have(
        self, band_ids: tuple[str, ...], profile_numbers: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Return which files, by the numbers of their profiles, have all of some bands."""
        used, places = np.unique(profile_numbers, return_inverse=True)
        profiles = (self.members.profiles[number] for number in used.tolist())
        wanted = set(band_ids)
        has_all = [wanted <= {band for band, _ in each} for each in profiles]
        return np.array(has_all, np.bool_)[places]

    def prepare(self) -> None:
        """Make the tables that all requests need, so that none has to wait for them."""
        self.places.touching([])
        assert len(self.ranks) == len(self.members)


def degree_boxes(grid: PixelGrid) -> tuple[Box, ...]:
    """Return boxes in degrees, from -180 to 180, that together hold a grid."""
    t = grid.transform
    if grid.crs_code == WEB_MERCATOR and not (t.shear_x or t.shear_y):
        west, south, east, north = grid.box
        if west >= -HALF_WORLD_M * (1 + 1e-9) and east <= HALF_WORLD_M * (1 + 1e-9):
            per_m = 180 / HALF_WORLD_M
            return (Box(west * per_m, latitude(south), east * per_m, latitude(north)),)
    boxes = grid_boxes(grid, WGS84)
    if not all(math.isfinite(value) for box in boxes for value in box):
        return (_WORLD,)
    return boxes


def latitude(y: float) -> float:
    """Return the latitude in degrees of a y of EPSG:3857.

    >>> latitude(0.0)
    0.0
    """
    try:
        return math.degrees(math.atan(math.sinh(y * math.pi / HALF_WORLD_M)))
    except OverflowError:
        return math.copysign(90.0, y)
