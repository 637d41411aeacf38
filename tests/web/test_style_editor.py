"""The style editor driven as a person would, on four rasters; the server's PNG is the oracle.

The painted pixels in the middle of the page are compared with those of the tile for the parameters
that the look was meant to have.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import BrowserContext, expect
from rasterio import Affine

from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tests.support.waiting import PATIENCE_S
from tests.web.conftest import Visitor, fetch_json, link
from tileserver.config.config import Config, load_config
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

ZOOM, X, Y = 13, 4322, 3238
SIDE = 2 * 20037508.342789244 / 2**ZOOM
SIZE = 600
PIXEL = 30.0
BANDS = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]


def middle_of_tile() -> tuple[float, float]:
    """Return the latitude and longitude in the middle of the tile."""
    n = 2**ZOOM
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (Y + 0.5) / n))))
    return float(lat), (X + 0.5) / n * 360 - 180


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DEM, a land cover with a colour table, an orthophoto, a scene of ten bands."""
    folder = tmp_path_factory.mktemp("rasters")
    half = SIZE * PIXEL / 2
    middle_x = -20037508.342789244 + (X + 0.5) * SIDE
    middle_y = 20037508.342789244 - (Y + 0.5) * SIDE
    place = Affine(PIXEL, 0, middle_x - half, 0, -PIXEL, middle_y + half)
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[:SIZE, :SIZE] / 6
    waves = np.sin(rows) * np.cos(columns * 1.3)

    def write(name: str, values: NDArray[Any], **options: Any) -> Path:
        return write_raster(folder / f"{name}.tif", values, "EPSG:3857", place, **options)

    write("dem", (900 + 600 * waves).astype("float32")[None])
    land = (np.floor((waves + 1) * 2.4) % 5 + 1).astype("uint8")[None]
    with_table = write("landcover", land)
    with rasterio.open(with_table, "r+") as dataset:
        table = {
            1: (0, 100, 0),
            2: (255, 187, 34),
            3: (250, 0, 0),
            4: (0, 100, 200),
            5: (240, 240, 240),
        }
        dataset.write_colormap(1, {k: (*v, 255) for k, v in table.items()})
    photo = np.stack([(waves + 1) * 60 + 20 + 30 * each for each in range(3)])
    write(
        "ortho",
        (photo + random.normal(0, 4, photo.shape)).clip(0, 255).astype("uint8"),
        overviews=(),
    )
    scene = np.stack([300 + 200 * each + (900 + 100 * each) * (waves + 1) for each in range(10)])
    scene += random.normal(0, 30, scene.shape)
    write("scene", scene.clip(1, 20000).astype("uint16"), descriptions=BANDS)
    return folder


@pytest.fixture(scope="module")
def rasters_url(folder: Path) -> Iterator[str]:
    with serve(create_app(Config(), [Root(str(folder))])) as url:
        yield f"{url}/"


@pytest.fixture
def visitor(context: BrowserContext, rasters_url: str) -> Iterator[Visitor]:
    visitor = Visitor(context.new_page(), rasters_url)
    visitor.watch()
    yield visitor
    assert visitor.outside == []
    # The server's refusals of formulas are told by the console, too.
    assert [error for error in visitor.errors if "status of 400" not in error] == []


