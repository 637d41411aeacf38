"""Reductions over regions are NumPy's, of pixels by their centres or by their shares."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely

from tests.compute.conftest import (
    GRID,
    HOLES,
    SCENE,
    SERIES,
    SIDE,
    Evaluator,
    hole_values,
    scene_values,
    series_values,
)
from tileserver.compute.pixels import regions
from tileserver.compute.values import reducer as values_reducer
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import transform_points

LEFT, TOP = GRID.transform.translate_x, GRID.transform.translate_y
TRIANGLE = [[LEFT + 95, TOP - 140], [LEFT + 1500, TOP - 400], [LEFT + 700, TOP - 1800]]
"""In EPSG:32612, within SCENE."""


def triangle(ee: ModuleType) -> Any:
    """Return TRIANGLE as a geometry."""
    return ee.Geometry.Polygon([TRIANGLE], "EPSG:32612", False)


def degrees(x: float, y: float) -> tuple[float, float]:
    """Return a place in EPSG:32612 in longitude and latitude."""
    lon, lat = transform_points("EPSG:32612", "EPSG:4326", np.array([x]), np.array([y]))
    return float(lon[0]), float(lat[0])


def inside() -> Any:
    """Return which pixels of GRID have their centre in TRIANGLE, shape (SIDE, SIDE)."""
    columns, rows = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    x, y = GRID.transform.apply(columns, rows)
    return shapely.contains_xy(shapely.Polygon(TRIANGLE), x, y)


def shares() -> Any:
    """Return the share of each pixel of GRID that TRIANGLE covers, shape (SIDE, SIDE)."""
    columns, rows = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    x, y = GRID.transform.apply(columns, rows)
    found = shapely.area(
        shapely.intersection(shapely.Polygon(TRIANGLE), shapely.box(x, y - 30, x + 30, y))
    )
    return np.where(found / 900 < 1 / 256, 0, found / 900)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("mean", np.mean),
        ("sum", np.sum),
        ("count", len),
        ("min", np.min),
        ("max", np.max),
        ("median", np.median),
        ("stdDev", np.std),
        ("variance", np.var),
        ("sampleStdDev", lambda v: np.std(v, ddof=1)),
        ("sampleVariance", lambda v: np.var(v, ddof=1)),
        ("countDistinct", lambda v: len(np.unique(v))),
        ("first", lambda v: v[0]),
        ("last", lambda v: v[-1]),
        ("mode", lambda v: np.unique(v)[np.unique(v, return_counts=True)[1].argmax()]),
        ("anyNonZero", lambda v: v.any()),
        ("allNonZero", lambda v: v.all()),
    ],
)
def test_a_region_is_reduced_as_numpy_does(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any
) -> None:
    reducer = getattr(ee.Reducer, name)().unweighted()
    found = evaluator.value(ee.Image(SCENE).reduceRegion(reducer, triangle(ee)))
    assert sorted(found) == ["B1", "B2", "B3"]
    for place, band in enumerate(("B1", "B2", "B3")):
        expected = float(oracle(scene_values()[place][inside()].astype(np.int64)))
        assert found[band] == pytest.approx(expected)


def test_what_is_masked_does_not_count(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(ee.Image(HOLES).reduceRegion(ee.Reducer.mean(), triangle(ee)))
    weights = shares() * (hole_values() != -9999)
    assert found["b1"] == pytest.approx(np.average(hole_values(), weights=weights))


def test_without_a_geometry_the_whole_image_is_meant(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(ee.Image(SCENE).reduceRegion(ee.Reducer.sum()))
    assert found["B2"] == scene_values()[1].sum()


def test_several_outputs_are_named_after_the_band(ee: ModuleType, evaluator: Evaluator) -> None:
    reducer = ee.Reducer.mean().combine(ee.Reducer.minMax(), "x_", True)
    found = evaluator.value(ee.Image(SCENE).select("B1").reduceRegion(reducer))
    values = scene_values()[0]
    assert found == {
        "B1_mean": pytest.approx(values.mean()),
        "B1_x_min": values.min(),
        "B1_x_max": values.max(),
    }


def test_the_lattice_is_the_one_asked_for(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1")
    transform = [60, 0, LEFT, 0, -60, TOP]
    found = evaluator.value(
        image.reduceRegion(ee.Reducer.toList(), None, None, "EPSG:32612", transform)
    )
    # The pyramid has a level for that: the means of four.
    means = scene_values()[0].reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3)).ravel()
    assert np.abs(np.array(found["B1"]) - means).max() <= 1
    coarse = evaluator.value(image.reduceRegion(ee.Reducer.count(), triangle(ee), 300))
    assert coarse["B1"] == pytest.approx(inside().sum() / 100, rel=0.2)


def test_a_point_is_the_pixel_it_lies_in(ee: ModuleType, evaluator: Evaluator) -> None:
    lon, lat = degrees(LEFT + 100, TOP - 200)
    point = ee.Geometry.Point([lon, lat])
    found = evaluator.value(ee.Image(SCENE).reduceRegion(ee.Reducer.first(), point))
    assert found == dict(zip(("B1", "B2", "B3"), scene_values()[:, 6, 3].tolist(), strict=True))


def test_nothing_gives_null_and_counts_of_nothing_zero(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    far = ee.Geometry.Point([0, 10])
    image = ee.Image(HOLES)
    assert evaluator.value(image.reduceRegion(ee.Reducer.mean(), far)) == {"b1": None}
    assert evaluator.value(image.reduceRegion(ee.Reducer.count(), far)) == {"b1": 0}
    assert evaluator.value(image.reduceRegion(ee.Reducer.sum(), far)) == {"b1": 0}


def test_too_many_pixels_are_refused_in_earth_engines_words(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    reduced = ee.Image(SCENE).reduceRegion(ee.Reducer.mean(), maxPixels=100)
    sentence = (
        "Image.reduceRegion: Too many pixels in the region. Found 4096, but maxPixels allows only "
        "100.\nEnsure that you are not aggregating at a higher resolution"
    )
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(reduced)


def test_best_effort_takes_larger_pixels(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.value(
        ee.Image(SCENE).reduceRegion(ee.Reducer.count(), bestEffort=True, maxPixels=100)
    )
    assert 50 <= found["B1"] <= 100


def test_pieces_make_the_same_whole(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "_PIECE_PX", 500)
    found = evaluator.value(ee.Image(SCENE).reduceRegion(ee.Reducer.sum(), triangle(ee)))
    assert found["B3"] == pytest.approx((scene_values()[2] * shares()).sum())


def test_what_does_not_fit_the_memory_is_refused(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values_reducer, "MAX_HELD_BYTES", 10_000)
    with pytest.raises(InvalidRequest, match="User memory limit exceeded"):
        evaluator.value(ee.Image(SCENE).reduceRegion(ee.Reducer.toList()))


def test_a_world_of_pixels_ends_in_time(ee: ModuleType, evaluator: Evaluator) -> None:
    world = ee.Geometry.Polygon([[[-179, -80], [179, -80], [179, 80], [-179, 80]]], None, False)
    reduced = ee.Image(SCENE).reduceRegion(
        ee.Reducer.sum(), world, 1, "EPSG:4326", maxPixels=10**18
    )
    with pytest.raises(InvalidRequest, match=r"Computation timed out|memory limit"):
        evaluator.value(reduced)


def test_each_feature_gets_its_own(ee: ModuleType, evaluator: Evaluator) -> None:
    features = ee.FeatureCollection([ee.Feature(triangle(ee), {"name": "a"})])
    told = evaluator.value(ee.Image(SCENE).reduceRegions(features, ee.Reducer.mean()))
    found = told["features"][0]["properties"]
    assert found.pop("name") == "a"
    assert found == {
        f"B{i + 1}": pytest.approx(np.average(scene_values()[i], weights=shares()))
        for i in range(3)
    }
    alone = ee.Image(SCENE).select("B1").reduceRegions(features, ee.Reducer.mean())
    assert set(evaluator.value(alone)["features"][0]["properties"]) == {"name", "mean"}


def test_pixels_are_sampled(ee: ModuleType, evaluator: Evaluator) -> None:
    told = evaluator.value(ee.Image(HOLES).sample(triangle(ee), geometries=True))
    values = hole_values()[inside()]
    found = [each["properties"]["b1"] for each in told["features"]]
    assert found == values[values != -9999].tolist()
    points = np.array([each["geometry"]["coordinates"] for each in told["features"]])
    x, y = transform_points("EPSG:4326", "EPSG:32612", points[:, 0], points[:, 1])
    columns, rows = ((x - LEFT) // 30).astype(int), ((TOP - y) // 30).astype(int)
    assert (hole_values()[rows, columns] == found).all()


def test_some_pixels_are_taken_by_chance_and_the_same_again(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    def chosen(**how: Any) -> list[int]:
        sample = ee.Image(SCENE).select("B1").sample(**how)
        found: list[int] = evaluator.value(sample.aggregate_array("B1"))
        return found

    assert len(chosen(numPixels=50)) == 50
    assert chosen(numPixels=50) == chosen(numPixels=50) != chosen(numPixels=50, seed=1)
    assert 300 < len(chosen(factor=0.1)) < 520
    with pytest.raises(InvalidRequest, match="must not both be specified"):
        chosen(factor=0.1, numPixels=3)


def test_features_lend_their_properties_to_their_pixels(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    features = ee.FeatureCollection([ee.Feature(triangle(ee), {"name": "a", "other": 2})])
    told = evaluator.value(ee.Image(SCENE).sampleRegions(features, ["name"]))
    assert len(told["features"]) == inside().sum()
    assert set(told["features"][0]["properties"]) == {"name", "B1", "B2", "B3"}


def test_a_series_has_a_row_for_each_image_of_each_pixel(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    lon, lat = degrees(LEFT + 615, TOP - 915)
    point = ee.Geometry.Point([lon, lat])
    header, *rows = evaluator.value(
        ee.ImageCollection(SERIES).getRegion(point, None, "EPSG:32612", [30, 0, LEFT, 0, -30, TOP])
    )
    assert header == ["id", "longitude", "latitude", "time", "B1", "B2"]
    assert [row[0] for row in rows] == [f"t{i}" for i in range(6)]
    expected = series_values()[:, 0, 30, 20].tolist()
    assert [row[4] for row in rows] == expected
    assert rows[0][1] == pytest.approx(lon)


def test_a_series_too_long_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    square = ee.Geometry.Polygon([[[-112.1, 40.6], [-112.0, 40.6], [-112.0, 40.7], [-112.1, 40.7]]])
    asked = ee.ImageCollection(SERIES).getRegion(square, 10)
    with pytest.raises(InvalidRequest, match=r"Too many values: \d+ points x 2 bands x 6 images"):
        evaluator.value(asked)
