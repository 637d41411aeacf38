"""The plane that an operation on geometries works in.

With a projection it is that of its pixels. Without one the operation is spherical: great circles
are straight on a gnomonic plane, where nothing has to be approximated and corners come back as they
were given. Shapes that are too wide for that, or at a pole, are taken in degrees with their great
circles followed by short edges; planar shapes alone in degrees as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.antimeridian import unrolled
from tileserver.compute.values.geodesics import LEAST_ERROR_M, USUAL_ERROR_M, densified
from tileserver.compute.values.geometry import ErrorMargin, Geometry
from tileserver.compute.values.image import DEFAULT_PROJECTION, Projection
from tileserver.compute.values.local_planes import GnomonicPlane, gnomonic_around
from tileserver.compute.values.planar import repaired
from tileserver.geo.crs import WGS84
from tileserver.geo.turns import period

_QUARTER_TURN = 90.0


def metres_of(margin: ErrorMargin | None) -> float:
    """Return the error that an operation may make, in metres on the ground."""
    if margin is None or margin.value is None or margin.unit != "meters":
        return USUAL_ERROR_M
    return max(margin.value, LEAST_ERROR_M) if margin.value > 0 else USUAL_ERROR_M


def planar_in(
    geometry: Geometry, projection: Projection | None, margin: ErrorMargin | None = None
) -> Geometry:
    """Return a planar geometry in the coordinates of a projection, by default in degrees."""
    return geometry.in_projection(projection or DEFAULT_PROJECTION, metres_of(margin))


def turn_of(projection: Projection | None) -> float | None:
    """Return the x after which the coordinates of a projection come round, or None."""
    working = projection or DEFAULT_PROJECTION
    if working.transform != DEFAULT_PROJECTION.transform:
        return None
    return period(working.crs_code)


@dataclass(frozen=True)
class WorkingPlane:
    """Shapes in the plane of an operation, and the way back."""

    shapes: list[BaseGeometry]
    projection: Projection | None
    is_geodesic: bool
    gnomonic: GnomonicPlane | None = None

    @property
    def turn(self) -> float | None:
        """The x after which coordinates come round to the same place."""
        return None if self.gnomonic else turn_of(self.projection)

    def result(self, shape: BaseGeometry) -> Geometry:
        """Return a shape of the plane as a geometry."""
        if self.gnomonic is not None:
            shape = shapely.transform(shape, self.gnomonic.inverse)
        return Geometry(
            shape, self.projection or DEFAULT_PROJECTION, None if self.is_geodesic else False
        )


def working_plane(
    geometries: Sequence[Geometry],
    projection: Projection | None,
    margin: ErrorMargin | None = None,
) -> WorkingPlane:
    """Return geometries in the plane that an operation on all of them works in."""
    is_geodesic = projection is None and any(each.is_geodesic for each in geometries)
    if is_geodesic:
        corners = [_corners(each, margin) for each in geometries]
        plane = gnomonic_around(corners)
        if plane is not None:
            shapes = [repaired(shapely.transform(each, plane.forward)) for each in corners]
            return WorkingPlane(shapes, None, True, plane)
        # The result has great circles, also where it follows a planar one.
        shapes = [_followed(each, margin) for each in geometries]
        return WorkingPlane(shapes, None, True)
    shapes = [planar_in(each, projection, margin).shape for each in geometries]
    return WorkingPlane(shapes, projection, False)


def _corners(geometry: Geometry, margin: ErrorMargin | None) -> BaseGeometry:
    """Return a shape in degrees whose edges are great circles."""
    if geometry.is_geodesic:
        return unrolled(geometry.in_crs_by_points(WGS84), 360.0)
    return _followed(geometry, margin)


def _followed(geometry: Geometry, margin: ErrorMargin | None) -> BaseGeometry:
    """Return a shape in degrees whose edges may be taken as straight and as great circles alike."""
    found = planar_in(geometry, None, margin).shape
    if geometry.is_geodesic:
        return found
    # Of an edge of half a turn or more, the great circle would go around the other side.
    return densified(shapely.segmentize(found, _QUARTER_TURN), metres_of(margin), is_geodesic=False)
