"""Features as files: CSV, GeoJSON, KML, KMZ, Shapefile and TFRecord, with Earth Engine's columns.

Of a CSV the first column is `system:index` and the last `.geo`, the geometry as GeoJSON, without
one {"type":"MultiPoint","coordinates":[]}, as files say that the service exported; between them
are the properties of the features, in the order of their names. A TFRecord has an Example for
each feature, compressed with gzip: numbers as floats, texts as bytes, and no geometry
(https://developers.google.com/earth-engine/guides/tfrecord). Decided: a null is left out of it, and
a dictionary is its JSON.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tileserver.exports.kml import kml_parts, kmz
from tileserver.exports.shapefiles import shapefile
from tileserver.rendering.tfrecord import write_example

INDEX, GEOMETRY = "system:index", ".geo"
NOWHERE: Mapping[str, Any] = {"type": "MultiPoint", "coordinates": []}
"""The geometry in a CSV of a feature that has none."""

Features = Sequence[Mapping[str, Any]]
"""GeoJSON features."""
Rows = Iterable[Mapping[str, Any]]
BINARY: Mapping[str, tuple[str, str]] = {
    "KML": ("kml", "application/vnd.google-earth.kml+xml"),
    "KMZ": ("kmz", "application/vnd.google-earth.kmz"),
    "SHP": ("shp.zip", "application/zip"),
    "TF_RECORD_TABLE": ("tfrecord.gz", "application/octet-stream"),
}
"""Formats that `parts_of` writes: suffix and media type."""
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


def parts_of(file_format: str, rows: Rows, names: Sequence[str], stem: str) -> Iterable[bytes]:
    """Return the pieces of a file in one of the formats of `BINARY`.

    Args:
        file_format: its name.
        rows: of features, as `row_of` has them.
        names: of the columns.
        stem: the name of a Shapefile in its archive.

    Raises:
        InvalidRequest: the format cannot hold the features.
    """
    names = [name for name in names if name != GEOMETRY]
    rows = ({**row, GEOMETRY: None} if row[GEOMETRY] == NOWHERE else row for row in rows)
    if file_format == "SHP":
        return [shapefile(rows, names, stem)]
    if file_format == "TF_RECORD_TABLE":
        return _compressed(write_example(_lists(row, names)) for row in rows)
    parts = kml_parts(rows, names, cell)
    return parts if file_format == "KML" else [kmz(parts)]


def _compressed(parts: Iterable[bytes]) -> Iterator[bytes]:
    # No time in the header, so that the same features are the same file.
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()


def _lists(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[Any]]:
    found = {name: _flat(row.get(name)) for name in names}
    return {name: items for name, items in found.items() if items}


def _flat(value: Any) -> list[Any]:
    """Return the numbers or texts of a property, one after the other; of a mixture all as texts."""
    found = [each for each in _leaves(value) if each is not None]
    if all(isinstance(each, int | float) for each in found):
        return [float(each) for each in found]
    return [each if isinstance(each, str) else json.dumps(each) for each in found]


def _leaves(value: Any) -> Iterator[Any]:
    if not isinstance(value, list):
        yield value
        return
    for each in value:
        yield from _leaves(each)


def _written(file_format: str) -> Callable[[Features, Columns], bytes]:
    def write(features: Features, columns: Columns) -> bytes:
        names = list(columns) if columns is not None else [INDEX, *_names(features)]
        return b"".join(parts_of(file_format, map(row_of, features), names, "table"))

    return write


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
    **{name: (_written(name), *row) for name, row in BINARY.items()},
}
"""By name: the writer, the suffix of its files, and the media type."""
