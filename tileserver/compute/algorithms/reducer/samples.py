"""Samples of an image's pixels as features.

A pixel is sampled if its centre lies in the region. Which pixels a random sample takes cannot equal
Earth Engine's choice: it depends on the seed and on each pixel's place in the region's grid alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.compute.algorithms.reducer.reduce_region import lattice_of, region_in
from tileserver.compute.context import MAX_LIST, Context, check_elements, check_length
from tileserver.compute.pixels.plan import compute
from tileserver.compute.pixels.sampling import Choice, Sampled, Strata, sampled
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import Array, array, check_size
from tileserver.compute.values.feature import (
    Collection,
    Feature,
    geometry_of,
    image_geometry,
    index_of,
)
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import INDEX, Band, Image, Projection
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest, shown
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


@algorithm(
    "Image.stratifiedSample(image: Image, numPoints: Integer, classBand: String = null,"
    " region: Geometry = null, scale: Float = null, projection: Projection = null,"
    " seed: Integer = 0.0, classValues: List = null, classPoints: List = null,"
    " dropNulls: Boolean = true, tileScale: Float = 1.0, geometries: Boolean = false)"
    " -> FeatureCollection"
)
def stratified_sample(
    context: Context,
    image: Image,
    most: int,
    class_band: str | None,
    geometry: Geometry | None,
    scale: float | None,
    crs: Projection | None,
    seed: int,
    class_values: list[Any] | None,
    class_points: list[Any] | None,
    drops_nulls: bool,
    tile_scale: float,
    has_geometries: bool,
) -> Collection:
    """Return so many pixels of each class as features; all of a class that has fewer.

    Pixels whose class is masked are in none.
    """
    region = region_in(image, geometry, lattice_of(image, crs, None, scale))
    place = _class_place(image, class_band)
    most_of = _points_of(class_values, class_points)
    if most < 0:
        raise InvalidRequest(f"numPoints must be 0 or more, got {most}.")
    choice = Choice(seed, drops_nulls=drops_nulls, strata=Strata(place, most, most_of))
    found = sampled(context, image.bands, region, choice, tile_scale)
    code = region.grid.crs_code if has_geometries else None
    return Collection("FeatureCollection", features_of(image, found, code))


def _class_place(image: Image, name: str | None) -> int:
    name = image.band_ids[0] if name is None else name
    if name not in image.band_ids:
        raise InvalidRequest(f"The image has no band '{name[:80]}' for the classes.")
    place = image.band_ids.index(name)
    if image.bands[place].type.precision != "int":
        raise InvalidRequest(f"The classBand '{name[:80]}' must hold whole numbers.")
    return place


def _points_of(values: list[Any] | None, points: list[Any] | None) -> dict[int, int]:
    """Return the number of points by class, of the two lists; both or none must be given."""
    if len(values or ()) != len(points or ()):
        raise InvalidRequest(
            "classValues and classPoints must be of the same size, "
            f"got {len(values or ())} and {len(points or ())}."
        )
    check_length(len(values or ()), 10_000, "classes")
    wanted = (*(values or ()), *(points or ()))
    if wrong := [each for each in wanted if not isinstance(each, int | float)]:
        raise InvalidRequest(f"Expected numbers of classes and points, got {shown(wrong[0])}.")
    pairs = zip(values or (), points or (), strict=True)
    return {int(value): max(int(count), 0) for value, count in pairs}


_MOST_RECTANGLE_PX = 262_144


@algorithm(
    "Image.sampleRectangle(image: Image, region: Geometry = null, properties: List = null,"
    " defaultValue: Float = null, defaultArrayValue: Array = null) -> Feature"
)
def sample_rectangle(
    context: Context,
    image: Image,
    geometry: Geometry | None,
    kept: list[Any] | None,
    default: float | None,
    default_array: Array | None,
) -> Feature:
    """Return a feature with an array a band: its pixels in the bounds of a region.

    Each band is taken in its own projection; masked pixels need a default value. Bands of arrays
    give arrays of two axes more.
    """
    own = image.properties
    names = [n for n in own if not n.startswith("system:")] if kept is None else kept
    found: dict[str, Any] = {name: own.get(name) for name in names}
    for band in image.bands:
        grid = _rectangle(image, band, geometry)
        context.budget.check_time()
        (values,), (mask,) = compute(
            [band.node], [band.type.dtype], grid, context.world.read, context.budget
        )
        if band.type.dimensions:
            found[band.id] = array(_joined_arrays(band, values, mask, default_array))
        else:
            found[band.id] = array(_without_gaps(band, values, mask, default))
    place = geometry if geometry is not None else image_geometry(image)
    return Feature(place, found)


def _without_gaps(
    band: Band, values: NDArray[Any], mask: NDArray[Any], default: float | None
) -> NDArray[Any]:
    """Return values with a default where they are masked, whole if both are."""
    if default is None and not mask.all():
        raise _masked(band, "defaultValue")
    if default is None:
        return values
    is_whole = values.dtype.kind != "f" and float(default).is_integer() and abs(default) < 2**63
    wide = np.int64 if is_whole else np.float64
    return np.where(mask > 0, values.astype(wide), np.asarray(default).astype(wide))


def _masked(band: Band, argument: str) -> InvalidRequest:
    return InvalidRequest(
        f"The band '{band.id}' is masked in part of the region; "
        f"specify a {argument} for its masked pixels."
    )


def _joined_arrays(
    band: Band, values: NDArray[Any], mask: NDArray[Any], default: Array | None
) -> NDArray[Any]:
    """Return the arrays of pixels as one, rows and columns its first axes.

    Args:
        band: has the pixels.
        values: an `Array` a pixel, None where there is none; shape (height, width).
        mask: of the pixels.
        default: stands where a pixel is masked.
    """
    held = [None if each is None else each.values for each in values[mask > 0]]
    if default is None and (len(held) < values.size or any(each is None for each in held)):
        raise _masked(band, "defaultArrayValue")
    filler = None if default is None else default.values
    parts = [part for each in held if (part := filler if each is None else each) is not None]
    shapes = {each.shape for each in ([*parts, filler] if filler is not None else parts)}
    if len(shapes) != 1:
        raise InvalidRequest(f"The arrays of band '{band.id}' must all have the same lengths.")
    (shape,) = shapes
    check_size((*values.shape, *shape))
    found = np.empty((*values.shape, *shape), band.type.dtype)
    if filler is not None:
        found = found.astype(np.result_type(found, filler))
        found[:] = filler
    if parts:
        found[mask > 0] = np.stack(parts)
    return found


def _rectangle(image: Image, band: Band, geometry: Geometry | None) -> PixelGrid:
    """Return the grid of a band's pixels in the bounds of a region, or of all its pixels."""
    alone = replace(image, bands=(band,))
    grid = region_in(alone, geometry, band.projection).grid
    if grid.width * grid.height > _MOST_RECTANGLE_PX:
        raise InvalidRequest(
            f"Too many pixels in sample; must be <= {_MOST_RECTANGLE_PX}. "
            f"Got {grid.width * grid.height}."
        )
    return grid


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
        points = [shapely.Point(x, y) for x, y in zip(lon, lat, strict=True)]
        # Tables that the service exports say so of samples: {"geodesic":false,"type":"Point", ...}.
        places = [Geometry(point, geodesic=False) for point in points]
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
