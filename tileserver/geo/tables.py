"""A table: features with geometries in degrees, its properties as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
import shapely.geometry
from numpy.typing import NDArray

_OBJECT_BYTES = 60
_POINT_BYTES = 16
_SHAPE_BYTES = 300
ID_LENGTH = 20
"""Hexadecimal digits of the ids that Earth Engine gives to features without one."""


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one property."""

    values: NDArray[Any]
    """Shape (n,): int64, float64, or objects: texts, booleans, lists, numbers of several kinds."""
    valid: NDArray[np.bool_]
    """Where the feature has the property."""

    @property
    def type_name(self) -> str:
        """Earth Engine's name of the type."""
        if self.values.dtype != object:
            return "Long" if self.values.dtype == np.int64 else "Float"
        kinds = {type(each) for each in self.values[self.valid][:1000]}
        return "String" if kinds <= {str} else "Object"

    def value(self, row: int) -> Any:
        """Return the value of a row; None if it has none."""
        if not self.valid[row]:
            return None
        found = self.values[row]
        return found.item() if isinstance(found, np.generic) else found


@dataclass(frozen=True)
class Table:
    """The features of a file at one moment."""

    name: str
    """Full name of the asset."""
    version: str
    update_time: str
    """RFC 3339."""
    size_bytes: int
    """Of the file."""
    geometries: NDArray[Any]
    """Shape (n,): shapely's geometries in degrees, in the file's order; None for none."""
    columns: Mapping[str, Column]
    ids: tuple[str, ...] | None = field(default=None, repr=False)
    """`system:index` of the features; None is their places in hexadecimal digits."""

    def __len__(self) -> int:
        """Return how many features there are."""
        return len(self.geometries)

    def id(self, row: int) -> str:
        """Return the `system:index` of a feature."""
        return f"{row:0{ID_LENGTH}x}" if self.ids is None else self.ids[row]

    def properties(self, row: int) -> dict[str, Any]:
        """Return the properties of a feature, without those it has not."""
        return {
            name: column.value(row) for name, column in self.columns.items() if column.valid[row]
        }

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The index of the boxes of the geometries; made at the first use."""
        return shapely.STRtree(self.geometries)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north of all geometries; None if there are none."""
        west, south, east, north = map(float, shapely.total_bounds(self.geometries))
        return (west, south, east, north) if np.isfinite([west, south]).all() else None

    @cached_property
    def held_bytes(self) -> int:
        """An estimate of its size in memory."""
        points = int(shapely.get_num_coordinates(self.geometries).sum())
        size = _SHAPE_BYTES * len(self) + 2 * _POINT_BYTES * points
        for column in self.columns.values():
            size += column.values.nbytes + column.valid.nbytes
            if column.values.dtype == object:
                texts = sum(len(each) for each in column.values if isinstance(each, str))
                size += _OBJECT_BYTES * len(self) + texts
        return size


def rows_meeting(table: Table, region: Any) -> list[int]:
    """Return the places of the features that have a point in common with a region in degrees."""
    return sorted(table.tree.query(region, predicate="intersects").tolist())


def feature_json(table: Table, row: int) -> dict[str, Any]:
    """Return a feature as GeoJSON."""
    shape = table.geometries[row]
    return {
        "type": "Feature",
        "id": table.id(row),
        "geometry": None if shape is None else shapely.geometry.mapping(shape),
        "properties": table.properties(row),
    }
