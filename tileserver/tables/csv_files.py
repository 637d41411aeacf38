"""CSV: a header and a feature a row, with longitude and latitude, WKT, or GeoJSON in `.geo`.

A column whose values all are numbers is one of numbers, as in
https://developers.google.com/earth-engine/guides/table_upload; an empty cell is no value. A file
without any of the columns of places has features without geometry, as there.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import shapely

from tileserver.errors import UnreadableRaster, shown
from tileserver.tables.geojson import Read, geometry_of
from tileserver.tables.wkb import shape_of_text

MAX_BYTES = 200_000_000
_MAX_COLUMNS = 1000
_MAX_CELL = 20_000_000
"""Characters, also of a row; a polygon of a million points has as many."""
_LONGITUDES = ("longitude", "lon", "long", "lng", "x")
_LATITUDES = ("latitude", "lat", "y")
_WKT = ("wkt", "geometry", "geom", "the_geom", "shape")
_GEOJSON = ".geo"
_DELIMITERS = ",;\t|"
_SAMPLE = 4096

Place = Callable[[Sequence[str], int], Any]


def features(content: bytes, name: str) -> Iterator[Read]:
    """Yield the features of a file; texts that are numbers stay texts.

    Raises:
        UnreadableRaster: it is no CSV, or a place is malformed; says which.
    """
    csv.field_size_limit(_MAX_CELL)
    lines = _Lines(content, name)
    rows = csv.reader(lines, delimiter=_delimiter(content))
    try:
        header = _header(next(rows, []), name)
        place, used = _place_of(header, name)
        kept = [(i, each) for i, each in enumerate(header) if i not in used]
        for number, row in enumerate(rows):
            lines.characters = 0
            if row:
                values = {each: row[i] for i, each in kept if i < len(row) and row[i] != ""}
                yield Read(place(row, number), values)
    except UnicodeDecodeError as exc:
        raise UnreadableRaster(f"{name}: it is no text in UTF-8.") from exc
    except csv.Error as exc:
        raise UnreadableRaster(f"{name}: it is no CSV: {exc}.") from exc


class _Lines:
    """Yields the lines of a file, and counts the characters since a row was begun."""

    def __init__(self, content: bytes, name: str) -> None:
        self.characters = 0
        self._lines = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")
        self._name = name

    def __iter__(self) -> Iterator[str]:
        # The reader makes a string of each cell of a row before anyone can count them.
        while line := self._lines.readline(_MAX_CELL + 1):
            self.characters += len(line)
            if self.characters > _MAX_CELL:
                raise UnreadableRaster(
                    f"{self._name}: a row has more than {_MAX_CELL:,} characters."
                )
            yield line


def _delimiter(content: bytes) -> str:
    """Return what stands between the names of the header most often."""
    header = content[:_SAMPLE].decode("utf-8", "ignore").partition("\n")[0]
    return max(_DELIMITERS, key=header.count)


def _header(row: Sequence[str], name: str) -> list[str]:
    """Return the names of the columns, no two the same."""
    if len(row) > _MAX_COLUMNS:
        raise UnreadableRaster(f"{name}: it has more than {_MAX_COLUMNS} columns.")
    header = [each.strip() for each in row]
    if not any(header):
        raise UnreadableRaster(f"{name}: expected a header with the names of columns.")
    if double := next((each for each in header if header.count(each) > 1), None):
        raise UnreadableRaster(f"{name}: two columns are named {double[:60]!r}.")
    return header


def _place_of(header: Sequence[str], name: str) -> tuple[Place, frozenset[int]]:
    """Return what makes the geometry of a row, and the columns that it takes."""
    lower = [each.lower() for each in header]

    def find(names: Sequence[str]) -> int | None:
        return next((lower.index(each) for each in names if each in lower), None)

    if _GEOJSON in lower:
        at = lower.index(_GEOJSON)
        return lambda row, number: _geojson(_cell(row, at), f"{name}: row {number}"), frozenset(
            (at,)
        )
    lon, lat = find(_LONGITUDES), find(_LATITUDES)
    if lon is not None and lat is not None:
        used = frozenset((lon, lat))
        return lambda row, number: _point(row, lon, lat, f"{name}: row {number}"), used
    at_wkt = find(_WKT)
    if at_wkt is not None:
        return lambda row, number: _wkt(_cell(row, at_wkt), f"{name}: row {number}"), frozenset(
            (at_wkt,)
        )
    return lambda row, number: None, frozenset()


def _cell(row: Sequence[str], at: int) -> str:
    return row[at].strip() if at < len(row) else ""


def _geojson(text: str, name: str) -> Any:
    if not text:
        return None
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UnreadableRaster(f"{name}: {_GEOJSON} is no GeoJSON: {shown(text)}.") from exc
    is_points = isinstance(members, Mapping) and members.get("type") == "MultiPoint"
    if is_points and not members.get("coordinates"):
        # Earth Engine writes a feature without a geometry so.
        return None
    return geometry_of(members, name)


def _point(row: Sequence[str], lon: int, lat: int, name: str) -> Any:
    x, y = _cell(row, lon), _cell(row, lat)
    if not x and not y:
        return None
    try:
        found = float(x), float(y)
    except ValueError:
        found = (math.nan, math.nan)
    if not all(map(math.isfinite, found)):
        raise UnreadableRaster(f"{name}: expected numbers of degrees, got {shown((x, y))}.")
    return shapely.Point(found)


def _wkt(text: str, name: str) -> Any:
    if not text:
        return None
    if text.startswith("{"):
        return _geojson(text, name)
    return shape_of_text(text.partition(";")[2] if text[:5] == "SRID=" else text, name)
