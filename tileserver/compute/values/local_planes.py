"""Planes that touch the sphere: one true to distances, one on which great circles are straight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.sphere import EARTH_M, to_vectors
from tileserver.errors import InvalidRequest

_WIDEST = math.radians(60)
"""How far around its middle a gnomonic plane is used."""
_POLES = math.radians(88)
"""Nearer to a pole longitudes leap."""
_LARGEST_STEP = 180 - 1e-9
Coordinates = NDArray[np.float64]


class LocalPlane:
    """A plane around a place in degrees, which x and y are measured from."""

    def __init__(self, lon: float, lat: float) -> None:
        self.lon = lon
        a, b = math.radians(lon), math.radians(lat)
        east = [-math.sin(a), math.cos(a), 0.0]
        north = [-math.sin(b) * math.cos(a), -math.sin(b) * math.sin(a), math.cos(b)]
        up = [math.cos(b) * math.cos(a), math.cos(b) * math.sin(a), math.sin(b)]
        self.basis = np.array([east, north, up])

    def _local(self, points: Coordinates) -> tuple[Coordinates, Coordinates]:
        """Return how far points are to the east and north, and upwards, of a unit vector."""
        found = to_vectors(points) @ self.basis.T
        return found[:, :2], found[:, 2]

    def _degrees(self, aside: Coordinates, up: Coordinates) -> Coordinates:
        """Return points in degrees, at most half a turn around the place."""
        x, y, z = (np.column_stack([aside, up]) @ self.basis).T
        lon = np.degrees(np.arctan2(y, x))
        lon = self.lon + (lon - self.lon + 180) % 360 - 180
        return np.column_stack([lon, np.degrees(np.arctan2(z, np.hypot(x, y)))])


class EquidistantPlane(LocalPlane):
    """The plane in metres where distances and directions from its middle are true."""

    def forward(self, points: Coordinates) -> Coordinates:
        """Return points in degrees, shape (n, 2), in metres."""
        aside, up = self._local(points)
        sine = np.hypot(*aside.T)
        ratio = np.divide(np.arctan2(sine, up), sine, out=np.ones_like(sine), where=sine > 0)
        found: Coordinates = aside * (ratio * EARTH_M)[:, np.newaxis]
        return found

    def inverse(self, points: Coordinates) -> Coordinates:
        """Return points in metres in degrees."""
        angle = np.hypot(*points.T) / EARTH_M
        ratio = np.divide(np.sin(angle), angle, out=np.ones_like(angle), where=angle > 0)
        return self._degrees(points * (ratio / EARTH_M)[:, np.newaxis], np.cos(angle))


class GnomonicPlane(LocalPlane):
    """The plane where great circles are straight; points that it has carried come back as given."""

    def __init__(self, lon: float, lat: float) -> None:
        super().__init__(lon, lat)
        self._given: list[Coordinates] = []
        self._carried: list[Coordinates] = []

    def forward(self, points: Coordinates) -> Coordinates:
        """Return points in degrees, shape (n, 2), on the plane, the Earth's radius as unit."""
        aside, up = self._local(points)
        found: Coordinates = aside / up[:, np.newaxis]
        self._given.append(points)
        self._carried.append(found)
        return found

    def inverse(self, points: Coordinates) -> Coordinates:
        """Return points of the plane in degrees."""
        length = np.sqrt(1 + (points**2).sum(axis=1))
        found = self._degrees(points / length[:, np.newaxis], 1 / length)
        if self._given and len(points):
            self._restore(points, found)
        return found

    def _restore(self, points: Coordinates, found: Coordinates) -> None:
        """Put the points as given in place of those computed from the same place."""
        given, carried = np.concatenate(self._given), np.concatenate(self._carried)
        keys, wanted = carried[:, 0] + 1j * carried[:, 1], points[:, 0] + 1j * points[:, 1]
        order = np.argsort(keys, kind="stable")
        places = np.searchsorted(keys[order], wanted).clip(max=len(order) - 1)
        is_same = keys[order][places] == wanted
        same = given[order][places[is_same]]
        turns = np.round((found[is_same, 0] - same[:, 0]) / 360)
        found[is_same] = same + np.column_stack([360 * turns, np.zeros(len(same))])


def in_metres(shape: BaseGeometry, change: Callable[[BaseGeometry], BaseGeometry]) -> BaseGeometry:
    """Return a shape in degrees, changed in a plane of metres around its middle."""
    plane = equidistant_around(shape)
    changed = change(shapely.transform(shape, plane.forward))
    return shapely.transform(changed, plane.inverse)


def equidistant_around(shape: BaseGeometry) -> EquidistantPlane:
    """Return the plane around the middle of a shape in degrees; InvalidRequest if it is empty."""
    middle = shape.centroid
    if middle.is_empty:
        raise InvalidRequest("The geometry is empty.")
    return EquidistantPlane(middle.x, max(-90.0, min(90.0, middle.y)))


def gnomonic_around(shapes: Sequence[BaseGeometry]) -> GnomonicPlane | None:
    """Return the plane on which shapes in degrees lie whole; None if they are too wide for one."""
    points = np.concatenate([shapely.get_coordinates(shape) for shape in shapes])
    steps = np.abs(np.diff(points[:, 0]))
    if not len(points) or (steps >= _LARGEST_STEP).any():
        return None
    vectors = to_vectors(points)
    middle = vectors.sum(axis=0)
    if (size := float(np.linalg.norm(middle))) < 1e-9:
        return None
    middle = middle / size
    reach = math.acos(max(-1.0, min(1.0, float((vectors @ middle).min()))))
    lat = math.asin(max(-1.0, min(1.0, float(middle[2]))))
    if reach > _WIDEST or abs(lat) + reach > _POLES:
        return None
    lon = math.degrees(math.atan2(middle[1], middle[0]))
    # Results lie where the first shape does, also past the antimeridian.
    lon += 360 * round((float(np.median(points[:, 0])) - lon) / 360)
    return GnomonicPlane(lon, math.degrees(lat))
