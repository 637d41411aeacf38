"""The map in one file: opened without a network it looks as the live map, and knows the values."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.web.conftest import Demo, Visitor, link, middle

ZOOM = 11
WIDTH, HEIGHT = 1024, 640


@pytest.mark.parametrize("name", ["scene", "elevation"])
def test_a_file_opened_offline_is_the_live_map_pixel_by_pixel(
    visitor: Visitor, browser: Browser, demo: Demo, tmp_path: Path, name: str
) -> None:
    layer = getattr(demo, name)
    lat, lon = middle(layer)
    style = {"gamma": "1.3"}
    visitor.open(link(ZOOM, lat, lon, f"{layer['name']};s.gamma=1.3"))
    visitor.wait_for_tiles()
    live = visitor.picture(200, 200).astype(int)

    url = f"{visitor.server_url}export/{layer['name']}.html"
    body = httpx.get(url, params=style, timeout=100).raise_for_status().content
    assert len(body) <= 5_000_000
    path = tmp_path / "map.html"
    path.write_bytes(body)
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce", offline=True
    )
    alone = Visitor(context.new_page(), path.as_uri())
    alone.watch()
    alone.page.goto(f"{path.as_uri()}#map={ZOOM}/{lat}/{lon}")
    alone.wait_for_tiles()
    found = alone.picture(200, 200).astype(int)
    assert len(np.unique(live)) > 50
    assert np.abs(found - live).max() <= 1

    alone.page.mouse.click(WIDTH // 2, HEIGHT // 2)
    values = alone.page.locator("#values")
    expect(values).to_be_visible()
    shown = [float(each.split()[0]) for each in values.locator("dd").all_text_contents()]
    at_lat, at_lon = map(float, (values.locator("p").first.text_content() or "").split(","))
    about = json.loads(alone.page.locator("#about").text_content() or "")
    # Of a large layer the last zooms do not fit in, and the values are those of an overview.
    zoom = about["maxzoom"]
    assert layer["maxzoom"] - 1 <= zoom <= layer["maxzoom"]
    expect(values).to_contain_text("overview" if zoom < layer["maxzoom"] else "")
    expected = values_at(visitor.server_url, layer, zoom, at_lat, at_lon)
    np.testing.assert_allclose(shown, expected, rtol=1e-6)
    # By the keyboard, in the middle.
    alone.page.evaluate("document.getElementById('values').hidden = true")
    alone.page.locator("#map").focus()
    alone.page.keyboard.press("Enter")
    expect(values).to_be_visible()
    assert alone.errors == []
    assert alone.outside == []
    context.close()


def values_at(url: str, layer: dict[str, object], zoom: int, lat: float, lon: float) -> list[float]:
    """Return the values of the layer's bands in a tile."""
    side = 256 * 2**zoom
    # The click fell on the edge of a pixel, and the place is rounded to a twentieth of one.
    x = (lon + 180) / 360 * side + 0.06
    y = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * side + 0.06
    tile = f"{zoom}/{int(x) // 256}/{int(y) // 256}"
    answer = httpx.get(f"{url}tiles/{layer['name']}/{tile}.npy", timeout=60).raise_for_status()
    style = layer["style"]
    assert isinstance(style, dict)
    pixel = np.load(io.BytesIO(answer.content))[int(y) % 256, int(x) % 256]
    return [float(pixel[band]) for band in style["bands"]]
