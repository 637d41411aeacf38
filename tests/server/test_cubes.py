"""Variables with times over HTTP and for the `ee` client: `time=`, `/timeseries`, `filterDate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ee
import httpx
import numpy as np
import pytest

from tests.rasters.cubes.cubefiles import STEPS, as_xarray, config, weather, write
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.server.app import create_app

ASSET = "projects/localhost/assets/era5/t2m"
PLACE = {"lon": -9.8, "lat": 45.2}


@pytest.fixture(scope="module", params=["nc", "zarr3"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Any]]:
    """Serve a file; return a client, and what xarray reads."""
    folder: Path = tmp_path_factory.mktemp("cube")
    path = write(weather(), folder, request.param)
    expected = as_xarray(path, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with (
            serve(create_app(config(path))) as url,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            until(lambda: client.get("/info/t2m").json().get("mosaic", {}).get("complete"))
            yield client, expected


def at_place(expected: Any) -> Any:
    return expected["t2m"].sel(lon=PLACE["lon"] % 360, lat=PLACE["lat"], method="nearest").values


def test_layers_are_variables(served: tuple[httpx.Client, Any]) -> None:
    client, _ = served
    assert {each["name"] for each in client.get("/layers").json()["layers"]} == {"t2m", "lsm"}
    info = client.get("/info/t2m").json()
    assert info["mosaic"]["files"] == STEPS
    assert client.get("/tiles/lsm/2/2/1.png").status_code == 200
    assert client.get("/tiles/t2m/2/2/1.png?min=280&max=290").status_code == 200


def test_a_point_is_of_the_newest_time_in_a_range(served: tuple[httpx.Client, Any]) -> None:
    client, expected = served
    values = at_place(expected)
    for time, step in (("2020-01-01", 3), ("2020-01-02T06:00:00Z", 5), ("2020", STEPS - 1)):
        found = client.get("/point/t2m", params={**PLACE, "time": time}).json()["values"]
        assert found["t2m"] == pytest.approx(values[step], rel=1e-6), time


def test_a_series_has_the_value_of_each_time(served: tuple[httpx.Client, Any]) -> None:
    client, expected = served
    found = client.get("/timeseries/t2m", params=PLACE).raise_for_status().json()["series"]
    np.testing.assert_allclose(
        [each["values"]["t2m"] for each in found], at_place(expected), rtol=1e-6
    )
    assert [np.datetime64(each["time"].rstrip("Z")) for each in found] == list(
        expected["time"].values
    )


def test_the_times_of_a_variable_are_its_steps(served: tuple[httpx.Client, Any]) -> None:
    client, expected = served
    found = client.get("/times/t2m").json()
    assert found["step"] == "time"
    times = [np.datetime64(each.rstrip("Z")) for each in found["times"]]
    assert times == list(expected["time"].values)
    layers = client.get("/layers").json()["layers"]
    assert [each["name"] for each in layers if each.get("has_times")] == ["t2m"]
    answer = client.get("/point/t2m", params={**PLACE, "time": found["times"][3]}).json()
    assert answer["values"]["t2m"] == pytest.approx(at_place(expected)[3], rel=1e-6)
    assert client.get("/times/lsm").json()["times"] == []


def test_what_the_newest_step_has_masked_stays_masked(tmp_path: Path) -> None:
    dataset = weather(steps=3)
    dataset["t2m"].values[2, 10:20] = np.nan
    expected = dataset["t2m"].values.copy()
    path = write(dataset, tmp_path, "nc")
    with serve(create_app(config(path))) as url:
        until(
            lambda: (
                httpx.get(f"{url}/info/t2m", timeout=60).json().get("mosaic", {}).get("complete")
            )
        )
        info = httpx.get(f"{url}/info/t2m", timeout=60).json()
        # 45 degrees north lies in the gap of the last step.
        found = httpx.get(f"{url}/point/t2m", params=PLACE, timeout=60).json()["values"]["t2m"]
        place: dict[str, Any] = {**PLACE, "time": "2020-01-01T06:00Z"}
        before = httpx.get(f"{url}/point/t2m", params=place, timeout=60).json()["values"]["t2m"]
    assert found is None
    assert before == pytest.approx(expected[1, 15, 350], rel=1e-6)
    assert info["mosaic"]["complete_from_zoom"] == 0


def test_a_mean_is_of_the_steps_in_a_time(tmp_path: Path) -> None:
    dataset = weather(steps=6)
    expected = dataset["t2m"].values[:4, 15, 350].astype("f8").mean()
    path = write(dataset, tmp_path, "cdf2")
    with serve(create_app(config(path, pixel_selection="mean"))) as url:
        until(
            lambda: (
                httpx.get(f"{url}/info/t2m", timeout=60).json().get("mosaic", {}).get("complete")
            )
        )
        query: dict[str, Any] = {**PLACE, "time": "2020-01-01"}
        found = httpx.get(f"{url}/point/t2m", params=query, timeout=60).json()["values"]["t2m"]
    assert found == pytest.approx(expected, rel=1e-6)


def test_tiles_of_two_times_differ(served: tuple[httpx.Client, Any]) -> None:
    client, _ = served
    query = {"min": 280, "max": 290}
    first, second = (
        client.get("/tiles/t2m/3/4/2.png", params={**query, "time": day}).raise_for_status()
        for day in ("2020-01-01", "2020-01-02")
    )
    assert first.content != second.content


def test_ee_has_a_collection_of_the_times(served: tuple[httpx.Client, Any]) -> None:
    client, expected = served
    ee.Initialize(None, url=str(client.base_url).rstrip("/"), project="localhost")
    try:
        day = ee.ImageCollection(ASSET).filterDate("2020-01-02", "2020-01-03")
        assert day.size().getInfo() == 4
        point = ee.Geometry.Point(PLACE["lon"], PLACE["lat"])
        found = day.mean().reduceRegion(ee.Reducer.first(), point, 1000).getInfo()
        assert found["t2m"] == pytest.approx(at_place(expected)[4:8].mean(), rel=1e-6)
        listed = ee.data.listAssets({"parent": ASSET})["assets"]
        assert len(listed) == STEPS
        assert ee.data.getAsset(ASSET)["type"] == "IMAGE_COLLECTION"
    finally:
        ee.Reset()
