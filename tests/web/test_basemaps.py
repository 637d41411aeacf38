"""Base maps of other servers: only if one chooses them, and never in the way of one's layers."""

import re
import time
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.support.waiting import PATIENCE_S
from tests.web.conftest import Demo, Visitor, link, middle
from tests.web.test_recovery import expect_words

OPENSTREETMAP = "https://tile.openstreetmap.org/"
RED = (200, 40, 40)


@pytest.fixture
def traveller(context: BrowserContext, server_url: str) -> Visitor:
    """A page that may ask of others what its user chooses."""
    visitor = Visitor(context.new_page(), server_url)
    visitor.watch()
    return visitor


def paint_red(page: Page) -> None:
    body = BytesIO()
    Image.new("RGB", (256, 256), RED).save(body, "PNG")
    png = body.getvalue()
    page.route(
        f"{OPENSTREETMAP}**", lambda route: route.fulfill(body=png, content_type="image/png")
    )


def choose(visitor: Visitor, name: str) -> None:
    visitor.page.keyboard.press("b")
    drawer = visitor.page.locator("#drawer")
    drawer.get_by_role("radio", name=re.compile(f"^{name}")).check()
    expect_words(visitor)
    visitor.page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def wait_for_colour(visitor: Visitor, colour: tuple[int, int, int], tolerance: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    share = 0.0
    while share < 0.5:
        assert time.monotonic() < deadline, f"the map is not {colour}"
        visitor.page.wait_for_timeout(40)
        found = visitor.picture(20, 20).astype(int)
        share = (np.abs(found - colour).max(axis=2) <= tolerance).mean()


def test_a_base_map_is_asked_for_once_it_is_chosen_and_remembered(
    traveller: Visitor, demo: Demo
) -> None:
    paint_red(traveller.page)
    lat, lon = middle(demo.scene)
    fragment = link(11, lat + 5, lon, demo.scene["name"])
    traveller.open(fragment)
    credits = traveller.page.locator(".credits")
    expect(credits).to_contain_text("USGS")
    assert traveller.outside == []
    choose(traveller, "OpenStreetMap")
    wait_for_colour(traveller, RED, 3)
    expect(credits.get_by_role("link", name="© OpenStreetMap contributors")).to_have_count(1)
    assert traveller.outside
    assert all(url.startswith(OPENSTREETMAP) for url in traveller.outside)
    # A layer lies above it.
    traveller.open(link(11, lat, lon, demo.scene["name"]))
    traveller.wait_for_tiles()
    assert (np.abs(traveller.picture().astype(int) - RED).max(axis=2) <= 3).mean() < 0.01
    traveller.open(fragment)
    wait_for_colour(traveller, RED, 3)
    choose(traveller, "Nothing")
    expect(traveller.page.locator(".base-map")).to_have_count(0)
    expect(credits).not_to_contain_text("OpenStreetMap")
    asked = len(traveller.outside)
    traveller.open(link(4, 20, 10, f"{demo.scene['name']};v=0"))
    expect(traveller.page.locator(".graticule")).to_have_count(1)
    expect(traveller.page.locator(".coastline")).to_have_count(0)
    assert len(traveller.outside) == asked
    assert "openstreetmap" not in traveller.fragment().lower()
    assert traveller.errors == []


@pytest.mark.parametrize("context", [{"color_scheme": "dark"}], indirect=True)
def test_on_a_dark_page_a_base_map_is_dark(traveller: Visitor, demo: Demo) -> None:
    lat, lon = middle(demo.scene)
    body = BytesIO()
    Image.new("RGB", (256, 256), (240, 240, 235)).save(body, "PNG")
    png = body.getvalue()
    traveller.page.route(
        f"{OPENSTREETMAP}**", lambda route: route.fulfill(body=png, content_type="image/png")
    )
    traveller.open(link(11, lat + 5, lon, demo.scene["name"]))
    choose(traveller, "OpenStreetMap")
    expect(traveller.page.locator(".base-map.inverted img")).not_to_have_count(0)
    wait_for_colour(traveller, (28, 28, 28), 20)


def test_a_base_map_that_does_not_come_hides_nothing(traveller: Visitor, demo: Demo) -> None:
    def fail(route: Route) -> None:
        route.abort()

    traveller.page.route(f"{OPENSTREETMAP}**", fail)
    traveller.open(link(11, *middle(demo.scene), demo.scene["name"]))
    traveller.wait_for_tiles()
    before = traveller.picture()
    choose(traveller, "OpenStreetMap")
    message = traveller.page.locator(".message")
    expect(message).to_contain_text("OpenStreetMap does not come.")
    expect(message).to_contain_text("tile.openstreetmap.org cannot be reached.")
    expect_words(traveller)
    assert (traveller.picture() == before).mean() > 0.99
    message.get_by_role("button", name="Do without").click()
    expect(message).to_have_count(0)
    expect(traveller.page.locator(".base-map")).to_have_count(0)
