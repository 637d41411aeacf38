"""Features as pixels: shapely tells which features meet a pixel, NumPy reduces them."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from tests.compute.conftest import Evaluator
from tileserver.contract.grids import AffineTransform, PixelGrid, Window
from tileserver.errors import InvalidRequest

GRID = PixelGrid(20, 15, AffineTransform(1, 0, 0, 0, -1, 15), "EPSG:3857")
SHAPES = [
    shapely.Polygon([(1.3, 2.2), (9.7, 3.4), (6.2, 12.6)]),
    shapely.box(4.5, 1.5, 12.5, 8.5),
    shapely.Polygon([(10.2, 2.1), (19.4, 4.3), (15.1, 13.2)], [[(13.1, 5), (16.1, 6), (15, 9)]]),
    shapely.Point(3.5, 13.5),
    shapely.Point(3.7, 13.2),
    shapely.LineString([(0.5, 0.7), (18.3, 14.1)]),
]
VALUES = [3.0, -1.5, 8.0, 2.0, 5.0, 11.0]


def features(ee: ModuleType) -> Any:
    proj = ee.Projection("EPSG:3857")
    return ee.FeatureCollection(
        [
            ee.Feature(
                ee.ApiFunction.lookup(f"GeometryConstructors.{each.geom_type}").call(
                    shapely.geometry.mapping(each)["coordinates"], proj
                ),
                {"value": value, "other": 2 * value, "name": "a"},
            )
            for each, value in zip(SHAPES, VALUES, strict=True)
        ]
    )


def met() -> NDArray[np.bool_]:
    """Return which feature meets which pixel, shape (features, height, width)."""
    rows, columns = np.mgrid[0:15, 0:20]
    cells = shapely.box(columns, 14 - rows, columns + 1, 15 - rows)
    return np.stack([np.asarray(shapely.intersects(each, cells)) for each in SHAPES])


STACK = np.ma.masked_array(
    np.broadcast_to(np.array(VALUES)[:, np.newaxis, np.newaxis], (6, 15, 20)), ~met()
)
ORACLES: dict[str, Any] = {
    "sum": STACK.sum(axis=0),
    "mean": STACK.mean(axis=0),
    "max": STACK.max(axis=0),
    "count": np.ma.masked_equal(met().sum(axis=0), 0),
    "median": np.ma.median(STACK, axis=0),  # type: ignore[no-untyped-call]
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_pixel_has_the_reduced_property_of_all_features_there(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    image = features(ee).reduceToImage(["value"], getattr(ee.Reducer, name)())
    found = evaluator.masked(image, GRID)
    assert list(found) == [name]
    assert np.array_equal(np.ma.getmaskarray(found[name]), np.ma.getmaskarray(ORACLES[name]))
    assert np.ma.allclose(found[name], ORACLES[name])


def test_several_inputs_and_outputs_are_reduced_together(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = features(ee).reduceToImage(["value", "other"], ee.Reducer.max(2))
    found = evaluator.masked(image, GRID)
    assert np.ma.allclose(found["max"], ORACLES["max"])
    assert np.ma.allclose(found["max1"], 2 * ORACLES["max"])
    both = features(ee).reduceToImage(["value"], ee.Reducer.minMax())
    assert evaluator.value(both.bandNames()) == ["min", "max"]
    assert evaluator.value(both.geometry().isUnbounded()) is True


def test_features_without_the_property_or_a_place_are_left_out(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    more = features(ee).merge([ee.Feature(None, {"value": 1}), ee.Feature(features(ee).geometry())])
    image = more.reduceToImage(["value"], ee.Reducer.count())
    assert np.ma.allclose(evaluator.masked(image, GRID)["count"], ORACLES["count"])
    empty = ee.FeatureCollection([]).reduceToImage(["value"], ee.Reducer.count())
    assert np.ma.getmaskarray(evaluator.masked(empty, GRID)["count"]).all()


def test_tiles_show_what_the_whole_shows(ee: ModuleType, evaluator: Evaluator) -> None:
    image = features(ee).reduceToImage(["value"], ee.Reducer.sum())
    whole = evaluator.masked(image, GRID)["sum"]
    for row in range(0, 15, 4):
        for column in range(0, 20, 5):
            window = Window(column, row, 5, min(4, 15 - row))
            part = evaluator.masked(image, GRID.window(window))["sum"]
            assert np.array_equal(part.filled(-99), whole[window.slices].filled(-99))


@pytest.mark.parametrize(
    ("names", "reducer", "said"),
    [
        (["value", "other"], "mean", "Need 1 properties for Reducer.mean, got 2"),
        (["name"], "mean", "Property 'name' of the features is not a number."),
        ([1], "mean", "Expected names of properties, got 1."),
        (["value"], "toList", "is no number for a pixel"),
    ],
)
def test_what_cannot_be_reduced_is_refused(
    ee: ModuleType, evaluator: Evaluator, names: Any, reducer: str, said: str
) -> None:
    image = features(ee).reduceToImage(names, getattr(ee.Reducer, reducer)())
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.pixels(image, GRID)
