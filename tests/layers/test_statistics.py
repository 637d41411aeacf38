from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.rasters.engine import asset_of, engine
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import MAX_BYTES, BandArrays
from tileserver.layers.statistics import overview_request, percentiles, summarize, thinned

DTYPES = [
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float32", "float64"),
]


def bands_of(values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> BandArrays:
    ids = tuple(f"b{i + 1}" for i in range(len(values)))
    return BandArrays(ids, values, np.ones(values.shape, bool) if valid is None else valid)


@pytest.mark.parametrize("dtype", DTYPES)
def test_figures_are_numpys_own(dtype: str) -> None:
    values = noise(2, 60, 70, dtype)
    valid = np.random.default_rng(1).random(values.shape) > 0.4
    for index, (band, facts) in enumerate(summarize(bands_of(values, valid)).items()):
        shown = values[index][valid[index]]
        samples = shown.astype(np.float64)
        assert band == f"b{index + 1}"
        assert (facts["min"], facts["max"]) == (shown.min(), shown.max())
        assert facts["count"] == shown.size
        assert facts["valid_percent"] == pytest.approx(100 * shown.size / (60 * 70), abs=1e-4)
        assert facts["mean"] == pytest.approx(samples.mean())
        assert facts["std"] == pytest.approx(samples.std())
        assert facts["percentile_2"] == pytest.approx(np.percentile(samples, 2))
        assert facts["percentile_98"] == pytest.approx(np.percentile(samples, 98))
        counts, edges = facts["histogram"]
        assert sum(counts) == shown.size
        assert (edges[0], edges[-1]) == (samples.min(), samples.max())
        json.dumps(facts, allow_nan=False)


def test_nan_and_infinity_are_not_counted() -> None:
    values = np.array([[[1.0, np.nan, np.inf, -np.inf, 3.0]]])
    facts = summarize(bands_of(values))["b1"]
    assert (facts["count"], facts["min"], facts["max"], facts["mean"]) == (2, 1, 3, 2)
    assert facts["valid_percent"] == 40


def test_of_nothing_every_figure_is_null() -> None:
    facts = summarize(bands_of(np.ones((1, 4, 4)), np.zeros((1, 4, 4), bool)))["b1"]
    assert (facts["count"], facts["valid_percent"], facts["histogram"]) == (0, 0, [[], []])
    assert {facts[name] for name in ("min", "max", "mean", "std", "percentile_2")} == {None}


@pytest.mark.parametrize("extreme", [1.7e308, 3.4e38, 5e-324])
def test_figures_of_extreme_values_are_json(extreme: float) -> None:
    facts = summarize(bands_of(np.array([[[-extreme, extreme, 0.0]]])))["b1"]
    assert (facts["min"], facts["max"]) == (-extreme, extreme)
    json.dumps(facts, allow_nan=False)


def test_one_value_has_a_histogram_of_one_bin() -> None:
    facts = summarize(bands_of(np.full((1, 3, 3), 7, np.int16)))["b1"]
    assert facts["histogram"] == [[9], [7, 7]]
    assert facts["std"] == 0


@pytest.mark.parametrize("values", [[5], [0, 0, 0], [], [1e9, 1e9], [-3, 12], [np.nan]])
def test_the_second_percentile_is_always_the_larger(values: list[float]) -> None:
    ((low, high),) = percentiles(bands_of(np.array([[values]])), 2, 98)
    assert low < high


def test_large_grids_are_thinned_to_whole_pixels_of_a_level(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(2, 901, 1203), overviews=(2, 4, 8))
    asset = asset_of(path)
    grid = thinned(asset.common_grid, asset, (), max_samples=90_000)
    assert (grid.width, grid.height) == (300, 225)
    # The same place, to its last corner.
    assert grid.transform.apply(300, 225) == pytest.approx(
        asset.common_grid.transform.apply(1203, 901)
    )
    assert thinned(asset.common_grid, asset, ()) == asset.common_grid


@pytest.mark.parametrize("count", [1, 5, 300])
def test_what_is_thinned_fits_one_request(tmp_path: Path, count: int) -> None:
    asset = asset_of(write_raster(tmp_path / "a.tif", noise(count, 4, 4), overviews=()))
    huge = PixelGrid(200_000, 100_000, asset.common_grid.transform, asset.common_grid.crs_code)
    grid = thinned(huge, asset, ())
    assert 0 < grid.width * grid.height * count * (2 + 1) <= MAX_BYTES


def test_an_overview_request_reads_one_level_for_all_of_the_asset(tmp_path: Path) -> None:
    values = noise(1, 1600, 1600)
    path = write_raster(tmp_path / "a.tif", values, overviews=(2, 4, 8), resampling="nearest")
    request = overview_request(asset_of(path), ("b1",), max_samples=50_000)
    bands = engine(path).bands(request)
    assert np.array_equal(bands.values[0], values[0, ::8, ::8])
