"""The slider of times and the comparison of two layers: what they paint, and what a link keeps."""

import re
import time

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Route, expect

from tests.support.waiting import PATIENCE_S
from tests.web.conftest import Visitor, link
from tests.web.toolfiles import DAYS, place

LAT, LON = place(128, 128)
GRAY = ";s.min=0;s.max=255"
STEPS = [f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in DAYS]
VALUES = list(DAYS.values())


def wait_for_picture(user: Visitor, left: int, right: int | None = None) -> None:
    """Wait until the left and the right of the middle of the map have these grays."""
    expected = (left, left if right is None else right)
    deadline = time.monotonic() + PATIENCE_S
    while not np.allclose(found := halves(user.picture()), expected, atol=2):
        assert time.monotonic() < deadline, f"{found} is not {expected}"
        user.page.wait_for_timeout(50)


def halves(picture: NDArray[np.uint8]) -> tuple[float, float]:
    return float(np.median(picture[:, :25])), float(np.median(picture[:, -25:]))


def test_times_are_stepped_through_and_kept_in_the_link(user: Visitor) -> None:
    user.open(link(12, LAT, LON, "scenes" + GRAY))
    page = user.page
    bar = page.get_by_role("region", name="Time")
    label = bar.locator("output")
    expect(label).to_have_text("All times")
    wait_for_picture(user, VALUES[-1])
    for step, value in zip(STEPS, VALUES, strict=True):
        page.keyboard.press(".")
        expect(label).to_have_text(step)
        wait_for_picture(user, value)
    slider = bar.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(label).to_have_text(STEPS[2])
    expect(slider).to_have_attribute("aria-valuetext", STEPS[2])
    wait_for_picture(user, VALUES[2])
    user.wait_until(f"location.hash.includes('t={STEPS[2]}')")
    shared = user.fragment()
    user.open(shared)
    expect(label).to_have_text(STEPS[2])
    wait_for_picture(user, VALUES[2])
    bar.get_by_role("button", name="All times").click()
    wait_for_picture(user, VALUES[-1])
    # Two presses are two steps, whether or not the tiles of the first have come.
    page.keyboard.press(".")
    page.keyboard.press(".")
    wait_for_picture(user, VALUES[1])
    # Steps of time are no steps of Undo: there is nothing to take back but the style.
    page.goto(user.server_url + link(12, LAT, LON, "scenes" + GRAY) + "&t=2025-04")
    wait_for_picture(user, VALUES[1])
    user.row({"name": "scenes"}).get_by_role("switch").uncheck()
    expect(bar).to_be_hidden()


def test_a_time_is_shown_when_its_tiles_are_there_and_play_goes_on(user: Visitor) -> None:
    held: list[Route] = []
    page = user.page
    may_pass: list[bool] = []

    def hold(route: Route) -> None:
        route.continue_() if may_pass else held.append(route)

    page.route(re.compile(rf"/tiles/.*time={STEPS[1]}"), hold)
    user.open(link(12, LAT, LON, f"scenes;s.time={STEPS[0]}{GRAY}"))
    bar = page.get_by_role("region", name="Time")
    label = bar.locator("output")
    expect(label).to_have_text(STEPS[0])
    wait_for_picture(user, VALUES[0])
    bar.get_by_role("button", name="Time after").click()
    user.wait_until("document.querySelectorAll('img.leaflet-tile[src*=\"2025-03-10\"]').length > 0")
    deadline = time.monotonic() + PATIENCE_S
    while not held:
        assert time.monotonic() < deadline, "no tile of the next time is asked for"
        page.wait_for_timeout(20)
    wait_for_picture(user, VALUES[0])
    expect(label).to_have_text(STEPS[0])
    may_pass.append(True)
    for route in held:
        route.continue_()
    expect(label).to_have_text(STEPS[1])
    wait_for_picture(user, VALUES[1])
    bar.get_by_role("button", name="Play").click()
    expect(label).to_have_text(STEPS[3])
    expect(label).to_have_text(STEPS[0])
    bar.get_by_role("button", name="Pause").click()
    expect(bar.get_by_role("button", name="Play")).to_be_visible()


def test_two_layers_are_compared_by_a_line_by_keys_and_one_after_the_other(user: Visitor) -> None:
    first, last = (f"scenes;s.time={STEPS[n]}{GRAY}" for n in (0, 3))
    user.open(link(12, LAT, LON, first.replace("scenes", "scenes;n=2"), last))
    page = user.page
    wait_for_picture(user, VALUES[0])
    page.locator("[data-tool=compare]").click()
    line = page.get_by_role("slider", name="Line between")
    expect(line).to_be_focused()
    wait_for_picture(user, VALUES[0], VALUES[3])
    page.keyboard.press("Home")
    wait_for_picture(user, VALUES[3])
    page.keyboard.press("End")
    wait_for_picture(user, VALUES[0])
    box = page.locator("#map").bounding_box()
    assert box
    page.mouse.move(box["width"] - 2, 300)
    page.mouse.down()
    page.mouse.move(box["width"] / 2, 300, steps=3)
    page.mouse.up()
    wait_for_picture(user, VALUES[0], VALUES[3])
    expect(line).to_have_attribute("aria-valuenow", "50")
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowLeft")
    user.wait_until("location.hash.includes('cmp=scenes~2,scenes,0.580')")
    shared = user.fragment()
    page.keyboard.press("x")
    wait_for_picture(user, VALUES[0])
    page.keyboard.press("x")
    wait_for_picture(user, VALUES[3])
    page.keyboard.press("c")
    expect(line).to_be_hidden()
    wait_for_picture(user, VALUES[0])
    user.open(shared)
    expect(line).to_have_attribute("aria-valuenow", "58")
    page.get_by_role("combobox", name="Layer on the left").select_option("scenes")
    page.get_by_role("combobox", name="Layer on the right").select_option("scenes~2")
    wait_for_picture(user, VALUES[3])
    page.keyboard.press("Escape")
