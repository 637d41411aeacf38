"""Each rule of selection gives the pixels of `rasterio.merge`, or of NumPy where that has no such
rule."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.merge import merge

from tests.mosaics.conftest import MakeMosaic
from tests.mosaics.files import masked, read, whole, write_overlapping
from tests.support.rasterfiles import grid_of
from tileserver.contract.grids import PixelGrid

NODATA = -1


def merged(paths: list[Path], method: str) -> tuple[NDArray[np.float64], PixelGrid]:
    """Return the pixels and the grid of rasterio's own mosaic."""
    with warnings.catch_warnings():
        # rasterio multiplies transforms in a way that affine 3 would rather see written otherwise.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        values, transform = merge([str(path) for path in paths], method=method, nodata=NODATA)
    grid = grid_of(values.shape[2], values.shape[1], transform, "EPSG:32612")
    return np.where(values == NODATA, np.nan, values), grid


def stacked(paths: list[Path], grid: PixelGrid) -> NDArray[np.float64]:
    """Return the files on one grid, shape (files, bands, height, width), NaN where masked."""
    layers = np.full((len(paths), 2, grid.height, grid.width), np.nan)
    for layer, path in zip(layers, paths, strict=True):
        with rasterio.open(path) as dataset:
            column = round((dataset.transform.c - grid.transform.translate_x) / 30)
            row = round((grid.transform.translate_y - dataset.transform.f) / 30)
            values = np.where(dataset.read_masks() > 0, dataset.read().astype(float), np.nan)
            layer[:, row : row + dataset.height, column : column + dataset.width] = values
    return layers


@pytest.mark.parametrize("rule", ["first", "last", "min", "max"])
def test_it_equals_merge(rule: str, folder: Path, make_mosaic: MakeMosaic) -> None:
    paths = write_overlapping(folder)
    expected, grid = merged(paths, rule)
    mosaics = whole(make_mosaic(folder, rule))
    assert mosaics.find("projects/localhost/assets/scenes").common_grid == grid
    np.testing.assert_array_equal(masked(read(mosaics, grid)), expected)


@pytest.mark.parametrize("rule", ["mean", "median"])
def test_averages_equal_numpy(rule: str, folder: Path, make_mosaic: MakeMosaic) -> None:
    paths = write_overlapping(folder)
    _, grid = merged(paths, "first")
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        expected = getattr(np, f"nan{rule}")(stacked(paths, grid), axis=0)
    found = read(whole(make_mosaic(folder, rule)), grid)
    np.testing.assert_allclose(masked(found), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        ("newest", "bdac"),
        ("oldest", "adbc"),
        ("lowest:CLOUDS", "dabc"),
        ("highest:CLOUDS", "badc"),
    ],
)
def test_times_and_properties_order_the_files(
    rule: str, order: str, folder: Path, make_mosaic: MakeMosaic
) -> None:
    paths = dict(zip("abcd", write_overlapping(folder), strict=True))
    # c has neither and comes last; of equals the name decides.
    times = {"a": "2025-01-01", "b": "2025-06-01", "d": "2025-03-01"}
    clouds = {"a": 5, "b": 9, "d": 1}
    for name, time in times.items():
        sidecar = {"startTime": f"{time}T00:00:00Z", "properties": {"CLOUDS": clouds[name]}}
        paths[name].with_suffix(".json").write_text(json.dumps(sidecar))
    expected, grid = merged([paths[name] for name in order], "first")
    np.testing.assert_array_equal(masked(read(whole(make_mosaic(folder, rule)), grid)), expected)


def test_newest_without_times_is_first(folder: Path, make_mosaic: MakeMosaic) -> None:
    expected, grid = merged(write_overlapping(folder), "first")
    found = read(whole(make_mosaic(folder, "newest")), grid)
    np.testing.assert_array_equal(masked(found), expected)


def test_a_part_equals_that_of_the_whole(folder: Path, make_mosaic: MakeMosaic) -> None:
    expected, grid = merged(write_overlapping(folder), "first")
    mosaics = whole(make_mosaic(folder))
    part = grid.transform.moved(33, 41)
    found = read(mosaics, PixelGrid(50, 40, part, grid.crs_code), ("b2",))
    np.testing.assert_array_equal(masked(found), expected[1:2, 41:81, 33:83])
