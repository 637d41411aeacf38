"""Shapefiles: geometries in a .shp, properties in the .dbf beside it.

https://www.esri.com/content/dam/esrisites/sitecore-archive/Files/Pdfs/library/whitepapers/pdfs/
shapefile.pdf. Heights and measures are left out. The .shx is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time
from tileserver.errors import UnreadableRaster
from tileserver.tables.builder import MAX_SHAPE_POINTS
from tileserver.tables.dbf import encoding_of, rows
from tileserver.tables.geojson import Read

MAX_BYTES = 1_000_000_000
PARTS = (".shp", ".dbf", ".prj", ".cpg")
_HEADER_BYTES = 100
_FILE_CODE = 9994
_CHECK_EVERY = 16
_FLAT = {0: 0, 1: 1, 3: 3, 5: 5, 8: 8, 11: 1, 13: 3, 15: 5, 18: 8, 21: 1, 23: 3, 25: 5, 28: 8}
"""Kinds without heights and measures, by all kinds that are read."""


def features(parts: Mapping[str, bytes], name: str, found: dict[str, Any]) -> Iterator[Read]:
    """Yield the features of a shapefile.

    Args:
        parts: contents of its files, by their suffixes in lower case.
        name: what to call it in an error.
        found: gets `crs`, the text of its .prj, if it has one.

    Raises:
        UnreadableRaster: it is damaged.
    """
    crs = parts.get(".prj", b"").decode("utf-8", "replace").strip("\0 \r\n\ufeff")
    if crs:
        found["crs"] = crs
    dbf = parts.get(".dbf")
    properties: Iterator[dict[str, Any] | None] = repeat({})
    if dbf is not None:
        properties = rows(dbf, encoding_of(parts.get(".cpg", b""), dbf), name)
    try:
        for shape, values in zip(_shapes(parts[".shp"], name), properties, strict=False):
            if values is not None:
                yield Read(shape, values)
    except (struct.error, ValueError, shapely.errors.ShapelyError) as exc:
        raise UnreadableRaster(f"{name}: its .shp is damaged.") from exc


def _shapes(content: bytes, name: str) -> Iterator[Any]:
    if len(content) < _HEADER_BYTES or struct.unpack_from(">i", content)[0] != _FILE_CODE:
        raise UnreadableRaster(f"{name}: its .shp is no shapefile.")
    at = _HEADER_BYTES
    while at + 12 <= len(content):
        (words,) = struct.unpack_from(">i", content, at + 4)
        record = content[at + 8 : at + 8 + 2 * words]
        at += 8 + 2 * words
        if words < 2 or at > len(content):
            raise ValueError("the record reaches past the end")
        (kind,) = struct.unpack_from("<i", record)
        if kind not in _FLAT:
            raise UnreadableRaster(f"{name}: shapes of kind {kind} are not read.")
        yield _MAKERS[_FLAT[kind]](record)


def _nothing(record: bytes) -> Any:
    return None


def _point(record: bytes) -> Any:
    return shapely.Point(struct.unpack_from("<2d", record, 4))


def _multi_point(record: bytes) -> Any:
    (count,) = struct.unpack_from("<i", record, 36)
    points = _coordinates(record, 40, count)
    return shapely.MultiPoint(points)


def _coordinates(record: bytes, at: int, count: int) -> NDArray[np.float64]:
    return np.frombuffer(record, "<f8", 2 * count, at).reshape(count, 2)


def _parts(record: bytes) -> list[NDArray[np.float64]]:
    """Return the points of each part of a line or polygon, without empty ones."""
    parts, points = struct.unpack_from("<2i", record, 36)
    if max(parts, points) > MAX_SHAPE_POINTS:
        raise ValueError("too many parts or points")
    starts = np.frombuffer(record, "<i4", parts, 44)
    if np.any(np.diff(starts) < 0) or np.any((starts < 0) | (starts > points)):
        raise ValueError("parts are not in order")
    coordinates = _coordinates(record, 44 + 4 * parts, points)
    return [each for each in np.split(coordinates, starts[1:]) if len(each)]


def _lines(record: bytes) -> Any:
    lines = [shapely.LineString(each) for each in _parts(record) if len(each) > 1]
    return lines[0] if len(lines) == 1 else shapely.MultiLineString(lines)


def _polygons(record: bytes) -> Any:
    rings = [shapely.LinearRing(each) for each in _parts(record) if len(each) > 3]
    if not rings:
        return shapely.Polygon()
    are_holes = shapely.is_ccw(rings)
    outer = [ring for ring, is_hole in zip(rings, are_holes, strict=True) if not is_hole]
    holes = [ring for ring, is_hole in zip(rings, are_holes, strict=True) if is_hole]
    if not outer:
        outer, holes = holes, []
    made = [shapely.Polygon(*each) for each in _with_holes(outer, holes)]
    return made[0] if len(made) == 1 else shapely.MultiPolygon(made)


def _with_holes(outer: Sequence[Any], holes: Sequence[Any]) -> list[tuple[Any, list[Any]]]:
    """Return each outer ring with the holes in it; a hole in none is a polygon of its own."""
    found: list[tuple[Any, list[Any]]] = [(each, []) for each in outer]
    if len(outer) == 1:
        found[0][1].extend(holes)
    if len(outer) == 1 or not holes:
        return found
    areas = shapely.polygons(outer)
    sizes = shapely.area(areas)
    tree = shapely.STRtree(areas)
    for number, hole in enumerate(holes):
        if number % _CHECK_EVERY == 0:
            check_time()
        around = tree.query(shapely.Point(hole.coords[0]), predicate="intersects")
        if len(around):
            found[around[np.argmin(sizes[around])]][1].append(hole)
        else:
            found.append((hole, []))
    return found


_MAKERS: Mapping[int, Callable[[bytes], Any]] = {
    0: _nothing,
    1: _point,
    3: _lines,
    5: _polygons,
    8: _multi_point,
}
