"""GET /profile and GET /times: values along a line, and the steps of time of a layer."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyproj
import pytest
import rasterio
from rasterio import Affine

from tests.mosaics.files import shifted
from tests.support.rasterfiles import UTAH, noise, write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.config.config import Config
from tileserver.layers import profiles
from tileserver.rasters.roots import Root, mosaic_root
from tileserver.server.app import create_app

TO_DEGREES = pyproj.Transformer.from_crs("EPSG:32612", "EPSG:4326", always_xy=True)
GEOD = pyproj.Geod(ellps="WGS84")
PASSES = ("20250105T101500", "20250105T101510", "20250310T101500", "20250601T101500")


def place(column: float, row: float) -> tuple[float, float]:
    lon, lat = TO_DEGREES.transform(*(UTAH @ (column, row)))
    return float(lon), float(lat)


def text(*positions: tuple[float, float]) -> str:
    return ",".join(f"{lon!r},{lat!r}" for lon, lat in positions)


LINE = text(place(-40, 30), place(150.2, 310.7), place(333.3, 18.9))
"""From outside through a corner to the other side."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("profile")
    mask = np.random.default_rng(5).random((400, 400)) < 0.8
    write_raster(made / "scene.tif", noise(2, 400, 400, "int16"), mask=mask)
    world = noise(1, 180, 360, "float32")
    write_raster(made / "world.tif", world, "EPSG:4326", Affine(1, 0, -180, 0, -1, 90))
    classes = np.repeat(np.array([1, 4, 9, 200], "uint8"), 2500).reshape(1, 100, 100)
    write_raster(made / "classes.tif", classes, overviews=())
    scenes = made / "scenes"
    scenes.mkdir()
    for number, time in enumerate(PASSES):
        values = np.full((1, 64, 64), number + 1, "uint8")
        # The first two are neighbours of one pass.
        transform = shifted(64 * (number % 2), 0)
        write_raster(scenes / f"x_{time}.tif", values, transform=transform, overviews=())
    return made


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        roots = [Root(str(folder / f"{name}.tif")) for name in ("scene", "world", "classes")]
        app = create_app(Config(), [*roots, mosaic_root(str(folder / "scenes"))])
        with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
            until(lambda: client.get("/info/scenes").json().get("mosaic", {}).get("complete"))
            yield client


