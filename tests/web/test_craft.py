"""Themes, forced colours, the sheet of a phone, sizes of targets, shortcuts, and embedding."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tests.support.waiting import PATIENCE_S
from tests.web.conftest import Demo, Visitor, link, middle
from tests.web.test_page import PHONE, colours


def painted(locator: Locator) -> NDArray[np.uint8]:
    """Return the pixels of an element, as (height, width, 3)."""
    return np.asarray(
        Image.open(io.BytesIO(locator.screenshot(animations="disabled"))).convert("RGB")
    )


@pytest.mark.parametrize("context", [{"color_scheme": "light"}], indirect=True)
def test_the_theme_is_chosen_remembered_and_in_no_link(visitor: Visitor) -> None:
    visitor.open("#l=")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = visitor.page.evaluate(ground)
    button = visitor.page.get_by_role("button", name="Theme")
    button.click()
    assert visitor.page.evaluate(ground) == light
    button.click()
    dark = visitor.page.evaluate(ground)
    assert dark != light
    visitor.open("#l=")
    assert visitor.page.evaluate(ground) == dark
    assert "theme" not in visitor.fragment()
    visitor.page.get_by_role("button", name="Theme").click()
    for scheme, colour in (("dark", dark), ("light", light)):
        visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(visitor.page.locator("html")).to_have_attribute("data-theme", scheme)
        assert visitor.page.evaluate(ground) == colour


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_switches_tell_on_from_off_in_forced_colours(
    browser: Browser, server_url: str, demo: Demo, scheme: str
) -> None:
    context = browser.new_context(
        forced_colors="active",
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_S * 1000)
    visitor = Visitor(context.new_page(), server_url)
    visitor.open(link(3, 0, 0, demo.scene["name"]))
    # A row may begin between two pixels.
    on = painted(visitor.row(demo.scene).locator(".switch"))[:22]
    off = painted(visitor.row(demo.world).locator(".switch"))[:22]
    for picture in (on, off):
        # The knob stands out from the track.
        grey = picture.astype(float).mean(axis=2)
        assert grey.max() - grey.min() > 100
    assert np.abs(on.astype(float) - off).mean() > 20
    context.close()


@pytest.mark.parametrize("context", [PHONE], indirect=True)
def test_the_sheet_of_a_phone_has_three_heights_by_finger_and_by_button(
    visitor: Visitor, demo: Demo
) -> None:
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    panel = visitor.page.locator("#panel")
    expect(panel).to_have_attribute("data-height", "closed")
    for height in ("half", "full", "closed", "half"):
        visitor.page.get_by_role("button", name="Sheet:").tap()
        expect(panel).to_have_attribute("data-height", height)
    head = visitor.page.locator(".panel-toggle")

    def drag(to_y: int) -> None:
        box = head.bounding_box()
        assert box is not None
        visitor.page.mouse.move(box["x"] + 100, box["y"] + 40)
        visitor.page.mouse.down()
        visitor.page.mouse.move(box["x"] + 100, (box["y"] + 40 + to_y) / 2)
        visitor.page.mouse.move(box["x"] + 100, to_y)
        visitor.page.mouse.up()

    drag(60)
    expect(panel).to_have_attribute("data-height", "full")
    drag(500)
    expect(panel).to_have_attribute("data-height", "half")
    drag(830)
    expect(panel).to_have_attribute("data-height", "closed")
    head.tap()
    expect(panel).to_have_attribute("data-height", "half")
    box = panel.bounding_box()
    assert box is not None
    assert box["height"] <= 844 / 2 + 1


SIZES = """least => {
    const all = document.querySelectorAll(
        '#panel :is(button, input), #tools button, dialog button');
    const shown = [...all].filter(one => one.offsetParent && !one.matches('.layer-title *'));
    return shown.map(one => [one.ariaLabel || one.textContent || one.className,
        one.getBoundingClientRect()])
        .filter(([, box]) => Math.min(box.width, box.height) < least)
        .map(([name, box]) => `${name}: ${box.width} x ${box.height}`);
}"""


@pytest.mark.parametrize(
    ("context", "least"), [({}, 24), (PHONE, 44)], indirect=["context"], ids=["mouse", "finger"]
)
def test_targets_are_large_enough(visitor: Visitor, demo: Demo, least: int) -> None:
    visitor.open(link(11, *middle(demo.scene), demo.scene["name"]))
    if least == 44:
        visitor.page.get_by_role("button", name="Sheet:").tap()
        visitor.page.get_by_role("button", name="Tools").tap()
    visitor.row(demo.scene).get_by_role("button", name="More about").click()
    assert visitor.page.evaluate(SIZES, least) == []
    visitor.page.get_by_role("button", name="Add a layer").click()
    expect(visitor.page.locator(".assets li").first).to_be_visible()
    assert visitor.page.evaluate(SIZES, least) == []


def test_a_question_mark_lists_the_shortcuts_which_can_be_switched_off(visitor: Visitor) -> None:
    visitor.open("#l=")
    page = visitor.page
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_contain_text("Ctrl+Z")
    expect(dialog).to_contain_text("Add a layer")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("a")
    adding = page.get_by_role("dialog", name="Add a layer")
    # In a field a letter is a letter.
    adding.get_by_role("searchbox").press("?")
    expect(dialog).to_have_count(0)
    expect(adding.get_by_role("searchbox")).to_have_value("?")
    adding.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Keyboard").click()
    dialog.get_by_role("switch").click()
    dialog.get_by_role("button", name="Close").click()
    visitor.open("#l=")
    page.keyboard.press("?")
    page.keyboard.press("Control+z")
    expect(dialog).to_have_count(0)


def test_embedded_the_map_is_alone_with_its_legend_if_that_is_wanted(
    visitor: Visitor, demo: Demo
) -> None:
    fragment = link(9, *middle(demo.elevation), demo.elevation["name"], f"{demo.world['name']};v=0")
    visitor.page.goto(f"{visitor.server_url}?embed=1{fragment}")
    visitor.wait_for_tiles()
    assert colours(visitor.picture()) > 20
    shown = visitor.page.locator("button:visible, input:visible, #panel:visible, aside:visible")
    expect(shown).to_have_count(0)
    visitor.page.keyboard.press("?")
    visitor.page.mouse.click(512, 320)
    expect(visitor.page.locator("dialog, .pin")).to_have_count(0)
    expect(visitor.page.locator(".credits")).to_be_visible()
    visitor.page.goto(f"{visitor.server_url}?embed=1&legend=1{fragment}")
    legend = visitor.page.get_by_role("complementary", name="Legend")
    expect(legend.locator("h2")).to_have_text([demo.elevation["title"]])
    expect(legend.locator(".ends span")).to_have_count(3)
    assert visitor.errors == []
