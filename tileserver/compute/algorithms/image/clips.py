"""Clipping of images to geometries, and to the bounds of a geometry at a given size.

A pixel is kept if its centre lies in the geometry, or if a point or line of it touches the pixel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask

from tileserver.compute.algorithms.image.reprojection import extent_over
from tileserver.compute.coercion import to_collection, to_geometry
from tileserver.compute.context import Context
from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixels.rasterize import grid_polygon, rasterio_affine
from tileserver.compute.pixels.reprojected import within
from tileserver.compute.registry import algorithm
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import (
    FOOTPRINT,
    Band,
    Extent,
    Image,
    Projection,
    map_bands,
    north_up,
)
from tileserver.contract.pixels import MAX_SIDE, AffineTransform, PixelGrid
from tileserver.errors import InvalidRequest, shown


class GeometryMask:
    """A geometry as a mask on any grid; its shape in each CRS is computed once."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self._shapes: dict[str, Any] = {}

    def shape_in(self, crs_code: str) -> Any:
        """Return the geometry in a CRS."""
        if crs_code not in self._shapes:
            self._shapes[crs_code] = self.geometry.in_crs(crs_code)
        return self._shapes[crs_code]

    def covers(self, grid: PixelGrid) -> NDArray[np.bool_]:
        """Return which pixels of a grid lie in the geometry, shape (height, width)."""
        shape = (grid.height, grid.width)
        # Clipped first, so that a long coast costs no more than its part near the grid.
        near = shapely.intersection(self.shape_in(grid.crs_code), grid_polygon(grid, 1))
        if near.is_empty:
            return np.zeros(shape, bool)
        is_area = near.geom_type.endswith("Polygon")
        covered: NDArray[np.bool_] = geometry_mask(
            [near], shape, rasterio_affine(grid), all_touched=not is_area, invert=True
        )
        return covered


@algorithm("Image.clip(input: Image, geometry: Object) -> Image")
def clip(context: Context, image: Image, wanted: Any) -> Image:
    """Return an image, masked outside of a geometry or a feature."""
    geometry = to_geometry(wanted, context)
    if geometry is None:
        raise InvalidRequest(f"Expected a geometry or a feature, got {shown(wanted)}.")
    return _clipped(image, geometry)


@algorithm("Image.clipToCollection(input: Image, collection: Object) -> Image")
def clip_to_collection(context: Context, image: Image, wanted: Any) -> Image:
    """Return an image, masked outside of all features of a collection."""
    collection = to_collection(wanted, context)
    geometry = None if collection is None else to_geometry(collection, context)
    if geometry is None:
        raise InvalidRequest(f"Expected a collection of features, got {shown(wanted)}.")
    return _clipped(image, geometry)


def _clipped(image: Image, geometry: Geometry) -> Image:
    area_mask = GeometryMask(geometry)

    def mask(grid: PixelGrid, pixels: Pixels) -> Pixels:
        return Pixels(pixels.values, pixels.mask * area_mask.covers(grid))

    def change(band: Band) -> Band:
        node = ApplyOnGrid(mask, (band.node,))
        return replace(band, extent=_cut_extent(band, area_mask), node=node)

    found = map_bands(image, change)
    return replace(found, properties={**image.properties, FOOTPRINT: geometry})


def _cut_extent(band: Band, area_mask: GeometryMask) -> Extent | None:
    """Return the part of a band's extent that a geometry meets; all of it if there is none."""
    shape = area_mask.shape_in(band.projection.crs_code)
    if shape.is_empty:
        return band.extent
    found = extent_over(shape.bounds, band.projection)
    if band.extent is None:
        return found
    old = band.extent
    left, top = max(old.left, found.left), max(old.top, found.top)
    right = min(old.left + old.width, found.left + found.width)
    bottom = min(old.top + old.height, found.top + found.height)
    if left >= right or top >= bottom:
        return old
    return Extent(left, top, right - left, bottom - top)


@algorithm(
    "Image.clipToBoundsAndScale(input: Image, geometry: Geometry = null, width: Integer = null,"
    " height: Integer = null, maxDimension: Integer = null, scale: Float = null) -> Image"
)
def clip_to_bounds_and_scale(
    image: Image,
    geometry: Geometry | None,
    width: int | None,
    height: int | None,
    most: int | None,
    scale: float | None,
) -> Image:
    """Return an image cut to the bounds of a geometry, at a size in pixels or a scale in metres.

    The bounds are those in the projection of the image's first band; without a geometry they are
    those of its extent.
    """
    for name, side in (("width", width), ("height", height), ("maxDimension", most)):
        if side is not None and not 1 <= side <= MAX_SIDE:
            raise InvalidRequest(f"{name} must be between 1 and {MAX_SIDE}, got {side}.")
    if not image.bands:
        return image
    lattice, extent = _lattice(image.bands[0], geometry, width, height, most, scale)

    def change(band: Band) -> Band:
        changed = replace(band, projection=lattice, extent=extent)
        return replace(changed, node=within(changed))

    return map_bands(image, change)


def _lattice(
    band: Band,
    geometry: Geometry | None,
    width: int | None,
    height: int | None,
    most: int | None,
    scale: float | None,
) -> tuple[Projection, Extent]:
    projection = band.projection
    west, south, east, north = _bounds(band, geometry)
    if width is None and height is None and most is None:
        sized = north_up(projection if scale is None else projection.at_scale(scale))
        return sized, extent_over((west, south, east, north), sized)
    across, down = east - west, north - south
    if most is not None and width is None and height is None:
        width = most if across >= down else max(1, round(most * across / down))
        height = most if down >= across else max(1, round(most * down / across))
    width = width or max(1, round((height or 1) * across / down))
    height = height or max(1, round(width * down / across))
    if max(width, height) > MAX_SIDE:
        raise InvalidRequest(
            f"Pixel grid dimensions ({width}x{height}) must be less than or equal to {MAX_SIDE}."
        )
    transform = AffineTransform(across / width, 0.0, west, 0.0, -down / height, north)
    return Projection(projection.crs_code, transform), Extent(0, 0, width, height)


def _bounds(band: Band, geometry: Geometry | None) -> tuple[float, float, float, float]:
    """Return west, south, east, north in the CRS of a band.

    Raises:
        InvalidRequest: there is no geometry and the band is unbounded.
    """
    if geometry is not None:
        shape = geometry.in_crs(band.projection.crs_code)
        west, south, east, north = shape.bounds if not shape.is_empty else (0.0,) * 4
    elif band.extent is None:
        raise InvalidRequest("The image is unbounded; expected a geometry to clip it to.")
    else:
        e, t = band.extent, band.projection.transform
        corners = [
            t.apply(x, y) for x in (e.left, e.left + e.width) for y in (e.top, e.top + e.height)
        ]
        xs, ys = zip(*corners, strict=True)
        west, south, east, north = min(xs), min(ys), max(xs), max(ys)
    if not (west < east and south < north):
        # A point stands for the pixel that holds it.
        side = abs(band.projection.transform.determinant) ** 0.5
        east, south = max(east, west + side), min(south, north - side)
    return west, south, east, north
