"""Profiles along lines and figures of areas, drawn as a person would, beside rasterio."""

import csv
import io
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import Download, Locator, Page, expect
from rasterio.features import geometry_mask
from rasterio.warp import transform_bounds, transform_geom

from tests.web.conftest import Visitor, link
from tests.web.toolfiles import CLASSES, place, sample

LAT, LON = place(128, 128)
STEP = "2025-03-10"
GEOD = pyproj.Geod(ellps="WGS84")


def press(page: Page, x: float, y: float) -> None:
    """Press the map at a position from its middle."""
    box = page.locator("#map").bounding_box()
    assert box
    page.mouse.click(box["width"] / 2 + x, box["height"] / 2 + y)


def rows_of(download: Download) -> list[list[str]]:
    return list(csv.reader(io.StringIO(Path(download.path()).read_text())))


def ends(drawer: Locator) -> list[tuple[float, float]]:
    texts = [drawer.get_by_label(name, exact=True).input_value() for name in ("From", "To")]
    pairs = [tuple(map(float, text.split(", "))) for text in texts]
    return [(lon, lat) for lat, lon in pairs]


def test_a_profile_is_drawn_on_the_map_or_given_by_its_ends(
    user: Visitor, tool_folder: Path
) -> None:
    user.open(link(13, LAT, LON, "dem", "scenes"))
    page = user.page
    drawer = page.locator("#drawer")
    page.keyboard.press("l")
    drawer.get_by_role("button", name="Draw on the map").click()
    press(page, -90, 60)
    press(page, -20, -30)
    press(page, 60, 70)
    expect(page.locator("#inspector")).to_be_hidden()
    box = page.locator("#map").bounding_box()
    assert box
    page.mouse.dblclick(box["width"] / 2 + 60, box["height"] / 2 + 70)
    plot = drawer.get_by_role("slider")
    expect(plot).to_be_visible()
    expect(page.locator("path.sketch")).to_have_count(1)
    check_profile(drawer, page, tool_folder / "dem.tif", 256)
    # By the keyboard alone: both ends typed, the line read, the values by arrow keys.
    (west, south), (east, north) = (place(10, 250)[::-1], place(250, 10)[::-1])
    for name, (lon, lat) in (("From", (west, south)), ("To", (east, north))):
        drawer.get_by_label(name, exact=True).fill(f"{lat}, {lon}")
        page.keyboard.press("Tab")
    drawer.get_by_role("button", name="Read values").press("Enter")
    rows = check_profile(drawer, page, tool_folder / "dem.tif", 256)
    assert ends(drawer)[1] == (east, north)
    plot.focus()
    page.keyboard.press("End")
    text = plot.get_attribute("aria-valuetext") or ""
    assert text.endswith(f"{float(rows[-1][3]):g} m")
    drawer.get_by_role("combobox", name="Layer").select_option("scenes")
    expect(plot).to_have_attribute("aria-valuetext", "0 km: 220")
    page.get_by_role("button", name="Time after").click()
    expect(plot).to_have_attribute("aria-valuetext", "0 km: 40")
    drawer.get_by_label("From", exact=True).fill("nowhere")
    drawer.get_by_role("button", name="Read values").click()
    expect(drawer.get_by_label("From", exact=True)).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.locator("path.sketch")).to_have_count(0)


def check_profile(drawer: Locator, page: Page, path: Path, count: int) -> list[list[str]]:
    """Compare the file that is saved with rasterio's values and pyproj's distances."""
    with page.expect_download() as download:
        drawer.get_by_role("button", name="CSV").click()
    heads, *rows = rows_of(download.value)
    assert heads == ["distance_m", "lon", "lat", "b1"]
    assert len(rows) == count
    for row in rows[::15]:
        (value,) = sample(path, float(row[2]), float(row[1]))
        assert row[3] == ("" if value == -9999 else f"{value:g}")
    lons, lats = (np.array([float(row[n]) for row in rows]) for n in (1, 2))
    assert float(rows[-1][0]) == pytest.approx(GEOD.line_length(lons, lats), rel=1e-2)
    (west, south), (east, north) = ends(drawer)
    assert (lons[0], lats[0]) == pytest.approx((west, south), abs=2e-6)
    assert (lons[-1], lats[-1]) == pytest.approx((east, north), abs=2e-6)
    return rows


