"""The page in Chromium, on the demo; rasterio is the oracle of the values it shows."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, Page, Route, expect
from rasterio.warp import transform

from tests.web.conftest import ROOT, Demo, Visitor, fetch_json, link, middle

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
CENTRE = (512, 320)


@pytest.mark.parametrize("context", [{"reduced_motion": "no-preference"}, {}], indirect=True)
def test_the_page_loads_without_an_error_and_asks_its_own_server_alone(visitor: Visitor) -> None:
    visitor.open()
    visitor.wait_for_tiles()
    expect(visitor.page).to_have_title("tileserver")
    assert visitor.outside == []
    assert visitor.errors == []
    assert any("/tiles/" in url for url in visitor.requests)


def test_its_policy_allows_no_inline_script_and_the_page_keeps_to_it(visitor: Visitor) -> None:
    answer = visitor.page.goto(visitor.server_url)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    visitor.wait_for_tiles()
    visitor.page.mouse.click(*CENTRE)
    visitor.page.locator("#inspector .band").first.wait_for()
    assert [error for error in visitor.errors if "Content Security Policy" in error] == []


def test_tiles_are_painted(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    visitor.wait_for_tiles()
    assert colours(visitor.picture()) > 100


def colours(picture: NDArray[np.uint8]) -> int:
    return len(np.unique(picture.reshape(-1, 3), axis=0))


def test_without_a_permalink_the_page_opens_where_its_top_layer_is(
    visitor: Visitor, demo: Demo
) -> None:
    visitor.open()
    top = next(
        layer for layer in fetch_json(f"{visitor.server_url}layers")["layers"] if layer["visible"]
    )
    visitor.row(top).hover()
    expect_in_free_space(visitor)


def expect_in_free_space(visitor: Visitor) -> None:
    """Expect the outline that shows while the mouse is over a layer's row to be in full view."""
    outline = visitor.page.locator(".outline").bounding_box()
    panel = visitor.page.locator("#panel").bounding_box()
    assert outline is not None
    assert panel is not None
    assert outline["x"] > panel["x"] + panel["width"]
    assert outline["x"] + outline["width"] < 1024
    assert outline["y"] > 0
    assert outline["y"] + outline["height"] < 640


def click(page: Page) -> None:
    page.mouse.click(*CENTRE)


def long_press(page: Page) -> None:
    page.mouse.click(*CENTRE, button="right")


def press_enter(page: Page) -> None:
    page.locator("#map").focus()
    page.keyboard.press("Enter")


@pytest.mark.parametrize("point", [click, long_press, press_enter])
def test_pointing_at_a_place_reads_every_band_of_the_raster_there(
    visitor: Visitor, demo: Demo, point: Callable[[Page], None]
) -> None:
    lat, lon, values = pixel_in_the_middle(visitor.server_url, demo.scene)
    visitor.open(link(15, lat, lon, demo.scene["name"]))
    point(visitor.page)
    bands = visitor.page.locator("#inspector .band")
    bands.first.wait_for()
    shown = {
        band.get_attribute("data-band"): band.locator("dd").inner_text() for band in bands.all()
    }
    assert shown == {band: str(value) for band, value in values.items()}
    place = visitor.page.locator("#inspector .place").inner_text()
    north, west = re.findall(r"([\d.]+)° [NW]", place)
    assert (float(north), -float(west)) == pytest.approx((lat, lon), abs=3e-5)


def pixel_in_the_middle(
    server_url: str, layer: dict[str, Any]
) -> tuple[float, float, dict[str, int]]:
    """Return latitude, longitude and band values of a pixel, at its centre, read by rasterio.

    The place has five decimals, so that the page shows all of it.
    """
    names = [band["id"] for band in fetch_json(f"{server_url}info/{quote(layer['name'])}")["bands"]]
    for path in (ROOT / "tileserver" / "demo").glob("*.tif"):
        with rasterio.open(path) as raster:
            if raster.count != len(names):
                continue
            row, column = raster.height // 2, raster.width // 2
            lons, lats = transform(raster.crs, "EPSG:4326", *([v] for v in raster.xy(row, column)))
            pixel = raster.read(window=((row, row + 1), (column, column + 1)))[:, 0, 0]
        values = {name: int(value) for name, value in zip(names, pixel, strict=True)}
        return round(lats[0], 5), round(lons[0], 5), values
    raise AssertionError(f"no raster of the demo has the bands {names}")


