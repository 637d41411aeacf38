"""GeoJSON: a FeatureCollection, a feature or a geometry, read a feature at a time.

https://datatracker.ietf.org/doc/html/rfc7946. The `crs` of its older form, which GDAL still
writes, is heeded. The `id` of a feature is its `system:index`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import shapely
from shapely.geometry import shape

from tileserver.errors import UnreadableRaster, shown

MAX_BYTES = 200_000_000
MAX_VALUE = 20_000_000
"""Characters of one feature, and of all that is beside the features: JSON is read value by value,
and nothing else runs meanwhile."""
_WINDOW = 1_000_000
"""Characters looked at to read a value; more only if it is longer."""
_SPACE = " \t\n\r"
_KINDS = ("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon")
_MAX_DEPTH = 4
"""Collections of geometries within collections."""
_LARGEST = 1e100


class Read(NamedTuple):
    """A feature of a file."""

    geometry: Any
    properties: Mapping[str, Any]
    id: str | None = None


def features(content: bytes, name: str, found: dict[str, Any]) -> Iterator[Read]:
    """Yield the features of a file.

    Args:
        content: of the file.
        name: what to call it in an error.
        found: gets the other members of the outermost object, such as `crs`.

    Raises:
        UnreadableRaster: it is no GeoJSON.
    """
    try:
        text = content.decode("utf-8-sig")
        yield from _features(_Scanner(text), name, found)
    except _TooLong as exc:
        raise _too_long(name) from exc
    except (ValueError, RecursionError, IndexError) as exc:
        raise UnreadableRaster(f"{name}: it is no GeoJSON: {_reason(exc)}.") from exc


class _TooLong(Exception):
    """A value has too many characters."""


def _too_long(name: str) -> UnreadableRaster:
    return UnreadableRaster(f"{name}: a feature has more than {MAX_VALUE:,} characters.")


def _reason(exc: Exception) -> str:
    if isinstance(exc, json.JSONDecodeError):
        return f"{exc.msg} at line {exc.lineno}"
    return "it is nested too deeply" if isinstance(exc, RecursionError) else "it is damaged"


def _features(scanner: _Scanner, name: str, found: dict[str, Any]) -> Iterator[Read]:
    has_features, beside = False, 0
    for key in scanner.members():
        if key == "features":
            has_features = True
            for number, each in enumerate(scanner.elements()):
                yield feature_of(each, f"{name}: feature {number}")
        else:
            start = scanner.place
            found[key] = scanner.value()
            beside += scanner.place - start
            if beside > MAX_VALUE:
                raise _too_long(name)
    if not has_features:
        yield feature_of(found, name)


def feature_of(members: Any, name: str) -> Read:
    """Return a feature; of a geometry, one without properties.

    Raises:
        UnreadableRaster: it is none; says why.
    """
    if not isinstance(members, Mapping):
        raise UnreadableRaster(f"{name} must be an object, got {shown(members)}.")
    if members.get("type") != "Feature":
        return Read(geometry_of(members, name), {})
    properties = members.get("properties") or {}
    if not isinstance(properties, Mapping):
        raise UnreadableRaster(f"{name}: its properties must be an object, {shown(properties)}.")
    given = members.get("id")
    own = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else None
    geometry = members.get("geometry")
    return Read(None if geometry is None else geometry_of(geometry, name), properties, own)


def geometry_of(members: Any, name: str, depth: int = 0) -> Any:
    """Return the shape of a GeoJSON geometry.

    Raises:
        UnreadableRaster: it is none.
    """
    kind = members.get("type") if isinstance(members, Mapping) else None
    if kind == "GeometryCollection" and depth < _MAX_DEPTH:
        parts = members.get("geometries") or []
        return shapely.GeometryCollection([geometry_of(each, name, depth + 1) for each in parts])
    try:
        if kind not in _KINDS:
            raise ValueError
        if kind == "Point" and members["coordinates"]:
            found: Any = shapely.Point(*members["coordinates"][:2])
        else:
            found = shape(members)
        if not bool((np.abs(shapely.get_coordinates(found)) < _LARGEST).all()):
            raise ValueError
    except (ValueError, TypeError, KeyError, LookupError, AttributeError) as exc:
        raise UnreadableRaster(f"{name} has no valid geometry: {shown(members)}.") from exc
    except shapely.errors.ShapelyError as exc:
        raise UnreadableRaster(f"{name} has no valid geometry: {shown(members)}.") from exc
    return found


class _Scanner:
    """Reads the members of one object and the elements of one list, one at a time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.decoder = json.JSONDecoder()
        self._start = 0
        self._window = text[:_WINDOW]

    def members(self) -> Iterator[str]:
        """Yield the keys; the caller reads the value of each before the next."""
        self._expect("{")
        if self._take("}"):
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise json.JSONDecodeError("Expected a key", self.text, self.place)
            self._expect(":")
            yield key
            if not self._take(","):
                self._expect("}")
                break

    def elements(self) -> Iterator[Any]:
        """Yield the elements of a list."""
        self._expect("[")
        if self._take("]"):
            return
        while True:
            yield self.value()
            if not self._take(","):
                self._expect("]")
                break

    def value(self) -> Any:
        """Return the value that comes next.

        Raises:
            _TooLong: it has more than MAX_VALUE characters.
        """
        self._skip()
        if self.place - self._start > _WINDOW // 2:
            self._look(_WINDOW)
        found = self._read(self._is_last())
        if found is None:
            self._look(MAX_VALUE)
            found = self._read(self._is_last())
        if found is None:
            raise _TooLong
        return found[0]

    def _look(self, size: int) -> None:
        self._start = self.place
        self._window = self.text[self.place : self.place + size]

    def _is_last(self) -> bool:
        return self._start + len(self._window) >= len(self.text)

    def _read(self, is_last: bool) -> tuple[Any] | None:
        """Return the next value of the window; None if it may go on behind."""
        try:
            found, end = self.decoder.raw_decode(self._window, self.place - self._start)
        except json.JSONDecodeError as exc:
            if not is_last:
                return None
            raise json.JSONDecodeError(exc.msg, self.text, self._start + exc.pos) from exc
        if end == len(self._window) and not is_last:
            return None
        self.place = self._start + end
        return (found,)

    def _skip(self) -> None:
        while self.text[self.place : self.place + 1] in _SPACE and self.place < len(self.text):
            self.place += 1

    def _take(self, character: str) -> bool:
        self._skip()
        is_next = self.text.startswith(character, self.place)
        self.place += is_next
        return is_next

    def _expect(self, character: str) -> None:
        if not self._take(character):
            raise json.JSONDecodeError(f"Expected {character}", self.text, self.place)
