"""Bands masked outside of an area; imported when there is one, with the library of geometries."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from tileserver.compute import algorithms as algorithms
from tileserver.compute.algorithms.image.clips import GeometryMask
from tileserver.compute.values.geometry import geometry_from_geojson
from tileserver.contract.geojson import write_geometry
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, Geometry


def clipped(bands: BandArrays, grid: PixelGrid, geometry: Geometry) -> BandArrays:
    """Return bands masked outside of a geometry in degrees; blocks.

    Its edges are straight in longitude and latitude, as those of GeoJSON are (RFC 7946, 3.1.1).
    A pixel is kept if its centre lies in the geometry, or if a point or line of it touches it.

    Raises:
        InvalidRequest: the geometry is empty, or has no place in the CRS.
    """
    covered = _mask(geometry).covers(grid)
    return replace(bands, valid=bands.valid & covered, covered_px=int(covered.sum()))


# Few, as one of the largest takes megabytes.
@lru_cache(maxsize=4)
def _mask(geometry: Geometry) -> GeometryMask:
    return GeometryMask(geometry_from_geojson({**write_geometry(geometry), "geodesic": False}))
