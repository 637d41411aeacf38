"""Properties of elements (features, images, collections), and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tileserver.compute.algorithms.geometry.methods import (
    required_geometry,
    transformed,
    with_geometry,
)
from tileserver.compute.coercion import to_geometry
from tileserver.compute.context import Context, check_length
from tileserver.compute.plain_values import text_in, to_number
from tileserver.compute.registry import algorithm
from tileserver.compute.text.regex import Pattern
from tileserver.compute.values.date import Date
from tileserver.compute.values.feature import (
    ID,
    Collection,
    Element,
    Feature,
    property_names,
    property_of,
    with_properties,
)
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import INDEX, TIME_START, Image, Projection
from tileserver.errors import InvalidRequest, shown

MAX_PROPERTIES = 10_000
_SYSTEM = "system:"


@algorithm(
    "Feature(geometry: Geometry = null, metadata: Dictionary = {}, geometryKey: String = null)"
    " -> Feature"
)
def feature(
    context: Context,
    geometry: Geometry | None,
    properties: Mapping[str, Any],
    geometry_key: str | None,
) -> Feature:
    """Return a feature of a geometry and properties; one of these may be its geometry."""
    check_length(len(properties), MAX_PROPERTIES, "properties")
    if geometry_key is not None and geometry is None:
        geometry = to_geometry(properties.get(geometry_key), context)
    return Feature(geometry, dict(properties))


@algorithm("Feature.setGeometry(feature: Element, geometry: Geometry = null) -> Element")
def set_geometry(element: Element, geometry: Geometry | None) -> Feature:
    """Return a feature with another geometry, or without one."""
    if geometry is not None:
        return with_geometry(element, geometry)
    return Feature(None, element.properties)


_PLACE = (
    "feature: Element, maxError: ErrorMargin = null, proj: Projection = null,"
    " geodesics: Boolean = null"
)


@algorithm(f"Element.geometry({_PLACE}) -> Geometry", hidden=True)
@algorithm(f"Feature.geometry({_PLACE}) -> Geometry")
@algorithm(f"Image.geometry({_PLACE}) -> Geometry")
def geometry(
    element: Element, margin: Any, projection: Projection | None, geodesics: bool | None
) -> Geometry:
    """Return an element's geometry, of an image its footprint; the whole Earth if unbounded."""
    found = required_geometry(element)
    if projection is None and geodesics in (None, found.is_geodesic):
        return found
    return transformed(found, projection or found.projection, margin, geodesics)


@algorithm("Feature.id(element: Element) -> String")
def feature_id(element: Element) -> str | None:
    """Return the id of an element within its collection, its system:index; or null."""
    index = element.properties.get(INDEX)
    return None if index is None else str(index)


@algorithm("Image.date(image: Image) -> Date")
def image_date(context: Context, image: Image) -> Date:
    """Return the date of an image, its system:time_start."""
    started = to_number(image.properties.get(TIME_START), context)
    if started is None:
        raise InvalidRequest(f"The image has no property '{TIME_START}'.")
    return Date(started)


@algorithm("Element.get(object: Element, property: String) -> <any>")
def get(element: Element | Collection, name: str) -> Any:
    """Return a property, or null where there is none."""
    return property_of(element, name)


@algorithm("Element.getNumber(object: Element, property: String) -> Number")
def get_number(context: Context, element: Element | Collection, name: str) -> float | None:
    """Return a property that is a number, or null where there is none."""
    value = get(element, name)
    found = to_number(value, context)
    if found is None and value is not None:
        raise InvalidRequest(f"Property '{name[:80]}' is not a number but {shown(value)}.")
    return found


@algorithm("Element.getString(object: Element, property: String) -> String")
def get_string(element: Element | Collection, name: str) -> str | None:
    """Return a property that is a string, or null where there is none."""
    value = get(element, name)
    return None if value is None else text_in(value, f"Property '{name[:80]}'")


@algorithm("Element.set(object: Element, key: String, value: Object = null) -> Element")
def set_property(element: Element, name: str, value: Any) -> Element:
    """Return an element with another value of a property; null takes it away."""
    return set_properties(element, {name: value})


