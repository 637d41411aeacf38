"""Formulas over bands in the URL, against NumPy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.warp import transform

from tests.processing.conftest import Client
from tests.support.rasterfiles import apply, noise, write_raster
from tileserver.config.config import Config
from tileserver.config.layers import LayerSettings
from tileserver.contract.names import LOCAL_PREFIX

MERCATOR = Affine(30.0, 0.0, 1_100_000.0, 0.0, -30.0, 4_200_000.0)
TILE = "/tiles/scene/13/4322/3238"
NDVI = "(B8-B4)/(B8+B4)"
BANDS = ("B4", "B8", "QA-1")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = noise(3, 300, 400, "uint16")
    values[1, ::7, ::11] = 0
    mask = np.random.default_rng(1).random((300, 400)) < 0.9
    file = tmp_path_factory.mktemp("scenes") / "scene.tif"
    return write_raster(
        file, values, "EPSG:3857", MERCATOR, mask=mask, descriptions=BANDS, overviews=()
    )


@pytest.fixture(scope="module")
def client(path: Path, serving: Callable[..., Client]) -> Client:
    asset = f"{LOCAL_PREFIX}/scene"
    ndvi = LayerSettings("ndvi", asset, formula=NDVI, min=(-1.0,), max=(1.0,))
    return serving(path, Config(layers=(ndvi,)))


def raw(client: Client) -> dict[str, NDArray[np.float64]]:
    bands = client.bands(f"{TILE}.npy", bands=",".join(BANDS))
    return {name: values.astype(np.float64) for name, values in bands.items()}


@pytest.mark.parametrize(
    ("text", "function"),
    [
        (NDVI, lambda b: (b["B8"] - b["B4"]) / (b["B8"] + b["B4"])),
        ("B8 - B4", lambda b: b["B8"] - b["B4"]),
        ("sqrt(b(1)) * 0.5 + b('QA-1') ** 2", lambda b: np.sqrt(b["B8"]) * 0.5 + b["QA-1"] ** 2),
        ("B8 > B4 && !(B4 < 100) ? B8 : -1", lambda b: _chosen(b)),
        ("min(B4, B8, 1000) % 7", lambda b: np.minimum(np.minimum(b["B4"], b["B8"]), 1000) % 7),
    ],
)
def test_a_formula_is_what_numpy_makes_of_the_bands(
    client: Client, text: str, function: Callable[[Any], NDArray[Any]]
) -> None:
    found = client.bands(f"{TILE}.npy", expression=text)
    assert list(found) == ["expression"]
    bands = raw(client)
    with np.errstate(all="ignore"):
        expected = function(bands)
    at = (bands["B4"] + bands["B8"] + bands["QA-1"] > 0) & np.isfinite(expected)
    assert at.sum() > 1000
    np.testing.assert_allclose(found["expression"][at], expected[at], rtol=1e-5)


def _chosen(b: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.where((b["B8"] > b["B4"]) & ~(b["B4"] < 100), b["B8"], -1)


@pytest.mark.skipif(not shutil.which("gdal_calc.py"), reason="gdal_calc.py is not installed")
def test_a_formula_is_what_gdal_calc_makes(client: Client, path: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.tif"
    files = ["-A", str(path), "--A_band=1", "-B", str(path), "--B_band=2", f"--outfile={made}"]
    formula = "(B.astype(float)-A)/(B.astype(float)+A)"
    options = ["--quiet", "--type=Float64", f"--calc={formula}"]
    subprocess.run(["gdal_calc.py", *files, *options], check=True)
    with rasterio.open(made) as dataset:
        expected = dataset.read(1)
    for column, row in ((10, 20), (399, 299), (200, 150)):
        x, y = apply(MERCATOR, column + 0.5, row + 0.5)
        (lon,), (lat,) = transform("EPSG:3857", "EPSG:4326", [x], [y])
        answer = client.get("/point/scene", params={"lon": lon, "lat": lat, "expression": NDVI})
        value = answer.json()["values"]["expression"]
        assert value is None or value == pytest.approx(expected[row, column], rel=1e-5)


@pytest.mark.parametrize(
    "query",
    [
        "(B8-B4)/(B8+B4)",
        "(B8%20-%20B4)/(B8%20%2B%20B4)",
        "(B8%20-%20B4)%20/%20(B8%20+%20B4)",
        "(B8%20-%20B4)/(B8%20+B4)",
        "(B8+-+B4)/(B8+%2B+B4)",
        "%28B8+-+B4%29+/+%28B8+B4%29",
        quote_plus("(B8 - B4) / (B8 + B4)"),
        "(b(1)-b(0))/(b(1)+b(0))",
    ],
)
def test_a_plus_sign_may_be_written_as_it_is(client: Client, query: str) -> None:
    plain = client.get(f"{TILE}.npy", params={"expression": NDVI}).content
    assert client.get(f"{TILE}.npy?expression={query}").content == plain


def test_a_pixel_is_masked_where_a_band_that_it_reads_is(client: Client) -> None:
    picture = client.get(f"{TILE}.png", params={"expression": NDVI, "min": -1, "max": 1})
    assert picture.status_code == 200
    plain = client.bands(f"{TILE}.npy", bands="B4,B8")
    found = client.bands(f"{TILE}.npy", expression="B4 * 0 + B8 * 0 + 1")["expression"]
    np.testing.assert_array_equal(found == 0, (plain["B4"] == 0) & (plain["B8"] == 0))


def test_the_result_is_drawn_with_min_max_and_palette(client: Client) -> None:
    style: dict[str, Any] = {"min": -1, "max": 1, "palette": "red,green"}
    one = client.get(f"{TILE}.png", params={"expression": NDVI, **style})
    assert one.status_code == 200
    other = client.get(f"{TILE}.png", params={"expression": NDVI, **style, "max": 0.5})
    assert one.content != other.content
    automatic = client.get("/tilejson/scene.json", params={"expression": NDVI})
    assert automatic.json()["bands"] == ["expression"]
    assert "expression=" in automatic.json()["tiles"][0]
    assert client.get("/preview/scene.png", params={"expression": NDVI}).status_code == 200
    assert client.get("/legend/scene.svg", params={"expression": NDVI}).status_code == 200


def test_a_configured_formula_is_that_of_the_url(client: Client) -> None:
    by_url = client.get(f"{TILE}.png", params={"expression": NDVI, "min": -1, "max": 1}).content
    assert client.get(TILE.replace("scene", "ndvi") + ".png").content == by_url
    plain = client.get("/tilejson/ndvi.json", params={"expression": "B4"})
    assert plain.json()["bands"] == ["expression"]


def test_statistics_are_those_of_the_result(client: Client, path: Path) -> None:
    with rasterio.open(path) as dataset:
        red, infrared = dataset.read([1, 2]).astype(np.float64)
        valid = dataset.dataset_mask() > 0
    with np.errstate(all="ignore"):
        expected = ((infrared - red) / (infrared + red))[valid]
    expected = expected[np.isfinite(expected)]
    found = client.get("/statistics/scene", params={"expression": NDVI}).json()["expression"]
    assert found["count"] == pytest.approx(expected.size, abs=2)
    assert found["mean"] == pytest.approx(expected.mean(), abs=1e-4)
    assert found["min"] == pytest.approx(expected.min(), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("(B8-B4", "at its end"),
        ("B8 $ 3", "near '$ 3'"),
        ("B9 + B4", "B4, B8, QA-1"),
        ("b()", "makes 3"),
        ("__import__('os')", "Unknown function"),
        ("(" * 70 + "B4" + ")" * 70, "nested too deeply"),
        ("B4+" * 800 + "B4", "at most 2000"),
        ("B4; B8", "near"),
    ],
)
def test_a_bad_formula_is_refused_with_its_place(client: Client, text: str, told: str) -> None:
    for path in (f"{TILE}.png", "/point/scene", "/statistics/scene", "/tilejson/scene.json"):
        more = {"lon": 9.9, "lat": 35.2} if path.startswith("/point") else {}
        message = client.refused(path, expression=text, **more)
        assert "expression" in message
        assert told in message


def test_bands_and_an_expression_exclude_each_other(client: Client) -> None:
    assert "bands" in client.refused(f"{TILE}.png", expression=NDVI, bands="B4")


def test_a_formula_over_resampled_bands_is_that_of_the_resampled_values(client: Client) -> None:
    style = {"resampling": "average"}
    bands = client.bands(f"{TILE}.npy", bands="B4,B8", **style)
    red, infrared = (bands[name].astype(np.float64) for name in ("B4", "B8"))
    found = client.bands(f"{TILE}.npy", expression=NDVI, **style)["expression"]
    at = red + infrared > 0
    with np.errstate(invalid="ignore"):
        expected = (infrared - red) / (infrared + red)
    np.testing.assert_allclose(found[at], expected[at], rtol=1e-5)
