"""Composites are NumPy's reductions of the same images, what is masked left out."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import (
    COUNT,
    GRID,
    SCENE,
    SERIES,
    Evaluator,
    scene_values,
    series_values,
)
from tileserver.compute.algorithms.collection.composites import inputs_of
from tileserver.compute.budget import Budget
from tileserver.compute.nodes import Pixels
from tileserver.compute.pixels import plan
from tileserver.compute.pixels.composites import Fold
from tileserver.compute.pixels.plan import compute
from tileserver.compute.values.image import stored_image
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest
from tileserver.expressions.document import REDUCERS, call, constant


def stack(band: int = 0) -> np.ma.MaskedArray[Any, Any]:
    """Return a band of all images of SERIES, shape (COUNT, height, width)."""
    return series_values()[:, band]


def on_top(values: np.ma.MaskedArray[Any, Any]) -> np.ma.MaskedArray[Any, Any]:
    """Return the last value that is there."""
    data, hidden = values.data[0].copy(), np.ma.getmaskarray(values)
    for image, mask in zip(values.data, hidden, strict=True):
        data[~mask] = image[~mask]
    return np.ma.masked_array(data, hidden.all(axis=0))


def middle(values: np.ma.MaskedArray[Any, Any]) -> np.ma.MaskedArray[Any, Any]:
    """Return the median."""
    hidden = np.ma.getmaskarray(values)
    found = np.ma.masked_array(np.zeros(values.shape[1:]), hidden.all(axis=0))
    shown = ~hidden.all(axis=0)
    numbers = np.where(hidden, np.nan, values.data)
    found[shown] = np.nanmedian(numbers[:, shown], axis=0)
    return found


def most_frequent(values: np.ma.MaskedArray[Any, Any]) -> np.ma.MaskedArray[Any, Any]:
    """Return the most frequent value, the smallest of several."""
    counts = np.ma.stack([(values == each).filled(False).sum(axis=0) for each in range(256)])
    return np.ma.masked_array(counts.argmax(axis=0), counts.max(axis=0) == 0)


ORACLES: dict[str, tuple[Any, str]] = {
    "mosaic": (on_top, "uint8"),
    "min": (lambda v: v.min(axis=0), "uint8"),
    "max": (lambda v: v.max(axis=0), "uint8"),
    "mean": (lambda v: v.mean(axis=0), "float64"),
    "median": (middle, "float64"),
    "mode": (most_frequent, "uint8"),
    "sum": (lambda v: v.astype(float).sum(axis=0), "float64"),
    "product": (lambda v: v.astype(float).prod(axis=0), "float64"),
    "count": (lambda v: np.ma.masked_equal(v.count(axis=0), 0), "uint32"),
    "And": (lambda v: (v != 0).all(axis=0), "uint8"),
    "Or": (lambda v: (v != 0).any(axis=0), "uint8"),
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_composite_is_numpys(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    oracle, dtype = ORACLES[name]
    image = getattr(ee.ImageCollection(SERIES), name)()
    found = evaluator.masked(image)
    assert list(found) == ["B1", "B2"]
    for place, band in enumerate(found.values()):
        expected = oracle(stack(place))
        mask = np.ma.getmaskarray(stack(place)).all(axis=0)
        assert mask.any()
        assert (np.ma.getmaskarray(band) == mask).all()
        np.testing.assert_allclose(band.compressed(), expected[~mask].compressed(), rtol=1e-12)
    assert evaluator.pixels(image)["B1"].dtype == np.dtype(dtype)


@pytest.mark.parametrize("name", REDUCERS)
def test_what_makes_configured_layers_is_there(evaluator: Evaluator, name: str) -> None:
    images = call("ImageCollection.load", id=constant(SERIES))
    expression = {"result": "0", "values": {"0": call(REDUCERS[name], collection=images)}}

    class Built:
        def serialize(self) -> str:
            return json.dumps(expression)

    assert evaluator.pixels(Built())["B1"].shape == (GRID.height, GRID.width)


def test_a_composite_has_no_end_and_pixels_of_a_degree(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    band = evaluator.value(ee.ImageCollection(SERIES).mean())["bands"][0]
    assert band == {
        "id": "B1",
        "data_type": {"type": "PixelType", "precision": "double", "min": 0, "max": 255},
        "crs": "EPSG:4326",
        "crs_transform": [1, 0, 0, 0, 1, 0],
    }


def test_all_bands_of_all_images_make_one(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.ImageCollection(SERIES).limit(2).toBands())
    assert list(found) == ["t0_B1", "t0_B2", "t1_B1", "t1_B2"]
    assert (found["t1_B2"] == series_values()[1, 1]).all()


def test_images_are_reduced_by_any_reducer(ee: ModuleType, evaluator: Evaluator) -> None:
    reducer = ee.Reducer.percentile([25, 75]).combine(ee.Reducer.stdDev(), sharedInputs=True)
    found = evaluator.masked(ee.ImageCollection(SERIES).select(["B1"]).reduce(reducer))
    assert list(found) == ["B1_p25", "B1_p75", "B1_stdDev"]
    values = np.where(np.ma.getmaskarray(stack()), np.nan, stack().data)
    there = ~np.isnan(values).all(axis=0)
    for name, percent in (("B1_p25", 25), ("B1_p75", 75)):
        expected = np.nanpercentile(values[:, there], percent, axis=0)
        np.testing.assert_allclose(found[name][there], expected)
    np.testing.assert_allclose(found["B1_stdDev"][there], np.nanstd(values[:, there], axis=0))


def test_a_reducer_of_two_inputs_takes_two_bands(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.ImageCollection(SERIES).reduce(ee.Reducer.linearFit()))
    assert list(found) == ["scale", "offset"]
    row, column = 20, 30
    x, y = (stack(band)[:, row, column].compressed().astype(float) for band in (0, 1))
    slope, offset = np.polyfit(x, y, 1)
    assert found["scale"][row, column] == pytest.approx(slope)
    assert found["offset"][row, column] == pytest.approx(offset)


def test_a_list_is_no_band(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"ImageCollection.reduce: .*no band can hold"):
        evaluator.pixels(ee.ImageCollection(SERIES).reduce(ee.Reducer.toList()))


def test_bands_are_reduced_to_one(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.pixels(ee.Image(SCENE).reduce(ee.Reducer.minMax()))
    assert found.dtype.names == ("min", "max")
    assert (found["min"] == scene_values().min(axis=0)).all()
    assert (found["max"] == scene_values().max(axis=0)).all()
    mean = evaluator.value(ee.Image(SCENE).reduce(ee.Reducer.mean()))["bands"][0]
    assert mean["dimensions"] == [64, 64]


def test_the_best_pixel_wins(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.ImageCollection(SERIES).qualityMosaic("B1"))
    there = ~np.ma.getmaskarray(stack()).all(axis=0)
    best = stack().filled(0).astype(int)
    best[np.ma.getmaskarray(stack())] = -1
    expected = np.take_along_axis(stack(1).data, best.argmax(axis=0)[np.newaxis], axis=0)[0]
    assert (found["B2"][there] == expected[there]).all()


def test_an_image_that_lacks_a_band_is_told(ee: ModuleType, evaluator: Evaluator) -> None:
    mixed = ee.ImageCollection([ee.Image(SCENE), ee.Image(SCENE).select(["B1"])])
    with pytest.raises(InvalidRequest, match="image with incompatible bands was encountered"):
        evaluator.pixels(mixed.mean())


def test_a_composite_of_nothing_has_no_bands(ee: ModuleType, evaluator: Evaluator) -> None:
    nothing = ee.ImageCollection(SERIES).filter(ee.Filter.eq("CLOUD", 7)).median()
    assert evaluator.value(nothing) == {"type": "Image", "bands": []}


class Reads:
    """A reader that counts."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.world = evaluator.computing.world
        self.names: list[str] = []

    def __call__(self, asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> BandArrays:
        self.names.append(asset.name)
        return self.world.read(asset, band_ids, grid)


def test_images_elsewhere_are_not_read(evaluator: Evaluator) -> None:
    world = evaluator.computing.world
    bands = [stored_image(world.find_image(f"{SERIES}/t{i}")).bands[0] for i in range(COUNT)]
    node = Fold(inputs_of(bands), lambda p: p, lambda a, b: b, lambda p: p, np.dtype("uint8"))
    read = Reads(evaluator)
    far = PixelGrid(
        8, 8, AffineTransform(30.0, 0.0, 500_000.0, 0.0, -30.0, 4_000_000.0), "EPSG:32612"
    )
    _, masks = compute([node], [np.dtype("uint8")], far, read, Budget(time.monotonic() + 9))
    assert read.names == []
    assert not masks[0].any()
    compute([node], [np.dtype("uint8")], GRID, read, Budget(time.monotonic() + 9))
    assert len(read.names) == COUNT


def test_memory_does_not_grow_with_the_number_of_images(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = evaluator.computing.world
    count = 100
    images = [stored_image(replace(world.find_image(f"{SERIES}/t0"))) for _ in range(count)]
    nodes = [
        Fold(
            inputs_of([image.bands[place] for image in images]),
            lambda pixels: Pixels(pixels.values.astype(np.int64), pixels.mask),
            lambda a, b: Pixels(a.values + b.values, a.mask),
            lambda pixels: pixels,
            np.dtype("int64"),
        )
        for place in (0, 1)
    ]
    # One value and its mask take five bytes a pixel: a hundred images of two bands, 4 MB.
    monkeypatch.setattr(plan, "MAX_LIVE_BYTES", 400_000)
    dtypes = [np.dtype("int64")] * 2
    values, _ = compute(nodes, dtypes, GRID, world.read, Budget(time.monotonic() + 30))
    shown = ~np.ma.getmaskarray(series_values()[0, 0])
    assert (values[1][shown] == count * series_values().data[0, 1].astype(int)[shown]).all()
