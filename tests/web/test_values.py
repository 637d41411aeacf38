"""The inspector and the series of a place, driven as a person would, beside rasterio."""

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import mercantile
import pytest
import rasterio
from playwright.sync_api import Page, expect

from tests.support.waiting import PATIENCE_S
from tests.web.conftest import Visitor, link
from tests.web.toolfiles import DAYS, place, sample

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
LAT, LON = place(128.5, 100.5)


def copied(page: Page, button: str) -> str:
    page.evaluate("navigator.clipboard.writeText('')")
    page.get_by_role("button", name=button).click()
    expect(page.locator("#messages")).to_contain_text("Values copied.")
    # The note goes by itself, and an earlier one may still be there.
    deadline = time.monotonic() + PATIENCE_S
    while not (text := str(page.evaluate("navigator.clipboard.readText()"))):
        assert time.monotonic() < deadline, "nothing was copied"
        page.wait_for_timeout(40)
    return text


@pytest.mark.parametrize("context", [CLIPBOARD], indirect=True)
def test_the_inspector_tells_units_classes_and_the_tile_and_copies_them(
    user: Visitor, tool_folder: Path
) -> None:
    user.open(link(13, LAT, LON, "dem", "cover", "scenes"))
    page = user.page
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    card = page.locator("#inspector")
    (height,) = sample(tool_folder / "dem.tif", LAT, LON)
    expect(card.locator("[data-layer=dem] dd")).to_have_text(f"{height:g} m")
    expect(card.locator("[data-layer=cover] dd")).to_have_text("2Forest")
    expect(card.locator("[data-layer=scenes] dd")).to_have_text(str(DAYS["20250701"]))
    expect(card.locator("[data-layer=dem]")).to_contain_text("pixels of 30 m")
    expect(card.locator("[aria-live=polite]")).to_be_visible()
    found = json.loads(copied(page, "Copy as JSON"))
    assert found["layers"] == {"dem": {"b1": height}, "cover": {"b1": 2}, "scenes": {"b1": 220}}
    assert found["about"] == {"dem": {"unit": {"b1": "m"}}, "cover": {"class": {"b1": "Forest"}}}
    tile = found["tile"]
    expect(card).to_contain_text(f"z {tile['z']} · x {tile['x']} · y {tile['y']}")
    assert (tile["x"], tile["y"], tile["z"]) == mercantile.tile(LON, LAT, 13)
    rows = list(csv.DictReader(io.StringIO(copied(page, "Copy as CSV"))))
    assert [(row["layer"], row["band"], float(row["value"])) for row in rows] == [
        ("dem", "b1", height),
        ("cover", "b1", 2),
        ("scenes", "b1", 220),
    ]
    assert [(row["unit"], row["class"]) for row in rows] == [("m", ""), ("", "Forest"), ("", "")]


def test_the_open_inspector_follows_time_and_what_is_shown(user: Visitor) -> None:
    user.open(link(13, LAT, LON, "scenes"))
    page = user.page
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    card = page.locator("#inspector")
    expect(card.locator("dd")).to_have_text("220")
    page.goto(user.server_url + link(13, LAT, LON, "scenes;s.time=2025-03-10", "dem"))
    expect(card.locator("[data-layer=scenes] dd")).to_have_text("90")
    expect(card.locator("[data-layer=scenes]")).to_contain_text("2025-03-10")
    expect(card.locator("[data-layer=dem] dd")).to_have_count(1)
    user.row({"name": "scenes"}).get_by_role("switch").uncheck()
    expect(card.locator("[data-layer=scenes]")).to_have_count(0)


def test_the_series_of_a_place_is_a_chart_a_table_and_a_file(user: Visitor) -> None:
    user.open(link(13, LAT, LON, "scenes", "dem"))
    page = user.page
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    card = page.locator("#inspector")
    expect(card.locator("[data-layer=dem] [data-tool=series]")).to_have_count(0)
    card.locator("[data-layer=scenes] [data-tool=series]").click()
    drawer = page.locator("#drawer")
    plot = drawer.get_by_role("slider")
    expect(plot).to_have_attribute("aria-valuetext", "2025-01-05: 40")
    plot.focus()
    said = []
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
        said.append(plot.get_attribute("aria-valuetext"))
    days = [f"{day[:4]}-{day[4:6]}-{day[6:]}: {value}" for day, value in DAYS.items()]
    assert said == [*days, days[-1]]
    drawer.get_by_text("As a table").click()
    cells = drawer.locator("tbody tr").all_inner_texts()
    assert [each.split("\t") for each in cells] == [each.split(": ") for each in days]
    heights = points_of(page)
    assert sorted(heights, reverse=True) == heights
    assert len(heights) == 4
    with page.expect_download() as download:
        drawer.get_by_role("button", name="CSV").click()
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text())))
    assert rows[0] == ["time", "b1"]
    assert [int(row[1]) for row in rows[1:]] == list(DAYS.values())
    plot.focus()
    page.keyboard.press("Home")
    drawer.get_by_role("button", name="Show this time").click()
    expect(card.locator("[data-layer=scenes] dd")).to_have_text("40")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def points_of(page: Page) -> list[float]:
    """Return the heights of the dots of the chart; 0 is on top."""
    dots: list[Any] = page.locator(".chart-dot").evaluate_all(
        "dots => dots.map(dot => Number(dot.getAttribute('cy')))"
    )
    return dots


def test_the_metadata_of_a_layer_are_shown(user: Visitor, tool_folder: Path) -> None:
    user.open(link(12, LAT, LON, "cover", "dem", "scenes"))
    page = user.page
    drawer = page.locator("#drawer")
    for name in ("dem", "scenes", "cover"):
        row = user.row({"name": name})
        row.get_by_role("button", name="More about").click()
        row.locator("[data-tool=about]").click()
        expect(drawer.get_by_role("heading", name=f"About {name}")).to_be_focused()
        drawer.locator(".facts").first.wait_for()
        facts = dict(
            zip(
                drawer.locator(".facts dt").all_inner_texts(),
                drawer.locator(".facts dd").all_inner_texts(),
                strict=True,
            )
        )
        assert (facts["CRS"], facts["Pixel"]) == ("EPSG:32612", "30 m")
        if name == "dem":
            with rasterio.open(tool_folder / "dem.tif") as dataset:
                assert facts["Size"] == f"{dataset.width} × {dataset.height} pixels"
                assert facts["Types"] == dataset.dtypes[0]
                assert float(facts["No data"]) == dataset.nodata
                factors = dataset.overviews(1)
            assert facts["Overviews"] == ", ".join(f"1:{factor}" for factor in factors)
            assert drawer.locator("table td").all_inner_texts() == ["float32", "m"]
        if name == "scenes":
            assert facts["Files"] == "4, newest on top"
            assert facts["Taken"].startswith("2025-01-05")
        if name == "cover":
            assert [facts[each] for each in "125"] == ["Water", "Forest", "Town"]
    properties = drawer.locator("section", has_text="properties").last
    drawer.get_by_role("searchbox", name="Search properties").fill("property_7")
    expect(properties.locator("dt:visible")).to_have_text(["SCENE_PROPERTY_7"])
    expect(properties.locator("dd:visible")).to_have_text(["77"])
    drawer.get_by_role("searchbox", name="Search properties").fill("no such thing")
    expect(properties).to_contain_text("No property has this text.")
    page.keyboard.press("Escape")
    expect(user.row({"name": "cover"}).locator("[data-tool=about]")).to_be_focused()
