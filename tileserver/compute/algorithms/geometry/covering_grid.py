"""`Geometry.coveringGrid`: the cells of a grid that a geometry meets."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.algorithms.geometry.projections import at_scale
from tileserver.compute.context import MAX_ELEMENTS, Context, check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, Feature
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import INDEX, Projection
from tileserver.errors import InvalidRequest

_MOST_TESTED = 1_000_000
_TESTED_AT_ONCE = 10_000
"""Some tens of milliseconds, in which the deadline is not checked."""


@algorithm(
    "Geometry.coveringGrid(geometry: Geometry, proj: Projection, scale: Float = null)"
    " -> FeatureCollection"
)
def covering_grid(
    context: Context, geometry: Geometry, projection: Projection, scale: float | None
) -> Collection:
    """Return the pixels of a projection that a geometry meets, each a rectangle."""
    lattice = projection if scale is None else at_scale(projection, scale)
    moved = geometry.in_projection(lattice).shape
    if moved.is_empty:
        return Collection("FeatureCollection", ())
    left, low, right, high = moved.bounds
    if not (right - left + 2) * (high - low + 2) < _MOST_TESTED:
        raise InvalidRequest("The grid is too fine for the geometry; expected a larger scale.")
    columns, rows = _indexes(left, right), _indexes(low, high)
    shapely.prepare(moved)
    features: list[Feature] = []
    for start in range(0, len(columns) * len(rows), _TESTED_AT_ONCE):
        context.budget.check_time()
        end = min(start + _TESTED_AT_ONCE, len(columns) * len(rows))
        row, column = np.divmod(np.arange(start, end), len(columns))
        features += _met(moved, columns[column], rows[row], lattice)
        check_length(len(features), MAX_ELEMENTS, "cells of the grid that the geometry meets")
    return Collection("FeatureCollection", tuple(features))


def _met(
    shape: BaseGeometry, x: NDArray[np.int64], y: NDArray[np.int64], lattice: Projection
) -> list[Feature]:
    """Return the cells, by their left columns and lower rows, that a shape meets."""
    cells = shapely.box(x, y, x + 1, y + 1)
    met = np.flatnonzero(shapely.intersects(shape, cells))
    return [_cell(cells[i], int(x[i]), int(y[i]), lattice) for i in met]


def _indexes(low: float, high: float) -> NDArray[np.int64]:
    """Return the indexes of the pixels between two positions along an axis, at least one."""
    return np.arange(math.floor(low), max(math.ceil(high), math.floor(low) + 1))


def _cell(shape: shapely.Polygon, column: int, row: int, lattice: Projection) -> Feature:
    name = f"{column},{row}"
    return Feature(Geometry(shape, lattice, False), {INDEX: name})
