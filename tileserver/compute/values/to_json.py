"""Values as the JSON that `getInfo` returns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from tileserver.compute.context import MAX_TEXT, check_elements, check_length
from tileserver.compute.values.feature import Collection, Element, Feature, geometry_of, index_of
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import FOOTPRINT, INDEX, Image
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84

MAX_VALUES = 1_000_000
_MAX_DEPTH = 60
_MAX_CHARACTERS = 20_000_000
_EXACT = 2**53
"""Whole numbers up to this one are all 64-bit floating-point numbers too."""
_LARGEST_PLAIN = 1e15
"""From this one on a number is written with an exponent."""


def features_json(value: Any) -> list[dict[str, Any]]:
    """Return the elements of a collection as GeoJSON features, in degrees with straight edges.

    A feature or an image is a collection of one; an image is a feature where it lies.

    Raises:
        InvalidRequest: it is no collection, or too large.
    """
    elements = value.elements if isinstance(value, Collection) else [value]
    if not all(isinstance(each, Feature | Image) for each in elements):
        raise InvalidRequest(f"Expected a FeatureCollection, got {type(value).__name__}.")
    check_elements(len(elements))
    count = Count()
    return [feature_json(each, place, count) for place, each in enumerate(elements)]


def feature_json(element: Element, place: int, count: Count) -> dict[str, Any]:
    """Return an element as a GeoJSON feature, in degrees with straight edges."""
    found = geometry_of(element)
    shape = None if found is None else _in_degrees(found)
    properties = {
        name: v for name, v in element.properties.items() if name not in (FOOTPRINT, INDEX)
    }
    return {
        "type": "Feature",
        "id": index_of(element, place),
        "geometry": to_json(shape, 1, count),
        "properties": to_json(properties, 1, count),
    }


def _in_degrees(geometry: Geometry) -> Geometry:
    """Return a geometry for GeoJSON alone, its points as given where edges are great circles."""
    if geometry.is_geodesic:
        return Geometry(geometry.in_crs_by_points(WGS84))
    return Geometry(geometry.in_degrees())


class Count:
    """Counts of values and characters written so far; shared parts count each time."""

    def __init__(self, max_values: int = MAX_VALUES, max_characters: int = _MAX_CHARACTERS) -> None:
        self.max_values = max_values
        self.max_characters = max_characters
        self.values = 0
        self.characters = 0

    def add(self, values: int, characters: int = 0) -> None:
        """Count; raise InvalidRequest when there is too much, or no time left."""
        check_time()
        self.values += values
        self.characters += characters
        check_length(self.values, self.max_values, "values")
        check_length(self.characters, self.max_characters, "characters in a string")

    def add_text(self, text: str) -> None:
        """Count a text as long as JSON makes it, a control character as the six of its escape."""
        self.add(0, len(text) if text.isprintable() else 6 * len(text))


def to_json(value: Any, _depth: int = 0, _count: Count | None = None) -> Any:
    """Return a value as its `getInfo` JSON, numbers as Earth Engine's protocol buffers write them.

    A whole number has no decimal point, one beyond 2**53 is rounded to 64-bit floating point, and
    what is not finite is "NaN", "Infinity" or "-Infinity". A collection in a list, a dictionary or
    a property is told without its elements (recorded in eerepr's tests).

    Raises:
        InvalidRequest: it is too large or too deep, or its type has no JSON form.
    """
    count = _count or Count()
    count.add(1)
    if _depth > _MAX_DEPTH:
        raise InvalidRequest("The value is nested too deeply for JSON.")
    match value:
        case str():
            count.add_text(value)
            return value
        case None | bool():
            return value
        case int() | float():
            return number_json(value)
        case np.generic() | np.ndarray():
            return to_json(value.tolist(), _depth, count)
        case list() | tuple():
            return [to_json(each, _depth + 1, count) for each in value]
        case Mapping():
            for key in value:
                count.add_text(str(key))
            return {str(k): to_json(v, _depth + 1, count) for k, v in value.items()}
    return _object_json(value, _depth, count)


def number_json(value: float) -> float | str:
    """Return a number as `to_json` writes it."""
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return int(value) if value.is_integer() and abs(value) < _LARGEST_PLAIN else value


def _numbers_json(value: Any) -> Any:
    """Return GeoJSON with its numbers as `to_json` writes them."""
    match value:
        case float():
            return number_json(value)
        case list() | tuple():
            return [_numbers_json(each) for each in value]
        case Mapping():
            return {name: _numbers_json(each) for name, each in value.items()}
    return value


def _object_json(value: Any, _depth: int, count: Count) -> Any:
    match value:
        case Geometry():
            # Counted first, before lists are made of all its points.
            count.add(3 * int(shapely.get_num_coordinates(value.shape)))
            return _numbers_json(value.to_json())
        case Feature():
            return {k: to_json(v, _depth + 1, count) for k, v in value.frame().items()}
        case Collection():
            check_elements(len(value.elements))
            frame = to_json(value.frame(), _depth + 1, count)
            if _depth:
                return frame
            if not value.elements and frame["type"] == "ImageCollection":
                return frame  # As apidocs/ee-list-add prints an empty one.
            return frame | {"features": [to_json(e, _depth + 2, count) for e in value.elements]}
    if not hasattr(value, "to_json"):
        raise InvalidRequest(f"A {type(value).__name__} has no JSON form.")
    return to_json(value.to_json(), _depth + 1, count)


def json_text(value: Any, separators: tuple[str, str], ensure_ascii: bool) -> str:
    """Return a value as JSON in a string.

    Raises:
        InvalidRequest: as `to_json`; or it would be too long for a string. This is checked before
            the string is built.
    """
    # Each value in a list takes two characters or more.
    count = Count(MAX_TEXT // 2, MAX_TEXT)
    return json.dumps(to_json(value, 0, count), separators=separators, ensure_ascii=ensure_ascii)


def parsed_bytes(text: str) -> int:
    """Return an estimate of the memory that a string of JSON takes once parsed."""
    marks = {"[": 72, "{": 250, ",": 32, ":": 100}
    return 2 * len(text) + sum(size * text.count(mark) for mark, size in marks.items())