class Editor:
    """The style editor on a page."""

    def __init__(self, visitor: Visitor, name: str) -> None:
        visitor.open(link(ZOOM, *middle_of_tile(), name))
        self.visitor, self.name, self.page = visitor, name, visitor.page
        visitor.row({"name": name}).locator("[data-tool=style]").click()
        self.root = self.page.locator(".style-editor")
        self.root.wait_for()

    def button(self, name: str | re.Pattern[str]) -> Any:
        return self.root.get_by_role("button", name=name, exact=isinstance(name, str))

    def box(self, what: str, band: str) -> Any:
        return self.root.get_by_label(f"{what} of {band}, number", exact=True)

    def handle(self, what: str, band: str) -> Any:
        return self.root.get_by_role("slider", name=f"{what} of {band}", exact=True)

    def show(self, mode: str) -> None:
        self.root.locator(".segment", has_text=mode).click()

    def measured(self) -> None:
        expect(self.root.locator(".style-part [role=status]").first).to_contain_text("pixels")

    @property
    def style(self) -> dict[str, str]:
        """The style in the link, {} for the layer's own."""
        (layer,) = [
            each
            for each in self.visitor.fragment().split("&l=")[1].split("&")[0].split(",")
            if each.split(";")[0] == self.name
        ]
        pairs = (each.split("=", 1) for each in layer.split(";") if each.startswith("s."))
        return {name[2:]: unquote(text) for name, text in pairs}

    def wait_for(self, **members: str | re.Pattern[str] | None) -> None:
        """Wait until the link has these parameters; None is not at all."""
        for _ in range(int(PATIENCE_S * 20)):
            style = self.style
            if all(is_like(style.get(name), text) for name, text in members.items()):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"expected {members}, got {self.style}")

    def expect_style(self, **members: str | re.Pattern[str] | None) -> None:
        """Wait until the link has these parameters, then until it is painted so."""
        self.wait_for(**members)
        self.expect_painted()
        self.wait_for(**members)

    def expect_painted(self) -> None:
        """Wait until the page's middle is painted as the server draws the style in the link."""
        deadline = time.monotonic() + PATIENCE_S
        parameters: dict[str, str] | None = None
        while True:
            # A range that is measured comes into the link by itself.
            if parameters != self.style:
                parameters = self.style
                whole = tile(self.visitor.server_url, self.name, parameters)
                expected = whole[88:168, 88:168].astype(int)
                opaque = expected[..., 3] == 255
                assert opaque.mean() > 0.5
            differences = np.abs(self.visitor.picture() - expected[..., :3])[opaque]
            if differences.max() <= 1:
                return
            wrong = f"painted otherwise than {parameters}: {(differences > 1).sum()} values"
            assert time.monotonic() < deadline, f"{wrong}, by up to {differences.max()}"
            self.page.wait_for_timeout(100)


def is_like(text: str | None, wanted: str | re.Pattern[str] | None) -> bool:
    """Return whether a parameter is what it should be."""
    if isinstance(wanted, re.Pattern):
        return bool(wanted.fullmatch(text or ""))
    return text == wanted


def tile(url: str, name: str, parameters: dict[str, str]) -> NDArray[np.uint8]:
    """Return the tile in the middle of the page as the server draws it."""
    return np.asarray(Image.open(BytesIO(tile_bytes(url, name, parameters))).convert("RGBA"))


def tile_bytes(url: str, name: str, parameters: dict[str, str]) -> bytes:
    query = f"?{urlencode(parameters)}" if parameters else ""
    with urlopen(f"{url}tiles/{name}/{ZOOM}/{X}/{Y}.png{query}", timeout=PATIENCE_S) as answer:
        body: bytes = answer.read()
    return body


