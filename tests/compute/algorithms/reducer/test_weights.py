"""Pixels count by their share of a region and their mask; shapely's areas are the oracle."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely

from tests.compute.algorithms.reducer.test_reduce_region import (
    LEFT,
    TOP,
    degrees,
    inside,
    shares,
    triangle,
)
from tests.compute.conftest import SCENE, Evaluator, scene_values
from tileserver.compute.algorithms.reducer import groups, regressions, tables
from tileserver.compute.algorithms.reducer.compound import for_each, repeat, to_list
from tileserver.compute.pixels.coverage import LEAST_SHARE
from tileserver.compute.pixels.coverage import shares as shares_of
from tileserver.compute.values.reducer import Column, Reducer, Reduction
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.errors import InvalidRequest

UPRIGHT = AffineTransform(30.0, 0.0, 1000.0, 0.0, -30.0, 5000.0)
TURNED = AffineTransform(30.0, 3.0, 1000.0, 2.0, -30.0, 5000.0)


def some_area(chance: np.random.Generator, number: int) -> Any:
    """Return a polygon by chance, some with a hole or in two parts."""
    corners = int(chance.integers(3, 12))
    angles = np.sort(chance.random(corners)) * 2 * np.pi
    radii = chance.random(corners) * 400 + 5
    x, y = 1000 + chance.random() * 600, 5000 - chance.random() * 600
    points = np.column_stack([x + radii * np.cos(angles), y + radii * np.sin(angles)])
    found: Any = shapely.buffer(shapely.Polygon(points), 0)
    if number % 3 == 0:
        found = found.difference(shapely.Point(x, y).buffer(60))
    return found.union(shapely.box(1000, 4700, 1200, 4800)) if number % 2 else found


def share_by_shapely(area: Any, grid: PixelGrid) -> Any:
    """Return the share of each pixel that lies in an area, by intersection with each pixel."""
    rows, columns = np.mgrid[: grid.height, : grid.width]
    corners = [
        np.column_stack(grid.transform.apply(columns.ravel() + x, rows.ravel() + y))
        for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    boxes = shapely.polygons(np.stack(corners, axis=1))
    found = shapely.area(shapely.intersection(boxes, area)) / shapely.area(boxes)
    return found.reshape(grid.height, grid.width)


@pytest.mark.parametrize("number", range(24))
def test_shares_are_exact(number: int) -> None:
    chance = np.random.default_rng(number)
    width, height = (int(each) for each in chance.integers(1, 20, 2))
    grid = PixelGrid(width, height, TURNED if number % 5 == 0 else UPRIGHT, "EPSG:32612")
    area = some_area(chance, number)
    expected = share_by_shapely(area, grid)
    found = shares_of([area], grid)
    is_clear = np.abs(expected - LEAST_SHARE) > 1e-9
    expected = np.where(expected < LEAST_SHARE, 0, expected)
    assert found[is_clear] == pytest.approx(expected[is_clear], abs=1e-9)


def test_shares_do_not_depend_on_the_piece() -> None:
    grid = PixelGrid(16, 16, UPRIGHT, "EPSG:32612")
    area = some_area(np.random.default_rng(5), 5)
    whole = shares_of([area], grid)
    for row in range(0, 16, 4):
        for column in range(0, 16, 4):
            part = PixelGrid(4, 4, grid.transform.moved(column, row), grid.crs_code)
            expected = whole[row : row + 4, column : column + 4]
            assert shares_of([area], part) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("piece_px", [262_144, 300])
@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("mean", lambda v, w: np.average(v, weights=w)),
        ("sum", lambda v, w: (v * w).sum()),
        ("count", lambda v, w: inside().sum()),
        ("max", lambda v, w: v[inside()].max()),
        ("stdDev", lambda v, w: v[inside()].std()),
        ("mode", lambda v, w: np.bincount(v[w > 0], w[w > 0]).argmax()),
    ],
)
def test_a_pixel_counts_by_its_share(
    ee: ModuleType,
    evaluator: Evaluator,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    oracle: Any,
    piece_px: int,
) -> None:
    monkeypatch.setattr("tileserver.compute.pixels.regions._PIECE_PX", piece_px)
    reducer = getattr(ee.Reducer, name)()
    found = evaluator.value(ee.Image(SCENE).select("B1").reduceRegion(reducer, triangle(ee)))
    expected = oracle(scene_values()[0].astype(np.int64), shares())
    assert found["B1"] == pytest.approx(float(expected))


@pytest.mark.parametrize("value", [9, 5.875, 0.1])
def test_equal_values_have_exactly_that_mean(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr("tileserver.compute.pixels.regions._PIECE_PX", 300)
    image = ee.Image.constant(value).reproject(ee.Image(SCENE).select("B1").projection())
    found = evaluator.value(image.reduceRegion(ee.Reducer.mean(), triangle(ee)))
    assert found["constant"] == value


def test_a_weight_is_the_smaller_of_mask_and_share(ee: ModuleType, evaluator: Evaluator) -> None:
    # guides/reducers_reduce_region: "the minimum of the image's mask and the fraction".
    image = ee.Image(SCENE).select("B1").updateMask(0.25)
    found = evaluator.value(image.reduceRegion(ee.Reducer.sum(), triangle(ee)))
    expected = (scene_values()[0] * np.minimum(shares(), 0.25)).sum()
    assert found["B1"] == pytest.approx(expected)


def test_frequencies_and_histograms_are_weighted(ee: ModuleType, evaluator: Evaluator) -> None:
    classes = ee.Image(SCENE).select("B1").mod(5)
    found = evaluator.value(classes.reduceRegion(ee.Reducer.frequencyHistogram(), triangle(ee)))
    expected = np.bincount(scene_values()[0].ravel() % 5, shares().ravel())
    assert list(found["B1"]) == ["0", "1", "2", "3", "4"]
    assert list(found["B1"].values()) == pytest.approx(expected.tolist())
    fixed = evaluator.value(classes.reduceRegion(ee.Reducer.fixedHistogram(0, 5, 5), triangle(ee)))
    assert np.array(fixed["B1"])[:, 1] == pytest.approx(expected)


@pytest.mark.parametrize(("side_m", "is_there"), [(20, True), (4, True), (1, False)])
def test_a_region_smaller_than_a_pixel_gives_its_value(
    ee: ModuleType, evaluator: Evaluator, side_m: float, is_there: bool
) -> None:
    x, y = LEFT + 91, TOP - 181
    ring = [[x, y], [x + side_m, y], [x + side_m, y - side_m], [x, y - side_m]]
    region = ee.Geometry.Polygon([ring], "EPSG:32612", False)
    found = evaluator.value(ee.Image(SCENE).select("B1").reduceRegion(ee.Reducer.mean(), region))
    # Below 1/256 of a pixel there is no weight (guides/reducers_weighting).
    assert found["B1"] == (int(scene_values()[0, 6, 3]) if is_there else None)


def test_points_and_lines_take_the_pixels_they_touch(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1")
    point = ee.Geometry.Point(degrees(LEFT + 100, TOP - 200))
    assert evaluator.value(image.reduceRegion(ee.Reducer.sum(), point)) == {
        "B1": scene_values()[0, 6, 3]
    }
    line = ee.Geometry.LineString(
        [[LEFT + 45, TOP - 195], [LEFT + 165, TOP - 195]], "EPSG:32612", False
    )
    assert evaluator.value(image.reduceRegion(ee.Reducer.sum(), line)) == {
        "B1": scene_values()[0, 6, 1:6].sum()
    }


def test_columns_have_weights_of_their_own(ee: ModuleType, evaluator: Evaluator) -> None:
    # guides/reducers_reduce_columns: the weighted mean of 1, 2, 3 by 1, 2, 3 is 2.333.
    rows = ee.FeatureCollection([ee.Feature(None, {"foo": n, "weight": n}) for n in (1, 2, 3)])
    found = evaluator.value(rows.reduceColumns(ee.Reducer.mean(), ["foo"], ["weight"]))
    assert found == {"mean": pytest.approx(14 / 6)}
    split = ee.Reducer.mean().splitWeights()
    assert evaluator.value(rows.reduceColumns(split, ["foo", "weight"])) == found
    assert evaluator.value(ee.List([[1, 1], [2, 2], [3, 3]]).reduce(split)) == found["mean"]
    with pytest.raises(InvalidRequest, match="count has 0 weighted inputs, there are 1"):
        evaluator.value(rows.reduceColumns(ee.Reducer.count(), ["foo"], ["weight"]))


def test_weights_are_a_band_of_their_own(ee: ModuleType, evaluator: Evaluator) -> None:
    bands = ee.Image(SCENE).select(["B1", "B2"])
    split = ee.Reducer.mean().splitWeights()
    found = evaluator.value(bands.reduceRegion(split, triangle(ee)))
    values, weights = (scene_values()[i][inside()] for i in (0, 1))
    assert found == {"mean": pytest.approx(np.average(values, weights=weights))}
    image = evaluator.masked(bands.reduce(split))["mean"]
    assert (image.mask == (scene_values()[1] == 0)).all()
    assert image.filled(0) == pytest.approx(np.where(scene_values()[1] > 0, scene_values()[0], 0))


def test_partly_masked_images_count_less(ee: ModuleType, evaluator: Evaluator) -> None:
    images = ee.ImageCollection([ee.Image(1).updateMask(0.25), ee.Image(5)])
    for found, expected in (
        (images.reduce(ee.Reducer.mean()), (0.25 + 5) / 1.25),
        (images.reduce(ee.Reducer.sum()), 5.25),
        (images.reduce(ee.Reducer.mean().unweighted()), 3),
    ):
        (band,) = evaluator.masked(found).values()
        assert band[0, 0] == pytest.approx(expected)


def test_outputs_without_a_name_are_dropped(ee: ModuleType, evaluator: Evaluator) -> None:
    reducer = ee.Reducer.minMax().setOutputs([None, "most"])
    assert evaluator.value(ee.List([1, 5, 3]).reduce(reducer)) == 5
    assert evaluator.value(reducer.getOutputs()) == ["most"]


def test_groups_are_weighted(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select(["B1"]).addBands(ee.Image(SCENE).select("B2").mod(3))
    reducer = ee.Reducer.sum().group(1, "class")
    found = evaluator.value(image.reduceRegion(reducer, triangle(ee)))["groups"]
    classes = scene_values()[1] % 3
    expected = [(scene_values()[0] * shares() * (classes == k)).sum() for k in range(3)]
    assert [each["class"] for each in found] == [0, 1, 2]
    assert [each["sum"] for each in found] == pytest.approx(expected)


def test_tiles_may_be_smaller(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1")
    found = [
        evaluator.value(image.reduceRegion(ee.Reducer.sum(), triangle(ee), tileScale=scale))["B1"]
        for scale in (1, 16)
    ]
    assert found[0] == pytest.approx(found[1])
    with pytest.raises(InvalidRequest, match="tileScale must be between"):
        evaluator.value(image.reduceRegion(ee.Reducer.sum(), triangle(ee), tileScale=20))


@pytest.mark.parametrize(
    "reducer",
    [
        # A million counts for each of many names.
        for_each(tables.fixed_2d_histogram(0, 1, 1024, 0, 1, 1024), list("abcdef")),
        # The factor of 100 columns for each group.
        groups.group(regressions.linear_regression(99, 1), 0, "group"),
        repeat(to_list(None, 0), 100),
    ],
)
def test_states_that_take_too_much_memory_are_refused(
    reducer: Reducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tileserver.compute.values.reducer.MAX_HELD_BYTES", 2_000_000)
    rows = np.arange(3000.0)
    reduction = Reduction(reducer.outputs)
    with pytest.raises(InvalidRequest, match="User memory limit exceeded"):
        reduction.add([Column(rows, rows >= 0)] * reducer.inputs)
