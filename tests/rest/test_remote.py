"""Assets of Earth Engine itself through the API: what may be read, and nothing with their token."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest

from tests.rest.test_router import check_error
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.support.standin import PREFIX, StandIn
from tests.support.standin_tokens import TokenServer, bearer
from tileserver.config.config import Access, ApiSettings, Config, EarthEngineSettings, RasterFolder
from tileserver.server.app import create_app

pytestmark = pytest.mark.slow  # Waits for servers that are slow or away.

SCENE = f"{PREFIX}/scene"
DEEP = ["inner", "later"]
NPY = {"fileFormat": "NPY", "grid": {"dimensions": {"width": 5, "height": 4}}}
THEIRS = {"authorization": "Bearer of-the-client", "x-goog-user-project": "theirs"}


class Behind(NamedTuple):
    """Our server, and Earth Engine's stand-in behind it."""

    client: httpx.Client
    engine: StandIn


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("remote")
    (path / "deep").mkdir()
    for name in ("scene", "other", "deep/inner", "deep/later"):
        write_raster(path / f"{name}.tif", noise(1, 100, 100), overviews=())
    return path


@pytest.fixture(params=[None, (f"{PREFIX}/scene", f"{PREFIX}/deep/**")])
def allowed(request: pytest.FixtureRequest) -> tuple[str, ...] | None:
    patterns: tuple[str, ...] | None = request.param
    return patterns


@pytest.fixture
def behind(
    rasters: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    allowed: tuple[str, ...] | None,
) -> Iterator[Behind]:
    (tmp_path / "mine").mkdir()
    write_raster(tmp_path / "mine/own.tif", noise(1, 50, 50), overviews=())
    with TokenServer() as tokens, StandIn(rasters, accepts=tokens.accepts) as engine:
        key = tokens.write_service_account(tmp_path / "key.json")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        config = Config(
            rasters=(RasterFolder(str(tmp_path / "mine")),),
            earth_engine=EarthEngineSettings("my-project", engine.url),
            access=Access(allowed),
            api=ApiSettings(graphs=str(tmp_path / "graphs")),
        )
        if allowed is not None:
            config = replace(config, access=Access((*allowed, "projects/localhost/assets/**")))
        with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=30) as client:
            yield Behind(client, engine)


def test_pixels_and_metadata_are_those_of_earth_engine(behind: Behind, rasters: Path) -> None:
    asset = behind.client.get(f"/v1/{SCENE}", headers=THEIRS).json()
    assert (asset["type"], asset["name"]) == ("IMAGE", SCENE)
    answer = behind.client.post(f"/v1/{SCENE}:getPixels", json=NPY, headers=THEIRS)
    assert answer.status_code == 200, answer.text
    assert np.load(io.BytesIO(answer.content)).shape == (4, 5)
    asked = behind.engine.count("getPixels")
    assert behind.client.post(f"/v1/{SCENE}:getPixels", json=NPY).content == answer.content
    assert behind.engine.count("getPixels") == asked == 1


def test_the_client_s_own_token_and_key_go_nowhere(behind: Behind) -> None:
    behind.client.get(f"/v1/{SCENE}?key=of-the-client&access_token=theirs", headers=THEIRS)
    behind.client.post(f"/v1/{SCENE}:getPixels?key=of-the-client", json=NPY, headers=THEIRS)
    behind.client.get(f"/v1/{PREFIX}/deep:listAssets?key=of-the-client", headers=THEIRS)
    assert len(behind.engine.seen) >= 3
    for asked in behind.engine.seen:
        assert "of-the-client" not in bearer(asked)
        assert "key" not in asked.query
        assert asked.headers["x-goog-user-project"] == "my-project"


