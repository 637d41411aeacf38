"""Stretches and colours of classes in the URL, against NumPy."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine

from tests.processing.conftest import Client
from tests.support.rasterfiles import write_raster
from tileserver.config.config import Config
from tileserver.config.layers import LayerSettings
from tileserver.contract.names import LOCAL_PREFIX

MERCATOR = Affine(30.0, 0.0, 1_100_000.0, 0.0, -30.0, 4_200_000.0)
PLACE = "13/4322/3238"
HEIGHT, WIDTH = 300, 400


def skewed() -> NDArray[np.float32]:
    """One band whose values are mostly small."""
    values = np.random.default_rng(2).lognormal(3, 1, (1, HEIGHT, WIDTH))
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., Client]) -> Client:
    folder = tmp_path_factory.mktemp("scenes")
    mask = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.9
    options: dict[str, Any] = {"mask": mask, "overviews": ()}
    write_raster(folder / "skewed.tif", skewed(), "EPSG:3857", MERCATOR, **options)
    classes = np.random.default_rng(3).integers(0, 6, (1, HEIGHT, WIDTH)).astype("uint8")
    write_raster(folder / "land.tif", classes, "EPSG:3857", MERCATOR, **options)
    layers = (
        LayerSettings("logarithmic", f"{LOCAL_PREFIX}/skewed", stretch="minmax,log"),
        LayerSettings("coloured", f"{LOCAL_PREFIX}/land", colormap='{"1": "red"}'),
    )
    return serving(folder, Config(layers=layers))


def valid_values(client: Client) -> NDArray[np.float64]:
    mask = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.9
    found: NDArray[np.float64] = skewed()[0][mask].astype(np.float64)
    return found


def pixels(client: Client, layer: str, **style: Any) -> NDArray[np.uint8]:
    """The tile as red, green, blue and alpha."""
    answer = client.get(f"/tiles/{layer}/{PLACE}.png", params=style)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def raw(client: Client, layer: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The tile's values, and where they are not masked."""
    values = client.bands(f"/tiles/{layer}/{PLACE}.npy")["b1"].astype(np.float64)
    shown = pixels(client, layer, min=0, max=1, palette="red,red")[..., 3] > 0
    return values, shown


def share(values: Any, low: float, high: float) -> NDArray[np.float64]:
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


@pytest.mark.parametrize(
    ("stretch", "ends", "curve"),
    [
        ("minmax", lambda v: (v.min(), v.max()), lambda s: s),
        ("percentile:5,90", lambda v: np.percentile(v, (5, 90)), lambda s: s),
        ("percentile", lambda v: np.percentile(v, (2, 98)), lambda s: s),
        ("stddev:1.5", lambda v: (v.mean() - 1.5 * v.std(), v.mean() + 1.5 * v.std()), lambda s: s),
        ("sqrt", lambda v: np.percentile(v, (2, 98)), np.sqrt),
        ("log", lambda v: np.percentile(v, (2, 98)), lambda s: np.log1p(1000 * s) / np.log(1001)),
        ("minmax,sqrt", lambda v: (v.min(), v.max()), np.sqrt),
        (
            "stddev,log",
            lambda v: (v.mean() - 2 * v.std(), v.mean() + 2 * v.std()),
            lambda s: np.log1p(1000 * s) / np.log(1001),
        ),
    ],
)
def test_a_stretch_is_measured_over_the_whole_asset(
    client: Client, stretch: str, ends: Callable[[Any], Any], curve: Callable[[Any], Any]
) -> None:
    values, shown = raw(client, "skewed")
    expected = curve(share(values, *ends(valid_values(client)))) * 255
    found = pixels(client, "skewed", stretch=stretch)
    np.testing.assert_array_equal(found[..., 3] > 0, shown)
    assert np.abs(found[..., 0][shown] - expected[shown]).max() < 0.6


def test_equalized_shades_are_equally_frequent(client: Client) -> None:
    values, shown = raw(client, "skewed")
    everything = np.sort(valid_values(client))
    expected = np.searchsorted(everything, values) / everything.size * 255
    found = pixels(client, "skewed", stretch="equalize")[..., 0]
    assert np.abs(found[shown] - expected[shown]).max() < 2
    counts, _ = np.histogram(found[shown], 8, (0, 256))
    assert counts.min() > 0.8 * counts.mean()


