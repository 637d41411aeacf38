"""The modules of the style editor that only compute, against NumPy and the server's own parsers."""

from __future__ import annotations

import itertools
import json
import tomllib
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from tileserver.contract.processing import Resampling, Terrain
from tileserver.layers.drawing_parameters import parse_colormap, parse_stretch
from tileserver.layers.steps import parse_steps
from tileserver.layers.styles import parse_colors
from tileserver.rendering.colormaps import names


def call(modules: Page, module: str, expression: str, argument: Any = None) -> Any:
    """Return an expression of a module's exports, by their names, and of `argument`."""
    script = f"""async argument => {{
        const the = await import('./style/{module}.js');
        const maps = new Map((await (await fetch('./colormaps')).json()).colormaps
            .map(map => [map.name, map]));
        return {expression};
    }}"""
    return modules.evaluate(script, argument)


def test_figures_of_values_are_those_of_numpy(modules: Page) -> None:
    values = np.random.default_rng(1).gamma(2, 300, 5000).round(3)
    found = call(modules, "presets", "the.figuresOf([...argument, NaN, Infinity], 16)", [*values])
    counts, edges = np.histogram(values, 16)
    assert found["count"] == 5000
    assert [found[each] for each in ("min", "max", "mean", "std")] == pytest.approx(
        [values.min(), values.max(), values.mean(), values.std()]
    )
    for percent, value in found["percentiles"].items():
        assert value == pytest.approx(np.percentile(values, float(percent)))
    assert found["histogram"][0] == counts.tolist()
    assert found["histogram"][1] == pytest.approx(edges.tolist())


def test_presets_are_ranges_of_figures(modules: Page) -> None:
    figures = {
        "min": -5,
        "max": 250.123456789,
        "mean": 100,
        "std": 20,
        "percentiles": {"1": 3, "2": 7, "5": 7, "95": 200, "98": 230.5, "99": 7},
    }
    script = "Object.fromEntries(the.PRESETS.map(({name}) => [name, the.rangeOf(argument, name)]))"
    found = call(modules, "presets", script, figures)
    assert found == {
        "minmax": [-5, 250.123],
        "p1": [3, 7],
        "p2": [7, 230.5],
        "p5": [7, 200],
        "s1": [80, 120],
        "s2": [60, 140],
        "s3": [40, 160],
    }
    nothing = {"min": None, "max": None, "mean": None, "std": None, "percentiles": None}
    script = "the.PRESETS.map(({name}) => the.rangeOf(argument, name))"
    assert call(modules, "presets", script, {**nothing, "percentiles": {}}) == [None] * 7
    flat = {"min": 4, "max": 4, "mean": 4, "std": 0, "percentiles": {"2": 4, "98": 4}}
    assert call(modules, "presets", "the.rangeOf(argument, 'minmax')", flat) == [4, 5]


def test_palettes_have_the_colours_of_the_server(modules: Page) -> None:
    texts = [each + suffix for each in ("viridis", "rdylgn", "terrain") for suffix in ("", "_r")]
    texts += ["Gray", "grey_r", "f00,00ff00,0000ff"]
    found = call(modules, "palettes", "argument.map(text => the.colorsOf(text, maps))", texts)
    assert found == [[f"#{color}" for color in parse_colors(text)] for text in texts]


def test_lists_of_colours_are_known_by_their_names_and_turned_around(modules: Page) -> None:
    script = "argument.map(text => the.nameOf(the.colorsOf(text, maps).join(), maps))"
    found = call(modules, "palettes", script, [*names()])
    same = zip(names(), found, strict=True)
    assert all(parse_colors(name) == parse_colors(each) for name, each in same)
    script = "argument.map(text => the.reversed(text, maps))"
    texts = ["viridis", "viridis_r", "", "ff0000,00ff00,123456"]
    assert call(modules, "palettes", script, texts) == [
        "viridis_r",
        "viridis",
        "gray_r",
        "123456,00ff00,ff0000",
    ]
    script = "argument.map(text => the.matching(maps, text))"
    found = call(modules, "palettes", script, ["viri", "diverging rd", "no such", "DIVERGING RDY"])
    assert found[0] == ["viridis"]
    assert {"rdbu", "rdylgn"} <= set(found[1])
    assert found[2] == []
    assert set(found[3]) < set(found[1])


@pytest.mark.parametrize(
    ("text", "colors", "wrong"),
    [
        ("#f00, 00FF00\n0000ff", ["#ff0000", "#00ff00", "#0000ff"], ""),
        ("abc;def", ["#aabbcc", "#ddeeff"], ""),
        ("ff0000,nope", [], "“nope” is no colour"),
        ("<img>", [], "“<img>” is no colour"),
        ("", [], "Expected colours"),
        (",".join(["abc"] * 257), [], "257 colours, at most 256"),
    ],
)
def test_a_list_of_colours_is_read_or_its_mistake_named(
    modules: Page, text: str, colors: list[str], wrong: str
) -> None:
    found = call(modules, "palettes", "the.readColors(argument)", text)
    assert found["colors"] == colors
    assert found["wrong"].startswith(wrong)
    assert bool(found["wrong"]) == bool(wrong)


