"""Samples of an image's pixels as features.

A pixel is sampled if its centre lies in the region. Which pixels a random sample takes cannot equal
Earth Engine's choice: it depends on the seed and on each pixel's place in the region's grid alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import shapely

from tileserver.compute.algorithms.reducer.reduce_region import lattice_of, region_in
from tileserver.compute.context import MAX_LIST, Context, check_elements, check_length
from tileserver.compute.pixels.sampling import Choice, Sampled, sampled
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, Feature, geometry_of, index_of
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import INDEX, Image, Projection
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84, transform_points


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
    choice = Choice(seed, factor or 1.0, wanted, drops_nulls)
    found = sampled(context, image.bands, region, choice, tile_scale)
    features = features_of(image, found, region.grid.crs_code if has_geometries else None)
    return Collection("FeatureCollection", features)


def features_of(
    image: Image, found: Sampled, crs_code: str | None, prefix: str = ""
) -> tuple[Feature, ...]:
    """Return pixels as features with a property a band; at their centres if a CRS is given."""
    check_length(len(found.x), MAX_LIST, "pixels")
    values = [column.to_list() for column in found.columns]
    properties = [dict(zip(image.band_ids, row, strict=True)) for row in zip(*values, strict=True)]
    places: list[Geometry | None] = [None] * len(properties)
    if crs_code is not None:
        lon, lat = transform_points(crs_code, WGS84, found.x, found.y)
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
        found = sampled(context, image.bands, region, Choice(drops_nulls=True), tile_scale)
        code = region.grid.crs_code if has_geometries else None
        names = [n for n in feature.properties if not n.startswith("system:")]
        own = {n: feature.properties.get(n) for n in (names if kept is None else kept)}
        for pixel in features_of(image, found, code, f"{index_of(feature, number)}_"):
            sampled_features.append(replace(pixel, properties={**own, **pixel.properties}))
        check_length(len(sampled_features), MAX_LIST, "pixels")
    return Collection("FeatureCollection", tuple(sampled_features))
