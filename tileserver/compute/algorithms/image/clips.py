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
from shapely.geometry.base import BaseGeometry

from tileserver.compute.coercion import to_collection, to_geometry
from tileserver.compute.context import Context
from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixels.coverage import shares
from tileserver.compute.pixels.rasterize import (
    grid_polygon,
    near,
    parts_of,
    past_edges,
    rasterio_affine,
    shown_on,
)
from tileserver.compute.pixels.reprojected import within
from tileserver.compute.registry import algorithm
from tileserver.compute.values.antimeridian import narrowest
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import (
    FOOTPRINT,
    Band,
    Image,
    Projection,
    map_bands,
    north_up,
)
from tileserver.contract.grids import Box, PixelGrid, Window
from tileserver.contract.pixels import MAX_SIDE
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.turns import period


class GeometryMask:
    """A geometry as a mask on any grid; its shape in each CRS is computed once."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self._shapes: dict[str, Any] = {}
        self._parts: dict[str, tuple[list[BaseGeometry], list[BaseGeometry]]] = {}

    def shape_in(self, crs_code: str) -> Any:
        """Return the geometry in a CRS."""
        if crs_code not in self._shapes:
            self._shapes[crs_code] = self.geometry.in_crs(crs_code)
        return self._shapes[crs_code]

    def parts_in(self, crs_code: str) -> tuple[list[BaseGeometry], list[BaseGeometry]]:
        """Return its polygons, and its points and lines, in a CRS."""
        if crs_code not in self._parts:
            shape = self.shape_in(crs_code)
            parts = parts_of(shape if shapely.is_valid(shape) else shapely.make_valid(shape))
            areas = [each for each in parts if each.geom_type == "Polygon"]
            others = [each for each in parts if each.geom_type != "Polygon"]
            self._parts[crs_code] = areas, others
        return self._parts[crs_code]

    def shares(self, grid: PixelGrid) -> NDArray[np.float64]:
        """Return the share of each pixel that the geometry covers, shape (height, width).

        A pixel that a point or a line touches counts as covered.
        """
        areas, others = self.parts_in(grid.crs_code)
        found = shares(near(areas, grid, 1), grid)
        touching = near(others, grid, 1)
        if touching:
            cut = shapely.intersection(np.array(touching, object), grid_polygon(grid, 1))
            moved = [past_edges(each, grid) for each in cut if not each.is_empty]
            found[_touched(moved, grid)] = 1.0
        return found

    def covers(self, grid: PixelGrid) -> NDArray[np.bool_]:
        """Return which pixels of a grid lie in the geometry, shape (height, width)."""
        shape = (grid.height, grid.width)
        # Clipped first, so that a long coast costs no more than its part near the grid.
        shown_here = shown_on(self.shape_in(grid.crs_code), grid)
        cut = [shapely.intersection(each, grid_polygon(grid, 1)) for each in shown_here]
        near = cut[0] if len(cut) == 1 else shapely.union_all(cut)
        if near.is_empty:
            return np.zeros(shape, bool)
        is_area = near.geom_type.endswith("Polygon")
        near = near if is_area else past_edges(near, grid)
        covered: NDArray[np.bool_] = geometry_mask(
            [near], shape, rasterio_affine(grid), all_touched=not is_area, invert=True
        )
        return covered


def _touched(shapes: list[BaseGeometry], grid: PixelGrid) -> NDArray[np.bool_]:
    size = (grid.height, grid.width)
    if not shapes:
        return np.zeros(size, bool)
    touched: NDArray[np.bool_] = geometry_mask(
        shapes, size, rasterio_affine(grid), all_touched=True, invert=True
    )
    return touched


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


def _cut_extent(band: Band, area_mask: GeometryMask) -> Window | None:
    """Return the part of a band's extent that a geometry meets; all of it if there is none."""
    shape = area_mask.shape_in(band.projection.crs_code)
    if shape.is_empty:
        return band.extent
    found = band.projection.transform.covering(Box(*shape.bounds))
    if band.extent is None:
        return found
    return band.extent.intersection(found) or band.extent


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
) -> tuple[Projection, Window]:
    projection = band.projection
    box = _bounds(band, geometry)
    if width is None and height is None and most is None:
        sized = north_up(projection if scale is None else projection.at_scale(scale))
        return sized, sized.transform.covering(box)
    across, down = box.east - box.west, box.north - box.south
    if most is not None and width is None and height is None:
        width = most if across >= down else max(1, round(most * across / down))
        height = most if down >= across else max(1, round(most * down / across))
    width = width or max(1, round((height or 1) * across / down))
    height = height or max(1, round(width * down / across))
    if max(width, height) > MAX_SIDE:
        raise InvalidRequest(
            f"Pixel grid dimensions ({width}x{height}) must be less than or equal to {MAX_SIDE}."
        )
    grid = PixelGrid.filling(box, width, height, projection.crs_code)
    return Projection(projection.crs_code, grid.transform), grid.whole


def _bounds(band: Band, geometry: Geometry | None) -> Box:
    """Return the box of a geometry in the CRS of a band, or else that of the band.

    Raises:
        InvalidRequest: there is no geometry and the band is unbounded.
    """
    if geometry is not None:
        shape = geometry.in_crs(band.projection.crs_code)
        shape = narrowest(shape, period(band.projection.crs_code))
        box = Box(*(shape.bounds if not shape.is_empty else (0.0,) * 4))
    elif band.extent is None:
        raise InvalidRequest("The image is unbounded; expected a geometry to clip it to.")
    else:
        box = band.projection.transform.grid(band.extent, band.projection.crs_code).box
    if not box.has_area:
        # A point stands for the pixel that holds it.
        side = band.projection.transform.pixel_side
        east, south = max(box.east, box.west + side), min(box.south, box.north - side)
        return Box(box.west, south, east, box.north)
    return box
