"""Adding layers: by name, by path, by address, and by browsing the assets."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from playwright.sync_api import BrowserContext, Page, Route, expect
from rasterio.transform import Affine

from tests.support.commands import serving
from tests.web.conftest import Visitor

ASSETS = "projects/localhost/assets"
CONFIG = f"""
[[rasters]]
path = "scenes"

[layers.first]
asset = "{ASSETS}/first"
title = "The first"
"""


def write_raster(path: Path, west: float, value: int) -> None:
    """Write a grey raster of a degree from 40°N and `west` on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"width": 64, "height": 64, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    transform = Affine(1 / 64, 0, west, 0, -1 / 64, 41)
    with rasterio.open(path, "w", driver="GTiff", transform=transform, **options) as target:
        target.write(np.full((1, 64, 64), value, np.uint8))


@pytest.fixture(scope="module")
def shelf_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of one layer, and of assets in folders."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "tileserver.toml").write_text(CONFIG)
    write_raster(folder / "scenes/first.tif", 10, 40)
    for number in range(120):
        write_raster(folder / f"scenes/north/deep/scene {number:03}.tif", 20, 90)
    write_raster(folder / "scenes/south/deep/other.tif", 30, 200)
    with serving("--config", "tileserver.toml", "--port", "0", cwd=folder) as server:
        yield f"{server.url}/"


@pytest.fixture
def adder(context: BrowserContext, shelf_url: str) -> Iterator[Visitor]:
    """A page over that server."""
    visitor = Visitor(context.new_page(), shelf_url)
    visitor.watch()
    yield visitor
    assert visitor.outside == []
    # A name that no asset has is not found, and the console tells of it.
    assert [each for each in visitor.errors if "404" not in each] == []


def open_dialog(page: Page) -> Any:
    page.get_by_role("button", name="Add a layer").click()
    return page.get_by_role("dialog", name="Add a layer")


def test_an_asset_is_found_in_its_folder_shown_and_kept_in_the_link(adder: Visitor) -> None:
    adder.open()
    dialog = open_dialog(adder.page)
    # Of one folder there is no choice.
    expect(dialog.get_by_role("navigation")).to_contain_text(ASSETS)
    dialog.get_by_role("button", name="north").click()
    dialog.get_by_role("button", name="deep").click()
    expect(dialog.locator(".assets li")).to_have_count(100)
    dialog.get_by_role("button", name="Show more").click()
    expect(dialog.locator(".assets li")).to_have_count(120)
    expect(dialog.get_by_role("button", name="Show more")).to_be_hidden()
    dialog.get_by_role("button", name="Add scene 119").click()
    expect(dialog.get_by_role("status")).to_have_text("scene 119 was added.")
    adder.page.keyboard.press("Escape")
    name = f"{ASSETS}/north/deep/scene 119"
    assert adder.order() == [name, "first"]
    adder.wait_for_tiles()
    # The map went where it is: its grey is stretched to white or black, but it is there.
    assert adder.page.locator("img.leaflet-tile[src*='scene%20119']").count() > 0
    adder.wait_until("location.hash.includes('scene%20119')")
    fragment = adder.fragment()
    adder.open(fragment)
    # The asset is looked up after the list is there.
    expect(adder.row({"name": name})).to_have_count(1)
    assert adder.order() == [name, "first"]
    adder.wait_until(f"location.hash === '{fragment}'")
    adder.page.get_by_role("button", name="Undo", exact=True).focus()
    adder.row({"name": name}).get_by_role("button", name="More about").click()
    adder.row({"name": name}).get_by_role("button", name="Remove").click()
    assert adder.order() == ["first"]


def test_a_search_goes_through_all_folders(adder: Visitor) -> None:
    adder.open()
    dialog = open_dialog(adder.page)
    field = dialog.get_by_role("searchbox")
    expect(dialog.get_by_role("button", name="south")).to_be_visible()
    field.fill("south OTHER")
    expect(dialog.locator(".assets li")).to_have_count(1)
    expect(dialog.locator(".assets li")).to_contain_text(f"{ASSETS}/south/deep/other")
    field.fill("first")
    expect(dialog.locator(".assets li")).to_have_count(2)
    expect(dialog.locator(".assets li").first).to_contain_text("The first")
    field.fill("<i>nothing</i>")
    expect(dialog.get_by_role("status")).to_contain_text("Nothing here has “<i>nothing</i>”")


