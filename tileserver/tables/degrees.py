"""Geometries of a file brought to longitude and latitude.

An edge that is straight in the file's CRS bends in degrees: it gets points in between, so that it
is true to a metre, as Earth Engine's ingestion has it (`maxErrorMeters`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.geo.crs import WGS84, code_of, crs_of, transform_points

_MAX_ERROR_DEG = 1 / 111_320
_MAX_PIECES = 200
"""Of one edge."""
_MAX_POINTS = 20_000_000
_AT_ONCE = 50_000


def in_degrees(shapes: NDArray[Any], crs: str | None, name: str) -> NDArray[Any]:
    """Return geometries in EPSG:4326.

    Args:
        shapes: shape (n,), with None for no geometry.
        crs: text of their CRS; None is longitude and latitude.
        name: what to call the file in an error.

    Raises:
        UnreadableRaster: the CRS is none of the Earth, or does not reach that far.
    """
    if crs is None:
        return shapes
    try:
        source = code_of(crs_of(crs))
    except InvalidRequest as exc:
        raise UnreadableRaster(f"{name}: its CRS is not known: {crs[:60]!r}.") from exc
    if source == WGS84:
        return shapes
    moved = [
        _moved(_with_points(shapes[start : start + _AT_ONCE], source, name), source)
        for start in range(0, len(shapes), _AT_ONCE)
    ]
    found = np.concatenate(moved) if moved else shapes
    if not np.isfinite(shapely.get_coordinates(found)).all():
        raise UnreadableRaster(f"{name}: it reaches outside the domain of its CRS.")
    return found


def _moved(shapes: NDArray[Any], source: str) -> NDArray[Any]:
    check_time()
    move = partial(_points, source)
    return np.asarray(shapely.transform(shapes, move), dtype=object)


def _points(source: str, points: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(points):
        return points
    x, y = transform_points(source, WGS84, points[:, 0].copy(), points[:, 1].copy())
    return np.column_stack([x, y])


def _with_points(shapes: NDArray[Any], source: str, name: str) -> NDArray[Any]:
    """Return lines and areas with points on edges that bend by more than a metre."""
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    # Edges between parts or rings count too; their points are no worse for it.
    inner = np.flatnonzero(owner[1:] == owner[:-1])
    dimensions = shapely.get_dimensions(shapes)
    inner = inner[dimensions[owner[inner]] > 0]
    if not len(inner):
        return shapes
    start, end = points[inner], points[inner + 1]
    ends = _points(source, points)
    middle = _points(source, (start + end) / 2)
    bend = np.abs(middle - (ends[inner] + ends[inner + 1]) / 2).max(axis=1)
    with np.errstate(invalid="ignore"):
        pieces = np.sqrt(np.where(np.isfinite(bend), bend, 0) / _MAX_ERROR_DEG)
    pieces = np.minimum(np.ceil(pieces), _MAX_PIECES)
    lengths = np.hypot(*(end - start).T)
    if not (pieces > 1).any():
        return shapes
    return _segmented(shapes, owner[inner], lengths, pieces, name)


def _segmented(
    shapes: NDArray[Any],
    owner: NDArray[Any],
    lengths: NDArray[np.float64],
    pieces: NDArray[np.float64],
    name: str,
) -> NDArray[Any]:
    """Return geometries whose edges are no longer than the worst of each needs it."""
    longest = np.full(len(shapes), np.inf)
    bends = (pieces > 1) & (lengths > 0)
    np.minimum.at(longest, owner[bends], lengths[bends] / pieces[bends])
    total = float((lengths / longest[owner]).sum())
    if total > _MAX_POINTS:
        raise UnreadableRaster(f"{name}: its edges take too many points in EPSG:4326.")
    bent = np.isfinite(longest)
    found = shapes.copy()
    found[bent] = shapely.segmentize(shapes[bent], longest[bent])
    return found
