"""Algorithms of terrain, as `gdaldem` has them, and elevations as colours.

The slope of a pixel is Horn's (1981), from its eight neighbours; where one of them is masked, so
is the pixel. Sides of pixels are those on the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.contract.processing import Processing, Terrain
from tileserver.processing.ground import sides_m

AZIMUTH, ALTITUDE, INTERVAL_M = 315.0, 45.0, 100.0
Heights = NDArray[np.float64]
Valid = NDArray[np.bool_]


@dataclass(frozen=True)
class ByTerrain:
    """A `Maker` of the bands of an algorithm, of one band of elevations."""

    steps: Processing
    band_ids: tuple[str, ...]

    @property
    def margin_px(self) -> int:
        """The neighbours that it needs."""
        return 0 if self.steps.algorithm in (Terrain.TERRARIUM, Terrain.MAPBOX) else 1

    def make(self, bands: BandArrays, grid: PixelGrid) -> BandArrays:
        """Return the bands of the algorithm; blocks."""
        heights, valid = bands.values[0].astype(np.float64), bands.valid[0].copy()
        valid &= np.isfinite(heights)
        heights[~valid] = 0
        values, shown = self._made(heights, valid, grid)
        return BandArrays((), values, np.broadcast_to(shown, values.shape))

    def _made(
        self, heights: Heights, valid: Valid, grid: PixelGrid
    ) -> tuple[NDArray[np.generic], Valid]:
        steps = self.steps
        match steps.algorithm:
            case Terrain.TERRARIUM:
                return terrarium(heights), valid
            case Terrain.MAPBOX:
                return mapbox(heights), valid
            case Terrain.CONTOURS:
                return contours(heights, valid, steps.interval or INTERVAL_M)
        across, down = sides_m(grid)
        east, south = gradients(heights, across[1:-1], down[1:-1])
        factor = 1.0 if steps.z_factor is None else steps.z_factor
        shown = all_around(valid)
        if steps.algorithm is Terrain.HILLSHADE:
            azimuth = AZIMUTH if steps.azimuth is None else steps.azimuth
            altitude = ALTITUDE if steps.altitude is None else steps.altitude
            return hillshade(east * factor, south * factor, azimuth, altitude)[None], shown
        if steps.algorithm is Terrain.SLOPE:
            steep = np.degrees(np.arctan(np.hypot(east, south) * factor))
            return steep.astype(np.float32)[None], shown
        is_sloped = (east != 0) | (south != 0)
        return aspect(east, south)[None], shown & is_sloped


def gradients(heights: Heights, across_m: Heights, down_m: Heights) -> tuple[Heights, Heights]:
    """Return the rise towards the east and towards the south, in metres a metre.

    Of the pixels that have all neighbours: two columns and rows fewer than `heights` has.
    """
    z = heights
    west = z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
    east = z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]
    north = z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
    south = z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]
    return (east - west) / (8 * across_m), (south - north) / (8 * down_m)


def hillshade(east: Heights, south: Heights, azimuth: float, altitude: float) -> NDArray[np.uint8]:
    """Return shades from 1, dark, to 255.

    Args:
        east: the rise towards the east.
        south: the rise towards the south.
        azimuth: of the light, in degrees clockwise from the north.
        altitude: of the light, in degrees above the horizon.
    """
    height, turn = np.radians(altitude), np.radians(azimuth)
    towards = -east * np.sin(turn) + south * np.cos(turn)
    light = np.sin(height) + np.cos(height) * towards
    light /= np.sqrt(1 + east**2 + south**2)
    shades: NDArray[np.uint8] = (1.5 + 254 * np.clip(light, 0, 1)).astype(np.uint8)
    return shades


def aspect(east: Heights, south: Heights) -> NDArray[np.float32]:
    """Return the direction that slopes face, in degrees clockwise from the north."""
    degrees = np.degrees(np.arctan2(-east, south)) % 360
    # A remainder may round up to the whole turn.
    facing: NDArray[np.float32] = np.where(degrees >= 360, 0, degrees).astype(np.float32)
    return np.where(facing >= 360, np.float32(0), facing)


def contours(
    heights: Heights, valid: Valid, interval_m: float
) -> tuple[NDArray[np.float32], Valid]:
    """Return the elevation of the contour line in each pixel that has one; others are masked.

    A line runs through a pixel if it passes between it and the next one to the east or the south.
    """
    steps = np.floor(heights / interval_m)
    here, seen = steps[1:-1, 1:-1], valid[1:-1, 1:-1]
    highest, is_line = here.copy(), np.zeros(here.shape, np.bool_)
    for down, across in ((slice(1, -1), slice(2, None)), (slice(2, None), slice(1, -1))):
        beside = steps[down, across]
        crosses = (beside != here) & valid[down, across]
        is_line |= crosses
        highest = np.where(crosses, np.maximum(highest, beside), highest)
    return (highest * interval_m).astype(np.float32)[None], is_line & seen


def terrarium(heights: Heights) -> NDArray[np.uint8]:
    """Return red, green and blue of elevations: red * 256 + green + blue / 256 - 32768 metres."""
    whole = np.floor((heights + 32768) * 256)
    return _bytes(np.clip(whole, 0, 2**24 - 1))


def mapbox(heights: Heights) -> NDArray[np.uint8]:
    """Return red, green and blue of elevations: -10000 + 0.1 * the number of 24 bits, in metres."""
    return _bytes(np.clip(np.floor((heights + 10000) * 10 + 0.5), 0, 2**24 - 1))


def _bytes(numbers: Heights) -> NDArray[np.uint8]:
    whole = numbers.astype(np.uint32)
    return np.stack([(whole >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)])


def all_around(valid: Valid) -> Valid:
    """Return where a pixel and its eight neighbours are valid, without the outermost ones."""
    rows = valid[:-2] & valid[1:-1] & valid[2:]
    return np.asarray(rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:])