def read(client: httpx.Client, layer: str, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/profile/{layer}", params=query).raise_for_status().json()
    return answer


def sampled(path: Path, found: dict[str, Any]) -> list[list[int | float | None]]:
    """Return what rasterio reads at the places of a profile, a list a band."""
    with rasterio.open(path) as dataset:
        to_crs = pyproj.Transformer.from_crs("EPSG:4326", dataset.crs, always_xy=True)
        xy = zip(*to_crs.transform(found["lons"], found["lats"]), strict=True)
        rows = list(dataset.sample(xy, masked=True))
    return [
        [None if hidden else value.item() for value, hidden in zip(row, mask, strict=True)]
        for row, mask in zip(
            np.array([row.data for row in rows]).T,
            np.array([np.ma.getmaskarray(row) for row in rows]).T,
            strict=True,
        )
    ]


@pytest.mark.parametrize("window_px", [profiles._WINDOW_PX, 2000])
def test_a_profile_is_what_rasterio_samples(
    window_px: int, client: httpx.Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "_WINDOW_PX", window_px)
    found = read(client, "scene", line=LINE, points=301)
    assert found["pixel_factor"] == 1
    values = list(found["values"].values())
    assert values == sampled(folder / "scene.tif", found)
    assert None in values[0]
    assert sum(value is not None for value in values[0]) > 150


def test_distances_are_those_on_the_ellipsoid(client: httpx.Client) -> None:
    found = read(client, "world", line="0,-50,170,40,-100,40", points=200)
    corners = GEOD.line_length([0, 170, -100], [-50, 40, 40])
    assert found["length_m"] == pytest.approx(corners, rel=2e-5)
    assert found["distances_m"][0] == 0
    steps = [
        GEOD.inv(*pair)[2]
        for pair in zip(
            found["lons"], found["lats"], found["lons"][1:], found["lats"][1:], strict=False
        )
    ]
    corner = int(np.argmin(steps))
    np.testing.assert_allclose(
        np.delete(np.diff(found["distances_m"]), corner), np.delete(steps, corner), rtol=1e-6
    )


def test_a_line_crosses_the_antimeridian(client: httpx.Client, folder: Path) -> None:
    found = read(client, "world", line="170.5,10.5,-170.3,10.5", points=40)
    assert found["length_m"] < 2.2e6
    assert list(found["values"].values()) == sampled(folder / "world.tif", found)
    assert None not in found["values"]["b1"]


def test_a_long_line_over_many_pixels_reads_coarser_ones_and_says_so(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "_WINDOW_PX", 100)
    monkeypatch.setattr(profiles, "_PIECES", 2)
    found = read(client, "scene", line=LINE, points=301)
    assert found["pixel_factor"] > 1
    assert sum(value is not None for value in found["values"]["b1"]) > 150


def test_bands_an_expression_and_a_time_are_chosen(client: httpx.Client) -> None:
    both = read(client, "scene", line=LINE, points=50)["values"]
    assert read(client, "scene", line=LINE, points=50, bands="b2")["values"] == {"b2": both["b2"]}
    made = read(client, "scene", line=LINE, points=50, expression="b1 + b2")["values"]
    (sums,) = made.values()
    assert sums == [
        None if None in pair else sum(pair) for pair in zip(both["b1"], both["b2"], strict=True)
    ]
    line = text(place(1, 1), place(60, 60))
    newest = read(client, "scenes", line=line, points=5)["values"]["b1"]
    oldest = read(client, "scenes", line=line, points=5, time="2025-01")["values"]["b1"]
    assert (set(newest), set(oldest)) == ({3}, {1})


def test_a_profile_as_csv(client: httpx.Client) -> None:
    query = {"line": LINE, "points": "20"}
    found = read(client, "scene", **query)
    answer = client.get("/profile/scene", params={**query, "format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["distance_m", "lon", "lat", "b1", "b2"]
    assert [float(row[0]) for row in rows] == found["distances_m"]
    assert [int(row[4]) if row[4] else None for row in rows] == found["values"]["b2"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "line: expected lon,lat,lon,lat"),
        ("line=1,2", "line: expected lon,lat,lon,lat"),
        ("line=1,2,3", "line: expected lon,lat,lon,lat"),
        ("line=1,2,3,91", "line: expected a number from -90 to 90, got '91'"),
        ("line=1,2,nan,1", "line: expected a number from -180 to 180"),
        ("line=1,2,x,1", "line: expected a number from -180 to 180"),
        ("line=1_0,2,3,4", "line: expected a number from -180 to 180, got '1_0'"),
        ("line=1,2,1,2", "line: expected positions that differ"),
        ("line=0,0,180,0", "opposite sides"),
        ("line=" + ",".join(["1,2"] * 201), "of 2 to 200 positions"),
        ("line=1,2,3,4&points=1001", "points: expected a whole number from 1 to 1000"),
        ("line=1,2,3,4&bands=b9", "b9"),
        ("line=1,2,3,4&format=xml", "format: expected json or csv"),
        ("line=1,2,3,4&time=2020", "time: "),
    ],
)
def test_a_wrong_profile_is_refused(query: str, reason: str, client: httpx.Client) -> None:
    answer = client.get(f"/profile/scene?{query}")
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]


def test_times_are_days_where_these_tell_the_files_of_a_place_apart(client: httpx.Client) -> None:
    found = client.get("/times/scenes").json()
    assert found == {"step": "day", "times": ["2025-01-05", "2025-03-10", "2025-06-01"], "files": 4}
    each = client.get("/times/scenes?step=time").json()["times"]
    assert each[:2] == ["2025-01-05T10:15:00Z", "2025-01-05T10:15:10Z"]
    assert client.get("/times/scenes?step=year").json()["times"] == ["2025"]
    west, north = place(1, 1)
    east, south = place(60, 60)
    near = client.get(f"/times/scenes?bbox={west},{south},{east},{north}").json()
    assert (near["files"], near["times"]) == (2, ["2025-01-05", "2025-03-10"])
    for time in found["times"]:
        assert client.get("/tiles/scenes/0/0/0.png", params={"time": time}).status_code == 200


def test_times_of_one_image_and_wrong_ones(client: httpx.Client) -> None:
    assert client.get("/times/scene").json() == {"step": "time", "times": [], "files": 0}
    answer = client.get("/times/scenes?step=week")
    assert answer.status_code == 400
    assert "expected one of time, day, month, year" in answer.text


def test_the_list_says_which_layers_have_times(client: httpx.Client) -> None:
    layers = client.get("/layers").json()["layers"]
    assert {each["name"] for each in layers if each.get("has_times")} == {"scenes"}


def test_statistics_count_each_value_of_few(client: httpx.Client) -> None:
    found = client.get("/statistics/classes").json()["b1"]
    assert found["frequencies"] == [[2500] * 4, [1, 4, 9, 200]]
    assert "frequencies" not in client.get("/statistics/scene").json()["b1"]