def test_a_scene_is_stretched_over_the_view_with_one_click(visitor: Visitor) -> None:
    editor = Editor(visitor, "scene")
    own = fetch_json(f"{visitor.server_url}info/scene")["parameters"]
    assert own["bands"] == "B4,B3,B2"
    # It starts from what the layer shows, in numbers.
    for index, band in enumerate(("B4", "B3", "B2")):
        expect(editor.box("Minimum", band)).to_have_value(own["min"].split(",")[index])
        expect(editor.box("Maximum", band)).to_have_value(own["max"].split(",")[index])
    editor.measured()
    editor.expect_painted()
    assert editor.style == {}
    editor.button("5–95 %").click()
    expect(editor.button("5–95 %")).to_have_attribute("aria-pressed", "true")
    figures = fetch_json(
        f"{visitor.server_url}statistics/scene?{last_statistics(visitor).split('?')[1]}"
    )
    assert "bbox=" in last_statistics(visitor)
    lows = [f"{figures[band]['percentiles']['5']:.6g}" for band in ("B4", "B3", "B2")]
    editor.expect_style(bands="B4,B3,B2", min=",".join(lows))
    # A preset of the whole layer, then the numbers of one band by hand.
    editor.root.locator(".segment", has_text="Whole layer").click()
    editor.button("Min–max").click()
    everything = fetch_json(f"{visitor.server_url}statistics/scene")
    editor.expect_style(max=",".join(str(everything[b]["max"]) for b in ("B4", "B3", "B2")))
    editor.box("Maximum", "B3").fill("2500")
    expect(editor.button("Min–max")).to_have_attribute("aria-pressed", "false")
    editor.expect_style(max=f"{everything['B4']['max']},2500,{everything['B2']['max']}")
    editor.button("Reset").click()
    expect(editor.box("Maximum", "B3")).to_have_value(own["max"].split(",")[1])
    editor.expect_style(min=None, max=None, bands=None)
    editor.button("Undo").click()
    expect(editor.box("Maximum", "B3")).to_have_value("2500")
    editor.button("Redo").click()
    expect(editor.box("Maximum", "B3")).to_have_value(own["max"].split(",")[1])


def tiles_of(visitor: Visitor) -> list[str]:
    return [url for url in visitor.requests if "/tiles/" in url]


def last_statistics(visitor: Visitor) -> str:
    return [url for url in visitor.requests if "/statistics/" in url][-1]


def test_a_band_of_a_scene_gets_a_palette_and_a_range_by_its_handles(visitor: Visitor) -> None:
    editor = Editor(visitor, "scene")
    editor.show("One band")
    editor.root.get_by_label("Band", exact=True).select_option("B8")
    editor.measured()
    editor.expect_style(bands="B8", palette=None)
    # From here on the map has the values, and asks the server for no tile.
    editor.page.locator("canvas[data-painted]").first.wait_for()
    expect(
        editor.page.locator("img.leaflet-tile, canvas.value-tile:not([data-painted])")
    ).to_have_count(0)
    asked = len(tiles_of(visitor))
    low = editor.handle("Minimum", "B8")
    before = float(low.get_attribute("aria-valuenow") or "")
    low.focus()
    editor.page.keyboard.press("ArrowRight")
    moved = float(low.get_attribute("aria-valuenow") or "")
    assert moved > before
    expect(editor.box("Minimum", "B8")).to_have_value(f"{moved:g}")
    high = editor.handle("Maximum", "B8")
    box = high.bounding_box()
    assert box is not None
    editor.page.mouse.move(box["x"] + 12, box["y"] + box["height"] - 12)
    editor.page.mouse.down()
    editor.page.mouse.move(box["x"] - 60, box["y"] + 30, steps=4)
    editor.page.mouse.up()
    dragged = float(high.get_attribute("aria-valuenow") or "")
    expect(editor.box("Maximum", "B8")).to_have_value(f"{dragged:g}")
    editor.expect_style(min=f"{moved:g}", max=f"{dragged:g}")
    # A palette: searched, chosen, turned around.
    editor.button(re.compile("^Palette:")).click()
    editor.root.get_by_label("Search palettes by name or kind").fill("diverging spec")
    editor.button("spectral").click()
    editor.expect_style(palette="spectral")
    editor.button("Reverse the palette").click()
    editor.expect_style(palette="spectral_r")
    assert tiles_of(visitor)[asked:] == []
    # Its colours as a list: text to swatches and back.
    editor.root.get_by_text("Edit colours").click()
    colors = editor.root.get_by_label("Colours, as hex digits with commas between")
    colors.fill("#123, nothing")
    expect(editor.root.locator("[data-parameter=palette]")).to_contain_text(
        "“nothing” is no colour"
    )
    assert editor.style["palette"] == "spectral_r"
    colors.fill("#000080, ffff00, f00")
    expect(editor.root.locator(".swatch")).to_have_count(3)
    editor.expect_style(palette="000080,ffff00,ff0000")
    editor.button("Remove colour 2").click()
    expect(colors).to_have_value("#000080, #ff0000")
    editor.button("Move colour 2 to the left").click()
    editor.button("Add a colour").click()
    editor.expect_style(palette="ff0000,000080,000080")
    # Tone and pixels.
    editor.root.get_by_label("Gamma, number").fill("1.7")
    editor.root.get_by_label("Curve").select_option("Logarithm")
    editor.root.get_by_label("Resampling").select_option("bilinear")
    editor.expect_style(gamma="1.7", stretch="log", resampling="bilinear")
    editor.root.get_by_label("Masked value").fill("zero")
    expect(editor.root.locator("[data-parameter=nodata]")).to_contain_text("expected a number")
    assert "nodata" not in editor.style


