"""Geometries to be drawn, of which a grid needs those near it: an index of boxes finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.compute.pixels.rasterize import parts_of
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import DEFAULT_PROJECTION
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.contract.tiles import WEB_MERCATOR
from tileserver.geo.crs import WGS84, are_aligned, transform_points

_FEW = 500
"""Fewer geometries are all looked at."""
_MOST_CARRIED = 2
"""CRSs at once, of which strangers choose."""
_TURN = 360.0
_MAX_LATITUDE = 85.0
_STEP_SHARE = 1 / 20
"""How finely an edge is followed, as `Geometry.in_crs` does."""
_STEP_DEG = 0.02
"""Edges of this length are straight on the map, too, to less than a metre."""
_AT_ONCE = 10_000
_RADIUS_M = 6378137.0
_SIMPLE = (0, 1, 3)
"""GEOS's numbers of points, lines and polygons."""


@dataclass(frozen=True)
class Shapes:
    """Geometries, each carried into a CRS once for its pieces."""

    geometries: tuple[Geometry, ...]
    _carried: dict[str, dict[int, list[BaseGeometry]]] = field(default_factory=dict)

    def parts_in(self, crs_code: str) -> list[list[BaseGeometry]]:
        """Return the simple parts of each geometry in a CRS."""
        carried = self._all_in(crs_code)
        places = range(len(self.geometries))
        self._carry([place for place in places if place not in carried], crs_code, carried)
        return [carried[place] for place in places]

    def _all_in(self, crs_code: str) -> dict[int, list[BaseGeometry]]:
        # Under another thread it may go, but not in here.
        carried = self._carried.get(crs_code)
        if carried is None:
            if len(self._carried) >= _MOST_CARRIED:
                self._carried.clear()
            carried = self._carried[crs_code] = {}
        return carried

    def parts_near(self, grid: PixelGrid, margin_px: float) -> list[tuple[int, list[BaseGeometry]]]:
        """Return places of geometries that may lie near a grid, with their simple parts in its CRS.

        Args:
            grid: where they are drawn.
            margin_px: pixels around the grid.
        """
        carried = self._all_in(grid.crs_code)
        places = self._places(grid, margin_px)
        self._carry([place for place in places if place not in carried], grid.crs_code, carried)
        return [(place, carried[place]) for place in places]

    def _places(self, grid: PixelGrid, margin_px: float) -> Sequence[int]:
        """Return the places of geometries whose boxes in degrees meet a grid's."""
        tree = self._tree
        if tree is None or not are_aligned(grid.crs_code, WGS84):
            return range(len(self.geometries))
        box, margin = grid.box, (margin_px + 1) * grid.transform.pixel_side
        x = np.array([box.west - margin, box.east + margin])
        y = np.array([box.south - margin, box.north + margin])
        west, east, south, north = *x, *y
        if grid.crs_code != WGS84:
            world = 2 * np.pi * _RADIUS_M
            west, east = (x / world * _TURN).tolist()
            _, lat = transform_points(WEB_MERCATOR, WGS84, np.zeros(2), y)
            south, north = lat.tolist()
        found = [
            tree.query(shapely.box(west + turn, south, east + turn, north))
            for turn in (-_TURN, 0.0, _TURN)
        ]
        return sorted(set(np.concatenate(found).tolist()))

    @cached_property
    def _tree(self) -> shapely.STRtree | None:
        """The index of boxes in degrees; None for few geometries, or if edges may leave a box."""
        are_straight = all(map(_is_straight, self.geometries))
        if len(self.geometries) < _FEW or not are_straight:
            return None
        return shapely.STRtree([each.shape for each in self.geometries])

    def _carry(
        self, places: Sequence[int], crs_code: str, carried: dict[int, list[BaseGeometry]]
    ) -> None:
        at_once = []
        for place in places:
            geometry = self.geometries[place]
            if crs_code == WEB_MERCATOR and len(places) >= _FEW and _is_plain(geometry):
                at_once.append(place)
            else:
                check_time()
                carried[place] = parts_of(geometry.in_crs(crs_code))
        for start in range(0, len(at_once), _AT_ONCE):
            check_time()
            chosen = at_once[start : start + _AT_ONCE]
            shapes = np.array([self.geometries[place].shape for place in chosen], object)
            found = _in_mercator(shapes)
            simple = np.isin(shapely.get_type_id(found), _SIMPLE) & ~shapely.is_empty(found)
            for place, shape, is_simple in zip(chosen, found, simple.tolist(), strict=True):
                carried[place] = [shape] if is_simple else parts_of(shape)


def _is_straight(geometry: Geometry) -> bool:
    is_point = geometry.shape.geom_type == "Point"
    return geometry.projection == DEFAULT_PROJECTION and (is_point or geometry.geodesic is False)


def _is_plain(geometry: Geometry) -> bool:
    """Tell whether a geometry with straight edges lies on the map, away from its ends."""
    if not _is_straight(geometry) or geometry.shape.is_empty:
        return False
    west, south, east, north = geometry.shape.bounds
    is_on_map = west > -_TURN / 2 and east < _TURN / 2
    return is_on_map and south > -_MAX_LATITUDE and north < _MAX_LATITUDE


def _in_mercator(shapes: NDArray[Any]) -> NDArray[Any]:
    bounds = shapely.bounds(shapes)
    steps = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]) * _STEP_SHARE
    fine = shapely.segmentize(shapes, np.maximum(steps, _STEP_DEG))
    return np.asarray(shapely.transform(fine, _on_mercator), dtype=object)


def _on_mercator(points: NDArray[np.float64]) -> NDArray[np.float64]:
    # PROJ's own result to the micrometre, at a fifth of its time.
    lon, lat = np.radians(points).T
    return np.column_stack([lon, np.arcsinh(np.tan(lat))]) * _RADIUS_M
