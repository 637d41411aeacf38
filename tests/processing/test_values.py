"""A nodata value in the URL, and the scale and offset of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.warp import transform

from tests.processing.conftest import Client
from tests.support.rasterfiles import apply, noise, write_raster
from tileserver.config.config import Config
from tileserver.config.layers import LayerSettings
from tileserver.contract.names import LOCAL_PREFIX

MERCATOR = Affine(30.0, 0.0, 1_100_000.0, 0.0, -30.0, 4_200_000.0)
TILE = "/tiles/scene/13/4322/3238"
SCALE, OFFSET = 0.0001, -0.1


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = noise(2, 300, 400, "int16")
    values[0, :, 100:140] = 5
    file = tmp_path_factory.mktemp("scenes") / "scene.tif"
    write_raster(file, values, "EPSG:3857", MERCATOR, overviews=())
    with rasterio.open(file, "r+") as dataset:
        dataset.scales, dataset.offsets = (SCALE, 1.0), (OFFSET, 0.0)
    return file


@pytest.fixture(scope="module")
def client(path: Path, serving: Callable[..., Client]) -> Client:
    asset = f"{LOCAL_PREFIX}/scene"
    layer = LayerSettings("meant", asset, bands=("b1",), unscale=True, nodata=5.0)
    return serving(path, Config(layers=(layer,)))


def test_info_says_scale_and_offset(client: Client) -> None:
    one, other = client.get("/info/scene").json()["bands"]
    assert (one["scale"], one["offset"]) == (SCALE, OFFSET)
    assert (other["scale"], other["offset"]) == (1.0, 0.0)


def test_unscaled_values_are_scaled_and_shifted(client: Client) -> None:
    stored = client.bands(f"{TILE}.npy", bands="b1,b2")
    found = client.bands(f"{TILE}.npy", bands="b1,b2", unscale="true")
    inside = stored["b2"] != 0
    expected = stored["b1"].astype(np.float64) * SCALE + OFFSET
    np.testing.assert_allclose(found["b1"][inside], expected[inside])
    np.testing.assert_array_equal(found["b2"], stored["b2"])
    plain = client.bands(f"{TILE}.npy", bands="b1,b2", unscale="false")
    np.testing.assert_array_equal(plain["b1"], stored["b1"])


def test_points_and_statistics_are_unscaled_where_they_are_asked_to(client: Client) -> None:
    x, y = apply(MERCATOR, 10.5, 20.5)
    (lon,), (lat,) = transform("EPSG:3857", "EPSG:4326", [x], [y])
    place: dict[str, Any] = {"lon": lon, "lat": lat, "bands": "b1"}
    stored = client.get("/point/scene", params=place).json()["values"]["b1"]
    found = client.get("/point/scene", params={**place, "unscale": "true"}).json()["values"]["b1"]
    assert found == pytest.approx(stored * SCALE + OFFSET)
    assert client.get("/point/meant", params=place).json()["values"]["b1"] == found
    one, other = (
        client.get("/statistics/scene", params={"bands": "b1", **more}).json()["b1"]
        for more in ({}, {"unscale": "true"})
    )
    assert other["mean"] == pytest.approx(one["mean"] * SCALE + OFFSET)
    assert other["count"] == one["count"]


def test_min_and_max_are_those_of_unscaled_values(client: Client) -> None:
    stored = client.get(f"{TILE}.png", params={"bands": "b1", "min": 0, "max": 10000})
    style: dict[str, Any] = {
        "bands": "b1",
        "min": OFFSET,
        "max": 10000 * SCALE + OFFSET,
        "unscale": "true",
    }
    assert client.get(f"{TILE}.png", params=style).content == stored.content


def test_a_nodata_value_is_masked(client: Client, path: Path) -> None:
    with rasterio.open(path) as dataset:
        count = int((dataset.read(1) != 5).sum())
    found = client.get("/statistics/scene", params={"bands": "b1", "nodata": 5}).json()["b1"]
    assert found["count"] == count
    assert client.get("/statistics/meant", params={"bands": "b1"}).json()["b1"]["count"] == count
    x, y = apply(MERCATOR, 120.5, 20.5)
    (lon,), (lat,) = transform("EPSG:3857", "EPSG:4326", [x], [y])
    place = {"lon": lon, "lat": lat, "nodata": "5"}
    assert client.get("/point/scene", params=place).json()["values"]["b1"] is None


@pytest.mark.parametrize(
    "route",
    [
        f"{TILE}.png",
        "/preview/scene.png",
        "/tilejson/scene.json",
        "/legend/scene.svg",
        "/statistics/scene",
        "/crop/scene.tif",
        "/point/scene",
    ],
)
def test_a_band_that_there_is_not_is_refused_where_a_value_is_masked(
    client: Client, route: str
) -> None:
    place = {"lon": 9.9, "lat": 35.2} if "point" in route else {}
    assert "B9" in client.refused(route, nodata="3", bands="B9", **place)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "average"])
def test_a_nodata_value_does_not_bleed(
    tmp_path: Path, serving: Callable[..., Client], resampling: str
) -> None:
    values = np.full((1, 300, 400), 1000, "int16")
    values[0, ::3, ::4] = -9999
    write_raster(tmp_path / "scene.tif", values, "EPSG:3857", MERCATOR, overviews=())
    client = serving(tmp_path)
    found = client.bands(f"{TILE}.npy", nodata="-9999", resampling=resampling)["b1"]
    assert set(np.unique(found)) == {0, 1000}


@pytest.mark.parametrize("text", ["nan", "-99999999", "0.5", "1e300"])
def test_a_nodata_value_that_the_type_lacks_masks_nothing(client: Client, text: str) -> None:
    plain = client.bands(f"{TILE}.npy", bands="b1")["b1"]
    found = client.bands(f"{TILE}.npy", bands="b1", nodata=text)["b1"]
    np.testing.assert_array_equal(found, plain)


def test_wrong_values_are_refused(client: Client) -> None:
    assert "nodata" in client.refused(f"{TILE}.png", nodata="nothing")
    message = client.refused(f"{TILE}.png", unscale="perhaps")
    assert "unscale: expected one of true, false" in message


def test_classes_and_photographs_keep_their_looks(
    tmp_path: Path, serving: Callable[..., Client]
) -> None:
    classes = np.random.default_rng(2).integers(0, 4, (1, 300, 400)).astype("uint8")
    path = write_raster(
        tmp_path / "land.tif", classes, "EPSG:3857", MERCATOR, photometric="palette", overviews=()
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {i: (60 * i, 20, 30, 255) for i in range(4)})
    photograph = noise(3, 300, 400, "uint8") // 2
    write_raster(
        tmp_path / "photo.tif", photograph, "EPSG:3857", MERCATOR, photometric="rgb", overviews=()
    )
    client = serving(tmp_path)
    for name in ("land", "photo"):
        styles = (
            client.get(f"/info/{name}", params=more).json()["style"]
            for more in ({}, {"nodata": "3"})
        )
        one, other = styles
        assert one == other
