"""GeoJSON geometries (RFC 7946) as frozen values, and back.

As lenient as Earth Engine: rings need not be closed, and the client's own members `evenOdd` and
`crs` are read past.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tileserver.contract.pixels import Geometry
from tileserver.errors import InvalidRequest, shown

_DEPTH = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
_READ_PAST = frozenset({"type", "geodesic", "evenOdd", "crs", "bbox"})
_MAX_POSITIONS = 100_000


def read_geometry(value: object, depth: int = 0) -> Geometry:
    """Return the geometry in parsed JSON.

    Raises:
        InvalidRequest: the type is unknown, a member is, or a position is not two or three
            finite numbers.
    """
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"region: expected a GeoJSON geometry, got {shown(value)}.")
    kind = value.get("type")
    if kind == "GeometryCollection" and depth < 8:
        _check_members(value, "geometries")
        parts = value.get("geometries")
        if not isinstance(parts, list | tuple) or not parts:
            raise InvalidRequest("region: a GeometryCollection needs a list of geometries.")
        geometries = tuple(read_geometry(part, depth + 1) for part in parts)
        return Geometry("GeometryCollection", geometries=geometries)
    if not isinstance(kind, str) or kind not in _DEPTH:
        raise InvalidRequest(
            f"region: unknown geometry type {str(kind)[:40]!r}, expected one of "
            f"{', '.join(_DEPTH)}, GeometryCollection."
        )
    _check_members(value, "coordinates")
    is_planar = value.get("geodesic") is False
    coordinates = _coordinates(value.get("coordinates"), _DEPTH[kind])
    geometry = Geometry(kind, coordinates, is_planar=is_planar)
    count = sum(1 for _ in geometry.positions())
    if not 1 <= count <= _MAX_POSITIONS:
        raise InvalidRequest(
            f"region: expected 1 to {_MAX_POSITIONS} positions in coordinates, got {count}."
        )
    return geometry


def write_geometry(geometry: Geometry) -> dict[str, Any]:
    """Return the geometry as JSON."""
    if geometry.geometries:
        parts = [write_geometry(part) for part in geometry.geometries]
        return {"type": geometry.type, "geometries": parts}
    members = {"type": geometry.type, "coordinates": _lists(geometry.coordinates)}
    return members | ({"geodesic": False} if geometry.is_planar else {})


def _check_members(value: Mapping[str, Any], own: str) -> None:
    for name in value:
        if name not in _READ_PAST and name != own:
            raise InvalidRequest(
                f"Invalid JSON payload received. Unknown name \"{str(name)[:80]}\" at 'region': "
                f"Cannot find field. Known here: type, {own}."
            )


def _coordinates(value: object, depth: int) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidRequest(f"region: expected a list in coordinates, got {shown(value)}.")
    if depth > 0:
        return tuple(_coordinates(part, depth - 1) for part in value)
    numbers = [n for n in value if isinstance(n, int | float) and not isinstance(n, bool)]
    try:
        position = tuple(float(n) for n in numbers)
    except OverflowError:
        position = (math.inf, math.inf)
    in_range = len(position) in (2, 3) and all(math.isfinite(n) for n in position)
    if len(numbers) != len(value) or not in_range:
        raise InvalidRequest(
            f"region: a position is [longitude, latitude] in degrees, got {shown(value)}."
        )
    return position


def _lists(coordinates: Any) -> Any:
    if isinstance(coordinates, tuple):
        return [_lists(part) for part in coordinates]
    return coordinates
