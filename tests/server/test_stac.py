"""STAC documents served: layers in their looks, collections for `ee`, errors of items."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from google.auth.credentials import AnonymousCredentials
from PIL import Image
from rasterio import Affine
from rasterio.warp import transform

from tests.rasters.bucket import serve_folder
from tests.support.rasterfiles import write_raster
from tests.support.scenefiles import write_scene
from tests.support.serving import serve
from tests.support.stacfiles import asset, container, item, scene_assets, write
from tests.support.waiting import until
from tileserver.config.config import Config, RasterFolder, RemoteSettings
from tileserver.rasters.roots import Root, mosaic_root
from tileserver.server import cli
from tileserver.server.app import create_app

LOCAL = "projects/localhost/assets"
RENDERS = {
    "broken": {"assets": ["none"]},
    "color": {"title": "Infrared", "assets": ["nir08", "red", "blue"], "rescale": [[0, 20000]]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("stac")
    write_scene(top / "files")
    links = [("item", f"./{name}.json") for name in ("may", "june", "elsewhere")]
    write(top / "collection.json", container("Collection", "s2", links, renders=RENDERS))
    for month, name in ((5, "may"), (6, "june")):
        time = f"2024-0{month}-01T10:00:00Z"
        write(top / f"{name}.json", item(name, scene_assets("files/"), datetime=time, cloud=month))
    write(top / "elsewhere.json", item("elsewhere", scene_assets("https://other.example/")))
    classes = {"classes": {"assets": ["scl"], "colormap": {"1": "#ff0000", "2": "#00ff00"}}}
    only = {"scl": asset("files/SCL.tif")}
    write(top / "classes.json", item("classes", only, renders=classes))
    return top


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    rasters = [RasterFolder(str(folder / "collection.json"), LOCAL)]
    rasters.append(RasterFolder(str(folder / "classes.json"), LOCAL))
    with serve(create_app(Config(rasters=tuple(rasters)))) as url:
        yield url


@pytest.fixture(scope="module")
def ee(url: str) -> Iterator[ModuleType]:
    import ee as official

    anonymous: Any = AnonymousCredentials
    official.Initialize(anonymous(), url=url, project="localhost")
    yield official
    official.Reset()


def get(url: str, path: str, **query: Any) -> httpx.Response:
    return httpx.get(f"{url}{path}", params=query, timeout=60).raise_for_status()


def test_each_item_is_a_layer_and_one_that_cannot_be_read_tells_why(url: str) -> None:
    listed = get(url, "/layers").json()
    assert [each["name"] for each in listed["layers"]] == ["classes", "june", "may"]
    (failed,) = listed["errors"]
    assert failed["name"] == "elsewhere"
    assert "other.example, which the configuration does not name" in failed["reason"]


def test_the_render_extension_is_the_default_style(url: str, folder: Path) -> None:
    style = get(url, "/info/may").json()["style"]
    assert style["bands"] == ["nir08", "red", "blue"]
    assert (style["min"], style["max"]) == ([0, 0, 0], [20000] * 3)
    style = get(url, "/info/classes").json()["style"]
    assert style["palette"] == ["ff0000", "00ff00"]
    bounds = ",".join(map(str, get(url, "/info/may").json()["bounds"]))
    own = get(url, "/preview/may.png", bbox=bounds, width=64).content
    said = {"bands": "nir08,red,blue", "min": 0, "max": 20000}
    assert own == get(url, "/preview/may.png", bbox=bounds, width=64, **said).content
    picture = np.asarray(Image.open(io.BytesIO(own)))
    assert picture[20:40, 20:40, :3].std() > 20
    other = get(url, "/preview/may.png", bbox=bounds, width=64, bands="red").content
    assert other != own


def test_items_are_images_of_a_collection(ee: ModuleType, folder: Path) -> None:
    collection = ee.ImageCollection(f"{LOCAL}/s2")
    late = collection.filterDate("2024-05-15", "2024-07-01").filter(ee.Filter.gt("cloud", 1))
    assert late.aggregate_array("system:index").getInfo() == ["june"]
    image = ee.Image(f"{LOCAL}/s2/may")
    assert image.bandNames().getInfo() == ["blue", "red", "nir08", "scl"]
    assert ee.data.getAsset(f"{LOCAL}/s2")["type"] == "IMAGE_COLLECTION"
    request = {"assetId": f"{LOCAL}/s2/may", "fileFormat": "NUMPY_NDARRAY", "bandIds": ["scl"]}
    with rasterio.open(folder / "files" / "SCL.tif") as dataset:
        assert np.array_equal(ee.data.getPixels(request)["scl"], dataset.read(1))


def test_a_catalogue_over_https_from_configured_hosts(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as bucket:
        write(tmp_path / "a.json", item("a", scene_assets(f"http://{bucket.address}/files/")))
        config = Config(remote=RemoteSettings(hosts=(bucket.address,)))
        roots = [Root(f"http://{bucket.address}/collection.json"), Root(str(tmp_path / "a.json"))]
        with serve(create_app(config, roots)) as url:
            listed = get(url, "/layers").json()
            assert [each["name"] for each in listed["layers"]] == ["a", "june", "may"]
            assert get(url, "/info/june").json()["style"]["bands"] == ["nir08", "red", "blue"]
            place = get(url, "/point/a", lon=-112.16, lat=40.63).json()["values"]
            assert set(place) == {"blue", "red", "nir08", "scl"}


def test_a_document_is_one_mosaic_of_its_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    days = {"old": ("B04", 1, "2024-01-01"), "new": ("B04", 2, "2024-02-01")}
    features = []
    for name, (band, value, day) in days.items():
        values = np.full((1, 64, 64), value, "uint8")
        east = Affine(30, 0, 400_000 + 960 * (value - 1), 0, -30, 4_500_000)
        write_raster(tmp_path / f"{name}.tif", values, transform=east, overviews=())
        said = item(name, {band: asset(f"{name}.tif")}, datetime=f"{day}T00:00:00Z")
        features.append(said)
    path = write(tmp_path / "search.json", {"type": "FeatureCollection", "features": features})
    with serve(create_app(Config(), [mosaic_root(str(path))])) as url:
        until(lambda: get(url, "/info/search").json()["mosaic"]["complete"])
        assert [each["name"] for each in get(url, "/layers").json()["layers"]] == ["search"]
        for x, value in ((400_100, 1), (401_500, 2), (402_500, 2)):
            (lon,), (lat,) = transform("EPSG:32612", "EPSG:4326", [x], [4_499_000])
            assert get(url, "/point/search", lon=lon, lat=lat).json()["values"] == {"B04": value}


@pytest.mark.parametrize("option", [[], ["--mosaic"]])
@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"a": 1}, "expected a STAC item, item collection, catalogue or collection"),
        ({"type": "FeatureCollection", "features": []}, "a.json: no item in this STAC document"),
        (item("a", {}), "no asset that is a GeoTIFF"),
        (item("a", scene_assets("https://other.example/")), '[remote] hosts = ["other.example"]'),
    ],
)
def test_a_document_of_nothing_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], document: Any, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.json", document)
    result = CliRunner().invoke(cli.main, ["serve", *option, "a.json", "--port", "0"])
    assert result.exit_code == 2
    assert why in result.stderr
    assert str(tmp_path) not in result.stderr
