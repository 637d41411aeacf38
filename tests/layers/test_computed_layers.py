"""Layers by expression and by collection over local rasters, with no Earth Engine anywhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.expressions.test_document import (
    BOX,
    CENTRE,
    MEDIAN,
    PLACE,
    S2,
    SIDE,
    TILE,
    address,
    composed,
    folder,
    read,
    scene_values,
    within,
)
from tests.support.limits import SOON_S
from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tileserver.config.config import AccessSettings, Config, RasterFolder
from tileserver.config.layers import LayerSettings
from tileserver.contract.tiles import Tile
from tileserver.expressions.document import call, constant, extended, loaded, reference, to_text
from tileserver.server.app import create_app

__all__ = ["folder"]

REDUCERS = ("mosaic", "median", "mean", "min", "max", "first", "sum", "count", "mode")


@pytest.fixture
def scenes(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "scenes"))


@pytest.fixture
def client(scenes: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    bands = constant(["B8", "B4"])
    index = call("Image.normalizedDifference", input=reference("image"), bandNames=bands)
    (tmp_path / "ndvi.json").write_text(
        to_text(extended(loaded(f"{S2}/b"), {"index": index}, "index"))
    )
    (tmp_path / "gone.json").write_text(to_text(loaded(f"{S2}/gone")))
    config = Config(
        rasters=(RasterFolder(str(scenes), f"projects/earthengine-public/assets/{S2}"),),
        layers=(
            LayerSettings("ndvi", expression=str(tmp_path / "ndvi.json")),
            LayerSettings("gone", expression=str(tmp_path / "gone.json")),
            *(replace(MEDIAN, name=name, reduce=name) for name in REDUCERS),
        ),
        # What a layer shows was decided by who configured it, not by this.
        access=AccessSettings(assets=()),
    )
    with (
        serve(create_app(config)) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client


@pytest.mark.parametrize("name", REDUCERS)
def test_a_composite_is_made_of_the_scenes_that_pass(client: httpx.Client, name: str) -> None:
    columns, rows = within(TILE)
    found = read(client.get(address(name, TILE)))
    assert found.dtype.names == ("B4", "B8")
    np.testing.assert_allclose(found["B8"], composed(name, columns, rows))


def test_an_expression_is_drawn_with_a_stretch_of_its_own(client: httpx.Client) -> None:
    columns, rows = within(TILE)
    red, infrared = scene_values("b")[:, rows, columns].astype(float)
    found = read(client.get(address("ndvi", TILE)))
    np.testing.assert_allclose(found["nd"], (infrared - red) / (infrared + red), rtol=1e-6)
    info = client.get("/info/ndvi").json()
    assert info["style"]["bands"] == ["nd"]
    assert -1 < info["style"]["min"] < info["style"]["max"] < 1
    assert client.get(address("ndvi", TILE, "png")).headers["content-type"] == "image/png"
    point = client.get(f"/point/ndvi?{CENTRE}").json()["values"]["nd"]
    assert -1 < point < 1


def test_a_composite_lies_within_its_bounds(client: httpx.Client) -> None:
    layers = {each["name"]: each for each in client.get("/layers").json()["layers"]}
    assert layers["median"]["bounds"] == pytest.approx(BOX, abs=1e-3)
    assert "gone" not in layers
    outside = client.get(address("median", Tile(0, 0, 5), "png"))
    assert outside.headers["cache-status"].endswith("outside")


@pytest.mark.slow
def test_a_scene_that_changes_changes_what_is_computed_from_it(
    client: httpx.Client, scenes: Path
) -> None:
    before = read(client.get(address("max", TILE)))["B8"]
    values = np.full((2, SIDE, SIDE), 9999, np.uint16)
    write_raster(scenes / "a.tif", values, "EPSG:4326", PLACE, overviews=())
    patience_ends = time.monotonic() + SOON_S
    while time.monotonic() < patience_ends:
        after = read(client.get(address("max", TILE)))["B8"]
        if (after == 9999).all():
            break
    else:
        pytest.fail("what was computed of the old scene is still served")
    assert (before < 9999).all()


def test_what_a_layer_computes_is_not_told_by_name(client: httpx.Client) -> None:
    assert client.get(f"/tiles/{S2}/a/13/1321/3163.png").status_code == 404
    assert client.get("/tiles/gone/13/1321/3163.png").status_code == 502
