"""The processing of a request, between the reading of bands and their drawing.

Earth Engine's getPixels has none of it: it is for tiles, pictures, points and statistics. The
steps of a `Processing` follow each other in the order of its fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np

from tileserver.contract.drawing import ColorClass, Shading, Stretch
from tileserver.contract.geometries import Geometry

_MAKERS = ("expression", "algorithm", "like")
"""The fields that make bands of others; one of a request at most."""
OF_ALGORITHMS = ("azimuth", "altitude", "z_factor", "interval")
"""The fields that say more of an algorithm."""


class Resampling(StrEnum):
    """How the pixels of a level make those of a grid, as `gdalwarp -r` has them."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    AVERAGE = "average"
    MODE = "mode"


class Terrain(StrEnum):
    """Products of elevations, as `gdaldem` has them; the last two encode elevations as colours."""

    HILLSHADE = "hillshade"
    SLOPE = "slope"
    ASPECT = "aspect"
    CONTOURS = "contours"
    TERRARIUM = "terrarium"
    MAPBOX = "mapbox"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The fields of `OF_ALGORITHMS` that it has."""
        return _PARAMETERS.get(self, ())

    @property
    def is_color(self) -> bool:
        """Whether elevations become the red, green and blue that hold them exactly."""
        return self in (Terrain.TERRARIUM, Terrain.MAPBOX)


class Encoding(StrEnum):
    """How a picture holds the values of one band in its red, green and blue."""

    TERRARIUM = "terrarium"
    """red * 256 + green + blue / 256 - 32768."""
    MAPBOX = "mapbox"
    """-10000 + 0.1 * (red * 65536 + green * 256 + blue)."""


_PARAMETERS = {
    Terrain.HILLSHADE: ("azimuth", "altitude", "z_factor"),
    Terrain.SLOPE: ("z_factor",),
    Terrain.CONTOURS: ("interval",),
}


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
    algorithm: Terrain | None = None
    """A product of one band of elevations in metres."""
    azimuth: float | None = None
    """Of the light, in degrees clockwise from the north."""
    altitude: float | None = None
    """Of the light, in degrees above the horizon."""
    z_factor: float | None = None
    """Elevations are multiplied by it."""
    interval: float | None = None
    """Metres between contour lines."""
    like: tuple[float, float] | None = None
    """Longitude and latitude in degrees of the pixel that others are compared with."""
    threshold: float | None = None
    """Pixels that are less like it are masked."""
    keeps_fractions: bool | None = None
    """Whether resampled integers are not rounded, as more is computed of them."""
    clip: Geometry | None = None
    """In degrees; pixels outside of it are masked."""
    stretch: Stretch | None = None
    """How the range of a picture is measured; a complete layer has none."""
    shading: Shading | None = None
    """The curve of a picture."""
    classes: tuple[ColorClass, ...] | None = None
    """The colours of a picture of one band, instead of a range; other values do not show."""
    relief: bool | None = None
    """Whether the colours of a picture of elevations are shaded by the light on them."""
    encoding: Encoding | None = None
    """How a picture of one band holds its values, instead of colours; see `encoded`."""
    without: tuple[str, ...] = ()
    """Fields that are not taken from the steps below these; those of a layer have none."""

    def over(self, base: Processing) -> Processing:
        """Return these steps, unset ones taken from `base`; one that makes bands replaces all."""
        base = base._lacking(self.without)
        if self.classes:
            base = replace(base, stretch=None, shading=None, relief=None)
        if self.stretch:
            base = replace(base, classes=None)
        if self.makes:
            base = base._lacking((*_MAKERS, *OF_ALGORITHMS, "threshold", "relief"))
        unset = [each.name for each in fields(self) if getattr(self, each.name) is None]
        return replace(self, **{name: getattr(base, name) for name in unset}, without=())

    def _lacking(self, names: Sequence[str]) -> Processing:
        unset: dict[str, Any] = dict.fromkeys(names)
        return replace(self, **unset)

    @property
    def effective(self) -> Processing | None:
        """The steps without those that change nothing; None if none is left."""
        # Terrain is interpolated unless the request says otherwise.
        is_nearest = self.resampling is Resampling.NEAREST and self.algorithm is None
        found = replace(self, resampling=None) if is_nearest else self
        found = replace(found, unscale=found.unscale or None)
        return None if found == Processing() else found

    @property
    def reading(self) -> Processing | None:
        """The steps that are done while bands are read; None if there are none."""
        how, is_terrain = self.resampling, self.algorithm is not None or bool(self.relief)
        is_color = self.algorithm is not None and self.algorithm.is_color
        if how is None and is_terrain and not is_color:
            how = Resampling.BILINEAR
        is_whole = how in (None, Resampling.NEAREST, Resampling.MODE) or not is_terrain
        fractions = self.keeps_fractions if is_whole else True
        return Processing(nodata=self.nodata, resampling=how, keeps_fractions=fractions).effective

    @property
    def of_values(self) -> Processing | None:
        """The steps that decide values, whatever the grid and the picture; None without any."""
        return replace(self.of_raw, resampling=None).effective if self.of_raw else None

    @property
    def of_raw(self) -> Processing | None:
        """The steps without those of pictures; None without any."""
        return self._lacking(("stretch", "shading", "classes", "relief", "encoding")).effective

    @property
    def changes_looks(self) -> bool:
        """Whether a picture has other values or colours, whatever the grid, area and light."""
        return replace(self, resampling=None, clip=None, relief=None).effective is not None

    @property
    def makes(self) -> tuple[str, ...]:
        """The ids of the bands that it makes of others; none if they stay as they are."""
        if self.algorithm is not None:
            is_color = self.algorithm.is_color
            return ("red", "green", "blue") if is_color else (self.algorithm.value,)
        if self.like is not None:
            return ("similarity",)
        return ("expression",) if self.expression is not None else ()

    @property
    def estimated_bytes(self) -> int:
        """An estimate of its memory; clients write most of it."""
        positions = sum(1 for _ in self.clip.positions()) if self.clip else 0
        quantiles = sum(map(len, self.shading.quantiles)) if self.shading else 0
        classes = len(self.classes or ())
        return 500 + len(self.expression or "") + 120 * positions + 32 * quantiles + 250 * classes

    def read_as(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the type in which bands of a type are read."""
        if not self.keeps_fractions or dtype.kind == "f":
            return dtype
        return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
