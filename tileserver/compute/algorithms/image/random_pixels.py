"""Images of random numbers and random colours: `Image.random` and `Image.randomVisualizer`.

Source: the reference pages of both. The service's generator is not documented, so its numbers
cannot be repeated. Decided: a pixel's number is a hash of the seed and of the pixel's place in
the lattice of the output, counted from the origin of its CRS. So it does not depend on the tile
or the piece it is computed in, and another scale gives other numbers. A colour is a hash of the
value.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.nodes import Apply, ApplyOnGrid, Pixels, full_mask
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import DEFAULT_PROJECTION, Band, Image, named
from tileserver.compute.values.pixel_type import BYTE, PixelType
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest, shown

_WEYL = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_APART = 0.318309886
"""Of a pixel: lattices that are off by nothing or by half a pixel are counted far from a tie."""
_IDS = ("viz-red", "viz-green", "viz-blue")

Hashes = NDArray[np.uint64]


def mixed(numbers: Hashes) -> Hashes:
    """Return the hashes of 64-bit numbers, with the finalizer of SplitMix64 (Steele 2014)."""
    found = (numbers ^ (numbers >> np.uint64(30))) * _MIX_1
    found = (found ^ (found >> np.uint64(27))) * _MIX_2
    return found ^ (found >> np.uint64(31))


def shares(hashes: Hashes) -> NDArray[np.float64]:
    """Return hashes as numbers from 0 to just below 1."""
    found: NDArray[np.float64] = (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def lattice_places(grid: PixelGrid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each column's and row's place, counted from the CRS's origin along the pixels.

    Shapes (width,) and (height,). A grid and its windows have the same places for a pixel.
    """
    t = grid.transform
    inverse = replace(t, translate_x=0.0, translate_y=0.0).inverse()
    column, row = inverse.apply(t.translate_x, t.translate_y)
    starts = [int(np.clip(np.floor(each + _APART), -(2**60), 2**60)) for each in (column, row)]
    return starts[0] + np.arange(grid.width), starts[1] + np.arange(grid.height)


def pixel_hashes(grid: PixelGrid, seed: int) -> Hashes:
    """Return a hash of a seed and each pixel's place, shape (height, width)."""
    columns, rows = lattice_places(grid)
    start = mixed(np.array((seed + _WEYL) % 2**64, np.uint64))
    down = mixed(rows.astype(np.uint64) ^ start)
    return mixed(mixed(down[:, np.newaxis] + np.uint64(_WEYL)) ^ columns.astype(np.uint64))


@algorithm('Image.random(seed: Long = 0, distribution: String = "uniform") -> Image')
def random(seed: int, distribution: str) -> Image:
    """Return a random number at each pixel, from 0 to below 1, or of the normal distribution.

    The numbers are those of a seed and a pixel's place, but not those of Earth Engine's servers.
    """
    if distribution not in ("uniform", "normal"):
        raise InvalidRequest(f"distribution must be uniform or normal, got {shown(distribution)}.")
    is_normal = distribution == "normal"

    def compute(grid: PixelGrid) -> Pixels:
        first = shares(pixel_hashes(grid, seed))
        if not is_normal:
            return Pixels(first, full_mask(grid))
        # Box and Muller 1958; 1 - first is never zero.
        angle = 2 * np.pi * shares(mixed(pixel_hashes(grid, seed) + np.uint64(_WEYL)))
        return Pixels(np.sqrt(-2 * np.log(1 - first)) * np.cos(angle), full_mask(grid))

    type_ = PixelType("double") if is_normal else PixelType("double", 0, 1)
    return Image((Band("random", type_, DEFAULT_PROJECTION, None, ApplyOnGrid(compute)),))


@algorithm("Image.randomVisualizer(image: Image) -> Image")
def random_visualizer(image: Image) -> Image:
    """Return a random colour for each value of the first band, then all bands of the image.

    The colours are in viz-red, viz-green and viz-blue, of 8 bits each, masked as the first band.
    """
    if not image.bands:
        raise InvalidRequest("An image without bands has no values.")
    first = image.bands[0]

    def band(place: int) -> Band:
        node = Apply(lambda pixels: _color(pixels, 8 * place), (first.node,))
        return replace(first, id=_IDS[place], type=BYTE, node=node)

    bands = [*map(band, range(3)), *image.bands]
    return image.derived(named(bands, [each.id for each in bands]))


def _color(pixels: Pixels, shift: int) -> Pixels:
    """Return eight bits of the hash of each value, from `shift` on."""
    # Minus zero is zero.
    bits = (pixels.values.astype(np.float64) + 0.0).view(np.uint64)
    found = mixed(mixed(bits + np.uint64(_WEYL)))
    return Pixels((found >> np.uint64(shift)).astype(np.uint8), pixels.mask)
