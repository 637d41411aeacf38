"""Pixels like one of them, by all their bands, against NumPy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.warp import transform

from tests.processing.conftest import Client
from tests.rasters.engine import engine, raw
from tests.support.limits import cpu_limit
from tests.support.rasterfiles import affine, write_raster
from tileserver.contract.processing import Processing
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.processing.engine import Processed

ZOOM, X, Y = 13, 4322, 3000
TILE = f"/tiles/embedding/{ZOOM}/{X}/{Y}"
BANDS = 64


def vectors() -> NDArray[np.int8]:
    found = np.random.default_rng(5).integers(-127, 128, (BANDS, 256, 256)).astype(np.int8)
    found[:, 10:20, 30:50] = -128
    found[:, 60, 60] = 0
    return found


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 bands of int8 on the pixels of a tile; -128 is nodata."""
    place = affine(tile_grid(Tile(X, Y, ZOOM)).transform)
    file = tmp_path_factory.mktemp("scenes") / "embedding.tif"
    return write_raster(file, vectors(), "EPSG:3857", place, nodata=-128, overviews=())


@pytest.fixture(scope="module")
def client(path: Path, serving: Callable[..., Client]) -> Client:
    return serving(path)


def place_of(row: int, column: int) -> tuple[float, float]:
    x, y = tile_grid(Tile(X, Y, ZOOM)).transform.apply(column + 0.5, row + 0.5)
    (lon,), (lat,) = transform("EPSG:3857", "EPSG:4326", [x], [y])
    return lon, lat


def like(row: int, column: int) -> str:
    lon, lat = place_of(row, column)
    return f"{lon:.9f},{lat:.9f}"


def expected(row: int, column: int, bands: slice = slice(None)) -> NDArray[np.float64]:
    values = vectors()[bands].astype(np.float64)
    one = values[:, row, column]
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = np.tensordot(one, values, 1) / (
            np.linalg.norm(one) * np.linalg.norm(values, axis=0)
        )
    found[10:20, 30:50] = np.nan
    return found


def test_similarity_is_the_cosine_to_the_pixel(client: Client) -> None:
    found = client.bands(f"{TILE}.npy", like=like(100, 200))["similarity"]
    assert found.dtype == np.float32
    assert found[100, 200] == pytest.approx(1)
    np.testing.assert_allclose(found, np.nan_to_num(expected(100, 200)), atol=2e-6)


def test_some_bands_may_be_chosen(client: Client) -> None:
    found = client.bands(f"{TILE}.npy", like=like(3, 4), bands="b1,b2,b3")["similarity"]
    wanted = np.nan_to_num(expected(3, 4, slice(0, 3)))
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_less_similar_pixels_than_the_threshold_are_masked(client: Client) -> None:
    found = client.bands(f"{TILE}.npy", like=like(100, 200), threshold=0.1)["similarity"]
    cosine = np.nan_to_num(expected(100, 200))
    clear = np.abs(cosine - 0.1) > 1e-5
    np.testing.assert_array_equal((found != 0)[clear], (cosine > 0.1)[clear])


def test_it_is_drawn_and_asked_at_points(client: Client) -> None:
    plain = client.get(f"{TILE}.png", params={"like": like(100, 200)})
    grey = client.get(f"{TILE}.png", params={"like": like(100, 200), "palette": "black,white"})
    assert plain.status_code == grey.status_code == 200
    assert plain.content != grey.content
    lon, lat = place_of(7, 9)
    params: dict[str, Any] = {"lon": lon, "lat": lat, "like": like(100, 200)}
    value = client.get("/point/embedding", params=params).json()["values"]["similarity"]
    assert value == pytest.approx(expected(100, 200)[7, 9], abs=2e-6)
    document = client.get("/tilejson/embedding.json", params={"like": like(1, 2)}).json()
    assert document["bands"] == ["similarity"]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"like": "5"}, "lon,lat"),
        ({"like": "5,95"}, "-90 to 90"),
        ({"like": "x,y"}, "like"),
        ({"like": "0,0"}, "no values"),
        ({"like": like(12, 34)}, "no values"),
        ({"like": like(60, 60)}, "no values"),
        ({"threshold": 0.5}, "threshold: goes with like"),
        ({"like": "5,5", "threshold": 2}, "threshold"),
        ({"like": "5,5", "algorithm": "slope"}, "goes not with"),
    ],
)
def test_what_does_not_fit_is_refused(
    client: Client, parameters: dict[str, Any], told: str
) -> None:
    assert told in client.refused(f"{TILE}.png", **parameters)


def test_a_cold_tile_takes_little_processor_time(path: Path) -> None:
    """60 ms is what a cold tile may take; here CPU time, of reading, comparing and encoding."""
    lon, lat = place_of(100, 200)
    request = replace(
        raw(path, tile_grid(Tile(X, Y, ZOOM))), processing=Processing(like=(lon, lat))
    )
    processed = Processed(engine(path), lambda name: True)
    # The first request describes the file, and reads the pixel that others are compared with.
    asyncio.run(processed.get_pixels(request))
    cold = Processed(engine(path), lambda name: True)
    # 0.036 s on two cores of 2026; a machine under load takes longer for the same.
    with cpu_limit(0.2):
        asyncio.run(cold.get_pixels(request))