def test_where_a_layer_has_no_data_the_inspector_says_so_and_escape_closes_it(
    visitor: Visitor, demo: Demo
) -> None:
    lat, lon = middle(demo.scene)
    visitor.open(link(11, lat + 5, lon, demo.scene["name"]))
    visitor.page.mouse.click(*CENTRE)
    inspector = visitor.page.locator("#inspector")
    expect(inspector).to_contain_text("No data here.")
    visitor.page.keyboard.press("Escape")
    expect(inspector).to_be_hidden()


def test_the_inspector_shows_why_a_value_cannot_be_read(visitor: Visitor, demo: Demo) -> None:
    error = {"error": {"status": 503, "message": "The engine is resting."}}
    visitor.page.route("**/point/**", lambda route: route.fulfill(status=503, json=error))
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    visitor.page.mouse.click(*CENTRE)
    expect(visitor.page.locator("#inspector")).to_contain_text("The engine is resting.")


def test_the_legend_is_there_while_its_layer_is_shown(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(9, *middle(demo.elevation), demo.elevation["name"]))
    row = visitor.row(demo.elevation)
    legend = row.locator(".legend")
    expect(legend).to_be_visible()
    low, high = demo.elevation["style"]["min"], demo.elevation["style"]["max"]
    ends = [f"{value:g}" for value in (low, (low + high) / 2, high)]
    expect(legend.locator(".ends span")).to_have_text(ends)
    # Its title stands above it already.
    expect(legend).not_to_contain_text(demo.elevation["title"])
    row.locator(".switch").click()
    expect(legend).to_be_hidden()