def test_a_formula_shows_the_servers_reason_beside_it_and_then_its_picture(
    visitor: Visitor,
) -> None:
    editor = Editor(visitor, "scene")
    editor.show("Formula")
    editor.button("NDVI").click()
    editor.expect_style(expression="(B8 - B4) / (B8 + B4)", palette="rdylgn", bands=None)
    editor.measured()
    formula = editor.root.get_by_label("Formula", exact=True).last
    good = editor.style
    formula.fill("(B8 - B99) / B4")
    mistake = editor.root.locator("[data-parameter=expression]")
    expect(mistake).to_contain_text("B99")
    expect(formula).to_have_attribute("aria-invalid", "true")
    assert editor.style == good
    formula.fill("B8 - B4")
    expect(mistake).to_be_hidden()
    editor.expect_style(expression="B8 - B4")
    editor.wait_for(max=re.compile(r"\d{3,}(\.\d+)?"))


def test_elevations_start_in_relief_and_become_a_hillshade(visitor: Visitor) -> None:
    editor = Editor(visitor, "dem")
    own = fetch_json(f"{visitor.server_url}info/dem")["parameters"]
    assert own["relief"] == "true"
    relief = editor.root.get_by_label("Shaded relief")
    expect(relief).to_be_checked()
    expect(editor.box("Minimum", "b1")).to_have_value(own["min"])
    editor.expect_painted()
    editor.button("±2 σ").click()
    editor.measured()
    editor.expect_style(relief="true", bands="b1", palette=own["palette"])
    relief.uncheck()
    editor.expect_style(relief="false")
    editor.show("Terrain")
    editor.expect_style(algorithm="hillshade", min="0", max="255", relief="false")
    editor.root.get_by_label("Light from (°), number").fill("90")
    editor.expect_style(azimuth="90")
    editor.root.get_by_label("Product").select_option("Slope")
    editor.expect_style(algorithm="slope", max="90", azimuth=None)
    editor.show("One band")
    editor.expect_style(algorithm=None, min=None)


def test_a_land_cover_starts_with_its_classes_and_elevations_get_intervals(
    visitor: Visitor,
) -> None:
    editor = Editor(visitor, "landcover")
    expect(editor.root.locator(".class-row")).to_have_count(5)
    expect(editor.root.get_by_label("Colour of class 2")).to_have_value("#ffbb22")
    editor.expect_painted()
    editor.root.get_by_label("Colour of class 2").fill("#ff00ff")
    editor.button("Remove class 5").click()
    editor.expect_style(
        colormap='{"1":"#006400","2":"#ff00ff","3":"#fa0000","4":"#0064c8"}', min=None
    )
    editor.page.keyboard.press("Escape")
    expect(editor.root).to_be_hidden()
    editor = Editor(visitor, "dem")
    editor.root.locator(".segment", has_text="Classes").click()
    expect(editor.root.locator(".class-row")).to_have_count(5)
    editor.root.get_by_label("Number of intervals").fill("3")
    editor.button("Intervals:").click()
    expect(editor.root.locator(".class-row")).to_have_count(3)
    three = re.compile(r"\[(\[[^]]+\],?){3}\]")
    editor.expect_style(min=None, palette=None, colormap=three)
    editor.root.locator(".segment", has_text="Palette").click()
    editor.expect_style(colormap=None)


