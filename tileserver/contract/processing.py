"""What a request asks for between the reading of bands and their drawing.

Earth Engine's getPixels has none of it: it is for tiles, pictures, points and statistics. The
steps of a `Processing` follow each other in the order of its fields.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum

from tileserver.contract.drawing import ColorClass, Shading, Stretch

_MAKERS = ("expression",)
"""The fields that make bands of others."""


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

    nodata: float | None = None
    """The value of pixels that are masked, beside those of the file's own nodata value."""
    resampling: Resampling | None = None
    unscale: bool | None = None
    """Whether values become value * scale + offset, as the file has these."""
    expression: str | None = None
    """A formula over the bands, by their names, which makes one band."""
    stretch: Stretch | None = None
    """How the range of a picture is measured; a complete layer has none."""
    shading: Shading | None = None
    """The curve of a picture."""
    classes: tuple[ColorClass, ...] | None = None
    """The colours of a picture of one band, instead of a range; other values do not show."""

    def over(self, base: Processing) -> Processing:
        """Return these steps, unset ones taken from `base`; one that makes bands replaces all."""
        if self.classes:
            base = replace(base, stretch=None, shading=None)
        if self.stretch:
            base = replace(base, classes=None)
        if self.makes:
            base = replace(base, **dict.fromkeys(_MAKERS))
        unset = [each.name for each in fields(self) if getattr(self, each.name) is None]
        return replace(self, **{name: getattr(base, name) for name in unset})

    @property
    def effective(self) -> Processing | None:
        """The steps without those that change nothing; None if none is left."""
        is_nearest = self.resampling is Resampling.NEAREST
        found = replace(self, resampling=None) if is_nearest else self
        found = replace(found, unscale=found.unscale or None)
        return None if found == Processing() else found

    @property
    def reading(self) -> Processing | None:
        """The steps that are done while bands are read; None if there are none."""
        return Processing(nodata=self.nodata, resampling=self.resampling).effective

    @property
    def of_values(self) -> Processing | None:
        """The steps that decide values, whatever the grid and the picture; None without any."""
        drawing = {"stretch": None, "shading": None, "classes": None}
        return replace(self, resampling=None, **drawing).effective

    @property
    def changes_looks(self) -> bool:
        """Whether a picture is another one, whatever the grid."""
        return replace(self, resampling=None).effective is not None

    @property
    def makes(self) -> tuple[str, ...]:
        """The ids of the bands that it makes of others; none if they stay as they are."""
        return ("expression",) if self.expression is not None else ()
