"""Values as JSON: what `getInfo` returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tileserver.compute.context import check_elements, check_length
from tileserver.compute.elements import Collection, Element, Feature, geometry_of
from tileserver.compute.geometries import geojson_of
from tileserver.compute.images import FOOTPRINT, Image
from tileserver.errors import InvalidRequest

MAX_VALUES = 1_000_000
_MAX_DEPTH = 60


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
    return [_feature_json(each, place) for place, each in enumerate(elements)]


def _feature_json(element: Element, place: int) -> dict[str, Any]:
    found = geometry_of(element)
    return {
        "type": "Feature",
        "id": element.id if isinstance(element, Feature) and element.id else str(place),
        "geometry": None if found is None else geojson_of(found.in_degrees()),
        "properties": to_json({k: v for k, v in element.properties.items() if k != FOOTPRINT}),
    }


class _Count:
    def __init__(self) -> None:
        self.values = 0


def to_json(value: Any, _depth: int = 0, _count: _Count | None = None) -> Any:
    """Return a value as JSON has it; numbers that are none are null.

    Raises:
        InvalidRequest: it is too large or too deep, or of a kind that cannot be told.
    """
    count = _count or _Count()
    count.values += 1
    check_length(count.values, MAX_VALUES, "values")
    if _depth > _MAX_DEPTH:
        raise InvalidRequest("The value is nested too deeply to be told.")
    match value:
        case None | bool() | str() | int():
            return value
        case np.generic():
            return to_json(value.item(), _depth, count)
        case float():
            return value if math.isfinite(value) else None
        case np.ndarray():
            return to_json(value.tolist(), _depth, count)
        case list() | tuple():
            return [to_json(each, _depth + 1, count) for each in value]
        case Mapping():
            return {str(k): to_json(v, _depth + 1, count) for k, v in value.items()}
        case Collection():
            check_elements(len(value.elements))
    tell = getattr(value, "to_json", None)
    if tell is None:
        raise InvalidRequest(f"A {type(value).__name__} cannot be told as a value.")
    return to_json(tell(), _depth + 1, count)