def test_a_look_is_saved_as_a_layer_that_draws_the_same_bytes(
    visitor: Visitor, folder: Path
) -> None:
    tables: list[str] = []
    expected: dict[str, bytes] = {}
    for name, prepare in (("ortho", brighten), ("dem", shade), ("scene", vegetation)):
        editor = Editor(visitor, name)
        prepare(editor)
        editor.root.get_by_text("Save as layer").click()
        editor.root.get_by_label("Name", exact=True).fill(f"my.{name}")
        opacity = {"opacity": "0.5"} if name == "ortho" else {}
        # The address of its tiles says everything, and so does the link.
        text, address, style = settled(editor, opacity)
        assert list(tomllib.loads(text)["layers"]) == [f"my.{name}"]
        tables.append(text)
        url = address.format(z=ZOOM, x=X, y=Y)
        assert url.startswith(visitor.server_url)
        with urlopen(url, timeout=PATIENCE_S) as answer:
            expected[f"my.{name}"] = answer.read()
        assert expected[f"my.{name}"] == tile_bytes(visitor.server_url, name, style | opacity)
    config = folder / "tileserver.toml"
    config.write_text("\n".join([f"[[rasters]]\npath = '{folder}'\n", *tables]))
    with serve(create_app(load_config(config, {}, {}))) as url:
        for name, body in expected.items():
            assert tile_bytes(f"{url}/", name, {}) == body


def settled(editor: Editor, opacity: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    """Return lines, address of tiles and style once the page's own link says the same.

    The link follows after a moment, and a range once it is measured.
    """
    names = ("For tileserver.toml", "XYZ tiles", "Link to this map")
    fields = [editor.root.get_by_label(each, exact=True) for each in names]
    deadline = time.monotonic() + PATIENCE_S
    while True:
        values = [each.input_value() for each in fields]
        text, address, saved = values
        style = editor.style
        told = dict(parse_qsl(urlsplit(address).query))
        is_same = saved == editor.page.url and told == style | opacity
        if is_same and values == [each.input_value() for each in fields]:
            return text, address, style
        assert time.monotonic() < deadline, (values, editor.page.url)
        editor.page.wait_for_timeout(40)


def brighten(editor: Editor) -> None:
    editor.root.get_by_label("Gamma, number").fill("1.5")
    editor.root.get_by_label("Opacity, number").fill("0.5")
    editor.wait_for(gamma="1.5")


def shade(editor: Editor) -> None:
    editor.root.get_by_label("Masked value").fill("-9999")
    editor.button("Min–max").click()
    editor.wait_for(nodata="-9999", relief="true")


def vegetation(editor: Editor) -> None:
    editor.show("Formula")
    editor.button("NDVI").click()
    editor.wait_for(palette="rdylgn")


def test_the_editor_opens_by_its_key_and_gives_the_focus_back(visitor: Visitor) -> None:
    visitor.open(link(ZOOM, *middle_of_tile(), "ortho"))
    switch = visitor.row({"name": "ortho"}).locator(".switch")
    switch.focus()
    visitor.page.keyboard.press("s")
    visitor.page.locator(".style-editor").wait_for()
    expect(visitor.page.locator(".drawer-title")).to_be_focused()
    visitor.page.keyboard.press("Escape")
    expect(switch).to_be_focused()
    expect(visitor.page.locator(".style-editor")).to_have_count(0)
