"""Equality of values, as lists and `IsEqual` compare them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from tileserver.compute.context import check_length
from tileserver.compute.values.array import Array
from tileserver.compute.values.feature import Collection, Feature
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import Image
from tileserver.errors import InvalidRequest

_MAX_VALUES = 200_000
_MAX_DEPTH = 50


class Keys:
    """Makes hashable keys of values, with one limit for all values passed to it."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, value: Any, depth: int = 0) -> Hashable:
        """Return a key that is equal for equal values only; an image equals only itself.

        Raises:
            InvalidRequest: they are too large or too deep to be compared.
        """
        self._count += 1
        check_length(self._count, _MAX_VALUES, "values to compare")
        if depth > _MAX_DEPTH:
            raise InvalidRequest("The values are nested too deeply to be compared.")
        match value:
            case bool():
                return (bool, value)
            case list() | tuple():
                return (list, *[self.of(each, depth + 1) for each in value])
            case Mapping():
                members = [(str(k), self.of(v, depth + 1)) for k, v in value.items()]
                return (dict, frozenset(members))
            case Array():
                check_length(value.values.size, _MAX_VALUES, "values to compare")
                return (Array, value.values.shape, tuple(value.values.ravel().tolist()))
            case Geometry():
                return (Geometry, value.shape.wkb, value.projection, value.geodesic)
            case Feature():
                parts = [value.geometry, value.properties]
                return (Feature, *[self.of(part, depth + 1) for part in parts])
            case Image() | Collection():
                return (type(value), id(value))
        return value if isinstance(value, Hashable) else (type(value), id(value))


def is_same(left: Any, right: Any) -> bool:
    """Tell whether two values are the same; raises as `Keys.of`."""
    keys = Keys()
    return keys.of(left) == keys.of(right)
