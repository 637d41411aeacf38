"""The values at a place in the formats that maps show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def written(point: Mapping[str, Any], media_type: str) -> bytes:
    r"""Return the document of `/point` as JSON, as GeoJSON or as lines of text, null where masked.

    >>> written({"lon": 1.5, "lat": 2, "values": {"B1": 50}}, "text/plain")
    b'B1: 50\n'
    """
    if "features" in point:
        return _features(point["features"], media_type)
    values = point["values"]
    if media_type == "text/plain":
        return "".join(f"{band}: {_shown(value)}\n" for band, value in values.items()).encode()
    document = _geojson(point) if media_type == "application/geo+json" else point
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def _features(features: Sequence[Mapping[str, Any]], media_type: str) -> bytes:
    """Return features as a document of their properties."""
    if media_type == "text/plain":
        blocks = (
            "".join(f"{name}: {value}\n" for name, value in each["properties"].items())
            for each in features
        )
        return "\n".join(blocks).encode()
    members = [{"type": "Feature", "geometry": None, **each} for each in features]
    document = {"type": "FeatureCollection", "features": members}
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def _shown(value: float | None) -> str:
    return "no data" if value is None else repr(value)


def _geojson(point: Mapping[str, Any]) -> dict[str, Any]:
    place = {"type": "Point", "coordinates": [point["lon"], point["lat"]]}
    feature = {"type": "Feature", "geometry": place, "properties": point["values"]}
    return {"type": "FeatureCollection", "features": [feature]}
