"""Features as files: CSV and GeoJSON, with Earth Engine's columns.

Of a CSV the first column is `system:index` and the last `.geo`, the geometry as GeoJSON, without
one {"type":"MultiPoint","coordinates":[]}, as files say that the service exported; between them
are the properties of the features, in the order of their names.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

INDEX, GEOMETRY = "system:index", ".geo"
NOWHERE: Mapping[str, Any] = {"type": "MultiPoint", "coordinates": []}
"""The geometry in a CSV of a feature that has none."""

Features = Sequence[Mapping[str, Any]]
"""GeoJSON features."""
Columns = Sequence[str] | None
"""The columns of the file; None is all."""


def write_csv(features: Features, columns: Columns) -> bytes:
    """Return a CSV with a header."""
    names = list(columns) if columns is not None else [INDEX, *_names(features), GEOMETRY]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for feature in features:
        row = row_of(feature)
        writer.writerow([cell(row.get(name)) for name in names])
    return text.getvalue().encode()


def write_geojson(features: Features, columns: Columns) -> bytes:
    """Return a FeatureCollection."""
    kept = [
        feature
        if columns is None
        else {
            **feature,
            "properties": {k: v for k, v in feature["properties"].items() if k in columns},
        }
        for feature in features
    ]
    return json.dumps({"type": "FeatureCollection", "features": kept}).encode()


def _names(features: Features) -> list[str]:
    return sorted({name for feature in features for name in feature["properties"]} - {INDEX})


def row_of(feature: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a feature by the names of columns."""
    row = {INDEX: feature["id"], **feature["properties"]}
    return row | {GEOMETRY: feature["geometry"] or dict(NOWHERE)}


def cell(value: Any) -> Any:
    """Return a value as CSV has it: lists and objects as JSON, nothing for null."""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, separators=(",", ":"))
    return "" if value is None else value


FORMATS: Mapping[str, tuple[Callable[[Features, Columns], bytes], str, str]] = {
    "CSV": (write_csv, "csv", "text/csv"),
    "GEO_JSON": (write_geojson, "geojson", "application/geo+json"),
}
"""By name: the writer, the suffix of its files, and the media type."""
