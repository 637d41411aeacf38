"""Questions about Earth Engine's assets, each in the fewest requests possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.earth.asking import Serve, pixels, serve_locally
from tests.support.standin import StandIn


@pytest.mark.parametrize(
    ("layer", "lon", "lat", "values"),
    [
        ("hole", 5.003, 10.003, {"b1": 0}),
        ("hole", 15.003, 10.003, {"b1": None}),
        ("smooth", 10.003, 10.003, {"b1": 124}),
        ("scene", 0.5, 0.5, {"b1": None, "b2": None, "b3": None}),
    ],
)
def test_a_point_is_one_request_for_one_pixel_and_masked_is_not_zero(
    serve_earth: Serve, engine: StandIn, layer: str, lon: float, lat: float, values: dict[str, Any]
) -> None:
    with serve_earth() as earth:
        earth.get(f"/info/{layer}")
        engine.forget()
        answer = earth.get(f"/point/{layer}?lon={lon}&lat={lat}").json()
    assert answer == {"lon": lon, "lat": lat, "values": values}
    (asked,) = engine.seen
    dimensions = asked.json()["grid"]["dimensions"]
    assert (dimensions["width"], dimensions["height"]) == (1, 1)


@pytest.mark.parametrize(
    "path",
    [
        "/point/scene?lon=10.3&lat=10.2",
        "/point/scene?lon=10.3&lat=10.2&bands=b2",
        "/point/scene?lon=80&lat=10",
        "/statistics/scene?bands=b1,b3&bbox=8,8,10,10",
        "/statistics/hole?bbox=9,9,11,11",
        "/statistics/hole?bbox=15,9,17,11",
    ],
)
def test_the_answer_is_that_of_the_local_engine_for_one_request(
    serve_earth: Serve, engine: StandIn, folder: Path, path: str
) -> None:
    with serve_earth() as earth, serve_locally(folder) as local:
        earth.get("/layers")
        engine.forget()
        answer = earth.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.json() == local.get(path).json()
        assert engine.count() == 1
        assert earth.get(path).json() == answer.json()
        assert engine.count() == 1


def test_a_preview_is_one_request(serve_earth: Serve, engine: StandIn, folder: Path) -> None:
    path = "/preview/scene.png?width=300&bbox=5,5,15,15"
    with serve_earth() as earth, serve_locally(folder) as local:
        earth.get("/layers")
        engine.forget()
        assert (pixels(earth.get(path)) == pixels(local.get(path))).all()
        earth.get(path)
    assert engine.count() == 1


def test_information_takes_metadata_alone(
    serve_earth: Serve, engine: StandIn, folder: Path
) -> None:
    with serve_earth() as earth, serve_locally(folder) as local:
        ours, theirs = earth.get("/info/scene").json(), local.get("/info/scene").json()
        earth.get("/tilejson/scene.json").raise_for_status()
        earth.get("/legend/smooth.svg").raise_for_status()
    same = ("name", "asset", "bounds", "minzoom", "maxzoom", "width", "height", "style")
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
    assert [band["id"] for band in ours["bands"]] == ["b1", "b2", "b3"]
    assert engine.pixel_requests == 0
    assert engine.count("getAsset") == 2
