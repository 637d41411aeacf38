"""Segments of an image: pixels of one value that touch each other, with their outlines.

GDAL's polygonizer finds them (rasterio.features.shapes). Its memory grows with the edges between
segments, which are counted first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes

from tileserver.compute.budget import out_of_memory
from tileserver.compute.context import Context
from tileserver.compute.pixels.regions import Region, chunks
from tileserver.compute.values.columns import Column
from tileserver.compute.values.image import Band
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest

MOST_PIXELS, MOST_EDGES, MOST_SEGMENTS = 25_000_000, 1_500_000, 100_000
"""Of the box around a region, between pixels of different segments, and of segments."""
_LOOK_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Labelled:
    """The pixels of a region: labels on their grid, and the rows of other bands."""

    grid: PixelGrid
    labels: NDArray[np.int32]
    """Shape (height, width): a number for each value, below 0 outside of the region or masked."""
    values: NDArray[Any]
    """The value of each label, shape (count,)."""
    places: NDArray[np.int64]
    """Of each row of the columns, its pixel counted along the rows of the grid."""
    columns: list[Column]
    """One a band after the first."""


def labelled(
    context: Context, bands: Sequence[Band], region: Region, tile_scale: float
) -> Labelled:
    """Return the pixels of bands in a region, the first of which tells segments apart; blocks.

    Raises:
        InvalidRequest: there are too many, or it takes too much time.
    """
    grid = region.grid
    if grid.width * grid.height > MOST_PIXELS:
        raise out_of_memory()
    found = np.zeros((grid.height, grid.width), np.int64)
    inside = np.zeros(found.shape, bool)
    places, parts = [], []
    for chunk in chunks(context, bands, region, False, tile_scale):
        row, column = _offset(chunk.grid, grid)
        part = (slice(row, row + chunk.grid.height), slice(column, column + chunk.grid.width))
        label, *others = chunk.columns
        known = np.zeros(chunk.inside.shape, bool)
        known[chunk.inside] = label.valid
        inside[part] = known
        found[part][known] = label.values[label.valid].astype(np.int64)
        rows, columns = np.nonzero(known)
        places.append((rows + row) * grid.width + columns + column)
        parts.append([each.at(label.valid) for each in others])
        if sum(each.nbytes for each in places) * (1 + len(others)) > 8 * MOST_PIXELS:
            raise out_of_memory()
    values, codes = np.unique(found[inside], return_inverse=True)
    labels = np.full(found.shape, -1, np.int32)
    labels[inside] = codes
    joined = [_joined([part[i] for part in parts]) for i in range(len(bands) - 1)]
    at = np.concatenate([np.zeros(0, np.int64), *places])
    return Labelled(grid, labels, values, at, joined)


def _offset(piece: PixelGrid, whole: PixelGrid) -> tuple[int, int]:
    """Return the row and column of a piece's first pixel within the whole grid."""
    t = piece.transform
    column, row = whole.transform.inverse().apply(t.translate_x, t.translate_y)
    return round(row), round(column)


def _joined(parts: list[Column]) -> Column:
    if not parts:
        return Column(np.zeros(0), np.zeros(0, bool))
    return Column(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.valid for part in parts]),
    )


def outlined(
    context: Context, found: Labelled, is_eight_connected: bool
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return each segment's polygon in pixels of the grid, shape (count,), and its label.

    Raises:
        InvalidRequest: they are too many.
    """
    labels = found.labels
    edges = np.count_nonzero(labels[1:] != labels[:-1])
    edges += np.count_nonzero(labels[:, 1:] != labels[:, :-1])
    if edges > MOST_EDGES:
        raise out_of_memory()
    context.budget.spend(labels.size)
    polygons: list[Any] = []
    codes: list[int] = []
    for polygon, code in _traced(labels, 8 if is_eight_connected else 4):
        if len(polygons) % _LOOK_EVERY == 0:
            context.budget.check_time()
        if len(polygons) >= MOST_SEGMENTS:
            raise out_of_memory()
        polygons.append(polygon)
        codes.append(int(code))
    return np.array(polygons, object), np.array(codes, np.int32)


def _traced(labels: NDArray[np.int32], connectivity: int) -> Iterator[tuple[Any, float]]:
    for geojson, code in shapes(labels, mask=labels >= 0, connectivity=connectivity):
        outer, *inner = geojson["coordinates"]
        yield shapely.Polygon(outer, inner), code


def rows_by_segment(found: Labelled, polygons: NDArray[Any]) -> list[NDArray[np.int64]]:
    """Return the rows of the columns that each segment has."""
    if not len(polygons):
        return []
    numbers = np.zeros(found.labels.shape, np.int32)
    for start in range(0, len(polygons), _LOOK_EVERY):
        check_time()
        some = polygons[start : start + _LOOK_EVERY]
        rasterize(zip(some, range(start + 1, start + 1 + len(some)), strict=True), out=numbers)
    owners = numbers.ravel()[found.places] - 1
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(len(polygons) + 1))
    return [order[a:b] for a, b in pairwise(starts)]


def middles(found: Labelled, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the middle of each segment's pixels, shape (count, 2), in pixels of the grid."""
    width = found.grid.width
    places = [found.places[each] for each in rows]
    return np.array([[(at % width).mean() + 0.5, (at // width).mean() + 0.5] for at in places])


def check_whole(band: Band) -> None:
    """Raise InvalidRequest unless a band is of an integer type, as labels are."""
    if band.type.precision != "int":
        raise InvalidRequest(
            f"The first band must have an integer type, such as that of toInt(); '{band.id[:60]}' "
            f"is {band.type.precision}."
        )
