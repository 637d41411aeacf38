"""The page by the rules of axe-core, in the system's colours, and without anything cut off."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.web.conftest import Demo, Visitor, link

AXE = Path(__file__).parent / "libraries" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async ([root, rules]) => {
    const options = {runOnly: rules, resultTypes: ["violations"]};
    const {violations} = await axe.run(root, options);
    return violations.flatMap(({id, nodes}) =>
        nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}"""
CUT = """(root) => [...root.querySelectorAll(".legend, .legend *, .card-body, .layer-title > span")]
    .filter((each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0
        && getComputedStyle(each).display !== "inline")
    .map((each) => `${each.className}: ${each.textContent}`)"""
SMALL = """(least) => [...document.querySelectorAll("button, select, input, summary")]
    .filter((each) => each.checkVisibility({visibilityProperty: true}) && each.offsetWidth)
    .map((each) => {
        const boxes = [each, ...(each.labels ?? [])].map((part) => part.getBoundingClientRect());
        const side = (name) => Math.max(...boxes.map((box) => box[name]));
        const isWide = side("width") > least - 0.5 || each.matches(".grip");
        return isWide && side("height") > least - 0.5 ? "" : each.outerHTML.slice(0, 160);
    })
    .filter(Boolean)"""
WIDE = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}
TABLET = {"viewport": {"width": 820, "height": 1180}, "color_scheme": "dark"}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}


class Checker:
    """A page with axe-core in it, and what axe-core found."""

    def __init__(self, visitor: Visitor) -> None:
        self.page: Page = visitor.page
        self.found: set[str] = set()
        self.is_phone = bool(self.page.evaluate("innerWidth < 720"))

    def check(self, root: str = "body") -> None:
        """Note what is wrong below an element, in both themes, and what is too small or cut off."""
        # What is scrolled below a bar has no room for a finger there.
        self.page.evaluate(
            "for (const each of document.querySelectorAll('.card-body')) each.scrollTop = 0"
        )
        for theme in ("light", "dark"):
            self.page.emulate_media(color_scheme=theme)
            self.found |= set(self.page.evaluate(RUN, [root, RULES]))
        self.found |= {f"cut: {each}" for each in self.page.evaluate(f"({CUT})(document)")}
        small = self.page.evaluate(SMALL, 44 if self.is_phone else 24)
        self.found |= {f"small: {each}" for each in small}

    def drawer(self) -> Locator:
        return self.page.locator("#drawer")

    def tool(self, name: str) -> None:
        more = self.page.locator(".tool-more")
        if self.is_phone and more.get_attribute("aria-expanded") == "false":
            more.click()
        self.page.locator(f"#tools [data-tool={name}]").click()

    def close(self) -> None:
        self.page.keyboard.press("Escape")
        expect(self.drawer()).to_be_hidden()


@pytest.mark.parametrize(
    "context", [WIDE, TABLET, PHONE], indirect=True, ids=["wide", "tablet", "phone"]
)
def test_the_page_is_clean_by_axe_with_each_menu_open(visitor: Visitor, demo: Demo) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not there: npm ci in tests/web/libraries puts it there")
    page = visitor.page
    # The page's own policy does not apply to scripts that the browser's tools bring.
    visitor.open(link(9, 37.7, -119.7, "sierra-nevada-sunlight", "sierra-nevada"))
    page.evaluate(AXE.read_text())
    checker = Checker(visitor)
    if checker.is_phone:
        checker.check()
        page.locator(".panel-toggle").click()
    row = visitor.row({"name": "sierra-nevada-sunlight"})
    expect(row.locator(".strip")).to_be_visible()
    row.get_by_role("button", name=re.compile("^More about")).click()
    checker.check()
    for tool, content in (("style", ".style-editor"), ("use", ".use"), ("about", ".facts")):
        row.locator(f"[data-tool={tool}]").click()
        expect(checker.drawer().locator(content).first).to_be_visible()
        if tool == "style":
            checker.drawer().locator(".palette-open").click()
            expect(checker.drawer().locator(".palette-row").first).to_be_visible()
        checker.check("#drawer")
        checker.close()
    page.get_by_role("button", name="Add a layer").click()
    expect(page.locator("dialog .assets li").first).to_be_visible()
    checker.check("dialog")
    page.keyboard.press("Escape")
    if checker.is_phone:
        page.locator(".panel-toggle").click()
    for tool in ("go-to", "help"):
        checker.tool(tool)
        expect(page.locator("dialog")).to_be_visible()
        checker.check("dialog")
        page.keyboard.press("Escape")
    for tool in ("base-map", "area", "profile"):
        checker.tool(tool)
        expect(checker.drawer()).to_be_visible()
        checker.check("#drawer")
        checker.close()
    checker.tool("compare")
    expect(page.locator("#compare")).to_be_visible()
    checker.check("#compare")
    checker.tool("compare")
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    over_time = page.locator("#inspector").get_by_role("button", name="Over time")
    over_time.click()
    expect(checker.drawer().locator("svg path").first).to_be_attached()
    checker.check("#side")
    assert sorted(checker.found) == []


@pytest.mark.parametrize("context", [WIDE | {"forced_colors": "active"}], indirect=True)
def test_switches_and_sliders_show_in_the_colours_of_the_system(
    visitor: Visitor, demo: Demo
) -> None:
    visitor.open()
    row = visitor.row(demo.scene)
    switches = row.get_by_role("switch"), visitor.row(demo.elevation).get_by_role("switch")
    expect(switches[0]).to_be_checked()
    expect(switches[1]).not_to_be_checked()
    on, off = (colors_of(switch) for switch in switches)
    assert len(set(on)) == len(set(off)) == 2, "the knob is not to be told from its track"
    assert on != off, "on is not to be told from off"
    thumb = colors_of(row.get_by_role("slider"))
    assert len(set(thumb)) > 1


def colors_of(control: Locator) -> tuple[Any, ...]:
    """Return the colours of a control's edge, background and knob as they are painted."""
    pixels = np.asarray(Image.open(io.BytesIO(control.screenshot())).convert("RGB")).reshape(-1, 3)
    colors, counts = np.unique(pixels, axis=0, return_counts=True)
    return tuple(tuple(int(n) for n in color) for color in colors[np.argsort(-counts)][:2])
