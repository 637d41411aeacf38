"""The drawer "Use elsewhere", used as a person would."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.support.commands import serving
from tests.support.pmtilesfiles import header_of
from tests.web.conftest import ROOT, Demo, Visitor, link, middle

SIZES = [
    {"viewport": {"width": 1440, "height": 900}},
    {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"},
]


@pytest.mark.parametrize("context", SIZES, indirect=True, ids=["wide", "phone"])
def test_addresses_and_code_follow_the_layer_as_it_is_shown(visitor: Visitor, demo: Demo) -> None:
    page, layer = visitor.page, demo.elevation
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.open(link(8, *middle(layer), f"{layer['name']};o=0.5;s.gamma=1.5"))
    if page.viewport_size == {"width": 390, "height": 844}:
        page.get_by_role("button", name="Layers", exact=False).first.click()
    row = visitor.row(layer)
    row.get_by_role("button", name=f"More about {layer['title']}").click()
    opener = row.get_by_role("button", name=f"Use elsewhere: {layer['title']}")
    opener.click()
    drawer = page.locator("#drawer")
    expect(drawer.get_by_role("heading", level=2)).to_have_text(f"Use elsewhere: {layer['title']}")
    address = drawer.get_by_label("XYZ", exact=True)
    expect(address).to_have_value(re.compile(r"/\{z\}/\{x\}/\{y\}\.png\?.*gamma=1.5.*opacity=0.5"))
    drawer.get_by_label("Code").first.select_option(label="folium")
    code = drawer.get_by_role("region", name="Code")
    expect(code).to_contain_text("import folium")
    expect(code).to_contain_text("opacity=0.5")
    drawer.get_by_role("button", name="Copy code").click()
    expect(page.locator("#messages")).to_contain_text("Code copied.")
    assert page.evaluate("navigator.clipboard.readText()") == code.text_content()
    href = drawer.get_by_role("link", name="QGIS layer (.qlr)").get_attribute("href") or ""
    with page.expect_download() as download:
        drawer.get_by_role("link", name="QGIS layer (.qlr)").click()
    assert download.value.suggested_filename == f"{layer['name']}.qlr"
    assert "gamma=1.5" in href
    drawer.get_by_label("Only the part in view").check()
    with page.expect_download() as download:
        drawer.get_by_role("link", name="Tiles in one file (.pmtiles)").click()
    body = Path(download.value.path()).read_bytes()
    header = header_of(body)
    assert abs(header["max_lon_e7"] - header["min_lon_e7"]) < 360e7
    assert "bbox=" in download.value.url
    # The description of GDAL is a file of its own.
    drawer.get_by_label("Code").first.select_option(label="GDAL")
    expect(drawer.get_by_role("link", name="Save as a file")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(opener).to_be_focused()
    assert visitor.errors == []


def test_the_key_of_the_page_goes_into_addresses_by_choice_alone(context: BrowserContext) -> None:
    key = "a-made-up-key-of-a-test"  # pragma: allowlist secret
    with serving("--port", "0", cwd=ROOT, environ={"TILESERVER_ACCESS__KEYS__ME": key}) as server:
        visitor = Visitor(context.new_page(), f"{server.url}/")
        visitor.watch()
        visitor.open(f"?key={key}")
        row = visitor.page.locator("li.layer").first
        row.get_by_role("button", name="More about").click()
        row.get_by_role("button", name="Use elsewhere").click()
        drawer = visitor.page.locator("#drawer")
        fields = drawer.locator("input[type=text]")
        expect(fields.first).to_be_visible()
        given = "values => values.map(each => each.value ?? each.href)"
        every = drawer.locator("input[type=text], a")
        assert "key=" not in " ".join(map(str, every.evaluate_all(given)))
        assert "key=" not in (drawer.locator("pre").text_content() or "")
        # The page's key opens them for the page itself, and files know nothing of it.
        for name in ("QGIS layer (.qlr)", "Tiles in one file (.pmtiles)"):
            with visitor.page.expect_download() as download:
                drawer.get_by_role("link", name=name).click()
            assert download.value.suggested_filename.endswith(name.split("(")[1].rstrip(")"))
            saved = Path(download.value.path()).read_bytes()
            assert len(saved) > 100
            assert key.encode() not in saved
        drawer.get_by_label("Put this page's API key into them").check()
        for each in fields.evaluate_all(given):
            assert f"key={key}" in each
        # What it is given with a key can be fetched.
        assert httpx.get(fields.evaluate_all(given)[2], timeout=60).status_code == 200
        visitor.page.close()
