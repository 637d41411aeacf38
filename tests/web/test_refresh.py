"""The page follows the list of layers: files that come and go, and layers read meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from playwright.sync_api import BrowserContext, expect
from rasterio.transform import Affine

from tests.support.commands import serving
from tests.web.conftest import Visitor
from tests.web.test_page import answer_layers, layer_named

LATER_MS = 61_000
"""On the clock of the page, after which it has asked again."""


def write_raster(path: Path, west: float) -> None:
    """Write a raster of one degree from 40°N and `west` on, and move it into its place."""
    half = path.with_suffix(".part")
    options = {"width": 64, "height": 64, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    transform = Affine(1 / 64, 0, west, 0, -1 / 64, 41)
    with rasterio.open(half, "w", driver="GTiff", transform=transform, **options) as target:
        target.write(np.arange(64 * 64, dtype=np.uint8).reshape(1, 64, 64))
    half.rename(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    return scenes


@pytest.fixture
def follower(context: BrowserContext, folder: Path) -> Iterator[Visitor]:
    """A page, whose clock stands, over a server of a folder with one raster."""
    write_raster(folder / "first.tif", 10)
    with serving(str(folder), "--port", "0", cwd=folder) as server:
        page = context.new_page()
        page.clock.install()
        visitor = Visitor(page, f"{server.url}/")
        visitor.watch()
        yield visitor
        # Tiles of a file that is gone are not found until the page knows.
        assert [each for each in visitor.errors if "404" not in each] == []


def wait_for_order(visitor: Visitor, *names: str) -> None:
    """Let time pass on the page until the list has these layers."""
    for _ in range(60):
        visitor.page.clock.fast_forward(LATER_MS)
        if visitor.order() == list(names):
            return
        visitor.page.wait_for_timeout(200)
    assert visitor.order() == list(names)


def test_files_that_come_and_go_do_so_on_the_page(follower: Visitor, folder: Path) -> None:
    follower.open()
    follower.wait_until("location.hash.includes('map=')")
    view = follower.fragment()
    write_raster(folder / "second.tif", 12)
    wait_for_order(follower, "first", "second")
    switch = follower.row({"name": "second"}).get_by_role("switch")
    expect(switch).to_be_checked()
    # A map that somebody looks at stays where it is.
    assert follower.fragment().partition("&")[0] == view.partition("&")[0]
    (folder / "first.tif").unlink()
    wait_for_order(follower, "second")


def test_the_first_file_of_an_empty_folder_shows(follower: Visitor, folder: Path) -> None:
    follower.open()
    (folder / "first.tif").unlink()
    wait_for_order(follower)
    write_raster(folder / "late.tif", 20)
    wait_for_order(follower, "late")


def pages(*layers: dict[str, Any], **members: Any) -> dict[str, dict[str, Any]]:
    return {"": {"layers": list(layers), "next": None} | members}


def test_a_pending_layer_becomes_ready_by_itself(visitor: Visitor) -> None:
    visitor.page.clock.install()
    answer = pages(layer_named("slow", pending=True), layer_named("bad", pending=True))
    answer_layers(visitor, answer)
    visitor.open()
    pending = visitor.page.locator(".layer-title .pending")
    expect(pending).to_have_count(2)
    answer.update(
        pages(
            layer_named("slow", bounds=[10, 40, 11, 41]),
            errors=[{"name": "bad", "title": "bad", "reason": "it does not begin as a TIFF"}],
        )
    )
    visitor.page.clock.fast_forward(2_500)
    expect(pending).to_have_count(0)
    expect(visitor.page.locator(".not-shown summary")).to_have_text("1 layer cannot be shown")
    assert visitor.order() == ["slow"]
    # Nobody has moved the map: it goes where the layer is, now that this is known.
    visitor.page.clock.fast_forward(1_000)
    zoom, lat, lon = map(float, visitor.fragment().split("map=")[1].split("&")[0].split("/"))
    assert zoom > 7
    assert 40 < lat < 41
    assert 9 < lon < 12


def test_what_somebody_chose_stays_when_the_list_is_newer(visitor: Visitor) -> None:
    visitor.page.clock.install()
    answer = pages(layer_named("a"), layer_named("b"), layer_named("c"))
    answer_layers(visitor, answer)
    visitor.open()
    visitor.row({"name": "a"}).get_by_role("switch").uncheck(force=True)
    visitor.page.locator("li[data-name='c'] .grip").press("ArrowUp")
    assert visitor.order() == ["a", "c", "b"]
    answer.update(pages(layer_named("a", maxzoom=5), layer_named("n"), *answer[""]["layers"][1:]))
    visitor.page.clock.fast_forward(LATER_MS)
    expect(visitor.row({"name": "n"})).to_be_attached()
    assert visitor.order() == ["a", "n", "c", "b"]
    expect(visitor.row({"name": "a"}).get_by_role("switch")).not_to_be_checked()


def test_a_scan_covers_no_rasters_that_have_a_place(visitor: Visitor) -> None:
    scan = layer_named("scan", no_place="No place on Earth.", bounds=[-40, -40, 40, 40])
    answer_layers(visitor, pages(scan, layer_named("map", bounds=[-113, 40, -112, 41])))
    visitor.open()
    expect(visitor.row({"name": "scan"}).get_by_role("switch")).not_to_be_checked()
    visitor.wait_until("location.hash.includes('map=')")
    zoom, lat, lon = map(float, visitor.fragment().split("map=")[1].split("&")[0].split("/"))
    assert zoom > 7
    assert 40 < lat < 41
    assert -114 < lon < -111
