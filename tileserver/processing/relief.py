"""Shaded relief: the light on elevations, by which the colours of their picture are multiplied."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.processing.ground import sides_m
from tileserver.processing.terrain import ALTITUDE, AZIMUTH, all_around, gradients, hillshade
from tileserver.rendering.render import Picture

_FOOT_M = 0.3048
_DARKEST = 0.35


@dataclass(frozen=True)
class ByRelief:
    """A `Maker` that leaves one band of elevations as it is, and adds the light on it."""

    band_ids: tuple[str, ...]
    unit_m: float = 1.0
    """Metres in the unit of the elevations."""
    margin_px: int = 1
    """The neighbours that it needs."""

    def make(self, bands: BandArrays, grid: PixelGrid) -> BandArrays:
        """Return the elevations without the margin, and the light on them; blocks."""
        inner = slice(None), slice(1, -1), slice(1, -1)
        light = self._light(bands, grid)
        values, valid = bands.values[inner], bands.valid[inner]
        alpha = None if bands.alpha is None else bands.alpha[1:-1, 1:-1]
        return replace(bands, values=values, valid=valid, alpha=alpha, light=light)

    def _light(self, bands: BandArrays, grid: PixelGrid) -> NDArray[np.float32]:
        """Return the light relative to that on flat ground, which a pixel at an edge gets, too."""
        heights, valid = bands.values[0].astype(np.float64), bands.valid[0].copy()
        valid &= np.isfinite(heights)
        heights[~valid] = 0
        across, down = sides_m(grid)
        east, south = gradients(heights * self.unit_m, across[1:-1], down[1:-1])
        shades = hillshade(east, south, AZIMUTH, ALTITUDE)
        flat = float(hillshade(np.zeros((1, 1)), np.zeros((1, 1)), AZIMUTH, ALTITUDE)[0, 0])
        light = np.maximum(shades.astype(np.float32) / np.float32(flat), np.float32(_DARKEST))
        return np.where(all_around(valid), light, np.float32(1.0))


def relief_of(asset: ImageAsset, band_ids: tuple[str, ...]) -> ByRelief:
    """Return the maker for a band of elevations; those in feet are as high as in metres."""
    ids = band_ids or asset.band_ids[:1]
    unit = (asset.select(ids)[0].notes.unit or "").strip().lower()
    return ByRelief(ids, _FOOT_M if unit.startswith(("f", "us", "u.s")) else 1.0)


def lit(picture: Picture, light: NDArray[np.float32]) -> Picture:
    """Return a picture whose colours are multiplied by the light on each pixel."""
    color = picture.color if picture.color.ndim == 3 else picture.color[..., np.newaxis]
    shown = np.minimum(color * light[..., np.newaxis] + np.float32(0.5), np.float32(255.0))
    return Picture(shown.astype(np.uint8).reshape(picture.color.shape), picture.alpha)
