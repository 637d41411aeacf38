"""The list of layers: duplicates, removal, undo, many layers, and what links hold of them."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.web.conftest import Demo, Visitor, link, middle
from tests.web.test_page import answer_layers, layer_named


def shown(visitor: Visitor) -> list[str]:
    """Return the names of the rows that are switched on, the top one first."""
    script = "all => all.filter(one => one.checked).map(one => one.closest('li').dataset.name)"
    return [str(name) for name in visitor.page.locator(".layer .switch").evaluate_all(script)]


def test_layers_are_duplicated_and_removed_and_back_and_undo_return_them(
    visitor: Visitor, demo: Demo
) -> None:
    scene = demo.scene["name"]
    visitor.open(link(11, *middle(demo.scene), scene))
    order = visitor.order()
    visitor.wait_until("location.hash.includes('l=')")
    row = visitor.row(demo.scene)
    row.get_by_role("button", name="More about").click()
    row.get_by_role("button", name="Duplicate").click()
    assert visitor.order()[:2] == [f"{scene}~2", scene]
    copy = visitor.page.locator(f"li[data-name='{scene}~2']")
    copy.locator(".switch").click()
    visitor.wait_until(f"location.hash.includes('l={scene};n=2;v=0,{scene}')")
    copy.get_by_role("button", name="More about").click()
    copy.get_by_role("button", name="Remove").click()
    assert visitor.order() == order
    expect(visitor.page.locator("#messages")).to_contain_text("was removed")
    visitor.wait_until("!location.hash.includes(';n=2')")
    visitor.page.go_back()
    visitor.wait_until(f"document.querySelector(`li[data-name='{scene}~2']`) !== null")
    assert visitor.order() == [f"{scene}~2", *order]
    assert shown(visitor) == [scene]
    visitor.page.go_back()
    visitor.wait_until(f"document.querySelector(`li[data-name='{scene}~2']`) === null")
    visitor.page.go_forward()
    visitor.wait_until(f"document.querySelector(`li[data-name='{scene}~2']`) !== null")
    assert visitor.errors == []


def test_undo_and_redo_by_button_and_key(visitor: Visitor, demo: Demo) -> None:
    scene, elevation = demo.scene["name"], demo.elevation["name"]
    visitor.open(link(5, *middle(demo.scene), scene, elevation))
    page = visitor.page
    undo = page.get_by_role("button", name="Undo", exact=True)
    redo = page.get_by_role("button", name="Redo", exact=True)
    expect(undo).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Hide all").click()
    assert shown(visitor) == []
    undo.click()
    assert shown(visitor) == [scene, elevation]
    redo.click()
    assert shown(visitor) == []
    page.keyboard.press("Control+z")
    assert shown(visitor) == [scene, elevation]
    page.keyboard.press("Control+Shift+z")
    assert shown(visitor) == []
    page.keyboard.press("Control+z")
    row = visitor.row(demo.elevation)
    row.get_by_role("button", name="More about").click()
    row.get_by_role("button", name="Only this").click()
    assert shown(visitor) == [elevation]


def test_a_removed_layer_stays_away_after_a_reload(visitor: Visitor, demo: Demo) -> None:
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    row = visitor.row(demo.world)
    row.get_by_role("button", name="More about").click()
    row.get_by_role("button", name="Remove").click()
    order = visitor.order()
    assert demo.world["name"] not in order
    visitor.wait_until("location.hash.includes('&x=')")
    visitor.open(visitor.fragment())
    assert visitor.order() == order


def many(count: int) -> dict[str, Any]:
    layers = [layer_named(f"layer {number:02}") for number in range(count)]
    return {"layers": layers, "next": None}


@pytest.mark.parametrize("context", [{"viewport": {"width": 1024, "height": 700}}], indirect=True)
def test_of_many_layers_one_is_shown_in_rows_that_fold(visitor: Visitor) -> None:
    visitor.page.route("**/tiles/**", lambda route: route.abort())
    answer_layers(visitor, {"": many(60)})
    visitor.open()
    assert shown(visitor) == ["layer 00"]
    expect(visitor.page.locator(".layer .opacity:visible")).to_have_count(1)
    for number in range(1, 5):
        visitor.row({"name": f"layer 0{number}"}).locator(".switch").click()
    expect(visitor.page.locator(".layer .opacity:visible")).to_have_count(0)
    row = visitor.row({"name": "layer 03"})
    row.get_by_role("button", name="More about").click()
    expect(row.locator(".opacity")).to_be_visible()
    box = visitor.row({"name": "layer 40"}).bounding_box()
    assert box is not None
    assert box["height"] < 42


def test_a_filter_that_nothing_fits_says_so(visitor: Visitor) -> None:
    answer_layers(visitor, {"": many(9)})
    visitor.open()
    search = visitor.page.get_by_role("searchbox", name="Filter layers")
    search.fill("<b>nowhere")
    empty = visitor.page.locator(".empty")
    expect(empty).to_have_text("No layer has “<b>nowhere” in its name.")
    search.fill("3")
    expect(empty).to_have_text("")


def test_a_long_title_takes_two_lines_and_is_whole_in_its_tip(visitor: Visitor) -> None:
    title = "Sentinel-2 " + "surface reflectance " * 12 + "the end"
    answer_layers(visitor, {"": {"layers": [layer_named("long", title=title)], "next": None}})
    visitor.open()
    span = visitor.page.locator(".layer-title > span")
    expect(span).to_have_attribute("title", title)
    lines = span.evaluate("e => e.clientHeight / parseFloat(getComputedStyle(e).lineHeight)")
    assert lines == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(("context"), [{"device_scale_factor": 2}], indirect=True)
def test_what_is_copied_has_the_style_the_opacity_and_the_size_shown(
    visitor: Visitor, context: BrowserContext, demo: Demo
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    name = demo.elevation["name"]
    fragment = link(9, *middle(demo.elevation), f"{name};o=0.4;s.palette=magma;s.max=0.25")
    visitor.open(fragment)
    row = visitor.row(demo.elevation)
    row.get_by_role("button", name="More about").click()
    row.get_by_role("button", name="Copy XYZ URL").click()
    expect(visitor.page.locator("#messages")).to_contain_text("XYZ URL copied.")
    template = str(visitor.page.evaluate("navigator.clipboard.readText()"))
    address = urlsplit(template)
    assert address.path.endswith("/{y}@2x.png")
    copied = parse_qs(address.query)
    assert {key: copied[key] for key in ("palette", "max", "opacity")} == {
        "palette": ["magma"],
        "max": ["0.25"],
        "opacity": ["0.4"],
    }
    tile = context.request.get(template.format(z=0, x=0, y=0))
    assert (tile.status, tile.headers["content-type"]) == (200, "image/png")


def test_tiles_that_have_just_come_stay_opaque_when_another_layer_is_shown(
    visitor: Visitor, demo: Demo
) -> None:
    # Time stands still: to the map each tile has come at this moment.
    visitor.page.clock.set_fixed_time("2025-01-01")
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    visitor.wait_for_tiles()
    visitor.row(demo.world).locator(".switch").click()
    visitor.wait_until("document.querySelectorAll('#map .leaflet-layer').length > 1")
    visitor.wait_for_tiles()
