"""Assets to choose from: pages of folders, words, and what may not be read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rest.conftest import LOCAL, PUBLIC, config_of
from tests.support.serving import serve
from tileserver.config.config import AccessSettings, EarthEngineSettings
from tileserver.contract.names import Access
from tileserver.errors import AssetNotFound
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.folders import Tree
from tileserver.rasters.roots import Root
from tileserver.rest.asset_metadata import LocalAssets
from tileserver.rest.browsing import MAX_TEXT, Browser
from tileserver.server.browsing import browser_of


def listed(client: httpx.Client, **parameters: str | int) -> list[tuple[str, str, bool]]:
    """Return type, name and `drawn` of all assets, from all pages."""
    found: list[tuple[str, str, bool]] = []
    url: str | None = str(httpx.URL("/assets", params=parameters))
    while url is not None:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        assert len(page["assets"]) <= int(parameters.get("limit", 100))
        found += [(each["type"], each["name"], each["drawn"]) for each in page["assets"]]
        url = page["next"]
    return found


def test_one_begins_with_the_roots_and_goes_down_to_images(client: httpx.Client) -> None:
    assert listed(client) == [
        ("FOLDER", "projects/demo/assets", False),
        ("FOLDER", PUBLIC, False),
        ("FOLDER", LOCAL, False),
    ]
    below = listed(client, parent=LOCAL)
    assert ("FOLDER", f"{LOCAL}/folder", False) in below
    assert ("IMAGE_COLLECTION", f"{LOCAL}/series", False) in below
    assert ("IMAGE", f"{LOCAL}/scene", True) in below
    # The names of Earth Engine's own assets are short, as its users know them.
    short = [name for _, name, _ in listed(client, parent="COPERNICUS/S2")]
    assert short == ["COPERNICUS/S2/20200401T184919_x", "COPERNICUS/S2/20200501T184919_x"]


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_pages_of_any_length_hold_the_same(client: httpx.Client, limit: int) -> None:
    assert listed(client, parent=LOCAL, limit=limit) == listed(client, parent=LOCAL)
    assert listed(client, q="e", limit=limit) == listed(client, q="e")


def test_words_are_searched_at_any_depth_in_upper_or_lower_case(client: httpx.Client) -> None:
    assert listed(client, q="INNER Folder") == [("IMAGE", f"{LOCAL}/folder/inner", True)]
    months = [name for _, name, _ in listed(client, q="series", parent=LOCAL)]
    assert months == [f"{LOCAL}/series/m{month}" for month in range(1, 5)]
    assert listed(client, q="series", parent=f"{LOCAL}/folder") == []
    assert listed(client, q="no-such-thing") == []
    assert listed(client, q="localhost") == []


def test_what_is_listed_as_drawn_has_tiles(client: httpx.Client) -> None:
    for _, name, _ in listed(client, q="m1"):
        assert client.get(f"/tiles/{name}/0/0/0.png").status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("limit=0", 400, "limit"),
        ("limit=1001", 400, "limit"),
        ("parent=", 400, "parent"),
        ("sort=name", 400, "sort"),
        (f"q={'x' * (MAX_TEXT + 1)}", 400, "q: "),
        (f"parent={LOCAL}/nowhere", 404, "nowhere"),
        ("parent=a//b", 404, "a//b"),
    ],
)
def test_a_bad_query_is_refused_by_name(
    client: httpx.Client, query: str, status: int, named: str
) -> None:
    answer = client.get(f"/assets?{query}")
    assert answer.status_code == status
    assert named in answer.json()["error"]["message"]


def test_ten_thousand_names_come_in_pages_and_are_searched(tmp_path: Path) -> None:
    class Many(Tree):
        """A tree whose names need no files."""

        def children(self, name: str) -> list[Any]:
            return [f"{LOCAL}/scene-{number:05}" for number in range(10_000)]

    local = LocalAssets(Many(Catalogue([Root(str(tmp_path))])), lambda name: True)
    browser = browser_of(None, [f"{LOCAL}/"], local, [("", local)])
    first = browser._below([LOCAL], ["scene-0", "77"], "", 50)
    assert len(first.assets) == 50
    assert first.after is not None
    rest = browser._below([LOCAL], ["scene-0", "77"], first.after, 1000)
    names = [each["name"] for each in [*first.assets, *rest.assets]]
    every = (f"{LOCAL}/scene-{number:05}" for number in range(10_000))
    assert names == [name for name in every if "scene-0" in name and "77" in name]


@pytest.fixture
def guarded(folder: Path, graphs: Path) -> Iterator[httpx.Client]:
    """Ask a server of which one image in a folder may be read."""
    access = AccessSettings(assets=(f"{LOCAL}/folder/*",))
    with (
        serve(create(folder, graphs, access)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def create(folder: Path, graphs: Path, access: AccessSettings) -> Any:
    from tileserver.server.app import create_app

    return create_app(replace(config_of(folder, graphs), access=access))


def test_what_may_not_be_read_is_not_listed(guarded: httpx.Client) -> None:
    assert listed(guarded) == [("FOLDER", LOCAL, False)]
    assert listed(guarded, parent=LOCAL) == [("FOLDER", f"{LOCAL}/folder", False)]
    assert listed(guarded, q="e") == [("IMAGE", f"{LOCAL}/folder/inner", True)]
    assert guarded.get("/assets", params={"parent": f"{LOCAL}/series"}).status_code == 404


def test_pages_of_other_origins_and_other_machines_are_refused(
    guarded: httpx.Client,
) -> None:
    foreign = {"origin": "http://elsewhere.test", "sec-fetch-site": "cross-site"}
    assert guarded.get("/assets", headers=foreign).status_code == 403
    forwarded = guarded.get("/assets", headers={"x-forwarded-for": "203.0.113.7"})
    assert forwarded.status_code == 403
    assert "/assets" in forwarded.json()["error"]["message"]


def test_earth_engine_s_folders_are_listed_by_earth_engine(tmp_path: Path) -> None:
    class Remote:
        """Earth Engine's lists; notes the queries."""

        queries: tuple[dict[str, str], ...] = ()

        async def list_assets(self, parent: str, page: object, query: dict[str, str]) -> Any:
            self.queries += (query,)
            if parent.endswith("/secret"):
                raise AssetNotFound(parent)
            assets = [
                {"type": "IMAGE_COLLECTION", "name": f"{PUBLIC}/COPERNICUS/S2"},
                {"type": "IMAGE", "name": f"{PUBLIC}/USGS/SRTMGL1_003"},
                {"type": "TABLE", "name": f"{PUBLIC}/TIGER/2018/States"},
            ]
            return {"assets": assets, "nextPageToken": "more"}

    local = LocalAssets(Tree(Catalogue([Root(str(tmp_path))])), Access().may_read)
    remote: Any = Remote()
    earth = EarthEngineSettings(project="my-project")
    mounts = [(f"{LOCAL}/", local), ("", remote)]
    browser: Browser = browser_of(earth, [f"{LOCAL}/"], local, mounts)
    first = asyncio.run(browser.page("", "", "", 10))
    # The local folder is empty.
    assert [each["name"] for each in first.assets] == [PUBLIC, "projects/my-project/assets"]
    page = asyncio.run(browser.page(PUBLIC, "srtm", "token", 10))
    assert page.assets == [
        {"type": "IMAGE", "name": "USGS/SRTMGL1_003", "title": "SRTMGL1_003", "drawn": True}
    ]
    assert page.after == "more"
    assert remote.queries == ({"pageSize": "10", "view": "BASIC", "pageToken": "token"},)
    with pytest.raises(AssetNotFound):
        asyncio.run(browser.page(f"{PUBLIC}/secret", "", "", 10))
