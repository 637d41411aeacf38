"""Conversion of arguments to the types of a signature, as Earth Engine does it.

A number becomes a constant image, an image its footprint, a text a date or a projection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from tileserver.compute.arrays.storage import ConstantArray
from tileserver.compute.context import Context
from tileserver.compute.nodes import Constant
from tileserver.compute.plain_values import (
    to_array,
    to_boolean,
    to_dictionary,
    to_integer,
    to_list,
    to_number,
    to_text,
)
from tileserver.compute.values.array import Array, array
from tileserver.compute.values.classifier import Classifier
from tileserver.compute.values.clusterer import Clusterer
from tileserver.compute.values.confusion_matrix import ConfusionMatrix
from tileserver.compute.values.date import Date, DateRange, parse_date
from tileserver.compute.values.feature import (
    Collection,
    Feature,
    geometry_of,
    image_geometry,
    indexed,
)
from tileserver.compute.values.filter import Filter
from tileserver.compute.values.function import Function
from tileserver.compute.values.geometry import (
    ErrorMargin,
    Geometry,
    check_points,
    geometry_from_geojson,
)
from tileserver.compute.values.geometry_limits import check_crossings
from tileserver.compute.values.image import (
    DEFAULT_PROJECTION,
    INDEX,
    Band,
    Image,
    Projection,
    stored_image,
)
from tileserver.compute.values.join import Join
from tileserver.compute.values.kernel import Kernel
from tileserver.compute.values.numbers import Long
from tileserver.compute.values.pixel_type import CASTS, PixelType, of_number, smallest
from tileserver.compute.values.reducer import Reducer
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.crs import code_of_crs
from tileserver.geo.crs_texts.forms import code_of_text


def coerced(value: Any, type_name: str, argument: str, context: Context) -> Any:
    """Return a value as an algorithm's argument.

    Raises:
        InvalidRequest: it is of another type; names the expected type and its own.
    """
    convert = _CONVERSIONS.get(type_name)
    if convert is None:  # Object and Any take any value.
        return value
    found = convert(value, context)
    if found is None:
        raise InvalidRequest(f"Parameter '{argument}': expected {type_name}, got {type_of(value)}.")
    return found


def type_of(value: Any) -> str:
    """Return Earth Engine's name for the type of a value."""
    match value:
        case bool():
            return "Boolean"
        case int() | float():
            return "Number"
        case str():
            return "String"
        case list() | tuple():
            return "List"
        case Collection():
            return value.kind
        case Mapping():
            return "Dictionary"
        case None:
            return "null"
        case Function():
            return "Algorithm"
    return type(value).__name__


def object_type(value: Any) -> str:
    """Return Earth Engine's name for the type of a value, of a number its kind."""
    match value:
        case bool():
            return "Boolean"
        case Long():
            return "Long"
        case int():
            return "Integer"
        case float():
            return "Float"
        case None:
            return "Null"
    return type_of(value)


def to_image(value: Any, context: Context) -> Image | None:
    """Return an image: of a number the constant, of several a band each, of a text the asset."""
    match value:
        case Image():
            return value
        case bool() | int() | float():
            return constant_image([float(value) if isinstance(value, float) else int(value)])
        case list() if value and all(isinstance(each, int | float) for each in value):
            return constant_image(value)
        case Array():
            return array_image(value)
        case str():
            return stored_image(context.world.find_image(value))
        case Mapping() if value and all(isinstance(v, int | float) for v in value.values()):
            return constant_image(list(value.values()), list(value))
    return None


def constant_image(values: list[Any], names: list[str] | None = None) -> Image:
    """Return an image of the same values everywhere, a band each."""
    single = len(values) == 1
    names = names or ["constant" if single else f"constant_{i}" for i in range(len(values))]
    return Image(tuple(map(_constant_band, names, values)))


def _constant_band(name: str, value: Any) -> Band:
    type_ = of_number(value)
    return Band(name, type_, DEFAULT_PROJECTION, None, Constant(value, type_.dtype))


def array_image(value: Array) -> Image:
    """Return an image of the same array everywhere, of one without dimensions the number."""
    if not value.values.ndim:
        return constant_image([value.values.item()])
    held = _smallest(value)
    return Image((Band("constant", held.type, DEFAULT_PROJECTION, None, ConstantArray(held)),))


def _smallest(value: Array) -> Array:
    """Return an array of whole numbers in the smallest type, as the page of ee.Image prints it."""
    if value.values.dtype != np.int64:
        return value
    return array(value.values, smallest(value.values))


def to_geometry(value: Any, context: Context) -> Geometry | None:
    """Return the geometry of GeoJSON or of a feature, the footprint of an image, or None."""
    match value:
        case Geometry():
            return value
        case Feature():
            return value.geometry
        case Image():
            return image_geometry(value)
        case Collection():
            return collection_geometry(value)
        case Mapping() if "type" in value:
            return geometry_from_geojson(value)
    return None


def collection_geometry(collection: Collection) -> Geometry | None:
    """Return the union of the elements' geometries; None if one is unbounded."""
    found = [geometry_of(each) for each in collection.elements]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    check_points(each.shape for each in known)
    shapes = [each.in_degrees() for each in known]
    check_crossings(shapes)
    return Geometry(shapely.union_all(shapes), geodesic=False)


def to_projection(value: Any, context: Context) -> Projection | None:
    """Return a projection: of a text the CRS with pixels of one unit, of an image its own."""
    match value:
        case Projection():
            return value
        case str():
            return Projection(code_of_crs(value) or code_of_text(value))
        case Image() if value.bands:
            return value.bands[0].projection
        case Mapping() if isinstance(value.get("crs"), str):
            return to_projection(value["crs"], context)
    return None


