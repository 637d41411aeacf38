"""Places, lengths, areas, tables, ticks and charts, which only compute, called in Chromium."""

import csv
import io
from itertools import pairwise

import mercantile
import numpy as np
import pyproj
import pytest
from playwright.sync_api import Page


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("40.71, -112.1", [-112.1, 40.71]),
        ("40.71 N 112.1 W", [-112.1, 40.71]),
        ("-40.71;112.1", [112.1, -40.71]),
        ("33.5° S, 151.2° E", [151.2, -33.5]),
        ("91, 0", None),
        ("0, 181", None),
        ("1e1, 2", None),
        ("40.71", None),
        ("", None),
    ],
)
def test_a_place_is_read_latitude_first(
    modules: Page, text: str, place: list[float] | None
) -> None:
    script = "async text => (await import('./geometry.js')).parsePlace(text)"
    assert modules.evaluate(script, text) == place


@pytest.mark.parametrize(
    "ring",
    [
        [[-112.2, 40.6], [-112.0, 40.6], [-112.0, 40.8], [-112.2, 40.8]],
        [[10, -60], [11.5, -60.5], [12, -58], [9, -57]],
        [[-1, -1], [1, -1], [1, 1], [-1, 1]],
    ],
)
def test_areas_and_lengths_are_those_on_the_earth(modules: Page, ring: list[list[float]]) -> None:
    script = """async ring => {
        const {lineLength, ringArea} = await import('./geometry.js');
        return [ringArea(ring), lineLength([...ring, ring[0]])];
    }"""
    area, length = modules.evaluate(script, ring)
    # Sides are straight in degrees, so each is cut into short ones for the geodesic.
    closed = np.array([*ring, ring[0]])
    dense = np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(closed)])
    expected, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*dense.T)
    assert area == pytest.approx(abs(expected), rel=1e-4)
    assert length == pytest.approx(pyproj.Geod(ellps="WGS84").line_length(*closed.T), rel=6e-3)


def test_tiles_hold_their_places(modules: Page) -> None:
    script = "async at => Object.values((await import('./geometry.js')).tileAt(...at))"
    for lon, lat, zoom in ((-112.1, 40.7, 13), (179.9999, -85, 5), (0, 0, 0), (-180, 89, 3)):
        tile = mercantile.tile(lon, min(lat, 85.05), zoom)
        assert modules.evaluate(script, [lon, lat, zoom]) == [tile.z, tile.x, tile.y]


def test_a_table_as_csv_reads_back_and_holds_no_formula(modules: Page) -> None:
    rows = [["a,b", 'say "x"', "line\nbreak"], [1.5, -3, None], ["=1+1", "@x", "-2"]]
    text = modules.evaluate("async rows => (await import('./table.js')).toCsv(rows)", rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["a,b", 'say "x"', "line\nbreak"],
        ["1.5", "-3", ""],
        ["'=1+1", "'@x", "'-2"],
    ]


@pytest.mark.parametrize(
    ("least", "most", "ticks"),
    [
        (0, 100, [0, 50, 100]),
        (-3.2, 8.1, [0, 5]),
        (0.0012, 0.0049, [0.002, 0.003, 0.004]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_numbers(
    modules: Page, least: float, most: float, ticks: list[float]
) -> None:
    script = "async ends => (await import('./ticks.js')).numberTicks(...ends)"
    assert modules.evaluate(script, [least, most]) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("least", "most", "texts"),
    [
        ("2025-01-05", "2025-07-01", ["2025-03", "2025-05", "2025-07"]),
        ("2020-01-01T00:00", "2020-01-02T12:00", ["00:00", "12:00", "00:00", "12:00"]),
        ("1989-12-01", "2024-01-01", ["1990", "2000", "2010", "2020"]),
    ],
)
def test_ticks_of_time_are_round(modules: Page, least: str, most: str, texts: list[str]) -> None:
    script = """async ends => {
        const {formatTimeTick, timeTicks} = await import('./ticks.js');
        const zone = text => text + (text.includes('T') ? 'Z' : '');
        const ticks = timeTicks(...ends.map(text => Date.parse(zone(text))));
        return ticks.map(tick => formatTimeTick(tick, ticks[1] - ticks[0]));
    }"""
    assert modules.evaluate(script, [least, most]) == texts


def test_a_chart_has_gaps_where_values_are_missing(modules: Page) -> None:
    script = """async () => {
        const {Chart} = await import('./chart.js');
        const axis = {title: 'x', format: String};
        const drawn = values => new Chart({
            label: 'l', x: axis, y: axis,
            at: values.map((_, n) => n), series: [{name: 'a', values}],
        });
        const {element, plot} = drawn([1, 2, null, null, 3, null, 4, 5]);
        const path = element.querySelector('path').getAttribute('d');
        const {tagName} = drawn([]).element;
        return [path.replace(/[^ML]/g, ''), plot.getAttribute('aria-valuetext'), tagName];
    }"""
    assert modules.evaluate(script) == ["MLMML", "0: 1", "figure"]


def test_layers_of_different_steps_are_shown_at_one_time(modules: Page) -> None:
    script = """async () => {
        const {formatStep, indexAt, stepAt, union} = await import('./steps.js');
        const days = ['2025-01-05', '2025-03-10'];
        const hours = ['2025-01-05T06:00:00Z', '2025-01-05T12:00:00Z'];
        const all = union([days, hours, ['no time']]);
        return [
            all,
            all.map(time => stepAt(days, time)),
            all.map(time => stepAt(hours, time)),
            ['2025-02', '', '2024', days[1]].map(time => indexAt(all, time)),
            [hours[0], days[0], '2025-01-05T06:00:30.500000Z'].map(formatStep),
        ];
    }"""
    all_steps, days, hours, places, texts = modules.evaluate(script)
    first, last = "2025-01-05", "2025-03-10"
    six, twelve = f"{first}T06:00:00Z", f"{first}T12:00:00Z"
    assert all_steps == [first, six, twelve, last]
    assert days == [first, first, first, last]
    # Before its first step a layer shows nothing, which is what the time itself shows.
    assert hours == [first, six, twelve, twelve]
    assert places == [2, -1, -1, 3]
    assert texts == ["2025-01-05 06:00", "2025-01-05", "2025-01-05 06:00:30"]


@pytest.mark.parametrize(
    ("bands", "side_deg", "times"),
    [(1, 0.01, 1), (10, 1, 3), (10, 10, 30), (1, 0.000001, 1)],
)
def test_the_size_of_a_download_is_bounded_and_said_before(
    modules: Page, bands: int, side_deg: float, times: int
) -> None:
    script = "async ([ring, info]) => (await import('./areasizes.js')).sizesOf(ring, info)"
    ring = [[10, 0], [10 + side_deg, 0], [10 + side_deg, side_deg], [10, side_deg]]
    info = {"bands": [{"data_type": "uint16", "scale_m": 30}] * bands}
    found = modules.evaluate(script, [ring, info])
    side = max(side_deg * 111_320 / 30, 1)
    assert found["pixels"] == pytest.approx(side**2, rel=0.02)
    assert 256 <= found["pngWidth"] <= 2048
    width = int(found["cropSize"].get("width", side))
    # What getPixels gives at most, counted with a byte of mask for each pixel and band.
    assert width**2 * bands * 3 <= 48 * 2**20
    assert width == pytest.approx(side / times, abs=1)
    texts = " ".join(found["texts"])
    assert ("an overview" in texts) == (side**2 > 4e6)
    assert ("48 MiB" in texts) == (times > 1)
