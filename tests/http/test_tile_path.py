"""The path of a tile through the packages: few of them, and nothing parsed or checked twice."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.serving import serve
from tests.support.traced import Entered, tracing
from tests.test_imports import LEVELS
from tileserver.config.config import load_config
from tileserver.server.app import create_app
from tileserver.server.get_pixels import DEMO

BASE = {"concurrency", "errors", "logs", "metrics"}
"""The modules that packages stand on."""
PACKAGES = {name for level in LEVELS for name in level.split()} - BASE
TILE = "/tiles/sierra-nevada/8/42/98.png?bands=elevation"
MOSAIC = "/tiles/sierra-nevada-mosaic/8/42/98.png"
NDVI = "/tiles/great-salt-lake-vegetation/9/96/192.png"
COMPUTED = json.loads((DEMO.parent / "ndvi.json").read_text("utf-8"))


class Traced:
    """A server over the demo whose calls are noted."""

    def __init__(self, url: str, calls: list[Entered]) -> None:
        self.url = url
        self._calls = calls

    def get(self, path: str, body: object = None) -> list[Entered]:
        """Return what a request called."""
        self._calls.clear()
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
            answer.read()
        return list(self._calls)


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    config = load_config(DEMO, {}, {})
    with tracing() as calls, serve(create_app(config)) as url:
        server = Traced(url, calls)
        # The first request of a layer describes its asset and measures its stretch; the files of
        # the mosaic are looked at in the background, unless they are known.
        for path in (MOSAIC, TILE, NDVI):
            server.get(path)
        yield server


def counts(calls: list[Entered]) -> Counter[str]:
    return Counter(f"{each.module}.{each.function}" for each in calls)


@pytest.mark.parametrize("style", ["", "&gamma=1.25"], ids=["cached", "cold"])
def test_a_local_tile_is_awaited_through_five_packages_and_computed_in_three(
    traced: Traced, style: str
) -> None:
    calls = traced.get(TILE + style)
    entered = {each.module.partition(".")[0] for each in calls} & PACKAGES
    awaited = {each.module.partition(".")[0] for each in calls if each.is_awaited} & PACKAGES
    assert awaited == {"server", "http", "layers", "caching", "rasters"}
    assert entered - awaited <= {"contract", "geo", "rendering"}


def test_a_cached_tile_starts_no_thread_and_reads_nothing(traced: Traced) -> None:
    traced.get(TILE + "&gamma=1.5")
    called = counts(traced.get(TILE + "&gamma=1.5"))
    assert not [
        name
        for name in called
        if name.startswith(("concurrency.threads.Threads", "rendering.png", "rasters.windows"))
    ]


def test_each_parameter_of_a_cold_tile_is_parsed_once(traced: Traced) -> None:
    called = counts(traced.get(TILE + "&palette=red,0f0,123456&min=201&max=3401"))
    assert called["http.parameters.parse_query"] == 1
    assert called["layers.styles.parse_bands"] == 1
    assert called["layers.styles.parse_colors"] == 1
    # Three colours, to hex digits for the style and from those to numbers for the picture.
    assert called["rendering.colors.hex_color"] <= 6
    assert called["rendering.colors._palette"] == 1


def test_the_options_of_a_cold_tile_are_checked_once(traced: Traced) -> None:
    called = counts(traced.get(TILE + "&min=202&max=3402"))
    assert called["rendering.render._check"] == 1
    assert called["rendering.render.draw_palette"] == 1
    assert counts(traced.get(TILE + "&min=202&max=3402"))["rendering.render._check"] == 0


def test_an_expression_is_parsed_once_for_its_version_its_value_and_its_pixels(
    traced: Traced,
) -> None:
    body = {
        "expression": {
            "result": "1",
            "values": {
                **COMPUTED["values"],
                "1": {
                    "functionInvocationValue": {
                        "functionName": "Image.multiply",
                        "arguments": {
                            "image1": {"valueReference": COMPUTED["result"]},
                            "image2": {"constantValue": 2},
                        },
                    }
                },
            },
        },
        "fileFormat": "NPY",
        "grid": {"dimensions": {"width": 4, "height": 4}},
    }
    called = counts(traced.get("/v1/projects/localhost/image:computePixels", body))
    assert called["compute.engine.Computing._version"] >= 2
    assert called["compute.graph.evaluate"] == 1
    assert called["expressions.document.from_text"] == 1
