"""Files that are small, or damaged, and would take far more to read: refused, in little memory."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import shapely
from pyarrow import parquet

from tests.rest import memory
from tests.support.limits import cpu_limit
from tests.tables.files import geojson_text, write_features
from tests.tables.test_reading import read, rows
from tileserver.errors import UnreadableRaster
from tileserver.tables import geojson, shapefile

POINT = shapely.Point(10, 47)
MOST_MB = 250


def _nested_wkt(path: Path) -> None:
    path.write_text("wkt\n" + "GEOMETRYCOLLECTION(" * 200_000)


def _wide_csv(path: Path) -> None:
    path.write_text("," * 2_000_000 + "\n")


def _long_row(path: Path) -> None:
    path.write_text("a,b\n" + "," * 20_000_001)


def _long_feature(path: Path) -> None:
    path.write_text('{"features":[{"type":"Point","coordinates":[1,2],"a":"' + "x" * 20_000_001)


def _long_members(path: Path) -> None:
    part = "x" * 11_000_000
    path.write_text(f'{{"a":"{part}","b":"{part}","features":[]}}')


def _parts_without_end(path: Path) -> None:
    record = struct.pack("<i4d2i", 3, 0, 0, 1, 1, 3_000_000, 2) + b"\0" * 12_000_032
    header = struct.pack(">i", 9994) + b"\0" * 96
    path.write_bytes(header + struct.pack(">2i", 1, len(record) // 2) + record)


def _zip_of_zeros(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix in ("shp", "dbf"):
            archive.writestr(f"t.{suffix}", bytes(6_000_000))


def _many_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1100):
            archive.writestr(f"{number}.txt", b"")


def _rings_without_end(path: Path) -> None:
    geo = {"primary_column": "g", "columns": {"g": {"encoding": "WKB"}}}
    blob = b"\1\3\0\0\0" + struct.pack("<I", 2_500_000) + b"\0" * 10_000_000
    table = pyarrow.table({"g": [blob]}).replace_schema_metadata({"geo": json.dumps(geo)})
    parquet.write_table(table, path)


def _one_text_a_thousand_times(path: Path) -> None:
    """Its rows would take a gigabyte as strings."""
    geo = {"primary_column": "g", "columns": {"g": {"encoding": "WKB"}}}
    indices = pyarrow.array(np.zeros(1000, np.int32))
    texts = pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array(["x" * 1_000_001]))
    table = pyarrow.table({"g": [POINT.wkb] * 1000, "a": texts})
    options = {"compression": "zstd", "dictionary_pagesize_limit": 10**8}
    parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path, **options)


BOMBS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "nested WKT": (".csv", _nested_wkt, "row 0: the WKT is nested too deeply"),
    "a wide CSV": (".csv", _wide_csv, "more than 1000 columns"),
    "a long row": (".csv", _long_row, "a row has more than 20,000,000 characters"),
    "a long feature": (".geojson", _long_feature, "more than 20,000,000 characters"),
    "long members": (".geojson", _long_members, "more than 20,000,000 characters"),
    "parts without end": (".shp", _parts_without_end, "its .shp is damaged"),
    "a zip of zeros": (".shp.zip", _zip_of_zeros, "larger than 1 GB unpacked"),
    "many members": (".shz", _many_members, "more than 1000 files"),
    "rings without end": (".parquet", _rings_without_end, "no valid geometry"),
    "one text a thousand times": (".parquet", _one_text_a_thousand_times, "1,000,000 characters"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_files_that_would_take_far_more_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    suffix, write, message = BOMBS[case]
    path = tmp_path / f"t{suffix}"
    write(path)
    monkeypatch.setattr(shapefile, "MAX_BYTES", 20_000_000 if suffix == ".shp" else 10_000_000)
    if memory.is_told():
        memory.forget()
        before_mb = memory.now_mb()
    with cpu_limit(5), pytest.raises(UnreadableRaster, match=message):
        read(path)
    if memory.is_told():
        assert memory.most_mb() - before_mb < MOST_MB


@pytest.mark.parametrize("encoding", ["hex", "zip", "rot13", "undefined", "../x", "x" * 10**6])
def test_what_is_no_encoding_of_texts_is_taken_for_utf_8(tmp_path: Path, encoding: str) -> None:
    write_features(tmp_path / "t.shp", [POINT], {"name": ["a"]})
    (tmp_path / "t.cpg").write_text(encoding)
    assert rows(read(tmp_path / "t.shp")) == [{"name": "a"}]


@pytest.mark.parametrize("window", [1, 2, 7, 40, 1000])
def test_geojson_is_the_same_through_any_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    path = tmp_path / "t.geojson"
    columns = {"n": [123456, 2.5, None], "a": ['é\\"', [1, 22], {}]}
    path.write_text(geojson_text([POINT, shapely.box(0, 0, 1, 2), POINT], columns))
    whole = read(path)
    monkeypatch.setattr(geojson, "_WINDOW", window)
    found = read(path)
    assert rows(found) == rows(whole)
    assert list(found.geometries) == list(whole.geometries)
    path.write_text('{"features":[\n1234567')
    with pytest.raises(UnreadableRaster, match=r"must be an object|no GeoJSON"):
        read(path)


def test_ids_with_underscores_stay_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("tile,n,m\n10_20,1_0,\u0661\n11_20,2,3\n", "utf-8")
    assert rows(read(tmp_path / "t.csv"))[1] == {"tile": "11_20", "n": "2", "m": "3"}
