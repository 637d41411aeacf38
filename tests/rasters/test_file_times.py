"""When rasters were taken: by their sidecars, tags and names."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.support.rasterfiles import write_raster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.file_times import time_in_name, time_of_file
from tileserver.rasters.roots import Root


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ndvi_20250601", "2025-06-01T00:00:00"),
        ("ndvi-2025-06-01", "2025-06-01T00:00:00"),
        ("2025_06_01_ndvi", "2025-06-01T00:00:00"),
        ("2025.06.01", "2025-06-01T00:00:00"),
        ("MOD13Q1.A2025152.h09v05.061.2025170035012", "2025-06-01T00:00:00"),
        ("x_2024366", "2024-12-31T00:00:00"),
        ("S2A_MSIL1C_20250601T101559_N0511_R065_T32UQD_20250601T140000", "2025-06-01T10:15:59"),
        ("T32UQD_20250601T101559_B02_10m", "2025-06-01T10:15:59"),
        ("S1A_IW_GRDH_1SDV_20250601T052345_20250601T052410_059431", "2025-06-01T05:23:45"),
        ("LC08_L2SP_038032_20200401_20200822_02_T1_SR_B4", "2020-04-01T00:00:00"),
        ("LE70380322000212EDC00", "2000-07-30T00:00:00"),
        ("20160707_170312_0e0e_3B_AnalyticMS", "2016-07-07T17:03:12"),
        ("radar20250601101559", "2025-06-01T10:15:59"),
        ("2025-06-01T10:15:59", "2025-06-01T10:15:59"),
        ("blue_marble_2004-07", "2004-07-01T00:00:00"),
        ("folder_20240101/scene_20250601", "2025-06-01T00:00:00"),
        # An invalid day before a valid one.
        ("tile_20251399_20250601", "2025-06-01T00:00:00"),
        ("id_2025060112", None),
        ("id_1748772959", None),
        ("20250230", None),
        ("2025-13-01", None),
        ("x_2023366", None),
        ("x_2025000", None),
        ("18500601", None),
        ("tile_12_34", None),
        ("utm_2056", None),
        ("N37W119", None),
        ("scene", None),
        ("٢٠٢٥٠٦٠١", None),
        ("2025_06-01", None),
    ],
)
def test_names(name: str, expected: str | None) -> None:
    found = time_in_name(f"projects/localhost/assets/{name}")
    assert (None if found is None else found.isoformat()[:19]) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("2024:05:06 07:08:09", "2024-05-06T07:08:09Z"),
        ("2024:13:06 07:08:09", "2025-06-01T00:00:00Z"),
        ("0000:00:00 00:00:00", "2025-06-01T00:00:00Z"),
        ("yesterday", "2025-06-01T00:00:00Z"),
    ],
)
def test_a_tag_goes_before_the_name_if_it_is_valid(tag: str, expected: str) -> None:
    assert time_of_file({"TIFFTAG_DATETIME": tag}, "x_20250601") == expected


def start_of(path: Path) -> str | None:
    catalogue = Catalogue([Root(str(path))])
    (name,) = catalogue.names()
    return catalogue.find(name).asset.start_time


def test_a_file_says_when_it_was_taken(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "x_20250601.tif", np.ones((1, 9, 9), "uint8"), overviews=())
    assert start_of(path) == "2025-06-01T00:00:00Z"
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(TIFFTAG_DATETIME="2024:05:06 07:08:09")
    assert start_of(path) == "2024-05-06T07:08:09Z"
    path.with_suffix(".json").write_text(json.dumps({"startTime": "2020-01-01T00:00:00Z"}))
    assert start_of(path) == "2020-01-01T00:00:00Z"


def test_a_scene_of_files_of_a_band_each_has_the_time_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "S2A_20250601"
    folder.mkdir()
    for band in ("B02", "B03"):
        write_raster(folder / f"{band}.tif", np.ones((1, 9, 9), "uint8"), overviews=())
    catalogue = Catalogue([Root(str(tmp_path))])
    name = "projects/localhost/assets/S2A_20250601"
    assert catalogue.find(name).asset.start_time == "2025-06-01T00:00:00Z"
