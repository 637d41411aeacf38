"""Items of STAC in GeoParquet, as stac-geoparquet writes them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from tests.support.rasterfiles import noise, write_raster
from tests.support.stacfiles import asset
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.errors import UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.folders import Tree
from tileserver.rasters.roots import Root
from tileserver.rasters.stac import catalogs, geoparquet


def row(name: str, assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": b"\x01\x01",
        "bbox": {"xmin": 1.0, "ymin": 1.0, "xmax": 2.0, "ymax": 2.0},
        "links": [{"href": "x", "rel": "self"}],
        "assets": assets,
        "collection": "s2",
        "datetime": datetime(2024, 6, 1, 12, tzinfo=UTC),
        **properties,
    }


def write(path: Path, *rows: dict[str, Any]) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_raster(tmp_path / f"{name}.tif", noise(1, 50, 60), overviews=())
    return tmp_path


def test_a_row_is_an_image(folder: Path) -> None:
    red = asset("a.tif", {"name": "B04", "common_name": "red"})
    clouds = {"eo:cloud_cover": 3.5, "none": None, "bad": float("nan")}
    one = row("one", {"red": red, "nir": None}, **clouds)
    two = row("two", {"red": None, "nir": asset("b.tif", {"name": "B08"})}, **clouds)
    catalogue = Catalogue([Root(str(write(folder / "items.parquet", one, two)))])
    below = f"{LOCAL_PREFIX}/items"
    assert catalogue.names() == [f"{below}/one", f"{below}/two"]
    assert Tree(catalogue).folder(below).is_collection
    image = catalogue.find(f"{below}/one").asset
    assert image.band_ids == ("red",)
    assert image.bands[0].notes.common_name == "red"
    assert image.start_time == "2024-06-01T12:00:00Z"
    assert image.properties["eo:cloud_cover"] == 3.5
    assert not {"none", "bad", "geometry", "bbox", "links"} & set(image.properties)
    assert catalogue.find(f"{below}/two").asset.band_ids == ("nir",)


def test_a_change_of_the_file_is_seen(folder: Path) -> None:
    path = write(folder / "items.parquet", row("one", {"red": asset("a.tif")}))
    catalogue = Catalogue([Root(str(path))])
    assert len(catalogue.names()) == 1
    write(path, *(row(name, {"red": asset("a.tif")}) for name in ("one", "two")))
    assert len(catalogue.scan_again().images) == 2


def test_another_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "items.parquet"

    def why() -> str:
        with pytest.raises(UnreadableRaster) as caught:
            Catalogue([Root(str(path))]).find(f"{LOCAL_PREFIX}/items")
        return str(caught.value)

    path.write_bytes(b"PAR1 no Parquet PAR1")
    assert "cannot be read as GeoParquet" in why()
    write(path, {"id": "a", "value": 1})
    assert "a column 'assets'" in why()
    write(path, row("one", {"red": asset("a.tif")}))
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    assert "cannot be read as GeoParquet" in why()
    path.write_bytes(content)
    monkeypatch.setattr(geoparquet, "_MAX_DECODED_BYTES", 10)
    assert "expected at most" in why()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "needs pyarrow" in why()


def test_rows_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "MAX_ITEMS", 3)
    rows = [row(f"i{number}", {"red": asset("a.tif")}) for number in range(9)]
    path = write(folder / "items.parquet", *rows)
    assert len(Catalogue([Root(str(path))]).names()) == 3
