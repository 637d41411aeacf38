"""Layers in tile matrix sets: the zooms and the tiles in which they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tileserver.contract.grids import Box
from tileserver.contract.matrix_sets import TileMatrix, TileMatrixSet
from tileserver.contract.tiles import pixel_m
from tileserver.errors import TileOutOfRange
from tileserver.geo.tile_limits import TileLimits, boxes_of, tile_limits
from tileserver.layers.boxes import touches
from tileserver.layers.layers import Layer
from tileserver.layers.listed import ListedLayer

AnyLayer = Layer | ListedLayer
_SAME = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class MatrixLimits:
    """The tiles of one matrix in which a layer may show."""

    matrix: TileMatrix
    limits: TileLimits


def is_shown_in(layer: AnyLayer, matrix_set: TileMatrixSet) -> bool:
    """Tell whether documents name a set for a layer: whether it lies where its CRS may be used.

    A layer without a place on Earth is drawn on the usual map only.
    """
    if matrix_set.is_web_mercator:
        return True
    is_placed = not isinstance(layer, Layer) or not layer.no_place
    return is_placed and touches(layer.bounds, matrix_set.area)


def all_limits(layer: AnyLayer, matrix_set: TileMatrixSet) -> list[MatrixLimits]:
    """Return the tiles in which a layer may show, by zoom; may block for as long as PROJ takes."""
    return list(_all_limits(layer.bounds, zooms(layer, matrix_set), matrix_set))


@lru_cache(maxsize=4096)
def _all_limits(
    bounds: Box, indexes: tuple[int, int], matrix_set: TileMatrixSet
) -> tuple[MatrixLimits, ...]:
    boxes = boxes_of(bounds, matrix_set.crs_code)
    first, last = indexes
    matrices = matrix_set.matrices[first : last + 1]
    found = ((each, tile_limits(each, boxes)) for each in matrices)
    return tuple(MatrixLimits(each, limits) for each, limits in found if limits is not None)


def zooms(layer: AnyLayer, matrix_set: TileMatrixSet) -> tuple[int, int]:
    """Return the first and the last of a set's matrices that a layer has tiles in, by number.

    The last is the first one whose pixels are no larger than those of the layer on the ground.
    """
    if matrix_set.is_web_mercator:
        last = len(matrix_set.matrices) - 1
        return min(layer.minzoom, last), min(layer.maxzoom, last)
    _, south, _, north = layer.bounds
    shrink = math.cos(math.radians((south + north) / 2))
    first = _first_finer(matrix_set.matrices, pixel_m(layer.minzoom) * shrink)
    last = _first_finer(matrix_set.matrices, pixel_m(layer.maxzoom) * shrink)
    return (first if layer.minzoom else 0), last


def _first_finer(matrices: Sequence[TileMatrix], side_m: float) -> int:
    finer = (n for n, each in enumerate(matrices) if each.cell_m <= side_m * _SAME)
    return next(finer, len(matrices) - 1)


def check_within(
    layer: AnyLayer, matrix_set: TileMatrixSet, matrix: TileMatrix, column: int, row: int
) -> None:
    """Check that a tile is one that documents name; may block for as long as PROJ takes.

    Raises:
        TileOutOfRange: it is not.
    """
    for each in all_limits(layer, matrix_set):
        if each.matrix is matrix and each.limits.has(column, row):
            return
        if each.matrix is matrix:
            first_column, last_column, first_row, last_row = each.limits
            raise TileOutOfRange(
                f"{layer.name} has columns {first_column} to {last_column} and rows {first_row} "
                f"to {last_row} in zoom {matrix.id} of {matrix_set.id}, got column {column} and "
                f"row {row}"
            )
    raise TileOutOfRange(f"{layer.name} has no tiles in zoom {matrix.id} of {matrix_set.id}")
