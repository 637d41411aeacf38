"""Shapes cut where a map is: a piece on either side of its seams, none from end to end of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.geo.crs import WGS84, transform_point
from tileserver.geo.seams import seams
from tileserver.geo.turns import middle_longitude, period

_GAP = 1e-9
"""Of a turn: how far pieces end before a seam, 4 cm, or rounding would put them past it."""
_FAR = 1e9
"""Beyond all y, as a share of a turn."""
_MOST_CUTS = 64


def cut_at_seams(shape: BaseGeometry, source: str, target: str) -> BaseGeometry:
    """Return a shape without what lies at the seams of a CRS that it is to be carried to.

    Points stay as they are, and shapes of a CRS without a period.

    Args:
        shape: in coordinates of `source`.
        source: a CRS code.
        target: the CRS code with the seams.
    """
    turn = period(source)
    if turn is None or shape.is_empty or not seams(target):
        return shape
    parts = list(shapely.get_parts(shape))
    strips = list(_strips(shape, source, target, turn))
    if not strips:
        return shape
    gap = shapely.union_all(strips)
    found = [_without(part, gap) for part in parts]
    if all(new is old for new, old in zip(found, parts, strict=True)):
        return shape
    kinds = {part.geom_type.removeprefix("Multi") for part in parts}
    if len(kinds) == 1 and not kinds & {"GeometryCollection"}:
        return shapely.union_all(found) if len(parts) == 1 else _collected(found)
    return shapely.GeometryCollection(found)


def _collected(parts: list[BaseGeometry]) -> BaseGeometry:
    pieces = [piece for part in parts for piece in shapely.get_parts(part) if not piece.is_empty]
    make: Any = {"Polygon": shapely.MultiPolygon, "LineString": shapely.MultiLineString}
    kinds = {piece.geom_type for piece in pieces}
    kind = kinds.pop() if len(kinds) == 1 else ""
    found: BaseGeometry = make.get(kind, shapely.GeometryCollection)(pieces)
    return found


def _without(part: BaseGeometry, gap: BaseGeometry) -> BaseGeometry:
    if shapely.get_dimensions(part) < 1 or not shapely.intersects(part, gap):
        return part
    is_usable = part.geom_type != "Polygon" or part.is_valid
    return shapely.difference(part if is_usable else shapely.make_valid(part), gap)


def _strips(shape: BaseGeometry, source: str, target: str, turn: float) -> Iterator[BaseGeometry]:
    """Yield the narrow boxes along the seams that a shape reaches, in its coordinates."""
    west, _, east, _ = shape.bounds
    gap, far = turn * _GAP, turn * _FAR
    _, equator = transform_point(WGS84, source, middle_longitude(source), 0.0)
    for seam in seams(target):
        x = (seam.longitude - middle_longitude(source)) / 360 * turn
        first, last = math.ceil((west - gap - x) / turn), math.floor((east + gap - x) / turn)
        south, north = (equator, far) if seam.is_north else (-far, equator)
        for k in range(first, min(last, first + _MOST_CUTS) + 1):
            at = x + k * turn
            yield shapely.box(at - gap, south, at + gap, north)
