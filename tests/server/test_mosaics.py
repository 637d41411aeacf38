"""A folder as one mosaic: from the command line and configuration to both faces of the server."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ee
import httpx
import mercantile
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from tests.mosaics.files import NAME, shifted, write_overlapping
from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.config.config import AccessSettings, Config, RasterFolder, load_config
from tileserver.errors import ConfigError
from tileserver.mosaics import index, limits
from tileserver.mosaics.index import MosaicIndex
from tileserver.mosaics.members import Member
from tileserver.rasters import catalogue
from tileserver.rasters.roots import Root, mosaic_root
from tileserver.server import cli
from tileserver.server.app import create_app
from tileserver.server.first_look import first_look
from tileserver.server.reports import warn_of_faults
from tileserver.server.sources import sources


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep indexes in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tileserver" / "mosaics"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder named "scenes" of overlapping files."""
    made = tmp_path / "scenes"
    made.mkdir()
    write_overlapping(made)
    return made


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    """Serve the mosaic of the folder, all its files known."""
    with (
        serve(create_app(Config(), [mosaic_root(str(folder))])) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        until(lambda: client.get("/info/scenes").json().get("mosaic", {}).get("complete"))
        yield client


def test_it_is_one_layer(client: httpx.Client) -> None:
    (layer,) = client.get("/layers").raise_for_status().json()["layers"]
    assert (layer["name"], layer["asset"]) == ("scenes", NAME)
    info = client.get("/info/scenes").json()
    assert info["mosaic"] == {
        "files": 4,
        "pixel_selection": "newest",
        "complete": True,
        "complete_from_zoom": 0,
        "left_out": 0,
        "errors": [],
    }
    assert (info["width"], info["height"]) == (134, 134)


def test_its_pictures_hold_all_files(client: httpx.Client) -> None:
    answer = client.get("/preview/scenes.png", params={"bands": "b1", "min": 0, "max": 100})
    alpha = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[..., 3]
    assert alpha[:200, :200].any()
    assert alpha[-200:, -200:].any()
    tile = client.get("/tiles/scenes/8/48/96.png")
    assert tile.status_code == 200
    assert np.asarray(Image.open(io.BytesIO(tile.content)).convert("RGBA"))[..., 3].any()


def test_its_values_are_those_of_the_file_on_top(client: httpx.Client, folder: Path) -> None:
    with rasterio.open(folder / "b.tif") as dataset:
        x, y = dataset.xy(60, 60)
        expected = dataset.read()[:, 60, 60]
        ((lon,), (lat,)) = rasterio.warp.transform(dataset.crs, "EPSG:4326", [x], [y])
    found = client.get("/point/scenes", params={"lon": lon, "lat": lat}).json()["values"]
    assert [v if v is not None else -1 for v in found.values()] == expected.tolist()
    statistics = client.get("/statistics/scenes").json()
    assert statistics["b1"]["min"] == 0
    assert statistics["b1"]["max"] == 99


def test_its_files_are_assets_of_their_own(client: httpx.Client) -> None:
    assert client.get(f"/info/{NAME}/a").json()["width"] == 64
    assert client.get(f"/preview/{NAME}/a.png").status_code == 200


def test_the_ee_client_finds_an_image_and_a_collection(client: httpx.Client) -> None:
    ee.Initialize(None, url=str(client.base_url), project="localhost")
    try:
        assert ee.data.getAsset(NAME)["type"] == "IMAGE_COLLECTION"
        images: Any = ee.data.listImages({"parent": NAME})
        assert [each["name"] for each in images["images"]] == [f"{NAME}/{each}" for each in "abcd"]
        assert ee.ImageCollection(NAME).size().getInfo() == 4
        assert ee.Image(NAME).bandNames().getInfo() == ["b1", "b2"]
        array = ee.data.getPixels({"assetId": NAME, "fileFormat": "NUMPY_NDARRAY"})
        assert array.shape == (134, 134)
        parent: Any = ee.data.listAssets({"parent": "projects/localhost/assets"})
        found = [(each["id"], each["type"]) for each in parent["assets"]]
        assert found == [(NAME, "IMAGE_COLLECTION")]
    finally:
        ee.Reset()


def test_the_configuration_makes_mosaics(folder: Path, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "tileserver.toml"
    path.write_text(
        '[[rasters]]\npath = "scenes"\nmosaic = true\npixel_selection = "max"\nindex = "kept"\n'
    )
    config = load_config(path, {}, {})
    with serve(create_app(config)) as url:
        until(
            lambda: (
                httpx.get(f"{url}/info/scenes", timeout=60).json().get("mosaic", {}).get("complete")
            )
        )
        info = httpx.get(f"{url}/info/scenes", timeout=60).json()
        until(lambda: list((tmp_path / "kept").glob("*.npz")))
    assert info["mosaic"]["pixel_selection"] == "max"
    assert not cache.exists()


@pytest.mark.parametrize("text", ["best", "lowest", "lowest:", "newest:x"])
def test_a_rule_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tileserver.toml"
    path.write_text(f'[[rasters]]\npath = "."\nmosaic = true\npixel_selection = "{text}"\n')
    with pytest.raises(ConfigError, match=r"pixel_selection.*expected newest, oldest"):
        load_config(path, {}, {})


def test_a_layer_may_style_it(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tileserver.toml"
    path.write_text(
        '[[rasters]]\npath = "scenes"\nmosaic = true\n'
        f'[layers.all]\nasset = "{NAME}"\nbands = ["b2"]\nmin = 0\nmax = 100\n'
    )
    with serve(create_app(load_config(path, {}, {}))) as url:
        (layer,) = httpx.get(f"{url}/layers", timeout=60).json()["layers"]
    assert (layer["name"], layer["style"]["bands"]) == ("all", ["b2"])


def test_other_rasters_stay_layers_of_their_own(folder: Path, tmp_path: Path) -> None:
    single = write_raster(
        tmp_path / "scenes2.tif", np.ones((1, 9, 9), "uint8"), transform=shifted(0, 0), overviews=()
    )
    roots = [Root(str(single)), mosaic_root(str(folder))]
    with serve(create_app(Config(), roots)) as url:
        layers = httpx.get(f"{url}/layers", timeout=60).json()["layers"]
        assert httpx.get(f"{url}/info/scenes2", timeout=60).json()["width"] == 9
    assert {each["name"] for each in layers} == {"scenes", "scenes2"}


def test_a_file_of_its_name_is_refused(folder: Path, tmp_path: Path) -> None:
    single = write_raster(tmp_path / "scenes.tif", np.ones((1, 9, 9), "uint8"), overviews=())
    with pytest.raises(ConfigError, match="a mosaic and a GeoTIFF would both be"):
        create_app(Config(), [Root(str(single)), mosaic_root(str(folder))])


@pytest.mark.parametrize(
    ("path", "message"),
    [("empty", "no GeoTIFF"), ("a.tif", "expected a folder"), ("away", "no such file")],
)
def test_the_command_says_what_is_wrong_with_a_folder(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    write_raster(tmp_path / "a.tif", np.ones((1, 9, 9), "uint8"), overviews=())
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.main, ["--mosaic", path])
    assert result.exit_code == 2
    assert message in result.output


def test_only_who_may_read_its_name_sees_it(folder: Path) -> None:
    config = Config(
        rasters=(RasterFolder(str(folder), mosaic=True),),
        access=AccessSettings(assets=("projects/localhost/assets/other/**",)),
    )
    with serve(create_app(config)) as url:
        assert httpx.get(f"{url}/layers", timeout=60).json()["layers"] == []
        assert httpx.get(f"{url}/info/{NAME}", timeout=60).status_code == 404
        assert httpx.get(f"{url}/v1/{NAME}", timeout=60).status_code == 404


def test_zooms_that_would_need_too_many_files_are_not_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_FILES", 3)
    folder = tmp_path / "mean"
    folder.mkdir()
    for number in range(5):
        transform = shifted(3000 * number, 0)
        values = np.full((1, 64, 64), number + 1, "uint8")
        write_raster(folder / f"{number}.tif", values, transform=transform, overviews=())
    (tmp_path / "tileserver.toml").write_text(
        '[[rasters]]\npath = "mean"\nmosaic = true\npixel_selection = "mean"\n'
    )
    with serve(create_app(load_config(tmp_path / "tileserver.toml", {}, {}))) as url:
        until(
            lambda: (
                httpx.get(f"{url}/info/mean", timeout=60).json().get("mosaic", {}).get("complete")
            )
        )
        document = httpx.get(f"{url}/tilejson/mean.json", timeout=60).json()
        zoom = document["minzoom"]
        assert zoom > 0
        west, south, east, north = document["bounds"]
        for below, status in ((0, 200), (1, 400)):
            tiles = list(mercantile.tiles(west, south, east, north, zoom - below))
            answers = [
                httpx.get(f"{url}/tiles/mean/{t.z}/{t.x}/{t.y}.png", timeout=60) for t in tiles
            ]
            assert max(answer.status_code for answer in answers) == status


def test_tiles_of_a_part_of_the_files_are_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    described = MosaicIndex._each_described

    def slowly(self: MosaicIndex, wanted: Any) -> Iterator[Member]:
        for number, member in enumerate(described(self, wanted)):
            if number == 2:
                goes_on.wait(60)
            yield member

    monkeypatch.setattr(MosaicIndex, "_each_described", slowly)
    monkeypatch.setattr(index, "_FIRST_S", 0.0)
    with serve(create_app(Config(), [mosaic_root(str(folder))])) as url:
        for is_complete, kept in ((False, "no-cache"), (True, "immutable")):
            if is_complete:
                goes_on.set()
                until(
                    lambda: httpx.get(f"{url}/info/scenes", timeout=60).json()["mosaic"]["complete"]
                )
            layer = httpx.get(f"{url}/layers", timeout=60).json()["layers"][0]
            tile = httpx.get(layer["tiles"].format(z=8, x=48, y=96), timeout=60)
            assert kept in tile.headers["cache-control"]


def test_a_file_that_comes_shows_without_a_request(client: httpx.Client, folder: Path) -> None:
    before = client.get("/info/scenes").json()
    part = folder / "new.part"
    write_raster(part, np.ones((2, 32, 32), "int16"), transform=shifted(300, 0), overviews=())
    part.rename(folder / "new.tif")
    until(lambda: client.get("/info/scenes").json()["mosaic"]["files"] == 5)
    assert client.get("/info/scenes").json()["version"] != before["version"]


def test_nothing_is_scanned_before_it_serves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    scanned = catalogue.Catalogue._rescan

    def noting(self: catalogue.Catalogue) -> Any:
        looked.extend(each.path for each in self._tops)
        return scanned(self)

    monkeypatch.setattr(catalogue.Catalogue, "_rescan", noting)
    config, added = sources((), (str(folder),), None, {}, ())
    assembly = cli.checked_assembly(config, added)
    look = first_look(assembly.rasters, cli.definitions_in(assembly))
    warn_of_faults(assembly, look)
    assert [each.name for each in look.works] == ["scenes"]
    assert looked == []
