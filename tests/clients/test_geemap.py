"""geemap's layers show our tiles, in ipyleaflet and in folium; its tools get our pixels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
import requests

from tests.clients.conftest import Served
from tests.clients.formats import rgba
from tests.clients.rasters import BANDS, COUNT, HEIGHTS, HOLES, SCENE, SERIES, SIDE, scene, start_of
from tests.clients.test_urls import TILE
from tests.clients.values import box
from tests.support.commands import ROOT

pytestmark = pytest.mark.filterwarnings("ignore")
STYLE = {"bands": ["B4", "B3", "B2"], "min": 0, "max": 3000}
FOLIUM = """
import sys
import ee
import geemap.foliumap as geemap
from google.auth.credentials import AnonymousCredentials

url, asset, path = sys.argv[1:]
ee.Initialize(AnonymousCredentials(), url=url, project="localhost")
page = geemap.Map(ee_initialize=False)
page.add_layer(ee.Image(asset), {"bands": ["B4", "B3", "B2"], "min": 0, "max": 3000}, "scene")
page.to_html(path)
"""


@pytest.fixture(scope="module")
def geemap(ee: ModuleType) -> Any:
    return pytest.importorskip("geemap", exc_type=ImportError)


def check_tile(
    served: Served, web: requests.Session, template: str, asset: str, style: Mapping[str, str]
) -> str:
    """Compare a layer's tile with the tile server's, and return its format.

    A map's tiles are JPEG where all is opaque, as Earth Engine's.
    """
    place = TILE._asdict()
    found = web.get(template.format(**place), timeout=20)
    assert found.status_code == 200, found.text
    extension = {"image/png": "png", "image/jpeg": "jpg"}[found.headers["content-type"]]
    path = f"{served.url}/tiles/{asset}/{{z}}/{{x}}/{{y}}.{extension}".format(**place)
    wanted = web.get(path, params=dict(style), timeout=20)
    assert wanted.status_code == 200, wanted.text
    np.testing.assert_array_equal(rgba(found.content), rgba(wanted.content))
    assert rgba(found.content)[3].any()
    return extension


LAYERS = (
    (SCENE, STYLE, {"bands": "B4,B3,B2", "min": "0", "max": "3000"}, "jpg"),
    (
        HOLES,
        {"palette": ["000000", "ff0000", "ffffff"], "min": 0, "max": 900, "opacity": 0.5},
        {"min": "0", "max": "900", "palette": "000000,ff0000,ffffff", "opacity": "0.5"},
        "png",
    ),
    (HEIGHTS, {"min": -2000, "max": 2000}, {"min": "-2000", "max": "2000"}, "jpg"),
)


@pytest.mark.parametrize(("asset", "style", "query", "extension"), LAYERS)
def test_a_layer_shows_the_tiles_of_the_tile_server(
    ee: ModuleType,
    geemap: Any,
    served: Served,
    web: requests.Session,
    asset: str,
    style: dict[str, Any],
    query: dict[str, str],
    extension: str,
) -> None:
    page = geemap.Map(ee_initialize=False)
    page.add_layer(ee.Image(asset), style, "mine")
    assert check_tile(served, web, page.layers[-1].url, asset, query) == extension


def test_a_layer_of_a_collection_is_its_mosaic(
    ee: ModuleType, geemap: Any, served: Served, web: requests.Session
) -> None:
    page = geemap.Map(ee_initialize=False)
    page.add_layer(ee.ImageCollection(SERIES), {"bands": ["B4"], "min": 0, "max": 5000}, "series")
    query = {"bands": "B4", "min": "0", "max": "5000"}
    check_tile(served, web, page.layers[-1].url, f"{SERIES}/t{COUNT - 1}", query)


def test_a_layer_of_a_geometry_is_drawn(ee: ModuleType, geemap: Any, web: requests.Session) -> None:
    page = geemap.Map(ee_initialize=False)
    page.add_layer(box(ee, 0, 0, SIDE, SIDE), {"color": "ff0000"}, "region")
    found = rgba(web.get(page.layers[-1].url.format(**TILE._asdict()), timeout=20).content)
    # The fill, half and two thirds opaque; no edge is near.
    assert (found[0] == 255).all()
    assert not found[1:3].any()
    assert set(np.unique(found[3])) <= {84, 85, 127, 128}


def test_a_page_of_folium_holds_the_same_tiles(
    served: Served, web: requests.Session, tmp_path: Path
) -> None:
    pytest.importorskip("geemap", exc_type=ImportError)
    path = tmp_path / "map.html"
    command = [sys.executable, "-W", "ignore", "-c", FOLIUM, served.url, SCENE, str(path)]
    environment = {**os.environ, "USE_FOLIUM": "1", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    made = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    (url,) = set(re.findall(rf'"({served.url}/v1/[^"]+)"', path.read_text()))
    query = {"bands": "B4,B3,B2", "min": "0", "max": "3000"}
    check_tile(served, web, url, SCENE, query)


def test_an_array_of_a_region(ee: ModuleType, geemap: Any) -> None:
    array = geemap.ee_to_numpy(ee.Image(SCENE), region=box(ee, 10, 20, 50, 40), scale=30)
    np.testing.assert_array_equal(array, np.moveaxis(scene()[:, 20:40, 10:50], 0, -1))


def test_a_file_of_a_region(ee: ModuleType, geemap: Any, tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    region = box(ee, 10, 20, 50, 40)
    geemap.ee_export_image(ee.Image(SCENE), str(path), scale=30, region=region, verbose=False)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), scene()[:, 20:40, 10:50])


def test_statistics_of_a_region(ee: ModuleType, geemap: Any) -> None:
    told = geemap.image_stats(ee.Image(SCENE), box(ee, 10, 20, 50, 40), 30).getInfo()
    part = scene()[:, 20:40, 10:50].astype(float)
    for name, wanted in (("mean", part.mean((1, 2))), ("std", part.std((1, 2)))):
        assert [told[name][band] for band in BANDS] == pytest.approx(list(wanted))
    assert [told["max"][band] for band in BANDS] == list(part.max((1, 2)))


def test_a_stretch_is_found_from_what_is_seen(ee: ModuleType, geemap: Any) -> None:
    page = geemap.Map(ee_initialize=False)
    page.add_layer(ee.Image(SCENE), STYLE, "scene")
    region = box(ee, 10, 20, 50, 40)
    low, high = page.layers[-1].calculate_vis_minmax(bounds=region, bands=["B4"], percent=1.0)
    assert 0 <= low < 200
    assert 3800 < high <= 4000


def test_the_days_of_a_collection(ee: ModuleType, geemap: Any) -> None:
    days = geemap.image_dates(ee.ImageCollection(SERIES)).getInfo()
    assert days == [f"{start_of(i):%Y-%m-%d}" for i in range(COUNT)]
