"""What the page shows first, and where one is: land under the layers, layers elsewhere."""

import json
import time
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.waiting import PATIENCE_S
from tests.web.conftest import ROOT, Demo, Visitor, fetch_json, link
from tests.web.test_page import answer_layers, layer_named

DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WATER = {"light": (228, 234, 238), "dark": (13, 20, 25)}
LAND = {"light": (245, 244, 240), "dark": (30, 41, 49)}
CENTRE = (512, 320)
PLACES = [
    (20, 10, True),
    (67.5, 178, True),
    (67.5, -177, True),
    (-84.9, 179.5, True),
    (-84.9, -179.5, True),
    (-17.8, 178, True),
    (71, 175, False),
    (-17, -178.5, False),
    (0, -30, False),
    (42, 51, False),
]
"""Latitude, longitude, and whether there is land; 42, 51 is in the Caspian Sea."""


@pytest.fixture
def world() -> None:
    if not (ROOT / "web" / "vendor" / "world-atlas").is_dir():
        pytest.skip("web/vendor/world-atlas is not there: pip install -e . puts it there")


def shown(visitor: Visitor) -> NDArray[np.uint8]:
    """Return what the page shows, as (height, width, 3)."""
    return np.asarray(Image.open(BytesIO(visitor.page.screenshot())).convert("RGB"))


@pytest.mark.parametrize("context", [DESKTOP, PHONE], indirect=True)
def test_the_first_screen_is_filled_with_one_scene_at_its_own_pixels(
    visitor: Visitor, demo: Demo
) -> None:
    visitor.open()
    visitor.wait_for_tiles()
    visitor.wait_until("location.hash.includes('map=')")
    zoom = float(visitor.fragment().removeprefix("#map=").partition("/")[0])
    listed = fetch_json(f"{visitor.server_url}layers")["layers"]
    visible = [layer for layer in listed if layer["visible"]]
    assert [layer["name"] for layer in visible] == [demo.scene["name"]]
    # No pixel is magnified.
    assert zoom <= demo.scene["maxzoom"]
    box = visitor.page.locator("#panel").bounding_box()
    assert box is not None
    picture = shown(visitor)
    width = picture.shape[1]
    free = picture[:, int(box["x"] + box["width"]) :] if width > 720 else picture[: int(box["y"])]
    # The paper around the scene is light grey; nothing of it is.
    paper = (free.min(axis=2) > 200) & (np.ptp(free, axis=2) < 12)
    assert paper.mean() < 0.4
    expect(visitor.page.locator(".elsewhere")).to_be_hidden()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "context", [{}, {"color_scheme": "dark", "device_scale_factor": 2}], indirect=True
)
def test_land_lies_under_the_layers_on_both_sides_of_the_antimeridian(visitor: Visitor) -> None:
    is_dark = visitor.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    theme = "dark" if is_dark else "light"
    visitor.open("#map=4/0/0&l=")
    visitor.page.locator(".coastline").wait_for(state="attached")
    for lat, lon, is_land in PLACES:
        fragment = f"#map=5/{lat}/{lon}&l="
        visitor.page.evaluate(f"location.hash = {json.dumps(fragment)}")
        expected = (LAND if is_land else WATER)[theme]
        wait_for_colour(visitor, expected)
    assert visitor.errors == []


def wait_for_colour(visitor: Visitor, expected: tuple[int, int, int]) -> None:
    """Wait until most of the middle of the page has a colour; lines of the grid may cross it."""
    deadline = time.monotonic() + PATIENCE_S
    share = 0.0
    while share < 0.6:
        assert time.monotonic() < deadline, f"{visitor.fragment()} is not {expected}"
        visitor.page.wait_for_timeout(40)
        found = visitor.picture(12, 12).astype(int)
        share = (np.abs(found - expected).max(axis=2) <= 2).mean()


@pytest.mark.usefixtures("world")
def test_coarse_outlines_are_not_drawn_where_they_would_be_wrong(visitor: Visitor) -> None:
    visitor.open("#map=11/0/0&l=")
    visitor.page.locator(".graticule").wait_for(state="attached")
    expect(visitor.page.locator(".coastline canvas")).to_have_count(0)


