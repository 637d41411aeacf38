"""Values as JSON: what `getInfo` returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from tileserver.compute.context import check_elements, check_length
from tileserver.compute.elements import Collection, Element, Feature, geometry_of
from tileserver.compute.geometries import Geometry
from tileserver.compute.images import FOOTPRINT, Image
from tileserver.errors import InvalidRequest

MAX_VALUES = 1_000_000
_MAX_DEPTH = 60
_MAX_CHARACTERS = 20_000_000


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
    count = _Count()
    return [_feature_json(each, place, count) for place, each in enumerate(elements)]


def _feature_json(element: Element, place: int, count: _Count) -> dict[str, Any]:
    found = geometry_of(element)
    shape = None if found is None else Geometry(found.in_degrees())
    properties = {name: v for name, v in element.properties.items() if name != FOOTPRINT}
    return {
        "type": "Feature",
        "id": element.id if isinstance(element, Feature) and element.id else str(place),
        "geometry": to_json(shape, 1, count),
        "properties": to_json(properties, 1, count),
    }


class _Count:
    """What there is of a value so far; parts that are shared count each time."""

    def __init__(self) -> None:
        self.values = 0
        self.characters = 0

    def add(self, values: int, characters: int = 0) -> None:
        """Count; raise InvalidRequest when there is too much."""
        self.values += values
        self.characters += characters
        check_length(self.values, MAX_VALUES, "values")
        check_length(self.characters, _MAX_CHARACTERS, "characters")


def to_json(value: Any, _depth: int = 0, _count: _Count | None = None) -> Any:
    """Return a value as JSON has it; numbers that are none are null.

    Raises:
        InvalidRequest: it is too large or too deep, or of a kind that cannot be told.
    """
    count = _count or _Count()
    count.add(1, len(value) if isinstance(value, str) else 0)
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
            count.add(0, sum(len(str(k)) for k in value))
            return {str(k): to_json(v, _depth + 1, count) for k, v in value.items()}
        case Geometry():
            # Before lists are made of all its points.
            count.add(3 * int(shapely.get_num_coordinates(value.shape)))
            return value.to_json()
        case Feature():
            members = value.frame()
            return {k: to_json(v, _depth + 1, count) for k, v in members.items()}
        case Collection():
            check_elements(len(value.elements))
            frame = to_json(value.frame(), _depth + 1, count)
            features = [to_json(each, _depth + 2, count) for each in value.elements]
            return frame | {"features": value.numbered(features)}
    tell = getattr(value, "to_json", None)
    if tell is None:
        raise InvalidRequest(f"A {type(value).__name__} cannot be told as a value.")
    return to_json(tell(), _depth + 1, count)
