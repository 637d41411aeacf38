"""Features as files."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from tileserver.exports.table_files import write_csv, write_geojson

POINT = {"type": "Point", "coordinates": [1.0, 2.0]}
FEATURES: list[dict[str, Any]] = [
    {"type": "Feature", "id": "0_a", "geometry": POINT, "properties": {"n": 1.5, "name": 'a "b"'}},
    {"type": "Feature", "id": "1", "geometry": None, "properties": {"list": [1, 2], "is": True}},
]


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_a_csv_has_the_index_first_and_the_geometry_last() -> None:
    content = write_csv(FEATURES, None)
    assert content.splitlines()[0] == b"system:index,is,list,n,name,.geo"
    first, second = rows(content)
    assert (first["system:index"], first["n"], first["name"]) == ("0_a", "1.5", 'a "b"')
    assert json.loads(first[".geo"]) == POINT
    assert second == {
        "system:index": "1",
        "is": "true",
        "list": "[1,2]",
        "n": "",
        "name": "",
        # As in the files that the service exports.
        ".geo": '{"type":"MultiPoint","coordinates":[]}',
    }


def test_columns_can_be_chosen() -> None:
    assert write_csv(FEATURES, ["n", "system:index"]).splitlines() == [
        b"n,system:index",
        b"1.5,0_a",
        b",1",
    ]
    kept = json.loads(write_geojson(FEATURES, ["n"]))["features"]
    assert [each["properties"] for each in kept] == [{"n": 1.5}, {}]


def test_geojson_holds_the_features() -> None:
    assert json.loads(write_geojson(FEATURES, None)) == {
        "type": "FeatureCollection",
        "features": FEATURES,
    }