def test_layers_far_apart_open_on_the_first_with_a_hint_of_the_others(visitor: Visitor) -> None:
    far = [
        layer_named("first", bounds=[10, 45, 11, 46], maxzoom=12),
        layer_named("beside", bounds=[11, 45, 12, 46], maxzoom=12),
        layer_named("north", bounds=[10, 60, 11, 61], maxzoom=12),
        layer_named("antipodes", bounds=[179, -41, -179, -40], maxzoom=12),
    ]
    answer_layers(visitor, {"": {"layers": far, "next": None}})
    png = (ROOT / "web" / "vendor" / "leaflet" / "images" / "layers.png").read_bytes()
    visitor.page.route(
        "**/tiles/**", lambda route: route.fulfill(body=png, content_type="image/png")
    )
    visitor.open()
    lat, lon = centre(visitor)
    assert 45 < lat < 46
    assert 10 < lon < 12
    hint = visitor.page.get_by_role("navigation", name="Layers elsewhere")
    hint.get_by_role("button", name="2 more layers elsewhere").click()
    expect(hint.locator("li")).to_have_text(["north", "antipodes"])
    hint.get_by_role("button", name="antipodes").click()
    visitor.wait_until("location.hash.includes('/-40.')")
    expect(hint.get_by_role("button", expanded=False)).to_have_text("3 more layers elsewhere")
    visitor.page.evaluate("location.hash = '#map=9/0/0&l=first'")
    expect(hint.get_by_role("button", expanded=False)).to_have_text("1 layer elsewhere, none here")


def centre(visitor: Visitor) -> tuple[float, float]:
    visitor.wait_until("location.hash.includes('map=')")
    _, lat, lon = visitor.fragment().removeprefix("#map=").partition("&")[0].split("/")
    return float(lat), float(lon)


def test_going_to_a_hidden_layer_shows_it(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(3, 0, 0, f"{demo.elevation['name']};v=0"))
    row = visitor.row(demo.elevation)
    expect(row.locator(".switch")).not_to_be_checked()
    row.get_by_role("button", name="Go to").click()
    expect(row.locator(".switch")).to_be_checked()
    visitor.wait_for_tiles()


WORLD = [-180, -90, 180, 90]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([[0, 0, 1, 1], [1, 0, 2, 1], [2, 0, 3, 1]], [0, 0, 3, 1]),
        ([[0, 0, 1, 1], [7, 0, 8, 1]], [0, 0, 1, 1]),
        ([[0, 0, 1, 1], [7, 0, 8, 1], [1, 1, 2, 2]], [0, 0, 2, 2]),
        ([[0, 0, 1, 1], WORLD, [0, 1, 1, 2]], [0, 0, 1, 2]),
        ([WORLD, [0, 0, 1, 1]], [-180, -85.0511, 180, 85.0511]),
        ([[179, 0, 180, 1], [-180, 0, -179, 1]], [179, 0, 181, 1]),
        # Small ones at the corners of nothing.
        ([[0, 0, 1, 1], [1.9, 1.9, 2.9, 2.9]], [0, 0, 1, 1]),
    ],
)
def test_the_first_view_has_no_empty_middle(
    modules: Page, bounds: list[list[float]], expected: list[float]
) -> None:
    script = "async list => (await import('./extent.js')).firstExtent(list)"
    assert modules.evaluate(script, bounds) == expected


@pytest.mark.parametrize(
    ("bounds", "view", "expected"),
    [
        ([0, 0, 1, 1], [0.5, 0.5, 2, 2], True),
        ([0, 0, 1, 1], [1.5, 0, 2, 2], False),
        ([179, 0, -179, 1], [-185, 0, -178, 1], True),
        ([179, 0, -179, 1], [170, 0, 178, 1], False),
        ([-179, 0, -178, 1], [175, 0, 185, 1], True),
        (WORLD, [500, 0, 510, 1], True),
    ],
)
def test_a_layer_is_in_view_if_a_part_of_it_is(
    modules: Page, bounds: list[float], view: list[float], expected: bool
) -> None:
    script = "async ([bounds, view]) => (await import('./extent.js')).overlaps(bounds, view)"
    assert modules.evaluate(script, [bounds, view]) is expected


def test_settings_of_the_page_that_are_no_settings_harm_nothing(visitor: Visitor) -> None:
    answer: dict[str, Any] = {"world": 7, "base_maps": [{"name": 1}], "geocoder": []}
    visitor.page.route("**/page.json", lambda route: route.fulfill(json=answer))
    visitor.open()
    visitor.wait_for_tiles()
    assert visitor.errors == []