@pytest.mark.parametrize(
    ("text", "name", "query"),
    [
        (f"{ASSETS}/south/deep/other", f"{ASSETS}/south/deep/other", ""),
        ("./south/deep/other.tif", f"{ASSETS}/south/deep/other", ""),
        ("deep/other", f"{ASSETS}/south/deep/other", ""),
        ("URLtiles/first/{z}/{x}/{y}.png?v=old&max=90", "first~2", "max=90"),
        ("tilejson/first.json?palette=viridis", "first~2", "palette=viridis"),
    ],
)
def test_a_name_a_path_or_an_address_is_added(
    adder: Visitor, text: str, name: str, query: str
) -> None:
    adder.open()
    dialog = open_dialog(adder.page)
    dialog.get_by_role("searchbox").fill(text.replace("URL", adder.server_url))
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_role("status")).to_contain_text("was added.")
    assert adder.order() == [name, "first"]
    if query:
        adder.wait_until(f"location.hash.includes('s.{query}')")
        adder.wait_until(f"document.querySelector('img.leaflet-tile[src*=\"{query}\"]') !== null")
        assert not [url for url in adder.requests if "v=old" in url]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://elsewhere.invalid/tiles/a/{z}/{x}/{y}.png", "elsewhere.invalid"),
        ("no/such/asset", "no/such/asset"),
        ("scene.tif", "No asset that may be read ends with scene."),
        ("URLstatistics/first", "That is not an address of tiles"),
    ],
)
def test_what_cannot_be_added_is_told(adder: Visitor, text: str, reason: str) -> None:
    adder.open()
    dialog = open_dialog(adder.page)
    dialog.get_by_role("searchbox").fill(text.replace("URL", adder.server_url))
    adder.page.keyboard.press("Enter")
    expect(dialog.locator(".add-news.wrong")).to_contain_text(reason)
    assert adder.order() == ["first"]


def test_a_list_that_comes_late_leaves_the_reason(adder: Visitor) -> None:
    held: list[Route] = []
    adder.page.route(re.compile(r"/assets(\?parent=)?[^?]*$"), lambda route: held.append(route))
    adder.open()
    dialog = open_dialog(adder.page)
    dialog.get_by_role("searchbox").fill("scene.tif")
    adder.page.keyboard.press("Enter")
    reason = dialog.locator(".add-news.wrong")
    expect(reason).to_contain_text("No asset that may be read ends with scene.")
    assert len(held) == 1
    held[0].continue_()
    # The one folder is entered, and searched.
    expect(dialog.get_by_role("navigation")).to_contain_text(ASSETS)
    expect(dialog.get_by_role("list")).to_have_attribute("aria-busy", "false")
    expect(reason).to_contain_text("No asset that may be read ends with scene.")


def test_a_closed_catalogue_still_lets_layers_be_added(adder: Visitor) -> None:
    error = {"error": {"status": 403, "message": "/v1 is closed."}}
    adder.page.route("**/assets?*", lambda route: route.fulfill(status=403, json=error))
    adder.open()
    dialog = open_dialog(adder.page)
    dialog.get_by_role("searchbox").fill("first")
    expect(dialog.locator(".assets li")).to_have_count(1)
    expect(dialog.get_by_role("status")).to_have_text("/v1 is closed.")
    dialog.get_by_role("button", name="Add The first").click()
    expect(dialog.get_by_role("status")).to_have_text("The first was added.")
    adder.errors.clear()


def test_on_a_server_without_layers_assets_are_added_and_kept_in_the_link(
    adder: Visitor,
) -> None:
    none: dict[str, Any] = {"layers": [], "next": None}
    adder.page.route("**/layers", lambda route: route.fulfill(json=none))
    adder.page.goto(adder.server_url)
    expect(adder.page.locator("#panel")).to_contain_text("This server has no layers yet.")
    dialog = open_dialog(adder.page)
    dialog.get_by_role("button", name="Add first").click()
    expect(dialog.get_by_role("status")).to_have_text("first was added.")
    adder.page.keyboard.press("Escape")
    assert adder.order() == [f"{ASSETS}/first"]
    adder.wait_for_tiles()
    adder.wait_until("location.hash.includes('/first')")
    adder.open(adder.fragment())
    assert adder.order() == [f"{ASSETS}/first"]
