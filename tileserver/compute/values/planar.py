"""Shapes whose edges are straight in a plane: repaired, along great circles, carried into a CRS."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.antimeridian import unrolled
from tileserver.compute.values.cuts import cut_at_seams
from tileserver.compute.values.geodesics import USUAL_ERROR_M, around_poles, densified
from tileserver.compute.values.geometry_limits import check_crossings
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import transform_points
from tileserver.geo.turns import middle_longitude, period

_MANY_POINTS = 50_000
_FEW_TANGLED, _MOST_TANGLED = 60, 8000
"""Edges of an area that crosses itself, and pairs of them: its repair takes up to two seconds."""
_STEP_SHARE = 1 / 20
"""How finely an edge is followed into another CRS, as a share of the geometry's size."""


def planar(shape: BaseGeometry, max_error_m: float = USUAL_ERROR_M) -> BaseGeometry:
    """Return a shape in degrees whose great circles are followed by short straight edges."""
    corners = around_poles(unrolled(shape, 360.0))
    fine = densified(corners, max_error_m)
    is_large = shapely.get_num_coordinates(fine) > _MANY_POINTS and fine is not corners
    if not is_large or not _has_areas(fine):
        return repaired(fine)
    check_crossings([fine])
    # A repair takes seconds; of so many points, edges are short.
    return fine if fine.is_valid else repaired(corners)


def repaired(shape: BaseGeometry) -> BaseGeometry:
    """Return a shape with valid areas: even-odd within a polygon, parts that overlap as one.

    Raises:
        InvalidRequest: its edges cross too often.
    """
    if shapely.get_dimensions(shape) < 2 or not _has_areas(shape):
        return shape
    if shapely.get_num_coordinates(shape) > _MANY_POINTS:
        # The validity check alone would take seconds.
        check_crossings([shape])
    if shape.is_valid:
        return shape
    check_crossings([shape], few=_FEW_TANGLED, most=_MOST_TANGLED)
    if shape.geom_type == "GeometryCollection":
        return shapely.GeometryCollection([repaired(part) for part in shapely.get_parts(shape)])
    parts = [shapely.make_valid(part) for part in shapely.get_parts(shape)]
    return shapely.union_all(parts) if len(parts) > 1 else parts[0]


def _has_areas(shape: BaseGeometry) -> bool:
    return shape.geom_type in ("Polygon", "MultiPolygon", "GeometryCollection")


def followed(moved: BaseGeometry, source: str, crs_code: str) -> BaseGeometry:
    """Return a planar shape of a CRS in another, its edges followed closely."""
    west, south, east, north = moved.bounds if not moved.is_empty else (0.0,) * 4
    step = max(east - west, north - south) * _STEP_SHARE
    fine = shapely.segmentize(moved, step) if step > 0 else moved
    cut = cut_at_seams(fine, source, crs_code)
    if cut is not fine:
        # Along a seam there are new edges, which bend too.
        fine = shapely.segmentize(cut, step)
    found = checked(moved_shape(fine, partial(carried, source, crs_code)), crs_code)
    turn = period(crs_code)
    is_unrolled = turn is None or period(source) is not None
    return found if is_unrolled or turn is None else unrolled(found, turn)


def checked(found: BaseGeometry, crs_code: str) -> BaseGeometry:
    """Return a shape carried into a CRS, or raise InvalidRequest if it is outside its domain."""
    if not np.isfinite(shapely.get_coordinates(found)).all():
        raise InvalidRequest(f"The geometry reaches outside the domain of {crs_code[:60]}.")
    return found


def carried(source: str, target: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Return points of a CRS in another, those past the antimeridian past it there, too."""
    found_x, found_y = transform_points(source, target, x, y)
    source_turn, turn = period(source), period(target)
    if source_turn is not None and turn is not None:
        between = (middle_longitude(target) - middle_longitude(source)) / 360
        with np.errstate(invalid="ignore"):
            found_x = found_x + turn * np.round(x / source_turn - between - found_x / turn)
    return found_x, found_y


def moved_shape(
    geometry: BaseGeometry, move: Callable[[Any, Any], tuple[Any, Any]]
) -> BaseGeometry:
    """Return a geometry with each (x, y) moved; `move` takes and gives arrays of shape (n,)."""

    def moved(points: Any) -> Any:
        x, y = move(points[:, 0].copy(), points[:, 1].copy())
        return np.column_stack([x, y])

    return shapely.transform(geometry, moved)
