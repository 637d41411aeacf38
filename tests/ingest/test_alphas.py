"""Partial opacity is kept by ingest, of one file and of mosaics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.enums import ColorInterp, MaskFlags

from tests.rasters.engine import read
from tests.support.rasterfiles import noise
from tileserver.errors import InvalidRequest
from tileserver.ingest.ingest import ingest
from tileserver.ingest.pyramids import PyramidingPolicy

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NodataShadowWarning")

UTM = Affine(30, 0, 400_000, 0, -30, 4_500_000)


def write(
    path: Path, values: NDArray[np.uint8], column: int = 0, alpha: bool = True, **options: float
) -> Path:
    """Write a raster whose last band is alpha, so many columns east of the others."""
    count, height, width = values.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=count,
        dtype="uint8",
        crs="EPSG:32612",
        transform=UTM @ Affine.translation(column, 0),
        photometric="RGB" if count >= 3 + alpha else "MINISBLACK",
        **options,
    ) as dataset:
        if alpha:
            dataset.colorinterp = (*dataset.colorinterp[:-1], ColorInterp.alpha)
        dataset.write(values)
    return path


def translucent(height: int, width: int, bands: int = 3) -> NDArray[np.uint8]:
    values = noise(bands + 1, height, width, "uint8")
    values[-1] = np.array([0, 64, 128, 255])[np.arange(width) % 4]
    return values


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_alpha_of_one_file_stays_as_it_is(tmp_path: Path, bands: int) -> None:
    values = translucent(300, 280, bands)
    made = ingest([write(tmp_path / "in.tif", values)], tmp_path / "out.tif")
    assert made.band_ids == tuple(f"b{i}" for i in range(1, bands + 1))
    with rasterio.open(made.path) as dataset:
        assert dataset.colorinterp[-1] == ColorInterp.alpha
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert np.array_equal(dataset.read(bands + 1), values[-1])
        shown = values[-1] > 0
        assert np.array_equal(dataset.read(range(1, bands + 1))[:, shown], values[:-1, shown])
    found = read(made.path, None)
    assert found.alpha is not None
    assert np.array_equal(found.alpha, values[-1])
    assert np.array_equal(found.valid[0], shown)


def test_overviews_have_the_mean_opacity_of_pixels_that_show(tmp_path: Path) -> None:
    values = translucent(512, 512)
    made = ingest([write(tmp_path / "in.tif", values)], tmp_path / "out.tif")
    with rasterio.open(made.path, overview_level=0) as dataset:
        alpha, red = dataset.read(4), dataset.read(1)
    # Columns of 0 and 64, and of 128 and 255.
    assert np.array_equal(np.unique(alpha), [64, 192])
    quads = values[0].reshape(256, 2, 256, 2).transpose(0, 2, 1, 3).reshape(256, 256, 4)
    # Of the first pair of columns the second alone shows.
    expected = np.floor(quads[:, ::2, [1, 3]].mean(axis=2) + 0.5)
    assert np.array_equal(red[:, ::2], expected)


def test_a_mosaic_keeps_alpha_and_later_sources_hide_earlier_ones(tmp_path: Path) -> None:
    left, right = translucent(100, 120), translucent(100, 120)
    right = right[:, ::-1].copy()
    plain = noise(3, 100, 50, "uint8")
    made = ingest(
        [
            write(tmp_path / "left.tif", left),
            write(tmp_path / "right.tif", right, column=62),
            write(tmp_path / "plain.tif", plain, column=200, alpha=False),
        ],
        tmp_path / "out.tif",
    )
    expected = np.zeros((4, 100, 250), np.uint8)
    expected[:, :, :120] = left
    there = right[3] > 0
    expected[:, :, 62:182][:, there] = right[:, there]
    expected[:3, :, 200:], expected[3, :, 200:] = plain, 255
    with rasterio.open(made.path) as dataset:
        found = dataset.read()
    assert np.array_equal(found[3], expected[3])
    shown = expected[3] > 0
    assert np.array_equal(found[:3, shown], expected[:3, shown])


def test_nodata_and_alpha_hold_both(tmp_path: Path) -> None:
    values = translucent(60, 80)
    values[:3, :10] = 7
    made = ingest([write(tmp_path / "in.tif", values, nodata=7)], tmp_path / "out.tif")
    with rasterio.open(made.path) as dataset:
        assert dataset.nodata == 7
    found = read(made.path, None)
    shown = (values[3] > 0) & (values[:3] != 7)
    assert np.array_equal(found.valid, shown)
    assert np.array_equal(found.values[shown], values[:3][shown])
    assert found.alpha is not None
    some = shown.any(axis=0)
    assert np.array_equal(found.alpha[some], values[3][some])


def test_nodata_and_alpha_of_nothing_between_hold_both(tmp_path: Path) -> None:
    values = np.maximum(noise(4, 60, 80, "uint8"), 9)
    values[3] = np.where(np.arange(80) < 30, 0, 255)
    values[:3, :10] = 7
    made = ingest([write(tmp_path / "in.tif", values, nodata=7)], tmp_path / "out.tif")
    with rasterio.open(made.path) as dataset:
        assert dataset.mask_flag_enums[0] == [MaskFlags.nodata]
        shown = dataset.read_masks() > 0
    assert np.array_equal(shown[0], (values[3] > 0) & (values[0] != 7))


def test_stacked_files_must_be_hidden_in_the_same_places(tmp_path: Path) -> None:
    one, other = translucent(60, 80, 1), translucent(60, 80, 1)
    other[-1] = 128
    sources = [write(tmp_path / "a.tif", one), write(tmp_path / "b.tif", other)]
    with pytest.raises(InvalidRequest, match="masked in different places"):
        ingest(sources, tmp_path / "out.tif")


def test_a_sample_that_is_hidden_hides_the_pixel(tmp_path: Path) -> None:
    values = translucent(400, 400)
    sources = [write(tmp_path / "in.tif", values)]
    made = ingest(sources, tmp_path / "out.tif", policy=PyramidingPolicy.SAMPLE)
    with rasterio.open(made.path, overview_level=0) as dataset:
        alpha = dataset.read(4)
    assert np.array_equal(alpha > 0, values[3, ::2, ::2] > 0)
