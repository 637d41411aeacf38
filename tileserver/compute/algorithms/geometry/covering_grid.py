"""`Geometry.coveringGrid`: the cells of a grid that a geometry meets."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.compute.algorithms.geometry.projections import at_scale
from tileserver.compute.context import MAX_ELEMENTS, check_length
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, Feature
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import INDEX, Projection
from tileserver.errors import InvalidRequest

_MOST_TESTED = 1_000_000


@algorithm(
    "Geometry.coveringGrid(geometry: Geometry, proj: Projection, scale: Float = null)"
    " -> FeatureCollection"
)
def covering_grid(geometry: Geometry, projection: Projection, scale: float | None) -> Collection:
    """Return the pixels of a projection that a geometry meets, each a rectangle."""
    lattice = projection if scale is None else at_scale(projection, scale)
    moved = geometry.in_projection(lattice).shape
    if moved.is_empty:
        return Collection("FeatureCollection", ())
    left, low, right, high = moved.bounds
    if not (right - left + 2) * (high - low + 2) < _MOST_TESTED:
        raise InvalidRequest("The grid is too fine for the geometry; expected a larger scale.")
    columns, rows = _indexes(left, right), _indexes(low, high)
    x, y = (each.ravel() for each in np.meshgrid(columns, rows))
    cells = shapely.box(x, y, x + 1, y + 1)
    shapely.prepare(moved)
    met = np.flatnonzero(shapely.intersects(moved, cells))
    check_length(len(met), MAX_ELEMENTS, "cells of the grid that the geometry meets")
    features = (_cell(cells[i], int(x[i]), int(y[i]), lattice) for i in met)
    return Collection("FeatureCollection", tuple(features))


def _indexes(low: float, high: float) -> NDArray[np.int64]:
    """Return the indexes of the pixels between two positions along an axis, at least one."""
    return np.arange(math.floor(low), max(math.ceil(high), math.floor(low) + 1))


def _cell(shape: shapely.Polygon, column: int, row: int, lattice: Projection) -> Feature:
    name = f"{column},{row}"
    return Feature(Geometry(shape, lattice, False), {INDEX: name}, name)
