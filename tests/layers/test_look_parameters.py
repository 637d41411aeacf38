"""A layer's look as parameters draws the same tiles, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import pytest
from rasterio import Affine

from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.config.layers import LayerSettings
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

MERCATOR = Affine(30.0, 0.0, 1_100_000.0, 0.0, -30.0, 4_200_000.0)
TILE = "13/4322/3238"
SHAPE = (300, 400)


def layer(name: str, asset: str, **settings: Any) -> LayerSettings:
    return LayerSettings(name, f"{LOCAL_PREFIX}/{asset}", **settings)


LAYERS = (
    layer("ndvi", "scene", formula="(b4 - b3) / (b4 + b3)", min=(-1,), max=(1,), palette=("red",)),
    layer("curved", "dem", stretch="minmax,sqrt", gamma=1.5, resampling="bilinear"),
    layer("logarithmic", "scene", bands=("b3", "b2", "b1"), stretch="log"),
    layer("shaded", "dem", algorithm="hillshade", azimuth=90, z_factor=3, opacity=0.7),
    layer("classed", "land", colormap='{"1": "red", "2": "#00ff0080"}'),
    layer("intervals", "dem", colormap='[[0, 100.5, "red"], [100.5, 2000, "blue"]]'),
    layer("relief", "dem", min=(0,), max=(900,), palette=("navy", "white"), relief=True),
    layer("flat", "dem", relief=False),
    layer("masked", "land", nodata=3),
    layer("alike", "scene", like="9.895,35.25", threshold=0.2),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("scenes")
    values = np.random.default_rng(5)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    hills = 500 + 400 * np.sin(rows / 30) * np.cos(columns / 40)
    options: dict[str, Any] = {"overviews": ()}
    scene = values.gamma(3, 400, (4, *SHAPE)).astype("uint16")
    land = values.integers(0, 6, (1, *SHAPE)).astype("uint8")
    for name, pixels in (("scene", scene), ("land", land), ("dem", hills[None].astype("float32"))):
        write_raster(folder / f"{name}.tif", pixels, "EPSG:3857", MERCATOR, **options)
    with ExitStack() as stack:
        url = stack.enter_context(
            serve(create_app(Config(layers=LAYERS), [Root(str(folder), LOCAL_PREFIX)]))
        )
        yield stack.enter_context(httpx.Client(base_url=url, timeout=60))


def tile(client: httpx.Client, name: str, parameters: Any = None) -> bytes:
    answer = client.get(f"/tiles/{name}/{TILE}.png", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.content


def parameters_of(client: httpx.Client, name: str, parameters: Any = None) -> dict[str, str]:
    answer = client.get(f"/info/{name}", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()["parameters"]
    return found


PLAIN = [f"{LOCAL_PREFIX}/{name}" for name in ("scene", "land", "dem")]


@pytest.mark.parametrize("name", [each.name for each in LAYERS] + PLAIN)
def test_the_look_of_a_layer_is_drawn_from_its_parameters(client: httpx.Client, name: str) -> None:
    found = parameters_of(client, name)
    own = tile(client, name)
    assert tile(client, name, found) == own
    # Nor does it lean on the layer's own settings.
    asset = client.get(f"/info/{name}").json()["asset"]
    assert tile(client, asset, found) == own
    assert parameters_of(client, asset, found) == {
        key: text for key, text in found.items() if text != "none"
    }


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ndvi", {"expression": "none"}),
        ("ndvi", {"expression": "none", "bands": "b3,b2,b1", "min": "0", "max": "3000"}),
        ("ndvi", {"expression": "none", "algorithm": "slope"}),
        ("curved", {"stretch": "none"}),
        ("curved", {"stretch": "equalize", "resampling": "nearest"}),
        ("shaded", {"algorithm": "none"}),
        ("shaded", {"algorithm": "contours", "interval": "50"}),
        ("shaded", {"algorithm": "none", "expression": "b1 * 2"}),
        ("classed", {"colormap": "none", "palette": "magma"}),
        ("intervals", {"colormap": "none", "stretch": "stddev:2,log"}),
        ("relief", {"relief": "false"}),
        ("relief", {"algorithm": "aspect"}),
        ("masked", {"nodata": "none"}),
        ("alike", {"like": "none"}),
    ],
)
def test_a_look_in_the_url_is_drawn_from_its_parameters(
    client: httpx.Client, name: str, parameters: dict[str, str]
) -> None:
    expected = tile(client, name, parameters)
    assert expected != tile(client, name)
    assert tile(client, name, parameters_of(client, name, parameters)) == expected


@pytest.mark.parametrize(
    ("name", "parameters", "asset"),
    [
        ("ndvi", {"expression": "none"}, "scene"),
        ("shaded", {"algorithm": "none", "opacity": "1"}, "dem"),
        ("classed", {"colormap": "none"}, "land"),
        ("masked", {"nodata": "none"}, "land"),
    ],
)
def test_none_takes_away_what_the_layer_has(
    client: httpx.Client, name: str, parameters: dict[str, str], asset: str
) -> None:
    plain = parameters_of(client, f"{LOCAL_PREFIX}/{asset}")
    found = parameters_of(client, name, parameters)
    assert found.pop(next(iter(parameters))) == "none"
    assert found.pop("opacity", "1") == "1"
    assert found == plain


def test_elevations_without_relief_have_the_same_colours(client: httpx.Client) -> None:
    name = f"{LOCAL_PREFIX}/dem"
    found = parameters_of(client, name)
    assert found.pop("relief") == "true"
    assert tile(client, name, {"relief": "false"}) == tile(client, name, found)
    assert tile(client, "flat") == tile(client, name, found)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("scene", {"relief": "true"}),
        ("scene", {"relief": "true", "nodata": "0"}),
        ("dem", {"relief": "true", "algorithm": "slope"}),
        ("dem", {"relief": "true", "expression": "b1"}),
        ("dem", {"relief": "true", "colormap": '{"1":"red"}'}),
        ("dem", {"relief": "yes"}),
    ],
)
def test_relief_of_anything_but_elevations_is_refused(
    client: httpx.Client, name: str, parameters: dict[str, str]
) -> None:
    answer = client.get(f"/tiles/{LOCAL_PREFIX}/{name}/{TILE}.png", params=parameters)
    assert answer.status_code == 400
    assert answer.text.startswith("relief:")


def test_statistics_have_the_bins_and_percentiles_of_the_url(client: httpx.Client) -> None:
    path = f"/statistics/{LOCAL_PREFIX}/scene"
    query = {"bands": "b2", "bins": "7", "percentiles": "1,50,99.5"}
    found = client.get(path, params=query).json()["b2"]
    values = np.random.default_rng(5).gamma(3, 400, (4, *SHAPE)).astype("uint16")[1]
    counts, edges = np.histogram(values, 7)
    assert found["histogram"] == [counts.tolist(), edges.tolist()]
    assert found["percentiles"] == dict(
        zip(("1", "50", "99.5"), np.percentile(values, (1, 50, 99.5)).tolist(), strict=True)
    )
    assert "percentiles" not in client.get(path).json()["b1"]


def test_statistics_read_no_more_pixels_than_the_url_says(client: httpx.Client) -> None:
    path = f"/statistics/{LOCAL_PREFIX}/scene"
    assert client.get(path).json()["b1"]["count"] == SHAPE[0] * SHAPE[1]
    assert 5_000 < client.get(path, params={"pixels": "10000"}).json()["b1"]["count"] <= 10_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bins", "0"),
        ("bins", "1025"),
        ("bins", "1e2"),
        ("percentiles", "101"),
        ("percentiles", "5,"),
        ("percentiles", ",".join(["1"] * 21)),
        ("pixels", "4000001"),
    ],
)
def test_details_of_statistics_out_of_range_are_named(
    client: httpx.Client, name: str, text: str
) -> None:
    answer = client.get(f"/statistics/{LOCAL_PREFIX}/scene", params={name: text})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{name}:")
