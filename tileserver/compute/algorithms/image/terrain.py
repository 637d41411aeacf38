"""Terrain: slope, aspect and shade of elevations in metres.

The gradient is that of the four pixels beside each, over the sides of pixels on the ground
(apidocs/ee-terrain-slope: 4-connected neighbours; the outermost pixels have no value). Slopes are
degrees in [0, 90), aspects degrees in [0, 360), 0 north and 90 east (apidocs/ee-terrain-aspect).
Decided where Google is silent: level ground faces 0; a shade is 255 times the cosine between the
light and the surface's normal, as the guide on expressions computes it, without its fraction and 0
where it is negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import place_of
from tileserver.compute.nodes import Apply, Node, Pixels
from tileserver.compute.pixels.ground import pixel_sides
from tileserver.compute.pixels.neighbourhoods import Around
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, named
from tileserver.compute.values.pixel_type import BYTE, PixelType
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest

AZIMUTH, ELEVATION = 270.0, 45.0
_SLOPE, _ASPECT = PixelType("float", 0, 90), PixelType("float", 0, 360)

Rise = NDArray[np.float64]
"""Metres a metre."""


def elevation_of(image: Image) -> Band:
    """Return the only band, or the one named elevation.

    Raises:
        InvalidRequest: there is neither.
    """
    found = [band for band in image.bands if band.id == "elevation"]
    if len(image.bands) == 1 or found:
        return (found or list(image.bands))[0]
    raise InvalidRequest("Expected one band of elevations, or a band named 'elevation'.")


def ground_gradient(band: Band) -> Node:
    """Return a node of the rise towards the east and the north, arrays of shape (2, h, w)."""
    return Around((band.node,), (1, 1, 1, 1), _gradient, work=20)


def _gradient(grid: PixelGrid, pixels: Pixels) -> Pixels:
    z = pixels.values.astype(np.float64)
    across = (z[1:-1, 2:] - z[1:-1, :-2]) / 2
    down = (z[2:, 1:-1] - z[:-2, 1:-1]) / 2
    sides = pixel_sides(grid)
    area = sides.across_east_m * sides.down_north_m - sides.across_north_m * sides.down_east_m
    east = (across * sides.down_north_m - down * sides.across_north_m) / area
    north = (down * sides.across_east_m - across * sides.down_east_m) / area
    return Pixels(np.stack([east, north]), _mask_of_four(pixels.mask) * np.isfinite(area))


def _mask_of_four(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the least mask of each pixel and the four beside it."""
    beside = (mask[1:-1, 2:], mask[1:-1, :-2], mask[2:, 1:-1], mask[:-2, 1:-1])
    found: NDArray[np.float32] = np.minimum.reduce([mask[1:-1, 1:-1], *beside])
    return found


def slope_of(east: Rise, north: Rise) -> Rise:
    """Return the angle between the ground and the horizontal, in degrees."""
    found: Rise = np.degrees(np.arctan(np.hypot(east, north)))
    return found


def aspect_of(east: Rise, north: Rise) -> Rise:
    """Return the direction that the ground faces, in degrees clockwise from the north."""
    found = np.degrees(np.arctan2(-east, -north)) % 360
    # Level ground may give -0, a remainder the whole turn, also as float32.
    return np.where((found.astype(np.float32) >= 360) | ((east == 0) & (north == 0)), 0.0, found)


def shade_of(east: Rise, north: Rise, azimuth: float, elevation: float) -> Rise:
    """Return how bright the ground is, from 0 to 255, lit from an azimuth and an elevation."""
    height, turn = np.radians(elevation), np.radians(azimuth)
    towards = -(east * np.sin(turn) + north * np.cos(turn))
    light = (np.sin(height) + np.cos(height) * towards) / np.sqrt(1 + east**2 + north**2)
    found: Rise = np.clip(255 * light, 0, 255)
    return found


def _derived(
    band: Band, gradient: Node, name: str, found: PixelType, make: Callable[[Rise, Rise], Rise]
) -> Band:
    def compute(pixels: Pixels) -> Pixels:
        east, north = pixels.values
        return Pixels(make(east, north).astype(found.dtype), pixels.mask)

    return replace(band, id=name, type=found, node=Apply(compute, (gradient,)))


def _shaded(band: Band, gradient: Node, azimuth: float, elevation: float) -> Band:
    return _derived(
        band, gradient, "hillshade", BYTE, lambda e, n: shade_of(e, n, azimuth, elevation)
    )


@algorithm("Terrain.slope(input: Image) -> Image")
def slope(image: Image) -> Image:
    """Return the slope of elevations, in degrees."""
    band = elevation_of(image)
    found = _derived(band, ground_gradient(band), "slope", _SLOPE, slope_of)
    return Image((found,), place_of(image))


@algorithm("Terrain.aspect(input: Image) -> Image")
def aspect(image: Image) -> Image:
    """Return the aspect of elevations, in degrees clockwise from the north."""
    band = elevation_of(image)
    found = _derived(band, ground_gradient(band), "aspect", _ASPECT, aspect_of)
    return Image((found,), place_of(image))


@algorithm(
    "Terrain.hillshade(input: Image, azimuth: Float = 270.0, elevation: Float = 45.0) -> Image"
)
def hillshade(image: Image, azimuth: float, elevation: float) -> Image:
    """Return how bright the ground is when lit from a direction, from 0 to 255."""
    band = elevation_of(image)
    return Image((_shaded(band, ground_gradient(band), azimuth, elevation),), place_of(image))


def products(image: Image) -> Image:
    """Return an image with bands slope, aspect and hillshade of its elevations added."""
    band = elevation_of(image)
    gradient = ground_gradient(band)
    made = [
        _derived(band, gradient, "slope", _SLOPE, slope_of),
        _derived(band, gradient, "aspect", _ASPECT, aspect_of),
        _shaded(band, gradient, AZIMUTH, ELEVATION),
    ]
    bands = [*image.bands, *made]
    return image.derived(named(bands, [each.id for each in bands]))


for _name in ("Terrain.products", "Terrain"):
    algorithm(f"{_name}(input: Image) -> Image")(products)
