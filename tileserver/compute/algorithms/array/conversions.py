"""Arrays made from numbers, lists, dictionaries and features, and taken out of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tileserver.compute.algorithms.value.lists import place_in
from tileserver.compute.arrays import shapes
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import Array, array, array_of, check_size, joint_type
from tileserver.compute.values.feature import Collection, Feature
from tileserver.compute.values.image import Image
from tileserver.compute.values.pixel_type import BOOLEAN, PixelType
from tileserver.errors import InvalidRequest, shown


@algorithm("Array(values: Object, pixelType: PixelType = null) -> Array")
def make_array(values: Any, type_: PixelType | None) -> Array:
    """Return the array of a number, of nested lists of numbers, or of an array, in a type.

    Numbers are rounded, half up, and clamped to the type. Without a type whole numbers are 64-bit
    integers, others doubles; no numbers need a type.
    """
    return _array_in(values, "values", type_)


def _array_in(value: Any, place: str, type_: PixelType | None = None) -> Array:
    found = array_of(value, None if type_ is None else type_.with_dimensions(0))
    if found is None:
        raise InvalidRequest(f"{place} is not an array, but {shown(value)}.")
    return found


@algorithm("Array.identity(size: Integer) -> Array")
def identity(size: int) -> Array:
    """Return the matrix of a size with ones in its diagonal and zeros elsewhere."""
    if size < 0:
        raise InvalidRequest(f"The size must be 0 or more, got {size}.")
    check_size((size, size))
    return array(np.eye(size, dtype=np.int64))


@algorithm("Array.bitsToArray(input: Number) -> Array")
def bits_to_array(value: float) -> Array:
    """Return the bits of a 64-bit integer, lowest first, up to the highest that is 1; [0] for 0."""
    if not -(2**63) <= value < 2**64:
        raise InvalidRequest(f"Expected an integer of 64 bits, got {value}.")
    return array(np.array(shapes.bits(int(value))), BOOLEAN)


@algorithm("List.getArray(list: List, index: Integer) -> Array")
def list_get_array(elements: list[Any], index: int) -> Array:
    """Return the array at a place of a list, from its end if negative."""
    return _array_in(elements[place_in(elements, index)], f"Element {index}")


@algorithm("Dictionary.getArray(dictionary: Dictionary, key: String) -> Array")
def dictionary_get_array(dictionary: Mapping[str, Any], key: str) -> Array:
    """Return the array of a key."""
    return _member(dictionary, key, "key")


@algorithm("Element.getArray(object: Element, property: String) -> Array")
def element_get_array(element: Feature | Image | Collection, name: str) -> Array:
    """Return the array that is a property."""
    return _member(element.properties, name, "property")


def _member(members: Mapping[str, Any], name: str, what: str) -> Array:
    if name not in members:
        raise InvalidRequest(f"There is no {what} {name[:80]!r}.")
    return _array_in(members[name], f"The {what} {name[:80]!r}")


@algorithm(
    "Dictionary.toArray(dictionary: Dictionary, keys: List = null, axis: Integer = 0.0) -> Array"
)
def dictionary_to_array(dictionary: Mapping[str, Any], keys: list[Any] | None, axis: int) -> Array:
    """Return the values of a dictionary, by sorted keys or by those given, along an axis.

    Values that are arrays are concatenated along it, as `Array.cat` does.
    """
    names = sorted(dictionary) if keys is None else [str(key) for key in keys]
    parts = [_member(dictionary, name, "key") for name in names]
    if not parts:
        raise InvalidRequest("There are no values to make an array of.")
    return joined(parts, axis)


def joined(parts: list[Array], axis: int) -> Array:
    """Return arrays concatenated along an axis, numbers as arrays of one."""
    batches = [shapes.deepened(each.values[np.newaxis], 1) for each in parts]
    found = shapes.cat(batches, axis)[0]
    return array(found, joint_type([each.type for each in parts]))


@algorithm("Feature.toArray(feature: Feature, properties: List) -> Array")
def feature_to_array(feature: Feature | Image, names: list[Any]) -> Array:
    """Return the numbers that are some properties of a feature, in the order of the names."""
    found = []
    for name in names:
        value = feature.properties.get(name) if isinstance(name, str) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidRequest(f"The property {shown(name)} is not a number but {shown(value)}.")
        found.append(value)
    return _array_in(found, "properties")
