"""The official client and GDAL with an API key of the server's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import ee as official
import google.oauth2.credentials
import httpx
import pytest
from google.auth.credentials import AnonymousCredentials

from tests.rest.conftest import LOCAL, Served, config_of
from tests.support.serving import serve
from tileserver.config.config import Access
from tileserver.server.app import create_app

KEY = "a-key+of/the=notebook"
SCENE = f"{LOCAL}/scene"


@pytest.fixture(scope="module")
def keyed(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the rasters to holders of a key."""
    access = Access(keys=(("notebook", KEY),))
    config = replace(config_of(served.folder, tmp_path_factory.mktemp("graphs")), access=access)
    with serve(create_app(config)) as url:
        yield url


def token(text: str) -> Any:
    return google.oauth2.credentials.Credentials(text)  # type: ignore[no-untyped-call]


def anonymous() -> Any:
    return AnonymousCredentials()  # type: ignore[no-untyped-call]


WAYS: dict[str, Callable[[], tuple[Any, str | None]]] = {
    "cloud_api_key": lambda: (None, KEY),
    "cloud_api_key of nobody": lambda: (anonymous(), KEY),
    "cloud_api_key beside a token of Google's": lambda: (token("ya29.of-google"), KEY),
    "the key as a token": lambda: (token(KEY), None),
}


@pytest.fixture(params=WAYS)
def ee(keyed: str, request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    credentials, api_key = WAYS[request.param]()
    official.Initialize(credentials, url=keyed, project="localhost", cloud_api_key=api_key)
    yield official
    official.Reset()


def test_the_official_client_reads_and_computes_with_a_key(ee: ModuleType) -> None:
    assert ee.data.getAsset(SCENE)["id"] == SCENE
    assert ee.Number(1).add(2).getInfo() == 3
    pixels = ee.data.getPixels({"assetId": SCENE, "fileFormat": "NPY"})
    assert len(pixels) > 1000
    listed = ee.data.listImages({"parent": f"{LOCAL}/series", "filter": "CLOUD < 15"})
    assert len(listed["images"]) == 1


def test_a_query_too_long_for_a_url_carries_the_key_in_the_body(ee: ModuleType) -> None:
    """Google's client makes a POST of it."""
    test = " OR ".join(f"CLOUD = {number}" for number in range(10, 400))
    listed = ee.data.listImages({"parent": f"{LOCAL}/series", "filter": test})
    assert len(listed["images"]) == 4


def test_urls_of_tiles_and_thumbnails_work_with_a_key_for_the_client(
    keyed: str,
) -> None:
    official.Initialize(None, url=keyed, project="localhost", cloud_api_key=KEY)
    try:
        image = official.Image(SCENE).select(0).visualize(min=0, max=60_000)
        tiles = image.getMapId()["tile_fetcher"]
        # It puts the key into the URL as it is.
        for url in (tiles.format_tile_url(0, 0, 0), image.getThumbURL({"dimensions": 16})):
            without, _, key = url.partition("?key=")
            assert key == KEY
            assert httpx.get(without, timeout=60).status_code == 401
            assert httpx.get(without, params={"key": key}, timeout=60).status_code == 200
    finally:
        official.Reset()


@pytest.mark.parametrize("credentials", [None, token("ya29.of-google")])
def test_the_official_client_hears_that_a_key_is_missing(keyed: str, credentials: Any) -> None:
    with pytest.raises(Exception, match=r"API key|refresh"):
        # pragma: allowlist nextline secret
        official.Initialize(credentials, url=keyed, project="localhost", cloud_api_key="wrong")
    official.Reset()


@pytest.mark.parametrize(
    "how",
    [
        {"EEDA_BEARER": KEY},
        {"EEDA_BEARER": "none", "GDAL_HTTP_HEADERS": f"X-API-Key: {KEY}"},
    ],
)
def test_gdal_reads_with_a_key(keyed: str, how: dict[str, str]) -> None:
    environ = {**os.environ, "EEDA_URL": f"{keyed}/v1/", **how}
    command = ["gdalinfo", f"EEDAI:{SCENE}"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Size is 700, 600" in done.stdout


WINDOW = "".join(
    f"<{name}>{value}</{name}>"
    for name, value in {
        "UpperLeftX": -20037508.34,
        "UpperLeftY": 20037508.34,
        "LowerRightX": 20037508.34,
        "LowerRightY": -20037508.34,
        "TileLevel": 0,
        "TileCountX": 1,
        "TileCountY": 1,
        "YOrigin": "top",
    }.items()
)


@pytest.mark.parametrize(("password", "code"), [(KEY, 0), ("wrong", 1)])
def test_gdal_reads_tiles_with_a_key_as_password(
    keyed: str, tmp_path: Path, password: str, code: int
) -> None:
    url = f"{keyed}/tiles/scene/${{z}}/${{x}}/${{y}}.png"
    service = tmp_path / "tiles.xml"
    service.write_text(
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}</ServerUrl></Service>'
        f"<DataWindow>{WINDOW}</DataWindow><Projection>EPSG:3857</Projection>"
        f"<BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>4</BandsCount>"
        f"<UserPwd>me:{password}</UserPwd></GDAL_WMS>"
    )
    command = ["gdal_translate", "-of", "PNG", str(service), str(tmp_path / "out.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
