"""Features as KML, KMZ, Shapefiles and TFRecord, read back with GDAL and by hand."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from tileserver.errors import InvalidRequest
from tileserver.exports.table_files import FORMATS

RING = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]]
HOLE = [[0.5, 0.5], [0.5, 1.0], [1.0, 1.0], [0.5, 0.5]]
FAR = [[[x + 5, y + 5] for x, y in RING]]
GEOMETRIES: dict[str, list[Any]] = {
    "points": [{"type": "Point", "coordinates": [1.25, -2.5]}, None],
    "many points": [
        {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
        {"type": "Point", "coordinates": [5, 6]},
    ],
    "lines": [
        {"type": "LineString", "coordinates": [[0, 0], [1, 1], [2, 0]]},
        {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]], [[5, 5], [6, 7]]]},
    ],
    "areas": [
        {"type": "Polygon", "coordinates": [RING, HOLE]},
        {"type": "MultiPolygon", "coordinates": [[RING], FAR]},
    ],
}
COLUMNS: list[dict[str, Any]] = [
    {"n": 3, "share": 0.1, "name": "é & <b>", "a long name 1": 1, "a long name 2": -5},
    {"n": -7, "share": 1e-12, "name": None, "a long name 1": 2, "list": [1, "x"], "is": True},
]


def features(geometries: list[Any]) -> list[dict[str, Any]]:
    return [
        {"type": "Feature", "id": f"id{i}", "geometry": geometry, "properties": COLUMNS[i]}
        for i, geometry in enumerate(geometries)
    ]


def written(file_format: str, geometries: list[Any], columns: list[str] | None = None) -> bytes:
    return FORMATS[file_format][0](features(geometries), columns)


def read(path: Path, content: bytes) -> tuple[dict[str, list[Any]], list[Any]]:
    """Return columns and geometries as GDAL reads them."""
    path.write_bytes(content)
    name = f"/vsizip/{path}" if path.suffix == ".zip" else str(path)
    meta, _, geometries, values = pyogrio.raw.read(name)
    columns = zip(meta["fields"], values, strict=True)
    shapes = [None if each is None else shapely.from_wkb(each) for each in geometries]
    return {name: list(each) for name, each in columns}, shapes


def same(found: list[Any], expected: list[Any]) -> bool:
    wanted = [None if g is None else shapely.from_geojson(json.dumps(g)) for g in expected]
    return all(
        (a is None) == (b is None) and (a is None or shapely.equals(a, b))
        for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_gdal_reads_a_shapefile(tmp_path: Path, kind: str) -> None:
    columns, shapes = read(tmp_path / "t.shp.zip", written("SHP", GEOMETRIES[kind]))
    assert same(shapes, GEOMETRIES[kind])
    assert columns["system:ind"] == ["id0", "id1"]
    assert columns["n"] == [3, -7]
    assert columns["share"] == [0.1, 1e-12]
    assert columns["name"][0] == "é & <b>"
    assert not columns["name"][1]
    assert columns["a long nam"] == [1, 2]
    assert columns["a long n_1"][0] == -5
    assert columns["list"][1] == '[1,"x"]'
    assert columns["is"][1] == 1


@pytest.mark.parametrize("kind", GEOMETRIES)
@pytest.mark.parametrize("file_format", ["KML", "KMZ"])
def test_gdal_reads_a_kml(tmp_path: Path, kind: str, file_format: str) -> None:
    content = written(file_format, GEOMETRIES[kind])
    if file_format == "KMZ":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.namelist() == ["doc.kml"]
            content = archive.read("doc.kml")
    _, shapes = read(tmp_path / "t.kml", content)
    assert same(shapes, GEOMETRIES[kind])
    text = content.decode()
    assert text.count("<name>id0</name>") == text.count("<name>id1</name>") == 1
    assert '<Data name="name"><value>é &amp; &lt;b&gt;</value></Data>' in text
    assert '<Data name="list"><value>[1,"x"]</value></Data>' in text


def test_a_collection_is_kept_in_kml_and_refused_in_a_shapefile(tmp_path: Path) -> None:
    parts = [GEOMETRIES["points"][0], GEOMETRIES["areas"][0]]
    mixed = [{"type": "GeometryCollection", "geometries": parts}]
    _, shapes = read(tmp_path / "t.kml", written("KML", mixed))
    assert same(shapes, mixed)
    with pytest.raises(InvalidRequest, match="one kind of geometry, got GeometryCollection"):
        written("SHP", mixed)
    with pytest.raises(InvalidRequest, match="one kind of geometry, got Point, Polygon"):
        written("SHP", parts)


def test_columns_are_chosen(tmp_path: Path) -> None:
    content = written("SHP", GEOMETRIES["points"], ["share", ".geo"])
    assert list(read(tmp_path / "t.shp.zip", content)[0]) == ["share"]
    assert b"long name" not in written("KML", GEOMETRIES["points"], ["share"])


def test_what_xml_cannot_hold_is_left_out(tmp_path: Path) -> None:
    feature = {**features([None])[0], "properties": {"a\0b": "x\x01\ud800y"}}
    (tmp_path / "t.kml").write_bytes(FORMATS["KML"][0]([feature], None))
    assert "x  y" in (tmp_path / "t.kml").read_text("utf-8")


def fields(data: bytes) -> list[tuple[int, bytes]]:
    """Return the members of a message of protobuf, all of them with a length."""
    found, at = [], 0
    while at < len(data):
        key, at = varint(data, at)
        length, at = varint(data, at)
        assert key & 7 == 2
        found.append((key >> 3, data[at : at + length]))
        at += length
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def examples(content: bytes) -> list[dict[str, Any]]:
    data, at, found = gzip.decompress(content), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        ((_, members),) = fields(data[at + 12 : at + 12 + length])
        found.append({k.decode(): value(v) for (_, k), (_, v) in map(pair, fields(members))})
        at += 16 + length
    return found


def pair(member: tuple[int, bytes]) -> Any:
    return fields(member[1])


def value(feature: bytes) -> list[Any]:
    ((kind, content),) = fields(feature)
    items = fields(content)
    if kind == 1:
        return [each.decode() for _, each in items]
    assert kind == 2
    numbers: list[Any] = np.frombuffer(items[0][1], "<f4").tolist()
    return numbers


def test_a_tfrecord_has_an_example_for_each_feature() -> None:
    first, second = examples(written("TF_RECORD_TABLE", GEOMETRIES["points"]))
    assert first == {
        "system:index": ["id0"],
        "n": [3.0],
        "share": [pytest.approx(0.1)],
        "name": ["é & <b>"],
        "a long name 1": [1.0],
        "a long name 2": [-5.0],
    }
    assert second["list"] == ["1", "x"]
    assert second["is"] == [1.0]
    assert "name" not in second
    assert ".geo" not in second


@pytest.mark.parametrize("file_format", ["KML", "KMZ", "SHP", "TF_RECORD_TABLE"])
def test_no_features_are_a_file_too(file_format: str) -> None:
    assert FORMATS[file_format][0]([], None)
    assert written(file_format, GEOMETRIES["areas"]) == written(file_format, GEOMETRIES["areas"])
