"""Set-up: rasters in folders and collections, and a server of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import ee as official
import httpx
import numpy as np
import pytest
from google.auth.credentials import AnonymousCredentials

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import ApiSettings, Config, RasterFolder
from tileserver.server.app import create_app

LOCAL = "projects/localhost/assets"
PUBLIC = "projects/earthengine-public/assets"


class Served(NamedTuple):
    """A server, and what it serves."""

    url: str
    folder: Path


@pytest.fixture(autouse=True)
def _nothing_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse at once what the official client looks up elsewhere, a list of old assets."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of rasters, some of them in collections.

    `local/scene`: three bands of uint16. `local/bytes`: three of uint8, with nodata 0.
    `local/heights`: float32 with a mask. `local/series`: a collection of four, one a month.
    `local/folder/inner`: an image in a folder. `public/COPERNICUS/S2`: a collection of two.
    `demo/landsat`: for a project whose id is too short for the official client.
    """
    top = tmp_path_factory.mktemp("rest")
    for name in ("local/series", "local/folder", "local/empty", "public/COPERNICUS/S2", "demo"):
        (top / name).mkdir(parents=True)
    local = top / "local"
    write_raster(local / "scene.tif", noise(3, 600, 700), descriptions=["B2", "B3", "B4"])
    write_raster(local / "bytes.tif", noise(3, 600, 700, "uint8"), nodata=0)
    disc = np.hypot(*(np.mgrid[0:300, 0:300] - 150)) < 120
    write_raster(local / "heights.tif", noise(1, 300, 300, "float32"), mask=disc)
    (local / "scene.json").write_text(
        json.dumps({"startTime": "2020-06-01T18:49:19Z", "properties": {"CLOUD_COVER": 3.25}})
    )
    for month in range(1, 5):
        write_raster(local / f"series/m{month}.tif", noise(1, 100, 100, seed=month), overviews=())
        facts = {
            "startTime": f"2020-0{month}-01T00:00:00Z",
            "endTime": f"2020-0{month}-02T00:00:00Z",
            "properties": {"CLOUD": month * 10.0, "SENSOR": "A" if month < 3 else "B"},
        }
        (local / f"series/m{month}.json").write_text(json.dumps(facts))
    (local / "series/collection.json").write_text('{"properties": {"title": "Months"}}')
    write_raster(local / "folder/inner.tif", noise(1, 50, 50), overviews=())
    for name in ("20200401T184919_x", "20200501T184919_x"):
        write_raster(top / f"public/COPERNICUS/S2/{name}.tif", noise(3, 300, 300))
    (top / "public/COPERNICUS/S2/collection.json").write_text("{}")
    write_raster(top / "demo/landsat.tif", noise(1, 50, 50), overviews=())
    return top


def config_of(folder: Path, graphs: Path) -> Config:
    """Return the configuration of all rasters."""
    return Config(
        rasters=(
            RasterFolder(str(folder / "local"), LOCAL),
            RasterFolder(str(folder / "public"), PUBLIC),
            RasterFolder(str(folder / "demo"), "projects/demo/assets"),
        ),
        api=ApiSettings(graphs=str(graphs)),
    )


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where maps and thumbnails are kept."""
    return tmp_path_factory.mktemp("state") / "graphs"


@pytest.fixture(scope="session")
def served(folder: Path, graphs: Path) -> Iterator[Served]:
    """Serve all rasters."""
    with serve(create_app(config_of(folder, graphs))) as url:
        yield Served(url, folder)


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """Ask the server."""
    with httpx.Client(base_url=served.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def ee(served: Served) -> Iterator[ModuleType]:
    """Return the official client, asking the server."""
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    official.Initialize(credentials, url=served.url, project="localhost")
    yield official
    official.Reset()