@pytest.mark.parametrize(
    "text",
    [
        '{"1":"#ff0000","2":"#00ff0080","-3.5":"#0000ff"}',
        '[[0,10,"#ff0000"],[10,20.5,"#00ff0001"]]',
    ],
)
def test_classes_are_written_as_they_were_read(modules: Page, text: str) -> None:
    again = call(modules, "classes", "the.formatClasses(the.parseClasses(argument))", text)
    assert json.loads(again) == json.loads(text)
    assert parse_colormap(again) == parse_colormap(text)


def test_intervals_take_in_the_largest_value_and_leave_no_gap(modules: Page) -> None:
    script = "the.formatClasses(the.intervals(-12.5, 903, 7, ['#000000', '#ff8000']))"
    classes = parse_colormap(call(modules, "classes", script))
    assert len(classes) == 7
    assert classes[0].low == -12.5
    assert classes[-1].high is not None
    assert 903 < classes[-1].high < 903.1
    assert all(one.high == next_.low for one, next_ in itertools.pairwise(classes))
    assert classes[0].color == (0, 0, 0, 255)
    assert classes[-1].color == (255, 128, 0, 255)


def test_each_whole_number_gets_a_class_unless_there_are_too_many(modules: Page) -> None:
    script = "argument.map(([low, high]) => the.singles(low, high, ['#000000', '#ffffff'])?.length)"
    assert call(modules, "classes", script, [[1, 5], [0.5, 3.5], [0, 63], [0, 64], [7, 7]]) == [
        5,
        3,
        64,
        None,
        1,
    ]
    wrong = "argument.map(classes => the.wrongOf(classes))"
    one = {"low": 1, "high": None, "color": "#000000", "alpha": ""}
    found = call(
        modules, "classes", wrong, [[one], [], [{**one, "high": 1}], [{**one, "low": None}]]
    )
    assert found[0] == ""
    assert all(found[1:])


LOOKS: list[dict[str, str]] = [
    {"bands": "B4,B3,B2", "min": "0,10,0", "max": "3000", "gamma": "1.2"},
    {"bands": "b1", "min": "-0.5", "max": "1e-7", "palette": "viridis"},
    {"bands": "b1", "min": "0", "max": "900", "palette": "000000,ffffff", "relief": "true"},
    {"bands": "b1", "min": "0", "max": "1", "stretch": "log", "resampling": "cubic"},
    {"bands": "b1", "stretch": "equalize", "nodata": "-9999"},
    {"bands": "b1", "colormap": '{"1":"#ff0000"}', "opacity": "0.5"},
    {"expression": "(B8 - B4) / (B8 + B4)", "min": "-1", "max": "1", "palette": "rdylgn"},
    {
        "bands": "b1",
        "algorithm": "hillshade",
        "azimuth": "90",
        "z_factor": "2",
        "min": "0",
        "max": "255",
    },
    {"bands": "b1", "algorithm": "terrarium"},
    {
        "bands": "b1,b2",
        "like": "1.5,2",
        "threshold": "0.5",
        "min": "-1",
        "max": "1",
        "time": "2020",
    },
]


@pytest.mark.parametrize("parameters", LOOKS)
def test_a_look_has_the_parameters_it_was_made_of(
    modules: Page, parameters: dict[str, str]
) -> None:
    script = "the.parametersOf(the.lookOf(argument), argument)"
    found = call(modules, "model", script, parameters)
    numbers = {"max": "3000,3000,3000"} if "," in parameters.get("min", "") else {}
    assert {**found, **numbers} == {**parameters, **numbers}


def test_what_the_layer_has_and_a_look_has_not_is_taken_away(modules: Page) -> None:
    own = {
        "bands": "b1",
        "stretch": "none",
        "algorithm": "slope",
        "palette": "viridis",
        "gamma": "2",
        "resampling": "bilinear",
        "nodata": "0",
        "relief": "true",
        "unscale": "true",
        "opacity": "0.5",
    }
    script = "the.parametersOf(the.lookOf({bands: 'b1', min: '1', max: '2'}), argument)"
    found = call(modules, "model", script, own)
    assert found == {
        "bands": "b1",
        "min": "1",
        "max": "2",
        "stretch": "none",
        "algorithm": "none",
        "palette": "gray",
        "gamma": "1",
        "resampling": "nearest",
        "nodata": "none",
        "relief": "false",
        "unscale": "false",
        "opacity": "1",
    }
    assert parse_steps(found) is not None


def test_the_editor_offers_what_the_server_has_within_its_ranges(modules: Page) -> None:
    algorithms, resamplings, curves = call(
        modules, "model", "[the.ALGORITHMS, the.RESAMPLINGS, the.CURVES]"
    )
    assert set(algorithms) == {each.value for each in Terrain if not each.is_color}
    assert resamplings == [each.value for each in Resampling]
    for name, each in algorithms.items():
        assert {one["name"] for one in each["parameters"]} == set(Terrain(name).parameters)
        for one in each["parameters"]:
            for value in (one["low"], one["high"], one["usual"]):
                assert parse_steps({"algorithm": name, one["name"]: str(value)})
    for curve, _ in curves:
        if curve:
            assert parse_stretch(curve).curve == curve