def to_date(value: Any, context: Context) -> Date | None:
    """Return the date of milliseconds since 1970 or of a text of ISO 8601, or None."""
    match value:
        case Date():
            return value
        case bool():
            return None
        case int() | float():
            return Date(value) if math.isfinite(value) else None
        case str():
            return parse_date(value)
        case Mapping() if isinstance(value.get("value"), int | float):
            return to_date(value["value"], context)
    return None


def to_date_range(value: Any, context: Context) -> DateRange | None:
    """Return a range: of a date the one instant, of two the time between."""
    match value:
        case DateRange():
            return value
        case [first, second]:
            start, end = to_date(first, context), to_date(second, context)
            return DateRange(start, end) if start and end else None
    instant = to_date(value, context)
    return DateRange(instant, Date(instant.millis + 1)) if instant else None


def to_collection(value: Any, context: Context) -> Collection | None:
    """Return a collection: of an image or a list of them, of features or geometries alike."""
    match value:
        case Collection():
            return value
        case Image():
            return Collection("ImageCollection", indexed([value]))
        case Feature():
            return feature_collection([value])
        case Geometry():
            return feature_collection([Feature(value)])
        case list() if value and all(isinstance(each, Image) for each in value):
            return Collection("ImageCollection", indexed(value))
        case list() if all(isinstance(each, Feature | Geometry) for each in value):
            features = [e if isinstance(e, Feature) else Feature(e) for e in value]
            return feature_collection(features)
        case Mapping() if isinstance(value.get("features"), list):
            found = [to_feature(each, context) for each in value["features"]]
            return feature_collection([each for each in found if each is not None])
    return None


def to_image_collection(value: Any, context: Context) -> Collection | None:
    """Return a collection of images."""
    if isinstance(value, list):
        images = [to_image(each, context) for each in value]
        return None if None in images else Collection("ImageCollection", indexed(images))
    found = to_collection(value, context)
    if found is None or (found.kind != "ImageCollection" and found.elements):
        return None
    return found


def to_feature(value: Any, context: Context) -> Feature | Image | None:
    """Return a feature, or an image, which serves as one."""
    match value:
        case Feature() | Image():
            return value
        case Geometry():
            return Feature(value)
        case Mapping() if value.get("type") == "Feature":
            given = value.get("geometry")
            geometry = to_geometry(given, context) if given else None
            return Feature(geometry, _properties_of(value))
        case Mapping() if "type" in value:
            return Feature(geometry_from_geojson(value))
        case Collection():
            return Feature(collection_geometry(value), value.properties)
    return None


def _properties_of(geojson: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties of GeoJSON's feature, its id as the index."""
    members = geojson.get("properties")
    properties = members if isinstance(members, Mapping) else {}
    own_id = geojson.get("id")
    return properties if own_id is None else {**properties, INDEX: str(own_id)}


def feature_collection(elements: Sequence[Any]) -> Collection:
    """Return a collection of features or images, with indexes and the types of their columns."""
    found = indexed(elements)
    columns: dict[str, str] = {}
    for element in found:
        if isinstance(element, Feature):
            for name, value in element.properties.items():
                columns.setdefault(name, column_type(value))
    return Collection("FeatureCollection", found, columns=dict(sorted(columns.items())))


def column_type(value: Any) -> str:
    """Return Earth Engine's name for the type of a column with a value."""
    match value:
        case bool():
            return "Boolean"
        case int():
            return "Integer"
        case float():
            return "Float"
    return type_of(value)


def to_element(value: Any, context: Context) -> Any:
    """Return an element: an image, a feature or a collection; None for other values."""
    return value if isinstance(value, Collection) else to_feature(value, context)


def to_pixel_type(value: Any, context: Context) -> PixelType | None:
    """Return a type of pixels, of a text the one of that name."""
    match value:
        case PixelType():
            return value
        case str():
            return CASTS.get(value.lower())
    return None


def to_error_margin(value: Any, context: Context) -> ErrorMargin | None:
    """Return an error margin, of a number so many metres."""
    match value:
        case ErrorMargin():
            return value
        case bool():
            return None
        case int() | float():
            return ErrorMargin(value)
        case Mapping() if isinstance(value.get("value"), int | float):
            return ErrorMargin(value["value"])
    return None


def geometry_in(value: Any, place: str, context: Context) -> Geometry:
    """Return a geometry, converted as `to_geometry` does; raises as `number_in`."""
    found = to_geometry(value, context)
    if found is None:
        raise InvalidRequest(f"{place} is not a geometry but {shown(value)}.")
    return found


def _only(kind: type) -> Callable[[Any, Context], Any]:
    return lambda value, context: value if isinstance(value, kind) else None


_CONVERSIONS: Mapping[str, Callable[[Any, Context], Any]] = {
    "Image": to_image,
    "ImageCollection": to_image_collection,
    "FeatureCollection": to_collection,
    "Feature": to_feature,
    "Element": to_element,
    "Geometry": to_geometry,
    "Projection": to_projection,
    "Date": to_date,
    "DateRange": to_date_range,
    "Number": to_number,
    "Float": to_number,
    "Integer": to_integer,
    "Long": to_integer,
    "String": to_text,
    "Boolean": to_boolean,
    "List": to_list,
    "Dictionary": to_dictionary,
    "PixelType": to_pixel_type,
    "Array": to_array,
    "ErrorMargin": to_error_margin,
    "Filter": _only(Filter),
    "Kernel": _only(Kernel),
    "Join": _only(Join),
    "Classifier": _only(Classifier),
    "Clusterer": _only(Clusterer),
    "ConfusionMatrix": _only(ConfusionMatrix),
    "Reducer": _only(Reducer),
    "Algorithm": _only(Function),
}
