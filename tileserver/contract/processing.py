"""What a request asks for between the reading of bands and their drawing.

Earth Engine's getPixels has none of it: it is for tiles, pictures, points and statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum


class Resampling(StrEnum):
    """How the pixels of a level make those of a grid, as `gdalwarp -r` has them."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    AVERAGE = "average"
    MODE = "mode"


@dataclass(frozen=True, slots=True)
class Processing:
    """The steps of a request; a None field is not set."""

    resampling: Resampling | None = None

    def over(self, base: Processing) -> Processing:
        """Return these steps, unset ones taken from `base`."""
        unset = [each.name for each in fields(self) if getattr(self, each.name) is None]
        return replace(self, **{name: getattr(base, name) for name in unset})

    @property
    def effective(self) -> Processing | None:
        """The steps without those that change nothing; None if none is left."""
        is_nearest = self.resampling is Resampling.NEAREST
        found = replace(self, resampling=None) if is_nearest else self
        return None if found == Processing() else found

    @property
    def reading(self) -> Processing | None:
        """The steps that are done while bands are read; None if there are none."""
        return Processing(resampling=self.resampling).effective
