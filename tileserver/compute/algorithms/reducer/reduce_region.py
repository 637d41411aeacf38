"""Reductions of an image over regions, and samples of its pixels.

A pixel belongs to the region if its centre lies in it. All pixels have the same weight, at the
edge of the region or partly masked. The grid is that of `crs` and `scale` or `crsTransform`, else
the first band's own; a null region is the extent of the first band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import shapely

from tileserver.compute.algorithms.image.clips import GeometryMask
from tileserver.compute.algorithms.image.reprojection import projection_of
from tileserver.compute.context import MAX_LIST, Context, check_elements, check_length
from tileserver.compute.pixels.regions import Region, Sampled, region_of, sampled
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, Feature, geometry_of, index_of
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import INDEX, Image, Projection, band_grid
from tileserver.compute.values.reducer import Output, Reducer, spread
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84, transform_points

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
    return region_of(geometry, lattice, GeometryMask(geometry).covers, band_grid(band))


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
    region = region_in(image, geometry, lattice)
    if region.count_px > most:
        if not best_effort or most < 1:
            raise _too_many(region.count_px, most)
        region = _coarser(image, geometry, lattice, region.count_px / most, most)
    return _results(context, outputs, sampled(context, image.bands, region, has_places=False))


def _names(image: Image) -> list[str]:
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    return image.band_ids


def _results(context: Context, outputs: Sequence[Output], found: Sampled) -> dict[str, Any]:
    results = {}
    for output in outputs:
        context.budget.check_time()
        results[output.name] = output.result(found.columns)
    return results


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
        results = _results(
            context, outputs, sampled(context, image.bands, region, has_places=False)
        )
        found.append(replace(feature, properties={**feature.properties, **results}))
    columns = {**collection.columns, **{output.name: "Float" for output in outputs}}
    return Collection("FeatureCollection", tuple(found), columns=columns)


@algorithm(
    "Image.sample(image: Image, region: Geometry = null, scale: Float = null,"
    " projection: Projection = null, factor: Float = null, numPixels: Long = null,"
    " seed: Integer = 0.0, dropNulls: Boolean = true, tileScale: Float = 1.0,"
    " geometries: Boolean = false) -> FeatureCollection"
)
def sample(
    context: Context,
    image: Image,
    geometry: Geometry | None,
    scale: float | None,
    crs: Projection | None,
    factor: float | None,
    wanted: int | None,
    seed: int,
    drops_nulls: bool,
    tile_scale: float,
    has_geometries: bool,
) -> Collection:
    """Return pixels as features, all or a random sample."""
    if factor is not None and wanted is not None:
        raise InvalidRequest("'factor' and 'numPixels' must not both be specified.")
    if factor is not None and not 0 < factor <= 1:
        raise InvalidRequest(f"factor must be above 0 and at most 1, got {factor:g}.")
    region = region_in(image, geometry, lattice_of(image, crs, None, scale))
    found = sampled(context, image.bands, region)
    rows = np.arange(len(found.x))
    chance = np.random.default_rng(abs(seed))
    if factor is not None:
        rows = rows[chance.random(len(rows)) < factor]
    elif wanted is not None and wanted < len(rows):
        rows = np.sort(chance.choice(len(rows), max(wanted, 0), replace=False))
    if drops_nulls:
        rows = rows[np.logical_and.reduce([c.valid[rows] for c in found.columns])]
    features = features_of(image, found, rows, region.grid.crs_code if has_geometries else None)
    return Collection("FeatureCollection", features)


def features_of(
    image: Image, found: Sampled, rows: Any, crs_code: str | None, prefix: str = ""
) -> tuple[Feature, ...]:
    """Return pixels as features with a property a band; at their centres if a CRS is given."""
    check_length(len(rows), MAX_LIST, "pixels")
    values = [column.to_list(rows) for column in found.columns]
    properties = [dict(zip(image.band_ids, row, strict=True)) for row in zip(*values, strict=True)]
    places: list[Geometry | None] = [None] * len(properties)
    if crs_code is not None:
        lon, lat = transform_points(crs_code, WGS84, found.x[rows], found.y[rows])
        places = [Geometry(shapely.Point(x, y)) for x, y in zip(lon, lat, strict=True)]
    return tuple(
        Feature(place, {**row, INDEX: f"{prefix}{i}"})
        for i, (place, row) in enumerate(zip(places, properties, strict=True))
    )


@algorithm(
    "Image.sampleRegions(image: Image, collection: FeatureCollection, properties: List = null,"
    " scale: Float = null, projection: Projection = null, tileScale: Float = 1.0,"
    " geometries: Boolean = false) -> FeatureCollection"
)
def sample_regions(
    context: Context,
    image: Image,
    collection: Collection,
    kept: list[Any] | None,
    scale: float | None,
    crs: Projection | None,
    tile_scale: float,
    has_geometries: bool,
) -> Collection:
    """Return the pixels in each feature as features that have its properties too."""
    check_elements(len(collection.elements))
    lattice = lattice_of(image, crs, None, scale)
    sampled_features: list[Feature] = []
    for number, feature in enumerate(collection.elements):
        context.count_call()
        region = region_in(image, geometry_of(feature), lattice)
        found = sampled(context, image.bands, region)
        rows = np.flatnonzero(np.logical_and.reduce([c.valid for c in found.columns]))
        code = region.grid.crs_code if has_geometries else None
        names = [n for n in feature.properties if not n.startswith("system:")]
        own = {n: feature.properties.get(n) for n in (names if kept is None else kept)}
        for pixel in features_of(image, found, rows, code, f"{index_of(feature, number)}_"):
            sampled_features.append(replace(pixel, properties={**own, **pixel.properties}))
        check_length(len(sampled_features), MAX_LIST, "pixels")
    return Collection("FeatureCollection", tuple(sampled_features))
