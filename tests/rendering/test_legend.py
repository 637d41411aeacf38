import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from tileserver.contract.pixels import BandArrays, Range, VisualizationOptions
from tileserver.errors import InvalidRequest
from tileserver.rendering.colormaps import named_palette
from tileserver.rendering.legend import WIDTH, legend_svg
from tileserver.rendering.render import draw

SVG = "{http://www.w3.org/2000/svg}"
GREY = VisualizationOptions((Range(20, 140),))


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text")]


def stops(svg: str) -> list[tuple[float, str]]:
    found = ET.fromstring(svg).iter(f"{SVG}stop")
    return [(float(each.attrib["offset"]), each.attrib["stop-color"]) for each in found]


def test_it_is_a_picture_with_a_title_for_those_who_cannot_see_it() -> None:
    root = ET.fromstring(legend_svg("Elevation", ["elevation"], GREY))
    assert root.tag == f"{SVG}svg"
    assert (root.attrib["role"], root.attrib["width"]) == ("img", str(WIDTH))
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "Elevation"


def test_one_band_has_a_bar_from_min_over_the_middle_to_max() -> None:
    svg = legend_svg("Elevation", ["elevation"], GREY)
    assert texts(svg) == ["Elevation", "elevation", "20", "80", "140"]
    assert stops(svg) == [(0.0, "#000000"), (1.0, "#ffffff")]


@pytest.mark.parametrize("options", [None, VisualizationOptions()])
def test_without_ranges_the_bar_is_0_to_255(options: VisualizationOptions | None) -> None:
    assert texts(legend_svg("x", ["B1"], options))[2:] == ["0", "127.5", "255"]


def test_a_palette_is_shown_stop_by_stop() -> None:
    palette = named_palette("viridis")
    assert palette is not None
    svg = legend_svg("NDVI", ["NDVI"], VisualizationOptions((Range(-0.2, 0.9),), palette))
    assert [color for _, color in stops(svg)] == [f"#{stop}" for stop in palette]
    assert texts(svg)[2:] == ["-0.2", "0.35", "0.9"]


def test_one_color_fills_the_bar() -> None:
    svg = legend_svg("x", ["x"], VisualizationOptions((Range(0, 1),), ("red",)))
    assert stops(svg) == [(0.0, "#ff0000"), (1.0, "#ff0000")]


@pytest.mark.parametrize("palette", [(), ("000080", "ffff00", "800000")])
def test_with_gamma_the_bar_has_the_colors_of_the_map(palette: tuple[str, ...]) -> None:
    options = VisualizationOptions((Range(0, 1000),), palette, gamma=2.2)
    found = stops(legend_svg("x", ["x"], options))
    values = np.array([[[offset * 1000 for offset, _ in found]]])
    bands = BandArrays(("x",), values, np.ones(values.shape, bool))
    drawn = draw(bands, options).color[0].reshape(len(found), -1)
    shown = [[int(color[at : at + 2], 16) for at in (1, 3, 5)] for _, color in found]
    assert np.abs(np.array(shown) - drawn).max() <= 1
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(found))


def test_classes_are_swatches_with_their_names() -> None:
    options = VisualizationOptions((Range(0, 2),), ("419bdf", "397d49", "88b053"))
    svg = legend_svg("Land cover", ["class"], options, ["Water", "Trees", "Grass"])
    fills = [each.attrib["fill"] for each in ET.fromstring(svg).iter(f"{SVG}rect")]
    assert fills[1:] == ["#419bdf", "#397d49", "#88b053"]
    assert texts(svg) == ["Land cover", "Water", "Trees", "Grass"]


def test_classes_of_few_values_are_swatches_of_those_values() -> None:
    options = VisualizationOptions((Range(10, 13),), ("ff0000", "00ff00", "00ff00", "0000ff"))
    svg = legend_svg("cover", ["b"], options, (), [(10, "Trees"), (13, "Water")])
    assert texts(svg)[-2:] == ["Trees", "Water"]
    assert [svg.count(f'fill="#{each}"') for each in ("ff0000", "00ff00", "0000ff")] == [1, 0, 1]
    three = legend_svg("cover", ["r", "g", "b"], None, (), [(10, "Trees")])
    assert "Trees" not in three


def test_three_bands_name_their_channels_and_ranges() -> None:
    ranges = (Range(0, 3000), Range(-1, 1), Range(0, 0.25))
    svg = legend_svg("Delta", ["B4", "B3", "B2"], VisualizationOptions(ranges))
    assert texts(svg) == [
        "Delta",
        *("R", "B4", "0 to 3000"),
        *("G", "B3", "-1 to 1"),
        *("B", "B2", "0 to 0.25"),
    ]
    shared = legend_svg("Delta", ["B4", "B3", "B2"], VisualizationOptions((Range(0, 9),)))
    assert texts(shared).count("0 to 9") == 3


@pytest.mark.parametrize("title", ["<script>alert(1)</script>", "]]>&\"'", "a\x00b\ud800\uffff"])
def test_nothing_in_a_name_becomes_markup(title: str) -> None:
    classes = legend_svg(title, ["x"], GREY, [title])
    for svg in (legend_svg(title, [title], GREY), classes, legend_svg(title, [title] * 3, GREY)):
        tags = {each.tag.removeprefix(SVG) for each in ET.fromstring(svg).iter()}
        assert tags <= {"svg", "title", "g", "rect", "text", "defs", "linearGradient", "stop"}


def test_a_long_title_is_cut_where_it_is_drawn_and_whole_where_it_is_read() -> None:
    svg = legend_svg("long " * 40, ["x"], GREY)
    assert len(texts(svg)[0]) < 30
    assert ET.fromstring(svg)[0].text == "long " * 40


def test_without_a_title_the_bands_are_named() -> None:
    assert texts(legend_svg("", ["B4", "B3", "B2"], GREY))[0] == "B4, B3, B2"


def test_two_legends_on_a_page_do_not_share_a_gradient() -> None:
    blue = VisualizationOptions((Range(0, 1),), ("white", "blue"))
    ids = {
        each.attrib["id"]
        for options in (GREY, blue)
        for each in ET.fromstring(legend_svg("x", ["x"], options)).iter(f"{SVG}linearGradient")
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    "between", [Range(-1.7e308, 1.7e308), Range(0, 5e-324), Range(-1e-9, 123456789)]
)
def test_labels_of_absurd_ranges_are_finite(between: Range) -> None:
    for label in texts(legend_svg("x", ["x"], VisualizationOptions((between,))))[2:]:
        assert np.isfinite(float(label))


def test_a_style_that_cannot_be_drawn_has_no_legend() -> None:
    with pytest.raises(InvalidRequest, match="got 2"):
        legend_svg("x", ["a", "b"], GREY)
    with pytest.raises(InvalidRequest, match="less than its max"):
        legend_svg("x", ["a"], VisualizationOptions((Range(1, 1),)))