@pytest.mark.parametrize("allowed", [(f"{PREFIX}/scene", f"{PREFIX}/deep/**")], indirect=True)
def test_what_may_not_be_read_is_not_asked_for(behind: Behind) -> None:
    client = behind.client
    for name in (f"{PREFIX}/other", "projects/another-one/assets/x", "COPERNICUS/S2/x"):
        check_error(client.get(f"/v1/{name}"), 404, "NOT_FOUND", "not found")
        check_error(client.post(f"/v1/{name}:getPixels", json=NPY), 404, "NOT_FOUND")
    check_error(client.get("/v1/projects/another-one/assets/x:listAssets"), 404, "NOT_FOUND")
    assert client.get("/v1/projects/another-one:listAssets").json() == {}
    assert behind.engine.seen == []


@pytest.mark.parametrize(
    "region",
    ['{"type": "Point", "coordinates": [1, 2]}', "{'type': 'Point', 'coordinates': [1, 2]}"],
)
def test_lists_of_earth_engine_hold_what_may_be_read(
    behind: Behind, allowed: tuple[str, ...] | None, region: str
) -> None:
    # What holds what may be read is listed only if a pattern allows all that is in it.
    for parent, all_names in ((PREFIX, ["deep", "other", "scene"]), (f"{PREFIX}/deep", DEEP)):
        page = behind.client.get(f"/v1/{parent}:listAssets").json()
        names = [each["name"].removeprefix(f"{parent}/") for each in page.get("assets", [])]
        assert names == ([] if allowed and parent == PREFIX else all_names)
    images = behind.client.get(
        f"/v1alpha/{PREFIX}/deep:listImages",
        params={
            "filter": "(CLOUD < 5)",
            "startTime": "2020-01-01T00:00:00Z",
            "region": region,
            "pageSize": 1,
        },
    ).json()
    assert [each["name"] for each in images["images"]] == [f"{PREFIX}/deep/inner"]
    assert behind.engine.seen[-1].query == {
        "pageSize": "1",
        "filter": 'startTime >= "2020-01-01T00:00:00Z" AND '
        "intersects(\"{'type': 'Point', 'coordinates': [1, 2]}\") AND "
        "(( properties.CLOUD < 5 ))",
    }


def test_pages_of_earth_engine_follow_each_other(behind: Behind) -> None:
    first = behind.client.get(f"/v1/{PREFIX}/deep:listAssets?pageSize=1&view=BASIC").json()
    query = {"pageSize": "1", "pageToken": first["nextPageToken"]}
    second = behind.client.get(f"/v1/{PREFIX}/deep:listAssets", params=query).json()
    found = [each["name"] for page in (first, second) for each in page["assets"]]
    assert found == [f"{PREFIX}/deep/inner", f"{PREFIX}/deep/later"]
    assert "nextPageToken" not in second


def test_local_assets_are_answered_without_earth_engine(behind: Behind) -> None:
    client = behind.client
    own = "projects/localhost/assets/own"
    assert client.get(f"/v1/{own}").json()["name"] == own
    assert client.post(f"/v1/{own}:getPixels", json=NPY).status_code == 200
    assert len(client.get("/v1/projects/localhost:listAssets").json()["assets"]) == 1
    check_error(client.get(f"/v1/{own}x"), 404, "NOT_FOUND")
    assert behind.engine.seen == []


def test_its_refusals_are_passed_on_in_words(behind: Behind) -> None:
    asked = {**NPY, "bandIds": ["B9"]}
    answer = behind.client.post(f"/v1/{SCENE}:getPixels", json=asked)
    check_error(answer, 400, "INVALID_ARGUMENT", "B9")
    check_error(behind.client.get(f"/v1/{PREFIX}/deep/none"), 404, "NOT_FOUND", "none")


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ("unauthenticated", 403, "PERMISSION_DENIED"),
        ("out_of_memory", 400, "INVALID_ARGUMENT"),
        ("rate_limited_hour", 503, "UNAVAILABLE"),
        ("status_502", 502, "UNAVAILABLE"),
    ],
)
def test_its_failures_are_never_a_401_nor_anything_without_shape(
    behind: Behind, fault: str, code: int, status: str
) -> None:
    behind.engine.inject(fault, times=None)
    answer = behind.client.get(f"/v1/{SCENE}")
    check_error(answer, code, status)
    assert ("retry-after" in answer.headers) == (code == 503)
