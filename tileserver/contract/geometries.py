"""A GeoJSON geometry as a frozen value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Geometry:
    """A GeoJSON geometry (RFC 7946), longitude before latitude, as nested tuples."""

    type: str
    coordinates: Any = ()
    """Nested tuples of floats; empty for a GeometryCollection."""
    geometries: tuple[Geometry, ...] = ()
    is_planar: bool = False
    """Whether edges are straight in degrees even where the other way around the Earth is shorter;
    `geodesic` of the client's JSON is False then."""

    def positions(self) -> Iterator[tuple[float, float]]:
        """Yield every (longitude, latitude) in degrees."""
        for geometry in self.geometries:
            yield from geometry.positions()
        yield from _positions(self.coordinates)


def _positions(coordinates: Any) -> Iterator[tuple[float, float]]:
    if coordinates and isinstance(coordinates[0], float):
        yield coordinates[0], coordinates[1]
        return
    for part in coordinates:
        yield from _positions(part)
