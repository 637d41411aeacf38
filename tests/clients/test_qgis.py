"""QGIS paints an XYZ layer on the tiles of a map."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import requests

from tests.clients.conftest import Served
from tests.clients.rasters import SCENE
from tests.clients.test_consumers import extent
from tests.clients.test_urls import TILE, scene_on, stretched
from tests.support.qgis import painted, picture


@pytest.mark.usefixtures("qgis")
def test_qgis_paints_the_tiles_of_a_map(
    ee: ModuleType, served: Served, web: requests.Session, tmp_path: Path
) -> None:
    style = {"bands": ["B4", "B3", "B2"], "min": 0, "max": 3000, "format": "png"}
    template = ee.Image(SCENE).getMapId(style)["tile_fetcher"].url_format
    assert template.startswith(f"{served.url}/v1/projects/localhost/maps/")
    assert template.endswith("/tiles/{z}/{x}/{y}")
    found = painted(template, extent(TILE), tmp_path, side=256, zmax=22)
    body = web.get(template.format(**TILE._asdict()), timeout=20).content
    np.testing.assert_array_equal(found, picture(body))
    oracle = scene_on(served)
    wanted = stretched(oracle.values[[2, 1, 0]].astype(float), 0, 3000)
    clear = ~oracle.on_edge
    np.testing.assert_array_equal(np.moveaxis(found, -1, 0)[:3][:, clear], wanted[:, clear])
