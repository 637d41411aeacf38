"""Tiles of values with their masks: what they hold and refuse, and that styles share them."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

PLACE = Affine(0.01, 0.0, 10.0, 0.0, -0.01, 50.0)
TILE = "/tiles/scene/7/68/43"
"""Partly outside of the scene."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`scene` has masked pixels and zeros; `sheer` an alpha band that rises from west to east."""
    path = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(1)
    values = noise(3, 300, 400, "int16") * (rng.random((3, 300, 400)) < 0.7)
    mask = rng.random((300, 400)) < 0.8
    write_raster(path / "scene.tif", values.astype("int16"), "EPSG:4326", PLACE, mask=mask)
    rising = np.broadcast_to(np.arange(400) * 255 // 399, (1, 300, 400)).astype("uint8")
    bytes_ = np.concatenate([noise(1, 300, 400, "uint8"), rising])
    write_raster(
        path / "sheer.tif", bytes_, "EPSG:4326", PLACE, photometric="MINISBLACK", alpha=False
    )
    _mark_alpha(path / "sheer.tif")
    return path


def _mark_alpha(path: Path) -> None:
    import rasterio
    from rasterio.enums import ColorInterp

    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = (ColorInterp.gray, ColorInterp.alpha)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with (
        serve(create_app(Config(), [Root(str(folder))])) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client


def values(client: httpx.Client, path: str, **parameters: Any) -> Mapping[str, NDArray[Any]]:
    answer = client.get(path, params=parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), (
        answer.text
    )
    return dict(np.load(io.BytesIO(answer.content)))


def rgba(client: httpx.Client, path: str, **parameters: Any) -> NDArray[np.uint8]:
    answer = client.get(path, params=parameters).raise_for_status()
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


@pytest.mark.parametrize("scale", ["", "@2x"])
def test_it_has_the_values_of_npy_and_the_alpha_of_png(client: httpx.Client, scale: str) -> None:
    found = values(client, f"{TILE}{scale}.npz")
    stored = np.load(io.BytesIO(client.get(f"{TILE}{scale}.npy").content))
    assert tuple(found["bands"]) == stored.dtype.names
    for name, each in zip(stored.dtype.names, found["values"], strict=True):
        np.testing.assert_array_equal(each, stored[name])
    alpha = rgba(client, f"{TILE}{scale}.png", bands="b1,b2,b3", min=0, max=100)[..., 3]
    np.testing.assert_array_equal(found["valid"].all(axis=0), alpha > 0)
    # Zeros that are valid, which the NPY cannot tell.
    assert (found["valid"] & (found["values"] == 0)).any()
    assert not found["valid"].all()


def test_only_the_bands_that_are_wanted_come_in_their_order(client: httpx.Client) -> None:
    whole, few = values(client, f"{TILE}.npz"), values(client, f"{TILE}.npz", bands="b3,b1")
    assert few["bands"].tolist() == ["b3", "b1"]
    np.testing.assert_array_equal(few["values"], whole["values"][[2, 0]])


def test_partial_transparency_survives(client: httpx.Client) -> None:
    path = "/tiles/sheer/7/68/43"
    found = values(client, f"{path}.npz")
    alpha = rgba(client, f"{path}.png")[..., 3]
    assert len(np.unique(alpha)) > 100
    np.testing.assert_array_equal(np.where(found["valid"][0], found["alpha"], 0), alpha)


@pytest.mark.parametrize(
    "parameters",
    [
        {"expression": "b1 - b2"},
        {"algorithm": "slope", "bands": "b1"},
        {"resampling": "bilinear", "bands": "b1"},
        {"nodata": 0},
    ],
    ids=str,
)
def test_processing_makes_other_values(client: httpx.Client, parameters: dict[str, Any]) -> None:
    found = values(client, f"{TILE}.npz", **parameters)
    stored = np.load(io.BytesIO(client.get(f"{TILE}.npy", params=parameters).content))
    for name, each in zip(stored.dtype.names, found["values"], strict=True):
        np.testing.assert_array_equal(each, stored[name])


@pytest.mark.parametrize(
    "name", ["min", "max", "palette", "gamma", "opacity", "stretch", "colormap"]
)
def test_a_parameter_of_style_is_refused_by_its_name(client: httpx.Client, name: str) -> None:
    answer = client.get(f"{TILE}.npz", params={name: "1"})
    assert answer.status_code == 400
    assert f"unknown parameter '{name}'" in answer.text
    assert "Known here: bands" in answer.text


@pytest.mark.parametrize("query", ["bands=b9", "bands=", "resampling=best", "time=2020"])
def test_a_wrong_value_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"{TILE}.npz?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0].removesuffix("s") in answer.text


def test_it_is_cached_as_other_tiles_are(client: httpx.Client) -> None:
    (layer,) = [each for each in client.get("/layers").json()["layers"] if each["name"] == "scene"]
    path = f"{TILE}.npz?bands=b2&{layer['tiles'].partition('?')[2]}"
    first, second = client.get(path), client.get(path)
    assert "immutable" in first.headers["cache-control"]
    assert second.headers["cache-status"] == "tileserver; hit"
    unchanged = client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert unchanged.status_code == 304
    assert second.content == first.content


def test_outside_the_asset_nothing_is_valid(client: httpx.Client) -> None:
    found = values(client, "/tiles/scene/7/3/3.npz", bands="b1")
    assert found["values"].shape == (1, 256, 256)
    assert not found["valid"].any()


PLAIN: dict[str, Any] = {
    "bands": ["b2"],
    "ranges": [[0.0, 100.0]],
    "palette": [],
    "gamma": None,
    "opacity": None,
    "curve": None,
    "quantiles": [],
    "classes": [],
    "made": False,
    "processed": False,
    "light": False,
}


@pytest.mark.parametrize(
    ("style", "members"),
    [
        ({}, {}),
        ({"palette": "red,00f", "gamma": 2}, {"palette": ["ff0000", "0000ff"], "gamma": 2.0}),
        ({"opacity": 0.5, "stretch": "sqrt"}, {"opacity": 0.5, "gamma": 2.0}),
        ({"stretch": "log"}, {"curve": "log", "processed": True}),
        (
            {"colormap": '[[0,10,"#ff000080"],[10,20,"00f"]]'},
            {
                "ranges": [],
                "classes": [[0.0, 10.0, [255, 0, 0, 128]], [10.0, 20.0, [0, 0, 255, 255]]],
                "processed": True,
            },
        ),
        (
            {"expression": "b1 - b2", "bands": None},
            {"bands": ["expression"], "made": True, "processed": True},
        ),
    ],
    ids=str,
)
def test_info_says_how_a_style_is_drawn(
    client: httpx.Client, style: dict[str, Any], members: dict[str, Any]
) -> None:
    query: dict[str, Any] = {"bands": "b2", "min": 0, "max": 100} | style
    query = {name: value for name, value in query.items() if value is not None}
    assert client.get("/info/scene", params=query).json()["drawing"] == PLAIN | members


def test_info_has_the_quantiles_of_equalized_bands(client: httpx.Client) -> None:
    found = client.get("/info/scene?bands=b1,b2,b3&stretch=equalize").json()["drawing"]
    assert found["curve"] == "equalize"
    assert [len(each) for each in found["quantiles"]] == [257] * 3
    assert found["quantiles"][0] == sorted(found["quantiles"][0])


def test_bands_that_make_no_picture_have_no_drawing(client: httpx.Client) -> None:
    assert client.get("/info/scene?bands=b1,b2&palette=red").json()["drawing"] is None
