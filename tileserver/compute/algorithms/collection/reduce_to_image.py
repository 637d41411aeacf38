"""Features to an image: a reducer over the properties of all features that meet a pixel.

Google says of `reduceToImage` that it takes "all the features that intersect each pixel"
(apidocs/ee-featurecollection-reducetoimage): a pixel that an area's edge touches counts too. A
pixel without features is masked. The result has pixels of one degree and no bounds: it is computed
in the projection of the output.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.algorithms.image.arithmetic import fitted
from tileserver.compute.algorithms.image.painting import placed_elements
from tileserver.compute.budget import Budget, out_of_memory
from tileserver.compute.context import check_length
from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixels.coverage import shares
from tileserver.compute.pixels.drawn_shapes import Shapes
from tileserver.compute.pixels.rasterize import near, past_edges
from tileserver.compute.registry import algorithm
from tileserver.compute.values.columns import Column, column_of
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import DEFAULT_PROJECTION, Band, Image
from tileserver.compute.values.pixel_type import DOUBLE, PixelType
from tileserver.compute.values.reducer import Output, Reducer
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import Box, PixelGrid, Window
from tileserver.errors import InvalidRequest, shown

_MOST_HELD = 30_000_000
"""Of features at pixels, over one piece of an image."""
_LEAST_SHARE = 1e-9
"""Of a pixel that an area meets; less is rounding."""
_DRAWING_S = 10.0
"""Seconds for one piece."""


@algorithm(
    "Collection.reduceToImage(collection: FeatureCollection, properties: List, reducer: Reducer)"
    " -> Image"
)
def reduce_to_image(collection: Collection, names: Sequence[Any], reducer: Reducer) -> Image:
    """Return an image of a reducer's results over the features that meet each pixel."""
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise InvalidRequest(f"Expected names of properties, got {shown(wrong[0])}.")
    reducer.check_inputs(len(names), "properties")
    placed = placed_elements(collection)
    columns = [column_of(each.properties.get(name) for each, _ in placed) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.values.dtype == object:
            raise InvalidRequest(f"Property '{name[:60]}' of the features is not a number.")
    met = _Met(Shapes(tuple(geometry for _, geometry in placed)))
    return Image(tuple(_band(output, columns, met) for output in reducer.outputs))


def _band(output: Output, columns: Sequence[Column], met: _Met) -> Band:
    if output.reduce_stacks is None:
        raise InvalidRequest(f"The reducer's output '{output.name}' is no number for a pixel.")
    type_ = output.type_of(DOUBLE)
    takes = [columns[place] for place in output.takes]

    def compute(grid: PixelGrid) -> Pixels:
        return _reduced(output, type_, takes, met.on(grid), grid)

    return Band(output.name, type_, DEFAULT_PROJECTION, None, ApplyOnGrid(compute))


def _reduced(
    output: Output, type_: PixelType, takes: Sequence[Column], met: _Pairs, grid: PixelGrid
) -> Pixels:
    """Return an output over the features of each pixel, masked where there are none."""
    size = grid.height * grid.width
    values = np.zeros(size, type_.dtype)
    mask = np.zeros(size, np.float32)
    keeps = np.logical_and.reduce([column.valid[met.features] for column in takes])
    pixels, features = met.pixels[keeps], met.features[keeps]
    if len(pixels):
        touched, starts, counts = np.unique(pixels, return_index=True, return_counts=True)
        depth = int(counts.max())
        if depth * len(touched) > _MOST_HELD:
            raise out_of_memory()
        rank = np.arange(len(pixels)) - np.repeat(starts, counts)
        at = (rank, np.repeat(np.arange(len(touched)), counts))
        valid = np.zeros((depth, len(touched)), bool)
        valid[at] = True
        stacks = []
        for column in takes:
            stack = np.zeros(valid.shape, np.float64)
            stack[at] = column.values[features]
            stacks.append(stack)
        assert output.reduce_stacks is not None
        found, is_there = output.reduce_stacks(stacks, valid)
        values[touched] = fitted(np.asarray(found), type_)
        mask[touched] = is_there
    return Pixels(values.reshape(grid.height, grid.width), mask.reshape(grid.height, grid.width))


@dataclass(frozen=True)
class _Pairs:
    """Which feature meets which pixel, in order of pixels, then of features."""

    pixels: NDArray[np.int64]
    features: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Met:
    """Geometries and the pixels that they meet."""

    shapes: Shapes

    def on(self, grid: PixelGrid) -> _Pairs:
        """Return the pairs on a grid."""
        budget = Budget(time.monotonic() + _DRAWING_S)
        pixels: list[NDArray[np.int64]] = []
        features: list[NDArray[np.int64]] = []
        count = 0
        for place, parts in enumerate(self.shapes.parts_in(grid.crs_code)):
            budget.check_time()
            found = [_touched(part, grid) for part in near(parts, grid, 1)]
            if not found:
                continue
            pixels.append(np.unique(np.concatenate(found)))
            features.append(np.full(len(pixels[-1]), place, np.int64))
            count += len(pixels[-1])
            check_length(count, _MOST_HELD, "pixels of features")
        if not pixels:
            return _Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
        together, owners = np.concatenate(pixels), np.concatenate(features)
        order = np.argsort(together, kind="stable")
        return _Pairs(together[order], owners[order])


def _touched(part: BaseGeometry, grid: PixelGrid) -> NDArray[np.int64]:
    """Return the pixels of a grid that a point, line or polygon meets, counted along the rows."""
    is_area = part.geom_type == "Polygon"
    part = part if is_area else past_edges(part, grid)
    window = grid.transform.covering(Box(*part.bounds)).intersection(grid.whole)
    if window is None:
        return np.zeros(0, np.int64)
    if is_area:
        there = shares([part], grid.window(window), _LEAST_SHARE) > 0
    else:
        there = _crossed(part, grid, window)
    rows, columns = np.nonzero(there)
    found: NDArray[np.int64] = (rows + window.row) * grid.width + columns + window.column
    return found


def _crossed(part: BaseGeometry, grid: PixelGrid, window: Window) -> NDArray[np.bool_]:
    """Return which pixels of a window a point or line meets."""
    inverse = grid.transform.inverse()
    placed = shapely.transform(
        part, lambda points: np.column_stack(inverse.apply(points[:, 0], points[:, 1]))
    )
    found = np.zeros((window.height + 2, window.width + 2), bool)
    left, top = window.column - 1, window.row - 1
    if part.geom_type == "Point":
        near = [placed]
    else:
        right, bottom = left + window.width + 2, top + window.height + 2
        near = list(shapely.get_parts(shapely.clip_by_rect(placed, left, top, right, bottom)))
    for each in near:
        check_time()
        columns, rows = np.floor(_within_cells(shapely.get_coordinates(each))).astype(np.int64).T
        rows, columns = rows - top, columns - left
        is_near = (rows >= 0) & (columns >= 0)
        is_near &= (rows < found.shape[0]) & (columns < found.shape[1])
        found[rows[is_near], columns[is_near]] = True
    return found[1:-1, 1:-1]


def _within_cells(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a point of a line within each cell of the unit grid that it goes through."""
    if len(points) < 2:
        return points
    start, stop = points[:-1], points[1:]
    shares_, legs = [np.zeros(len(start)), np.ones(len(start))], [np.arange(len(start))] * 2
    for axis in (0, 1):
        low, high = np.minimum(start, stop)[:, axis], np.maximum(start, stop)[:, axis]
        first = np.ceil(low)
        count = np.where(high > low, np.floor(high) - first + 1, 0).astype(np.int64)
        check_length(int(count.sum()), _MOST_HELD, "pixels of features")
        leg = np.repeat(np.arange(len(start)), count)
        rank = np.arange(len(leg)) - np.repeat(np.cumsum(count) - count, count)
        length = (stop - start)[leg, axis]
        shares_.append((first[leg] + rank - start[leg, axis]) / length)
        legs.append(leg)
    share, leg = np.concatenate(shares_), np.concatenate(legs)
    order = np.lexsort((share, leg))
    share, leg = share[order], leg[order]
    is_same = leg[1:] == leg[:-1]
    middle = ((share[1:] + share[:-1]) / 2)[is_same, np.newaxis]
    leg = leg[1:][is_same]
    found: NDArray[np.float64] = start[leg] + (stop - start)[leg] * middle
    return found
