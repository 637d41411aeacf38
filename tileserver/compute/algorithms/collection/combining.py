"""Collections of images brought together: combined, linked and cast; and small ones of features.

Source: Google's reference pages of these algorithms. Decided where they are silent: bands that an
image lacks after a cast have its first band's projection and no bounds; a linked band of an image
without a match has the type that the first image of the collection has for it, else double; of
several images that match the first one is taken.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.compute.algorithms.collection.composites import images_of
from tileserver.compute.algorithms.image.bands import add_bands, select
from tileserver.compute.algorithms.image.casts import cast_band
from tileserver.compute.coercion import collection_geometry, feature_collection, to_pixel_type
from tileserver.compute.context import MAX_ELEMENTS, Context, check_elements, check_length
from tileserver.compute.nodes import ApplyOnGrid, masked_pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.text.calendar import advanced, floored
from tileserver.compute.values.array import array
from tileserver.compute.values.date import Date, DateRange, millis_of
from tileserver.compute.values.equality import Keys
from tileserver.compute.values.feature import (
    Collection,
    Feature,
    property_of,
)
from tileserver.compute.values.geometry import UNBOUNDED
from tileserver.compute.values.image import DEFAULT_PROJECTION, INDEX, Band, Image
from tileserver.compute.values.pixel_type import CASTS, DOUBLE, PixelType
from tileserver.errors import InvalidRequest, shown


def transparent(name: str, type_: PixelType, like: Image | None = None) -> Band:
    """Return an unbounded band that is masked everywhere."""
    node = ApplyOnGrid(lambda grid: masked_pixels(grid, type_.dtype))
    projection = like.bands[0].projection if like and like.bands else DEFAULT_PROJECTION
    return Band(name, type_, projection, None, node)


@algorithm(
    "ImageCollection.cast(collection: ImageCollection, bandTypes: Dictionary, bandOrder: List)"
    " -> ImageCollection"
)
def cast_images(
    context: Context, collection: Collection, types: Mapping[str, Any], order: list[Any]
) -> Collection:
    """Return images with the same bands in the same order, each of its type.

    Bands that an image lacks are added, masked everywhere.
    """
    wanted = {name: _type_named(given, context) for name, given in types.items()}
    if sorted(map(str, order)) != sorted(wanted):
        raise InvalidRequest("bandOrder must match the keys of bandTypes.")
    made = []
    for image in images_of(context, collection):
        bands = {band.id: band for band in image.bands}
        if missing := sorted(set(bands) - set(wanted)):
            raise InvalidRequest(f"bandTypes has no type for the band '{missing[0][:80]}'.")
        made.append(
            image.derived(
                cast_band(bands[name], wanted[name])
                if name in bands
                else transparent(name, wanted[name], image)
                for name in order
            )
        )
    return collection.with_elements(made)


def _type_named(given: Any, context: Context) -> PixelType:
    found = to_pixel_type(given, context)
    if found is None:
        raise InvalidRequest(f"Unknown type of pixels {shown(given)}; expected {', '.join(CASTS)}.")
    return found


def _by_property(elements: Sequence[Any], name: str) -> dict[Hashable, Any]:
    """Return the first element for each value of a property, by a key of the value."""
    keys = Keys()
    found: dict[Hashable, Any] = {}
    for each in elements:
        value = property_of(each, name)
        if value is not None:
            found.setdefault(keys.of(value), each)
    return found


@algorithm(
    "ImageCollection.combine(primary: ImageCollection, secondary: ImageCollection,"
    " overwrite: Boolean = false) -> ImageCollection"
)
def combine(
    context: Context, primary: Collection, secondary: Collection, overwrite: bool
) -> Collection:
    """Return the images of a collection that have one of the same index in another, with its bands.

    A band of the same name is replaced if `overwrite` says so, else the other one gets a number.
    """
    others = _by_property(images_of(context, secondary), INDEX)
    made = []
    for image in images_of(context, primary):
        other = others.get(Keys().of(image.properties.get(INDEX)))
        if other is not None:
            made.append(add_bands(image, other, None, overwrite))
    return primary.with_elements(made)


@algorithm(
    "Image.linkCollection(input: Image, imageCollection: ImageCollection,"
    " linkedBands: Object = null, linkedProperties: Object = null,"
    ' matchPropertyName: String = "system:index") -> Image'
)
def link_collection(
    context: Context, image: Image, collection: Collection, bands: Any, properties: Any, key: str
) -> Image:
    """Return an image with bands and properties of the image that has the same value of a property.

    Bands of the same names are replaced. Without a match new bands are masked, properties null.
    """
    band_names, names = _names_of(bands), _names_of(properties)
    check_elements(len(collection.elements))
    value = property_of(image, key)
    match = None if value is None else _first_with(context, collection, key, value)
    if match is not None:
        linked = select(match, [*band_names], None)
    else:
        linked = Image(tuple(_unmatched(name, collection, image) for name in band_names))
    found = add_bands(image, linked, None, True) if band_names else image
    members = {name: None if match is None else property_of(match, name) for name in names}
    kept = {**found.properties, **members}
    return replace(found, properties={k: v for k, v in kept.items() if v is not None})


def _names_of(value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        raise InvalidRequest(f"Expected a name or a list of names, got {shown(value)}.")
    return list(names)


def _first_with(context: Context, collection: Collection, key: str, value: Any) -> Any:
    wanted = Keys().of(value)
    for each in collection.elements:
        context.budget.check_time()
        other = property_of(each, key)
        if other is not None and Keys().of(other) == wanted:
            return each
    return None


def _unmatched(name: str, collection: Collection, image: Image) -> Band:
    first = collection.elements[0] if len(collection.elements) else None
    types = {band.id: band.type for band in first.bands} if isinstance(first, Image) else {}
    return transparent(name, types.get(name, DOUBLE), image)


@algorithm(
    "FeatureCollection.makeArray(collection: FeatureCollection, properties: List,"
    ' name: String = "array") -> FeatureCollection'
)
def make_array(collection: Collection, names: list[Any], name: str) -> Collection:
    """Return the features whose properties are all numbers, with an array of them."""
    check_elements(len(collection.elements))
    found = []
    for each in collection.elements:
        values = [each.properties.get(str(key)) for key in names]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            members = {**each.properties, name: array(np.array(values))}
            found.append(replace(each, properties=members))
    return collection.with_elements(found)


@algorithm("Collection.cache(collection: FeatureCollection) -> FeatureCollection", hidden=True)
def cache(collection: Collection) -> Collection:
    """Return the same collection."""
    return collection


@algorithm(
    "Collection.union(collection: FeatureCollection, maxError: ErrorMargin = null)"
    " -> FeatureCollection"
)
def union(collection: Collection, error: Any) -> Collection:
    """Return a collection of one feature, union_result, with the union of all geometries."""
    check_elements(len(collection.elements))
    whole = collection_geometry(collection) or UNBOUNDED
    return Collection("FeatureCollection", (Feature(whole, {INDEX: "union_result"}),))


@algorithm(
    "Collection.fromColumns(columns: List, propertyNames: List, propertyTypes: List = null)"
    " -> FeatureCollection",
    hidden=True,
)
def from_columns(columns: list[Any], names: list[Any], types: list[Any] | None) -> Collection:
    """Return features made of a list of values for each property."""
    if len(columns) != len(names) or (types is not None and len(types) != len(names)):
        raise InvalidRequest("columns, propertyNames and propertyTypes must be of one length.")
    if wrong := [each for each in columns if not isinstance(each, list | tuple)]:
        raise InvalidRequest(f"Expected lists of values, got {shown(wrong[0])}.")
    lengths = {len(each) for each in columns}
    if len(lengths) > 1:
        raise InvalidRequest("The columns must be of the same length.")
    check_length(max(lengths, default=0), MAX_ELEMENTS, "features")
    rows = zip(*columns, strict=True)
    members = [
        {str(n): v for n, v in zip(names, row, strict=True) if v is not None} for row in rows
    ]
    return feature_collection([Feature(None, each) for each in members])


@algorithm(
    "DateRangeCollection(startTime: Long, endTime: Long, interval: Integer = 1.0,"
    ' units: String = "days", resetAtYearBoundaries: Boolean = false) -> FeatureCollection',
    hidden=True,
)
def date_ranges(start: int, end: int, interval: int, units: str, resets: bool) -> Collection:
    """Return features with a date_range each, one after another from a time to another.

    Decided: the last range may reach beyond the end, as whole intervals do.
    """
    unit = units.removesuffix("s")
    if unit not in ("day", "year") or interval < 1:
        raise InvalidRequest("Expected an interval above zero, in days or years.")
    found: list[Feature] = []
    date, last = Date(start), Date(end)
    while date.millis < last.millis:
        check_length(len(found) + 1, MAX_ELEMENTS, "ranges of dates")
        following = advanced(date, interval, unit, None)
        if resets:
            year = floored(date.moment(), "year")
            turn = millis_of(year.replace(year=year.year + 1))
            following = Date(min(following.millis, turn))
        index = date.moment().strftime("%Y%m%d")
        found.append(Feature(None, {INDEX: index, "date_range": DateRange(date, following)}))
        date = following
    return feature_collection(found)
