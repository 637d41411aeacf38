from __future__ import annotations

import pytest

from tileserver.contract.pixels import Range, VisualizationOptions
from tileserver.errors import InvalidRequest
from tileserver.layers.styles import Style, parse_colors, parse_number, parse_style
from tileserver.rendering.colormaps import named_palette

RGB = ("B4", "B3", "B2")


def test_every_parameter_of_a_url_is_read() -> None:
    parameters = {
        "bands": "B4,B3,B2",
        "min": "0,-1.5,.5",
        "max": "1e3",
        "gamma": "1.2",
        "opacity": "0.8",
        "palette": "000000,0f0,WHITE",
        "width": "not a style's",
    }
    assert parse_style(parameters) == Style(
        RGB, (0, -1.5, 0.5), (1000,), ("000000", "00ff00", "ffffff"), 1.2, 0.8
    )
    assert parse_style({}) == Style()


def test_a_palette_may_be_a_named_map() -> None:
    assert parse_colors("viridis") == named_palette("viridis")
    assert parse_colors(["viridis"]) == named_palette("viridis")
    assert parse_colors(["#FF0000", "blue"]) == ("ff0000", "0000ff")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bands": "B4,,B2"}, "bands: expected band ids"),
        ({"bands": "B4, B3"}, "bands: expected band ids"),
        ({"bands": ",".join(["b"] * 1025)}, "bands: 1025 given"),
        ({"min": "low"}, "min: expected a number, got 'low'"),
        ({"min": "1,2,3,4"}, "min: expected one number"),
        ({"min": "0,"}, "min: expected a number"),
        ({"max": "nan"}, "max: expected a number"),
        ({"max": "inf"}, "max: expected a number"),
        ({"max": "1e999"}, "max: expected a number"),
        ({"max": "1_000"}, "max: expected a number"),
        ({"max": "٣"}, "max: expected a number"),
        ({"max": "1" * 41}, "max: expected a number"),
        ({"gamma": "0"}, "gamma: expected a number from 0.01 to 100"),
        ({"gamma": "101"}, "gamma: expected a number from 0.01 to 100"),
        ({"opacity": "1.1"}, "opacity: expected a number from 0 to 1"),
        ({"opacity": "-0.1"}, "opacity: expected a number from 0 to 1"),
        ({"palette": "nocolor"}, "palette: "),
        ({"palette": "000,,fff"}, "palette: "),
    ],
)
def test_a_wrong_value_is_refused_with_the_parameters_name(
    parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_style(parameters)


def test_a_number_has_limits_that_its_error_names() -> None:
    assert parse_number("lon", "-180", -180, 180) == -180
    with pytest.raises(InvalidRequest, match="lon: expected a number from -180 to 180, got '181'"):
        parse_number("lon", "181", -180, 180)


def test_one_range_holds_for_all_bands_or_each_has_its_own() -> None:
    assert Style(RGB, (0,), (10,)).options() == VisualizationOptions((Range(0, 10),))
    each = Style(RGB, (1, 2, 3), (10,)).options()
    assert each == VisualizationOptions((Range(1, 10), Range(2, 10), Range(3, 10)))


def test_a_lone_max_counts_from_0_and_a_lone_min_up_to_1() -> None:
    assert Style(("b",), max=(7,)).options() == VisualizationOptions((Range(0, 7),))
    assert Style(("b",), min=(-1,)).options() == VisualizationOptions((Range(-1, 1),))


def test_nothing_asked_is_no_visualization() -> None:
    assert Style(("b",)).options() is None


@pytest.mark.parametrize(
    "style",
    [
        Style(RGB, (0, 1), (10,)),
        Style(RGB, (0,), (10, 20)),
        Style(("b",), (0, 1), (2, 3)),
        Style(RGB, (0,), (10,), ("000000", "ffffff")),
    ],
)
def test_ranges_and_palettes_that_do_not_fit_the_bands_are_refused(style: Style) -> None:
    with pytest.raises(InvalidRequest):
        style.options()


def test_a_style_over_another_takes_what_it_leaves_open() -> None:
    base = Style(RGB, (0,), (3000,), gamma=1.2, opacity=0.5)
    assert Style().over(base) == base
    assert Style(max=(100,), gamma=2.0).over(base) == Style(RGB, (0,), (100,), (), 2.0, 0.5)
    assert Style(opacity=0.0).over(base).opacity == 0.0


def test_ranges_of_single_bands_are_not_taken_for_other_bands() -> None:
    base = Style(RGB, (1, 2, 3), (10, 20, 30))
    assert Style(("B8", "B4", "B3")).over(base) == Style(("B8", "B4", "B3"))
    assert Style(RGB).over(base) == base
    one_range = Style(RGB, (0,), (3000,))
    assert Style(("B8",)).over(one_range) == Style(("B8",), (0,), (3000,))


def test_a_palette_is_taken_only_for_one_band() -> None:
    base = Style(("ndvi",), (0,), (1,), ("000000", "ffffff"))
    assert Style(("evi",)).over(base).palette == base.palette
    assert Style(RGB).over(base).palette == ()


def test_the_json_has_one_number_for_one_and_a_list_for_more() -> None:
    assert Style(RGB, (0,), (1, 2, 3), (), None, 0.5).to_json() == {
        "bands": ["B4", "B3", "B2"],
        "min": 0,
        "max": [1, 2, 3],
        "palette": None,
        "gamma": 1.0,
        "opacity": 0.5,
    }
    assert Style().to_json()["min"] is None


@pytest.mark.parametrize(
    ("text", "meant"), [("virdis", "viridis"), ("Terain", "terrain"), ("batlo", "batlow")]
)
def test_a_misspelt_colour_map_gets_the_one_that_was_meant(text: str, meant: str) -> None:
    with pytest.raises(InvalidRequest, match=f"palette: .*Did you mean the colour map '{meant}'"):
        parse_colors(text)
    with pytest.raises(InvalidRequest) as refused:
        parse_colors(f"{text},000")
    assert "mean" not in str(refused.value)
    with pytest.raises(InvalidRequest) as refused:
        parse_colors("x" * 100_000)
    assert len(str(refused.value)) < 300