def test_a_hidden_layer_is_no_longer_drawn(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    visitor.wait_for_tiles()
    visitor.row(demo.scene).locator(".switch").click()
    expect(visitor.page.locator("img.leaflet-tile")).to_have_count(0)
    assert colours(visitor.picture()) < 5


def test_a_reload_restores_view_order_visibility_and_opacity(visitor: Visitor, demo: Demo) -> None:
    scene, elevation, world = demo.scene["name"], demo.elevation["name"], demo.world["name"]
    visitor.open(link(7, 38.5, -115.25, world))
    visitor.row(demo.scene).locator(".switch").click()
    visitor.row(demo.scene).locator("input[type=range]").fill("0.4")
    visitor.row(demo.elevation).locator(".grip").focus()
    for _ in range(3):
        visitor.page.keyboard.press("ArrowUp")
    visitor.wait_until("location.hash.includes('o=0.4')")
    visitor.wait_until(f"location.hash.includes('l={elevation};v=0,')")
    before = visitor.fragment()
    order = visitor.order()
    visitor.open(before)
    visitor.wait_for_tiles()
    assert order[0] == elevation
    assert visitor.order() == order
    visitor.wait_until(f"location.hash === {json.dumps(before)}")
    assert before.startswith("#map=7/38.5")
    switches = visitor.page.locator(".switch").evaluate_all("all => all.map(one => one.checked)")
    assert dict(zip(order, switches, strict=True)) == {
        name: name in (scene, world) for name in order
    }
    assert visitor.row(demo.scene).locator("output").inner_text() == "40%"


def test_opacity_lets_the_layers_below_through(visitor: Visitor, demo: Demo) -> None:
    view = (11, *middle(demo.scene))
    scene, world = demo.scene["name"], demo.world["name"]
    pictures = {}
    for opacity in (1, 0.5, 0):
        visitor.open(link(*view, f"{scene};o={opacity}", world))
        visitor.wait_for_tiles()
        pictures[opacity] = mean_colour(visitor.picture())
    halfway = (pictures[1] + pictures[0]) / 2
    assert distance(pictures[1], pictures[0]) > 10
    assert distance(pictures[0.5], halfway) < 3


def test_the_top_layer_hides_the_one_below_until_it_is_moved_down(
    visitor: Visitor, demo: Demo
) -> None:
    scene, world = demo.scene["name"], demo.world["name"]
    visitor.open(link(11, *middle(demo.scene), scene, world))
    visitor.wait_for_tiles()
    above = mean_colour(visitor.picture())
    row = visitor.row(demo.scene)
    row.get_by_role("button", name="More about").click()
    for _ in range(len(visitor.order()) - 1):
        row.get_by_role("button", name="Move down").click()
    assert visitor.order()[-1] == scene
    below = mean_colour(visitor.picture())
    visitor.open(link(11, *middle(demo.scene), world))
    visitor.wait_for_tiles()
    assert distance(above, below) > 10
    assert distance(below, mean_colour(visitor.picture())) < 1


def mean_colour(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(picture.reshape(-1, 3).mean(axis=0), dtype=np.float64)


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.abs(one - other).max())


def test_a_layer_can_be_dragged_to_another_place(visitor: Visitor) -> None:
    visitor.open("#l=")
    first, second, *rest = visitor.order()
    grip = visitor.page.locator(f"li[data-name='{first}'] .grip").bounding_box()
    target = visitor.page.locator(f"li[data-name='{second}']").bounding_box()
    assert grip is not None
    assert target is not None
    visitor.page.mouse.move(grip["x"] + 8, grip["y"] + 8)
    visitor.page.mouse.down()
    visitor.page.mouse.move(grip["x"] + 8, target["y"] + target["height"] - 4, steps=6)
    visitor.page.mouse.up()
    visitor.wait_until(f"location.hash.indexOf('{second}') < location.hash.indexOf('{first};')")
    visitor.open(visitor.fragment())
    assert visitor.order() == [second, first, *rest]


def test_go_to_a_layer_shows_all_of_it(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(3, 0, 0, demo.elevation["name"]))
    visitor.row(demo.elevation).get_by_role("button", name="Go to").click()
    visitor.wait_until("!location.hash.startsWith('#map=3/')")
    visitor.wait_for_tiles()
    expect_in_free_space(visitor)


def test_copied_addresses_work_elsewhere(
    visitor: Visitor, context: BrowserContext, demo: Demo
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.open(link(9, *middle(demo.scene), demo.scene["name"]))
    row = visitor.row(demo.scene)
    row.get_by_role("button", name="More about").click()
    row.get_by_role("button", name="Copy XYZ URL").click()
    expect(visitor.page.locator("#messages")).to_contain_text("XYZ URL copied.")
    template = str(visitor.page.evaluate("navigator.clipboard.readText()"))
    assert template.startswith(visitor.server_url + "tiles/")
    tile = context.request.get(template.format(z=0, x=0, y=0))
    assert tile.headers["content-type"] == "image/png"
    row.get_by_role("button", name="Copy TileJSON URL").click()
    expect(visitor.page.locator("#messages")).to_contain_text("TileJSON URL copied.")
    address = str(visitor.page.evaluate("navigator.clipboard.readText()"))
    assert context.request.get(address).json()["tilejson"] == "3.0.0"


def refuse_tiles(
    visitor: Visitor, headers: dict[str, str] | None = None, times: int = 10**6
) -> list[str]:
    """Answer requests for tiles with 503, the first `times` of each; return their addresses.

    Requests that only ask for the reason are answered so too, but not among them.
    """
    refused: list[str] = []

    def answer(route: Route) -> None:
        if refused.count(route.request.url) >= times:
            return route.fallback()
        if route.request.resource_type == "image":
            refused.append(route.request.url)
        return route.fulfill(
            status=503,
            headers=headers or {},
            content_type="text/plain",
            body="The engine is resting.\n",
        )

    visitor.page.route("**/tiles/**", answer)
    return refused


def test_when_tiles_fail_the_server_says_why_and_retry_brings_them(
    visitor: Visitor, demo: Demo
) -> None:
    refuse_tiles(visitor, {"Retry-After": "50"})
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    message = visitor.page.locator(".message")
    expect(message).to_contain_text(demo.scene["title"])
    expect(message).to_contain_text("tiles are missing. The engine is resting.")
    visitor.page.unroute("**/tiles/**")
    message.get_by_role("button", name="Retry").click()
    visitor.wait_for_tiles()
    expect(message).to_have_count(0)


def test_a_dismissed_message_does_not_come_again_for_the_same_reason(
    visitor: Visitor, demo: Demo
) -> None:
    refused = refuse_tiles(visitor, {"Retry-After": "0"})
    visitor.page.goto(f"{visitor.server_url}#l=")
    visitor.page.evaluate("""() => {
        window.dismissals = 0;
        const dismiss = () => {
            const button = document.querySelector(".message [aria-label=Dismiss]");
            if (button) { window.dismissals += 1; button.click(); }
        };
        const messages = document.getElementById("messages");
        new MutationObserver(dismiss).observe(messages, {childList: true});
    }""")
    fragment = link(11, *middle(demo.scene), demo.scene["name"])
    visitor.page.evaluate(f"location.hash = {json.dumps(fragment)}")
    wait_until_given_up(visitor, refused)
    assert visitor.page.evaluate("window.dismissals") == 1


def test_a_busy_server_is_asked_again_until_it_answers(visitor: Visitor, demo: Demo) -> None:
    refused = refuse_tiles(visitor, {"Retry-After": "0"}, times=2)
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    visitor.wait_for_tiles()
    assert refused
    expect(visitor.page.locator(".message")).to_have_count(0)


def test_a_server_that_stays_busy_is_asked_a_bounded_number_of_times(
    visitor: Visitor, demo: Demo
) -> None:
    refused = refuse_tiles(visitor, {"Retry-After": "0"})
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    wait_until_given_up(visitor, refused)
    message = visitor.page.locator(".message")
    expect(message).to_contain_text(f"{len(set(refused))} tiles are missing.")
    expect(message).not_to_contain_text("Trying again")


def wait_until_given_up(visitor: Visitor, refused: list[str]) -> None:
    """Wait until every tile has been asked four times; fail when one is asked once more."""
    while not refused or {refused.count(url) for url in refused} != {4}:
        assert max(map(refused.count, refused), default=0) <= 4
        visitor.page.wait_for_timeout(40)


def test_a_tile_the_server_refuses_for_good_is_not_asked_again(
    visitor: Visitor, demo: Demo
) -> None:
    visitor.page.route(
        "**/tiles/**",
        lambda route: route.fulfill(status=404, content_type="text/plain", body="No such asset."),
    )
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    message = visitor.page.locator(".message")
    expect(message).to_contain_text("No such asset.")
    expect(message).not_to_contain_text("Trying again")


def test_when_the_layers_cannot_be_fetched_the_page_says_so_and_tries_again(
    visitor: Visitor,
) -> None:
    error = {"error": {"status": 500, "message": "The disk is gone."}}
    visitor.page.route("**/layers", lambda route: route.fulfill(status=500, json=error))
    visitor.page.goto(visitor.server_url)
    panel = visitor.page.locator("#panel")
    expect(panel).to_contain_text("The disk is gone.")
    visitor.page.unroute("**/layers")
    panel.get_by_role("button", name="Try again").click()
    visitor.wait_for_tiles()
    expect(panel).not_to_contain_text("The disk is gone.")


def answer_layers(visitor: Visitor, pages: dict[str, dict[str, Any]]) -> None:
    """Answer GET /layers, by its query."""
    visitor.page.route(
        lambda url: url.partition("?")[0] == f"{visitor.server_url}layers",
        lambda route: route.fulfill(json=pages[route.request.url.partition("?")[2]]),
    )


def layer_named(name: str, **members: Any) -> dict[str, Any]:
    layer = {"name": name, "title": name, "asset": name, "bounds": [-180, -90, 180, 90]}
    tiles = "http://elsewhere.invalid/tiles/{z}/{x}/{y}.png?v=1"
    return (
        layer | {"minzoom": 0, "maxzoom": 9, "style": {}, "tiles": tiles, "visible": True} | members
    )


def test_names_and_reasons_are_text_whatever_they_hold(visitor: Visitor) -> None:
    attack = '<img src="attack" onerror="window.attacked=1">'
    members = dict.fromkeys(("title", "asset", "description", "attribution"), attack)
    answer_layers(visitor, {"": {"layers": [layer_named(attack, **members)], "next": None}})
    visitor.page.route(
        "**/tiles/**",
        lambda route: route.fulfill(status=404, content_type="text/plain", body=attack),
    )
    values = {"values": {attack: attack}}
    visitor.page.route("**/point/**", lambda route: route.fulfill(json=values))
    visitor.page.route("**/legend/**", lambda route: route.fulfill(status=404, body=attack))
    visitor.open()
    visitor.page.get_by_role("button", name="More about").click()
    visitor.page.mouse.click(*CENTRE)
    for place in (
        ".layer-title",
        ".more",
        ".credits",
        ".message",
        "#inspector dt",
        "#inspector dd",
    ):
        expect(visitor.page.locator(place)).to_contain_text(attack)
    assert visitor.page.evaluate("window.attacked") is None
    assert visitor.page.locator("img[src='attack']").count() == 0


@pytest.mark.parametrize("layers", [[], ["good"]])
def test_layers_that_cannot_be_shown_are_told_with_their_reason(
    visitor: Visitor, layers: list[str]
) -> None:
    attack = '<img src="attack" onerror="window.attacked=1">'
    errors = [{"name": "mars", "title": "mars", "reason": f"no place on Earth {attack}"}]
    listed = [layer_named(name, visible=False) for name in layers]
    answer_layers(visitor, {"": {"layers": listed, "next": None, "errors": errors}})
    visitor.open()
    told = visitor.page.locator(".not-shown")
    expect(told.locator("summary")).to_have_text("1 layer cannot be shown")
    if layers:
        below = visitor.page.locator(":has(> .not-shown) ~ .layer-list .layer")
        expect(below).to_have_count(len(layers))
        told.locator("summary").click()
    expect(told.locator("li")).to_have_text(f"mars: no place on Earth {attack}")
    assert visitor.page.evaluate("window.attacked") is None


def test_a_layer_without_a_place_on_earth_says_so(visitor: Visitor) -> None:
    reason = "No place on Earth: the GeoTIFF has no CRS."
    layers = [layer_named("scan") | {"no_place": reason}, layer_named("map")]
    answer_layers(visitor, {"": {"layers": layers, "next": None}})
    visitor.open()
    tags = visitor.page.locator(".layer-title .no-place")
    expect(tags).to_have_count(1)
    expect(tags).to_have_text("no place on Earth")
    expect(visitor.page.locator(".more .no-place")).to_have_text(reason)


def test_a_long_list_is_read_page_by_page_and_filtered(visitor: Visitor) -> None:
    def page(number: int, following: str | None) -> dict[str, Any]:
        layers = [layer_named(f"page {number} layer {n}", visible=False) for n in range(5)]
        return {"layers": layers, "next": following}

    answer_layers(visitor, {"": page(1, "/layers?page=2"), "page=2": page(2, None)})
    visitor.open()
    rows = visitor.page.locator(".layer")
    expect(rows).to_have_count(10)
    visitor.page.get_by_role("searchbox", name="Filter layers").fill("PAGE 2")
    shown = visitor.page.locator(".layer:not([hidden]) .layer-title")
    expect(shown).to_have_count(6)
    visitor.page.get_by_role("searchbox", name="Filter layers").fill("layer 4 2")
    expect(shown).to_have_text(["page 2 layer 4"])


def test_a_layer_across_the_antimeridian_is_asked_on_both_sides_and_no_further(
    visitor: Visitor,
) -> None:
    answer_layers(
        visitor, {"": {"layers": [layer_named("fiji", bounds=[170, -20, -170, -10])], "next": None}}
    )
    png = (ROOT / "web" / "vendor" / "leaflet" / "images" / "layers.png").read_bytes()
    visitor.page.route(
        "**/tiles/**", lambda route: route.fulfill(body=png, content_type="image/png")
    )
    visitor.open()
    visitor.wait_for_tiles()
    tiles = [
        url.partition("/tiles/fiji/")[2].split("/") for url in visitor.requests if "/tiles/" in url
    ]
    zoom = int(tiles[0][0])
    columns = {int(x) for _, x, _ in tiles}
    width = 2**zoom
    allowed = {
        int((lon + 180) / 360 * width) % width for lon in (170, 175, 179.9, -180, -175, -170.1)
    }
    assert {0, width - 1} <= columns <= allowed


@pytest.mark.parametrize("context", [PHONE], indirect=True)
def test_on_a_phone_nothing_is_wider_than_the_screen_and_all_is_in_reach(
    visitor: Visitor, demo: Demo
) -> None:
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    visitor.wait_for_tiles()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390
    assert "user-scalable" not in visitor.page.content()
    visitor.page.get_by_role("button", name="Layers").tap()
    row = visitor.row(demo.scene)
    for control in (
        row.get_by_role("button", name="Go to"),
        row.get_by_role("button", name="More"),
    ):
        control.scroll_into_view_if_needed()
        expect(control).to_be_in_viewport(ratio=1)
        box = control.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44
    visitor.page.get_by_role("button", name="Layers").tap()
    visitor.page.touchscreen.tap(195, 300)
    expect(visitor.page.locator("#inspector")).to_be_in_viewport(ratio=1)
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("context", [{"device_scale_factor": 2}], indirect=True)
def test_a_dense_screen_gets_tiles_of_512_pixels(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    visitor.wait_for_tiles()
    asked = [url for url in visitor.requests if "/tiles/" in url]
    assert asked
    assert all("@2x.png" in url for url in asked)
    tile = visitor.page.locator("img.leaflet-tile").first
    assert tile.evaluate("image => image.naturalWidth") == 512


@pytest.mark.parametrize("context", [{"color_scheme": "dark"}], indirect=True)
def test_a_dark_scheme_darkens_the_page(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(11, *middle(demo.scene), f"{demo.scene['name']};v=0"))
    assert mean_colour(visitor.picture()).max() < 60


def test_the_page_works_below_a_path_prefix(visitor: Visitor, demo: Demo) -> None:
    def strip(route: Route) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.replace("/a/prefix/", "/")))

    visitor.page.route("**/a/prefix/**", strip)
    visitor.server_url += "a/prefix/"
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    visitor.wait_for_tiles()
    visitor.page.mouse.click(*CENTRE)
    visitor.page.locator("#inspector .band").first.wait_for()
    assert all(url.startswith(visitor.server_url) for url in visitor.requests)


@pytest.mark.parametrize(
    "fragment",
    ["#map=NaN/1/2", "#l=%E0%A4%A,no-such-layer;o=NaN", "#<script>window.attacked=1</script>"],
)
def test_a_page_opened_with_a_bad_permalink_works(visitor: Visitor, fragment: str) -> None:
    visitor.open(fragment)
    visitor.wait_until("/^#map=[\\d.]+\\/-?[\\d.]+\\/-?[\\d.]+&l=/.test(location.hash)")
    assert visitor.page.evaluate("window.attacked") is None
    # The console tells of names that no asset has.
    assert [each for each in visitor.errors if "404" not in each] == []


def test_what_a_permalink_says_in_vain_is_told(visitor: Visitor) -> None:
    visitor.open("#map=3/0/999&l=no-such-layer")
    message = visitor.page.locator(".message")
    expect(message).to_contain_text("map=3/0/999")
    expect(message).to_contain_text("no-such-layer")


def test_an_edited_address_is_followed_without_a_reload(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(3, 0, 0, demo.world["name"]))
    visitor.page.evaluate("window.stillHere = true")
    fragment = link(11, *middle(demo.scene), f"{demo.scene['name']};o=0.3")
    visitor.page.evaluate(f"location.hash = {json.dumps(fragment)}")
    expect(visitor.row(demo.scene).locator("output")).to_have_text("30%")
    expect(visitor.row(demo.world).locator(".switch")).not_to_be_checked()
    assert visitor.page.evaluate("window.stillHere")
