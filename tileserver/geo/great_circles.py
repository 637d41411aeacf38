"""Lines on the Earth: points along great circles, and distances over the ellipsoid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tileserver.geo.crs import EARTH_RADIUS_M

Floats = NDArray[np.float64]
_FLATTENING = 1 / 298.257223563
"""Of WGS84."""
_LEAST_RAD = 1e-12
"""An angle below a hundredth of a millimetre on the ground is none."""
_STEP_RAD = 0.002
"""Distances are added up over steps of about 13 km at most: that is exact to a hair."""


def normals(lons: Floats, lats: Floats) -> Floats:
    """Return the unit vectors upwards at places in degrees, shape (n, 3)."""
    lon, lat = np.radians(lons), np.radians(lats)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def angles(vectors: Floats) -> Floats:
    """Return the angle from each unit vector to the next in radians, shape (n - 1,)."""
    first, second = vectors[:-1], vectors[1:]
    sine = np.linalg.norm(np.cross(first, second), axis=1)
    found: Floats = np.arctan2(sine, (first * second).sum(axis=1))
    return found


def along(corners: Floats, count: int) -> tuple[Floats, Floats]:
    """Return `count` unit vectors on the great circles between corners, and their distances.

    They are evenly spaced, the first and the last are those of the line. Distances are from the
    first, along the line and around its corners, in metres on the ellipsoid: by a few millionths
    longer than the shortest ways there.

    Args:
        corners: shape (n, 3), of which at least two differ.
        count: at least two.
    """
    ends = np.concatenate([[0.0], np.cumsum(angles(corners))])
    wanted = np.linspace(0.0, ends[-1], count)
    found = _between(corners, ends, wanted)
    order = np.argsort(np.concatenate([wanted, ends]), kind="stable")
    distances = np.empty(len(order))
    distances[order] = _distances_m(np.concatenate([found, corners])[order])
    return found, distances[:count]


def _between(vectors: Floats, ends: Floats, wanted: Floats) -> Floats:
    """Return the unit vectors at some angles from the first, where the corners are at `ends`."""
    widths = np.diff(ends)
    legs = np.clip(np.searchsorted(ends, wanted, side="right") - 1, 0, len(widths) - 1)
    width = widths[legs]
    share = (wanted - ends[legs]) / np.where(width > _LEAST_RAD, width, 1.0)
    first, second = vectors[legs], vectors[legs + 1]
    sine = np.where(width > _LEAST_RAD, np.sin(width), 1.0)
    before = np.where(width > _LEAST_RAD, np.sin((1 - share) * width) / sine, 1.0)
    after = np.where(width > _LEAST_RAD, np.sin(share * width) / sine, 0.0)
    found: Floats = before[:, np.newaxis] * first + after[:, np.newaxis] * second
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    found[0], found[-1] = vectors[0], vectors[-1]
    return found


def places(vectors: Floats) -> tuple[Floats, Floats]:
    """Return the longitudes, within -180 to 180, and latitudes of unit vectors in degrees."""
    x, y, z = vectors.T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def _distances_m(vectors: Floats) -> Floats:
    """Return the distance of each unit vector from the first, along the line, on the ellipsoid."""
    steps = angles(vectors)
    parts = max(int(np.ceil(steps.max(initial=0.0) / _STEP_RAD)), 1)
    fine = vectors if parts == 1 else _refined(vectors, parts)
    eccentricity = _FLATTENING * (2 - _FLATTENING)
    upwards = EARTH_RADIUS_M / np.sqrt(1 - eccentricity * fine[:, 2:] ** 2)
    points = upwards * fine * np.array([1.0, 1.0, 1 - eccentricity])
    chords = np.linalg.norm(np.diff(points, axis=0), axis=1)
    found: Floats = np.concatenate([[0.0], np.cumsum(chords)])[::parts]
    return found


def _refined(vectors: Floats, parts: int) -> Floats:
    """Return the vectors with `parts - 1` more between two neighbours."""
    ends = np.arange(len(vectors), dtype=np.float64)
    widths = np.concatenate([[0.0], np.cumsum(angles(vectors))])
    wanted = np.arange((len(vectors) - 1) * parts + 1) / parts
    return _between(vectors, widths, np.interp(wanted, ends, widths))
