"""Areas, lengths and centres of shapes in degrees, on the sphere of the service.

Google's pages give no radius. The area that they state for the polygon (-5, 40) to (65, 60), 9.92
million square kilometres, is that on a sphere of the mean radius; on Web Mercator's it would be
9.94, on WGS 84's ellipsoid 9.95. S2, the library behind geodesic geometries, has 6,371,010 m.
"""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

EARTH_M = 6_371_010.0
"""Radius of the sphere."""
_HALF_TURN = math.pi * (1 - 1e-12)
_STEP_DEG = 0.25
"""How finely an edge that is straight in degrees is followed, for its length."""
_MOST_STEPS = 2_000_000
_RINGS = {"LineString": "LinearRing"}
Coordinates = NDArray[np.float64]


def area_m2(shape: BaseGeometry, is_geodesic: bool) -> float:
    """Return the area of a shape in degrees; parts that overlap count as often.

    Args:
        shape: its areas valid; longitudes may go on past 180.
        is_geodesic: whether edges follow great circles, or are straight in degrees.
    """
    total = 0.0
    for part in _parts(shape, "Polygon"):
        outer, *inner = (abs(_signed(ring, is_geodesic)) for ring in shapely.get_rings(part))
        total += max(outer - sum(inner), 0.0)
    return total * EARTH_M**2


def _signed(ring: BaseGeometry, is_geodesic: bool) -> float:
    """Return the steradians between a ring and the equator, by the side it is walked on."""
    lon, lat = np.radians(shapely.get_coordinates(ring)).T
    turned, start, stop = np.diff(lon), lat[:-1], lat[1:]
    straight = turned * _mean_sine(start, stop)
    if not is_geodesic:
        return float(straight.sum())
    low, high = np.tan(start / 2), np.tan(stop / 2)
    excess = 2 * np.arctan2(np.tan(turned / 2) * (low + high), 1 + low * high)
    return float(np.where(np.abs(turned) >= _HALF_TURN, straight, excess).sum())


def _mean_sine(start: Coordinates, stop: Coordinates) -> Coordinates:
    """Return the mean of the sine over each range of latitudes."""
    half = (stop - start) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        shrunk = np.where(np.abs(half) < 1e-8, 1.0, np.sin(half) / half)
    found: Coordinates = np.sin((start + stop) / 2) * shrunk
    return found


def length_m(shape: BaseGeometry, is_geodesic: bool) -> float:
    """Return the length of a shape's lines, and of the edges of its areas; as `area_m2`."""
    total = 0.0
    for part in (*_parts(shape, "Polygon"), *_parts(shape, "LineString")):
        for ring in shapely.get_rings(part) if part.geom_type == "Polygon" else [part]:
            line = ring if is_geodesic else _followed(ring)
            total += float(distances(shapely.get_coordinates(line)).sum())
    return total * EARTH_M if math.isfinite(total) else 0.0


def _followed(line: BaseGeometry) -> BaseGeometry:
    return shapely.segmentize(line, max(_STEP_DEG, line.length / _MOST_STEPS))


def distances(points: Coordinates) -> Coordinates:
    """Return the radians along great circles from each point in degrees to the next."""
    lon, lat = np.radians(points).T
    half = (
        np.sin(np.diff(lat) / 2) ** 2
        + np.cos(lat[:-1]) * np.cos(lat[1:]) * np.sin(np.diff(lon) / 2) ** 2
    )
    found: Coordinates = 2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return found


def centre(shape: BaseGeometry) -> tuple[float, float] | None:
    """Return longitude and latitude of the middle of a shape whose edges are great circles.

    Its parts of the highest dimension count. None if they have no middle, as a whole great circle.
    """
    for kind, moment in (("Polygon", _area_moment), ("LineString", _line_moment)):
        total = sum((moment(part) for part in _parts(shape, kind)), np.zeros(3))
        if np.linalg.norm(total) > 1e-18:
            return lonlat(total)
    total = to_vectors(shapely.get_coordinates(shape)).sum(axis=0)
    return lonlat(total) if np.linalg.norm(total) > 1e-9 else None


def _area_moment(part: BaseGeometry) -> Coordinates:
    """Return the integral of the position over an area: half of its edges' turns, by Stokes."""
    outer, *inner = (_ring_moment(ring) for ring in shapely.get_rings(part))
    return outer - sum(inner, np.zeros(3))


def _ring_moment(ring: BaseGeometry) -> Coordinates:
    ends = to_vectors(shapely.get_coordinates(ring))
    normals = np.cross(ends[:-1], ends[1:])
    sines = np.linalg.norm(normals, axis=1)
    angles = np.arctan2(sines, (ends[:-1] * ends[1:]).sum(axis=1))
    ratio = np.divide(angles, sines, out=np.ones_like(sines), where=sines > 1e-15)
    moment: Coordinates = (normals * ratio[:, np.newaxis]).sum(axis=0) / 2
    # By the other side of the ring it points away from it.
    return moment if moment @ ends.sum(axis=0) >= 0 else -moment


def _line_moment(line: BaseGeometry) -> Coordinates:
    points = shapely.get_coordinates(line)
    ends = to_vectors(points)
    sums = ends[:-1] + ends[1:]
    lengths = np.linalg.norm(sums, axis=1)
    weights = 2 * np.sin(distances(points) / 2) / np.where(lengths > 0, lengths, np.inf)
    moment: Coordinates = (sums * weights[:, np.newaxis]).sum(axis=0)
    return moment


def to_vectors(points: Coordinates) -> Coordinates:
    """Return points in degrees, shape (n, 2), as unit vectors, shape (n, 3)."""
    lon, lat = np.radians(points).T
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def lonlat(vector: Coordinates) -> tuple[float, float]:
    """Return the longitude and latitude of a vector, in degrees."""
    x, y, z = vector
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))


def _parts(shape: BaseGeometry, kind: str) -> list[BaseGeometry]:
    """Return the parts of a kind that are not empty, within collections too; a ring is a line."""
    found: list[BaseGeometry] = []
    left = [shape]
    while left:
        for part in shapely.get_parts(left.pop()):
            if hasattr(part, "geoms"):
                left.append(part)
            elif not part.is_empty and part.geom_type in (kind, _RINGS.get(kind)):
                found.append(part)
    return found
