"""The features of a stored table, each made when it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.feature import Feature
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import INDEX
from tileserver.geo.tables import Column, Table

_TURN = 360.0
_MARGIN_DEG = 1e-9


class StoredFeatures(Sequence[Feature]):
    """Some rows of a table as features, in the order of the file."""

    is_stored = True
    """It may be longer than a collection that is evaluated one by one."""

    def __init__(self, table: Table, rows: NDArray[np.int64] | None = None) -> None:
        """Offer rows of a table; None is all."""
        self.table = table
        self.rows = np.arange(len(table)) if rows is None else rows

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Feature: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Feature]: ...
    def __getitem__(self, place: int | slice) -> Feature | Sequence[Feature]:
        """Return a feature, or a part of them without making any."""
        if isinstance(place, slice):
            return StoredFeatures(self.table, self.rows[place])
        return self._feature(int(self.rows[place]))

    def __iter__(self) -> Iterator[Feature]:
        """Yield the features."""
        return map(self._feature, self.rows.tolist())

    def _feature(self, row: int) -> Feature:
        shape = self.table.geometries[row]
        # Edges of stored geometries are straight in longitude and latitude.
        geometry = None if shape is None else Geometry(shape, geodesic=False)
        return Feature(geometry, {**self.table.properties(row), INDEX: self.table.id(row)})

    def at(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> StoredFeatures:
        """Return the features at places, or those that a mask has."""
        return StoredFeatures(self.table, self.rows[places])

    def column(self, name: str) -> Column | None:
        """Return a property of these features; None if no feature of the table has it."""
        found = self.table.columns.get(name)
        return None if found is None else Column(found.values[self.rows], found.valid[self.rows])

    def near(self, shape: BaseGeometry) -> NDArray[np.bool_]:
        """Return which of them may meet a shape in degrees, by their boxes.

        Those without a geometry may; longitudes that differ by 360 degrees are the same.
        """
        west, south, east, north = shape.bounds
        found = np.asarray(shapely.is_missing(self.table.geometries))
        for turn in (-_TURN, 0.0, _TURN):
            box = shapely.box(
                west + turn - _MARGIN_DEG,
                south - _MARGIN_DEG,
                east + turn + _MARGIN_DEG,
                north + _MARGIN_DEG,
            )
            found[self.table.tree.query(box)] = True
        return np.asarray(found[self.rows], np.bool_)