@algorithm("Element.setMulti(object: Element, properties: Dictionary) -> Element", hidden=True)
def set_properties(element: Element, properties: Mapping[str, Any]) -> Element:
    """Return an element with other values of some properties; null takes one away."""
    found = {**element.properties, **properties}
    check_length(len(found), MAX_PROPERTIES, "properties")
    if isinstance(element, Image) and ID in properties:
        given = found.pop(ID)
        element = replace(element, id=None if given is None else str(given))
    return with_properties(element, {k: v for k, v in found.items() if v is not None})


@algorithm("Element.propertyNames(element: Element) -> List")
def names_of(element: Element | Collection) -> list[str]:
    """Return the names of the properties, of an image those of its bands and id too."""
    return property_names(element)


@algorithm("Element.toDictionary(element: Element, properties: List = null) -> Dictionary")
def to_dictionary(element: Element, names: Sequence[Any] | None) -> dict[str, Any]:
    """Return properties as a dictionary: those named, or all but those of the system."""
    if names is None:
        return {k: v for k, v in element.properties.items() if not k.startswith(_SYSTEM)}
    return {name: _present(element, name) for name in names}


def _present(element: Element, name: Any) -> Any:
    found = property_of(element, name) if isinstance(name, str) else None
    if found is None:
        raise InvalidRequest(f"The element has no property {shown(name)}.")
    return found


_COPY = "destination: Element = null, source: Element = null"


_NAMES = "properties: List = null, exclude: List = null"


@algorithm(f"Element.copyProperties({_COPY}, {_NAMES}) -> Element")
@algorithm(f"Image.copyProperties({_COPY}, {_NAMES}) -> Element")
def copy_properties(
    destination: Element | None,
    source: Element | None,
    names: Sequence[str] | None,
    exclude: Sequence[str] | None,
) -> Element:
    """Return an element with properties of another: those named, or all but the system's."""
    if destination is None or source is None:
        raise InvalidRequest("Parameters 'destination' and 'source' may not be null.")
    if names is not None and exclude:
        raise InvalidRequest("May not specify both 'properties' and 'exclude'.")
    if wrong := [each for each in (*(names or ()), *(exclude or ())) if not isinstance(each, str)]:
        raise InvalidRequest(f"Expected names of properties, got {shown(wrong[0])}.")
    left_out = set(exclude or ())
    if names is None:
        names = [k for k in source.properties if not k.startswith(_SYSTEM) and k not in left_out]
    copied = {k: property_of(source, k) for k in names}
    return set_properties(destination, {k: v for k, v in copied.items() if v is not None})


@algorithm(
    "Element.replaceProperties(destination: Element, source: Element = null) -> Element",
    hidden=True,
)
def replace_properties(destination: Element, source: Element | None) -> Element:
    """Return an element with the properties of another in place of its own."""
    return with_properties(destination, {} if source is None else dict(source.properties))


@algorithm(
    "Feature.select(input: Element, propertySelectors: List, newProperties: List = null,"
    " retainGeometry: Boolean = true) -> Element"
)
def select(
    context: Context,
    element: Element,
    selectors: Sequence[Any],
    new_names: Sequence[Any] | None,
    retains_geometry: bool,
) -> Element:
    """Return a feature with some properties, by name or regular expression, perhaps renamed."""
    found = [name for each in selectors for name in selected(context, element.properties, each)]
    if new_names is not None and len(new_names) != len(found):
        raise InvalidRequest(
            f"The number of names ({len(new_names)}) must match that of the properties "
            f"({len(found)})."
        )
    pairs = zip(new_names or found, found, strict=True)
    kept = {str(name): element.properties[old] for name, old in pairs}
    system = {k: v for k, v in element.properties.items() if k.startswith(_SYSTEM)}
    element = with_properties(element, {**system, **kept})
    return element if retains_geometry else set_geometry(element, None)


def selected(context: Context, members: Mapping[str, Any], selector: Any) -> list[str]:
    """Return the keys that a selector matches: the one of that name, or all that fit the pattern.

    Raises:
        InvalidRequest: it is not a text.
    """
    if not isinstance(selector, str):
        raise InvalidRequest(f"Expected a name or a regular expression, got {shown(selector)}.")
    context.count_call()
    if selector in members:
        return [selector]
    pattern = Pattern(selector)
    return [name for name in members if pattern.fullmatch(name)]