def test_a_range_in_the_url_is_kept_and_the_curve_applied_to_it(client: Client) -> None:
    values, shown = raw(client, "skewed")
    found = pixels(client, "skewed", stretch="sqrt", min=0, max=200)[..., 0]
    expected = np.sqrt(share(values, 0, 200)) * 255
    assert np.abs(found[shown] - expected[shown]).max() < 0.6


def test_a_stretch_is_a_setting_of_a_layer_too(client: Client) -> None:
    assert np.array_equal(
        pixels(client, "logarithmic"), pixels(client, "skewed", stretch="minmax,log")
    )
    # The request's own stretch is in the place of the layer's.
    assert np.array_equal(
        pixels(client, "logarithmic", stretch="minmax"), pixels(client, "skewed", stretch="minmax")
    )


def test_tiles_of_a_stretch_agree_with_the_preview_and_tilejson_names_it(client: Client) -> None:
    document = client.get("/tilejson/skewed.json", params={"stretch": "equalize"}).json()
    assert "stretch=equalize" in document["tiles"][0]
    for path in ("/preview/skewed.png", "/legend/skewed.svg"):
        assert client.get(path, params={"stretch": "equalize"}).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "percentile:2",
        "percentile:98,2",
        "percentile:2,x",
        "stddev:0",
        "2-98",
        "sqrt,minmax",
        ",log",
        "minmax,equalize",
        "log,sqrt",
        "stddev:nan",
    ],
)
def test_a_malformed_stretch_is_refused(client: Client, text: str) -> None:
    assert "stretch" in client.refused(f"/tiles/skewed/{PLACE}.png", stretch=text)


COLORS = {"1": "#ff0000", "2": "#00ff0080", "4": [0, 0, 255], "5": "teal"}
RGBA = {1: (255, 0, 0, 255), 2: (0, 255, 0, 128), 4: (0, 0, 255, 255), 5: (0, 128, 128, 255)}


def test_classes_have_their_colours_exactly_and_others_do_not_show(client: Client) -> None:
    values, shown = raw(client, "land")
    found = pixels(client, "land", colormap=json.dumps(COLORS))
    expected = np.zeros((256, 256, 4), np.uint8)
    for value, color in RGBA.items():
        expected[(values == value) & shown] = color
    np.testing.assert_array_equal(found, expected)


def test_opaque_classes_are_drawn_the_same_in_png_and_webp(client: Client) -> None:
    colormap = json.dumps({"1": "#ff0000", "3": "#00ff00"})
    found = pixels(client, "land", colormap=colormap)
    answer = client.get(f"/tiles/land/{PLACE}.webp", params={"colormap": colormap})
    webp = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    np.testing.assert_array_equal(found, webp)
    faint = pixels(client, "land", colormap=colormap, opacity=0.5)
    np.testing.assert_array_equal(faint[..., 3], np.where(found[..., 3] > 0, 128, 0))


@pytest.mark.parametrize(
    "colormap",
    [
        [[0, 10, "#ff0000"], [10, 20, "#00ff00"], [50, 1e6, [0, 0, 255, 255]]],
        [[[0, 10], "#ff0000"], [[10, 20], "#00ff00"], [[50, 1e6], [0, 0, 255, 255]]],
    ],
)
def test_intervals_have_their_colours_exactly(client: Client, colormap: Any) -> None:
    values, shown = raw(client, "skewed")
    found = pixels(client, "skewed", colormap=json.dumps(colormap))
    expected = np.zeros((256, 256, 4), np.uint8)
    for low, high, color in ((0, 10, "ff0000"), (10, 20, "00ff00"), (50, 1e6, "0000ff")):
        expected[(values >= low) & (values < high) & shown] = (*bytes.fromhex(color), 255)
    np.testing.assert_array_equal(found, expected)


def test_the_legend_has_a_swatch_for_each_class(client: Client) -> None:
    svg = client.get("/legend/land.svg", params={"colormap": json.dumps(COLORS)}).text
    assert re.findall(r'fill="(#[0-9a-f]{6})" stroke', svg)[1:] == [
        "#ff0000",
        "#00ff00",
        "#0000ff",
        "#008080",
    ]
    intervals = client.get("/legend/skewed.svg", params={"colormap": '[[0,10,"red"]]'}).text
    assert "0 to 10" in intervals