@pytest.mark.parametrize(
    ("members", "parameter"),
    [
        ({"min": [5], "max": [5]}, "max"),
        ({"min": [None], "max": [5]}, "min"),
        ({"gamma": 0}, "gamma"),
        ({"mode": "formula", "expression": " "}, "expression"),
        ({"min": [5], "max": [5], "classes": []}, None),
    ],
)
def test_mistakes_are_named_by_their_parameter(
    modules: Page, members: dict[str, Any], parameter: str | None
) -> None:
    script = "the.mistakes({...the.lookOf({bands: 'b1', min: '0', max: '1'}), ...argument})"
    assert list(call(modules, "model", script, members)) == ([parameter] if parameter else [])


@pytest.mark.parametrize(
    ("bands", "colors", "expected"),
    [
        (["B2", "B3", "B4", "B8", "B8A", "B11", "B12"], ["B4", "B3", "B2"], ["B8", "B4"]),
        (["SR_B2", "SR_B3", "SR_B4", "SR_B5"], ["SR_B4", "SR_B3", "SR_B2"], ["SR_B5", "SR_B4"]),
        (["B1", "B2", "B3", "B4", "B5", "B7"], ["B3", "B2", "B1"], ["B4", "B3"]),
        (["red", "green", "nir"], [], ["nir", "red"]),
        (["a-1", "nir"], ["a-1", "x", "y"], ["nir", 'b("a-1")']),
        (["b1", "b2", "b3"], ["b1", "b2", "b3"], None),
    ],
)
def test_vegetation_is_offered_where_the_bands_can_be_told(
    modules: Page, bands: list[str], colors: list[str], expected: list[str] | None
) -> None:
    script = "the.formulas(...argument).filter(({name}) => name === 'NDVI').map(({text}) => text)"
    found = call(modules, "formulas", script, [bands, colors])
    nir, red = expected or ("", "")
    assert found == ([f"({nir} - {red}) / ({nir} + {red})"] if expected else [])


def test_lines_for_the_configuration_are_toml_with_every_sign_escaped(modules: Page) -> None:
    script = "the.tomlSnippet(argument.name, argument.layer, argument.parameters)"
    layer = {
        "asset": "projects/localhost/assets/a b",
        "title": 'A "title" \\ \n<b>é',
        "attribution": "",
    }
    parameters = {
        "bands": 'b"1,b2,b3',
        "min": "0,1e-07,-3.5",
        "max": "1e+21",
        "gamma": "1.5",
        "nodata": "nan",
        "colormap": '{"1":"#ff0000"}',
        "stretch": "none",
        "relief": "true",
    }
    found = call(modules, "toml", script, {"name": "a.b", "layer": layer, "parameters": parameters})
    read = tomllib.loads(found)["layers"]["a.b"]
    assert np.isnan(read.pop("nodata"))
    assert read == {
        "asset": "projects/localhost/assets/a b",
        "title": 'A "title" \\ \n<b>é',
        "bands": ['b"1', "b2", "b3"],
        "min": [0, 1e-07, -3.5],
        "max": 1e21,
        "gamma": 1.5,
        "relief": True,
        "colormap": '{"1":"#ff0000"}',
    }
    computed = {"asset": "projects/p/expressions/x", "title": "", "attribution": ""}
    found = call(modules, "toml", script, {"name": "x", "layer": computed, "parameters": {}})
    assert tomllib.loads(found) == {"layers": {"x": {}}}
    script = "argument.map(text => the.layerName(text)).map(name => [name, the.isLayerName(name)])"
    texts = ["Große Höhen!", "-a-", "", "日本", "x" * 99]
    found = call(modules, "toml", script, texts)
    assert all(is_name for _, is_name in found)


def test_a_view_across_the_antimeridian_is_a_box_that_the_server_takes(modules: Page) -> None:
    views = [[170, -10, 190, 10], [-190, -89, -170, 95], [-200, -80, 200, 80], [-180, 0, 180, 10]]
    found = call(modules, "figures", "argument.map(view => the.boxOf(view))", views)
    assert found == [[170, -10, -170, 10], [170, -89, -170, 90], None, None]


def test_the_outliers_of_a_histogram_are_left_out_of_its_scale(modules: Page) -> None:
    counts = [1, 0, 0, 5000, 4000, 0, 0, 2]
    found = call(modules, "histogram", "the.trimmed(argument, [0,1,2,3,4,5,6,7,8])", counts)
    assert found == [3, 5]
    assert call(modules, "histogram", "the.trimmed([], [])") is None
    bars = call(modules, "histogram", "the.barsPath([1, 3], [0, 5, 10], [0, 10], false)")
    assert bars == "M0.0 72H0.0V49.3H150.0H150.0V4.0H300.0V72Z"
