"""The features of a table at a place, for `/point` and WMTS."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tileserver.geo.tables import Table

MAX_FEATURES = 20
_METRES_A_DEGREE = 111_195.0
_TURN = 360.0
_LEAST_COSINE = 1e-3


def features_at(table: Table, lon: float, lat: float, radius_m: float = 0.0) -> dict[str, Any]:
    """Return the features that hold a place, or lie within a radius of it, the nearest first.

    Edges are straight in longitude and latitude. At most `MAX_FEATURES` are returned; `more` says
    whether there are others.

    Args:
        table: the features.
        lon: degrees.
        lat: degrees.
        radius_m: metres, measured on the plane that touches the Earth there.
    """
    found = [
        (away, row)
        for turn in (-_TURN, 0.0, _TURN)
        for away, row in _within(table, lon + turn, lat, radius_m)
    ]
    nearest = {row: away for away, row in sorted(found, reverse=True)}
    rows = sorted(nearest, key=lambda row: (nearest[row], row))
    features = [{"id": table.id(row), "properties": table.properties(row)} for row in rows]
    return {"features": features[:MAX_FEATURES], "more": len(rows) > MAX_FEATURES}


def _within(table: Table, lon: float, lat: float, radius_m: float) -> list[tuple[float, int]]:
    """Return degrees of latitude to features, and their rows."""
    reach = radius_m / _METRES_A_DEGREE
    narrow = max(math.cos(math.radians(lat)), _LEAST_COSINE)
    box = shapely.box(lon - reach / narrow, lat - reach, lon + reach / narrow, lat + reach)
    rows = table.tree.query(box)
    shapes = table.geometries[rows]

    def on_plane(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return (points - (lon, lat)) * (narrow, 1.0)

    away = shapely.distance(shapely.transform(shapes, on_plane), shapely.Point(0, 0))
    return [(float(d), int(row)) for d, row in zip(away, rows, strict=True) if d <= reach]
