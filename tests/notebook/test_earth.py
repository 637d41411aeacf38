"""Earth Engine's images on a map, with the account of `ee.Initialize`; another server is it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.oauth2.credentials import Credentials

import tileserver
from tests.notebook.conftest import NORTH, WEST
from tests.notebook.test_show import pixel, tiles_of
from tests.support.serving import serve
from tileserver.config.config import AccessSettings, Config
from tileserver.errors import ConfigError, InvalidRequest
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

ee = pytest.importorskip("ee")

KEY = "the-token-of-the-account"  # pragma: allowlist secret
SCENE = "projects/localhost/assets/scene"
RED, BLUE = (WEST + 0.5, NORTH - 1), (WEST + 1.5, NORTH - 1)


@pytest.fixture
def earth(scene: Path, tmp_path: Path) -> Iterator[str]:
    """Serve the scene as Earth Engine does, to those who have the token."""
    config = Config(access=AccessSettings(keys=(("account", KEY),)))
    with serve(create_app(config, [Root(str(tmp_path))])) as url:
        yield url
        ee.Reset()


def initialize(url: str, token: str) -> None:
    account: Any = Credentials
    ee.Initialize(account(token), url=url, project="localhost")


def test_images_and_assets_are_drawn_with_the_account_of_ee(earth: str) -> None:
    initialize(earth, KEY)
    blue = ee.Image(SCENE).select("b3")
    drawn = tileserver.show(
        ee.Image(SCENE),
        SCENE,
        (blue.divide(2), {"min": 0, "max": 255}),
        (ee.ImageCollection([ee.Image(SCENE)]), {"bands": ["b3", "b2", "b1"]}),
        min=0,
        max=255,
        name=["image", "asset", "half", "mosaic"],
    )
    image, asset, half, mosaic = tiles_of(drawn)
    for each in (image, asset):
        assert pixel(each, *RED) == [255, 0, 0, 255]
    assert pixel(half, *BLUE)[:3] == pytest.approx([127] * 3, abs=1)
    assert pixel(mosaic, *RED) == [0, 0, 255, 255]
    assert drawn.layers[0].bounds == pytest.approx(
        np.array([(NORTH - 2, WEST), (NORTH, WEST + 2)]), abs=1e-6
    )
    with pytest.raises(InvalidRequest, match=r"of tables \.style\(\)"):
        tileserver.show(ee.FeatureCollection([]))
    with pytest.raises(InvalidRequest, match=r"'B9' did not match any bands"):
        tileserver.show(ee.Image(SCENE), bands="B9")


def test_an_asset_that_is_not_there_is_named(earth: str) -> None:
    initialize(earth, KEY)
    with pytest.raises(
        InvalidRequest, match=r"^projects/localhost/assets/no_such_asset: there is no such asset"
    ):
        tileserver.show("projects/localhost/assets/no_such_asset")


def test_without_ee_a_project_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILESERVER_EARTH_ENGINE__PROJECT", raising=False)
    with pytest.raises(ConfigError, match=r"ee\.Initialize\(project='my-project'\)"):
        tileserver.show("USGS/SRTMGL1_003")
