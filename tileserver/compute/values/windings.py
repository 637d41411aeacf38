"""Areas on the left of their rings, as the constructors' `evenOdd=False` has it.

The guide on geometric operations: "imagine walking the points of a ring in the order given; the
inside will be on the left". So a ring that runs clockwise holds all the Earth but its middle; such
an area is kept as the map of the world with a hole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.antimeridian import leaves_map, on_map, unrolled
from tileserver.compute.values.geodesics import around_poles
from tileserver.compute.values.geometry import UNBOUNDED, Geometry
from tileserver.compute.values.image import DEFAULT_PROJECTION
from tileserver.compute.values.planar import planar

_TURN = 360.0


def left_inside(geometry: Geometry) -> Geometry:
    """Return a geometry with the areas on the left of its rings; of other than degrees as it is."""
    parts = list(shapely.get_parts(geometry.shape))
    if geometry.projection != DEFAULT_PROJECTION or not any(map(_is_clockwise, parts)):
        return geometry
    found = [
        _outside(part, geometry.is_geodesic) if _is_clockwise(part) else part for part in parts
    ]
    return replace(geometry, shape=found[0] if len(found) == 1 else shapely.union_all(found))


def _is_clockwise(part: Any) -> bool:
    if part.geom_type != "Polygon" or part.is_empty:
        return False
    flat: Any = unrolled(part, _TURN)
    goes_around = around_poles(part) is not part
    return not goes_around and not shapely.is_ccw(flat.exterior)


def _outside(part: Any, is_geodesic: bool) -> BaseGeometry:
    """Return the Earth without an area."""
    flat = unrolled(part, _TURN)
    if not part.interiors and not leaves_map(flat, _TURN) and flat.is_valid:
        return shapely.Polygon(shapely.get_exterior_ring(UNBOUNDED.shape), [part.exterior])
    return UNBOUNDED.shape - on_map(planar(flat) if is_geodesic else flat.buffer(0), _TURN)
