"""Shapes across the antimeridian: in one piece, their x going on past the end of the map.

`turn` is the x after which a CRS comes round to the same place: 360 degrees, or as many metres.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from tileserver.geo.short_way import jumps, short_way

_EDGE = 1e-9
"""Of a turn: a part this close to the end of the map touches it."""
_MOST_COPIES = 8


def unrolled(shape: BaseGeometry, turn: float) -> BaseGeometry:
    """Return a shape whose lines and rings go the short way around the Earth.

    A step of more than half a turn is taken the other way; one of a whole turn, as along the
    edges of a map of the world, stays. Areas around a pole stay as they are.
    """
    if not jumps(shapely.get_coordinates(shape)[:, 0], turn).any():
        return shape
    make: Any = type(shape)
    if isinstance(shape, shapely.Polygon):
        return _polygon(shape, turn)
    if isinstance(shape, shapely.LineString):
        found: BaseGeometry = make(_line(shapely.get_coordinates(shape), turn))
    else:
        found = make([unrolled(part, turn) for part in shapely.get_parts(shape)])
    return found


def _line(points: NDArray[np.float64], turn: float) -> NDArray[np.float64]:
    return np.column_stack([short_way(points[:, 0], turn), points[:, 1]])


def _polygon(shape: shapely.Polygon, turn: float) -> shapely.Polygon:
    rings = [_line(shapely.get_coordinates(ring), turn) for ring in shapely.get_rings(shape)]
    if any(ring[0, 0] != ring[-1, 0] for ring in rings):
        return shape
    outer, *inner = rings
    middle = (outer[:, 0].min() + outer[:, 0].max()) / 2
    for ring in inner:
        ring[:, 0] += turn * np.round((middle - ring[:, 0].mean()) / turn)
    return shapely.Polygon(outer, inner)


def leaves_map(shape: BaseGeometry, turn: float) -> bool:
    """Return whether a shape reaches the end of the map, or goes past it."""
    west, _, east, _ = shape.bounds if not shape.is_empty else (0.0,) * 4
    return max(-west, east) >= turn / 2 * (1 - _EDGE)


def on_map(shape: BaseGeometry, turn: float) -> BaseGeometry:
    """Return a shape cut at the antimeridian, each piece within half a turn around x = 0."""
    if shape.is_empty or not leaves_map(shape, turn):
        return shape
    west, south, east, north = shape.bounds
    first, last = math.floor(west / turn + 0.5), math.ceil(east / turn - 0.5)
    # What lies at the very end of the map stays there.
    first = min(first, last)
    if first == last == 0 or last - first > _MOST_COPIES:
        return shape
    the_map = shapely.box(-turn / 2, south - 1, turn / 2, north + 1)
    pieces = [the_map & translate(shape, -k * turn) for k in range(first, last + 1)]
    return shapely.union_all(pieces)


def within_map(shape: BaseGeometry, turn: float | None) -> BaseGeometry:
    """Return a shape with its points past the end of the map brought back to its other side."""
    if turn is None:
        return shape

    def brought_back(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x = points[:, 0]
        x = np.where(np.abs(x) > turn / 2, x - turn * np.round(x / turn), x)
        return np.column_stack([x, points[:, 1]])

    return shapely.transform(shape, brought_back)


def in_one_piece(shape: BaseGeometry, turn: float) -> BaseGeometry:
    """Return a shape whose parts meet at the antimeridian as one that goes on past it."""
    parts = list(shapely.get_parts(shape))
    half = turn / 2 * (1 - _EDGE)
    left, right = (shapely.bounds(parts)[:, side] if parts else np.zeros(0) for side in (0, 2))
    # Of NaN, an empty part, neither holds.
    is_western, is_met = left <= -half, right >= half
    # Around the whole Earth there is no beginning.
    if not is_western.any() or not is_met.any() or (is_western & is_met).any():
        return shape
    moved = [
        translate(part, turn) if is_moved else part
        for part, is_moved in zip(parts, is_western, strict=True)
    ]
    return shapely.union_all(moved)


def copies(shape: BaseGeometry, west: float, east: float, turn: float | None) -> list[BaseGeometry]:
    """Return a shape as often as it shows between two x, moved by whole turns.

    Of a grid that goes around the Earth many times, those nearest to the shape.
    """
    if turn is None or shape.is_empty:
        return [shape]
    left, _, right, _ = shape.bounds
    if not math.isfinite(left + right + west + east):
        return [shape]
    first, last = math.ceil((west - right) / turn), math.floor((east - left) / turn)
    first, last = max(first, -_MOST_COPIES), min(last, _MOST_COPIES)
    return [translate(shape, k * turn) if k else shape for k in range(first, last + 1)]


def beside(a: BaseGeometry, b: BaseGeometry, turn: float | None) -> BaseGeometry:
    """Return b moved by whole turns to where it is nearest to a."""
    if turn is None or a.is_empty or b.is_empty:
        return b
    x = [each for shape in (a, b) for each in shape.bounds[::2]]
    if max(x) - min(x) <= turn / 2:
        return b
    moved = [b, translate(b, -turn), translate(b, turn)]
    return min(moved, key=lambda each: shapely.distance(a, each))


def narrowest(shape: BaseGeometry, turn: float | None) -> BaseGeometry:
    """Return a shape with its western parts moved past the antimeridian, if that is narrower."""
    parts = [part for part in shapely.get_parts(shape) if not part.is_empty]
    is_western = [part.centroid.x < 0 for part in parts]
    # Moving all of them would change the width by rounding at most.
    if turn is None or all(is_western) or not any(is_western):
        return shape
    moved = [
        translate(part, turn) if is_moved else part
        for part, is_moved in zip(parts, is_western, strict=True)
    ]
    other = shapely.GeometryCollection(moved)
    return min(shape, other, key=lambda each: each.bounds[2] - each.bounds[0])


def related(name: str, a: BaseGeometry, b: BaseGeometry, turn: float | None) -> bool:
    """Return whether two shapes on the Earth are related as a function of shapely tells."""
    relation = getattr(shapely, name)
    if turn is None or not (leaves_map(a, turn) or leaves_map(b, turn)):
        return bool(relation(a, b))
    if name in ("intersects", "disjoint"):
        meets = any(shapely.intersects(a, translate(b, k * turn)) for k in (-1, 0, 1))
        return meets == (name == "intersects")
    # Where one shape holds the other in one piece, no rounding of a cut is in between.
    is_whole = any(relation(a, translate(b, k * turn)) for k in (-1, 0, 1))
    return is_whole or bool(relation(on_map(a, turn), on_map(b, turn)))
