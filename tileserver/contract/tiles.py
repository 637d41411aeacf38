"""XYZ tile addresses and the Web-Mercator grids they stand for, exactly.

The addresses are mercantile's: y counts southward from the north edge, as in the URL.
"""

from __future__ import annotations

import math

import numpy as np
from mercantile import Tile as Tile
from mercantile import children, minmax, parent, xy_bounds
from numpy.typing import NDArray

from tileserver.contract.grids import AffineTransform, Box, PixelGrid
from tileserver.errors import TileOutOfRange

MAX_ZOOM = 24
"""The deepest zoom served; a pixel is 9 mm at the equator."""
HALF_WORLD_M = 20037508.342789244
"""Half the width of EPSG:3857 in metres."""
WEB_MERCATOR = "EPSG:3857"
MAX_LATITUDE = 85.0511287798066
"""Degrees; the limit of Web Mercator."""


def tile_at(x: int, y: int, z: int) -> Tile:
    """Return the tile of an address.

    Raises:
        TileOutOfRange: z is outside 0..24, or x or y outside 0..2**z - 1.

    >>> tile_at(1, 0, 1)
    Tile(x=1, y=0, z=1)
    """
    if not 0 <= z <= MAX_ZOOM:
        raise TileOutOfRange(f"zoom must be 0 to {MAX_ZOOM}, got {z}")
    _, last = minmax(z)
    if not (0 <= x <= last and 0 <= y <= last):
        raise TileOutOfRange(f"zoom {z} has x and y in 0 to {last}, got x={x} and y={y}")
    return Tile(x, y, z)


def pixel_m(zoom: int, size: int = 256) -> float:
    """Return the side of a pixel in EPSG:3857 metres, for tiles of `size` pixels."""
    # From the zoom alone: right - left differs between neighbours by rounding.
    return math.ldexp(2 * HALF_WORLD_M / size, -zoom)


def tile_grid(tile: Tile, size: int = 256) -> PixelGrid:
    """Return the EPSG:3857 grid of a tile, `size` pixels on each side.

    The corner is mercantile's; the side of a pixel comes from the zoom alone, so that neighbours
    meet without a seam.

    >>> tile_grid(tile_at(1, 0, 1)).transform.translate_x
    0.0
    """
    side, box = pixel_m(tile.z, size), xy_bounds(tile)
    transform = AffineTransform.north_up(box.left, box.top, side, side)
    return PixelGrid(size, size, transform, WEB_MERCATOR)


def tiles_beside(tile: Tile, side: int) -> list[Tile]:
    """Return the square of tiles that a tile lies in, aligned to multiples of its side.

    Args:
        tile: a tile of the square.
        side: tiles on a side, a power of two; all of a zoom that has fewer.

    >>> tiles_beside(tile_at(5, 2, 3), 2)[0]
    Tile(x=4, y=2, z=3)
    """
    zoom = max(tile.z - side.bit_length() + 1, 0)
    if zoom == tile.z:
        return [tile]
    return sorted(children(parent(tile, zoom=zoom), zoom=tile.z), key=lambda each: each[1::-1])


def tiles_within(box: Box, zoom: int) -> tuple[range, range]:
    """Return the columns and rows of the tiles of a zoom that a box in degrees touches.

    Columns of a box across the antimeridian go beyond the last one; they count on from there.

    >>> tiles_within(Box(0.0, -10.0, 10.0, 0.0), 2)
    (range(2, 3), range(2, 3))
    """
    west, south, east, north = mercator_box(box)
    side, last = pixel_m(zoom, 1), 2**zoom - 1

    def span(low_m: float, high_m: float, most: int) -> range:
        first = min(max(math.floor(low_m / side + 1e-9), 0), most)
        # A box that ends where a tile begins does not touch it.
        end = min(max(math.ceil(high_m / side - 1e-9), first + 1), most + 1)
        return range(first, end)

    columns = span(west + HALF_WORLD_M, east + HALF_WORLD_M, 2 * last + 1)
    return columns[: last + 1], span(HALF_WORLD_M - north, HALF_WORLD_M - south, last)


def mercator_box(box: Box) -> Box:
    """Return a box in degrees as one in EPSG:3857 metres, its latitudes clipped to the map."""
    west, south, east, north = box.unrolled()
    west, east = (degrees * HALF_WORLD_M / 180 for degrees in (west, east))
    return Box(west, mercator_y(south), east, mercator_y(north))


def mercator_y(latitude: float) -> float:
    """Return the EPSG:3857 y of a latitude in degrees, clipped to the map.

    >>> mercator_y(0.0)
    0.0
    """
    clipped = math.radians(min(max(latitude, -MAX_LATITUDE), MAX_LATITUDE))
    return math.asinh(math.tan(clipped)) * HALF_WORLD_M / math.pi


def mercator_ys(latitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the EPSG:3857 y of latitudes in degrees, clipped to the map."""
    clipped = np.radians(np.clip(latitudes, -MAX_LATITUDE, MAX_LATITUDE))
    return np.asarray(np.arcsinh(np.tan(clipped)) * (HALF_WORLD_M / np.pi))


def tile_of(grid: PixelGrid) -> tuple[Tile, int] | None:
    """Return the tile and size that a grid stands for, or None; inverse of `tile_grid`.

    >>> tile_of(tile_grid(tile_at(3, 5, 4), 512))
    (Tile(x=3, y=5, z=4), 512)
    """
    size, side = grid.width, grid.transform.scale_x
    if side <= 0 or grid.height != size or grid.crs_code != WEB_MERCATOR:
        return None
    zoom = round(math.log2(2 * HALF_WORLD_M / side / size)) if size else -1
    if not 0 <= zoom <= MAX_ZOOM:
        return None
    x = round((grid.transform.translate_x + HALF_WORLD_M) / (size * side))
    y = round((HALF_WORLD_M - grid.transform.translate_y) / (size * side))
    _, last = minmax(zoom)
    if not (0 <= x <= last and 0 <= y <= last):
        return None
    tile = Tile(x, y, zoom)
    return (tile, size) if tile_grid(tile, size) == grid else None


def native_zoom(native_pixel_m: float, size: int = 256) -> int:
    """Return the smallest zoom whose pixels are no larger than a size in EPSG:3857 metres.

    >>> native_zoom(30.0)
    13
    """
    zoom = math.ceil(math.log2(2 * HALF_WORLD_M / (size * native_pixel_m)) - 1e-9)
    return min(max(zoom, 0), MAX_ZOOM)
