"""A source of one GeoTIFF per asset: what a `Root` says is followed by all parts of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.rasters.bucket import serve_folder
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

PREFIX = "projects/localhost/assets/s2"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Serve two items whose files have the same name, one on disk, one behind a URL."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for folder in ("near", "far"):
        (tmp_path / folder).mkdir()
        write_raster(tmp_path / folder / "B04.tif", noise(1, 50, 60), overviews=())
    with serve_folder(tmp_path) as bucket:
        places = {
            "S2A.1": str(tmp_path / "near" / "B04.tif"),
            "S2B.2": f"http://{bucket.address}/far/B04.tif",
        }
        items = [
            Root(place, PREFIX, {"properties": {"cloud": n}, "startTime": f"2026-0{n}-01"}, name)
            for n, (name, place) in enumerate(places.items(), start=1)
        ]
        with (
            serve(create_app(Config(), items)) as url,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            yield client


def test_layers_are_named_after_the_items(client: httpx.Client) -> None:
    layers = client.get("/layers").raise_for_status().json()
    assert [each["name"] for each in layers["layers"]] == ["S2A.1", "S2B.2"]
    assert client.get("/preview/S2B.2.png").status_code == 200


def test_they_have_the_properties_and_times_of_the_items(client: httpx.Client) -> None:
    for n, name in enumerate(("S2A.1", "S2B.2"), start=1):
        asset = client.get(f"/v1/{PREFIX}/{name}").raise_for_status().json()
        assert asset["properties"] == {"cloud": n}
        assert asset["startTime"].startswith(f"2026-0{n}-01")


def test_they_are_listed_and_filtered(client: httpx.Client) -> None:
    query = {"filter": "properties.cloud > 1"}
    found = client.get(f"/v1/{PREFIX}:listImages", params=query).raise_for_status().json()
    assert [each["name"] for each in found["images"]] == [f"{PREFIX}/S2B.2"]


def test_a_sidecar_goes_before_the_item(tmp_path: Path) -> None:
    path = tmp_path / "B04.tif"
    write_raster(path, noise(1, 50, 60), overviews=())
    path.with_suffix(".json").write_text('{"properties": {"cloud": 9}}')
    item = Root(str(path), PREFIX, {"properties": {"cloud": 1}, "startTime": "2026-01-01"}, "a")
    with serve(create_app(Config(), [item])) as url:
        asset = httpx.get(f"{url}/v1/{PREFIX}/a", timeout=60).json()
    assert asset["properties"] == {"cloud": 9}
    assert asset["startTime"].startswith("2026-01-01")
