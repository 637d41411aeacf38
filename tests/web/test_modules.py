"""The parts of the page that only compute, called in Chromium."""

import pytest
from playwright.sync_api import Page


def test_a_permalink_reads_back_as_it_was_written(modules: Page) -> None:
    style = {"bands": "B4,B3;B2", "palette": "#fff,a=b&c", "expression": "(b1 - b2) / 100%"}
    layers = [
        linked("projects/a/b,c;d=e&f%", opacity=0.25, style=style),
        linked("ünïcode <b>", visible=False, copy=3),
    ]
    state = {
        "view": {"zoom": 12.5, "lat": -33.123457, "lon": 151.654321},
        "layers": layers,
        "removed": ["a,b", "c&d"],
        "others": {"cmp": "a/b;c,d&e=f #g"},
    }
    script = """async ({view, layers, removed, others}) => {
        const {formatHash, parseHash} = await import('./permalink.js');
        const hash = formatHash(view, layers, removed, others);
        return parseHash(new URL(hash, document.baseURI).hash);
    }"""
    assert modules.evaluate(script, state) == {**state, "dropped": []}


def linked(name: str, **members: object) -> dict[str, object]:
    """Return a layer as a permalink describes it."""
    return {"name": name, "copy": 1, "style": {}, "visible": True, "opacity": 1} | members


def test_links_of_earlier_versions_mean_the_same_for_ever(modules: Page) -> None:
    script = "async text => (await import('./permalink.js')).parseHash(text)"
    first = "#map=9/40.7100/-112.1000&l=great-salt-lake;o=0.8,blue-marble,demo/elevation;v=0"
    assert modules.evaluate(script, first) == {
        "view": {"zoom": 9, "lat": 40.71, "lon": -112.1},
        "layers": [
            linked("great-salt-lake", opacity=0.8),
            linked("blue-marble"),
            linked("demo/elevation", visible=False),
        ],
        "removed": [],
        "others": {},
        "dropped": [],
    }
    styled = (
        "#map=9/40.7100/-112.1000&l=scene;n=2;o=0.5;v=0;s.bands=B4%2CB3%2CB2;s.min=0%2C10%2C20;"
        "s.expression=(b1-b2)%2F2,scene&x=blue-marble,a%2Cb&cmp=scene~2&t=2024-01-01/2024-02-01"
    )
    style = {"bands": "B4,B3,B2", "min": "0,10,20", "expression": "(b1-b2)/2"}
    assert modules.evaluate(script, styled) == {
        "view": {"zoom": 9, "lat": 40.71, "lon": -112.1},
        "layers": [
            linked("scene", copy=2, opacity=0.5, visible=False, style=style),
            linked("scene"),
        ],
        "removed": ["blue-marble", "a,b"],
        "others": {"cmp": "scene~2", "t": "2024-01-01/2024-02-01"},
        "dropped": [],
    }


def test_a_permalink_gives_no_key_to_the_page(modules: Page) -> None:
    script = "async text => (await import('./permalink.js')).parseHash(text)"
    read = modules.evaluate(script, "#l=a;s.key=stolen;s.__proto__=1;s.min=;s.max=1")
    assert read["layers"] == [linked("a", style={"max": "1"})]
    assert read["dropped"] == ["s.key=stolen", "s.__proto__=1", "s.min="]


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


NOTHING: dict[str, object] = {"view": None, "layers": None}


@pytest.mark.parametrize(
    ("fragment", "expected", "dropped"),
    [
        ("", NOTHING, []),
        ("#", NOTHING, []),
        ("#unknown=1&panel", {**NOTHING, "others": {"unknown": "1", "panel": ""}}, []),
        ("#__proto__=1&Upper=2", NOTHING, []),
        ("#unknown=%E0%A4%A", {**NOTHING, "others": {"unknown": None}}, ["unknown=%E0%A4%A"]),
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
                    linked("a"),
                    linked("b", visible=False),
                    linked("a", visible=False),
                    linked("__proto__"),
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
    usual = {"removed": [], "others": {}, "dropped": dropped}
    assert modules.evaluate(script, fragment) == {**usual, **expected}


def test_an_endless_permalink_is_cut(modules: Page) -> None:
    script = "async text => (await import('./permalink.js')).parseHash(text).layers.length"
    assert modules.evaluate(script, "#l=" + ",".join(map(str, range(100_000)))) < 7000


@pytest.mark.parametrize(
    ("value", "text"),
    [(50, "50"), (-3, "-3"), (0.1234567891, "0.1234568"), (1e-12, "1e-12"), (None, "no data")],
)
def test_values_are_written_whole_or_to_seven_digits(
    modules: Page, value: float | None, text: str
) -> None:
    script = "async value => (await import('./values.js')).formatValue(value)"
    assert modules.evaluate(script, value) == text
