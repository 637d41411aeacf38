"""The meter of tiles, and the sheet with their addresses and what each took."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import ROOT as ROOT_FOLDER
from tests.web.conftest import Demo, Visitor, link, middle
from tests.web.test_page import answer_layers, layer_named
from tests.web.test_recovery import expect_words

ROOT = "https://a.example.org/prefix/"
TIMING = {
    "name": f"{ROOT}tiles/projects/a%20b/3/4/5@2x.png?v=1",
    "duration": 12.4,
    "encodedBodySize": 900,
    "transferSize": 1200,
    "responseStatus": 200,
    "serverTiming": [
        {"name": "pixels", "duration": 3, "description": ""},
        {"name": "cache", "duration": 0, "description": "miss"},
        {"name": "upstream", "duration": 0, "description": "2"},
    ],
}
TILE = {
    "layer": "projects/a b",
    "tile": "3/4/5",
    "status": 200,
    "ms": 12,
    "bytes": 900,
    "cache": "miss",
    "upstream": 2,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, TILE),
        ({"transferSize": 0}, TILE | {"cache": "browser", "upstream": 0}),
        ({"serverTiming": []}, TILE | {"cache": "", "upstream": 0}),
        ({"name": f"{ROOT}legend/a.svg"}, None),
        ({"name": "https://b.example.org/tiles/a/1/2/3.png"}, None),
    ],
)
def test_a_tile_is_measured_by_what_the_browser_noted(
    modules: Page, changes: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    script = """async ([timing, root]) =>
        (await import('./measures.js')).measured(timing, root)"""
    assert modules.evaluate(script, [TIMING | changes, ROOT]) == expected


def test_requests_that_earth_engine_was_spared_are_counted(modules: Page) -> None:
    script = """async tile => {
        const {Measures, meterText} = await import('./measures.js');
        const measures = new Measures();
        const add = changes => measures.add({...tile, ...changes});
        const texts = [meterText(measures.totals)];
        add({});
        texts.push(meterText(measures.totals));
        add({tile: '3/4/6', upstream: 0});
        add({cache: 'hit', upstream: 0});
        add({cache: 'browser', upstream: 0});
        add({cache: 'outside', upstream: 0});
        add({layer: 'local', cache: 'hit', upstream: 0});
        add({status: 503, cache: '', upstream: 0});
        texts.push(meterText(measures.totals));
        return [texts, measures.find('projects/a b', {z: 5, x: 16, y: 20}).tile,
            measures.find('none', {z: 5, x: 16, y: 20})];
    }"""
    assert modules.evaluate(script, TILE) == [
        [
            "no tiles yet",
            "1 tile · 0 % cached · 2 Earth Engine requests, 0 saved",
            "7 tiles · 57 % cached · 1 failed · 2 Earth Engine requests, 3 saved",
        ],
        "3/4/5",
        None,
    ]


@pytest.mark.parametrize("context", [{"viewport": {"width": 1440, "height": 900}}], indirect=True)
def test_the_sheet_shows_address_status_time_bytes_and_cache(visitor: Visitor, demo: Demo) -> None:
    page = visitor.page
    visitor.open(link(12, *middle(demo.scene), demo.scene["name"]))
    visitor.wait_for_tiles()
    meter = page.locator(".meter")
    expect(meter).to_have_text(re.compile(r"^\d+ tiles · \d+ % cached$"))
    page.keyboard.press("z")
    tiles = {
        "/".join(url.partition("?")[0].removesuffix(".png").split("/")[-3:])
        for url in visitor.requests
        if "/tiles/" in url
    }
    sheets = page.locator(".tile-address-sheet")
    name = re.escape(demo.scene["name"])
    line = rf"{name}: 200 · \d+ ms · [\d.]+ k?B · (hit|miss|outside)"
    expect(sheets.filter(has_text=re.compile(line))).not_to_have_count(0)
    addresses = page.locator(".tile-address-sheet strong").all_inner_texts()
    assert tiles & set(addresses)
    assert all(re.fullmatch(r"12/\d+/\d+", address) for address in addresses)
    expect_words(visitor)
    # A new view is measured, too, and its tiles count.
    before = meter.inner_text()
    page.evaluate(f"location.hash = {link(11, *middle(demo.scene), demo.scene['name'])!r}")
    expect(meter).not_to_have_text(before)
    button = page.get_by_role("button", name="Addresses of tiles")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(sheets).to_have_count(0)
    assert visitor.errors == []


def test_a_row_tells_native_pixels_and_how_far_they_are_magnified(
    visitor: Visitor, demo: Demo
) -> None:
    visitor.open(link(12, *middle(demo.scene), demo.scene["name"]))
    row = visitor.row(demo.scene)
    expect(row.locator(".hint")).to_be_hidden()
    row.get_by_role("button", name="More about").click()
    expect(row.locator(".pixels")).to_have_text("Native pixel 30 m = zoom 12.")
    visitor.page.evaluate(f"location.hash = {link(15, *middle(demo.scene), demo.scene['name'])!r}")
    expect(row.locator(".hint")).to_have_text("Its pixels are magnified 8 times.")


def test_layers_of_earth_engine_are_known_before_it_is_asked(visitor: Visitor) -> None:
    layers = [
        layer_named("far", asset="COPERNICUS/S2/1", visible=True),
        layer_named("near", asset="projects/localhost/assets/near", visible=True),
    ]
    answer_layers(visitor, {"": {"layers": layers, "next": None}})
    settings: dict[str, Any] = {"world": None, "base_maps": [], "geocoder": None}
    settings["local"] = ["projects/localhost/assets"]
    visitor.page.route("**/page.json", lambda route: route.fulfill(json=settings))
    png = (ROOT_FOLDER / "web" / "vendor" / "leaflet" / "images" / "layers.png").read_bytes()
    headers = {"Server-Timing": "pixels;dur=0.1, cache;desc=hit"}
    visitor.page.route(
        "**/tiles/**",
        lambda route: route.fulfill(body=png, content_type="image/png", headers=headers),
    )
    visitor.open("#map=3/0/0")
    visitor.wait_for_tiles()
    asked = [url for url in visitor.requests if "/tiles/far/" in url]
    meter = visitor.page.locator(".meter")
    expect(meter).to_contain_text(f"0 Earth Engine requests, {len(asked)} saved")
