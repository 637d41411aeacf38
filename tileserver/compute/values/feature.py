"""Features and collections, of features or of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from tileserver.compute.values.geometry import (
    UNBOUNDED,
    Geometry,
    collected,
    geometry_from_geojson,
    rectangle,
)
from tileserver.compute.values.image import DEFAULT_PROJECTION, FOOTPRINT, INDEX, Image


@dataclass(frozen=True, slots=True)
class Feature:
    """A geometry with properties."""

    geometry: Geometry | None
    properties: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None

    def frame(self) -> dict[str, Any]:
        """Return the members of GeoJSON, values within them as they are."""
        members: dict[str, Any] = {
            "type": "Feature",
            "geometry": self.geometry,
            "properties": dict(self.properties),
        }
        return members if self.id is None else members | {"id": self.id}


Element: TypeAlias = Image | Feature


@dataclass(frozen=True, slots=True)
class Collection:
    """Images or features in an order."""

    kind: Literal["ImageCollection", "FeatureCollection"]
    elements: Sequence[Any]
    id: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)

    def frame(self) -> dict[str, Any]:
        """Return the `getInfo` JSON without the elements."""
        if self.kind == "FeatureCollection":
            return {"type": self.kind, "columns": {}}
        members: dict[str, Any] = {"type": self.kind, "bands": []}
        if self.id is not None:
            members["id"] = self.id
        if self.properties:
            members["properties"] = dict(self.properties)
        return members

    def numbered(self, features: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the elements' JSON; the id of a feature without one is its place."""
        if self.kind == "ImageCollection":
            return features
        return [each if "id" in each else each | {"id": str(i)} for i, each in enumerate(features)]

    def with_elements(self, elements: Sequence[Any]) -> Collection:
        """Return a collection of other elements."""
        return replace(self, elements=tuple(elements))


def geometry_of(element: Element) -> Geometry | None:
    """Return an element's geometry, of an image its footprint; None is unbounded."""
    if isinstance(element, Feature):
        return element.geometry
    footprint = element.properties.get(FOOTPRINT)
    if isinstance(footprint, Geometry):
        return footprint
    if isinstance(footprint, Mapping):
        if footprint.get("type") == "LinearRing":
            return geometry_from_geojson(
                {"type": "Polygon", "coordinates": [footprint["coordinates"]]}
            )
        return geometry_from_geojson(footprint)
    return None


def image_geometry(image: Image) -> Geometry:
    """Return an image's footprint, else the extents of its bands, unbounded if one of them is."""
    found = geometry_of(image)
    if found is not None:
        return found
    places = {(band.extent, band.projection) for band in image.bands}
    parts = []
    for extent, projection in places:
        if extent is None:
            return UNBOUNDED
        box = rectangle(extent.column, extent.row, extent.right, extent.bottom, projection)
        parts.append(box.in_projection(DEFAULT_PROJECTION))
    return collected(parts) if parts else UNBOUNDED


def index_of(element: Element | Collection, place: int) -> str:
    """Return an element's index in its collection."""
    named = element.properties.get(INDEX)
    return str(place) if named is None else str(named)


def with_properties(element: Element, properties: Mapping[str, Any]) -> Element:
    """Return an element with other properties."""
    return replace(element, properties=properties)