def test_a_box_has_figures_and_is_saved_as_geotiff_and_png(
    user: Visitor, tool_folder: Path, tmp_path: Path
) -> None:
    user.open(link(13, LAT, LON, "dem", "cover"))
    page = user.page
    drawer = page.locator("#drawer")
    page.locator("[data-tool=area]").click()
    drawer.get_by_role("button", name="Statistics").click()
    expect(drawer.locator("[role=status]")).to_contain_text("Draw an area first")
    drawer.get_by_role("button", name="Draw a box").click()
    press(page, -70, -60)
    press(page, 50, 80)
    expect(drawer.get_by_text("GeoTIFF: all pixels and bands, about")).to_be_visible()
    bbox = [
        float(drawer.get_by_label(name, exact=True).input_value())
        for name in ("West", "South", "East", "North")
    ]
    ring = [(bbox[0], bbox[1]), (bbox[2], bbox[1]), (bbox[2], bbox[3]), (bbox[0], bbox[3])]
    lons, lats = zip(*ring, strict=True)
    area = abs(GEOD.polygon_area_perimeter(lons, lats)[0])
    told = drawer.locator("[role=status]").inner_text().removesuffix(" km²")
    assert float(told) == pytest.approx(area / 1e6, rel=1e-3)
    with page.expect_download() as download:
        drawer.get_by_role("button", name="GeoTIFF").click()
    saved = tmp_path / "area.tif"
    download.value.save_as(saved)
    with rasterio.open(tool_folder / "dem.tif") as whole, rasterio.open(saved) as part:
        window = whole.window(*part.bounds).round_offsets().round_lengths()
        values = part.read(1)
        np.testing.assert_array_equal(values, whole.read(1, window=window))
        bounds = transform_bounds("EPSG:4326", whole.crs, *bbox, densify_pts=2)
        assert np.all(np.abs(np.subtract(part.bounds, bounds)) < 60)
    drawer.get_by_role("button", name="Statistics").click()
    figures = drawer.locator("tbody tr").first
    expect(figures).to_contain_text("b1")
    found = [float(text) for text in figures.locator("td").all_inner_texts()[:4]]
    expected = [values.min(), values.max(), values.mean(), values.astype(float).std()]
    assert found == pytest.approx([float(each) for each in expected], rel=1e-4)
    for name, value in (("East", "-110.9"), ("West", "-111")):
        drawer.get_by_label(name, exact=True).fill(value)
        page.keyboard.press("Tab")
    drawer.get_by_role("button", name="GeoTIFF").click()
    expect(drawer.locator(".wrong")).to_contain_text("the area does not meet dem")
    user.errors.clear()
    drawer.get_by_label("North", exact=True).fill("-91")
    page.keyboard.press("Tab")
    expect(drawer.get_by_label("North", exact=True)).to_have_attribute("aria-invalid", "true")


def test_a_polygon_is_drawn_by_the_keyboard_and_its_classes_are_counted(
    user: Visitor, tool_folder: Path
) -> None:
    user.open(link(12, LAT, LON, "cover", "dem"))
    page = user.page
    drawer = page.locator("#drawer")
    page.keyboard.press("d")
    drawer.get_by_role("button", name="Draw a polygon").press("Enter")
    page.locator("#map").focus()
    for keys in ("Up", "Left Down Down", "Right Right"):
        for key in keys.split():
            before = page.evaluate("location.hash")
            page.keyboard.press(f"Arrow{key}")
            user.wait_until(f"location.hash !== {before!r}")
        page.keyboard.press("Enter")
    drawer.get_by_role("button", name="End the polygon").press("Enter")
    expect(page.locator("path.sketch.polygon")).to_have_count(1)
    drawer.get_by_role("button", name="Statistics").click()
    drawer.locator("table").nth(1).wait_for()
    corners = drawer.get_by_label("Corners").input_value().split("\n")
    ring = [tuple(map(float, line.split(", ")))[::-1] for line in corners]
    assert len(ring) == 3
    cells = drawer.locator("table").nth(1).locator("tbody tr")
    found = {
        row.locator("th").inner_text(): int(row.locator("td").first.inner_text())
        for row in cells.all()
    }
    with rasterio.open(tool_folder / "cover.tif") as dataset:
        shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        projected = transform_geom("EPSG:4326", dataset.crs, shape)
        outside = geometry_mask([projected], dataset.shape, dataset.transform)
        counts = np.bincount(dataset.read(1)[~outside], minlength=6)
    for value, (name, _) in CLASSES.items():
        # Corners have six decimals on the page, which moves an edge by a tenth of a metre.
        assert found.get(name, 0) == pytest.approx(counts[value], abs=3)
    assert sum(found.values()) > 1000
    with page.expect_download() as download:
        drawer.get_by_role("button", name="CSV").click()
    assert ["band", "value", "class", "pixels"] in rows_of(download.value)
    with page.expect_download() as download:
        drawer.get_by_role("button", name="PNG").click()
    file = io.BytesIO(Path(download.value.path()).read_bytes())
    picture = np.asarray(Image.open(file).convert("RGBA"))
    # The corner of the box about it is outside of the triangle; within it are colours of classes.
    colors = {tuple(map(int, color)) for color in picture[picture[..., 3] == 255][:, :3]}
    assert colors <= {tuple(bytes.fromhex(color)) for _, color in CLASSES.values()}
    assert len(colors) == 3
    assert 0.2 < (picture[..., 3] == 255).mean() < 0.8
    page.keyboard.press("d")
    expect(drawer).to_be_hidden()


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}


@pytest.mark.parametrize("context", [PHONE], indirect=True)
def test_on_a_phone_there_is_room_to_draw_by_taps(user: Visitor) -> None:
    user.open(link(12, LAT, LON, f"scenes;s.time={STEP};s.min=0;s.max=255", "dem"))
    page = user.page
    bar = page.get_by_role("region", name="Time")
    bar.get_by_role("button", name="Time after").tap()
    expect(bar.locator("output")).to_have_text("2025-06-01")
    page.locator(".tool-more").tap()
    page.locator("[data-tool=profile]").tap()
    drawer = page.locator("#drawer")
    drawer.get_by_role("button", name="Draw on the map").tap()
    expect(drawer.get_by_label("From", exact=True)).to_be_hidden()
    for x, y in ((120, 330), (200, 400), (280, 340)):
        page.touchscreen.tap(x, y)
    drawer.get_by_role("button", name="End the line").tap()
    expect(drawer.get_by_role("slider")).to_have_attribute("aria-valuetext", "0 km: 150")
    expect(drawer).to_be_in_viewport()


def test_a_tool_that_cannot_be_fetched_says_so_and_comes_later(user: Visitor) -> None:
    page = user.page
    page.route("**/area.js", lambda route: route.abort())
    user.open(link(12, LAT, LON, "dem"))
    page.keyboard.press("d")
    expect(page.locator("#messages")).to_contain_text("This tool cannot be fetched")
    page.unroute("**/area.js")
    page.keyboard.press("d")
    expect(page.locator("#drawer")).to_be_visible()
    user.errors.clear()
