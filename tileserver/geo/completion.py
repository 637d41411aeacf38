"""What a request leaves open about its grid, filled in.

Earth Engine documents these; each is kept by a test:

- no CRS: the asset's own;
- transform and dimensions, no region: just those;
- a Point as region, no dimensions: the one pixel that holds it.

And leaves these open; decided here:

- no region: the asset's footprint stands for it;
- dimensions, no transform: the region's bounding box, stretched to the dimensions;
- region and dimensions and transform: the same, the transform is not needed, since Earth
  Engine says that the grid is finally rescaled to the requested size;
- transform, no dimensions: the transform's pixels, whole ones, that cover the region;
- a CRS alone: square pixels of the area that native ones have in the middle of the asset,
  from the north-western corner of the region.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import AffineTransform, Box, PartialGrid, PixelGrid
from tileserver.contract.pixels import Geometry, PixelRequest
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84, Coordinates, crs_of, transform_points
from tileserver.geo.extents import footprint_extent, within_map
from tileserver.geo.local_scale import pixel_side
from tileserver.geo.short_way import short_way
from tileserver.geo.turns import middle_longitude, period

_STEPS = 21
"""Points on an edge at least, four a degree otherwise."""
_MAX_POINTS = 1_000_000


def complete(request: PixelRequest, asset: ImageAsset) -> PixelGrid:
    """Return the grid of a request with nothing left open.

    Raises:
        InvalidRequest: the CRS is unknown, or the region lies outside its domain.
    """
    grid = request.grid or PartialGrid()
    native = asset.grid_of(request.band_ids)
    crs_code = grid.crs_code or native.crs_code
    crs_of(crs_code)
    if request.region is None and _is_whole(grid):
        return PixelGrid(grid.width or 0, grid.height or 0, _transform(grid), crs_code)
    if request.region is None and grid == PartialGrid():
        return native
    if request.region is None:
        box = footprint_extent(asset, crs_code)
    else:
        box = _bounding_box(request.region, crs_code)
    if grid.width and grid.height and box.has_area:
        return PixelGrid.filling(box, grid.width, grid.height, crs_code)
    covering = _covering(box, grid.transform or native_lattice(asset, native, crs_code), crs_code)
    if grid.width and grid.height:
        return PixelGrid.filling(covering.box, grid.width, grid.height, crs_code)
    return covering


def _is_whole(grid: PixelGrid | PartialGrid) -> bool:
    return grid.transform is not None and bool(grid.width and grid.height)


def _transform(grid: PixelGrid | PartialGrid) -> AffineTransform:
    return grid.transform or AffineTransform()


def native_lattice(asset: ImageAsset, native: PixelGrid, crs_code: str) -> AffineTransform:
    """Return the native transform, or in another CRS square pixels of about the same area."""
    if crs_code == native.crs_code:
        return native.transform
    side = pixel_side(native, crs_code)
    if side is None:
        raise InvalidRequest(
            f"grid: {asset.name} lies outside the domain of {crs_code[:80]}; "
            "expected a CRS that shows it."
        )
    box = footprint_extent(asset, crs_code)
    return AffineTransform.north_up(box.west, box.north, side, side)


def _bounding_box(region: Geometry, crs_code: str) -> Box:
    """Return the bounding box of a region in a CRS; its edges are straight in degrees.

    Unless it is planar they go the short way around the Earth. A region past the antimeridian, say
    at 170 to 190, stays in one piece.
    """
    points = np.concatenate([_along(line, is_planar) for line, is_planar in _lines(region)])
    x, y = transform_points(WGS84, crs_code, points[:, 0].copy(), points[:, 1].copy())
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidRequest(
            f"region: it reaches outside the domain of {crs_code[:80]}; expected one within it."
        )
    turn = period(crs_code)
    if turn is not None:
        x = x + turn * np.round((points[:, 0] - middle_longitude(crs_code)) / 360 - x / turn)
    box = Box(float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    return within_map(box, crs_code)


def _lines(geometry: Geometry) -> Iterator[tuple[tuple[Any, ...], bool]]:
    """Yield the lines that bound a geometry, and whether they are planar."""
    for part in geometry.geometries:
        yield from _lines(part)
    yield from ((line, geometry.is_planar) for line in _own_lines(geometry))


def _own_lines(geometry: Geometry) -> Iterator[tuple[Any, ...]]:
    """Yield lines of coordinates; a ring comes back to its start, a point is a line."""
    coordinates = geometry.coordinates
    match geometry.type:
        case "Point":
            yield (coordinates,)
        case "MultiPoint":
            yield from ((position,) for position in coordinates)
        case "LineString":
            yield coordinates
        case "MultiLineString":
            yield from coordinates
        case "Polygon":
            # Holes lie within.
            yield from ((*ring, *ring[:1]) for ring in coordinates[:1])
        case "MultiPolygon":
            yield from ((*ring, *ring[:1]) for rings in coordinates for ring in rings[:1])


def _along(line: Sequence[Sequence[float]], is_planar: bool) -> Coordinates:
    """Return points along a line, shape (n, 2), close enough to follow it into another CRS."""
    corners = np.array([position[:2] for position in line], np.float64).reshape(-1, 2)
    if not is_planar:
        corners[:, 0] = short_way(corners[:, 0], 360.0)
    edges = np.diff(corners, axis=0)
    if not edges.size:
        return corners
    count = int(np.clip(4 * np.abs(edges).max(), _STEPS, max(_STEPS, _MAX_POINTS // len(edges))))
    steps = np.linspace(0, 1, count)[:, np.newaxis]
    points: Coordinates = (corners[:-1, np.newaxis] + edges[:, np.newaxis] * steps).reshape(-1, 2)
    return points


def _covering(box: Box, lattice: AffineTransform, crs_code: str) -> PixelGrid:
    """Return the whole pixels of a lattice that cover a box; one pixel for a point."""
    try:
        return lattice.grid(lattice.covering(box), crs_code)
    except OverflowError as exc:
        raise InvalidRequest(
            "grid.affine_transform: its pixels are too small to cover the region, "
            "expected sides that are not nearly zero."
        ) from exc
