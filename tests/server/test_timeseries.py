"""Times of mosaics over HTTP: `time=` on all routes of a layer, and `/timeseries`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ee
import httpx
import mercantile
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.warp import transform as project

from tests.mosaics.files import NAME, shifted
from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.config.config import Config, load_config
from tileserver.mosaics import limits
from tileserver.rasters.roots import Root, mosaic_root
from tileserver.server.app import create_app

DAYS = ("20250105", "20250310", "20250601", "20250701")
COLUMN, ROW = 30, 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files of one place, a day each, and two others."""
    made = tmp_path_factory.mktemp("times") / "scenes"
    made.mkdir()
    rng = np.random.default_rng(3)
    for number, day in enumerate(DAYS):
        values = rng.integers(1, 200, (2, 64, 64)).astype("uint8")
        values[1, ROW, COLUMN] = 0 if number == 1 else 50 + number
        write_raster(made / f"x_{day}.tif", values, transform=shifted(0, 0), nodata=0, overviews=())
    # One without a time, and one of another place.
    write_raster(made / "base.tif", values, transform=shifted(0, 0), nodata=0, overviews=())
    far = shifted(500, 0)
    write_raster(made / "far_20250201.tif", values, transform=far, nodata=0, overviews=())
    return made


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve the mosaic, and one of its files as a layer of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        single = Root(str(folder / "base.tif"))
        with (
            serve(create_app(Config(), [mosaic_root(str(folder)), single])) as url,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            until(lambda: client.get("/info/scenes").json().get("mosaic", {}).get("complete"))
            yield client


@pytest.fixture(scope="module")
def place(folder: Path) -> dict[str, float]:
    """Return the place of a pixel, in degrees."""
    with rasterio.open(folder / "base.tif") as dataset:
        x, y = dataset.xy(ROW, COLUMN)
        ((lon,), (lat,)) = project(dataset.crs, "EPSG:4326", [x], [y])
    return {"lon": lon, "lat": lat}


def value_in(folder: Path, day: str) -> list[int | None]:
    with rasterio.open(folder / f"x_{day}.tif") as dataset:
        return [int(value) or None for value in dataset.read()[:, ROW, COLUMN]]


def test_a_series_has_the_values_of_each_file_by_time(
    client: httpx.Client, folder: Path, place: dict[str, float]
) -> None:
    found = client.get("/timeseries/scenes", params=place).raise_for_status().json()
    assert (found["lon"], found["lat"]) == (place["lon"], place["lat"])
    assert found["bands"] == ["b1", "b2"]
    assert [each["time"][:10].replace("-", "") for each in found["series"]] == list(DAYS)
    assert [each["asset"] for each in found["series"]] == [f"{NAME}/x_{day}" for day in DAYS]
    values = [list(each["values"].values()) for each in found["series"]]
    assert values == [value_in(folder, day) for day in DAYS]
    assert values[1][1] is None


def test_bands_and_times_are_chosen(client: httpx.Client, place: dict[str, float]) -> None:
    query: dict[str, Any] = {**place, "bands": "b2", "time": "2025-03-01/2025-07-01"}
    found = client.get("/timeseries/scenes", params=query).json()
    # The end is excluded; where the only band is masked there is no value.
    assert [each["values"] for each in found["series"]] == [{"b2": 52}]


@pytest.mark.parametrize("url", ["/timeseries/scenes.csv", "/timeseries/scenes?format=csv"])
def test_a_series_as_csv(
    url: str, client: httpx.Client, folder: Path, place: dict[str, float]
) -> None:
    answer = client.get(httpx.URL(url).copy_merge_params(place))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["time", "asset", "b1", "b2"]
    assert [[int(v) if v else None for v in row[2:]] for row in rows] == [
        value_in(folder, day) for day in DAYS
    ]


def test_a_series_of_one_image(client: httpx.Client, place: dict[str, float]) -> None:
    found = client.get("/timeseries/base", params=place).raise_for_status().json()
    (only,) = found["series"]
    assert only["time"] is None
    point = client.get("/point/base", params=place).json()
    assert only["values"] == point["values"]


def test_a_place_without_files_has_an_empty_series(client: httpx.Client) -> None:
    found = client.get("/timeseries/scenes", params={"lon": 5, "lat": 5}).json()
    assert found["series"] == []


def test_a_series_is_bounded(
    client: httpx.Client, place: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_MOMENTS", 3)
    answer = client.get("/timeseries/scenes", params=place)
    assert answer.status_code == 400
    assert "4 files lie here" in answer.text
    assert client.get("/timeseries/scenes", params={**place, "time": "2025-06"}).status_code == 200


def test_a_point_is_of_the_newest_file_in_the_time(
    client: httpx.Client, folder: Path, place: dict[str, float]
) -> None:
    for time, day in (("2025-01", "20250105"), ("../2025-07-01", "20250601"), ("2025", "20250701")):
        found = client.get("/point/scenes", params={**place, "time": time}).json()["values"]
        assert list(found.values()) == value_in(folder, day), time
    none = client.get("/point/scenes", params={**place, "time": "2020"}).json()["values"]
    assert set(none.values()) == {None}


def pixels(client: httpx.Client, url: str, **query: str) -> Any:
    answer = client.get(url, params={"bands": "b1", "min": 0, "max": 255, **query})
    return np.asarray(Image.open(io.BytesIO(answer.raise_for_status().content)).convert("RGBA"))


def test_tiles_previews_and_statistics_are_of_the_time(
    client: httpx.Client, folder: Path, place: dict[str, float]
) -> None:
    with rasterio.open(folder / "x_20250105.tif") as dataset:
        expected = dataset.read(1)
    statistics = client.get("/statistics/scenes", params={"time": "2025-01-05"}).json()["b1"]
    assert statistics["mean"] == pytest.approx(expected[expected > 0].mean())
    x, y, z = mercantile.tile(place["lon"], place["lat"], 12)
    for url in (f"/tiles/scenes/{z}/{x}/{y}.png", "/preview/scenes.png"):
        january, all_times = pixels(client, url, time="2025-01"), pixels(client, url)
        assert january[..., 3].any()
        assert not np.array_equal(january, all_times)
        assert not pixels(client, url, time="2020")[..., 3].any()
    # A time in the URL has a place of its own in the cache.
    first = pixels(client, "/preview/scenes.png", time="2025-01")
    assert np.array_equal(first, pixels(client, "/preview/scenes.png", time="2025-01"))
    assert first[..., 3].any()


def test_tilejson_keeps_the_time(client: httpx.Client) -> None:
    document = client.get("/tilejson/scenes.json", params={"time": "2025-01-01/2025-02-01"}).json()
    assert "time=2025-01-01%2F2025-02-01" in document["tiles"][0]


@pytest.mark.parametrize(
    "url",
    ["/tiles/scenes/0/0/0.png", "/preview/scenes.png", "/tilejson/scenes.json",
     "/statistics/scenes",
     "/point/scenes?lon=0&lat=0", "/timeseries/scenes?lon=0&lat=0"],
)  # fmt: skip
@pytest.mark.parametrize("time", ["June", "2025-07-01/2025-06-01", "../.."])
def test_a_bad_time_is_refused_by_name(url: str, time: str, client: httpx.Client) -> None:
    answer = client.get(httpx.URL(url).copy_merge_params({"time": time}))
    assert answer.status_code == 400
    assert "time: expected" in answer.text


def test_one_image_has_no_times_to_choose_from(client: httpx.Client) -> None:
    answer = client.get("/tiles/base/0/0/0.png", params={"time": "2025"})
    assert answer.status_code == 400
    assert answer.text.startswith("time: ")
    assert "one image" in answer.text


@pytest.mark.parametrize(
    ("query", "message"),
    [({"lon": 0}, "lat"), ({"lon": 0, "lat": 0, "format": "xml"}, "format: expected json or csv"),
     ({"lon": 0, "lat": 0, "bands": "b9"}, "b9"), ({"lon": 0, "lat": 0, "step": 1}, "step")],
)  # fmt: skip
def test_bad_parameters_of_a_series(
    query: dict[str, str], message: str, client: httpx.Client
) -> None:
    answer = client.get("/timeseries/scenes", params=query)
    assert answer.status_code == 400
    assert message in answer.text


def test_filter_date_of_the_ee_client(client: httpx.Client) -> None:
    ee.Initialize(None, url=str(client.base_url), project="localhost")
    try:
        images = ee.ImageCollection(NAME).filterDate("2025-01-01", "2025-06-01")
        names = images.aggregate_array("system:index").getInfo()
        assert sorted(names) == ["far_20250201", "x_20250105", "x_20250310"]
    finally:
        ee.Reset()


def test_a_series_of_a_layer_with_steps_has_stored_values(
    folder: Path, place: dict[str, float], tmp_path: Path
) -> None:
    path = tmp_path / "tileserver.toml"
    path.write_text(
        f'[[rasters]]\npath = "{folder}"\nmosaic = true\n'
        f'[layers.double]\nasset = "{NAME}"\nformula = "b1 * 2"\nmin = 0\nmax = 100\n'
    )
    with serve(create_app(load_config(path, {}, {}))) as url:
        until(
            lambda: (
                httpx.get(f"{url}/info/double", timeout=60).json().get("mosaic", {}).get("complete")
            )
        )
        query: dict[str, Any] = {**place, "bands": "b1"}
        found = httpx.get(f"{url}/timeseries/double", params=query, timeout=60).json()
        doubled = httpx.get(f"{url}/point/double", params={**place, "time": "2025-01"}).json()
    values = [each["values"]["b1"] for each in found["series"]]
    assert values == [value_in(folder, day)[0] for day in DAYS]
    assert list(doubled["values"].values()) == [2 * (values[0] or 0)]