def test_a_colormap_is_a_setting_of_a_layer_too(client: Client) -> None:
    found = pixels(client, "coloured")
    np.testing.assert_array_equal(found, pixels(client, "land", colormap='{"1":"#f00"}'))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "red",
        '{"a":"red"}',
        '{"1":"nocolour"}',
        '{"1":[0,0,256]}',
        '[[10,0,"red"]]',
        '[[0,"red"]]',
        "[" * 1200 + "]" * 1200,
        '{"1":5}',
        '[[0,1e999,"red"]]',
        "3",
        '{"1":[0,0]}',
    ],
)
def test_a_malformed_colormap_is_refused(client: Client, text: str) -> None:
    assert "colormap" in client.refused(f"/tiles/land/{PLACE}.png", colormap=text)


def test_colours_of_float32_values_are_found_by_their_decimals(
    tmp_path: Path, serving: Callable[..., Client]
) -> None:
    values = np.tile(np.array([0.1, 0.7, 0.3, 2.0], np.float32), (1, 256, 64))
    write_raster(tmp_path / "tenths.tif", values, "EPSG:3857", MERCATOR, overviews=())
    client = serving(tmp_path)
    stored = client.bands(f"/tiles/tenths/{PLACE}.npy")["b1"]
    colormap = json.dumps({"0.7": "#00ff00", "0.1": "#ff0000"})
    found = pixels(client, "tenths", colormap=colormap)
    assert (stored == np.float32(0.7)).any()
    np.testing.assert_array_equal((found == (0, 255, 0, 255)).all(2), stored == np.float32(0.7))
    np.testing.assert_array_equal((found == (255, 0, 0, 255)).all(2), stored == np.float32(0.1))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("style", "some"),
    [
        ({"colormap": '[[-1e299,1e299,"#ff0000"]]'}, True),
        ({"colormap": '{"1e308":"red"}'}, False),
        ({"nodata": "1e308", "min": "0", "max": "1"}, True),
    ],
)
def test_numbers_beyond_the_type_of_a_band_warn_nobody(
    client: Client, style: Any, some: bool
) -> None:
    shown = pixels(client, "skewed", **style)[..., 3] > 0
    _, valid = raw(client, "skewed")
    np.testing.assert_array_equal(shown, valid & some)


def test_what_goes_not_together_is_refused(client: Client) -> None:
    path = f"/tiles/land/{PLACE}.png"
    assert "palette" in client.refused(path, colormap='{"1":"red"}', palette="red,blue")
    assert "stretch" in client.refused(path, colormap='{"1":"red"}', stretch="minmax")
    assert "equalize" in client.refused(path, stretch="equalize", min=0, max=1)


@pytest.mark.parametrize("stretch", ["minmax,log", "equalize"])
def test_the_bar_of_a_legend_has_the_colours_of_the_tiles(client: Client, stretch: str) -> None:
    svg = client.get("/legend/skewed.svg", params={"stretch": stretch}).text
    stops = re.findall(r'offset="([0-9.e-]+)" stop-color="#(..)', svg)
    low, high = valid_values(client).min(), valid_values(client).max()
    values, shown = raw(client, "skewed")
    drawn = pixels(client, "skewed", stretch=stretch)[..., 0].astype(float)
    shades = [int(shade, 16) for _, shade in stops]
    told = np.interp(share(values, low, high), [float(at) for at, _ in stops], shades)
    assert len(stops) > 100
    assert np.median(np.abs(told - drawn)[shown]) < 12
    assert np.abs(told - drawn)[shown & (values > 60)].max() < 12


def test_an_infinite_value_has_no_class(tmp_path: Path, serving: Callable[..., Client]) -> None:
    values = np.tile(np.array([-np.inf, 1.0, np.nan, np.inf], np.float32), (1, 256, 64))
    write_raster(tmp_path / "far.tif", values, "EPSG:3857", MERCATOR, overviews=())
    client = serving(tmp_path)
    # In single precision -1e299 is infinite, too.
    found = pixels(client, "far", colormap='[[-1e299,1e299,"#ff0000"]]')
    stored = client.bands(f"/tiles/far/{PLACE}.npy")["b1"]
    assert np.isinf(stored).any()
    np.testing.assert_array_equal(found[..., 3] > 0, stored == 1)
