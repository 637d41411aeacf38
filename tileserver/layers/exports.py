"""Which tiles the export of an area has: bounded, whole zooms from the lowest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tileserver.contract.grids import Box
from tileserver.contract.tiles import Tile, tile_grid, tiles_within
from tileserver.errors import InvalidRequest
from tileserver.layers.boxes import touches
from tileserver.layers.documents import bounds_without_antimeridian
from tileserver.layers.layers import Layer

MAX_TILES = 5000
"""Of an export."""
_USUAL_TILES = 1500
"""Of one whose zooms are not given."""


@dataclass(frozen=True, slots=True)
class Export:
    """An area of a layer, at several zooms."""

    layer: Layer
    box: Box
    """Degrees; west > east crosses the antimeridian."""
    minzoom: int
    maxzoom: int

    @property
    def bounds(self) -> Box:
        """The box without the antimeridian, for documents."""
        return bounds_without_antimeridian(self.box)

    @property
    def center(self) -> tuple[float, float, int]:
        """Longitude and latitude of the middle, and a zoom for a first view of it."""
        west, south, east, north = self.box.unrolled()
        middle = (west + east) / 2
        zoom = max(
            (
                zoom
                for zoom in range(self.minzoom, self.maxzoom + 1)
                if max(map(len, tiles_within(self.box, zoom))) <= 3
            ),
            default=self.minzoom,
        )
        return middle - 360 if middle > 180 else middle, (south + north) / 2, zoom

    def tiles(self, zoom: int) -> Sequence[Tile]:
        """Return the tiles of a zoom in which the layer may show; bounded by the check of all."""
        columns, rows = tiles_within(self.box, zoom)
        side = 2**zoom
        every = (Tile(column % side, row, zoom) for column in columns for row in rows)
        return [tile for tile in every if self.layer.shows(tile_grid(tile))]


def _count(box: Box, zooms: range) -> int:
    return sum(len(columns) * len(rows) for columns, rows in (tiles_within(box, z) for z in zooms))


def export_of(layer: Layer, bbox: Box | None, maxzoom: int | None) -> Export:
    """Return the export of a box, or of all of a layer.

    Args:
        layer: the layer.
        bbox: degrees; west > east crosses the antimeridian.
        maxzoom: the highest zoom; else the layer's own, or the highest with few enough tiles.

    Raises:
        InvalidRequest: the layer is elsewhere, there would be too many tiles, or the zoom is not
            one of the layer's.
    """
    if bbox is not None and not touches(layer.bounds, bbox):
        sides = ",".join(f"{degrees:g}" for degrees in layer.bounds)
        raise InvalidRequest(f"bbox: nothing shows in it; expected a part of {sides}")
    box, low = bbox or layer.bounds, layer.minzoom
    if maxzoom is None:
        high = layer.maxzoom
        while high > low and _count(box, range(low, high + 1)) > _USUAL_TILES:
            high -= 1
        return Export(layer, box, low, _fewer(box, low, high))
    if maxzoom < low:
        raise InvalidRequest(f"maxzoom: expected {low} or more, as the layer has it, got {maxzoom}")
    if (count := _count(box, range(low, maxzoom + 1))) > MAX_TILES:
        fitting = _fewer(box, low, maxzoom)
        raise InvalidRequest(
            f"maxzoom: {maxzoom} makes {count} tiles of the box, and an export has at most "
            f"{MAX_TILES}; expected maxzoom={fitting} or a smaller bbox"
        )
    return Export(layer, box, low, maxzoom)


def _fewer(box: Box, low: int, high: int) -> int:
    """Return the highest zoom with which there are few enough tiles.

    Raises:
        InvalidRequest: the lowest one alone has too many.
    """
    for zoom in range(high, low - 1, -1):
        if _count(box, range(low, zoom + 1)) <= MAX_TILES:
            return zoom
    raise InvalidRequest(
        f"bbox: has more than {MAX_TILES} tiles at zoom {low}; expected a smaller one"
    )
