"""The parts of the page that only compute, called in Chromium."""

import pytest
from playwright.sync_api import Page


def test_a_permalink_reads_back_as_it_was_written(modules: Page) -> None:
    layers = [
        {"name": "projects/a/b,c;d=e&f%", "visible": True, "opacity": 0.25},
        {"name": "ünïcode <b>", "visible": False, "opacity": 1},
    ]
    view = {"zoom": 12.5, "lat": -33.123457, "lon": 151.654321}
    script = """async ({view, layers}) => {
        const {formatHash, parseHash} = await import('./permalink.js');
        return parseHash(new URL(formatHash(view, layers), document.baseURI).hash);
    }"""
    read = modules.evaluate(script, {"view": view, "layers": layers})
    assert read == {"view": view, "layers": layers, "dropped": []}


@pytest.mark.parametrize(
    ("order", "moved"),
    [("abcd", "dabc"), ("abcd", "badc"), ("abcd", "dcba"), ("abcd", "abcd"), ("ab", "ba")],
)
def test_every_order_survives_a_snapshot(modules: Page, order: str, moved: str) -> None:
    script = """async ({order, moved}) => {
        const {LayerState} = await import('./state.js');
        const make = () => new LayerState([...order].map(name => ({name, visible: false})));
        const state = make(), other = make();
        [...moved].forEach((name, index) => state.move(name, index));
        state.setOpacity(moved[0], 0.5);
        other.restore(state.snapshot());
        return other.entries.map(entry => [entry.layer.name, entry.opacity]);
    }"""
    restored = modules.evaluate(script, {"order": order, "moved": moved})
    assert restored == [[name, 0.5 if name == moved[0] else 1] for name in moved]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([[1, 2, 3, 4]], [1, 2, 3, 4]),
        ([[1, 2, 3, 4], [5, 1, 6, 2]], [1, 1, 6, 4]),
        ([[1, 2, 3, 4], [-180, -90, 180, 90]], [1, 2, 3, 4]),
        ([[170, -20, -170, -10]], [170, -20, 190, -10]),
        ([[170, -20, -170, -10], [-175, 0, -160, 5]], [170, -20, 200, 5]),
    ],
)
def test_the_first_view_holds_all_shown_layers_or_the_top_one_before_the_world(
    modules: Page, bounds: list[list[float]], expected: list[float]
) -> None:
    script = "async list => (await import('./extent.js')).firstExtent(list)"
    assert modules.evaluate(script, bounds) == expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("2", 2),
        (" 120 ", 120),
        ("-5", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 20),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    modules: Page, header: str | None, seconds: float | None
) -> None:
    script = "async header => (await import('./api.js')).parseRetryAfter(header, 10000)"
    assert modules.evaluate(script, header) == seconds


NOTHING = {"view": None, "layers": None}


@pytest.mark.parametrize(
    ("fragment", "expected", "dropped"),
    [
        ("", NOTHING, []),
        ("#", NOTHING, []),
        ("#unknown=1&panel", NOTHING, []),
        ("#__proto__=1", NOTHING, []),
        ("#map=", NOTHING, ["map="]),
        ("#map=NaN/1/2", NOTHING, ["map=NaN/1/2"]),
        ("#map=3/91/0", NOTHING, ["map=3/91/0"]),
        ("#map=3/1e1/0", NOTHING, ["map=3/1e1/0"]),
        ("#map=-1/0/0", NOTHING, ["map=-1/0/0"]),
        ("#map=31/0/0", NOTHING, ["map=31/0/0"]),
        ("#map=3/0", NOTHING, ["map=3/0"]),
        ("#map=3/0/0/0", NOTHING, ["map=3/0/0/0"]),
        (
            "#map=3.5/-1.25/190",
            {"view": {"zoom": 3.5, "lat": -1.25, "lon": 190}, "layers": None},
            [],
        ),
        ("#l=", {"view": None, "layers": []}, []),
        ("#l=%E0%A4%A", {"view": None, "layers": []}, ["%E0%A4%A"]),
        ("#l=;;;,,;", {"view": None, "layers": []}, [";;;", ";"]),
        (
            "#l=a;o=9,b;o=NaN;v=0,a;v=0,__proto__;x=1",
            {
                "view": None,
                "layers": [
                    {"name": "a", "visible": True, "opacity": 1},
                    {"name": "b", "visible": False, "opacity": 1},
                    {"name": "__proto__", "visible": True, "opacity": 1},
                ],
            },
            ["o=9", "o=NaN"],
        ),
    ],
)
def test_what_is_wrong_in_a_permalink_is_dropped_and_named(
    modules: Page, fragment: str, expected: dict[str, object], dropped: list[str]
) -> None:
    script = "async text => (await import('./permalink.js')).parseHash(text)"
    assert modules.evaluate(script, fragment) == {**expected, "dropped": dropped}


def test_an_endless_permalink_is_cut(modules: Page) -> None:
    script = "async text => (await import('./permalink.js')).parseHash(text).layers.length"
    assert modules.evaluate(script, "#l=" + ",".join(map(str, range(100_000)))) < 2000


@pytest.mark.parametrize(
    ("value", "text"),
    [(50, "50"), (-3, "-3"), (0.1234567891, "0.1234568"), (1e-12, "1e-12"), (None, "no data")],
)
def test_values_are_written_whole_or_to_seven_digits(
    modules: Page, value: float | None, text: str
) -> None:
    script = "async value => (await import('./inspector.js')).formatValue(value)"
    assert modules.evaluate(script, value) == text
