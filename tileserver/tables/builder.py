"""Collects the features of a file into a table, within limits.

A table is in memory as a whole, so a file is refused before it takes too much: by the number of
its features, their points, its columns and its cells.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time
from tileserver.errors import UnreadableRaster
from tileserver.geo.tables import Column

MAX_FEATURES = 1_000_000
MAX_POINTS = 10_000_000
"""Of all geometries."""
MAX_SHAPE_POINTS = 1_000_000
"""https://developers.google.com/earth-engine/guides/table_upload has the same limit."""
MAX_COLUMNS = 1000
"""That of Earth Engine, too."""
MAX_CELLS = 20_000_000
MAX_TEXT = 1_000_000
"""Characters of one value."""
_MAX_TEXTS = 200_000_000
_MAX_INT = 2**63
_CHECK_EVERY = 256

INDEX = "system:index"


@dataclass
class Builder:
    """The features of a file that have been read so far."""

    name: str
    """What to call the file in errors."""
    geometries: list[Any] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    points: int = 0
    characters: int = 0
    _columns: dict[str, list[Any]] = field(default_factory=dict)

    def add(
        self, geometry: Any, properties: Mapping[str, Any], feature_id: str | None = None
    ) -> None:
        """Add a feature.

        Raises:
            UnreadableRaster: there are too many, or they are too large.
        """
        row = len(self.geometries)
        if row % _CHECK_EVERY == 0:
            check_time()
        if row >= MAX_FEATURES:
            raise self._too_large(f"it has more than {MAX_FEATURES:,} features")
        if geometry is not None:
            self._count_points(geometry, row)
        self.geometries.append(geometry)
        for name, value in properties.items():
            if name == INDEX:
                feature_id = str(value) if value is not None else feature_id
            elif value is not None:
                self._put(row, name, value)
        self.ids.append(feature_id)

    def _count_points(self, geometry: Any, row: int) -> None:
        count = int(shapely.get_num_coordinates(geometry))
        self.points += count
        if count > MAX_SHAPE_POINTS:
            raise self._too_large(f"feature {row} has more than {MAX_SHAPE_POINTS:,} points")
        if self.points > MAX_POINTS:
            raise self._too_large(f"its features have more than {MAX_POINTS:,} points")

    def _put(self, row: int, name: str, value: Any) -> None:
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= MAX_COLUMNS:
                raise self._too_large(f"it has more than {MAX_COLUMNS:,} columns")
            column = self._columns[name] = []
        if len(self._columns) * (row + 1) > MAX_CELLS:
            raise self._too_large(f"it has more than {MAX_CELLS:,} values")
        column += [None] * (row - len(column))
        found = self._plain(value, row, name)
        if len(column) == row:
            column.append(found)
        else:
            column[row] = found

    def _plain(self, value: Any, row: int, name: str) -> Any:
        """Return a value as a property has it; None for NaN and infinities."""
        match value:
            case str():
                pass
            case bool() | int():
                return value if -_MAX_INT <= value < _MAX_INT else float(value)
            case float():
                return value if math.isfinite(value) else None
            case list() if all(isinstance(e, str | int | float | None) for e in value):
                self._count_text(12 * len(value), row, name)
                return value
            case _:
                # Properties of Earth Engine's tables hold no objects.
                value = json.dumps(value, ensure_ascii=False)
        self._count_text(len(value), row, name)
        return value

    def _count_text(self, characters: int, row: int, name: str) -> None:
        self.characters += characters
        if characters > MAX_TEXT:
            raise self._too_large(
                f"column {name[:60]!r} of feature {row} has more than {MAX_TEXT:,} characters"
            )
        if self.characters > _MAX_TEXTS:
            raise self._too_large(f"its texts have more than {_MAX_TEXTS:,} characters")

    def _too_large(self, problem: str) -> UnreadableRaster:
        return UnreadableRaster(f"{self.name}: {problem}.")

    def shapes(self) -> NDArray[Any]:
        """Return the geometries without heights, shape (n,)."""
        found = np.empty(len(self.geometries), dtype=object)
        found[:] = self.geometries
        return np.asarray(shapely.force_2d(found), dtype=object)

    def columns(self, has_texts: bool = False) -> dict[str, Column]:
        """Return the properties by name, in the order in which they came.

        Args:
            has_texts: whether a column of texts that are numbers is one of numbers.
        """
        count = len(self.geometries)
        found = {}
        for name, values in self._columns.items():
            check_time()
            values += [None] * (count - len(values))
            found[name] = column_of((has_texts and _numbers(values)) or values)
        return found

    def unique_ids(self) -> tuple[str, ...] | None:
        """Return the features' own ids, if all have one and no two the same."""
        ids = tuple(each for each in self.ids if each is not None)
        is_whole = len(ids) == len(self.ids) and len(set(ids)) == len(ids)
        return ids if ids and is_whole else None


def _numbers(texts: list[Any]) -> list[Any] | None:
    """Return texts as numbers; None if one of them is none."""
    for kind in (int, float):
        try:
            found = [None if each is None else _number(each, kind) for each in texts]
        except (ValueError, TypeError):
            continue
        if all(each is None or (math.isfinite(each) and abs(each) < _MAX_INT) for each in found):
            return found
    return None


def _number(text: Any, kind: type[int] | type[float]) -> int | float:
    """Return a text as a number; Python's own digits and underscores make none."""
    if not text.isascii() or "_" in text:
        raise ValueError
    return kind(text)


def column_of(values: list[Any]) -> Column:
    """Return values as a column; None is none."""
    valid = np.array([each is not None for each in values], np.bool_)
    kinds = {type(each) for each in values} - {type(None)}
    if kinds and kinds <= {int, float}:
        dtype = np.int64 if kinds == {int} else np.float64
        return Column(np.array([each or 0 for each in values], dtype), valid)
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return Column(found, valid)
