"""Files that GDAL has written, read here; GDAL, pyproj and shapely are the oracle."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyogrio.raw
import pytest
import shapely
from pyarrow import parquet
from pyproj import Transformer

from tests.tables.files import geojson_text, write_features
from tileserver.errors import UnreadableRaster
from tileserver.geo.tables import Table
from tileserver.rasters.files import Place
from tileserver.rasters.table_files import version_of_table
from tileserver.tables import builder
from tileserver.tables.reading import read_table

POINTS = [shapely.Point(10, 47), shapely.Point(11.5, 48.25), shapely.Point(-3, 5)]
AREAS = [
    shapely.box(0, 0, 2, 1),
    shapely.Polygon([(5, 5), (9, 5), (9, 9), (5, 9)], [[(6, 6), (7, 6), (7, 7), (6, 7)]]),
    shapely.MultiPolygon([shapely.box(20, 0, 21, 1), shapely.box(22, 0, 24, 3)]),
]
COLUMNS: dict[str, Any] = {
    "name": ["a", "Zürich", "c"],
    "size": [1, 2, 3],
    "share": [0.5, 1.5, -2.0],
}


EXPORTED = 'system:index,n,.geo\nabc,,"{""type"":""Point"",""coordinates"":[1,2]}"\n'


def read(path: Path) -> Table:
    found = read_table(Place(str(path.parent), path.name), "t")
    assert found is not None
    return found


def rows(table: Table) -> list[dict[str, Any]]:
    return [table.properties(row) for row in range(len(table))]


def expected_rows() -> list[dict[str, Any]]:
    return [{name: values[i] for name, values in COLUMNS.items()} for i in range(3)]


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp"])
@pytest.mark.parametrize("shapes", [POINTS, AREAS], ids=["points", "areas"])
def test_files_that_gdal_writes_are_read(tmp_path: Path, suffix: str, shapes: Any) -> None:
    path = tmp_path / f"t{suffix}"
    write_features(path, shapes, COLUMNS)
    table = read(path)
    assert all(shapely.equals(table.geometries, shapes))
    assert rows(table) == expected_rows()
    _, _, geometry, _ = pyogrio.raw.read(path)
    assert all(shapely.equals(table.geometries, shapely.from_wkb(geometry)))


def test_a_zipped_shapefile_is_read(tmp_path: Path) -> None:
    write_features(tmp_path / "t.shp", AREAS, COLUMNS)
    with zipfile.ZipFile(tmp_path / "u.shp.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(tmp_path.glob("t.*")):
            archive.write(each, f"inner/{each.name}")
    table = read(tmp_path / "u.shp.zip")
    assert all(shapely.equals(table.geometries, AREAS))
    assert rows(table) == expected_rows()


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:3035", "EPSG:3857"])
@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp"])
def test_other_crss_become_degrees(tmp_path: Path, suffix: str, crs: str) -> None:
    there = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    moved = [shapely.Point(*there.transform(each.x, each.y)) for each in POINTS[:2]]
    path = tmp_path / f"t{suffix}"
    options = {"RFC7946": "NO"} if suffix == ".geojson" else {}
    write_features(path, moved, {"n": [1, 2]}, crs, **options)
    found = shapely.get_coordinates(read(path).geometries)
    assert found == pytest.approx(shapely.get_coordinates(POINTS[:2]), abs=1e-6)


def test_long_edges_are_true_to_a_metre_in_degrees(tmp_path: Path) -> None:
    line = shapely.LineString([(200_000, 5_200_000), (800_000, 5_900_000)])
    write_features(tmp_path / "t.gpkg", [line], {"n": [1]}, "EPSG:32632")
    (found,) = read(tmp_path / "t.gpkg").geometries
    back = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    along = [line.interpolate(share, normalized=True) for share in np.linspace(0, 1, 101)]
    off = [found.distance(shapely.Point(*back.transform(p.x, p.y))) for p in along]
    assert max(off) * 111_320 < 1.1
    assert shapely.get_num_coordinates(found) < 1000


def test_geoparquet_is_read(tmp_path: Path) -> None:
    geo = {"version": "1.0.0", "primary_column": "geometry"}
    geo["columns"] = {"geometry": {"encoding": "WKB", "geometry_types": []}}  # type: ignore[assignment]
    table = pyarrow.table({"geometry": [each.wkb for each in AREAS], **COLUMNS})
    table = table.replace_schema_metadata({"geo": json.dumps(geo)})
    parquet.write_table(table, tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    assert all(shapely.equals(found.geometries, AREAS))
    assert rows(found) == expected_rows()


@pytest.mark.parametrize(
    ("text", "shape", "properties"),
    [
        ("name,lon,lat,n\nx,3,4,7\n", shapely.Point(3, 4), {"name": "x", "n": 7}),
        ("Latitude;Longitude;v\n4.5;-3;0.5\n", shapely.Point(-3, 4.5), {"v": 0.5}),
        ('WKT,n\n"LINESTRING (0 0, 2 1)",06\n', shapely.LineString([(0, 0), (2, 1)]), {"n": 6}),
        (EXPORTED, shapely.Point(1, 2), {}),
        ("\ufeffa,b\n1,x\n", None, {"a": 1, "b": "x"}),
    ],
    ids=["lon-lat", "semicolons", "wkt", "exported", "no places"],
)
def test_csv_has_places_in_one_of_several_ways(
    tmp_path: Path, text: str, shape: Any, properties: dict[str, Any]
) -> None:
    (tmp_path / "t.csv").write_text(text)
    table = read(tmp_path / "t.csv")
    assert rows(table) == [properties]
    assert (table.geometries[0] is None) if shape is None else table.geometries[0].equals(shape)
    assert table.id(0) == ("abc" if "abc" in text else "0" * 20)


def test_ids_of_geojson_are_kept_if_each_is_one_features(tmp_path: Path) -> None:
    features: list[dict[str, Any]] = [
        {"type": "Feature", "id": i, "geometry": None, "properties": {}} for i in "ab"
    ]
    document = {"type": "FeatureCollection", "features": features}
    (tmp_path / "t.geojson").write_text(json.dumps(document))
    assert read(tmp_path / "t.geojson").ids == ("a", "b")
    features[1]["id"] = "a"
    (tmp_path / "t.geojson").write_text(json.dumps(document))
    assert read(tmp_path / "t.geojson").id(1) == "00000000000000000001"


def test_values_of_geojson_are_those_of_properties(tmp_path: Path) -> None:
    values = {"a": [1, True], "b": {"c": [2]}, "d": None, "e": 1.5, "f": 2**70}
    columns = {name: [value] for name, value in values.items()}
    (tmp_path / "t.geojson").write_text(geojson_text([POINTS[0]], columns))
    found = rows(read(tmp_path / "t.geojson"))[0]
    assert found == {"a": [1, True], "b": '{"c": [2]}', "e": 1.5, "f": 2.0**70}


def _three_shapefiles(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.shp", b"\0")


def _view(path: Path) -> None:
    write_features(path, POINTS, COLUMNS)
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE t RENAME TO u")
        endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
        db.execute(f"CREATE VIEW t AS {endless} SELECT n AS fid, NULL AS geom FROM r")
        db.execute("UPDATE gpkg_contents SET table_name = 't'")
        db.execute("UPDATE gpkg_geometry_columns SET table_name = 't'")
    db.close()


def _nested_wkb(path: Path) -> None:
    write_features(path, POINTS, COLUMNS)
    blob = b"GP\0\1" + b"\0" * 4 + b"\1\7\0\0\0\1\0\0\0" * 100_000
    with sqlite3.connect(path) as db:
        # Triggers of the index call functions that SQLite lacks.
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute("UPDATE t SET geom = ?", (blob,))
    db.close()


def _text(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text)


DEEP_SHAPE = '{"type":"GeometryCollection","geometries":[' * 9 + "]}" * 9
BAD_CRS = '{"type":"Point","coordinates":[0,1],"crs":{"properties":{"name":"x"}}}'
BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "no JSON": (".geojson", _text("{,"), "no GeoJSON"),
    "cut": (".geojson", _text('{"type":"FeatureCollection","features":[{"a"'), "no GeoJSON"),
    "deep": (".geojson", _text('{"a":' + "[" * 200_000), "nested too deeply"),
    "deep shape": (".geojson", _text(DEEP_SHAPE), "valid geometry"),
    "odd shape": (".geojson", _text('{"type":"Point","coordinates":["x",1]}'), "valid geometry"),
    "bad crs": (".geojson", _text(BAD_CRS), "CRS is not known"),
    "no number": (".csv", _text("lon,lat\n1,x\n"), "row 0: expected numbers"),
    "no WKT": (".csv", _text("wkt\nPOINT(\n"), "expected WKT"),
    "no header": (".csv", _text(""), "expected a header"),
    "no GeoPackage": (".gpkg", _text("hello"), "GeoPackage"),
    "view": (".gpkg", _view, "is a view"),
    "nested WKB": (".gpkg", _nested_wkb, "valid geometry"),
    "no shapefile": (".shp", _text("hello"), "no shapefile"),
    "several": (".shp.zip", _three_shapefiles, "one shapefile"),
    "no archive": (".shz", _text("hello"), "zipped shapefile"),
    "no parquet": (".parquet", _text("hello"), "GeoParquet"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    suffix, write, message = BAD[case]
    write(tmp_path / f"t{suffix}")
    with pytest.raises(UnreadableRaster, match=message):
        read(tmp_path / f"t{suffix}")


def test_a_shapefile_cut_anywhere_is_refused_or_shorter(tmp_path: Path) -> None:
    write_features(tmp_path / "t.shp", AREAS, COLUMNS)
    whole = (tmp_path / "t.shp").read_bytes()
    for size in range(0, len(whole), 37):
        (tmp_path / "t.shp").write_bytes(whole[:size])
        try:
            assert len(read(tmp_path / "t.shp")) <= 3
        except UnreadableRaster:
            continue


def test_too_many_of_anything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.geojson"
    path.write_text(geojson_text(AREAS, COLUMNS))
    limits = {"MAX_FEATURES": "features", "MAX_POINTS": "points", "MAX_SHAPE_POINTS": "points"}
    for name, message in {**limits, "MAX_COLUMNS": "columns", "MAX_CELLS": "values"}.items():
        with monkeypatch.context() as patch:
            patch.setattr(builder, name, 2)
            with pytest.raises(UnreadableRaster, match=message):
                read(path)


def test_links_out_of_the_root_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    os.symlink(tmp_path / "secret.csv", tmp_path / "root/t.csv")
    assert read_table(Place(str(tmp_path / "root"), "t.csv"), "t") is None


def test_the_version_follows_the_files_beside_a_shapefile(tmp_path: Path) -> None:
    write_features(tmp_path / "t.shp", POINTS, COLUMNS)
    place = Place(str(tmp_path), "t.shp")
    before = version_of_table(place, "t")
    assert version_of_table(place, "t") == before
    (tmp_path / "t.dbf").unlink()
    assert version_of_table(place, "t") != before
    assert rows(read(tmp_path / "t.shp")) == [{}, {}, {}]


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp", ".csv", ".parquet"])
def test_spoilt_files_are_refused_or_read_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        path.write_text("lon,lat,a\n" + "1,2,x\n" * 50)
    elif suffix == ".parquet":
        geo = {"primary_column": "g", "columns": {"g": {"encoding": "WKB"}}}
        table = pyarrow.table({"g": [each.wkb for each in AREAS], **COLUMNS})
        parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    else:
        write_features(path, AREAS, COLUMNS)
    others = [each for each in (path, path.with_suffix(".dbf")) if each.exists()]
    chance = random.Random(5)
    for _ in range(40):
        chosen = chance.choice(others)
        whole = chosen.read_bytes()
        spoilt = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20))):
            spoilt[chance.randrange(len(spoilt))] = chance.choice((0, 1, 34, 123, 127, 255))
        chosen.write_bytes(spoilt)
        try:
            assert len(read(path)) < 1000
        except UnreadableRaster:
            pass
        finally:
            chosen.write_bytes(whole)
