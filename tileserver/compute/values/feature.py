"""Features and collections, of features or of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

ID, VERSION = "system:id", "system:version"
BANDS, BAND_NAMES = "system:bands", "system:band_names"
_OF_IMAGES = (BANDS, BAND_NAMES)


@dataclass(frozen=True, slots=True)
class Feature:
    """A geometry with properties."""

    geometry: Geometry | None
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str | None:
        """Its index in a collection, the property system:index."""
        index = self.properties.get(INDEX)
        return None if index is None else str(index)

    def frame(self) -> dict[str, Any]:
        """Return the members of GeoJSON, values within them as they are; the index is the id."""
        members: dict[str, Any] = {
            "type": "Feature",
            "geometry": self.geometry,
            "properties": {k: v for k, v in self.properties.items() if k != INDEX},
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
    columns: Mapping[str, str] = field(default_factory=dict)
    """Types of the properties of features by name, where they are known: not after a map."""

    def frame(self) -> dict[str, Any]:
        """Return the `getInfo` JSON without the elements."""
        members: dict[str, Any] = {"type": self.kind}
        if self.id is not None:
            members["id"] = self.id
        if self.kind == "FeatureCollection":
            members["columns"] = dict(self.columns)
        else:
            members["bands"] = []
        properties = {k: v for k, v in self.properties.items() if k != INDEX}
        return members | {"properties": properties} if properties else members

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
            footprint = {"type": "Polygon", "coordinates": [footprint["coordinates"]]}
        # Its edges follow rows and columns of pixels.
        return replace(geometry_from_geojson(footprint), geodesic=False)
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


def with_index(element: Any, index: str) -> Any:
    """Return an element or a collection with another index."""
    return replace(element, properties={**element.properties, INDEX: index})


def indexed(elements: Iterable[Any]) -> tuple[Any, ...]:
    """Return elements with an index each: their own, else their place."""
    return tuple(
        with_index(each, str(place)) if each.properties.get(INDEX) is None else each
        for place, each in enumerate(elements)
    )


def property_of(element: Element | Collection, name: str) -> Any:
    """Return a property of an element, or None; of an image its id, version and bands too."""
    found = element.properties.get(name)
    if found is not None or not name.startswith("system:") or isinstance(element, Feature):
        return found
    match name:
        case "system:id":
            return element.id
        case "system:version" if isinstance(element, Image):
            return element.version
        case "system:band_names" if isinstance(element, Image):
            return element.band_ids
        case "system:bands" if isinstance(element, Image):
            return {band.id: band.to_json() for band in element.bands}
    return None


def property_names(element: Element | Collection) -> list[str]:
    """Return the names of all properties, those in other members of an image too."""
    found = set(element.properties)
    if isinstance(element, Image):
        found |= {*_OF_IMAGES, *([] if element.version is None else [VERSION])}
    if not isinstance(element, Feature) and element.id is not None:
        found.add(ID)
    return sorted(found)
