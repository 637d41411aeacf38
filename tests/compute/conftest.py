"""The official client builds the graphs, the evaluator computes them, NumPy is the oracle."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from google.auth.credentials import AnonymousCredentials
from numpy.typing import NDArray

from tests.clients.test_official_client import discovery
from tests.support.loopback import Answer, Asked, Loopback, json_answer
from tests.support.rasterfiles import UTAH, noise, write_raster
from tileserver.compute.engine import Computing
from tileserver.compute.registry import algorithm_list
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.mounts import Mounts
from tileserver.contract.pixels import PixelRequest
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.folders import Tree
from tileserver.rasters.roots import Root
from tileserver.server.world import LocalImages, World

SIDE = 64
"""Pixels a side of every raster here; 30 m in EPSG:32612, the corner at UTAH."""
GRID = PixelGrid(SIDE, SIDE, AffineTransform(*tuple(UTAH)[:6]), "EPSG:32612")
HOME = "projects/localhost/assets"
SCENE = f"{HOME}/scene"
"""Three bands of uint16, B1, B2 and B3, 0..4000, everything valid."""
HOLES = f"{HOME}/holes"
"""One band of int16, b1, nodata -9999 in every seventh pixel."""
HEIGHTS = f"{HOME}/heights"
"""One band of float32, elevation, with NaN in its first column."""
SERIES = f"{HOME}/series"
"""A collection of six images, t0 to t5, ten days apart from 2020-04-01: bands B1 and B2 of uint8,
each with a mask of its own; properties CLOUD = 50, 40, 30, 20, 10, 0 and NAME = "t0" ..."""
COUNT = 6


def scene_values() -> NDArray[np.uint16]:
    """Return the values of SCENE, shape (3, SIDE, SIDE)."""
    values: NDArray[np.uint16] = noise(3, SIDE, SIDE, "uint16", seed=1) % 4001
    return values


def hole_values() -> NDArray[np.int16]:
    """Return the values of HOLES, shape (SIDE, SIDE), -9999 where masked."""
    values: NDArray[np.int16] = (noise(1, SIDE, SIDE, "int16", seed=2)[0] % 1000).astype(np.int16)
    values.ravel()[::7] = -9999
    return values


def height_values() -> NDArray[np.float32]:
    """Return the values of HEIGHTS, shape (SIDE, SIDE)."""
    values: NDArray[np.float32] = noise(1, SIDE, SIDE, "float32", seed=3)[0]
    values[:, 0] = np.nan
    return values


def series_values() -> np.ma.MaskedArray[Any, Any]:
    """Return the values of SERIES, shape (COUNT, 2, SIDE, SIDE), masked as they are."""
    values = noise(COUNT * 2, SIDE, SIDE, "uint8", seed=4).reshape(COUNT, 2, SIDE, SIDE)
    masks = noise(COUNT, SIDE, SIDE, "uint8", seed=5) < 100
    masks[:, :3, :3] = True
    return np.ma.masked_array(values, np.repeat(masks[:, np.newaxis], 2, axis=1))


def start_of(number: int) -> datetime:
    """Return when an image of SERIES begins."""
    return datetime(2020, 4, 1, 10, 30, tzinfo=UTC) + timedelta(days=10 * number)


class LocalWorld(World):
    """The assets of local rasters."""

    def __init__(
        self,
        rasters: LocalRasters,
        tree: Tree,
        may_read: Callable[[str], bool] = lambda name: True,
    ) -> None:
        super().__init__(Mounts([("", LocalImages(rasters, tree))]), may_read)
        self.rasters = rasters
        self.tree = tree


def world_of(folder: Path) -> LocalWorld:
    """Return the assets of a folder."""
    catalogue = Catalogue([Root(str(folder))])
    return LocalWorld(LocalRasters(catalogue), Tree(catalogue))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> LocalWorld:
    folder = tmp_path_factory.mktemp("assets")
    write_raster(folder / "scene.tif", scene_values(), descriptions=("B1", "B2", "B3"))
    properties = {"properties": {"CLOUD_COVER": 3.25, "SENSOR": "made up"}}
    times = {"startTime": "2020-06-01T18:49:19Z", "endTime": "2020-06-01T18:49:20Z"}
    (folder / "scene.json").write_text(json.dumps(properties | times))
    write_raster(folder / "holes.tif", hole_values()[np.newaxis], nodata=-9999)
    heights = height_values()[np.newaxis]
    write_raster(folder / "heights.tif", heights, descriptions=("elevation",))
    (folder / "series").mkdir()
    (folder / "series" / "collection.json").write_text('{"properties": {"title": "A series"}}')
    for number, image in enumerate(series_values()):
        path = folder / "series" / f"t{number}.tif"
        shown = ~np.ma.getmaskarray(image)[0]
        write_raster(path, image.data, mask=shown, descriptions=("B1", "B2"))
        about = {
            "startTime": start_of(number).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "properties": {"CLOUD": 50 - 10 * number, "NAME": f"t{number}"},
        }
        path.with_suffix(".json").write_text(json.dumps(about))
    return world_of(folder)


class _Directory(Loopback):
    """Lets `ee` begin, with the algorithms there are and no others."""

    async def honest(self, asked: Asked) -> Answer:
        if asked.path.endswith("/$discovery/rest"):
            return json_answer(discovery())
        return json_answer({"algorithms": algorithm_list()})


@pytest.fixture(scope="module")
def ee() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as environment, _Directory() as server:
        environment.setenv("https_proxy", "http://127.0.0.1:1")
        import ee as client

        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client.Initialize(anonymous, url=server.url, project="my-project")
        yield client
        client.Reset()


class Evaluator:
    """Computes what the client has built."""

    def __init__(self, world: LocalWorld) -> None:
        self.computing = Computing(world)

    def value(self, built: Any) -> Any:
        """Return what `built.getInfo()` would."""
        return self.computing._value(self.text(built))

    def pixels(self, image: Any, grid: PixelGrid | None = GRID) -> NDArray[Any]:
        """Return the pixels of an image, a structured array of shape (height, width)."""
        body = self.computing.pixels(self.request(image, grid))
        array: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
        return array

    def masked(
        self, image: Any, grid: PixelGrid | None = GRID
    ) -> dict[str, np.ma.MaskedArray[Any, Any]]:
        """Return each band with its mask, shape (height, width)."""
        bands = self.computing.bands(self.request(image, grid))
        each = zip(bands.ids, bands.values, bands.valid, strict=True)
        return {band: np.ma.masked_array(values, ~valid) for band, values, valid in each}

    def request(
        self,
        image: Any,
        grid: PixelGrid | None = GRID,
        file_format: ImageFileFormat = ImageFileFormat.NPY,
    ) -> PixelRequest:
        """Return the request for an image's pixels."""
        name = "projects/my-project/expressions/test"
        return PixelRequest(name, file_format, grid, expression=self.text(image))

    @staticmethod
    def text(built: Any) -> str:
        """Return the expression of what the client has built."""
        return str(built.serialize())


@pytest.fixture(scope="session")
def evaluator(world: LocalWorld) -> Evaluator:
    return Evaluator(world)
