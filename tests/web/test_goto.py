"""The go-to box: what is understood, and where it leads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mercantile
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.support.commands import serving
from tests.web.conftest import Demo, Visitor, link, middle
from tests.web.test_recovery import expect_words

SALT_LAKE = {"lat": pytest.approx(40.71, abs=1e-6), "lon": pytest.approx(-112.1, abs=1e-6)}


def parse(modules: Page, text: str) -> Any:
    script = "async text => (await import('./places.js')).parsePlace(text)"
    return modules.evaluate(script, text)


@pytest.mark.parametrize(
    "text",
    [
        "40.71, -112.1",
        "40.71 -112.1",
        " 40.71;-112.1 ",
        "40,71; -112,1",
        "40,71 -112,1",
        "40.71, −112.1",
        "geo:40.71,-112.1",
        "-112.1, 40.71",
        "40.71N 112.1W",
        "40.71° N, 112.1° W",
        "N40.71 W112.1",
        "112.1 w, 40.71 n",
        "40°42′36″N 112°6′0″W",
        "40°42'36\" N, 112°6' W",
        "40 42 36 N 112 06 00 W",
        "N 40° 42.6' W 112° 6'",
        "40°42'36\", -112°6'",
        "40°42’36” -112°6’",
    ],
)
def test_coordinates_are_read_as_people_write_them(modules: Page, text: str) -> None:
    assert parse(modules, text) == SALT_LAKE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12/770/1532", {"tile": {"z": 12, "x": 770, "y": 1532}}),
        ("/0/0/0.png", {"tile": {"z": 0, "x": 0, "y": 0}}),
        ("12/770/1532@2x.webp", {"tile": {"z": 12, "x": 770, "y": 1532}}),
        ("11/40.75/-112.8", {"zoom": 11, "lat": 40.75, "lon": -112.8}),
        ("-113, 40, -112, 41", {"bounds": [-113, 40, -112, 41]}),
        ("[170 -20 -170 -10]", {"bounds": [170, -20, -170, -10]}),
        ("", None),
        ("sierra", None),
        ("COPERNICUS/S2/20200401T184919_20200401T185452_T10SFH", None),
        ("projects/p/assets/a", None),
        ("40.71", None),
        ("40.71N", None),
        ("40°99′N 112°W", None),
        ("40.71N 112.1X", None),
        ("1 2 3", None),
        ("NaN, 1", None),
        ("9" * 400 + ",1", None),
    ],
)
def test_tiles_boxes_and_names_are_told_apart(modules: Page, text: str, expected: Any) -> None:
    found = parse(modules, text)
    assert "wrong" in found if text.startswith("999") else found == expected


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("91, 100", "There is no latitude 91: -90 to 90."),
        ("3/8/0", "Zoom 3 has x and y from 0 to 7."),
        ("31/0/0", "There is no zoom 31: 0 to 30."),
        ("40N 41N", "One coordinate has N or S, the other E or W."),
        ("1, 5, 2, 4", "The south, 5, has to be below the north, 4."),
        ("1, 5, 999, 6", "There is no longitude 999."),
    ],
)
def test_what_has_a_form_and_is_wrong_is_named(modules: Page, text: str, wrong: str) -> None:
    assert parse(modules, text) == {"wrong": wrong}


@pytest.mark.parametrize(("z", "x", "y"), [(0, 0, 0), (12, 770, 1532), (5, 31, 31)])
def test_a_tile_has_the_bounds_that_mercantile_gives(modules: Page, z: int, x: int, y: int) -> None:
    script = "async tile => (await import('./places.js')).tileBounds(tile)"
    found = modules.evaluate(script, {"z": z, "x": x, "y": y})
    assert found == pytest.approx(list(mercantile.bounds(x, y, z)), abs=1e-9)


def go(visitor: Visitor, text: str) -> None:
    visitor.page.keyboard.press("g")
    box = visitor.page.get_by_role("textbox", name="Place, tile, box, layer or asset")
    expect(box).to_be_focused()
    box.fill(text)
    box.press("Enter")


def test_the_box_leads_to_places_tiles_boxes_layers_and_assets(
    visitor: Visitor, demo: Demo
) -> None:
    dialog = visitor.page.get_by_role("dialog", name="Go to")
    visitor.open(link(3, 0, 0, f"{demo.scene['name']};v=0"))
    go(visitor, "40°42′36″N 112°6′W")
    expect(dialog).to_have_count(0)
    visitor.wait_until("location.hash.startsWith('#map=10/40.71')")
    expect(visitor.page.locator(".pin")).to_have_count(1)
    go(visitor, "12/770/1532")
    tile = mercantile.bounds(770, 1532, 12)
    visitor.wait_until("location.hash.startsWith('#map=12/')")
    lat, lon = map(float, visitor.fragment().partition("&")[0].split("/")[1:])
    assert tile.south < lat < tile.north
    assert lon == pytest.approx((tile.west + tile.east) / 2, abs=1e-3)
    go(visitor, "-10, 40, -9, 41")
    visitor.wait_until("location.hash.includes('/40.')")
    go(visitor, demo.elevation["title"].upper())
    expect(visitor.row(demo.elevation).locator(".switch")).to_be_checked()
    visitor.wait_for_tiles()
    count = len(visitor.order())
    # An asset that no layer has: the pieces of the mosaic's own.
    go(visitor, "projects/localhost/assets/blue_marble")
    expect(dialog).to_have_count(0)
    expect(visitor.row(demo.world).locator(".switch")).to_be_checked()
    assert len(visitor.order()) == count
    go(visitor, "nowhere at all")
    expect(dialog).to_contain_text("Nothing here is “nowhere at all”.")
    expect(dialog).to_contain_text("40°42′36″N 112°6′W degrees, minutes, seconds")
    expect(dialog).not_to_contain_text("the name of a place")
    dialog.get_by_role("textbox").fill("91, 100")
    dialog.get_by_role("button", name="Go", exact=True).click()
    expect(dialog).to_contain_text("There is no latitude 91")
    expect_words(visitor)
    dialog.get_by_role("textbox").fill("great salt lake thermal")
    dialog.get_by_role("button", name="Great Salt Lake, thermal").click()
    expect(dialog).to_have_count(0)
    assert [error for error in visitor.errors if "404" not in error] == []


@pytest.fixture
def geocoding(context: BrowserContext, tmp_path: Path) -> Iterator[Visitor]:
    config = tmp_path / "tileserver.toml"
    demo = Path(__file__).parents[2] / "tileserver" / "demo" / "srtm_sierra_nevada.tif"
    config.write_text(f"""
        [page]
        geocoder = "https://places.example.org/nominatim"
        [[rasters]]
        path = "{demo}"
    """)
    with serving("--config", str(config), "--port", "0", cwd=tmp_path) as server:
        visitor = Visitor(context.new_page(), f"{server.url}/")
        visitor.watch()
        yield visitor


def test_a_geocoder_is_asked_when_one_presses_enter_and_not_before(geocoding: Visitor) -> None:
    places = [
        {"display_name": "Fiji", "lat": "-18.1", "lon": "178.4"},
        {"display_name": "Elsewhere", "lat": "1", "lon": "2", "boundingbox": ["0", "2", "1", "3"]},
        {"display_name": None, "lat": "x"},
    ]

    def answer(route: Route) -> None:
        headers = {"Access-Control-Allow-Origin": "*"}
        if "broken" in route.request.url:
            return route.fulfill(status=500, headers=headers, json={})
        return route.fulfill(json=places, headers=headers)

    geocoding.page.route("https://places.example.org/**", answer)
    geocoding.open()
    geocoding.page.keyboard.press("g")
    dialog = geocoding.page.get_by_role("dialog", name="Go to")
    expect(dialog).to_contain_text("the name of a place")
    dialog.get_by_role("textbox").press_sequentially("Fiji")
    assert geocoding.outside == []
    dialog.get_by_role("textbox").press("Enter")
    expect(dialog.locator(".found li")).to_have_text(["Fiji", "Elsewhere"])
    assert len(geocoding.outside) == 1
    assert geocoding.outside[0].startswith("https://places.example.org/nominatim/search?q=Fiji&")
    dialog.get_by_role("button", name="Elsewhere").click()
    geocoding.wait_until("location.hash.includes('/1.') || location.hash.includes('/0.9')")
    assert [error for error in geocoding.errors if "404" not in error] == []
    go(geocoding, "broken")
    expect(dialog).to_contain_text("The server answered with status 500.")


def test_with_the_box_open_keys_are_text(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(9, *middle(demo.scene), demo.scene["name"]))
    visitor.page.keyboard.press("g")
    expect(visitor.page.get_by_role("textbox", name="Place")).to_be_focused()
    visitor.page.keyboard.type("gb")
    expect(visitor.page.get_by_role("dialog")).to_have_count(1)
    expect(visitor.page.get_by_role("textbox", name="Place")).to_have_value("gb")
    visitor.page.keyboard.press("Escape")
    expect(visitor.page.get_by_role("dialog")).to_have_count(0)
