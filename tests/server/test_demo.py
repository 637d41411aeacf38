"""The mosaic and the time series of the bundled demo, beside the elevations they are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.server import cli
from tileserver.server.app import create_app
from tileserver.server.get_pixels import DEMO, find_config, get_pixels

LAYERS = ("sierra-nevada-mosaic", "sierra-nevada-sunlight")
LATITUDE_OF_DAY = {1: -20.1, 3: 0.0, 6: 23.4, 9: 0.8, 12: -23.4}
"""Degrees of latitude above which the sun stands on the 21st of a month, of an almanac."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve the demo, all files of its mosaics known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with (
            serve(create_app(find_config(DEMO, {}, {}))) as url,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            for layer in LAYERS:
                until(partial(_is_complete, client, layer))
            yield client


def _is_complete(client: httpx.Client, layer: str) -> bool:
    return bool(client.get(f"/info/{layer}").json().get("mosaic", {}).get("complete"))


def test_all_layers_can_be_drawn(client: httpx.Client) -> None:
    found = client.get("/layers").raise_for_status().json()
    assert len(found["layers"]) == 8
    assert "errors" not in found
    for layer in LAYERS:
        assert client.get(f"/preview/{layer}.png?width=64").status_code == 200


def test_the_mosaic_has_the_elevations_it_was_made_of(client: httpx.Client) -> None:
    with rasterio.open(DEMO.parent / "srtm_sierra_nevada.tif") as dataset:
        elevation, at = dataset.read(1), dataset.transform
    rng = np.random.default_rng(1)
    differences = []
    for row, column in rng.integers(20, 1004, (60, 2)).tolist():
        lon, lat = at.c + at.a * (column + 0.5), at.f + at.e * (row + 0.5)
        query = {"lon": lon, "lat": lat}
        (value,) = client.get("/point/sierra-nevada-mosaic", params=query).json()["values"].values()
        around = elevation[row - 4 : row + 5, column - 4 : column + 5]
        # Three of the files are coarser: what they have is a mean of pixels nearby.
        assert around.min() <= value <= around.max()
        differences.append(value - int(elevation[row, column]))
    assert abs(np.median(differences)) < 5


def test_the_sun_is_higher_in_june(client: httpx.Client) -> None:
    elevation = client.get("/info/sierra-nevada").json()
    west, south, east, _ = elevation["bounds"]
    # The flattest pixel of the series, found in the elevations.
    with rasterio.open(DEMO.parent / "srtm_sierra_nevada.tif") as dataset:
        values, at = dataset.read(1).astype(float), dataset.transform
    coarse = values.reshape(256, 4, 256, 4).mean(axis=(1, 3))
    steepness = np.hypot(*np.gradient(coarse))
    row, column = np.unravel_index(steepness[2:-2, 2:-2].argmin(), (252, 252))
    lon = at.c + at.a * 4 * (int(column) + 2.5)
    lat = at.f + at.e * 4 * (int(row) + 2.5)
    assert west < lon < east
    assert south < lat
    place = {"lon": lon, "lat": lat}
    found = client.get("/timeseries/sierra-nevada-sunlight", params=place).json()
    assert [each["time"][:10] for each in found["series"]] == [
        f"2025-{month:02}-21" for month in range(1, 13)
    ]
    by_month = {int(e["time"][5:7]): e["values"]["sunlight"] for e in found["series"]}
    for month, declination in LATITUDE_OF_DAY.items():
        height = math.radians(90 - lat + declination)
        assert by_month[month] == pytest.approx(100 * math.sin(height), abs=2)


def test_a_month_can_be_drawn(client: httpx.Client) -> None:
    query = {"width": "64", "time": "2025-06"}
    june = client.get("/preview/sierra-nevada-sunlight.png", params=query)
    latest = client.get("/preview/sierra-nevada-sunlight.png", params={"width": "64"})
    december = client.get(
        "/preview/sierra-nevada-sunlight.png", params={**query, "time": "2025-12"}
    )
    assert latest.content == december.content != june.content


def test_get_pixels_of_python_reads_the_mosaic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asset = "projects/localhost/assets/sierra_nevada_pieces"
    lattice = {"scaleX": 0.01, "translateX": -120.2, "scaleY": -0.01, "translateY": 38.2}
    grid = {"dimensions": {"width": 60, "height": 60}, "crsCode": "EPSG:4326",
            "affineTransform": lattice}  # fmt: skip
    request = {"assetId": asset, "fileFormat": "NUMPY_NDARRAY", "grid": grid}
    found = get_pixels(request, DEMO)
    source = "projects/localhost/assets/srtm_sierra_nevada"
    original = get_pixels({**request, "assetId": source}, DEMO)
    assert isinstance(found, np.ndarray)
    assert isinstance(original, np.ndarray)
    difference = found["elevation"].astype(float) - original["elevation"]
    assert np.corrcoef(found["elevation"].ravel(), original["elevation"].ravel())[0, 1] > 0.98
    assert abs(np.median(difference)) < 5


def test_the_commands_know_mosaics() -> None:
    result = CliRunner().invoke(cli.main, ["assets", "--config", str(DEMO)])
    names = result.output.split()
    assert "projects/localhost/assets/sierra_nevada_sunlight" in names
    assert "projects/localhost/assets/sierra_nevada_sunlight/2025-06-21" in names
