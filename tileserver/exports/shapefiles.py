"""Features as an ESRI Shapefile in a ZIP archive, written without GDAL.

The layout is that of the ESRI Shapefile Technical Description (July 1998), of the table that of
dBASE III. A Shapefile holds one kind of geometry; names have ten characters and texts 254 bytes,
as in Earth Engine's own files.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import InvalidRequest

_NAME, _TEXT, _INTEGER, _NUMBER = 10, 254, 18, 24
_MOST_FIELDS = 255
_LARGEST = 10 ** (_INTEGER - 1)
_WGS84 = (
    'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
)
_NULL, _POINT, _LINE, _AREA, _POINTS = 0, 1, 3, 5, 8
_KINDS = {
    "Point": _POINT,
    "MultiPoint": _POINTS,
    "LineString": _LINE,
    "LinearRing": _LINE,
    "MultiLineString": _LINE,
    "Polygon": _AREA,
    "MultiPolygon": _AREA,
}
Points = NDArray[np.float64]


def shapefile(rows: Iterable[Mapping[str, Any]], names: Sequence[str], stem: str) -> bytes:
    """Return the archive.

    Args:
        rows: of features, with `.geo` for the geometry as GeoJSON in degrees.
        names: of the columns but the geometry.
        stem: what the files in it are called.

    Raises:
        InvalidRequest: there are several kinds of geometries, or too many columns.
    """
    if len(names) > _MOST_FIELDS:
        raise InvalidRequest(
            f"A Shapefile holds {_MOST_FIELDS} columns at most, got {len(names)}; "
            "choose some with selectors."
        )
    held = list(rows)
    kind = _kind([row.get(".geo") for row in held])
    shapes = [_shape(row.get(".geo"), kind) for row in held]
    shp, shx = _geometry_files(shapes, kind)
    files = {"shp": shp, "shx": shx, "dbf": _table(held, names)}
    files |= {"prj": _WGS84.encode(), "cpg": b"UTF-8"}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for suffix, content in files.items():
            file.writestr(zipfile.ZipInfo(f"{stem}.{suffix}"), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _kind(geometries: Sequence[Any]) -> int:
    kinds = {_KINDS.get(each["type"], -1) for each in geometries if each is not None}
    if kinds == {_POINT, _POINTS}:
        return _POINTS
    if len(kinds) > 1 or -1 in kinds:
        types = sorted({each["type"] for each in geometries if each is not None})
        raise InvalidRequest(
            f"A Shapefile holds one kind of geometry, got {', '.join(types)}; "
            "export them one kind at a time, or as GEO_JSON."
        )
    return kinds.pop() if kinds else _NULL


@dataclass(frozen=True, slots=True)
class _Shape:
    content: bytes
    points: Points
    """Shape (count, 2)."""


def _shape(geometry: Any, kind: int) -> _Shape:
    if geometry is None or not (parts := _parts(geometry)):
        return _Shape(struct.pack("<i", _NULL), np.zeros((0, 2)))
    points = np.concatenate(parts)
    data = points.astype("<f8").tobytes()
    if kind == _POINT:
        return _Shape(struct.pack("<i", kind) + data, points)
    head = struct.pack("<i4d", kind, *points.min(axis=0), *points.max(axis=0))
    if kind == _POINTS:
        return _Shape(head + struct.pack("<i", len(points)) + data, points)
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])]).astype("<i4")
    counts = struct.pack("<2i", len(parts), len(points))
    return _Shape(head + counts + starts.tobytes() + data, points)


def _parts(geometry: Mapping[str, Any]) -> list[Points]:
    """Return the points or lines of a geometry; of areas the outer rings go clockwise."""
    kind, given = geometry["type"], geometry["coordinates"]
    if kind == "Point":
        return [_points([given])]
    if kind in ("MultiPoint", "LineString", "LinearRing"):
        return [_points(given)] if given else []
    if kind == "MultiLineString":
        return [_points(line) for line in given if line]
    areas = [given] if kind == "Polygon" else given
    return [
        _turned(_points(ring), is_clockwise=place == 0)
        for rings in areas
        for place, ring in enumerate(rings)
        if ring
    ]


def _points(given: Any) -> Points:
    return np.array([position[:2] for position in given], np.float64)


def _turned(ring: Points, is_clockwise: bool) -> Points:
    x, y = (ring - ring[0]).T
    area = float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))
    return ring[::-1] if (area > 0) == is_clockwise else ring


def _geometry_files(shapes: Sequence[_Shape], kind: int) -> tuple[bytes, bytes]:
    """Return the contents of .shp and .shx."""
    words = np.array([len(each.content) // 2 for each in shapes], np.int64)
    offsets = 50 + np.cumsum(words + 4) - (words + 4)
    every = np.concatenate([np.zeros((0, 2)), *(each.points for each in shapes)])
    box = (*every.min(axis=0), *every.max(axis=0)) if len(every) else (0.0,) * 4
    records = (
        struct.pack(">2i", number, length) + each.content
        for number, (each, length) in enumerate(zip(shapes, words.tolist(), strict=True), 1)
    )
    shp = _head(50 + int((words + 4).sum()), kind, box) + b"".join(records)
    index = np.column_stack([offsets, words]).astype(">i4").tobytes()
    return shp, _head(50 + 4 * len(shapes), kind, box) + index


def _head(words: int, kind: int, box: Sequence[float]) -> bytes:
    return struct.pack(">7i", 9994, 0, 0, 0, 0, 0, words) + struct.pack(
        "<2i8d", 1000, kind, *box, 0, 0, 0, 0
    )


@dataclass(frozen=True, slots=True)
class _Field:
    name: bytes
    code: bytes
    length: int
    decimals: int
    cells: list[bytes]


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> bytes:
    """Return the contents of .dbf; a table of no columns gets one of numbers, as it needs one."""
    taken: set[bytes] = set()
    fields = [_field(_short(name, taken), [row.get(name) for row in rows]) for name in names]
    fields = fields or [_field(b"FID", list(range(len(rows))))]
    length = 1 + sum(each.length for each in fields)
    head = struct.pack("<4BIHH20x", 3, 70, 1, 1, len(rows), 33 + 32 * len(fields), length)
    described = b"".join(
        struct.pack("<11sc4xBB14x", each.name, each.code, each.length, each.decimals)
        for each in fields
    )
    lines = (b" " + b"".join(cells) for cells in zip(*(each.cells for each in fields), strict=True))
    return head + described + b"\r" + b"".join(lines) + b"\x1a"


def _short(name: str, taken: set[bytes]) -> bytes:
    """Return ten bytes of a name at most, with a number if they are taken."""
    short, number = _cut(name, _NAME), 1
    while short in taken:
        ending = f"_{number}"
        short, number = _cut(name, _NAME - len(ending)) + ending.encode(), number + 1
    taken.add(short)
    return short


def _cut(text: str, length: int) -> bytes:
    return text.encode()[:length].decode(errors="ignore").replace("\0", " ").encode()


def _field(name: bytes, values: Sequence[Any]) -> _Field:
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, int) and abs(value) < _LARGEST for value in there):
        cells = [b"" if v is None else str(int(v)).encode() for v in values]
        return _Field(name, b"N", _INTEGER, 0, [each.rjust(_INTEGER) for each in cells])
    if there and all(isinstance(value, int | float) for value in there):
        cells = [b"" if v is None else f"{float(v):.15g}".encode() for v in values]
        return _Field(name, b"F", _NUMBER, 15, [each.rjust(_NUMBER) for each in cells])
    texts = [_cut(_text(value), _TEXT) for value in values]
    length = max((len(each) for each in texts), default=0) or 1
    return _Field(name, b"C", length, 0, [each.ljust(length) for each in texts])


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
