"""Neighbourhoods: SciPy and NumPy are the oracle, over windows of the whole raster."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio import Affine
from scipy import ndimage

from tests.compute.conftest import (
    GRID,
    HOLES,
    HOME,
    SCENE,
    SIDE,
    Evaluator,
    hole_values,
    scene_values,
    world_of,
)
from tests.support.rasterfiles import noise, write_raster
from tileserver.compute.pixels import plan
from tileserver.contract.grids import AffineTransform, PixelGrid, Window
from tileserver.errors import InvalidRequest

FIRST = scene_values()[0].astype(float)
HELD = np.ma.masked_equal(hole_values(), -9999)
SQUARE, PLUS = np.ones((3, 3)), np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
DISC = (np.hypot(*np.mgrid[-9:10, -9:10]) <= 9).astype(float)
Oracle = Callable[[np.ma.MaskedArray[Any, Any]], Any]


def shown(values: NDArray[Any]) -> np.ma.MaskedArray[Any, Any]:
    """Return values of which none is masked."""
    return np.ma.masked_array(values, np.zeros(values.shape, bool))


def middle(values: np.ma.MaskedArray[Any, Any]) -> Any:
    """Return the median along the last axis."""
    return np.ma.median(values, axis=-1)  # type: ignore[no-untyped-call]


def windows_of(
    values: np.ma.MaskedArray[Any, Any], shape: NDArray[Any]
) -> np.ma.MaskedArray[Any, Any]:
    """Return the values under a kernel, shape (SIDE, SIDE, count); beyond the raster masked."""
    margin = shape.shape[0] // 2
    padded = np.pad(np.ma.filled(values.astype(float), np.nan), margin, constant_values=np.nan)
    found = np.lib.stride_tricks.sliding_window_view(padded, shape.shape)[..., shape != 0]
    return np.ma.masked_invalid(found)


def assert_same(
    found: np.ma.MaskedArray[Any, Any], expected: np.ma.MaskedArray[Any, Any], rtol: float = 1e-9
) -> None:
    assert (np.ma.getmaskarray(found) == np.ma.getmaskarray(expected)).all()
    np.testing.assert_allclose(found.compressed(), expected.compressed(), rtol=rtol, atol=1e-9)


@pytest.mark.parametrize(
    ("kernel", "weights"),
    [
        (lambda ee: ee.Kernel.sobel(), [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        (lambda ee: ee.Kernel.fixed(weights=[[1, 2, 0], [0, 4, 7]]), [[1, 2, 0], [0, 4, 7]]),
        (lambda ee: ee.Kernel.circle(9, "pixels", False), DISC),
        (lambda ee: ee.Kernel.square(10, "pixels", False), np.ones((21, 21))),
    ],
    ids=["sobel", "fixed", "of Fourier", "separable"],
)
def test_a_convolution_lays_the_kernel_over_the_pixels(
    ee: ModuleType, evaluator: Evaluator, kernel: Any, weights: Any
) -> None:
    image = ee.Image(SCENE).select("B1").unmask(0, False).convolve(kernel(ee))
    found = evaluator.pixels(image)["B1"]
    assert found.dtype == np.float64
    expected = ndimage.correlate(FIRST, np.array(weights, float), mode="constant")
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)


def test_a_convolution_leaves_masked_pixels_out(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Image(HOLES).convolve(ee.Kernel.square(1)))["b1"]
    expected = windows_of(HELD, SQUARE).mean(axis=-1)
    assert_same(found, np.ma.masked_array(expected, HELD.mask))
    edges = evaluator.masked(ee.Image(HOLES).convolve(ee.Kernel.laplacian8()))["b1"]
    touched = np.ma.getmaskarray(windows_of(HELD, SQUARE)).any(axis=-1)
    assert (np.ma.getmaskarray(edges) == touched).all()


def most_frequent(values: np.ma.MaskedArray[Any, Any]) -> Any:
    """Return the mode along the last axis, the smallest of several."""

    def of_one(row: NDArray[Any]) -> float:
        found, counts = np.unique(row[~np.isnan(row)], return_counts=True)
        return float(found[counts.argmax()]) if len(found) else np.nan

    return np.ma.masked_invalid(np.apply_along_axis(of_one, -1, values.filled(np.nan)))


FOCAL: dict[str, Oracle] = {
    "max": lambda v: v.max(axis=-1),
    "min": lambda v: v.min(axis=-1),
    "mean": lambda v: v.mean(axis=-1),
    "median": middle,
    "mode": most_frequent,
}


@pytest.mark.parametrize("name", FOCAL)
def test_a_filter_fills_masked_pixels_from_those_around_them(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    image = ee.Image(HOLES).mod(5)
    few = np.ma.masked_array(np.fmod(hole_values(), 5), HELD.mask)
    expected = FOCAL[name](windows_of(few, SQUARE))
    newer = getattr(image, f"focal{name.title()}")()
    assert_same(evaluator.masked(newer)["b1"], expected)
    expected = FOCAL[name](windows_of(few, PLUS))
    older = getattr(image, f"focal_{name}")(1, "plus")
    assert_same(evaluator.masked(older)["b1"], expected)


@pytest.mark.parametrize("name", ["max", "min", "mean"])
def test_a_filter_may_be_large_and_repeated(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    large = getattr(ee.Image(HOLES), f"focal_{name}")(9)
    assert_same(evaluator.masked(large)["b1"], FOCAL[name](windows_of(HELD, DISC)))
    twice = getattr(ee.Image(HOLES), f"focal_{name}")(30, "square", "meters", 2)
    once = FOCAL[name](windows_of(HELD, SQUARE))
    assert_same(evaluator.masked(twice)["b1"], FOCAL[name](windows_of(once, SQUARE)))


def test_types_of_filters(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1")
    types = {
        name: evaluator.value(getattr(image, f"focal{name}")())["bands"][0]["data_type"]
        for name in ("Max", "Mean", "Median", "Min", "Mode")
    }
    assert {name: found["precision"] for name, found in types.items()} == {
        "Max": "int", "Mean": "double", "Median": "double", "Min": "int", "Mode": "int",
    }  # fmt: skip
    assert types["Max"]["max"] == 65535


REDUCED: dict[str, Oracle] = {
    "mean": lambda v: v.mean(axis=-1),
    "max": lambda v: v.max(axis=-1),
    "count": lambda v: v.count(axis=-1),
    "stdDev": lambda v: v.std(axis=-1),
    "variance": lambda v: v.var(axis=-1),
    "sampleVariance": lambda v: v.var(axis=-1, ddof=1),
    "median": middle,
    "first": lambda v: np.ma.masked_array(
        np.take_along_axis(v.data, v.mask.argmin(axis=-1)[..., np.newaxis], -1)[..., 0],
        v.mask.all(axis=-1),
    ),
}


@pytest.mark.parametrize("name", REDUCED)
def test_a_reducer_of_a_neighbourhood(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    image = ee.Image(HOLES).reduceNeighborhood(getattr(ee.Reducer, name)(), ee.Kernel.square(1))
    expected = REDUCED[name](windows_of(HELD, SQUARE))
    hidden = np.ma.getmaskarray(expected) | HELD.mask
    assert_same(evaluator.masked(image)[f"b1_{name}"], np.ma.masked_array(expected, hidden))
    filled = ee.Image(HOLES).reduceNeighborhood(
        getattr(ee.Reducer, name)(), ee.Kernel.square(1), skipMasked=False
    )
    expected = np.ma.masked_array(expected, np.ma.getmaskarray(expected))
    if name == "count":
        expected = np.ma.masked_equal(expected, 0)
    assert_same(evaluator.masked(filled)[f"b1_{name}"], expected)


def test_sums_and_means_are_weighted(ee: ModuleType, evaluator: Evaluator) -> None:
    weights = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], float)
    kernel = ee.Kernel.fixed(weights=weights.tolist())
    image = ee.Image(SCENE).select("B1")
    half = ee.Image.pixelCoordinates("EPSG:32612").select("x").divide(30).floor().mod(2)
    faint = image.updateMask(half.multiply(0.5).add(0.25))
    column = np.arange(SIDE) + round(GRID.transform.translate_x / 30)
    opacity = np.broadcast_to(0.25 + 0.5 * (column % 2), (SIDE, SIDE))
    under = windows_of(shown(FIRST), SQUARE)
    opacities = windows_of(shown(opacity), SQUARE)
    weighings = {
        "kernel": np.broadcast_to(weights.ravel(), under.shape),
        "mask": opacities,
        "min": np.minimum(opacities, weights.ravel()),
    }
    for weighting, weight in weighings.items():
        total = (under * weight).sum(axis=-1)
        mean = total / (weight * ~under.mask).sum(axis=-1)
        for reducer, expected in (("sum", total), ("mean", mean)):
            built = faint.reduceNeighborhood(getattr(ee.Reducer, reducer)(), kernel, weighting)
            found = evaluator.masked(built)[f"B1_{reducer}"]
            np.testing.assert_allclose(found.filled(0), np.ma.filled(expected, 0), rtol=1e-6)


def test_unweighted_and_renamed_reducers(ee: ModuleType, evaluator: Evaluator) -> None:
    kernel = ee.Kernel.fixed(weights=[[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    under = windows_of(HELD, SQUARE)
    image = ee.Image(HOLES)
    plain = image.reduceNeighborhood(ee.Reducer.mean().unweighted(), kernel, skipMasked=False)
    assert_same(evaluator.masked(plain)["b1_mean"], under.mean(axis=-1))
    named = ee.Reducer.max().setOutputs(["mean"])
    found = evaluator.masked(image.reduceNeighborhood(named, kernel, skipMasked=False))
    assert_same(found["b1_mean"], under.max(axis=-1))
    every = image.reduceNeighborhood(ee.Reducer.countEvery(), kernel, skipMasked=False)
    assert (evaluator.masked(every)["b1_count"] == 9).all()
    fit = image.addBands(image.multiply(2).add(7).rename("b2"))
    found = evaluator.masked(fit.reduceNeighborhood(ee.Reducer.linearFit(), kernel))
    inner = ~np.ma.getmaskarray(found["scale"])
    np.testing.assert_allclose(found["scale"][inner], 2, rtol=1e-6)
    np.testing.assert_allclose(found["offset"][inner], 7, rtol=1e-4)


def test_reducers_of_several_outputs_and_inputs(ee: ModuleType, evaluator: Evaluator) -> None:
    image, kernel = ee.Image(SCENE).select("B1", "B2"), ee.Kernel.plus(1)
    both = ee.Reducer.mean().combine(ee.Reducer.minMax(), sharedInputs=True)
    found = evaluator.masked(image.reduceNeighborhood(both, kernel))
    names = ["B1_mean", "B1_min", "B1_max", "B2_mean", "B2_min", "B2_max"]
    assert list(found) == names
    second = windows_of(shown(scene_values()[1]), PLUS)
    assert_same(found["B2_max"], second.max(axis=-1))
    leading = evaluator.masked(image.reduceNeighborhood(ee.Reducer.max(2), kernel))
    assert list(leading) == ["max", "max1"]
    first = windows_of(shown(FIRST), PLUS)
    at = first.filled(-1).argmax(axis=-1)[..., np.newaxis]
    assert (leading["max1"] == np.take_along_axis(second.data, at, -1)[..., 0]).all()


def test_neighbours_become_bands(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(ee.Image(HOLES).neighborhoodToBands(ee.Kernel.plus(1)))
    assert list(found) == ["b1_0_-1", "b1_-1_0", "b1_0_0", "b1_1_0", "b1_0_1"]
    under = windows_of(HELD, PLUS)
    for place, band in enumerate(found.values()):
        assert_same(band, under[..., place])


@pytest.mark.parametrize(("default", "filled"), [(-7.9, -7), (1e9, 32767)])
def test_neighbours_become_arrays(
    ee: ModuleType, evaluator: Evaluator, default: float, filled: int
) -> None:
    """Flattened into bands they are as `neighborhoodToBands` has them (ee-image-arrayflatten)."""
    image = ee.Image(HOLES).neighborhoodToArray(ee.Kernel.rectangle(2, 1), default)
    type_ = evaluator.value(image)["bands"][0]["data_type"]
    assert (type_["dimensions"], type_["precision"]) == (2, "int")
    rows, columns = [str(y) for y in range(3)], [str(x) for x in range(5)]
    found = evaluator.masked(image.arrayFlatten([rows, columns]))
    under = windows_of(HELD, np.ones((5, 5)))
    for y in range(3):
        for x in range(5):
            band = found[f"{y}_{x}"]
            assert (np.ma.getmaskarray(band) == HELD.mask).all()
            expected = under[..., (y + 1) * 5 + x].filled(filled)
            assert (band.data == expected)[~HELD.mask].all()


def test_a_kernel_in_metres_follows_the_scale(ee: ModuleType, evaluator: Evaluator) -> None:
    coarse = PixelGrid(32, 32, GRID.transform.scaled(2, 2), GRID.crs_code)
    image = ee.Image(SCENE).select("B1").gt(2000).unmask(0, False)
    counted = image.reduceNeighborhood(ee.Reducer.count(), ee.Kernel.square(120, "meters"))
    assert (evaluator.pixels(counted)["B1_count"] == 81).all()
    assert (evaluator.pixels(counted, coarse)["B1_count"] == 25).all()
    fixed = counted.reproject("EPSG:32612", None, 60)
    assert (evaluator.pixels(fixed)["B1_count"] == 25).all()


FAMILIES: dict[str, Callable[[ModuleType, Any], Any]] = {
    "convolve": lambda ee, image: image.convolve(ee.Kernel.gaussian(5, 2)),
    "convolve far": lambda ee, image: image.convolve(ee.Kernel.circle(12)),
    "focal": lambda ee, image: image.focalMedian(2),
    "focal far": lambda ee, image: image.focalMax(11, "octagon"),
    "reducer": lambda ee, image: image.reduceNeighborhood(ee.Reducer.stdDev(), ee.Kernel.plus(3)),
    "bands": lambda ee, image: image.neighborhoodToBands(ee.Kernel.cross(1)),
}


@pytest.mark.parametrize("name", ["focalMax", "neighborhoodToBands"])
def test_tiles_of_composites_meet_beyond_the_bounds_of_images(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    kernel = ee.Kernel.plus(3)
    image = ee.Image(SCENE).select("B1")
    moved = image.focalMax(kernel=kernel) if name == "focalMax" else None
    moved = moved or image.neighborhoodToBands(kernel).select("B1_-3_0")
    around = GRID.window(Window(-8, -8, SIDE + 16, SIDE + 16))
    whole = evaluator.masked(ee.ImageCollection([moved]).mosaic(), around)
    (band,) = whole.values()
    inner = (slice(8, -8), slice(11, -8))
    assert not np.ma.getmaskarray(band)[inner].any()
    outer = np.ones(band.shape, bool)
    outer[8:-8, 8:-8] = False
    assert np.ma.getmaskarray(band)[outer].all()
    for left in range(0, SIDE + 16, 20):
        window = Window(left, 0, 20, 20)
        (tile,) = evaluator.masked(
            ee.ImageCollection([moved]).mosaic(), around.window(window)
        ).values()
        assert_same(tile, band[window.slices])


@pytest.mark.parametrize("name", FAMILIES)
def test_sixteen_tiles_are_one_picture(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    built = FAMILIES[name](ee, ee.Image(HOLES))
    whole = evaluator.masked(built)
    side = SIDE // 4
    for row in range(4):
        for column in range(4):
            window = Window(column * side, row * side, side, side)
            tile = evaluator.masked(built, GRID.window(window))
            for band, found in tile.items():
                assert_same(found, whole[band][window.slices])
    monkeypatch.setattr(plan, "PIECE_PX", 700)
    for band, found in evaluator.masked(built).items():
        assert_same(found, whole[band])


def test_neighbours_lie_beyond_the_antimeridian(ee: ModuleType, tmp_path: Path) -> None:
    """Tiles of the world's edges meet as any others do, whichever side of 180 the raster is on."""
    side_m = 2 * math.pi * 6378137 / 2**14
    values = noise(1, 40, 60, "uint8", seed=9)
    for name, west in (("east", 2**13 - 30), ("west", -(2**13) - 30)):
        transform = Affine(side_m, 0, west * side_m, 0, -side_m, 0)
        write_raster(tmp_path / f"{name}.tif", values, "EPSG:3857", transform, overviews=())
    evaluator = Evaluator(world_of(tmp_path))
    expected = ndimage.maximum_filter(values[0], 5)
    for name in ("east", "west"):
        built = ee.Image(f"{HOME}/{name}").focalMax(2, "square")
        for left, columns in ((2**13 - 20, slice(10, 30)), (-(2**13), slice(30, 50))):
            transform = AffineTransform(side_m, 0, left * side_m, 0, -side_m, 0)
            found = evaluator.pixels(built, PixelGrid(20, 40, transform, "EPSG:3857"))["b1"]
            assert (found == expected[:, columns]).all()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda ee, i: i.focalMax(1, "ring"), "kernelType must be one of circle, cross"),
        (lambda ee, i: i.focalMax(1, "circle", "feet"), "units must be"),
        (lambda ee, i: i.focalMax(600), "Kernel is too large"),
        (lambda ee, i: i.focalMax(1e6, "square", "meters"), "Kernel is too large"),
        (lambda ee, i: i.focalMax(iterations=10**7), "iterations, at most 1000"),
        (lambda ee, i: i.focalMax(500, iterations=1000), "memory limit|timed out"),
        (lambda ee, i: i.focalMin(3, iterations=1000), "memory limit|timed out"),
        (lambda ee, i: i.focalMedian(500), "timed out"),
        (lambda ee, i: i.neighborhoodToBands(ee.Kernel.square(40)), "bands, at most 5000"),
        (lambda ee, i: i.neighborhoodToArray(ee.Kernel.circle(1)), "The kernel is a circle"),
        (
            lambda ee, i: i.reduceNeighborhood(ee.Reducer.mean(), ee.Kernel.plus(1), "max"),
            "inputWeight must be mask, kernel or min, got 'max'",
        ),
        (
            lambda ee, i: i.reduceNeighborhood(ee.Reducer.toList(), ee.Kernel.plus(1)),
            "list or a table",
        ),
    ],
)
def test_what_cannot_be_or_costs_too_much_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        evaluator.pixels(make(ee, ee.Image(HOLES)))
