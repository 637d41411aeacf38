from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.rasterfiles import noise, write_raster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.rest.listing import basic_view, image_json

NAME = "projects/earthengine-public/assets/A/scene"


@pytest.mark.parametrize(
    ("dtype", "data_type"),
    [
        ("uint8", {"precision": "INT", "range": {"min": 0, "max": 255}}),
        ("int8", {"precision": "INT", "range": {"min": -128, "max": 127}}),
        ("uint16", {"precision": "INT", "range": {"min": 0, "max": 65535}}),
        ("int16", {"precision": "INT", "range": {"min": -32768, "max": 32767}}),
        ("uint32", {"precision": "INT", "range": {"min": 0, "max": 2**32 - 1}}),
        ("int32", {"precision": "INT", "range": {"min": -(2**31), "max": 2**31 - 1}}),
        ("float32", {"precision": "FLOAT"}),
        ("float64", {"precision": "DOUBLE"}),
    ],
)
def test_the_type_of_a_band_is_told_by_its_range(
    tmp_path: Path, dtype: str, data_type: dict[str, object]
) -> None:
    write_raster(tmp_path / "scene.tif", noise(1, 20, 20, dtype), overviews=())
    catalogue = Catalogue([Root(str(tmp_path), "projects/earthengine-public/assets/A")])
    members = image_json(catalogue.find(NAME).asset)
    assert members["bands"][0]["dataType"] == data_type
    assert basic_view(members) == {"type": "IMAGE", "name": NAME, "id": "A/scene"}
    json.dumps(members, allow_nan=False)


def test_policies_and_missing_data_are_those_of_the_file(tmp_path: Path) -> None:
    values = noise(2, 20, 20, "float32")
    write_raster(tmp_path / "scene.tif", values, nodata=float(np.float32(-3.4e38)), overviews=())
    bands = [{"id": "a", "pyramidingPolicy": "MODE"}, {"id": "b", "pyramidingPolicy": "MIN"}]
    (tmp_path / "scene.json").write_text(json.dumps({"bands": bands}))
    catalogue = Catalogue([Root(str(tmp_path), "projects/earthengine-public/assets/A")])
    told = image_json(catalogue.find(NAME).asset)["bands"]
    assert [band["pyramidingPolicy"] for band in told] == ["MODE", "MIN"]
    assert told[0]["missingData"] == {"values": [float(np.float32(-3.4e38))]}
