"""Shadows cast by terrain, and hollows filled.

Decided where Google is silent:

- A shadow is looked for pixel by pixel along the ray towards the light, as far as
  `neighborhoodSize`; 0 stands for 256 pixels. Steps are as long as a pixel on the ground. With
  hysteresis two steps in a row have to be above the ray. Rows must go south, as the rays are
  straight lines of the grid.
- Hollows are filled in blocks of 256 pixels and a margin of `neighborhood` around each, from whose
  edges water leaves. It leaves through masked pixels too, unless `borderValue` says how high these
  are; water moves to all eight neighbours.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import place_of
from tileserver.compute.algorithms.image.terrain import elevation_of
from tileserver.compute.context import check_length
from tileserver.compute.nodes import Pixels
from tileserver.compute.pixels.blocks import InBlocks
from tileserver.compute.pixels.ground import pixel_sides
from tileserver.compute.pixels.neighbourhoods import Around, Margins
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Image, map_bands
from tileserver.compute.values.pixel_type import BOOLEAN
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest

_BLOCK = 256
_MOST_MARGIN = 256
_MOST_STEPS = 1024


def hill_shadow(
    image: Image, azimuth: float, zenith: float, size: int, has_hysteresis: bool
) -> Image:
    """Return 1 where the light reaches the ground and 0 where it lies in shadow."""
    if size < 0:
        raise InvalidRequest(f"neighborhoodSize must be 0 or more, got {size}.")
    steps = size or _BLOCK
    check_length(steps, _MOST_STEPS, "pixels of a neighborhood")
    band = elevation_of(image)
    places = _ray(azimuth, steps)
    margins = (
        max(0, -min(column for column, _ in places)),
        max(0, -min(row for _, row in places)),
        max(0, max(column for column, _ in places)),
        max(0, max(row for _, row in places)),
    )
    lit = partial(
        _lit, places, margins, 1 / math.tan(math.radians(zenith) or 1e-12), has_hysteresis
    )
    node = Around((band.node,), margins, lit, work=steps)
    return Image((replace(band, id="shadow", type=BOOLEAN, node=node),), place_of(image))


for _name in ("Terrain.hillShadow", "HillShadow"):
    algorithm(
        f"{_name}(image: Image, azimuth: Float, zenith: Float, neighborhoodSize: Integer = 0.0,"
        " hysteresis: Boolean = false) -> Image"
    )(hill_shadow)


def _ray(azimuth: float, steps: int) -> list[tuple[int, int]]:
    """Return the columns and rows of the pixels towards the light, from the nearest."""
    turn = math.radians(azimuth % 360)
    x, y = math.sin(turn), -math.cos(turn)
    return [(round(step * x), round(step * y)) for step in range(1, steps + 1)]


def _lit(
    places: list[tuple[int, int]],
    margins: Margins,
    rise: float,
    has_hysteresis: bool,
    grid: PixelGrid,
    pixels: Pixels,
) -> Pixels:
    """Return whether each pixel is lit, by rays that rise so many metres a metre."""
    heights = np.where(pixels.mask > 0, pixels.values, -np.inf).astype(np.float64)
    left, top = margins[:2]

    def view(array: NDArray[np.float64], column: int, row: int) -> NDArray[np.float64]:
        rows = slice(top + row, top + row + grid.height)
        return array[rows, left + column : left + column + grid.width]

    pixel_m = np.sqrt(pixel_sides(grid).area_m2)
    ground = view(heights, 0, 0)
    hidden, before = np.zeros(ground.shape, bool), np.ones(ground.shape, bool)
    for step, (column, row) in enumerate(places, 1):
        check_time()
        above = view(heights, column, row) > ground + step * rise * pixel_m
        hidden |= above & before
        if has_hysteresis:
            before = above
    mask = pixels.mask[top : top + grid.height, left : left + grid.width]
    return Pixels((~hidden).astype(np.uint8), mask)


@algorithm(
    "FMask.fillMinima(image: Image, borderValue: Long = null, neighborhood: Integer = 50.0)"
    " -> Image"
)
@algorithm(
    "Terrain.fillMinima(image: Image, borderValue: Long = null, neighborhood: Integer = 50.0)"
    " -> Image"
)
def fill_minima(image: Image, border: int | None, neighborhood: int) -> Image:
    """Return elevations whose hollows are filled as high as water would stand in them."""
    if not 0 <= neighborhood <= _MOST_MARGIN:
        raise InvalidRequest(
            f"neighborhood must be from 0 to {_MOST_MARGIN} pixels, got {neighborhood}."
        )
    if wrong := [band for band in image.bands if band.type.precision != "int"]:
        raise InvalidRequest(
            f"Band '{wrong[0].id}' is {wrong[0].type.precision}; expected whole numbers."
        )
    fill = partial(_filled, -math.inf if border is None else float(border), neighborhood)
    return map_bands(
        image,
        lambda band: replace(
            band,
            node=InBlocks(band.node, _BLOCK, neighborhood, fill, band.type.dtype, 400),
        ),
    )


def _filled(border: float, margin: int, pixels: Pixels) -> Pixels:
    heights = np.where(pixels.mask > 0, pixels.values, border).astype(np.float64)
    found = water_level(heights)
    inner = tuple(slice(margin, side - margin) for side in found.shape)
    return Pixels(found[inner], pixels.mask[inner])


def water_level(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the heights that water stands at, which leaves over the edges of the array.

    It falls from above, everywhere but at the edges, to the least level among a pixel's neighbours
    or to the ground (Planchon and Darboux, 2002).
    """
    from scipy import ndimage

    level = np.full(heights.shape, np.inf)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        level[edge] = heights[edge]
    level[np.isneginf(heights)] = -np.inf
    while True:
        check_time()
        lowest = ndimage.minimum_filter(level, 3, mode="nearest")
        fallen = np.maximum(heights, lowest)
        if (fallen == level).all():
            return level
        level = np.minimum(level, fallen)
