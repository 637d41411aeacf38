"""Reductions of an image over regions.

`pixels.regions` says which pixels belong to a region, and with which weights. The grid is that of
`crs` and `scale` or `crsTransform`, else the first band's own; a null region is the extent of the
first band.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import shapely

from tileserver.compute.algorithms.image.clips import GeometryMask
from tileserver.compute.algorithms.image.reprojection import projection_of
from tileserver.compute.context import Context, check_elements
from tileserver.compute.pixels.regions import Region, reduced, region_of
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, geometry_of
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import Image, Projection, band_grid
from tileserver.compute.values.reducer import Reducer, spread
from tileserver.errors import InvalidRequest

_GRID = "scale: Float = null, crs: Projection = null, crsTransform: List = null"


def lattice_of(
    image: Image, crs: Projection | None, transform: list[Any] | None, scale: float | None
) -> Projection:
    """Return the projection to work in: the requested one, else the first band's.

    Raises:
        InvalidRequest: the image has no bands, or the arguments contradict each other.
    """
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    return projection_of(crs or image.bands[0].projection, transform, scale)


def region_in(image: Image, geometry: Geometry | None, lattice: Projection) -> Region:
    """Return the pixels of a geometry, or without one of the image's first band.

    Raises:
        InvalidRequest: there is no geometry, and the band is unbounded.
    """
    band = image.bands[0]
    if geometry is None:
        extent = band.extent
        if extent is None:
            raise InvalidRequest("The image has no end; please specify a geometry.")
        box = shapely.box(extent.column, extent.row, extent.right, extent.bottom)
        geometry = Geometry(box, band.projection)
    mask = GeometryMask(geometry)
    return region_of(geometry, lattice, mask.covers, mask.shares, band_grid(band))


def _too_many(found: int, most: int) -> InvalidRequest:
    return InvalidRequest(
        f"Too many pixels in the region. Found {found}, but maxPixels allows only {most}.\n"
        "Ensure that you are not aggregating at a higher resolution than you intended; that is a "
        "frequent cause of this error. If not, then you may set the 'maxPixels' argument to a "
        "limit suitable for your computation; set 'bestEffort' to true to aggregate at whatever "
        "scale results in 'maxPixels' total pixels; or both."
    )


@algorithm(
    "Image.reduceRegion(image: Image, reducer: Reducer, geometry: Geometry = null,"
    f" {_GRID}, bestEffort: Boolean = false, maxPixels: Long = 10000000.0,"
    " tileScale: Float = 1.0) -> Dictionary"
)
def reduce_region(
    context: Context,
    image: Image,
    reducer: Reducer,
    geometry: Geometry | None,
    scale: float | None,
    crs: Projection | None,
    transform: list[Any] | None,
    best_effort: bool,
    most: int,
    tile_scale: float,
) -> dict[str, Any]:
    """Return a reducer's results over an image's pixels in a region, by band names."""
    outputs = spread(reducer, _names(image), keeps_name=True)
    lattice = lattice_of(image, crs, transform, scale)
    region = reducible_region(image, geometry, lattice, best_effort, most)
    return reduced(context, image.bands, region, outputs, tile_scale)


def reducible_region(
    image: Image, geometry: Geometry | None, lattice: Projection, best_effort: bool, most: int
) -> Region:
    """Return the pixels of a geometry, larger ones at best effort.

    Raises:
        InvalidRequest: there are more than `most`.
    """
    region = region_in(image, geometry, lattice)
    if region.count_px <= most:
        return region
    if not best_effort or most < 1:
        raise _too_many(region.count_px, most)
    return _coarser(image, geometry, lattice, region.count_px / most, most)


def _names(image: Image) -> list[str]:
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    return image.band_ids


def _coarser(
    image: Image, geometry: Geometry | None, lattice: Projection, times: float, most: int
) -> Region:
    """Return the region in pixels so large that there are no more than allowed."""
    for _ in range(20):
        coarse = lattice.at_scale(lattice.nominal_scale_m * times**0.5)
        region = region_in(image, geometry, coarse)
        if region.count_px <= most:
            return region
        times *= 1.1
    raise _too_many(region.count_px, most)


@algorithm(
    f"Image.reduceRegions(image: Image, collection: FeatureCollection, reducer: Reducer, {_GRID},"
    " tileScale: Float = 1.0, maxPixelsPerRegion: Long = null) -> FeatureCollection"
)
def reduce_regions(
    context: Context,
    image: Image,
    collection: Collection,
    reducer: Reducer,
    scale: float | None,
    crs: Projection | None,
    transform: list[Any] | None,
    tile_scale: float,
    most: int | None,
) -> Collection:
    """Return features with a reducer's results over an image's pixels in each.

    Of an image of one band the properties are named by the outputs alone, such as mean.
    """
    check_elements(len(collection.elements))
    names = _names(image)
    outputs = spread(reducer, names, keeps_name=True)
    if len(names) == 1:
        outputs = list(reducer.outputs)
    lattice = lattice_of(image, crs, transform, scale)
    found = []
    for feature in collection.elements:
        context.count_call()
        region = region_in(image, geometry_of(feature), lattice)
        if most is not None and region.count_px > most:
            raise _too_many(region.count_px, most)
        results = reduced(context, image.bands, region, outputs, tile_scale)
        found.append(replace(feature, properties={**feature.properties, **results}))
    columns = {**collection.columns, **{output.name: "Float" for output in outputs}}
    return Collection("FeatureCollection", tuple(found), columns=columns)
