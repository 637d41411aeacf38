"""Areas as GeoJSON, from a URL or a body, for clips, crops and zonal statistics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tileserver.contract.geojson import read_geometry
from tileserver.contract.grids import Box
from tileserver.contract.pixels import Geometry
from tileserver.errors import InvalidRequest, shown

MAX_BYTES = 2_000_000
MAX_FEATURES = 200
_MAX_POSITIONS = 100_000


@dataclass(frozen=True)
class Areas:
    """The areas of a GeoJSON document."""

    document: Mapping[str, Any]
    """A Feature, a FeatureCollection or a geometry."""
    geometries: tuple[Geometry, ...]
    """One of each feature, or the one that there is."""

    @property
    def whole(self) -> Geometry:
        """All of them as one."""
        if len(self.geometries) == 1:
            return self.geometries[0]
        return Geometry("GeometryCollection", geometries=self.geometries)

    @property
    def bounds(self) -> Box:
        """The box around all of them, in degrees."""
        lons, lats = zip(*self.whole.positions(), strict=True)
        return Box(min(lons), max(min(lats), -90.0), max(lons), min(max(lats), 90.0))

    def with_statistics(self, found: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the document with statistics as a property of each feature.

        Those of a geometry are the document itself.
        """
        kind = self.document.get("type")
        if kind == "FeatureCollection":
            features = self.document["features"]
            pairs = zip(features, found, strict=True)
            return {**self.document, "features": [_told(each, text) for each, text in pairs]}
        return _told(self.document, found[0]) if kind == "Feature" else found[0]


def _told(feature: Mapping[str, Any], statistics: dict[str, Any]) -> dict[str, Any]:
    properties = {**(feature.get("properties") or {}), "statistics": statistics}
    return {**feature, "properties": properties}


def parse_areas(text: str | bytes, name: str) -> Areas:
    """Return the areas of GeoJSON.

    Args:
        text: a geometry, a Feature or a FeatureCollection.
        name: of the parameter, for errors.

    Raises:
        InvalidRequest: it is something else, or has too many positions or features.
    """
    try:
        document = json.loads(text, parse_constant=_refuse)
        geometries = tuple(map(read_geometry, _geometries(document)))
    except InvalidRequest as exc:
        raise InvalidRequest(f"{name}: {str(exc).removeprefix('region: ')}") from exc
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"{name}: expected GeoJSON, got {shown(text[:40])}") from exc
    areas = Areas(document, geometries)
    positions = list(areas.whole.positions())
    if len(positions) > _MAX_POSITIONS:
        raise InvalidRequest(f"{name}: {len(positions)} positions, at most {_MAX_POSITIONS} may be")
    if not all(abs(lon) <= 540 and abs(lat) <= 90 for lon, lat in positions):
        raise InvalidRequest(f"{name}: expected longitudes and latitudes in degrees")
    return areas


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _geometries(document: Any) -> list[Any]:
    if not isinstance(document, dict):
        raise InvalidRequest(
            f"expected a GeoJSON geometry, Feature or FeatureCollection, got {shown(document)}"
        )
    if document.get("type") != "FeatureCollection":
        return [_geometry(document)]
    features = document.get("features")
    if not isinstance(features, list) or not 1 <= len(features) <= MAX_FEATURES:
        raise InvalidRequest(f"expected a FeatureCollection of 1 to {MAX_FEATURES} features")
    return [_geometry(each) for each in features]


def _geometry(value: Any) -> Any:
    if not isinstance(value, dict) or value.get("type") != "Feature":
        return value
    if not isinstance(value.get("properties") or {}, dict):
        raise InvalidRequest("expected properties of a Feature that are an object")
    return value.get("geometry")
