"""Where the pixels of a GeoTIFF lie: by a geotransform, by ground control points, by RPCs, nowhere.

As GDAL looks for them, in this order. A raster that is placed by points or polynomials gets the
grid that GDAL suggests to warp it to. One without a place on Earth, such as a scan or a photograph,
gets a flat map of its own: a pixel is a unit, x to the right and y up, from its middle. On a
web map that lies at 0 N 0 E and the raster spans up to half of the world, so that all of it shows
at zoom 0; at its full zoom its pixels are those of the tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from rasterio import Affine
from rasterio.io import DatasetReader

from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.tiles import HALF_WORLD_M
from tileserver.errors import UnreadableRaster
from tileserver.geo.crs import NoMap, code_of, code_of_file, crs_of
from tileserver.rasters.warps import FixNoPlace, Warp, warp_of

_MAX_SIDE = 2**24
"""Pixels; as many lie beside each other in half of the world at zoom 17."""
_HALF_TILE = 128
"""Pixels across half of the world at zoom 0."""
_HAIR = 1e-8
"""Pixels are larger by this share, or rounding would ask for one zoom more."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pixels of a raster lie."""

    grid: PixelGrid
    """Its native grid, to everybody else."""
    warp: Warp | None = None
    """Leads from pixels of the grid to those of the file, where they are not the same."""
    no_place: str = ""
    """Why its place on Earth is not known; empty if it is."""


def place(dataset: DatasetReader, name: str) -> Placement:
    """Return where the pixels of a dataset lie.

    Raises:
        UnreadableRaster: its CRS may not be read, it has too many control points, or it is too
            large.
    """
    has_points = bool(dataset.gcps[0]) and dataset.gcps[1] is not None
    if dataset.crs is None and (has_points or dataset.rpcs is not None):
        try:
            return Placement(*warp_of(dataset, name))
        except FixNoPlace as exc:
            return _nowhere(dataset, name, str(exc))
    if dataset.crs is None:
        return _nowhere(
            dataset, name, "the GeoTIFF has no CRS; gdal_edit.py -a_srs EPSG:… writes one"
        )
    try:
        crs_code = code_of_file(dataset.crs, name)
    except UnreadableRaster as exc:
        if not isinstance(exc.__cause__, NoMap):
            raise
        return _nowhere(dataset, name, f"the GeoTIFF's CRS {exc.__cause__}")
    if dataset.transform.is_identity or not can_be_inverted(dataset.transform):
        reason = "the GeoTIFF has no usable geotransform; gdal_edit.py -a_ullr … writes one"
        return _nowhere(dataset, name, reason)
    if reason := _beyond_poles(dataset):
        return _nowhere(dataset, name, reason)
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    transform = AffineTransform(a, b, c, d, e, f)
    return Placement(PixelGrid(dataset.width, dataset.height, transform, crs_code))


def _beyond_poles(dataset: DatasetReader) -> str:
    """Return why the latitudes of a dataset are none, empty if some of its rows are on Earth.

    Programs that crop pictures write geotransforms that count pixels, with a geographic CRS.
    """
    if not dataset.crs.is_geographic:
        return ""
    along, down, top = dataset.transform.d, dataset.transform.e, dataset.transform.f
    rows = [
        top + i * along * dataset.width + j * down * dataset.height for i in (0, 1) for j in (0, 1)
    ]
    radians = dataset.crs.units_factor[1]
    south, north = math.degrees(min(rows) * radians), math.degrees(max(rows) * radians)
    on_earth = min(north, 90.0) - max(south, -90.0)
    if on_earth >= (north - south) / 4:
        return ""
    return (
        f"the GeoTIFF's latitudes run from {south:.6g} to {north:.6g} degrees, those of the Earth "
        "from -90 to 90; gdal_edit.py writes the right CRS (-a_srs) or corners (-a_ullr)"
    )


def _nowhere(dataset: DatasetReader, name: str, reason: str) -> Placement:
    if max(dataset.width, dataset.height) > _MAX_SIDE:
        raise UnreadableRaster(
            f"{name}: {reason}. Without a place on Earth a side may have {_MAX_SIDE} pixels, "
            f"it is {dataset.width} x {dataset.height}."
        )
    width, height = dataset.width, dataset.height
    transform = AffineTransform(1.0, 0.0, -(width // 2), 0.0, -1.0, height // 2)
    zoom = max(math.ceil(math.log2(max(width, height) / _HALF_TILE)), 0)
    grid = PixelGrid(width, height, transform, _flat_map(zoom))
    return Placement(grid, no_place=f"No place on Earth: {reason}.")


@lru_cache(maxsize=64)
def _flat_map(zoom: int) -> str:
    """Return the CRS of pictures of a full zoom: Mercator's map, whose unit is a pixel there.

    PROJ takes a while for each new CRS, so all pictures of a full zoom have the same.
    """
    pixel_m = HALF_WORLD_M / (_HALF_TILE << zoom) * (1 + _HAIR)
    return code_of(
        crs_of(
            'PROJCS["No place on Earth: pixels of a picture",'
            'GEOGCS["No place on Earth",DATUM["No place on Earth",SPHEROID["Sphere",6378137,0]],'
            'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Mercator_1SP"],'
            'PARAMETER["central_meridian",0],PARAMETER["scale_factor",1],'
            'PARAMETER["false_easting",0],PARAMETER["false_northing",0],'
            f'UNIT["pixel",{pixel_m:.15g}],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
        )
    )


def can_be_inverted(transform: Affine) -> bool:
    """Tell whether pixels have an area, and places on Earth have pixels, both of them numbers."""
    # Products of the members are what is computed with; those of NaN and 1e300 are not numbers.
    members = [transform.determinant, *tuple(transform)[:6]]
    if transform.determinant == 0 or not all(map(math.isfinite, members)):
        return False
    return all(map(math.isfinite, tuple(~transform)[:6]))
