"""Legends on the page: the server's colours, drawn by the page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from playwright.sync_api import BrowserContext, Page, expect
from rasterio.transform import Affine

from tests.support.commands import serving
from tests.web.conftest import Demo, Visitor, link, middle

CONFIG = """
[[rasters]]
path = "."

[layers.cover]
asset = "projects/localhost/assets/cover"
title = "Land cover"
min = 1
max = 4
palette = ["1c6b2a", "e5d35a", "c0392b", "2a6fdb"]
class_names = ["Forest", "Crops", "Built <b>up</b>", "Water"]
"""


def test_classes_have_their_names_and_the_colours_of_the_tiles(
    context: BrowserContext, tmp_path: Path
) -> None:
    values = np.repeat(np.arange(1, 5, dtype=np.uint8), 16 * 64).reshape(1, 64, 64)
    options = {"width": 64, "height": 64, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    transform = Affine(1 / 64, 0, 10, 0, -1 / 64, 41)
    target = tmp_path / "cover.tif"
    with rasterio.open(target, "w", driver="GTiff", transform=transform, **options) as raster:
        raster.write(values)
    (tmp_path / "tileserver.toml").write_text(CONFIG)
    with serving("--config", "tileserver.toml", "--port", "0", cwd=tmp_path) as server:
        visitor = Visitor(context.new_page(), f"{server.url}/")
        visitor.watch()
        visitor.open("#map=9/40.5/10.5&l=cover")
        rows = visitor.page.locator(".legend li")
        expect(rows).to_have_text(["Forest", "Crops", "Built <b>up</b>", "Water"])
        swatches = visitor.page.locator(".legend .swatch").evaluate_all(
            "all => all.map(one => getComputedStyle(one).backgroundColor)"
        )
        assert swatches == [
            "rgb(28, 107, 42)",
            "rgb(229, 211, 90)",
            "rgb(192, 57, 43)",
            "rgb(42, 111, 219)",
        ]
        visitor.wait_for_tiles()
        painted = {tuple(int(v) for v in pixel) for pixel in visitor.picture(2, 180)[:, 0]}
        assert {(229, 211, 90), (192, 57, 43)} <= painted
        assert visitor.errors == []


@pytest.mark.parametrize("context", [{"color_scheme": "dark"}], indirect=True)
def test_a_legend_is_dark_on_a_dark_page(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(9, *middle(demo.scene), demo.scene["name"]))
    legend = visitor.row(demo.scene).locator(".legend")
    expect(legend.locator("dt")).to_have_text(["R", "G", "B"])
    text, ground = legend.evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(document.querySelector('#panel'))"
        ".backgroundColor].map(c => c.match(/[\\d.]+/g).slice(0, 3).map(Number))"
    )
    assert min(text) > 180
    assert max(ground) < 60


def evaluated(modules: Page, legend: dict[str, Any], style: dict[str, str]) -> Any:
    script = "async ([legend, style]) => (await import('./legend.js')).withRange(legend, style)"
    return modules.evaluate(script, [legend, style])


def test_a_range_moves_the_ends_of_a_legend_without_the_server(modules: Page) -> None:
    stops = [{"value": value, "color": "#000000"} for value in (0, 25, 100)]
    gradient = {"kind": "gradient", "min": 0, "max": 100, "stops": stops}
    moved = evaluated(modules, gradient, {"min": "-100", "max": "300"})
    assert (moved["min"], moved["max"]) == (-100, 300)
    assert [stop["value"] for stop in moved["stops"]] == [-100, 0, 300]
    channels = {"kind": "channels", "channels": [{"band": each} for each in "abc"]}
    moved = evaluated(modules, channels, {"min": "1,2,3", "max": "9"})
    assert [(each["min"], each["max"]) for each in moved["channels"]] == [(1, 9), (2, 9), (3, 9)]


@pytest.mark.parametrize(
    "style", [{}, {"min": "1"}, {"min": "1", "max": "2", "stretch": "minmax,log"}]
)
def test_what_only_the_server_knows_is_not_guessed(modules: Page, style: dict[str, str]) -> None:
    gradient = {"kind": "gradient", "min": 0, "max": 100, "stops": []}
    assert evaluated(modules, gradient, style) is None
    assert evaluated(modules, {"kind": "classes", "classes": []}, {"min": "1", "max": "2"}) is None


def test_a_legend_follows_the_style(visitor: Visitor, demo: Demo) -> None:
    name = demo.elevation["name"]
    visitor.open(link(9, *middle(demo.elevation), f"{name};s.min=0;s.max=1000"))
    ends = visitor.row(demo.elevation).locator(".legend .ends span")
    expect(ends).to_have_text(["0", "500", "1000"])
    fragment = link(9, *middle(demo.elevation), f"{name};s.min=0;s.max=400")
    before = len([url for url in visitor.requests if "/legend/" in url])
    visitor.page.evaluate(f"location.hash = {fragment!r}")
    expect(ends).to_have_text(["0", "200", "400"])
    assert len([url for url in visitor.requests if "/legend/" in url]) == before
